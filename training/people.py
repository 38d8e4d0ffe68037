"""Crops the people in the cache as a webcam would frame them.

Where the edge of the clip cuts a person off, the new frame must not reach beyond that edge, or the torso would float.
So a crop is a box that may leave the clip only on sides that no person touches. It moves from one such box to another.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.arrays import Bytes
from training.clips import MISLABELLED, NO_CUT_OUTS
from training.scene import View

__all__ = ["SHARES", "Layer", "People", "widened"]

Random = np.random.Generator

SHARES = {
    "congress": 0.13,
    "echomimic_v2": 0.09,
    "facechain": 0.03,
    "human": 0.12,
    "lhm": 0.02,
    "openpeople": 0.06,
    "openpeople_sheets": 0.03,
    "video": 0.05,
}
"""How much of what is drawn comes from each collection; the clips share the rest. What is generated (``echomimic_v2``,
``facechain``, ``openpeople*``, most of ``video``) makes up a quarter."""
_MARGIN = 3.0
_DOUBT, _CUT_DOUBT = 0.07, 0.045
"""How far a label may be from what others think (mean difference): to learn from in its place; to be cut out."""
_AT_EDGE = 0.12
_NONE = 7
_RIM = np.array([[1.0, 0, 1], [0, 1, 1], [0, 0, 1]])
"""From a clip's pixels to those of a picture with a rim of one pixel."""


class Layer(NamedTuple):
    """A person's view, and where their clothes begin, as a share of the height."""

    view: View
    shoulders: float | None = None


class _Clip:
    """One clip of the cache."""

    def __init__(self, folder: Path) -> None:
        self.frames: Bytes = np.load(folder / "frames.npy", mmap_mode="r")
        told = json.loads((folder / "runs.json").read_text())
        self.name = str(told["name"])
        self.doubt = float(told.get("doubt", 0.0))
        starts = [*told["starts"], len(self.frames)]
        self.runs = [(a, b) for a, b in pairwise(starts) if b > a]
        alpha = np.asarray(self.frames[..., 6])
        edges = [alpha[:, :, :2], alpha[:, :2], alpha[:, :, -2:], alpha[:, -2:]]
        self.touched = np.stack([(edge > 40).mean((1, 2)) > 0.01 for edge in edges], 1)
        """Per frame, whether the person is cut off: left, top, right, bottom."""
        self.boxes = np.stack([_box(each) for each in alpha])
        """Per frame: left, top, right, bottom of the person; all 0 where there is none."""
        solid = (alpha > 128).mean((1, 2))
        unsure = ((alpha > 25) & (alpha < 230)).mean((1, 2))
        self.good = (solid > 0.02) & (unsure < 0.35 * solid + 0.01)
        """Per frame, whether the teacher was sure enough for a cut-out."""


def widened(alpha: Bytes) -> Bytes:
    """Alpha with its outline half a pixel further out: the teacher's is too tight, most of all around hair."""
    return np.asarray(cv2.addWeighted(alpha, 0.5, cv2.dilate(alpha, np.ones((3, 3), np.uint8)), 0.5, 0))


def _weighed(clips: list[_Clip], seen: list[int]) -> NDArray[np.float64]:
    """Probabilities of clips: by collection, and within a collection more for what shows more, regardless of length."""
    odds = np.array([min(count, 24) ** 0.5 for count in seen])
    groups = np.array([clip.name.split("/")[0] if clip.name.split("/")[0] in SHARES else "" for clip in clips])
    for group in set(groups):
        inside = groups == group
        share = SHARES[group] if group else 1 - sum(SHARES.values())
        odds[inside] *= share / odds[inside].sum()
    return np.asarray(odds / odds.sum())


def _box(alpha: Bytes) -> NDArray[np.int64]:
    rows, columns = np.nonzero((alpha > 128).any(1))[0], np.nonzero((alpha > 128).any(0))[0]
    if not len(rows):
        return np.zeros(4, np.int64)
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


