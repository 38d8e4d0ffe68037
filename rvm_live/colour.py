"""Which matrix turns a video's YUV into RGB."""

from __future__ import annotations

from typing import Any

from av.video.reformatter import Colorspace

__all__ = ["matrix_of"]

_UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED
_HD_LINES = 720


def matrix_of(frame: Any) -> Colorspace | None:
    """The matrix to name when a PyAV frame is converted; None where the frame tells it itself.

    Untagged video is taken by the usual rule, BT.709 from 720 lines up and BT.601 below; FFmpeg's scaler would take all
    of it for BT.601.
    """
    if frame.colorspace != _UNSPECIFIED:
        return None
    return Colorspace.ITU709 if frame.height >= _HD_LINES else Colorspace.ITU601
