"""ONNX files of RVM, through ONNX Runtime.

May import what :mod:`rvm_live.engines` may.

>>> from pathlib import Path
>>> from rvm_live.core.settings import EngineSettings
>>> from rvm_live.engines.onnx.engine import OnnxEngine
>>> engine = OnnxEngine(EngineSettings(weights=Path("rvm_mobilenetv3_fp32.onnx")))
"""
