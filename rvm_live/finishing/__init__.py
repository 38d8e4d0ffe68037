"""From a low-resolution estimate to the finished picture, on the processor: in one pass if Numba is installed.

May import core, network, system.

>>> import numpy as np
>>> from rvm_live.finishing.compiled import Kernels
>>> from rvm_live.finishing.estimate import Found
>>> Found(np.zeros((144, 256), np.float32), np.full((144, 256), 255, np.float32)).colour_slope is None
True
>>> Kernels().module is None
True
"""
