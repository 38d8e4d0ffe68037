"""Where composites go: the window, files, streams, a page, a camera to other programs.

May import backgrounds, core, finishing, media, microphones, network, system, weights.

>>> from rvm_live.core.queues import Overflow
>>> from rvm_live.sinks.factory import open_recorder
>>> recorder = open_recorder("take.mp4", fps=30, policy=Overflow.DROP_OLDEST)  # doctest: +SKIP
"""
