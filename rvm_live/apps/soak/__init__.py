"""Runs live video for a long time, with faults on purpose, to find leaks and slowdowns.

May import what :mod:`rvm_live.apps` may.

>>> from rvm_live.apps.soak.run import SoakSettings, run
>>> report = run(SoakSettings(hours=8, faults=True))  # doctest: +SKIP
"""
