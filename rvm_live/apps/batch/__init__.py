"""Files and folders: the same stages as live video, with queues that lose nothing.

May import what :mod:`rvm_live.apps` may.

>>> from pathlib import Path
>>> from rvm_live.apps.batch.run import run
>>> from rvm_live.apps.batch.settings import BatchSettings
>>> report = run(BatchSettings(("clip.mp4",), Path("cut")))  # doctest: +SKIP
"""
