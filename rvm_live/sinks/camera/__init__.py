"""The result as a camera that other programs see.

May import what :mod:`rvm_live.sinks` may.

>>> from rvm_live.sinks.camera.outputs import outputs_here
>>> [(each.name, each.works, each.mend) for each in outputs_here()]  # doctest: +SKIP
"""
