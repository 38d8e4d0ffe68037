"""Puts a GPU or a CPU under the load of matting, in many configurations, and tells what it can do.

May import what :mod:`rvm_live.apps` may.

>>> from rvm_live.apps.stress.run import StressSettings, run
>>> report = run(StressSettings(minutes=5))  # doctest: +SKIP
"""
