"""Composites into files: films and folders of pictures.

May import what :mod:`rvm_live.sinks` may.

>>> from pathlib import Path
>>> from rvm_live.sinks.recording.writers import PngSequence
>>> writer = PngSequence(Path("pictures"))
"""
