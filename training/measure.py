"""Measures the network on people and places that it was not trained on: ``python -m training.measure [--cache
FOLDER]``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from rvm_live.engines.lite.engine import ratio_for, trained_size
from rvm_live.engines.lite.network import LiteNetwork
from training.cache import DEFAULT_CACHE
from training.sample import Mixture, Sampler

__all__ = ["Case", "Score", "composed", "development", "main", "plain", "predicted", "score", "tensors"]

_SEED = 20_000
_SIZE = (320, 176)


class Case(NamedTuple):
    """A sequence with its alpha: uint8 (T, h, w, 3) BGR and (T, h, w)."""

    name: str
    pictures: NDArray[np.uint8]
    alpha: NDArray[np.uint8]


class Score(NamedTuple):
    """Errors over cases. The means of absolute difference and dtSSD, as RVM's paper defines them (x 1000 and x 100),
    and IoU. Of the absolute difference also the median, and the mean without the highest and the lowest tenth, which
    single failures do not dominate."""

    mad: float
    dtssd: float
    iou: float
    median: float
    trimmed: float


def composed(cache: Path, count: int = 96, time: int = 4, *, beside: bool = False) -> list[Case]:
    """People of the development set in front of places of the development set, the same in every call; or also with
    things that stand close beside them."""
    mixture = Mixture(plain=0.0, empty=0.05, strength=0.6, dressed=0.0, held=0.0, hidden=0.0, second=0.1, decoys=0.0)
    mixture = mixture._replace(alike=0.0, shrunk=0.0, beside=0.6 if beside else 0.0)
    sampler = Sampler(cache, "development", _SEED, mixture)
    name = "beside" if beside else "composed"
    return [Case(f"{name} {n}", *sampler.draw(*_SIZE, time)) for n in range(count)]


def plain(cache: Path, time: int = 4) -> list[Case]:
    """The first frames of the development clips and stills as they are, at the engine's working size, with the
    teacher's alpha."""
    cases = []
    for folder in sorted((cache / "people" / "development").iterdir()):
        frames = np.load(folder / "frames.npy", mmap_mode="r")[:time]
        height, width = frames.shape[1:3]
        size = trained_size(width, height, ratio_for(width, height))
        pictures, alpha = (
            np.stack([cv2.resize(np.ascontiguousarray(f[..., c]), size, interpolation=cv2.INTER_AREA) for f in frames])
            for c in (slice(0, 3), 6)
        )
        cases.append(Case(folder.name, pictures, alpha))
    return cases


def tensors(pictures: NDArray[np.uint8] | torch.Tensor) -> torch.Tensor:
    """uint8 (N, h, w, 3) BGR -> float32 (N, 3, h, w) RGB in 0-1, in channels-last memory format, on the pictures'
    device."""
    return torch.as_tensor(pictures).permute(0, 3, 1, 2).flip(1).float().div(255)


def predicted(network: LiteNetwork, case: Case) -> NDArray[np.uint8]:
    """Alpha uint8 (T, h, w), computed frame after frame from an empty state."""
    with torch.inference_mode():
        alpha = network(tensors(case.pictures), time=len(case.pictures))[0]
    return np.asarray(alpha[:, 0].mul(255).add(0.5).to(torch.uint8).numpy())


def score(network: LiteNetwork, cases: Sequence[Case]) -> Score:
    """Run the network over the cases; it is left in evaluation mode."""
    network.eval()
    rows = []
    for case in cases:
        ours, theirs = predicted(network, case) / 255.0, case.alpha / 255.0
        change = np.diff(ours, axis=0) - np.diff(theirs, axis=0)
        flicker = float(np.sqrt((change**2).mean((1, 2))).mean()) if len(change) else 0.0
        union = ((ours > 0.5) | (theirs > 0.5)).sum()
        iou = float(((ours > 0.5) & (theirs > 0.5)).sum() / union) if union else 1.0
        rows.append((float(np.abs(ours - theirs).mean()) * 1e3, flicker * 1e2, iou))
    errors = sorted(row[0] for row in rows)
    spare = len(errors) // 10
    inner = float(np.mean(errors[spare : len(errors) - spare]))
    mad, flicker, iou = (float(value) for value in np.mean(rows, axis=0))
    return Score(mad, flicker, iou, float(np.median(errors)), inner)


def development(cache: Path) -> dict[str, list[Case]]:
    """The sets on which progress is measured, by name."""
    return {"composed": composed(cache), "beside": composed(cache, 64, beside=True), "plain": plain(cache)}


def main(arguments: list[str] | None = None) -> None:
    from training.weights import load_network

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE)
    parser.add_argument("--weights", type=Path, default=None, help="checkpoint or safetensors; else those committed")
    parser.add_argument("--sheet", type=Path, default=None, help="write a contact sheet: picture, teacher, network")
    chosen = parser.parse_args(arguments)
    cache = chosen.cache.expanduser()
    network = load_network(chosen.weights).eval()
    sets = development(cache)
    for title, cases in sets.items():
        for case in cases if title == "plain" else []:
            print(f"  {case.name}: MAD {score(network, [case]).mad:.1f}")
        found = score(network, cases)
        told = f"MAD {found.mad:.1f} (median {found.median:.1f}, trimmed {found.trimmed:.1f})"
        print(f"{title}: {told}, dtSSD {found.dtssd:.2f}, IoU {found.iou:.3f} ({len(cases)} sequences)")
    if chosen.sheet is not None:
        rows = []
        for case in [case for cases in sets.values() for case in cases[:48]]:
            parts = [case.pictures[-1]]
            parts += [cv2.cvtColor(a, cv2.COLOR_GRAY2BGR) for a in (case.alpha[-1], predicted(network, case)[-1])]
            rows.append(np.hstack([cv2.resize(part, (192, 108)) for part in parts]))
        rows += [np.zeros_like(rows[0])] * (-len(rows) % 3)
        third = len(rows) // 3
        cv2.imwrite(str(chosen.sheet), np.hstack([np.vstack(rows[i * third : (i + 1) * third]) for i in range(3)]))


if __name__ == "__main__":
    main()
