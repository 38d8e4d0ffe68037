"""Settings of the capture libraries: no messages, and fast opening of cameras."""

from __future__ import annotations

import os

__all__ = ["set_variables", "silence_backends"]

_VARIABLES = {
    "OPENCV_FFMPEG_LOGLEVEL": "-8",
    # With this, a camera that stops answering is noticed within 2 s instead of V4L's 10 s.
    "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT": "2",
    # Otherwise Media Foundation tries every hardware conversion before it opens a camera, for up to a minute.
    "OPENCV_VIDEOIO_MSMF_ENABLE_HW_TRANSFORMS": "0",
}


def set_variables() -> None:
    """Set what OpenCV reads from the environment: on Windows it sees a copy made when it is imported, so before that.

    Process-wide, so it is for a program's entry to call. Variables that the user has set are respected.
    """
    for name, value in _VARIABLES.items():
        os.environ.setdefault(name, value)


def silence_backends() -> None:
    """Stop OpenCV and its FFmpeg from writing to standard error; what matters reaches the user as an error or notice.

    Process-wide, so it is for applications to call, once, before they open a source; libraries leave it alone.
    Environment variables that the user has set are respected.
    """
    set_variables()
    import cv2

    if "OPENCV_LOG_LEVEL" not in os.environ:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
