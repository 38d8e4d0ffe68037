"""Computes scenes with OpenCV on bytes, one after another: on a CPU this takes half of the time that tensors take.

The steps are those of ``training/render.py``, which does the same on any device; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.arrays import Bytes
from training import scene as kinds

__all__ = ["Frames"]


_BORDERS = {"border": cv2.BORDER_REPLICATE, "reflection": cv2.BORDER_REFLECT, "zeros": cv2.BORDER_CONSTANT}


class _Frames:
    """The four pictures of a scene in progress: frames uint8 (h, w, 3) or (h, w), only one if all frames are alike."""

    def __init__(self, scene: kinds.Scene) -> None:
        self.width, self.height = scene.width, scene.height
        self.below = [np.zeros((scene.height, scene.width, 3), np.uint8)]
        self.alpha = [np.zeros((scene.height, scene.width), np.uint8)]
        self.front, self.mask = self.below, self.alpha


def _each(made: Callable[..., Any], *frames: list[Bytes]) -> list[Bytes]:
    """Call ``made`` on each moment's frames; only once where all of them are stills."""
    time = max(len(each) for each in frames)
    return [np.asarray(made(*(each[number % len(each)] for each in frames))) for number in range(time)]


def _times(a: Bytes, b: Bytes) -> Bytes:
    """The product of two pictures, with 255 as one."""
    return np.asarray(cv2.multiply(a, b, scale=1 / 255))


def _laid(below: Bytes, front: Bytes, mask: Bytes) -> Bytes:
    weight = cv2.cvtColor(mask, cv2.COLOR_GRAY2BGR)
    return np.asarray(cv2.add(_times(front, np.asarray(weight)), _times(below, 255 - np.asarray(weight))))


def _filled(frames: _Frames, *shapes: NDArray[np.int32]) -> Bytes:
    mask = np.zeros((frames.height, frames.width), np.uint8)
    for shape in shapes:
        cv2.fillPoly(mask, [shape], 255, cv2.LINE_AA)
    return mask


