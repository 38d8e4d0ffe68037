"""The network in torch: CUDA graphs, Triton kernels, MPS and the CPU.

May import what :mod:`rvm_live.engines` may.

>>> from rvm_live.core.settings import EngineSettings
>>> from rvm_live.engines.rvm.torch.engine import RvmEngine
>>> engine = RvmEngine(EngineSettings(device="cuda:0"))
"""
