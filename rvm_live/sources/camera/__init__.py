"""Cameras, through ``cv2.VideoCapture``.

May import what :mod:`rvm_live.sources` may.

>>> from rvm_live.core.settings import SourceSettings
>>> from rvm_live.sources.camera.camera import CameraSource
>>> info = CameraSource(SourceSettings("0")).open()  # doctest: +SKIP
"""