class Frames:
    """Computes scenes.

    Args:
        read: gives a picture by kind, number and frame, uint8 (3, h, w) BGR or (4, h, w) with alpha.
    """

    def __init__(self, read: Callable[[str, int, int], Bytes]) -> None:
        self._read = read
        self._sheets: list[NDArray[np.int16]] = []

    def __call__(self, scene: kinds.Scene) -> tuple[Bytes, Bytes]:
        """Pictures uint8 (T, h, w, 3) BGR and alpha uint8 (T, h, w)."""
        frames = self._run(scene)
        below, alpha = frames.below, frames.alpha
        if scene.shrunk is not None:
            width, height, kernel = scene.shrunk
            below = _each(lambda each: cv2.resize(each, (width, height), interpolation=kernel), below)
            alpha = _each(lambda each: cv2.resize(each, (width, height), interpolation=cv2.INTER_AREA), alpha)
        whole = [np.stack([each[number % len(each)] for number in range(scene.time)]) for each in (below, alpha)]
        return whole[0], whole[1]

    def _run(self, scene: kinds.Scene) -> _Frames:
        frames = _Frames(scene)
        for step in scene.steps:
            _TAKEN[type(step)](self, frames, step)
        return frames

    def _viewed(self, frames: _Frames, view: kinds.View) -> list[Bytes]:
        """The frames that a view shows: uint8 (h, w, 3), or (h, w, 4) with alpha."""
        seen: dict[Any, Bytes] = {}  # read a still's one frame only once
        names = [told if isinstance(told, tuple) else "painted" for told in view.pictures]
        for name, told in zip(names, view.pictures, strict=True):
            if name not in seen:
                seen[name] = np.asarray(cv2.merge(list(self._read(*told))) if isinstance(told, tuple) else told)
                if view.order != (0, 1, 2):
                    seen[name] = np.ascontiguousarray(seen[name][..., view.order])
                if view.light is not None:
                    weight = np.ascontiguousarray(seen[name][..., 3])
                    colour = view.light(np.ascontiguousarray(seen[name][..., :3]))
                    seen[name] = np.dstack(
                        [_times(colour, np.asarray(cv2.cvtColor(weight, cv2.COLOR_GRAY2BGR))), weight]
                    )
        made = []
        for number, matrix in enumerate(view.matrices):
            how: dict[str, Any] = {
                "flags": cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                "borderMode": _BORDERS[view.border],
            }
            picture, size = seen[names[number % len(names)]], (frames.width, frames.height)
            if (matrix[2] == (0, 0, 1)).all():
                made.append(np.asarray(cv2.warpAffine(picture, matrix[:2], size, **how)))
            else:
                made.append(np.asarray(cv2.warpPerspective(picture, matrix, size, **how)))
        return made

    def _sample(self, frames: _Frames, step: kinds.Sample) -> None:
        seen = self._viewed(frames, step.view)
        if seen[0].shape[2] == 4:
            setattr(frames, "alpha" if step.on == "below" else "mask", _each(lambda e: cv2.extractChannel(e, 3), seen))
            seen = _each(lambda each: cv2.cvtColor(each, cv2.COLOR_BGRA2BGR), seen)
        setattr(frames, step.on, seen)

    def _put(self, frames: _Frames, step: kinds.Put) -> None:
        ((seen),) = self._viewed(frames, step.view)
        front = cv2.cvtColor(seen, cv2.COLOR_BGRA2BGR)
        free = cv2.cvtColor(255 - np.asarray(cv2.extractChannel(seen, 3)), cv2.COLOR_GRAY2BGR)
        frames.below = _each(lambda each: cv2.add(front, _times(each, np.asarray(free))), frames.below)

    def _fill(self, frames: _Frames, step: kinds.Fill) -> None:
        frames.front = [np.full((frames.height, frames.width, 3), step.colour, np.uint8)]

    def _cut(self, frames: _Frames, step: kinds.Cut) -> None:
        frames.mask = [_filled(frames, step.shape)]

    def _lit(self, frames: _Frames, step: kinds.Lit) -> None:
        setattr(frames, step.on, _each(lambda each: step.light(each), getattr(frames, step.on)))

    def _shaded(self, frames: _Frames, step: kinds.Shaded) -> None:
        frames.front = _each(lambda each: step.shade(each), frames.front)

    def _filter(self, frames: _Frames, step: kinds.Filter) -> None:
        frames.below = _each(lambda each: cv2.sepFilter2D(each, -1, step.across, step.down), frames.below)

    def _split(self, frames: _Frames, step: kinds.Split) -> None:
        how = cv2.INTER_CUBIC if step.smooth else cv2.INTER_NEAREST
        upper = cv2.resize(step.cells, (frames.width, frames.height), interpolation=how)[..., None] > 127
        frames.below = _each(lambda below, front: np.where(upper, below, front), frames.below, frames.front)

    def _over(self, frames: _Frames, step: kinds.Over) -> None:
        frames.below = _each(_laid, frames.below, frames.front, frames.mask)
        if step.person:
            frames.alpha = _each(lambda old, new: cv2.add(new, _times(old, 255 - new)), frames.alpha, frames.mask)

    def _dress(self, frames: _Frames, step: kinds.Dress) -> None:
        height = frames.height
        pattern = self._viewed(frames, step.pattern)[0] if step.pattern is not None else None
        rows = np.clip((np.arange(height) - step.shoulders * height) / (0.04 * height + 1), 0, 1).astype(np.float32)
        weight = (rows * 255).astype(np.uint8)[:, None, None].repeat(frames.width, 1).repeat(3, 2)

        def dressed(old: Bytes) -> Bytes:
            new = step.light(old)
            if pattern is not None:
                new = np.asarray(cv2.multiply(new, pattern, scale=1 / 140))
            return np.asarray(cv2.add(_times(new, weight), _times(old, 255 - weight)))

        frames.front = _each(dressed, frames.front)

    def _filling(self, frames: _Frames, fill: kinds.View | NDArray[np.float64]) -> Bytes:
        if isinstance(fill, kinds.View):
            return self._viewed(frames, fill)[0]
        return np.full((frames.height, frames.width, 3), fill, np.uint8)

    def _hold(self, frames: _Frames, step: kinds.Hold) -> None:
        mask, fill = _filled(frames, *step.shapes), self._filling(frames, step.fill)
        frames.front = _each(lambda each: np.where(mask[..., None] > 127, fill, each), frames.front)
        frames.mask = _each(lambda each: np.maximum(each, mask), frames.mask)

    def _hide(self, frames: _Frames, step: kinds.Hide) -> None:
        mask, fill = _filled(frames, step.shape), self._filling(frames, step.fill)
        frames.below = _each(lambda each: np.where(mask[..., None] > 127, fill, each), frames.below)
        frames.alpha = _each(lambda each: _times(each, 255 - mask), frames.alpha)

    def _alike(self, frames: _Frames, step: kinds.Alike) -> None:
        lower = slice(frames.height // 2, None)
        mean = cv2.mean(frames.front[0][lower], frames.mask[0][lower])[:3]
        colour = np.clip(np.array(mean) + step.off, 0, 255).astype(np.uint8)
        plain = np.full((frames.height, frames.width, 3), colour, np.uint8)
        frames.below = _each(lambda e: cv2.addWeighted(e, 1 - step.share, plain, step.share, 0), frames.below)

    def _shadow(self, frames: _Frames, step: kinds.Shadow) -> None:
        shift = np.array([[1, 0, step.shift[0]], [0, 1, step.shift[1]]])

        def dark(below: Bytes, mask: Bytes) -> Bytes:
            moved = cv2.warpAffine(mask, shift, (frames.width, frames.height))
            soft = cv2.convertScaleAbs(cv2.GaussianBlur(moved, (0, 0), step.spread), alpha=step.strength)
            return np.asarray(cv2.subtract(below, _times(below, np.asarray(cv2.cvtColor(soft, cv2.COLOR_GRAY2BGR)))))

        frames.below = _each(dark, frames.below, frames.mask)

    def _beside(self, frames: _Frames, step: kinds.Beside) -> None:
        free = np.asarray(cv2.cvtColor(255 - step.hidden, cv2.COLOR_GRAY2BGR))
        lighter = _each(lambda each: cv2.add(each, step.glow), frames.below)
        frames.below = _each(lambda each: cv2.add(step.front, _times(each, free)), lighter)
        frames.alpha = _each(lambda each: _times(each, 255 - step.hidden), frames.alpha)

    def _portrait(self, frames: _Frames, step: kinds.Portrait) -> None:
        (x, y, across, down), size = step.box, (frames.width, frames.height)
        picture = step.light(self._run(step.scene).below[0])
        small = np.array([[across / size[0], 0, x], [0, down / size[1], y]])
        front = np.asarray(cv2.warpAffine(picture, small, size))
        mask, corners = np.zeros(size[::-1], np.uint8), ((x, y), (x + across - 1, y + down - 1))
        cv2.rectangle(mask, *corners, 255, -1)
        cv2.rectangle(front, *corners, step.colour.tolist(), step.edge)
        frames.front, frames.mask = [front], [mask]

    def _coarse(self, frames: _Frames, step: kinds.Coarse) -> None:
        small = _each(lambda each: cv2.resize(each, step.size, interpolation=cv2.INTER_LINEAR), frames.below)
        frames.below = _each(lambda each: cv2.resize(each, (frames.width, frames.height)), small)

    def _noise(self, frames: _Frames, step: kinds.Noise) -> None:
        if not self._sheets:
            sheet = np.random.default_rng(5).normal(0, 64, (*kinds.SHEET, 3)).astype(np.int16)
            self._sheets = [sheet, np.asarray(cv2.GaussianBlur(sheet, (0, 0), 0.8) * 2, np.int16)]
        made = []
        for number, (sheet_, y, x) in enumerate(step.places):
            noise = self._sheets[sheet_][y : y + frames.height, x : x + frames.width]
            below, weight = frames.below[number % len(frames.below)], step.deviation / 64
            made.append(np.asarray(cv2.addWeighted(below, 1.0, noise, weight, 0.0, dtype=cv2.CV_8U)))
        frames.below = made

    def _jpeg(self, frames: _Frames, step: kinds.Jpeg) -> None:
        how = [cv2.IMWRITE_JPEG_QUALITY, step.quality]
        frames.below = _each(
            lambda each: cv2.imdecode(cv2.imencode(".jpg", each, how)[1], cv2.IMREAD_COLOR), frames.below
        )


_TAKEN: dict[type, Callable[[Frames, _Frames, Any], None]] = {
    kinds.Sample: Frames._sample,
    kinds.Put: Frames._put,
    kinds.Fill: Frames._fill,
    kinds.Cut: Frames._cut,
    kinds.Lit: Frames._lit,
    kinds.Shaded: Frames._shaded,
    kinds.Filter: Frames._filter,
    kinds.Split: Frames._split,
    kinds.Over: Frames._over,
    kinds.Dress: Frames._dress,
    kinds.Hold: Frames._hold,
    kinds.Hide: Frames._hide,
    kinds.Alike: Frames._alike,
    kinds.Shadow: Frames._shadow,
    kinds.Beside: Frames._beside,
    kinds.Portrait: Frames._portrait,
    kinds.Coarse: Frames._coarse,
    kinds.Noise: Frames._noise,
    kinds.Jpeg: Frames._jpeg,
}
