"""The result as a live stream: RTMP, MPEG-TS, HLS, WHIP.

May import core, media, sinks (the contract, recording's sound and times), system.

>>> from rvm_live.sinks.stream.targets import target_of
>>> target_of("rtmp://live.example.org/app/secret-key").label
'rtmp://live.example.org'
"""
