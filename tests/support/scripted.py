"""Makes and saves small TorchScript models of every form that the torchscript engine promises to run."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

__all__ = ["KINDS", "save_module", "save_scripted"]


class Alpha(nn.Module):
    def forward(self, src: Tensor) -> Tensor:
        return src.mean(1, keepdim=True)


class FlatAlpha(nn.Module):
    def forward(self, src: Tensor) -> Tensor:
        return src.mean(1)


class Both(nn.Module):
    def forward(self, src: Tensor) -> tuple[Tensor, Tensor]:
        return src * 0.5, src.mean(1, keepdim=True)


class Recurrent(nn.Module):
    """Foreground, alpha and two optional states, as a list: the form of the official files."""

    def forward(
        self, src: Tensor, r1: Tensor | None = None, r2: Tensor | None = None, downsample_ratio: float = 1.0
    ) -> list[Tensor]:
        mean = src.mean(1, keepdim=True)
        old = torch.zeros_like(mean) if r1 is None else r1
        count = torch.zeros(1, 1, 1, 1) if r2 is None else r2
        alpha = 0.5 * old + 0.5 * mean
        return [src, alpha, alpha, count + downsample_ratio]


class RecurrentAlpha(nn.Module):
    """Alpha and a state that is not optional."""

    def forward(self, src: Tensor, state: Tensor, downsample_ratio: Tensor) -> tuple[Tensor, Tensor]:
        alpha = 0.5 * state.expand(1, 1, src.shape[2], src.shape[3]) + 0.5 * src.mean(1, keepdim=True)
        return alpha, alpha


class Smaller(nn.Module):
    def forward(self, src: Tensor) -> tuple[Tensor, Tensor]:
        small = nn.functional.avg_pool2d(src, 2)
        return small, small.mean(1, keepdim=True)


class Wild(nn.Module):
    """Alpha far outside 0-1."""

    def forward(self, src: Tensor) -> Tensor:
        return src.mean(1, keepdim=True) * 8 - 4


class TooMany(nn.Module):
    def forward(self, src: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return src, src.mean(1, keepdim=True), src


class WrongShape(nn.Module):
    def forward(self, src: Tensor) -> Tensor:
        return src


class WrongType(nn.Module):
    def forward(self, src: Tensor) -> Tensor:
        return (src.mean(1, keepdim=True) * 255).to(torch.uint8)


class NoTensor(nn.Module):
    def forward(self, src: Tensor) -> dict[str, Tensor]:
        return {"alpha": src.mean(1, keepdim=True)}


class Failing(nn.Module):
    def forward(self, src: Tensor) -> Tensor:
        return src.reshape(7, 7)


class WantsMore(nn.Module):
    def forward(self, src: Tensor, strength: float) -> Tensor:
        return src.mean(1, keepdim=True) * strength


KINDS: dict[str, type[nn.Module]] = {
    "alpha": Alpha,
    "flat alpha": FlatAlpha,
    "both": Both,
    "recurrent": Recurrent,
    "recurrent alpha": RecurrentAlpha,
    "smaller": Smaller,
    "wild": Wild,
    "too many": TooMany,
    "wrong shape": WrongShape,
    "wrong type": WrongType,
    "no tensor": NoTensor,
    "failing": Failing,
    "wants more": WantsMore,
}


def save_module(module: nn.Module, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(module), path)


def save_scripted(kind: str, path: Path) -> None:
    save_module(KINDS[kind](), path)
