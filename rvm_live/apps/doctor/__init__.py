"""Checks what works on this machine, what does not, and what to do about it. Prints and downloads nothing.

May import what :mod:`rvm_live.apps` may.

>>> from rvm_live.apps.doctor.examine import examine
>>> report = examine(quick=True)  # doctest: +SKIP
>>> report.healthy, [finding.mend for finding in report.findings if finding.state == "bad"]  # doctest: +SKIP
"""
