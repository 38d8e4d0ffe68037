"""Less computation: the network only sees the part with the person, and only runs when something has moved.

Knows nothing of any network but that a small picture goes in, a linear model comes out, and states stay behind.

May import what :mod:`rvm_live.engines` may.

>>> from rvm_live.engines.focus.region import around, whole
>>> around(whole((320, 180)), 16, (320, 180)) == whole((320, 180))
True
"""
