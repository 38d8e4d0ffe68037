"""Runs the Triton kernels in Triton's own interpreter, on the CPU. A program of its own, since Triton decides at import
whether it interprets. Prints one JSON object: the error of each case."""

from __future__ import annotations

import json
import sys

import numpy as np
import torch

from rvm_live.compositing import fused as blending
from rvm_live.engines.rvm.torch import triton_kernels
from rvm_live.engines.rvm.torch.full_size import PlainFullSize

SIZES = ((97, 161, 0.4), (96, 160, 0.25), (33, 50, 1.0), (50, 91, 0.37), (16, 700, 0.2))


def full_size(height: int, width: int, ratio: float) -> dict[str, float]:
    """The largest difference between the kernels and torch's operations, in grey levels, and the share of values that
    differ."""
    generator = torch.Generator().manual_seed(height)
    image = torch.randint(0, 256, (height, width, 3), dtype=torch.uint8, generator=generator)
    plain, ours = PlainFullSize(), triton_kernels.FusedFullSize()
    (small, picture), (other, same) = plain.shrunk(image, ratio), ours.shrunk(image, ratio)
    shape = (1, 4, *small.shape[2:])
    model = (torch.randn(shape, generator=generator), torch.rand(shape, generator=generator))
    apart, unequal = 0, 0.0
    for foreground in (True, False):
        expected = plain.applied(picture, model, foreground=foreground)
        found = ours.applied(same, model, foreground=foreground)
        for one, two in zip(expected, found, strict=True):
            if one is None or two is None:
                assert one is two
                continue
            assert one.shape == two.shape and one.dtype == two.dtype
            apart = max(apart, int((one.int() - two.int()).abs().max()))
            unequal = max(unequal, float((one != two).float().mean()))
    return {"shrunk": float((small - other).abs().max()), "levels": apart, "unequal": unequal}


def blend() -> int:
    """How many values of a random composite differ from the formula."""
    rng = np.random.default_rng(3)
    colour, plate = rng.integers(0, 256, (2, 37, 41, 3), np.uint8)
    alpha = rng.integers(0, 256, (37, 41), np.uint8)
    share = alpha[..., None] / 255
    expected = np.rint(colour * share) + np.rint(plate * (1 - share))
    result = blending.blended(*(torch.from_numpy(part) for part in (colour, alpha, plate)))
    return int((result.numpy() != expected).sum())


def broken() -> list[str | None]:
    """What the checks say when a kernel's numbers are wrong."""
    said = []
    right = triton_kernels.FusedFullSize.shrunk
    triton_kernels.FusedFullSize.shrunk = lambda self, image, ratio: right(self, image.flip(1), ratio)  # type: ignore[method-assign]
    said.append(triton_kernels.why_wrong("cpu"))
    triton_kernels.FusedFullSize.shrunk = right  # type: ignore[method-assign]
    applied = triton_kernels.FusedFullSize.applied
    triton_kernels.FusedFullSize.applied = lambda self, picture, model, *, foreground: applied(  # type: ignore[method-assign]
        self, picture, (model[0], model[1] + 0.05), foreground=foreground
    )
    said.append(triton_kernels.why_wrong("cpu"))
    made = blending.blended
    blending.blended = lambda colour, alpha, plate: made(plate, alpha, colour)
    said.append(blending.why_wrong("cpu"))
    return said


if __name__ == "__main__":
    told = {
        "checks": [triton_kernels.why_wrong("cpu"), blending.why_wrong("cpu")],
        "full size": [full_size(*size) for size in SIZES],
        "blend": blend(),
        "broken": broken(),
    }
    json.dump(told, sys.stdout)