class People:
    """Draws random people from a folder of the cache.

    Args:
        folder: ``people/training`` or ``people/development``.
    """

    def __init__(self, folder: Path) -> None:
        found = [_Clip(each) for each in sorted(folder.iterdir()) if each.suffix != ".part"]
        self._all = [clip for clip in found if clip.name not in MISLABELLED and clip.doubt < _DOUBT]
        self._fit = [clip for clip in self._all if clip.name not in NO_CUT_OUTS and clip.good.any()]
        self._fit = [clip for clip in self._fit if clip.doubt < _CUT_DOUBT]
        self._odds = _weighed(self._fit, [int(clip.good.sum()) for clip in self._fit])
        self._plain_odds = _weighed(self._all, [len(clip.frames) for clip in self._all])

    def plain(self, random: Random, width: int, height: int, time: int) -> Layer:
        """A crop of a clip as it is, with the teacher's alpha."""
        clip = self._all[int(random.choice(len(self._all), p=self._plain_odds))]
        numbers = _moments(random, clip, time, any_frame=True)
        full_height, full_width = clip.frames.shape[1:3]
        shape = width / height * random.uniform(0.85, 1.2)
        largest = min(full_height, full_width / shape)
        ends = []
        for _ in range(2):
            down = largest * random.uniform(0.55, 1.0)
            x, y = random.uniform(0, full_width - down * shape), random.uniform(0, full_height - down)
            ends.append(np.array([x, y, x + down * shape, y + down]))
        ends[1] = ends[0] + (ends[1] - ends[0]) * min(1.0, 0.04 * time) * random.random()
        return Layer(self._view(random, clip, numbers, ends, width, height, 0.0, "plain"))

    def cut_out(
        self, random: Random, width: int, height: int, time: int, *, far: bool = False, aside: float = 0.0
    ) -> Layer:
        """A person alone: the teacher's foreground and alpha. People far away are small, unless the clip cuts them off
        below. A person is shifted sideways (by a share of the width) only where the clip does not cut them off."""
        clip = self._fit[int(random.choice(len(self._fit), p=self._odds))]
        numbers = _moments(random, clip, time, any_frame=False)
        full = np.array(clip.frames.shape[2:0:-1], np.float64)
        box = clip.boxes[numbers].astype(np.float64)
        box = np.array([box[:, 0].min(), box[:, 1].min(), box[:, 2].max(), box[:, 3].max()])
        touched = np.asarray(clip.touched[numbers].any(0))
        turn = random.uniform(-7, 7) if random.random() < 0.4 else 0.0
        ends = [_framed(random, box, touched, full, width / height, turn, far, aside) for _ in range(2)]
        ends[1] = ends[0] + (ends[1] - ends[0]) * min(1.0, 0.03 * time) * random.random()
        if not touched[0] and not touched[2] and random.random() < 0.15:  # entering or leaving the picture
            away = (ends[0][2] - ends[0][0]) * random.choice([-1, 1])
            ends[int(random.integers(2))][[0, 2]] += away * random.uniform(0.3, 1.0)
        layer = Layer(self._view(random, clip, numbers, ends, width, height, turn, "cut"))
        if clip.name.startswith(("body/", "multi/")):
            return layer
        top, bottom = ends[0][1], ends[0][3]
        share = random.uniform(0.5, 0.75)
        return layer._replace(shoulders=(box[1] + share * (box[3] - box[1]) - top) / (bottom - top))

    def _view(
        self,
        random: Random,
        clip: _Clip,
        numbers: NDArray[np.int64],
        ends: list[NDArray[np.float64]],
        width: int,
        height: int,
        turn: float,
        kind: str,
    ) -> View:
        """A view whose crop moves from one box to the other over the frames."""
        flip = random.random() < 0.5
        matrices = []
        for index in range(len(numbers)):
            left, top, right, bottom = ends[0] + (ends[1] - ends[0]) * (index / max(1, len(numbers) - 1))
            matrix = cv2.getRotationMatrix2D(((left + right) / 2, (top + bottom) / 2), turn, 1.0)
            matrix[:, 2] -= (left, top)
            matrix *= np.array([[width / (right - left)], [height / (bottom - top)]])
            if flip:
                matrix[0] *= -1
                matrix[0, 2] += width
            matrices.append(_RIM @ np.linalg.inv(np.vstack([matrix, (0, 0, 1)])))
        place = self._all.index(clip)
        return View(tuple((kind, place, int(number)) for number in numbers), np.stack(matrices), "border")

    def picture(self, kind: str, number: int, frame: int) -> Bytes:
        """A frame of a clip, ``plain`` or ``cut`` out, uint8 (4, h, w) BGR and alpha, with a border of one pixel in
        which alpha is 0."""
        planes = cv2.split(np.ascontiguousarray(self._all[number].frames[frame]))
        height, width = planes[6].shape
        picture = np.zeros((4, height + 2, width + 2), np.uint8)
        label = cv2.compare(planes[6], _NONE, cv2.CMP_GT) if kind == "cut" else None
        for channel in range(3):
            inner = np.asarray(planes[channel])
            if label is not None:  # where the teacher's alpha ends, its foreground ends: beyond is the picture itself
                cv2.copyTo(planes[3 + channel], label, inner)
            cv2.copyMakeBorder(inner, 1, 1, 1, 1, cv2.BORDER_REPLICATE, picture[channel])
        picture[3, 1:-1, 1:-1] = widened(np.asarray(planes[6]))
        return picture

    def first(self, view: View, width: int, height: int) -> Bytes:
        """The first frame of a view, uint8 (h, w, 4)."""
        told, matrix = view.pictures[0], view.matrices[0, :2]
        assert isinstance(told, tuple)
        picture = cv2.merge(list(self.picture(*told)))
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpAffine(picture, matrix, (width, height), flags=how, borderMode=cv2.BORDER_REPLICATE))


