"""Composites into files: films and folders of pictures."""
