"""A person cut out by chroma key, put in front of other backgrounds as a webcam would show it: pictures and their
truth.

Pictures are 1280x720, the person at the clip's own height. A background is *still*, *moving* (a video, or the camera
panning slowly over a large still) or *busy* (a detailed still, with the whole picture shaking as in a hand). Last come
noise like that of a small sensor, and JPEG, as webcams send it. A seed gives the same pictures every time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.keyed.key import Keyed
from rvm_live.core.arrays import Bytes
from rvm_live.core.errors import SourceError
from rvm_live.media.colour import bgr_of
from rvm_live.media.facts import Orientation

__all__ = ["KINDS", "SIZE", "Setting", "covering", "layers", "scene"]

SIZE = (1280, 720)
KINDS = ("still", "moving", "busy")
_VIDEOS = frozenset({".mp4", ".webm", ".mkv", ".mov", ".avi", ".mpg"})
_SHOT, _READ = 0.10, 1.6  # variance of the noise: 0.10 times the grey level, plus 1.6 squared
_JPEG = 88


@dataclass(frozen=True)
class Setting:
    """Where the person is put, and how.

    Attributes:
        kind: one of :data:`KINDS`.
        background: picture or video.
        seed: decides place, motion and noise.
    """

    kind: str
    background: Path
    seed: int


def scene(person: Keyed, setting: Setting, size: tuple[int, int] = SIZE) -> Iterator[tuple[Bytes, Bytes]]:
    """The frames: picture uint8 (H, W, 3) BGR and its alpha uint8 (H, W).

    Raises:
        SourceError: the background cannot be read.
    """
    for picture, alpha, _ in layers(person, setting, size):
        yield picture, alpha


def layers(person: Keyed, setting: Setting, size: tuple[int, int] = SIZE) -> Iterator[tuple[Bytes, Bytes, Bytes]]:
    """As :func:`scene`, and with each frame the person's own colours, straight, uint8 (H, W, 3) BGR."""
    width, height = size
    rng = np.random.default_rng(setting.seed)
    scale = height / person.alpha[0].shape[0]
    across = round(person.alpha[0].shape[1] * scale)
    # Off centre, as people sit; no further than the clip allows.
    left = round((width - across) * (0.5 + 0.5 * (rng.random() - 0.5)))
    shake = _way(rng, len(person.alpha), 3.0 if setting.kind == "busy" else 0.0)
    backgrounds = _backgrounds(setting, rng, size, len(person.alpha))
    for colour, alpha, move, behind in zip(person.foreground, person.alpha, shake, backgrounds, strict=True):
        placed = _floats([[scale, 0, left + 0.5 * scale - 0.5], [0, scale, 0.5 * scale - 0.5]])
        # Beyond the clip's lower edge its last row is repeated, so that no shake shows a gap.
        front = cv2.warpAffine(colour, placed, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        matte = cv2.warpAffine(_padded(alpha), _padded_way(placed), size, flags=cv2.INTER_CUBIC)
        share = matte[..., None].astype(np.float32) / 255
        picture = front * share + behind * (1 - share)
        if setting.kind == "busy":
            way = _floats([[1, 0, move[0]], [0, 1, move[1]]])
            picture = cv2.warpAffine(picture, way, size, borderMode=cv2.BORDER_REPLICATE)
            matte = cv2.warpAffine(matte, way, size, borderMode=cv2.BORDER_REPLICATE)
            front = cv2.warpAffine(front, way, size, borderMode=cv2.BORDER_REPLICATE)
        yield _filmed(picture, rng), matte, front


_PAD = 8


def _padded(alpha: Bytes) -> Bytes:
    """Pad alpha: zeros beyond the sides and the top, the last row repeated beyond the bottom."""
    sides = cv2.copyMakeBorder(alpha, _PAD, 0, _PAD, _PAD, cv2.BORDER_CONSTANT, value=0)
    return cv2.copyMakeBorder(sides, 0, _PAD, 0, 0, cv2.BORDER_REPLICATE)  # type: ignore[no-any-return]


def _padded_way(way: NDArray[np.float32]) -> NDArray[np.float32]:
    moved = way.copy()
    moved[:, 2] -= _PAD * way[:, :2].sum(1)
    return _floats(moved)


def _floats(values: object) -> NDArray[np.float32]:
    return np.asarray(values, np.float32)


def _way(rng: np.random.Generator, count: int, reach: float) -> NDArray[np.float32]:
    """The slow tremble of a hand: (count, 2) pixels."""
    steps = rng.normal(size=(count + 24, 2))
    kernel = np.hanning(13)
    smooth = np.stack([np.convolve(steps[:, axis], kernel / np.linalg.norm(kernel), "same") for axis in (0, 1)], 1)
    return np.asarray(smooth[12 : 12 + count] * reach, np.float32)


def _filmed(picture: NDArray[np.float32], rng: np.random.Generator) -> Bytes:
    """Add a sensor's noise, and compress to JPEG and back."""
    # Half of the noise is drawn at half the size and enlarged: a camera's own filters leave grain, not single pixels.
    height, width = picture.shape[:2]
    fine = rng.standard_normal((height, width, 3), np.float32)
    coarse = rng.standard_normal(((height + 1) // 2, (width + 1) // 2, 3), np.float32)
    grain = 0.6 * fine + 0.8 * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST)
    noisy = picture + grain * np.sqrt(_SHOT * np.maximum(picture, 0) + _READ**2)
    shown = np.clip(noisy + 0.5, 0, 255).astype(np.uint8)
    _, packed = cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, _JPEG])
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)


