"""Matting engines: a frame in, a matte out, state in between."""
