"""Train: ``python -m training.train --minutes M [--size 160x96] [--time 1] [--batch 16] [--rate 2e-3]``.

Goes on from ``checkpoint.pt`` in the cache, else from the committed weights (``--from-scratch``: from nothing). The
learning rate rises and falls once within ``--minutes`` of wall time, however quick the machine is. Writes a line of
``log.jsonl`` every half minute, and a checkpoint with a measurement on the development set every few minutes.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset

from rvm_live.engines.lite.engine import EMBEDDED
from rvm_live.engines.lite.network import LiteNetwork
from rvm_live.system import threads
from training.cache import DEFAULT_CACHE
from training.losses import matting_loss
from training.measure import composed, plain, score, tensors
from training.sample import Mixture, Sampler
from training.teacher import CHANNELS, Teacher, feature_loss
from training.weights import Average, load_network, read_checkpoint, write_checkpoint

__all__ = ["Batches", "Trainer", "main", "rate_at", "shapes"]

_ODDS = (0.7, 0.15, 0.15)
"""Of lying, square and standing pictures: webcams lie, telephones stand."""
_CARRIED = 0.5
"""Share of sequences that begin with the state of another."""
_HINT = 0.15
"""Weight of the cross-entropy at a sixteenth of the size."""
_LIKENESS = 0.2
"""Weight of the likeness to the teacher's features."""


class Batches(IterableDataset[tuple[torch.Tensor, ...]]):
    """Batches without end: pictures uint8 (B * T, h, w, 3) BGR, alpha uint8 (B * T, h, w), and with a teacher what its
    encoder sees, float16 (B * T, 128, h / 16, w / 16)."""

    def __init__(
        self,
        cache: Path,
        seed: int,
        size: tuple[int, int],
        time: int,
        batch: int,
        mixture: Mixture,
        teacher: Path | None = None,
    ) -> None:
        self._make = cache, "training", seed, mixture
        self._sizes, self._time = shapes(size), time
        self._batch = batch
        self._teacher = teacher

    def __iter__(self) -> Iterator[tuple[torch.Tensor, ...]]:
        cv2.setNumThreads(1)
        teachers: list[Teacher] = []
        if self._teacher is not None:
            teachers = [Teacher(self._teacher, size, self._batch * self._time) for size in self._sizes]
        cache, split, seed, mixture = self._make
        worker = torch.utils.data.get_worker_info()
        sampler = Sampler(cache, split, seed + (worker.id if worker else 0), mixture)
        choice = np.random.default_rng(seed + 1)
        while True:
            which = int(choice.choice(len(self._sizes), p=_ODDS))
            drawn = [sampler.draw(*self._sizes[which], self._time) for _ in range(self._batch)]
            made = [np.concatenate([each.pictures for each in drawn]), np.concatenate([each.alpha for each in drawn])]
            if teachers:
                made.append(teachers[which](made[0]))
            yield tuple(torch.from_numpy(each) for each in made)


def shapes(size: tuple[int, int]) -> list[tuple[int, int]]:
    """Lying, square and standing pictures of about as many pixels."""
    side = max(16, round(math.sqrt(size[0] * size[1]) / 16) * 16)
    return [size, (side, side), (size[1], size[0])]


def rate_at(share: float, top: float, warm: float = 0.04) -> float:
    """The learning rate after a share of the time: up in a line, down in a half cosine to a hundredth."""
    if share < warm:
        return top * (share / warm * 0.95 + 0.05)
    fall = 0.5 * (1 + math.cos(math.pi * min(1.0, (share - warm) / (1 - warm))))
    return top * (0.01 + 0.99 * fall)


