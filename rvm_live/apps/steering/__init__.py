"""Controls a running program from outside: a socket that only its user can open, JSON lines, one answer to each.

May import what :mod:`rvm_live.apps` may.

>>> from rvm_live.apps.steering.client import programs
>>> [program.pid for program in programs()]  # doctest: +SKIP
[4711]
"""
