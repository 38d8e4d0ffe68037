"""Write the averaged weights into the package: ``python -m training.export [--cache FOLDER] [--output FILE]``."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch
from safetensors.torch import save_file

from rvm_live.engines.lite.engine import EMBEDDED
from rvm_live.engines.lite.weights import load_network
from training.cache import DEFAULT_CACHE
from training.weights import read_checkpoint

__all__ = ["LARGEST", "export", "main"]

LARGEST = 1_500_000
"""Bytes the package has for them."""


def export(checkpoint: Path, output: Path) -> int:
    """Write a checkpoint's averages in half precision; returns the file's size in bytes.

    Raises:
        ValueError: a value does not fit into half precision, or the file is too large.
    """
    values = read_checkpoint(checkpoint)["average"]
    halves = {name: value.half().contiguous() for name, value in values.items() if value.is_floating_point()}
    for name, value in halves.items():
        if not torch.isfinite(value).all():
            raise ValueError(f"{name} does not fit into half precision")
    part = output.with_suffix(".part")
    save_file(halves, part, metadata={"network": "rvm-live lite", "format": "pt"})
    size = part.stat().st_size
    if size > LARGEST:
        part.unlink()
        raise ValueError(f"the weights take {size} bytes, more than {LARGEST}")
    load_network(part)
    os.replace(part, output)
    return size


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE)
    parser.add_argument("--output", type=Path, default=EMBEDDED)
    chosen = parser.parse_args(arguments)
    size = export(chosen.cache.expanduser() / "checkpoint.pt", chosen.output)
    print(f"{chosen.output}: {size} bytes")


if __name__ == "__main__":
    main()
