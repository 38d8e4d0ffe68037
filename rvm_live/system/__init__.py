"""The machine: processors, GPUs, threads, signals, folders, files that are written whole or not at all.

May import core.

>>> from rvm_live.system.buffer_pool import BufferPool
>>> BufferPool((720, 1280, 3)).take().shape
(720, 1280, 3)
"""
