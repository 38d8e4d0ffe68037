"""Trains: ``python -m training.train --wheel MEDIAPIPE --minutes M [--batch 4] [--time 3] [--rate 1e-3]``.

Training starts from MediaPipe's weights, read from its wheel (``training/mediapipe.py``), or continues from
``checkpoint.pt`` in the cache. Pretrained parameters learn at a third of the rate. The rate rises, stays for half of
``--minutes`` of wall time, and falls in a half cosine, however fast the machine is. Each half minute a line is added to
``log.jsonl``, each minute a checkpoint is written, and every few minutes the network is measured on the development
set. The run's result is the mean of the averaged weights over its last third. ``--piece M`` stops after that many
minutes, and the same command continues from there: with the same samples, states and random numbers as without a stop.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset

from rvm_live.engines.lite.losses import matting_loss, settled
from rvm_live.engines.lite.network import LiteNetwork
from rvm_live.system import threads
from training.cache import DEFAULT_CACHE
from training.measure import development, score, tensors
from training.mediapipe import MODELS, load_start, pretrained
from training.render import Renderer
from training.sample import Mixture, Sampler
from training.weights import Average, Mean, read_checkpoint, result, write_checkpoint

__all__ = ["SIZES", "Batches", "Trainer", "main", "rate_at"]

SIZES = {
    (320, 176): 0.52,
    (320, 240): 0.12,
    (176, 320): 0.09,
    (240, 240): 0.06,
    (256, 144): 0.06,
    (384, 208): 0.09,
    (448, 256): 0.03,
    (192, 112): 0.03,
}
"""Width and height, and how often. Most of what is drawn has the sizes that the engine works at."""
_CARRIED = 0.5
"""Share of sequences that begin with the state of another."""
_SLOW = 0.35
"""Of the rate, for what was pretrained."""
_FLAT = 0.5
"""Share of the time before the rate falls."""
_RESAMPLED, _OTHER_SIZE = 0.25, (0.7, 1.3)
"""Share of the steps in which the same sequences are seen at another size, too, and how much larger."""
_LATE = 2 / 3
"""Share of the time after which outlines weigh twice as much, and weights are gathered."""


class Batches(IterableDataset[Any]):
    """Endless batches: pictures uint8 (B * T, h, w, 3) BGR and alpha uint8 (B * T, h, w), or scenes from which they are
    made.

    A batch's random numbers depend only on the seed and the batch's number: it is the same whoever draws it, and when.

    Args:
        cache: see :class:`~training.sample.Sampler`.
        seed: of all batches.
        time: frames per sequence.
        batch: sequences per batch.
        mixture: shares and probabilities of what is drawn.
        sizes: width and height, and how often each is drawn.
        first: number of the first batch.
        scenes: give scenes, and leave it to the caller to compute them.
    """

    def __init__(
        self,
        cache: Path,
        seed: int,
        time: int,
        batch: int,
        mixture: Mixture,
        sizes: dict[tuple[int, int], float] | None = None,
        *,
        first: int = 0,
        scenes: bool = False,
    ) -> None:
        sizes = sizes or SIZES
        self._make = cache, "training", seed, mixture
        self._sizes, self._odds = list(sizes), np.array(list(sizes.values())) / sum(sizes.values())
        self._seed, self._time, self._batch, self._first, self._scenes = seed, time, batch, first, scenes

    def __iter__(self) -> Iterator[Any]:
        worker = torch.utils.data.get_worker_info()
        if worker is not None:
            cv2.setNumThreads(1)
            torch.set_num_threads(1)
        sampler = Sampler(*self._make)
        for number in itertools.count(self._first + (worker.id if worker else 0), worker.num_workers if worker else 1):
            random = sampler.begin(self._seed, number)
            size = self._sizes[int(random.choice(len(self._sizes), p=self._odds))]
            if self._scenes:
                yield [sampler.scene(*size, self._time) for _ in range(self._batch)]
                continue
            drawn = [sampler.draw(*size, self._time) for _ in range(self._batch)]
            made = [np.concatenate([each.pictures for each in drawn]), np.concatenate([each.alpha for each in drawn])]
            yield tuple(torch.from_numpy(each) for each in made)


def _as_drawn(batch: Any) -> Any:
    return batch


def rate_at(share: float, top: float, warm: float = 0.03) -> float:
    """The learning rate after a share of the time: a linear rise, flat, then a half cosine down to a fiftieth."""
    if share < warm:
        return top * (share / warm * 0.95 + 0.05)
    fall = 0.5 * (1 + math.cos(math.pi * min(1.0, max(0.0, share - _FLAT) / (1 - _FLAT))))
    return top * (0.02 + 0.98 * fall)


class Trainer:
    """The network, its optimiser, the moving average of its weights, and the mean of that average over the end of the
    run.

    Args:
        network: the network to train, in place.
        time: frames per sequence.
        certainty: see :func:`~rvm_live.engines.lite.losses.matting_loss`.
        outline: likewise, in the first two thirds; twice as much later.
        device: where to compute.
        agreement: weight of the difference between two sizes of the same sequences, in a quarter of the steps.
    """

    def __init__(
        self,
        network: LiteNetwork,
        time: int,
        certainty: float = 0.1,
        outline: float = 3.0,
        device: str = "cpu",
        agreement: float = 0.0,
    ) -> None:
        old = pretrained(network)
        self.network = network.train().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average, self.mean = Average(network), Mean()
        self.time, self._certainty, self._outline, self._device = time, certainty, outline, device
        self.agreement = agreement
        self._carried: dict[torch.Size, list[torch.Tensor]] = {}
        groups: list[dict[str, Any]] = []
        for pace, known in ((_SLOW, True), (1.0, False)):
            for decay, kernels in ((1e-2, True), (0.0, False)):
                chosen = [p for p in network.parameters() if (id(p) in old) == known and (p.dim() > 1) == kernels]
                groups.append({"params": chosen, "weight_decay": decay, "pace": pace})
        self.optimiser = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.98), foreach=True)

    def chance(self) -> dict[str, Any]:
        """The state of the random generators, and the recurrent states for the next sequences."""
        states = [(list(shape), states) for shape, states in self._carried.items()]
        cuda = torch.cuda.get_rng_state(self._device) if self._device.startswith("cuda") else None
        return {"carried": states, "cpu": torch.get_rng_state(), "cuda": cuda}

    def go_on(self, chance: dict[str, Any]) -> None:
        """Restore what :meth:`chance` returned; does nothing where a checkpoint does not have it."""
        for shape, states in chance.get("carried", []):
            self._carried[torch.Size(shape)] = [state.to(self._device) for state in states]
        if "cpu" in chance:
            torch.set_rng_state(chance["cpu"])
        if chance.get("cuda") is not None and self._device.startswith("cuda"):
            torch.cuda.set_rng_state(chance["cuda"], self._device)

    def _remembered(self, shape: torch.Size) -> list[torch.Tensor]:
        """The states that sequences begin with. Half of them get the state that the batch before left, from some other
        scene, so that the network meets old states and learns to forget what is stale; the other half begin empty."""
        carried = self._carried.get(shape, [])
        if self.time == 1 or not carried:
            return []
        kept = (torch.rand(len(carried[0]), 1, 1, 1, device=self._device) < _CARRIED).float()
        return [state * kept for state in carried]

    def _apart(self, shown: torch.Tensor, found: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        """Difference from the alpha of the same sequences at another size, computed from an empty state."""
        scale = float(torch.empty(()).uniform_(*_OTHER_SIZE))
        size = [max(6, round(side * scale / 16)) * 16 for side in shown.shape[2:]]
        other = functional.interpolate(shown, size, mode="bilinear", align_corners=False, antialias=scale < 1)
        again = self.network(other.contiguous(memory_format=torch.channels_last), time=self.time)[0]
        again = functional.interpolate(again, found.shape[2:], mode="bilinear", align_corners=False)
        return (settled(again, truth) - settled(found, truth)).abs().mean()

    def step(self, pictures: torch.Tensor, alpha: torch.Tensor, rate: float, share: float = 0.0) -> float:
        """Learn from one batch, after a share of the run; returns the loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["pace"]
        truth = alpha[:, None].to(self._device).float().div(255)
        shown = tensors(pictures.to(self._device))  # as bytes: a quarter of the data to move
        found, *states = self.network(shown, *self._remembered(pictures.shape), time=self.time)
        outline = self._outline * (2 if share > _LATE else 1)
        loss = matting_loss(settled(found, truth), truth, self.time, self._certainty, outline)
        if self.agreement and float(torch.rand(())) < _RESAMPLED:
            loss = loss + self.agreement * self._apart(shown, found, truth)
        self._carried[pictures.shape] = [state.detach() for state in states]
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.average.follow(self.network)
        if share > _LATE:
            self.mean.add(self.average.values)
        return float(loss.detach())


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE)
    parser.add_argument("--wheel", type=Path, help="of mediapipe; not needed where a checkpoint is")
    parser.add_argument("--start", choices=MODELS, default="general")
    parser.add_argument("--minutes", type=float, required=True, help="of the whole run, with what a checkpoint had")
    parser.add_argument("--piece", type=float, help="of those, at most so many now; else all that are left")
    parser.add_argument(
        "--again",
        action="store_true",
        help="a new cycle, of a seed not used before, from what the run in the cache ended with; or that one goes on",
    )
    parser.add_argument("--time", type=int, default=3, help="frames of a sequence")
    parser.add_argument("--batch", type=int, default=4, help="sequences of a batch")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0, help="of the samples")
    parser.add_argument(
        "--beside", type=float, default=0.0, help="odds of a lamp, a plant and the like beside somebody"
    )
    parser.add_argument("--crowd", type=float, default=0.0, help="share of crowds")
    parser.add_argument("--agreement", type=float, default=0.0, help="weight of what is apart between two sizes")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, help="processes that draw samples; else one, or with a GPU one a core")
    parser.add_argument("--device", default="cpu", help="cpu or cuda: where samples are computed and learnt from")
    parser.add_argument("--measure-minutes", type=float, default=4.0)
    return parser


