"""The embedded engine: a small recurrent matting network of this project's own, whose weights lie in the package.

May import what :mod:`rvm_live.engines` may.

>>> from rvm_live.core.settings import EngineSettings
>>> from rvm_live.engines.lite.engine import LiteEngine
>>> engine = LiteEngine(EngineSettings(device="cpu"))
"""
