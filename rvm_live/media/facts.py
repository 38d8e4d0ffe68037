"""Facts about a file's picture: its track, orientation, pixel shape and colours."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
from av.stream import Disposition
from numpy.typing import NDArray

from rvm_live.media.image_files import MOST_PIXELS

__all__ = [
    "NoPicture",
    "Orientation",
    "PictureFacts",
    "UnreadableVideo",
    "brought_to",
    "facts_of_frame",
    "picture_track",
    "reshaped",
]

_STILL = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
_DEPENDENT = Disposition.dependent | Disposition.non_diegetic
_WIDEST = 8  # a pixel aspect ratio above this, or below its inverse, is a mistake: the widest in use is 64:27
_UNSEEN = Fraction(1, 100)  # a smaller difference in width is not worth scaling


class UnreadableVideo(ValueError):
    """No picture can be read; the message is a predicate: "contains ...", "is ..."."""


class NoPicture(UnreadableVideo):
    """The file has no picture, or no moving one.

    Attributes:
        sound: there is sound.
    """

    def __init__(self, message: str, *, sound: bool) -> None:
        super().__init__(message)
        self.sound = sound


@dataclass(frozen=True)
class Orientation:
    """How a stored picture is brought upright: transposed first (rows become columns), then flipped.

    Attributes:
        transposed: rows become columns.
        flipped_x: left becomes right.
        flipped_y: top becomes bottom.
    """

    transposed: bool = False
    flipped_x: bool = False
    flipped_y: bool = False

    @classmethod
    def of_matrix(cls, matrix: NDArray[np.int32]) -> Orientation:
        """The nearest to a display matrix.

        Args:
            matrix: int32 (9,), ISO/IEC 14496-12, 6.2.2: ``(x', y', 1) = (x, y, 1) [[a, b, u], [c, d, v], [x, y, w]]``.
        """
        a, b, _, c, d = (int(each) for each in matrix[:5])
        if abs(b) + abs(c) > abs(a) + abs(d):
            return cls(True, c < 0, b < 0)
        return cls(False, a < 0, d < 0)

    @classmethod
    def of_frame(cls, frame: Any) -> Orientation:
        """The orientation stored in a decoded PyAV frame."""
        try:
            data = bytes(frame.side_data["DISPLAYMATRIX"])
        except KeyError:
            return cls()
        except ValueError:  # PyAV cannot name other side data, such as EXIF: only a rotation is available then
            quarters = round(frame.rotation / 90) % 4  # counterclockwise
            return cls(quarters % 2 == 1, quarters in (2, 3), quarters in (1, 2))
        return cls.of_matrix(np.frombuffer(data, np.int32))

    def upright(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A picture as it is to be seen; (H, W) or (H, W, C), C-contiguous."""
        turned = np.ascontiguousarray(image)
        if self.transposed:
            turned = cv2.transpose(turned)
        if self.flipped_x or self.flipped_y:
            turned = cv2.flip(turned, -1 if self.flipped_x and self.flipped_y else int(self.flipped_x))
        return turned


@dataclass(frozen=True)
class PictureFacts:
    """Facts about a decoded picture.

    Attributes:
        width: upright, pixels as they are stored.
        height: likewise.
        orientation: how it is brought upright.
        pixel: width of a pixel of the upright picture for its height; 1 where they are square, or nothing is said.
        matrix: ISO/IEC 23091-2 matrix coefficients, 2 where nothing is said.
        transfer: likewise, the curve.
        primaries: likewise.
    """

    width: int
    height: int
    orientation: Orientation
    pixel: Fraction
    matrix: int
    transfer: int
    primaries: int


def picture_track(container: Any) -> Any:
    """The one moving picture of an open PyAV container that a player would show.

    Cover art, thumbnails and auxiliary tracks do not count. The default track comes first, then one
    of more than a picture (an AVIF that moves has a still one, too), then the larger picture, then the first.

    Raises:
        NoPicture: there is none.
        UnreadableVideo: none that can be decoded.
    """
    moving = [each for each in container.streams.video if not each.disposition & _STILL]
    if not moving:
        sound, still = bool(container.streams.audio), bool(container.streams.video)
        if still:
            raise NoPicture(
                f"contains no moving picture: {'sound and a cover' if sound else 'a still picture'}", sound=sound
            )
        raise NoPicture(f"contains no picture: {'only sound' if sound else 'neither picture nor sound'}", sound=sound)
    known = [each for each in moving if each.codec_context is not None]
    if not known:
        raise UnreadableVideo("contains no picture that can be decoded: its codec is not known")
    return max(known, key=_rank)  # the first of equals


def _rank(stream: Any) -> tuple[bool, bool, bool, int]:
    flags, context = stream.disposition, stream.codec_context
    default = bool(flags & Disposition.default)
    return not flags & _DEPENDENT, default, stream.frames != 1, context.width * context.height


def facts_of_frame(frame: Any, stream: Any) -> PictureFacts:
    """Look at a decoded PyAV frame and the stream that it is of, or None."""
    orientation = Orientation.of_frame(frame)
    pixel = Fraction(1) if stream is None else _pixel(stream)
    size = (frame.width, frame.height)
    if orientation.transposed:
        size, pixel = size[::-1], 1 / pixel
    return PictureFacts(
        width=size[0],
        height=size[1],
        orientation=orientation,
        pixel=pixel,
        matrix=int(frame.colorspace),
        transfer=int(frame.color_trc),
        primaries=int(frame.color_primaries),
    )


def _pixel(stream: Any) -> Fraction:
    # The container's value has priority over the codec's, which may change in mid-file.
    pixel = Fraction(stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or 1)
    return pixel if Fraction(1, _WIDEST) <= pixel <= _WIDEST else Fraction(1)


def brought_to(image: NDArray[np.uint8], facts: PictureFacts, pixel: Fraction) -> NDArray[np.uint8]:
    """A picture as it is stored, brought upright, its pixels to a shape.

    Args:
        image: uint8 (H, W, C).
        facts: of it.
        pixel: width of a pixel for its height, wanted; 1 for square ones.

    Returns:
        uint8 (h, w, C), C-contiguous.
    """
    upright = facts.orientation.upright(image)
    size = reshaped((facts.width, facts.height), facts.pixel / pixel)
    if size == (facts.width, facts.height):
        return upright
    smaller = size[0] < facts.width or size[1] < facts.height
    scaled: NDArray[np.uint8] = cv2.resize(upright, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
    return scaled


def reshaped(size: tuple[int, int], pixel: Fraction) -> tuple[int, int]:
    """The size at which pixels of that shape would be square: nothing is lost, unless it would be too large.

    Args:
        size: width and height.
        pixel: width of a pixel for its height.
    """
    width, height = size
    if abs(pixel - 1) < _UNSEEN:
        return size
    wider = pixel > 1
    if (width * height * (pixel if wider else 1 / pixel) > MOST_PIXELS) != wider:
        return max(1, round(width * pixel)), height
    return width, max(1, round(height / pixel))
