"""Measures the cut-out on footage without a true matte: settings in, a report out. Prints nothing.

May import what :mod:`rvm_live.apps` may.

>>> from rvm_live.apps.check.run import CheckSettings, check
>>> report = check(CheckSettings(seconds=5))  # doctest: +SKIP
>>> report.summary["flicker"].mean, report.advice.option  # doctest: +SKIP
"""
