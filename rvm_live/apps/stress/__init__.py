"""Loads a GPU or a CPU with matting, in many configurations, and measures what it can do.

May import what :mod:`rvm_live.apps` may.

>>> from rvm_live.apps.stress.run import StressSettings, run
>>> report = run(StressSettings(minutes=5))  # doctest: +SKIP
"""
