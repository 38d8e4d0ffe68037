"""Converts decoded pictures to 8-bit BGR, and BGR to the formats of cameras.

libswscale's fast conversion truncates instead of rounding: greys lose half a level, colours 1 level of blue and red and
1.5 of green. Its exact conversion is fast enough if it writes planes (1.7 ms at 720p; 4 where it writes BGR).
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from rvm_live.media.tone_mapping import kind_of, toned

__all__ = ["bgr_of", "yuv_of"]

# libswscale's flags for scaling, and SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT.
_BILINEAR, _BICUBIC, _AREA = 0x2, 0x4, 0x20
_EXACT = 0x40000 | 0x2000

# Matrix coefficients by their numbers in ISO/IEC 23091-2.
_UNTOLD, _BT709, _BT601, _BT2020 = 2, 1, 5, 9
_HD_LINES = 720
_LIMITED, _FULL = 1, 2  # AVCOL_RANGE_MPEG, _JPEG
_WIDENED = np.clip(np.rint((np.arange(256) - 16) * (255 / 219)), 0, 255).astype(np.uint8)

_HAS_QUICK = frozenset({"yuv420p", "yuvj420p", "yuv422p", "yuvj422p"})


def bgr_of(frame: Any, size: tuple[int, int] | None = None, *, exact: bool = True) -> NDArray[np.uint8]:
    """Convert a decoded picture to BT.709 BGR, also from HDR and wide colours, and scale it. It is not rotated.

    Args:
        frame: a PyAV video frame of any pixel format; where it tells no matrix, the usual one is written into it.
        size: width and height, pixels; None: its own.
        exact: within half a level of the standard's formula; else right in the mean and within two levels, in a
            quarter of the time where FFmpeg has a quick way.

    Returns:
        uint8 (h, w, 3), C-contiguous, the caller's own.

    Raises:
        av.FFmpegError: its pixels are of a kind that FFmpeg cannot convert.
        ValueError: likewise.
    """
    width, height = size or (frame.width, frame.height)
    same = (width, height) == (frame.width, frame.height)
    image: NDArray[np.uint8]
    wide = kind_of(frame)
    if wide is None and same and not exact and frame.format.name in _HAS_QUICK:
        return _quick(frame)
    scaler = _BILINEAR if same else _AREA if width < frame.width else _BICUBIC
    if wide is None:
        image = _merged(_planes(frame, "gbrp", (width, height), scaler))
        # swscale treats every grey format as full range.
        return cv2.LUT(image, _WIDENED) if frame.color_range == _LIMITED and _is_grey(frame.format) else image
    deep = _planes(frame, "gbrpf32le", (width, height), scaler)
    deep = _merged(toned(deep, wide, _white(frame.format, frame.color_range)), np.float32)
    image = cv2.convertScaleAbs(deep, alpha=255)
    return image


def yuv_of(image: NDArray[np.uint8], kind: str) -> NDArray[np.uint8]:
    """A picture with half the colour's width and height: BT.601 of limited range (luma 16 to 235, chroma 16 to 240),
    which is what cameras deliver, and what programs assume for cameras if nothing else is stated.

    Args:
        image: uint8 (h, w, 3) BGR; of odd sides the last row and column come twice.
        kind: ``nv12`` (a plane of luma, one of U and V by turns) or ``i420`` (planes of luma, U and V).

    Returns:
        uint8 (h * 3 / 2, w), the planes one after another, C-contiguous, the caller's own.
    """
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        image = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    if not hasattr(_here, "scaler"):
        _here.scaler = VideoReformatter()
    planes = _here.scaler.reformat(
        av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(image), format="bgr24"),
        format="yuv420p" if kind == "i420" else kind,
        dst_colorspace="itu601",
        src_color_range="JPEG",
        dst_color_range="MPEG",
        interpolation=_AREA | _EXACT,  # the mean of four pixels: other filters reach into neighbours
    )
    return np.ascontiguousarray(planes.to_ndarray())


def _planes(frame: Any, kind: str, size: tuple[int, int], scaler: int = _BILINEAR) -> Any:
    return _reformatted(frame, *size, kind, interpolation=scaler | _EXACT)


def _reformatted(frame: Any, *wanted: Any, **options: Any) -> Any:
    """``VideoFrame.reformat`` with one scaler for each thread: a frame's own has to be set up for it alone, 2 ms."""
    if not hasattr(_here, "scaler"):
        _here.scaler = VideoReformatter()
    frame.colorspace = _matrix(frame)
    return _here.scaler.reformat(frame, *wanted, **options)


