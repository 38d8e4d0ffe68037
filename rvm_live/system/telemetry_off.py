"""Imports packages that report their use to their maker, with this reporting off.

``import openvino`` alone sends an event to an analytics service over the network, and so does NNCF for every call. Both
do without where the package that sends is not there. ONNX Runtime, from 1.29 on, does the same from its compiled part:
it writes an identifier to the user's cache and sends each session's model and device, unless a variable of the
environment forbids it before it is loaded.
"""

from __future__ import annotations

import os
import sys
import threading
import warnings
from importlib import import_module
from typing import Any

__all__ = ["import_quietly"]

_SENDER = "openvino_telemetry"
_turn = threading.RLock()


def import_quietly(name: str) -> Any:
    """Import a module with its telemetry left out; has no effect on one that the host program imported before.

    Args:
        name: full name of the module.

    Raises:
        ImportError: it is not installed.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    with _turn:  # modules and warnings belong to the whole process, and steps are compiled on other threads
        known = {each: module for each, module in sys.modules.copy().items() if each.partition(".")[0] == _SENDER}
        for each in known:
            del sys.modules[each]
        sys.modules[_SENDER] = None  # type: ignore[assignment]  # what Python takes for "not installed"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return import_module(name)
        finally:
            del sys.modules[_SENDER]
            sys.modules.update(known)
