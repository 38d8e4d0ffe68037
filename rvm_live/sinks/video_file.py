"""Video files through PyAV: H.264, ProRes 4444 and VP9, the last two with alpha."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.errors import SinkError
from rvm_live.sinks.bleed import bleed
from rvm_live.sinks.snapshot import explain
from rvm_live.sinks.writers import Shot, Writer, fit_into, over_black

__all__ = ["SUFFIXES", "VideoFile", "part_path"]

_TICKS = 90_000
_BT709 = 1  # ISO/IEC 23091-2: primaries, transfer and matrix all have the number 1
_LIMITED = 1
_QP2LAMBDA = 118
# libswscale's SWS_BILINEAR | SWS_ACCURATE_RND: without the latter every picture gets a little darker.
_ROUNDED = 2 | 0x40000


@dataclass(frozen=True)
class _Kind:
    """How one suffix is encoded.

    Attributes:
        container: libavformat's name of the muxer.
        codec: libavcodec's name of the encoder.
        opaque: pixel format without alpha.
        clear: pixel format with alpha, or None where the codec has none.
        even: width and height must be even.
        options: of the encoder.
        clear_options: more of them where there is alpha.
        muxer: options of the container.
    """

    container: str
    codec: str
    opaque: str
    clear: str | None
    even: bool
    options: dict[str, str]
    clear_options: dict[str, str]
    muxer: dict[str, str]


_H264 = {"preset": "veryfast", "crf": "20"}
_VP9 = {
    "deadline": "realtime",
    "cpu-used": "8",
    "crf": "24",
    "row-mt": "1",
    "tile-columns": "2",
    "lag-in-frames": "0",
    "auto-alt-ref": "0",  # libvpx refuses alternate reference frames together with alpha
}
# A fixed quantiser: the search for one that meets a bit rate is what makes this encoder too slow for live video.
_PRORES = {"profile": "4444", "global_quality": str(4 * _QP2LAMBDA)}

_KINDS = {
    ".mp4": _Kind("mp4", "libx264", "yuv420p", None, True, _H264, {}, {"movflags": "+faststart"}),
    ".mkv": _Kind("matroska", "libx264", "yuv420p", None, True, _H264, {}, {}),
    ".mov": _Kind("mov", "prores_ks", "yuv444p10le", "yuva444p10le", False, _PRORES, {"alpha_bits": "16"}, {}),
    ".webm": _Kind("webm", "libvpx-vp9", "yuv420p", "yuva420p", True, _VP9, {}, {}),
}

SUFFIXES = tuple(_KINDS)
"""Suffixes of files that can be recorded."""


def part_path(path: Path) -> Path:
    """Where a file is while it is not whole: hidden, beside its final place."""
    return path.with_name(f".{path.stem}.part{path.suffix}")


class VideoFile(Writer):
    """One video file, whole or absent.

    The first shot decides on size and alpha. Later shots of another size are letterboxed into the first one's. If
    the file has no alpha, a later transparent shot is put over black; if it has, a later opaque one is opaque.
    Times are those of the file the frames came from, or of their capture: the frame rate varies as it really did.

    Args:
        path: of the file; its suffix, one of :data:`SUFFIXES`, decides how it is encoded.
        fps: nominal frames per second, for players that want to know one.
    """

    def __init__(self, path: Path, *, fps: float) -> None:
        self.path = path
        self._part = part_path(path)
        self._kind = _KINDS[path.suffix.lower()]
        self._fps = fps if fps > 0 else 30.0
        self._container: Any = None
        self._stream: Any = None
        self._size = (0, 0)
        self._has_alpha = False
        self._times = _Times(self._fps)

    def write(self, shot: Shot) -> None:
        with self._told():
            if self._container is None:
                self._open(shot)
            self._encode(self._picture(shot.image), self._times.tick(shot))

    def finish(self) -> bool:
        if self._container is None:
            return False
        try:
            with self._told():
                for packet in self._stream.encode(None):
                    self._container.mux(packet)
                self._container.close()
                self._container = None
                os.replace(self._part, self.path)
        except SinkError:
            self.discard()
            raise
        return True

    def discard(self) -> None:
        container, self._container = self._container, None
        if container is not None:
            with contextlib.suppress(Exception):
                container.close()
        with contextlib.suppress(OSError):
            self._part.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _told(self) -> Any:
        """Turn the library's and the system's errors into one clear line."""
        try:
            yield
        except SinkError:
            raise
        except OSError as error:  # PyAV's own errors are OSErrors where they come from the system
            raise explain(error, self.path) from error
        except Exception as error:
            raise SinkError(f"cannot encode {self.path}: {error}") from error

    def _open(self, shot: Shot) -> None:
        import av

        kind = self._kind
        height, width = shot.image.shape[:2]
        self._size = (width, height)
        self._has_alpha = shot.image.shape[2] == 4 and kind.clear is not None
        self._container = av.open(str(self._part), mode="w", format=kind.container, options=kind.muxer)
        options = {**kind.options, **(kind.clear_options if self._has_alpha else {})}
        rate = Fraction(self._fps).limit_denominator(1001)
        stream: Any = self._container.add_stream(kind.codec, rate=rate, options=options)
        context = stream.codec_context
        stream.width, stream.height = width + (width % 2 if kind.even else 0), height + (height % 2 if kind.even else 0)
        stream.pix_fmt = kind.clear if self._has_alpha else kind.opaque
        context.time_base = Fraction(1, _TICKS)
        context.bit_rate = 0  # quality is set, not rate
        if kind.codec != "prores_ks":
            context.gop_size = max(1, round(2 * self._fps))  # two seconds: quick to seek
        context.color_primaries = context.color_trc = context.colorspace = _BT709
        context.color_range = _LIMITED
        self._stream = stream

    def _picture(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture in the file's size, with alpha exactly where the file has it."""
        if self._has_alpha:
            image = bleed(image) if image.shape[2] == 4 else cv2.cvtColor(image, cv2.COLOR_BGR2BGRA)
        elif image.shape[2] == 4:
            image = over_black(image)
        image = fit_into(image, *self._size)
        if self._kind.even and (image.shape[0] % 2 or image.shape[1] % 2):
            image = cv2.copyMakeBorder(image, 0, image.shape[0] % 2, 0, image.shape[1] % 2, cv2.BORDER_REPLICATE)
        return np.ascontiguousarray(image)

    def _encode(self, image: NDArray[np.uint8], tick: int) -> None:
        import av

        frame = av.VideoFrame.from_ndarray(image, format="bgra" if self._has_alpha else "bgr24")
        frame = frame.reformat(
            format=self._stream.pix_fmt,
            dst_colorspace="itu709",
            src_color_range="JPEG",
            dst_color_range="MPEG",
            interpolation=_ROUNDED,
        )
        frame.pts = tick
        frame.time_base = Fraction(1, _TICKS)
        for packet in self._stream.encode(frame):
            self._container.mux(packet)


class _Times:
    """Ticks of the file: from zero, strictly increasing, and true to the source's clock."""

    def __init__(self, fps: float) -> None:
        self._frame = max(1, round(_TICKS / fps))
        self._offset: int | None = None
        self._media = False
        self._last = -1

    def tick(self, shot: Shot) -> int:
        if self._offset is None:
            self._media = shot.media_ns is not None
        time_ns = shot.media_ns if self._media and shot.media_ns is not None else shot.captured_ns
        ticks = time_ns * _TICKS // 1_000_000_000
        if self._offset is None:
            self._offset = -ticks
        elif self._media and ticks + self._offset <= self._last:
            self._offset = self._last + self._frame - ticks  # the file started over
        self._last = max(ticks + self._offset, self._last + 1)
        return self._last