_here = threading.local()


def _merged(planes: Any, kind: type[np.uint8] | type[np.float32] = np.uint8) -> NDArray[Any]:
    green, blue, red = (_pixels(plane, planes.width, planes.height, kind) for plane in planes.planes)
    image: NDArray[Any] = cv2.merge([blue, green, red])
    return image


def _quick(frame: Any) -> NDArray[np.uint8]:
    width, height, matrix = frame.width, frame.height, _matrix(frame)
    packed = _reformatted(frame, format="bgr24")
    pixels = _pixels(packed.planes[0], 3 * width, height).reshape(height, width, 3)
    kind = frame.format.name  # formats whose name contains a j are full range
    lost = _lost(kind.replace("j", ""), matrix, _FULL if "j" in kind else frame.color_range, width, height)
    image: NDArray[np.uint8] = cv2.add(pixels, lost)
    return image


@lru_cache(maxsize=4)
def _lost(kind: str, matrix: int, told_range: int, width: int, height: int) -> NDArray[np.uint8]:
    """What the fast conversion loses by truncation, uint8 (h, w, 3): for each quarter of a level, one row in four gets
    one level more.

    How much depends on pixel format, range and processor (a grey loses less than a colour, too), so it is measured:
    128 greys and 128 colours, none of which any conversion clips.
    """
    colours = np.random.default_rng(0).integers((80, 104, 104), (176, 152, 152), (256, 3), np.uint8)
    colours[::2, 1:] = 128
    blocks = colours.T.reshape(3, 16, 16).repeat(16, axis=1).repeat(16, axis=2)
    drawn: Any = av.VideoFrame.from_ndarray(blocks, format="yuv444p").reformat(format=kind)
    drawn.colorspace, drawn.color_range = matrix, told_range
    quick = drawn.reformat(format="bgr24").to_ndarray()
    lost = (_merged(_planes(drawn, "gbrp", (256, 256))).astype(float) - quick)[8::16, 8::16].mean(axis=(0, 1))
    rows = np.floor(np.maximum(lost, 0) + np.array([[0.125], [0.375], [0.625], [0.875]])).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(rows[np.arange(height) % 4, None], (height, width, 3)))


def _white(kind: Any, told_range: int) -> float:
    """The value of white when swscale writes float: samples are padded with zero bits, and are 8 bits of limited
    range."""
    limited = not kind.is_rgb and not _is_grey(kind) and told_range != _FULL
    return float(1 - 2.0 ** -(8 if limited else kind.components[0].bits))


def _is_grey(kind: Any) -> bool:
    return len(kind.components) <= 2 and not kind.is_rgb and not kind.has_palette


def _matrix(frame: Any) -> int:
    """The matrix of a picture that states none, by the usual rule: BT.709 from 720 lines up. FFmpeg would always take
    BT.601."""
    if frame.colorspace != _UNTOLD:
        return int(frame.colorspace)
    if frame.color_primaries == _BT2020:
        return _BT2020
    return _BT709 if frame.height >= _HD_LINES else _BT601


def _pixels(plane: Any, width: int, height: int, kind: type[Any] = np.uint8) -> NDArray[Any]:
    """A plane's samples, (height, width), where they lie."""
    return np.frombuffer(plane, kind).reshape(-1, plane.line_size // np.dtype(kind).itemsize)[:height, :width]
