"""Converts pictures from camera drivers and OpenCV's back ends to BGR.

Most are uint8 (H, W, 3) already. Others come with a fourth channel, with one or two, with 16 bits, or as the bare
bytes of a pixel format (V4L2's names, https://docs.kernel.org/userspace-api/media/v4l/pixfmt.html).
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from rvm_live.core.arrays import Bytes

__all__ = ["UnknownLayoutError", "as_bgr"]

_PACKED = {"UYVY": cv2.COLOR_YUV2BGR_UYVY, "YVYU": cv2.COLOR_YUV2BGR_YVYU}  # otherwise YUYV
_PLANES = {
    "NV21": cv2.COLOR_YUV2BGR_NV21,
    "YU12": cv2.COLOR_YUV2BGR_I420,
    "I420": cv2.COLOR_YUV2BGR_I420,
    "IYUV": cv2.COLOR_YUV2BGR_I420,
    "YV12": cv2.COLOR_YUV2BGR_YV12,
}  # otherwise NV12
_DEPTHS = {"Y10 ": 10, "Y12 ": 12}  # otherwise 16 bits
_JPEG = b"\xff\xd8\xff"


class UnknownLayoutError(ValueError):
    """The data is not a picture that can be read; the message is a predicate: "delivers ..."."""


def as_bgr(image: Any, size: tuple[int, int], fourcc: str) -> Bytes:
    """Convert a picture to BGR.

    Args:
        image: the library's array.
        size: width and height that the device reports, pixels; 0 if unknown.
        fourcc: its pixel format, four characters, or an empty string.

    Returns:
        uint8 (H, W, 3), C-contiguous; ``image`` itself if it is that already.

    Raises:
        UnknownLayoutError: the layout is unknown.
    """
    if image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3:
        return np.ascontiguousarray(image)
    values: Any = np.ascontiguousarray(image)
    if values.dtype == np.uint16:
        values = np.minimum(values >> (_DEPTHS.get(fourcc, 16) - 8), 255).astype(np.uint8)
    made = None
    if values.dtype == np.uint8 and values.ndim in (2, 3):
        try:
            made = _converted(values, size, fourcc)
        except cv2.error:  # this format cannot have this size
            made = None
    if made is None:
        what = "x".join(map(str, image.shape)) + f" values of {image.dtype}"
        raise UnknownLayoutError(
            f"delivers pictures that cannot be read ({what}, pixel format {fourcc.strip() or 'unknown'}): "
            "try --fourcc MJPG or --fourcc YUYV"
        )
    return np.asarray(made, np.uint8)


def _converted(values: Bytes, size: tuple[int, int], fourcc: str) -> Any:
    channels = 1 if values.ndim == 2 else values.shape[2]
    if channels == 4:
        return cv2.cvtColor(values, cv2.COLOR_BGRA2BGR)
    if channels == 3:
        return values
    if channels == 2:
        return cv2.cvtColor(values, _PACKED.get(fourcc, cv2.COLOR_YUV2BGR_YUYV))
    if channels != 1:
        return None
    flat, (width, height) = values.reshape(-1), size
    if flat[:3].tobytes() == _JPEG and 1 in values.shape[:2]:
        return cv2.imdecode(flat, cv2.IMREAD_COLOR)
    rows, columns = values.shape[:2]
    if (columns, rows) != size and width > 0 and height > 0:
        # Raw bytes of any shape: their number tells the format.
        if 2 * len(flat) == 3 * width * height:
            planes = flat.reshape(height * 3 // 2, width)
            return cv2.cvtColor(planes, _PLANES.get(fourcc, cv2.COLOR_YUV2BGR_NV12))
        for count in (1, 2, 3, 4):
            if len(flat) == count * width * height:
                shape = (height, width) if count == 1 else (height, width, count)
                return _converted(flat.reshape(shape), size, fourcc)
    return None if 1 in (rows, columns) else cv2.cvtColor(values, cv2.COLOR_GRAY2BGR)
