"""Matte and background to composite: by OpenCV with CUDA, by torch or on the CPU, whichever works first.

Imports :mod:`rvm_live.backgrounds` and :mod:`rvm_live.core`.

::

    from rvm_live.compositing.cpu import CpuCompositor

    bgra = CpuCompositor("cpu").composite(matte, Clear())
"""
