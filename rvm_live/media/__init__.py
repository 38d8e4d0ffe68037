"""Files of pictures and films: what a file says about its picture and its time, decoding, encoding, colours.

May import core, network, system.

>>> from rvm_live.media.scaling import size_inside
>>> size_inside(1920, 1080, (1280, None))
(1280, 720)
"""
