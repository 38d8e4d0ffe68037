"""Where frames come from: cameras, files, streams, a demo.

May import core, finishing, media, network, system, weights.

>>> from rvm_live.core.settings import SourceSettings
>>> from rvm_live.sources.factory import open_source
>>> source = open_source(SourceSettings("demo", width=1280, height=720))
"""
