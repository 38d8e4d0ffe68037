"""One picture track in one file being written through PyAV: what recordings and batch outputs share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.errors import SinkError, words_of
from rvm_live.media.alpha_bleed import bleed
from rvm_live.media.ffmpeg import address
from rvm_live.system.atomic_write import writing
from rvm_live.system.threads import no_real_time

__all__ = ["Encoder", "Recipe", "Writable", "encoding"]

_BT709 = 1  # ISO/IEC 23091-2: primaries, transfer and matrix all have the number 1
_LIMITED = 1
# libswscale's SWS_BILINEAR | SWS_ACCURATE_RND: without the latter every picture gets slightly darker.
_ROUNDED = 2 | 0x40000


@dataclass(frozen=True)
class Recipe:
    """How pictures become a file.

    Attributes:
        muxer: libavformat's name of the container.
        codec: libavcodec's name of the encoder.
        opaque: pixel format without alpha.
        clear: pixel format with alpha, or None where the codec has none.
        grey: pixel format of pictures with one channel.
        even: width and height must be even.
        options: of the encoder.
        clear_options: more of them where there is alpha.
        container_options: of the muxer.
        tag: four characters that name the codec in the container; empty: the usual ones.
        seekable: a key picture every two seconds, for codecs that need them.
        sound: libavcodec's name of the encoder for sound beside the picture, of a recording.
        converts: the encoder is given red, green and blue, and makes of them itself what it encodes with a loss.
    """

    muxer: str
    codec: str
    opaque: str
    clear: str | None = None
    grey: str = "yuv420p"
    even: bool = False
    options: dict[str, str] = field(default_factory=dict)
    clear_options: dict[str, str] = field(default_factory=dict)
    container_options: dict[str, str] = field(default_factory=dict)
    tag: str = ""
    seekable: bool = True
    sound: str = ""
    converts: bool = False


class Writable(Protocol):
    """An object that bytes are written to, like a file."""

    def write(self, data: bytes, /) -> int: ...


class Encoder:
    """Opens the file at once; end with ``flush`` and ``close``, or only ``close`` to discard it.

    A recipe for even sizes gets the last row or column twice. Where a format with alpha loses something, the person's
    colours are carried outwards first (:mod:`rvm_live.media.alpha_bleed`).

    Args:
        path: of the file; or something that bytes are written to, for containers that need no going back.
        recipe: how it is written.
        shape: of the pictures, (H, W), (H, W, 3) or (H, W, 4).
        rate: nominal frames per second, for players that want to know one.
        time_base: of the time stamps, seconds.
        pixel: width of a pixel for its height.

    Raises:
        Exception: any error of PyAV or the system; callers use :func:`encoding`.
    """

    def __init__(
        self,
        path: Path | Writable,
        recipe: Recipe,
        shape: tuple[int, ...],
        *,
        rate: Fraction,
        time_base: Fraction,
        pixel: Fraction = Fraction(1),
    ) -> None:
        import av
        from av.video.reformatter import VideoReformatter

        self._pixel = pixel
        self._durations: dict[int, int] = {}  # durations of pictures that the encoder holds, by their times
        self._first = self._last = self._end = 0
        self._began: int | None = None
        self._usual = max(1, round(1 / (rate * time_base)))
        self._recipe, self._rate, self._time_base = recipe, rate, time_base
        self._clear = len(shape) == 3 and shape[2] == 4
        self._format = recipe.grey if len(shape) == 2 else (recipe.clear or "") if self._clear else recipe.opaque
        self._frames = 0
        self._scaler = VideoReformatter()
        height, width = shape[:2]
        target = address(path) if isinstance(path, Path) else path
        self.container: Any = av.open(target, mode="w", format=recipe.muxer, options=recipe.container_options)
        try:
            self._open(width, height)
        except BaseException:
            self.container.close()
            raise

    def _open(self, width: int, height: int) -> None:
        recipe = self._recipe
        options = {**recipe.options, **(recipe.clear_options if self._clear else {})}
        stream: Any = self.container.add_stream(recipe.codec, rate=self._rate, options=options)
        context = stream.codec_context
        if recipe.tag:
            context.codec_tag = recipe.tag
        stream.width = width + (width % 2 if recipe.even else 0)
        stream.height = height + (height % 2 if recipe.even else 0)
        stream.pix_fmt = self._format
        context.sample_aspect_ratio = self._pixel
        stream.time_base = context.time_base = self._time_base
        context.bit_rate = 0  # the quality is set, not the rate
        if recipe.seekable:
            context.gop_size = max(1, round(2 * self._rate))
        if self._lossy:
            context.color_primaries = context.color_trc = context.colorspace = _BT709
            context.color_range = _LIMITED
        self.stream = stream

    @property
    def _yuv(self) -> bool:
        return self._format.startswith(("yuv", "nv"))

    @property
    def _lossy(self) -> bool:
        """Whether colours end up as YUV, here or in the encoder."""
        return self._yuv or self._recipe.converts

    def add(self, image: NDArray[np.uint8], pts: int, duration: int = 0, *, key: bool = False) -> None:
        """Encode a picture of the shape that was announced.

        Args:
            image: of that shape.
            pts: when it is to be seen, units of ``time_base``.
            duration: for how long, which tells where the file ends; 0: for the usual time.
            key: it must stand by itself.
        """
        import av

        if self._clear and self._lossy:
            image = bleed(image)
        height, width = image.shape[:2]
        if self._recipe.even and (height % 2 or width % 2):
            image = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        named = "gray" if image.ndim == 2 else "bgra" if image.shape[2] == 4 else "bgr24"
        # A frame that is converted uses the picture's memory: a copy takes several times as long as all the rest.
        made = self._yuv or self._format != named
        from_picture = av.VideoFrame.from_numpy_buffer if made else av.VideoFrame.from_ndarray
        frame = from_picture(np.ascontiguousarray(image), format=named)
        if self._yuv:
            frame = self._scaler.reformat(
                frame,
                format=self._format,
                dst_colorspace="itu709",
                src_color_range="JPEG",
                dst_color_range="MPEG",
                interpolation=_ROUNDED,
            )
            # ProRes writes the values of each picture into it, and players use only those.
            frame.color_primaries = frame.color_trc = _BT709
        elif made:
            frame = self._scaler.reformat(frame, format=self._format)
        frame.pts, frame.time_base = pts, self._time_base
        if key:
            frame.pict_type = av.video.frame.PictureType.I
        if duration:
            self._durations[pts] = duration
        self._first = pts if self._frames == 0 else self._first
        self._last, self._end = pts, pts + (duration or self._usual)
        with no_real_time() if self._frames == 0 else nullcontext():  # the first picture opens the encoder
            packets = self.stream.encode(frame)
        self._mux(packets)
        self._frames += 1

    def flush(self) -> None:
        """Encode the remaining pictures."""
        held = self.stream.encode(None)
        reordered = held and held[-1].dts is not None and held[-1].pts != self._last
        if reordered and self._recipe.muxer in ("mp4", "mov"):
            # These containers store the duration of decoding. Decoding began before the first picture is shown, so it
            # also ends earlier.
            began = held[0].dts if self._began is None else self._began
            self._durations[held[-1].pts] = max(1, self._end - self._first + began - held[-1].dts)
        self._mux(held)

    def close(self) -> None:
        """Close the file."""
        self.container.close()

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            self._began = packet.dts if self._began is None else self._began
            packet.duration = self._durations.pop(packet.pts, packet.duration) or self._usual
            self.container.mux(packet)


@contextmanager
def encoding(path: Path) -> Iterator[None]:
    """Turn the library's and the system's errors in the block into one clear line.

    Raises:
        SinkError: there was one.
    """
    try:
        with writing(path):  # PyAV raises OSError for errors of the system
            yield
    except SinkError:
        raise
    except Exception as error:
        raise SinkError(f"cannot encode {path}: {words_of(error)}") from error
