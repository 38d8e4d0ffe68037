"""Matting engines: a frame in, a matte out, recurrent state in between.

May import backgrounds, compositing, core, finishing, media, network, system, weights.

>>> from rvm_live.core.settings import EngineSettings
>>> from rvm_live.engines.select import AutoEngine
>>> engine = AutoEngine(EngineSettings(engine="lite", device="cpu"))
"""
