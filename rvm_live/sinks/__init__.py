"""Where composites go: windows and files."""
