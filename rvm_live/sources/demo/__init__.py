"""A real person in a drawn room, for machines without a camera."""
