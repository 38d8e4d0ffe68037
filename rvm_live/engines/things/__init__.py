"""Things that stay in the picture: found by comparing pictures of the room with and without them.

May import what :mod:`rvm_live.engines` may.

>>> import numpy as np
>>> from rvm_live.engines.things.mask import things_in
>>> room = np.full((90, 160, 3), 120, np.uint8)
>>> chair = room.copy()
>>> chair[40:80, 60:100] = (30, 30, 160)
>>> mask = things_in(room, chair)
>>> int(mask[60, 80]), int(mask[10, 10])
(255, 0)
"""
