"""Composites on the screen, and what keys and the mouse do there.

May import what :mod:`rvm_live.sinks` may.

>>> from rvm_live.sinks.window.hotkeys import ViewState
>>> from rvm_live.sinks.window.window import WindowSink
>>> window = WindowSink(ViewState(), size=(1280, 720))
"""
