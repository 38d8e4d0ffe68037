"""Compositors: put a matte over a background."""
