"""Films and numbered pictures, through PyAV.

May import what :mod:`rvm_live.sources` may.

>>> from rvm_live.core.settings import SourceSettings
>>> from rvm_live.sources.video.video import VideoFileSource
>>> source = VideoFileSource(SourceSettings("clip.mp4"))
"""
