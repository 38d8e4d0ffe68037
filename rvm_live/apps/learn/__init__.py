"""What ``lite`` needs to learn its user before one camera. Nothing is printed here.

May import what :mod:`rvm_live.apps` may.

>>> from rvm_live.apps.learn.places import places
>>> learnt_before, guards = places()
>>> len(guards)
2
"""
