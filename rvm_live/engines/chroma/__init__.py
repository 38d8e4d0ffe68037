"""Chroma keying for a green or blue screen, without a network.

May import what :mod:`rvm_live.engines` may.

>>> from rvm_live.core.settings import EngineSettings
>>> from rvm_live.engines.select import AutoEngine
>>> engine = AutoEngine(EngineSettings(engine="chroma"))
"""