class _Run(NamedTuple):
    """The trainer; frames seen and seconds trained; the seeds of all cycles so far, the present one's last."""

    trainer: Trainer
    frames: int
    seconds: float
    seeds: list[int]


def _resumed(chosen: argparse.Namespace, checkpoint: Path) -> _Run | None:
    """Where to continue; None if a later cycle has begun, so that commands that were stopped can be given again."""
    if not checkpoint.exists():
        if chosen.wheel is None:
            raise SystemExit("name MediaPipe's wheel to start from: --wheel FILE")
        start = load_start(chosen.wheel, chosen.start)
        return _Run(Trainer(start, chosen.time, device=chosen.device), 0, 0.0, [chosen.seed])
    found = read_checkpoint(checkpoint)
    seeds = [int(seed) for seed in found.get("seeds", [])]
    if chosen.seed in seeds[:-1]:
        return None
    network = LiteNetwork()
    if chosen.again and chosen.seed not in seeds:
        network.load_state_dict(result(found), strict=True)
        trainer = Trainer(network, chosen.time, device=chosen.device)
        return _Run(trainer, int(found["frames"]), 0.0, [*seeds, chosen.seed])
    network.load_state_dict(found["network"], strict=True)
    trainer = Trainer(network, chosen.time, device=chosen.device)
    trainer.optimiser.load_state_dict(found["optimiser"])
    average, mean = ({n: v.to(chosen.device) for n, v in found[name].items()} for name in ("average", "mean"))
    trainer.average.values, trainer.average.steps = average, int(found["steps"])
    trainer.mean.values, trainer.mean.count = mean, int(found["count"])
    trainer.go_on(found.get("chance", {}))
    return _Run(trainer, int(found["frames"]), float(found["seconds"]), seeds or [chosen.seed])


