"""What engines share: devices, the ladder of sizes, guided upsampling, OpenVINO's requests, what errors mean.

May import what :mod:`rvm_live.engines` may.

>>> from rvm_live.engines.common.ladder import low_size
>>> low_size(1280, 720, 0.4)
(512, 288)
"""
