"""What a batch run writes: files with the input's time stamps and sound, and folders of pictures; whole or absent."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.apps.batch.codecs import ALPHA_CONTAINERS
from rvm_live.apps.batch.companions import Plan
from rvm_live.apps.batch.joining import join
from rvm_live.apps.batch.media import Facts
from rvm_live.apps.batch.segments import Segments
from rvm_live.core.errors import SinkError
from rvm_live.media.encoder import Encoder, Recipe, encoding
from rvm_live.media.exr import encode_exr
from rvm_live.media.suffixes import PICTURE_FORMATS
from rvm_live.sinks.recording.snapshot import encode_png
from rvm_live.sinks.recording.writers import Shot, Writer
from rvm_live.system import atomic_write
from rvm_live.system.atomic_write import write_whole, writing

__all__ = ["MovieWriter", "PictureFile", "PictureFolder"]

Picture = NDArray[np.uint8] | NDArray[np.uint16]


class MovieWriter(Writer):
    """One file beside the input it was made from: segment after segment, joined with the sound at the end.

    Args:
        path: of the file.
        track: name of what is in it.
        recipe: how it is encoded.
        facts: of the input: its clock is this file's clock.
        companions: the plan for the input's sound and subtitles.
        segments: of this and the other tracks.
        stopped: asked while segments are joined.
        end_ns: tells at the end when the last frame ends, nanoseconds; None: after the usual time.

    Attributes:
        notes: what differs from what was asked for.
    """

    def __init__(
        self,
        path: Path,
        track: str,
        recipe: Recipe,
        facts: Facts,
        companions: Plan,
        segments: Segments,
        stopped: Callable[[], bool] = lambda: False,
        end_ns: Callable[[], int | None] = lambda: None,
    ) -> None:
        self.path = path
        self._end_ns = end_ns
        self.notes: list[str] = []
        self._track, self._recipe = track, recipe
        self._facts, self._companions, self._segments, self._stopped = facts, companions, segments, stopped
        self._part = segments.folder / f"{track}{path.suffix}"
        self._encoder: Encoder | None = None
        self._written = [list(stamps) for stamps in segments.pts]
        self._pts: list[int] = []
        self._last = self._written[-1][-1] if self._written else -1

    def write(self, shot: Shot) -> None:
        with encoding(self.path):
            encoder = self._encoder or self._opened(shot.image)
            base = self._facts.time_base
            pts = round(Fraction(shot.media_ns or 0, 1_000_000_000) / base)
            self._last = pts = max(pts, self._last + 1)
            self._pts.append(pts)
            encoder.add(shot.image, pts - self._pts[0])
            if len(self._pts) == self._segments.length:
                self._end_segment()

    def finish(self) -> bool:
        try:
            with encoding(self.path):
                if self._pts:
                    self._end_segment()
                if not self._written:
                    return False
                files = [self._place(number) for number in range(len(self._written))]
                self.notes += self._join(files)
                if self._stopped():
                    self.rescue()
                    return False
                atomic_write.replace(self._part, self.path)
        except SinkError:
            self.rescue()
            raise
        return True

    def _join(self, files: Sequence[Path]) -> list[str]:
        """Make the file of its segments; returns what could not be kept as it was."""
        return join(
            files, self._written, self._part, self._recipe, self._facts, self._companions, self._stopped, self._end()
        )

    def rescue(self) -> None:
        # Whole segments stay for --resume; the last, unfinished one is of no use.
        encoder, self._encoder = self._encoder, None
        if encoder is not None:
            with contextlib.suppress(Exception):
                encoder.close()
            with contextlib.suppress(OSError):
                self._place(len(self._written)).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._part.unlink(missing_ok=True)

    def _end(self) -> int | None:
        end_ns = self._end_ns()
        return None if end_ns is None else round(Fraction(end_ns, 1_000_000_000) / self._facts.time_base)

    def _place(self, number: int) -> Path:
        return self._segments.path(self._track, number, self.path.suffix)

    def _opened(self, image: NDArray[np.uint8]) -> Encoder:
        if image.ndim == 3 and image.shape[2] == 4 and self._recipe.clear is None:
            raise SinkError(
                f"{self.path}: {self._recipe.codec} cannot store alpha: use one of {', '.join(ALPHA_CONTAINERS)}"
            )
        place = self._place(len(self._written))
        facts = self._facts
        self._encoder = Encoder(
            place, self._recipe, image.shape, rate=facts.rate, time_base=facts.time_base, pixel=facts.pixel
        )
        return self._encoder

    def _end_segment(self) -> None:
        encoder, self._encoder = self._encoder, None
        if encoder is not None:
            try:
                encoder.flush()
            finally:
                encoder.close()
        number = len(self._written)
        self._written.append(self._pts)
        self._pts = []
        self._segments.done(self._track, number, self._written[number])


class PictureFolder(Writer):
    """A folder of ``000000.png``, ``000001.png``, ...; it gets its name when the last picture is in it.

    Args:
        path: of the folder.
        track: name of what is in it.
        kind: ``png``, 8 bits, ``tiff``, 16 bits, or ``exr``, half floats in linear light.
        segments: of this and the other tracks.
        straight: see :func:`~rvm_live.media.exr.encode_exr`.
    """

    def __init__(self, path: Path, track: str, kind: str, segments: Segments, *, straight: bool = False) -> None:
        self.path = path
        self.notes: list[str] = []
        self._straight = straight
        self._track, self._kind, self._segments = track, kind, segments
        self._folder = segments.folder / track
        self._number, self._count = len(segments.pts), 0

    def write(self, shot: Shot) -> None:
        if self._count == 0:
            with writing(self.path):
                self._folder.mkdir(parents=True, exist_ok=True)
        name = picture_name(self.path, shot.seq, self._kind)
        write_whole(self._folder / name, _encoded(shot.image, self._kind, self._straight))
        self._count += 1
        if self._count == self._segments.length:
            self._end_segment()

    def _end_segment(self) -> None:
        self._segments.done(self._track, self._number, list(range(self._count)))
        self._number, self._count = self._number + 1, 0

    def finish(self) -> bool:
        if self._count:
            self._end_segment()
        if self._number == 0:
            return False
        with writing(self.path):
            if self.path.is_dir():
                shutil.rmtree(self.path)
            atomic_write.replace(self._folder, self.path)
        return True

    def rescue(self) -> None:
        pass  # the segments' folder is removed, unless whole segments are in it


class PictureFile(Writer):
    """One picture in one file.

    Args:
        path: of the file.
        track: name of what is in it.
        kind: ``png``, 8 bits, ``tiff``, 16 bits, or ``exr``, half floats in linear light.
        segments: of this and the other tracks.
        straight: see :func:`~rvm_live.media.exr.encode_exr`.
    """

    def __init__(self, path: Path, track: str, kind: str, segments: Segments, *, straight: bool = False) -> None:
        self.path = path
        self._straight = straight
        self._track, self._kind, self._segments = track, kind, segments
        self._part = segments.path(track, 0, path.suffix)
        self._written = False

    def write(self, shot: Shot) -> None:
        if self._written:
            raise SinkError(f"{self.path} holds one picture, but the input has more: choose a film format")
        write_whole(self._part, _encoded(shot.image, self._kind, self._straight))
        self._written = True

    def finish(self) -> bool:
        if not self._written:
            return False
        self._segments.done(self._track, 0, [0])
        with writing(self.path):
            atomic_write.replace(self._part, self.path)
        return True

    def rescue(self) -> None:
        pass  # the segments' folder is removed


def picture_name(folder: Path, number: int, kind: str) -> str:
    """What a picture of a folder is called: ``000000.png``, and for programs for compositing ``name.000000.exr``."""
    return f"{folder.name}." * (kind == "exr") + f"{number:06d}{PICTURE_FORMATS[kind]}"


def _encoded(image: NDArray[np.uint8], kind: str, straight: bool) -> bytes:
    if kind == "exr":
        return encode_exr(image, straight=straight)
    return encode_png(image) if kind == "png" else encode_tiff(image)


def encode_tiff(image: Picture) -> bytes:
    """A picture as a TIFF of 16 bits a channel, packed without loss.

    Args:
        image: uint8 or uint16; (H, W), (H, W, 3) BGR or (H, W, 4) BGRA. 8 bits are spread: 255 becomes 65535.

    Raises:
        SinkError: it cannot be encoded.
    """
    wide = image if image.dtype == np.uint16 else image.astype(np.uint16) * 257
    ok, data = cv2.imencode(".tif", wide, [cv2.IMWRITE_TIFF_COMPRESSION, 5])  # LZW compression
    if not ok:
        raise SinkError(f"a picture of {image.shape} cannot be encoded as TIFF")
    return bytes(data)
