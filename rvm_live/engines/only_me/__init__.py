"""Keeps one of several people: finds them in the matte, follows them from frame to frame, and fades the others out.

May import what :mod:`rvm_live.engines` may.

>>> import numpy as np
>>> from rvm_live.engines.only_me.tracker import Tracker
>>> alpha = np.zeros((90, 160), np.uint8)
>>> alpha[30:, 20:60] = alpha[50:, 100:120] = 255
>>> weights = Tracker().look(alpha, np.zeros((90, 160, 3), np.uint8), 0, ("largest", 0))
>>> float(weights[60, 40]), float(weights[60, 110])
(1.0, 0.0)
"""
