"""RobustVideoMatting, written anew from the paper and the shapes of the official checkpoints: torch and OpenVINO.

May import what :mod:`rvm_live.engines` may.

>>> from rvm_live.core.settings import EngineSettings
>>> from rvm_live.engines.select import AutoEngine
>>> engine = AutoEngine(EngineSettings(engine="rvm", model="mobilenetv3"))
"""
