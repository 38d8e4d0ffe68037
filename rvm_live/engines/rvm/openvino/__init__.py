"""The network on a CPU, through OpenVINO.

May import what :mod:`rvm_live.engines` may.

>>> from rvm_live.core.settings import EngineSettings
>>> from rvm_live.engines.rvm.openvino.engine import OpenVinoEngine
>>> engine = OpenVinoEngine(EngineSettings(precision="bf16"))
"""
