"""A real person in a drawn room, for machines without a camera.

May import what :mod:`rvm_live.sources` may.

>>> from rvm_live.core.settings import SourceSettings
>>> from rvm_live.sources.demo.demo import DemoSource
>>> source = DemoSource(SourceSettings("demo"))
"""
