"""Films and numbered pictures, through PyAV."""