def main(arguments: list[str] | None = None) -> None:
    parser = _options()
    chosen = parser.parse_args(arguments)
    for name in ("minutes", "piece"):
        value = getattr(chosen, name)
        if value is not None and not value > 0:
            parser.error(f"--{name} is not above 0")
    if chosen.workers is None:
        chosen.workers = 1 if chosen.device == "cpu" else max(1, (os.cpu_count() or 2) - 1)
    threads.keep_memory()  # freed memory is needed again at once: saves a fifth of the time
    torch.set_num_threads(chosen.threads)
    cache = chosen.cache.expanduser()
    checkpoint = cache / "checkpoint.pt"
    torch.manual_seed(chosen.seed)
    resumed = _resumed(chosen, checkpoint)
    if resumed is None:
        print(f"{checkpoint} is of a later cycle than that of seed {chosen.seed}: nothing to do")
        return
    trainer, frames, before, seeds = resumed
    trainer.agreement = chosen.agreement
    mixture, on_gpu = Mixture(beside=chosen.beside, crowd=chosen.crowd), chosen.device != "cpu"
    loader = DataLoader(
        Batches(
            cache,
            chosen.seed,
            chosen.time,
            chosen.batch,
            mixture,
            first=trainer.average.steps,
            scenes=on_gpu,
        ),
        batch_size=None,
        collate_fn=_as_drawn,  # else arrays within scenes would become tensors
        num_workers=chosen.workers,
        prefetch_factor=4 if chosen.workers else None,
        multiprocessing_context="spawn"
        if chosen.workers
        else None,  # a fork inherits locks of OpenCV's and torch's threads
    )
    renderer = Renderer(Sampler(cache, "training", chosen.seed, mixture).picture, chosen.device) if on_gpu else None
    sets = development(cache)
    losses: list[float] = []
    began = time.monotonic() - before
    logged = kept = started = time.monotonic()
    apart = 60 * chosen.measure_minutes
    measured = before // apart

    def keep() -> None:
        write_checkpoint(
            checkpoint,
            network=trainer.network.state_dict(),
            average=trainer.average.values,
            mean=trainer.mean.values,
            count=trainer.mean.count,
            steps=trainer.average.steps,
            optimiser=trainer.optimiser.state_dict(),
            frames=frames,
            seconds=time.monotonic() - began,
            seeds=seeds,
            chance=trainer.chance(),
        )

    def log(**told: float | str) -> None:
        line = json.dumps({"frames": frames, "seconds": round(time.monotonic() - began), **told})
        with (cache / "log.jsonl").open("a") as file:
            file.write(line + "\n")
        print(line, flush=True)

    def measurement(values: dict[str, torch.Tensor]) -> dict[str, float]:
        network = LiteNetwork()
        network.load_state_dict(values, strict=True)
        found = {name: score(network, cases) for name, cases in sets.items()}
        return {f"{name}_{key}": round(v, 3) for name, s in found.items() for key, v in s._asdict().items()}

    hidden = ("cache", "wheel")
    log(event="start", **{name: str(value) for name, value in vars(chosen).items() if name not in hidden})
    if before == 0:
        log(**measurement(trainer.average.values))
        began = logged = kept = started = time.monotonic()
    first, share, piece = frames, 0.0, chosen.piece or math.inf
    for drawn in loader:
        pictures, alpha = drawn if renderer is None else renderer(drawn)
        now = time.monotonic()
        share = (now - began) / 60 / chosen.minutes
        # At least one step, however slow the machine is.
        if frames > first and (share >= 1 or now - started >= 60 * piece):
            break
        losses.append(trainer.step(pictures, alpha, rate_at(share, chosen.rate), share))
        frames += len(pictures)
        if now - logged > 30:
            log(loss=round(float(np.mean(losses)), 5), rate=round(rate_at(share, chosen.rate), 6))
            losses, logged = [], now
        if now - kept > 60:
            keep()
            kept = now
        if (now - began) // apart > measured:
            log(**measurement(trainer.average.values))
            measured = (time.monotonic() - began) // apart
    keep()
    if share < 1:
        log(event="piece", loss=round(float(np.mean(losses)), 5) if losses else 0.0)
        return
    log(event="average", **measurement(trainer.average.values))
    log(event="end", **measurement(trainer.mean.values or trainer.average.values))


if __name__ == "__main__":
    main()
