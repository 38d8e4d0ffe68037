"""Asks for permission to use cameras on macOS, and waits for the user's answer.

OpenCV asks when a camera is opened and does not wait, and on any thread but the main one it says that it cannot: the
first start would never get the camera. So this module asks before that.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

__all__ = ["ask", "library", "state"]

_log = logging.getLogger("rvm_live")

_UNKNOWN, _RESTRICTED, _DENIED = range(3)  # AVAuthorizationStatus; higher values mean permission
_LIMIT_S = 60.0
_SLICE_S = 0.05
_REFUSED = {
    _UNKNOWN: "macOS asks whether this program may use the camera, and nobody has answered: answer it, and start again",
    _RESTRICTED: "macOS does not let any program use cameras here: a profile or Screen Time forbids it",
    _DENIED: (
        "macOS does not let this program use cameras: allow it for the program you start it from, such as Terminal, in "
        "System Settings, Privacy & Security, Camera, and start again"
    ),
}


def ask(ended: Callable[[], bool] = lambda: False) -> str:
    """Ask the user, if the system requires that and nobody has answered yet, and wait a minute at most.

    On the main thread the system's events are processed meanwhile: the question may need them.

    Args:
        ended: called about twenty times a second; true ends the wait.

    Returns:
        Why no camera may be used, one line; empty if cameras may be used, or the system does not ask.
    """
    asked = library()
    if asked is None:
        return ""
    os.environ.setdefault("OPENCV_AVFOUNDATION_SKIP_AUTH", "1")
    if _status(asked) == _UNKNOWN:
        _ask(asked, ended)
    return _REFUSED.get(_status(asked), "")


def state() -> str:
    """As :func:`ask`, without asking; no answer yet is not a refusal."""
    asked = library()
    status = None if asked is None else _status(asked)
    return "" if status in (None, _UNKNOWN) else _REFUSED.get(status, "")


def library() -> Any:
    """The library for permissions; None on other systems, and without pyobjc, which cv2-enumerate-cameras installs."""
    if sys.platform == "darwin":
        with suppress(ImportError):
            import AVFoundation

            return AVFoundation
    return None


def _status(library: Any) -> int:
    return int(library.AVCaptureDevice.authorizationStatusForMediaType_(library.AVMediaTypeVideo))


def _ask(library: Any, ended: Callable[[], bool]) -> None:
    _log.warning("macOS asks whether this program may use cameras: waiting for your answer")
    answered = threading.Event()
    library.AVCaptureDevice.requestAccessForMediaType_completionHandler_(
        library.AVMediaTypeVideo, lambda granted: answered.set()
    )
    on_main = threading.current_thread() is threading.main_thread()
    until = time.monotonic() + _LIMIT_S
    while not (ended() or time.monotonic() >= until):
        if on_main:
            soon = library.NSDate.dateWithTimeIntervalSinceNow_(_SLICE_S)
            # Returns at once if the run loop has nothing to watch.
            library.NSRunLoop.currentRunLoop().runUntilDate_(soon)
        if answered.wait(_SLICE_S):
            break
