"""Makes composites from mattes and backgrounds: with OpenCV on CUDA, with torch, or on the CPU.

May import backgrounds, core, finishing, media, network, system, weights.

>>> import numpy as np
>>> from rvm_live.backgrounds.base import Clear
>>> from rvm_live.compositing.cpu import CpuCompositor
>>> from rvm_live.core.frames import Frame, Matte
>>> frame = Frame(np.zeros((720, 1280, 3), np.uint8), seq=0, epoch=0, captured_ns=0)
>>> matte = Matte(frame, alpha=np.full((720, 1280), 255, np.uint8))
>>> CpuCompositor("cpu").composite(matte, Clear()).shape
(720, 1280, 4)
"""
