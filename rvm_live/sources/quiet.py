"""Silence for the capture libraries, which write to standard error past Python."""

from __future__ import annotations

import os

__all__ = ["silence_backends"]


def silence_backends() -> None:
    """Stop OpenCV and its FFmpeg from writing to standard error; what matters reaches the user as an error or notice.

    Process-wide, so it is for applications to call, once, before they open a source; libraries leave it alone.
    Environment variables that the user has set are respected.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    # A camera that stops answering is noticed within two seconds instead of V4L's ten.
    os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "2")
    import cv2

    if "OPENCV_LOG_LEVEL" not in os.environ:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