class Trainer:
    """The network, its optimiser and its average.

    Args:
        network: to train, in place.
        time: moments of each sequence.
        certainty: see :func:`~training.losses.matting_loss`.
    """

    def __init__(self, network: LiteNetwork, time: int, certainty: float = 0.0, decay: float = 0.998) -> None:
        self.network = network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = Average(network, decay)
        self.time, self.certainty = time, certainty
        self._carried: list[torch.Tensor] = []
        self._carried_size: tuple[int, ...] = ()
        weights = [p for p in network.parameters() if p.dim() > 1]
        others = [p for p in network.parameters() if p.dim() <= 1]
        self.hint = torch.nn.Conv2d(64, 1, 1)  # for learning only: what the deepest features know of the person
        self._deepest: list[torch.Tensor] = []
        network.memory16.register_forward_hook(lambda _module, _given, made: self._deepest.append(made[0]))
        self.likeness = torch.nn.Conv2d(64, CHANNELS, 1)  # likewise: from the student's channels to the teacher's
        self._encoded: list[torch.Tensor] = []
        network.encode16.register_forward_hook(lambda _module, _given, made: self._encoded.append(made))
        weights += [*self.hint.parameters(), *self.likeness.parameters()]
        groups = [{"params": weights, "weight_decay": 1e-2}, {"params": others, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.98), foreach=True)

    def _remembered(self, shape: torch.Size) -> list[torch.Tensor]:
        """What half of the sequences begin with: the state that the batch before left, of some other scene. So states
        many frames old are met, and what is stale is forgotten; the other half begins with nothing."""
        size = tuple(shape[1:3])
        carried, self._carried_size = self._carried if self._carried_size == size else [], size
        if self.time == 1 or not carried:
            return []
        kept = (torch.rand(len(carried[0]), 1, 1, 1) < _CARRIED).float()
        return [state * kept for state in carried]

    def step(self, pictures: torch.Tensor, alpha: torch.Tensor, rate: float, seen: torch.Tensor | None = None) -> float:
        """Learn from one batch, and from what the teacher's encoder sees in it; returns the loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        truth = alpha[:, None].float().div(255)
        found, *states = self.network(tensors(pictures.numpy()), *self._remembered(pictures.shape), time=self.time)
        loss = matting_loss(found, truth, self.time, self.certainty)
        coarse = self.hint(self._deepest.pop())
        small = functional.adaptive_avg_pool2d(truth, coarse.shape[2:])
        loss = loss + _HINT * functional.binary_cross_entropy_with_logits(coarse, small)
        encoded = self._encoded.pop()
        if seen is not None:
            loss = loss + _LIKENESS * feature_loss(self.likeness(encoded), seen.float())
        self._carried = [state.detach() for state in states]
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.average.follow(self.network)
        return float(loss.detach())


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--size", default="160x96")
    parser.add_argument("--time", type=int, default=1, help="frames of a sequence")
    parser.add_argument("--batch", type=int, default=16, help="sequences of a batch")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--certainty", type=float, default=0.0)
    parser.add_argument("--plain", type=float, default=Mixture().plain, help="share of clips as they are")
    parser.add_argument("--teacher", type=Path, help="RVM's checkpoint: learn its encoder's features, too")
    parser.add_argument("--seed", type=int, default=0, help="of the samples; take another when going on")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--measure-minutes", type=float, default=4.0)
    parser.add_argument("--from-scratch", action="store_true")
    return parser


def main(arguments: list[str] | None = None) -> None:
    chosen = _options().parse_args(arguments)
    threads.keep_memory()  # freed activations are wanted again at once: a fifth of the time
    torch.set_num_threads(chosen.threads)
    torch.manual_seed(chosen.seed)
    cache = chosen.cache.expanduser()
    checkpoint = cache / "checkpoint.pt"
    width, height = (int(side) for side in chosen.size.split("x"))
    network, before = LiteNetwork(), 0
    if checkpoint.exists() and not chosen.from_scratch:
        found = read_checkpoint(checkpoint)
        network.load_state_dict(found["network"], strict=True)
        before = int(found["frames"])
    elif EMBEDDED.exists() and not chosen.from_scratch:
        network = load_network()
    trainer = Trainer(network, chosen.time, chosen.certainty)
    if before:
        trainer.average.values, trainer.average.steps = found["average"], int(found["steps"])
        if "likeness" in found:  # a checkpoint of before has neither these nor an optimiser that knows them
            trainer.hint.load_state_dict(found["hint"])
            trainer.likeness.load_state_dict(found["likeness"])
            trainer.optimiser.load_state_dict(found["optimiser"])
    mixture = Mixture(plain=chosen.plain)
    batches = Batches(cache, chosen.seed, (width, height), chosen.time, chosen.batch, mixture, chosen.teacher)
    loader = DataLoader(
        batches,
        batch_size=None,
        num_workers=chosen.workers,
        prefetch_factor=4 if chosen.workers else None,
        multiprocessing_context="spawn"
        if chosen.workers
        else None,  # a fork inherits locks of OpenCV's and torch's threads
    )
    sets = {"composed": composed(cache), "plain": plain(cache)}
    frames, losses, began = before, [], time.monotonic()
    logged = measured = began

    def keep() -> None:
        write_checkpoint(
            checkpoint,
            network=trainer.network.state_dict(),
            average=trainer.average.values,
            hint=trainer.hint.state_dict(),
            likeness=trainer.likeness.state_dict(),
            steps=trainer.average.steps,
            optimiser=trainer.optimiser.state_dict(),
            frames=frames,
        )

    def log(**told: float | str) -> None:
        line = json.dumps({"frames": frames, "seconds": round(time.monotonic() - began), **told})
        with (cache / "log.jsonl").open("a") as file:
            file.write(line + "\n")
        print(line, flush=True)

    log(event="start", **{name: str(value) for name, value in vars(chosen).items() if name not in ("cache", "teacher")})
    for pictures, alpha, *seen in loader:
        now = time.monotonic()
        share = (now - began) / 60 / chosen.minutes
        if share >= 1:
            break
        losses.append(trainer.step(pictures, alpha, rate_at(share, chosen.rate), *seen))
        frames += len(pictures)
        if now - logged > 30:
            log(loss=round(float(np.mean(losses)), 5), rate=round(rate_at(share, chosen.rate), 6))
            losses, logged = [], now
        if now - measured > 60 * chosen.measure_minutes:
            keep()
            found_scores = {name: score(trainer.average.network(), cases) for name, cases in sets.items()}
            log(**{f"{name}_{key}": round(v, 3) for name, s in found_scores.items() for key, v in s._asdict().items()})
            measured = time.monotonic()
    keep()
    scores = {name: score(trainer.average.network(), cases) for name, cases in sets.items()}
    log(event="end", **{f"{name}_{key}": round(v, 3) for name, s in scores.items() for key, v in s._asdict().items()})


if __name__ == "__main__":
    main()
