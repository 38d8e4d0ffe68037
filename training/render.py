"""Computes scenes: their steps as tensor operations, on any device, for many scenes at once."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from rvm_live.core.arrays import Bytes
from training import scene as kinds
from training import tensors
from training.augment import Light
from training.store import Store

__all__ = ["Renderer"]

Tensor = torch.Tensor

_KEPT = {"cpu": 0.5, "cuda": 8.0}
"""Gigabytes of pictures that a device keeps."""


class _State:
    """The four pictures of a scene in progress: (T, 3, h, w) in levels, (T, 1, h, w) in 0-1."""

    def __init__(self, scene: kinds.Scene, device: torch.device) -> None:
        self.scene, self.size = scene, (scene.height, scene.width)
        self.left = deque(scene.steps)
        self.below = torch.zeros((1, 3, *self.size), device=device)
        self.alpha = torch.zeros((1, 1, *self.size), device=device)
        self.front, self.mask = self.below, self.alpha

    def key(self) -> tuple[Any, ...]:
        """What scenes must have in common to take their next step together."""
        step = self.left[0]
        names = [step.on] if isinstance(step, kinds.Lit) else _STACKED.get(type(step), [])
        times = [len(getattr(self, name)) for name in names]
        return type(step), self.size, *times, *(value for value in step if isinstance(value, str | bool))


def _bytes(values: Tensor) -> Tensor:
    return values.clamp(0, 255).add_(0.5).to(torch.uint8)


def _together(found: Sequence[Tensor]) -> Tensor:
    return found[0] if len(found) == 1 else torch.cat(list(found))


def _stacked(states: Sequence[_State], name: str) -> Tensor:
    found = [getattr(state, name) for state in states]
    return found[0][None] if len(found) == 1 else torch.stack(found)


def _set(states: Sequence[_State], name: str, values: Tensor) -> None:
    for state, value in zip(states, values, strict=True):
        setattr(state, name, value)


class Renderer:
    """Computes scenes.

    Args:
        read: gives a picture by kind, number and frame, uint8 (3, h, w) BGR or (4, h, w) with alpha.
        device: where to compute.
    """

    def __init__(self, read: Callable[[str, int, int], Bytes], device: str = "cpu") -> None:
        self._device = torch.device(device)
        self._store = Store(read, self._device, _KEPT[self._device.type] * 1e9)
        self._sheets: Tensor | None = None

    @torch.no_grad()
    def __call__(self, scenes: Sequence[kinds.Scene]) -> tuple[Tensor, Tensor]:
        """Pictures uint8 (B * T, h, w, 3) BGR and alpha uint8 (B * T, h, w) of scenes that end at the same size."""
        states = self._run(scenes)
        pictures, alpha = [], []
        for state in states:
            below, own = state.below, state.alpha * 255
            if state.scene.shrunk is not None:
                *across, kernel = state.scene.shrunk
                size = across[1], across[0]
                below, own = tensors.resized(below, size, kernel), tensors.resized(own, size, cv2.INTER_AREA)
            time = state.scene.time
            pictures.append(_bytes(below).permute(0, 2, 3, 1).expand(time, -1, -1, -1))
            alpha.append(_bytes(own)[:, 0].expand(time, -1, -1))
        return _together(pictures).contiguous(), _together(alpha).contiguous()

    def _run(self, scenes: Sequence[kinds.Scene]) -> list[_State]:
        """Run every step of every scene; each time the step that most scenes can take together."""
        states = [_State(scene, self._device) for scene in scenes]
        while True:
            groups: dict[tuple[Any, ...], list[_State]] = defaultdict(list)
            for state in states:
                if state.left:
                    groups[state.key()].append(state)
            if not groups:
                return states
            together = max(groups.values(), key=len)
            steps = [state.left.popleft() for state in together]
            _TAKEN[type(steps[0])](self, together, steps)

    def _tensor(self, values: Any) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, np.float32)).to(self._device)

    def _viewed(self, views: Sequence[kinds.View], size: tuple[int, int]) -> list[Tensor]:
        """The frames that each view shows: (T, C, h, w)."""
        alike: dict[Any, list[int]] = defaultdict(list)
        sources, matrices = [], []
        for number, view in enumerate(views):
            source, moved = self._source(view, size)
            sources.append(source)
            matrices.append(moved)
            alike[source.shape[1:], view.border].append(number)
        found = list(sources)
        for (_, border), numbers in alike.items():
            made = tensors.placed(
                _together([sources[number] for number in numbers]),
                np.concatenate([matrices[number] for number in numbers]),
                size,
                border,
            )
            counts = [len(matrices[number]) for number in numbers]
            for number, end, count in zip(numbers, np.cumsum(counts), counts, strict=True):
                found[number] = made[end - count : end]
        return found

    def _source(self, view: kinds.View, size: tuple[int, int]) -> tuple[Tensor, NDArray[np.float64]]:
        """The view's pictures for all frames (T, C, h, w), in its light, and the matrices to their pixels. On a CPU, to
        save time, only the part that is seen."""
        known = {told if isinstance(told, tuple) else "painted": told for told in view.pictures}
        pictures = [self._store.picture(told) for told in known.values()]
        matrices, (tall, wide) = view.matrices, pictures[0].shape[1:]
        if self._device.type == "cpu" and (matrices[:, 2] == (0, 0, 1)).all():
            corners = np.array([(0, 0, 1), (size[1], 0, 1), (0, size[0], 1), (size[1], size[0], 1)])
            seen = (corners @ matrices.transpose(0, 2, 1))[..., :2].reshape(-1, 2)
            left, top = np.clip(np.floor(seen.min(0)) - 2, 0, (wide - 4, tall - 4)).astype(int)
            right, bottom = np.clip(np.ceil(seen.max(0)) + 3, (left + 4, top + 4), (wide, tall)).astype(int)
            pictures = [each[:, top:bottom, left:right] for each in pictures]
            matrices = np.array([[1.0, 0, -left], [0, 1, -top], [0, 0, 1]]) @ matrices
        if len(pictures) > 1:  # else a still, which is read once
            order = list(known)
            pictures = [pictures[order.index(told)] for told in view.pictures]  # type: ignore[arg-type]
        source = pictures[0][None] if len(pictures) == 1 else torch.stack(pictures)
        source = source.float()
        if view.order != (0, 1, 2):
            source = source[:, list(view.order)]
        if view.light is not None:
            source[:, :3] = tensors.lit(source[None, :, :3], *self._light([view.light]))[0] * (source[:, 3:] / 255)
        return source.expand(len(matrices), -1, -1, -1), matrices

    def _light(self, lights: Sequence[Light]) -> tuple[Tensor, Tensor]:
        most = max(each.curve.ndim for each in lights)
        curves = [np.broadcast_to(each.curve.T, (3 if most == 2 else 1, 256)) for each in lights]
        return self._tensor(np.stack([each.mix for each in lights])), self._tensor(np.stack(curves))

    def _sample(self, states: list[_State], steps: list[kinds.Sample]) -> None:
        below = steps[0].on == "below"
        for state, seen in zip(states, self._viewed([step.view for step in steps], states[0].size), strict=True):
            setattr(state, steps[0].on, seen[:, :3])
            if seen.shape[1] == 4:
                setattr(state, "alpha" if below else "mask", seen[:, 3:].div_(255))

    def _put(self, states: list[_State], steps: list[kinds.Put]) -> None:
        """Composite things, computing only the part of the frame that each can cover."""
        for state, step in zip(states, steps, strict=True):
            view, (height, width) = step.view, state.size
            tall, wide = self._store.picture(view.pictures[0]).shape[1:]
            corners = np.array([(-1, -1, 1), (wide, -1, 1), (-1, tall, 1), (wide, tall, 1)])
            seen = corners @ np.linalg.inv(view.matrices[0]).T
            if (seen[:, 2] <= 0).any():  # part of its plane is behind the camera
                seen = np.array([(0, 0, 1), (width, height, 1)])
            seen = seen[:, :2] / seen[:, 2:]
            left, top = np.clip(np.floor(seen.min(0)), 0, (width, height)).astype(int)
            right, bottom = np.clip(np.ceil(seen.max(0)) + 1, 0, (width, height)).astype(int)
            if right <= left or bottom <= top:
                continue
            moved = np.array([[1.0, 0, left], [0, 1, top], [0, 0, 1]])
            part = view._replace(matrices=view.matrices @ moved)
            (front,) = self._viewed([part], (int(bottom - top), int(right - left)))
            below = state.below[..., top:bottom, left:right]
            below *= 1 - front[:, 3:] / 255
            below += front[:, :3]

    def _fill(self, states: list[_State], steps: list[kinds.Fill]) -> None:
        colours = self._tensor([step.colour for step in steps])[:, None, :, None, None]
        _set(states, "front", colours.expand(-1, 1, -1, *states[0].size))

    def _shape(self, size: tuple[int, int], shapes: Sequence[NDArray[np.int32]]) -> Tensor:
        """Shapes filled by OpenCV, with values in 0-1: (1, 1, h, w)."""
        mask = np.zeros(size, np.uint8)
        for shape in shapes:
            cv2.fillPoly(mask, [shape], 255, cv2.LINE_AA)
        return torch.from_numpy(mask).to(self._device)[None, None].float() / 255

    def _cut(self, states: list[_State], steps: list[kinds.Cut]) -> None:
        for state, step in zip(states, steps, strict=True):
            state.mask = self._shape(state.size, [step.shape])

    def _lit(self, states: list[_State], steps: list[kinds.Lit]) -> None:
        on = steps[0].on
        _set(states, on, tensors.lit(_stacked(states, on), *self._light([step.light for step in steps])))

    def _shaded(self, states: list[_State], steps: list[kinds.Shaded]) -> None:
        fields = self._tensor([step.shade.field for step in steps])
        lift = self._tensor([step.shade.lift for step in steps])
        _set(states, "front", tensors.shaded(_stacked(states, "front"), fields, lift))

    def _weights(self, found: Sequence[NDArray[np.float64]]) -> Tensor:
        """Odd numbers of weights, padded to the longest."""
        reach = max(len(each) // 2 for each in found)
        return self._tensor([np.pad(each, reach - len(each) // 2) for each in found])

    def _filter(self, states: list[_State], steps: list[kinds.Filter]) -> None:
        across, down = (self._weights([getattr(step, name) for step in steps]) for name in ("across", "down"))
        _set(states, "below", tensors.filtered(_stacked(states, "below"), across, down))

    def _split(self, states: list[_State], steps: list[kinds.Split]) -> None:
        for state, step in zip(states, steps, strict=True):
            cells = self._tensor(step.cells[None])
            how = cv2.INTER_CUBIC if step.smooth else cv2.INTER_NEAREST
            upper = tensors.upsampled(cells, state.size, how)[0] > 127
            state.below = torch.where(upper, state.below, state.front)

    def _over(self, states: list[_State], steps: list[kinds.Over]) -> None:
        below, front, mask = (_stacked(states, name) for name in ("below", "front", "mask"))
        _set(states, "below", torch.lerp(below, front, mask))
        if steps[0].person:
            _set(states, "alpha", torch.lerp(_stacked(states, "alpha"), torch.ones_like(mask), mask))

    def _dress(self, states: list[_State], steps: list[kinds.Dress]) -> None:
        old, height = _stacked(states, "front"), states[0].size[0]
        new = tensors.lit(old, *self._light([step.light for step in steps]))
        worn = [(number, step.pattern) for number, step in enumerate(steps) if step.pattern is not None]
        for (number, _), seen in zip(worn, self._viewed([view for _, view in worn], states[0].size), strict=True):
            new[number] = (new[number] * (seen / 140)).clamp_(max=255)
        rows = np.arange(height)[None] - height * np.array([[step.shoulders] for step in steps])
        share = self._tensor(np.clip(rows / (0.04 * height + 1), 0, 1))[:, None, None, :, None]
        _set(states, "front", torch.lerp(old, new, share))

    def _fills(self, steps: Sequence[kinds.Hold | kinds.Hide], size: tuple[int, int]) -> list[Tensor]:
        """The pixels that shapes are filled with."""
        views = iter(self._viewed([step.fill for step in steps if isinstance(step.fill, kinds.View)], size))
        return [
            next(views) if isinstance(step.fill, kinds.View) else self._tensor(step.fill)[None, :, None, None]
            for step in steps
        ]

    def _hold(self, states: list[_State], steps: list[kinds.Hold]) -> None:
        for state, step, fill in zip(states, steps, self._fills(steps, states[0].size), strict=True):
            mask = self._shape(state.size, step.shapes)
            state.front = torch.where(mask > 0.5, fill, state.front)
            state.mask = torch.maximum(state.mask, mask)

    def _hide(self, states: list[_State], steps: list[kinds.Hide]) -> None:
        for state, step, fill in zip(states, steps, self._fills(steps, states[0].size), strict=True):
            mask = self._shape(state.size, [step.shape])
            state.below = torch.where(mask > 0.5, fill, state.below)
            state.alpha = state.alpha * (1 - mask)

    def _alike(self, states: list[_State], steps: list[kinds.Alike]) -> None:
        half = states[0].size[0] // 2
        front, mask = (_stacked(states, name)[:, :1, :, half:] for name in ("front", "mask"))
        colour = (front * mask).sum((-2, -1)) / mask.sum((-2, -1)).clamp_min(1e-3)
        colour = (colour + self._tensor([step.off for step in steps])[:, None]).clamp_(0, 255)
        share = self._tensor([step.share for step in steps]).view(-1, 1, 1, 1, 1)
        _set(states, "below", torch.lerp(_stacked(states, "below"), colour[..., None, None], share))

    def _shadow(self, states: list[_State], steps: list[kinds.Shadow]) -> None:
        mask, (height, width) = _stacked(states, "mask"), states[0].size
        half = (height + 1) // 2, (width + 1) // 2  # this blur is so wide that half the size is enough
        matrices = np.tile(np.diag((2.0, 2.0, 1.0)), (len(steps), mask.shape[1], 1, 1))
        matrices[..., :2, 2] = 0.5 - np.array([step.shift for step in steps])[:, None]
        moved = tensors.placed(mask.flatten(0, 1), matrices.reshape(-1, 3, 3), half, "zeros")
        weights = self._weights([kinds.gaussian(step.spread / 2) for step in steps])
        soft = tensors.filtered(moved.view(*mask.shape[:3], *half), weights, weights)
        soft = tensors.resized(soft, (2 * half[0], 2 * half[1]), cv2.INTER_LINEAR)[..., :height, :width]
        dark = self._tensor([step.strength for step in steps]).view(-1, 1, 1, 1, 1)
        _set(states, "below", _stacked(states, "below") * (1 - soft * dark))

    def _beside(self, states: list[_State], steps: list[kinds.Beside]) -> None:
        for state, step in zip(states, steps, strict=True):
            planes = [self._tensor(np.moveaxis(each, -1, 0)[None]) for each in (step.front, step.glow)]
            hidden = self._tensor(step.hidden[None, None]) / 255
            lighter = (state.below + planes[1]).clamp_(max=255)
            state.below = planes[0] + lighter * (1 - hidden)
            state.alpha = state.alpha * (1 - hidden)

    def _portrait(self, states: list[_State], steps: list[kinds.Portrait]) -> None:
        inside = _stacked(self._run([step.scene for step in steps]), "below")
        lit = tensors.lit(inside, *self._light([step.light for step in steps]))
        for state, step, picture in zip(states, steps, lit, strict=True):
            (x, y, across, down), (height, width) = step.box, state.size
            small = np.array(
                [[width / across, 0, -x * width / across], [0, height / down, -y * height / down], [0, 0, 1]]
            )
            mask, edge = np.zeros(state.size, np.uint8), np.zeros(state.size, np.uint8)
            corners = (x, y), (x + across - 1, y + down - 1)
            cv2.rectangle(mask, *corners, 1, -1)
            cv2.rectangle(edge, *corners, 1, step.edge)
            seen = tensors.placed(picture, small[None], state.size, "zeros")
            frame = self._tensor(step.colour)[None, :, None, None]
            state.front = torch.where(torch.from_numpy(edge).to(self._device) > 0, frame, seen)
            state.mask = self._tensor(mask[None, None])

    def _coarse(self, states: list[_State], steps: list[kinds.Coarse]) -> None:
        for state, step in zip(states, steps, strict=True):
            small = tensors.resized(state.below, (step.size[1], step.size[0]), cv2.INTER_LINEAR)
            state.below = tensors.resized(small, state.size, cv2.INTER_LINEAR)

    def _noise(self, states: list[_State], steps: list[kinds.Noise]) -> None:
        if self._sheets is None:
            sheet = np.random.default_rng(5).normal(0, 1, (*kinds.SHEET, 3)).astype(np.float32)
            sheets = np.stack([sheet, cv2.GaussianBlur(sheet, (0, 0), 0.8) * 2])
            self._sheets = self._tensor(np.moveaxis(sheets, -1, 1))
        height, width = states[0].size
        for state, step in zip(states, steps, strict=True):
            noise = torch.stack([self._sheets[n, :, y : y + height, x : x + width] for n, y, x in step.places])
            state.below = torch.add(state.below, noise, alpha=step.deviation).clamp_(0, 255)

    def _jpeg(self, states: list[_State], steps: list[kinds.Jpeg]) -> None:
        _set(states, "below", tensors.jpeg(_stacked(states, "below"), [step.quality for step in steps]))


_STACKED: dict[type, list[str]] = {
    kinds.Shaded: ["front"],
    kinds.Filter: ["below"],
    kinds.Over: ["below", "alpha", "front", "mask"],
    kinds.Dress: ["front"],
    kinds.Alike: ["below", "front", "mask"],
    kinds.Shadow: ["below", "mask"],
    kinds.Jpeg: ["below"],
}
"""What many scenes have as one tensor while they take a step: it must have as many frames in all of them."""
_TAKEN: dict[type, Callable[[Renderer, list[_State], list[Any]], None]] = {
    kinds.Sample: Renderer._sample,
    kinds.Fill: Renderer._fill,
    kinds.Cut: Renderer._cut,
    kinds.Lit: Renderer._lit,
    kinds.Shaded: Renderer._shaded,
    kinds.Filter: Renderer._filter,
    kinds.Split: Renderer._split,
    kinds.Over: Renderer._over,
    kinds.Dress: Renderer._dress,
    kinds.Hold: Renderer._hold,
    kinds.Hide: Renderer._hide,
    kinds.Alike: Renderer._alike,
    kinds.Shadow: Renderer._shadow,
    kinds.Beside: Renderer._beside,
    kinds.Portrait: Renderer._portrait,
    kinds.Put: Renderer._put,
    kinds.Coarse: Renderer._coarse,
    kinds.Noise: Renderer._noise,
    kinds.Jpeg: Renderer._jpeg,
}