def _backgrounds(
    setting: Setting, rng: np.random.Generator, size: tuple[int, int], count: int
) -> Iterator[NDArray[np.float32]]:
    if setting.background.suffix.lower() in _VIDEOS:
        yield from _played(setting.background, size, count)
        return
    picture = cv2.imread(str(setting.background), cv2.IMREAD_COLOR)
    if picture is None:
        raise SourceError(f"the background {setting.background.name} cannot be read")
    if setting.kind != "moving":
        still = covering(picture, size).astype(np.float32)
        for _ in range(count):
            yield still
        return
    # The background is a third larger than the frame; the camera pans from one side to the other in four seconds.
    wide = covering(picture, (round(size[0] * 1.33), round(size[1] * 1.33))).astype(np.float32)
    spare = _floats([wide.shape[1] - size[0], wide.shape[0] - size[1]])
    begin = rng.random(2)
    for number in range(count):
        turn = 0.5 - 0.5 * np.cos(np.pi * (begin + number / 100))
        way = _floats([[1, 0, -spare[0] * turn[0]], [0, 1, -spare[1] * turn[1]]])
        yield cv2.warpAffine(wide, way, size, borderMode=cv2.BORDER_REPLICATE)


def _played(path: Path, size: tuple[int, int], count: int) -> Iterator[NDArray[np.float32]]:
    """The first frames of a video; played backwards after the end where it is too short."""
    seen: list[Bytes] = []
    try:
        with av.open(str(path)) as container:
            for decoded in container.decode(video=0):
                seen.append(covering(Orientation.of_frame(decoded).upright(bgr_of(decoded)), size))
                yield seen[-1].astype(np.float32)
                if len(seen) == count:
                    return
    except (av.error.FFmpegError, OSError) as error:
        raise SourceError(f"the background {path.name} cannot be read: {error}") from error
    if not seen:
        raise SourceError(f"the background {path.name} contains no picture")
    for number in range(count - len(seen)):
        turn = number // len(seen) % 2
        place = number % len(seen)
        yield seen[place if turn else -1 - place].astype(np.float32)


def covering(picture: Bytes, size: tuple[int, int]) -> Bytes:
    """Scale and crop around the middle so that the picture covers the size."""
    width, height = size
    scale = max(width / picture.shape[1], height / picture.shape[0])
    across, down = max(width, round(picture.shape[1] * scale)), max(height, round(picture.shape[0] * scale))
    grown = cv2.resize(picture, (across, down), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    x, y = (across - width) // 2, (down - height) // 2
    return np.ascontiguousarray(grown[y : y + height, x : x + width])
