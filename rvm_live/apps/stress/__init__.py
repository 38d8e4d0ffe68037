"""Puts a GPU or a CPU under the load of matting, in many configurations, and tells what it can do."""