def _moments(random: Random, clip: _Clip, time: int, *, any_frame: bool) -> NDArray[np.int64]:
    """Numbers of consecutive frames, forwards or backwards, perhaps every second one; one number for a still."""
    for _ in range(20):
        first, last = clip.runs[int(random.integers(len(clip.runs)))]
        start, step = int(random.integers(first, last)), int(random.choice([-2, -1, 1, 2]))
        numbers = start + step * np.arange(time)
        numbers = first + np.abs((numbers - first) % (2 * max(last - 1 - first, 1)))
        numbers = np.where(numbers > last - 1, 2 * (last - 1) - numbers, numbers).clip(first, last - 1)
        if any_frame or clip.good[numbers].all():
            return np.asarray(numbers)
    good = np.nonzero(clip.good)[0]
    return np.full(time, good[int(random.integers(len(good)))])


def _framed(
    random: Random,
    box: NDArray[np.float64],
    touched: NDArray[np.bool_],
    full: NDArray[np.float64],
    shape: float,
    turn: float,
    far: bool,
    aside: float,
) -> NDArray[np.float64]:
    """The new frame's box (left, top, right, bottom) in the clip, for a person in ``box``."""
    left, top, right, bottom = box
    tall = bottom - top
    shape *= random.uniform(0.9, 1.12)
    down = tall / (random.uniform(0.2, 0.6) if far else random.uniform(0.45, 1.25))
    if not touched[3] and not far and random.random() < 0.6:  # move closer to a whole body
        tall *= random.uniform(0.35, 1.0)
        down = tall / random.uniform(0.6, 1.1)
    down = max(down, 90.0)
    slack = _MARGIN + abs(np.sin(np.radians(turn))) * down * shape / 2
    sides = np.where(touched, slack, -1e9)
    if touched[0] and touched[2]:
        shape *= random.uniform(0.72, 1.0)  # slightly narrower, or half of the face would be cut off
        down = min(down, (full[0] - sides[0] - sides[2]) / shape)
    if touched[1] and touched[3]:
        down = min(down, full[1] - sides[1] - sides[3])
    down = max(down, 40.0)
    across = down * shape
    lowest = full[1] - sides[3] if touched[3] else top + tall + 0.25 * down
    foot = min(
        lowest,
        top + tall * random.uniform(0.75, 1.1) if random.random() < 0.5 else top + down * random.uniform(0.7, 1.0),
    )
    foot = min(max(foot, sides[1] + down), lowest) if touched[1] else foot
    centre = (left + right) / 2 + across * (random.normal(0, 0.16) + aside)
    if random.random() < _AT_EDGE:
        centre += across * random.choice([-1, 1]) * random.uniform(0.25, 0.55)
    if touched[0]:
        centre = max(centre, sides[0] + across / 2)
    if touched[2]:
        centre = min(centre, full[0] - sides[2] - across / 2)
    return np.array([centre - across / 2, foot - down, centre + across / 2, foot])
