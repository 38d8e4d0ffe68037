"""Composites on the screen, and what keys and the mouse do there."""
