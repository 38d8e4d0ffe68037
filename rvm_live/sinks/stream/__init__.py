"""The result as a live stream: RTMP, MPEG-TS, HLS, WHIP.

May import what :mod:`rvm_live.sinks` may.

>>> from rvm_live.sinks.stream.targets import target_of
>>> target_of("rtmp://live.example.org/app/secret-key").label
'rtmp://live.example.org'
"""
