"""Exports the network to a file for another runtime, checked against the network itself.

May import what :mod:`rvm_live.apps` may.

>>> from rvm_live.apps.export.export import ExportSettings, export
>>> report = export(ExportSettings("onnx", width=1280, height=720))  # doctest: +SKIP
"""
