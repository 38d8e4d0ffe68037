"""Files that a batch run writes: time stamps and sound of the input, pictures of the run; whole or absent."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.batch.media import Facts, Sound
from rvm_live.errors import SinkError
from rvm_live.sinks.bleed import bleed
from rvm_live.sinks.snapshot import encode_png, explain, write_whole
from rvm_live.sinks.writers import Shot, Writer

__all__ = ["ALPHA_CONTAINERS", "MovieWriter", "PngFolder"]

Bytes = NDArray[np.uint8]

_BT709, _LIMITED = 1, 1  # ISO/IEC 23091-2
_ROUNDED = 2 | 0x40000  # libswscale's SWS_BILINEAR | SWS_ACCURATE_RND
_QP2LAMBDA = 118


@dataclass(frozen=True)
class _Kind:
    """How one container is written: muxer, encoder, pixel formats without and with alpha and in grey, options."""

    muxer: str
    codec: str
    opaque: str
    clear: str | None
    grey: str
    even: bool
    options: dict[str, str]
    clear_options: dict[str, str]
    muxer_options: dict[str, str]


_X264 = {"preset": "medium", "crf": "17"}
_PRORES = {"profile": "4444", "global_quality": str(2 * _QP2LAMBDA)}
_VP9 = {"deadline": "good", "cpu-used": "4", "crf": "20", "row-mt": "1", "auto-alt-ref": "0"}
_FFV1 = {"level": "3", "slicecrc": "1", "slices": "4"}
_KINDS = {
    "mp4": _Kind("mp4", "libx264", "yuv420p", None, "yuv420p", True, _X264, {}, {"movflags": "+faststart"}),
    "mov": _Kind("mov", "prores_ks", "yuv444p10le", "yuva444p10le", "yuv444p10le", False, _PRORES,
                 {"alpha_bits": "16"}, {}),
    "mkv": _Kind("matroska", "ffv1", "bgr0", "bgra", "gray", False, _FFV1, {}, {}),
    "webm": _Kind("webm", "libvpx-vp9", "yuv420p", "yuva420p", "yuv420p", True, _VP9, {}, {}),
}  # fmt: skip

ALPHA_CONTAINERS = ("mov", "mkv", "webm", "png")
"""Those that keep alpha: ProRes 4444, FFV1 (without loss), VP9, PNG (without loss)."""


class MovieWriter(Writer):
    """One file beside the input it was made from.

    Args:
        path: of the file.
        container: ``mp4``, ``mov``, ``mkv`` or ``webm``.
        facts: of the input: its clock is this file's clock.
        source: the input, whose sound is copied.

    Attributes:
        notes: what differs from what was asked for.
    """

    def __init__(self, path: Path, container: str, facts: Facts, source: Path) -> None:
        self.path = path
        self.notes: list[str] = []
        self._part = path.with_name(f".{path.stem}.part{path.suffix}")
        self._container, self._kind = container, _KINDS[container]
        self._facts, self._source = facts, source
        self._out: Any = None
        self._stream: Any = None
        self._sound: Sound | None = None
        self._format = ""
        self._last = -1

    def write(self, shot: Shot) -> None:
        with self._told():
            if self._out is None:
                self._open(shot.image)
            base = self._facts.time_base
            pts = self._facts.first_pts + round(Fraction(shot.media_ns or 0, 1_000_000_000) / base)
            self._last = pts = max(pts, self._last + 1)
            if self._sound is not None:
                self._sound.pump(float(pts * base))
            self._encode(shot.image, pts)

    def finish(self) -> bool:
        if self._out is None:
            return False
        try:
            with self._told():
                for packet in self._stream.encode(None):
                    self._out.mux(packet)
                if self._sound is not None:
                    self._sound.finish()
                    self.notes += self._sound.notes
                self._close()
                os.replace(self._part, self.path)
        except SinkError:
            self.discard()
            raise
        return True

    def discard(self) -> None:
        with contextlib.suppress(Exception):
            self._close()
        with contextlib.suppress(OSError):
            self._part.unlink(missing_ok=True)

    def _close(self) -> None:
        out, self._out = self._out, None
        sound, self._sound = self._sound, None
        try:
            if out is not None:
                out.close()
        finally:
            if sound is not None:
                sound.close()

    @contextlib.contextmanager
    def _told(self) -> Any:
        try:
            yield
        except SinkError:
            raise
        except OSError as error:
            raise explain(error, self.path) from error
        except Exception as error:
            raise SinkError(f"cannot encode {self.path}: {error}") from error

    def _open(self, image: Bytes) -> None:
        import av

        kind = self._kind
        self.path.parent.mkdir(parents=True, exist_ok=True)
        clear = image.ndim == 3 and image.shape[2] == 4
        if clear and kind.clear is None:
            raise SinkError(f"{self.path}: {self._container} has no alpha; take one of {', '.join(ALPHA_CONTAINERS)}")
        self._format = kind.grey if image.ndim == 2 else (kind.clear or "") if clear else kind.opaque
        height, width = image.shape[:2]
        self._out = av.open(str(self._part), mode="w", format=kind.muxer, options=kind.muxer_options)
        options = {**kind.options, **(kind.clear_options if clear else {})}
        stream: Any = self._out.add_stream(kind.codec, rate=self._facts.rate, options=options)
        context = stream.codec_context
        stream.width, stream.height = width + (width % 2 if kind.even else 0), height + (height % 2 if kind.even else 0)
        stream.pix_fmt = self._format
        stream.time_base = context.time_base = self._facts.time_base
        context.bit_rate = 0
        if kind.codec in ("libx264", "libvpx-vp9"):
            context.gop_size = max(1, round(2 * self._facts.rate))
        if self._format.startswith("yuv"):
            context.color_primaries = context.color_trc = context.colorspace = _BT709
            context.color_range = _LIMITED
        self._stream = stream
        if self._facts.sound:
            self._sound = Sound(self._source, self._out, self._container)

    def _encode(self, image: Bytes, pts: int) -> None:
        import av

        if image.ndim == 3 and image.shape[2] == 4:
            image = bleed(image)
        if self._kind.even and (image.shape[0] % 2 or image.shape[1] % 2):
            image = cv2.copyMakeBorder(image, 0, image.shape[0] % 2, 0, image.shape[1] % 2, cv2.BORDER_REPLICATE)
        named = "gray" if image.ndim == 2 else "bgra" if image.shape[2] == 4 else "bgr24"
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format=named)
        if self._format.startswith("yuv"):
            frame = frame.reformat(
                format=self._format,
                dst_colorspace="itu709",
                src_color_range="JPEG",
                dst_color_range="MPEG",
                interpolation=_ROUNDED,
            )
        elif self._format != named:
            frame = frame.reformat(format=self._format)
        frame.pts, frame.time_base = pts, self._facts.time_base
        for packet in self._stream.encode(frame):
            if not packet.duration:
                packet.duration = max(1, round(1 / (self._facts.rate * self._facts.time_base)))
            self._out.mux(packet)


class PngFolder(Writer):
    """A folder of ``000000.png``, ``000001.png``, ...; it appears under its name when the last picture is in it.

    Args:
        path: of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes: list[str] = []
        self._part = path.with_name(f".{path.name}.part")
        self._count = 0

    def write(self, shot: Shot) -> None:
        try:
            if self._count == 0:
                shutil.rmtree(self._part, ignore_errors=True)
                self._part.mkdir(parents=True)
        except OSError as error:
            raise explain(error, self.path) from error
        write_whole(self._part / f"{shot.seq:06d}.png", encode_png(shot.image))
        self._count += 1

    def finish(self) -> bool:
        if self._count == 0:
            return False
        try:
            if self.path.is_dir():
                shutil.rmtree(self.path)
            os.replace(self._part, self.path)
        except OSError as error:
            self.discard()
            raise explain(error, self.path) from error
        return True

    def discard(self) -> None:
        shutil.rmtree(self._part, ignore_errors=True)
