"""Trains the network on one user and one camera: its decoder, memories and deep pointwise layers are tuned.

Layers above 1/16 of the size stay as they are and need no gradients, so that a few minutes on one core are enough. The
network has no batch norm, so there are no statistics to keep.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch

from rvm_live.core.arrays import Bytes
from rvm_live.engines.lite.lessons import Lessons, Recording
from rvm_live.engines.lite.losses import matting_loss, settled
from rvm_live.engines.lite.network import LiteNetwork

__all__ = ["Tuning", "Verdict", "adapted", "error_of", "found_in", "judged", "learnt", "tunable"]

_KEPT = ("encode2.", "encode4.", "encode8.")
_DEEP = ("encode16.", "deeper.")
_CARRIED = 0.5
"""Share of batches that begin with the final state of the previous batch."""
_GUARDS, _GUARD_TIME = 12, 3


class Tuning(NamedTuple):
    """How to learn.

    Attributes:
        seconds: of processor time.
        rate: the highest learning rate.
        batch: sequences of a batch.
        time: moments of a sequence.
        certainty: see :func:`~rvm_live.engines.lite.losses.matting_loss`.
        outline: likewise.
    """

    seconds: float = 180.0
    rate: float = 5e-4
    batch: int = 3
    time: int = 4
    certainty: float = 0.1
    outline: float = 3.0


def tunable(network: LiteNetwork) -> dict[str, torch.nn.Parameter]:
    """The tuned parameters, by name: all after 1/16 of the size, and the pointwise layers at that size."""

    def chosen(name: str, value: torch.nn.Parameter) -> bool:
        if name.startswith(_KEPT):
            return False
        return not name.startswith(_DEEP) or ".filter." not in name

    return {name: value for name, value in network.named_parameters() if chosen(name, value)}


def found_in(network: LiteNetwork, pictures: Bytes) -> Bytes:
    """Alpha uint8 (N, h, w) of moments uint8 (N, h, w, 3) BGR, one after another from an empty state."""
    found, states = [], (None, None, None)
    with torch.inference_mode():
        for picture in pictures:
            alpha, *states = network(_tensors(picture[None]), *states)
            found.append(alpha[0, 0].mul(255).add(0.5).to(torch.uint8).numpy())
    return np.stack(found)


def adapted(
    network: LiteNetwork,
    lessons: Lessons,
    tuning: Tuning = Tuning(),  # noqa: B008 - it is a tuple
    *,
    seed: int = 0,
    clock: Callable[[], float] = time.thread_time,
    told: Callable[[float, float], None] = lambda share, loss: None,
) -> LiteNetwork:
    """A copy of a network, trained on the lessons, in evaluation mode.

    Args:
        network: stays as it is.
        lessons: what to learn from.
        tuning: how.
        seed: of the states that are carried on.
        clock: seconds that were spent; torch computes on the calling thread where it has one thread.
        told: called with the share of the time that is over, and the loss, after each batch.
    """
    network = copy.deepcopy(network).train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.requires_grad_(False)
    values = list(tunable(network).values())
    for value in values:
        value.requires_grad_(True)
    groups = [
        {"params": [each for each in values if each.dim() > 1], "weight_decay": 1e-2},
        {"params": [each for each in values if each.dim() == 1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=tuning.rate, betas=(0.9, 0.98), foreach=True)
    random = np.random.default_rng(seed)
    states: list[torch.Tensor] = []
    began = clock()
    share = 0.0
    while share < 1:
        for group in optimiser.param_groups:
            group["lr"] = tuning.rate * _pace(share)
        drawn = [lessons.draw(tuning.time) for _ in range(tuning.batch)]
        truth = torch.from_numpy(np.concatenate([alpha for _, alpha in drawn]))[:, None].float().div(255)
        before = states if random.random() < _CARRIED else []
        found, *states = network(_tensors(np.concatenate([p for p, _ in drawn])), *before, time=tuning.time)
        states = [state.detach() for state in states]
        loss = matting_loss(settled(found, truth), truth, tuning.time, tuning.certainty, tuning.outline)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(values, 1.0)
        optimiser.step()
        share = (clock() - began) / tuning.seconds
        told(share, float(loss.detach()))
    for value in values:  # rounded to half precision, as the file will store them
        value.data = value.data.half().float()
    return network.eval().requires_grad_(False)


class Verdict(NamedTuple):
    """Mean absolute difference of alpha, x 1000, before and after.

    Attributes:
        before: of the network as it was, on moments it has not learnt from, against their labels.
        after: of the one that has learnt, likewise.
        guard_before: of the first on the person before places it has not learnt from, and on those alone.
        guard_after: of the second, likewise.
    """

    before: float
    after: float
    guard_before: float
    guard_after: float

    @property
    def better(self) -> bool:
        """Whether it is better with this camera, and no worse elsewhere."""
        return self.after < self.before and self.guard_after <= self.guard_before


def error_of(network: LiteNetwork, sequences: Sequence[tuple[Bytes, Bytes]]) -> float:
    """Mean absolute difference x 1000 over sequences of pictures and alpha, each counting alike."""
    apart = [np.abs(found_in(network, pictures).astype(np.int16) - alpha).mean() for pictures, alpha in sequences]
    return float(np.mean(apart)) / 255 * 1e3


def judged(before: LiteNetwork, after: LiteNetwork, unseen: Recording, elsewhere: Lessons) -> Verdict:
    """Whether a network has become better.

    Args:
        before: as it was.
        after: as it is now.
        unseen: moments that it has not learnt from.
        elsewhere: of that recording, with places that it has not learnt from.
    """
    apart = [elsewhere.elsewhere(_GUARD_TIME) for _ in range(_GUARDS)]
    apart += [elsewhere.nobody(_GUARD_TIME) for _ in range(_GUARDS // 2)]
    own = [(unseen.pictures, unseen.alpha)]
    return Verdict(error_of(before, own), error_of(after, own), error_of(before, apart), error_of(after, apart))


def learnt(
    network: LiteNetwork,
    recording: Recording,
    places: Sequence[Bytes],
    guards: Sequence[Bytes],
    empty: Sequence[Bytes] = (),
    tuning: Tuning = Tuning(),  # noqa: B008 - it is a tuple
    *,
    told: Callable[[float, float], None] = lambda share, loss: None,
    seed: int = 0,
) -> tuple[LiteNetwork, Verdict]:
    """Learn from the first four fifths of a recording, and judge on the last.

    Args:
        network: as it is; it stays so.
        recording: moments in their order.
        places: without people, to learn before.
        guards: others, to judge before.
        empty: see :class:`~rvm_live.engines.lite.lessons.Lessons`.
        tuning: how.
        told: see :func:`adapted`.
        seed: of the random generator.
    """
    count = len(recording.alpha)
    behind = max(1, count * 4 // 5)
    lessons = Lessons(recording.part(0, behind), places, np.random.default_rng(seed + 1), empty)
    tuned = adapted(network, lessons, tuning, seed=seed, told=told)
    last = recording.part(min(behind, count - 1), count)
    return tuned, judged(network, tuned, last, Lessons(last, guards, np.random.default_rng(seed + 2)))


def _pace(share: float, warm: float = 0.05) -> float:
    """Factor of the learning rate: linear up, half a cosine down."""
    return share / warm * 0.95 + 0.05 if share < warm else 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def _tensors(pictures: Bytes) -> torch.Tensor:
    """uint8 (N, h, w, 3) BGR -> float32 (N, 3, h, w) RGB in 0-1, channels innermost."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).flip(1).float().div(255)
