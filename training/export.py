"""Writes the weights that a run ended with into the package: ``python -m training.export [--cache FOLDER]``.

The run's log is copied along, with a last line that says what was written: weights and log belong together.
"""

from __future__ import annotations

import argparse
import json
import os
from hashlib import sha256
from pathlib import Path

import torch
from safetensors.torch import save_file

from rvm_live.engines.lite.engine import EMBEDDED
from rvm_live.engines.lite.weights import load_network
from training.cache import DEFAULT_CACHE
from training.curve import LOG
from training.weights import read_checkpoint, result

__all__ = ["LARGEST", "export", "main"]

LARGEST = 1_500_000
"""Bytes the package has for them."""


def export(checkpoint: Path, output: Path) -> int:
    """Write a checkpoint's resulting weights in half precision; returns the file's size in bytes.

    Raises:
        ValueError: a value does not fit into half precision, or the file is too large.
    """
    halves = {name: value.half().cpu().contiguous() for name, value in result(read_checkpoint(checkpoint)).items()}
    for name, value in halves.items():
        if not torch.isfinite(value).all():
            raise ValueError(f"{name} does not fit into half precision")
    part = output.with_suffix(".part")
    save_file(halves, part, metadata={"network": "rvm-live lite", "format": "pt"})
    part.chmod(0o644)  # packages must be readable by everybody
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
    parser.add_argument("--log", type=Path, default=LOG)
    chosen = parser.parse_args(arguments)
    cache = chosen.cache.expanduser()
    size = export(cache / "checkpoint.pt", chosen.output)
    told = (cache / "log.jsonl").read_text(encoding="utf-8")
    frames = int(read_checkpoint(cache / "checkpoint.pt")["frames"])
    end = {"frames": frames, "event": "export", "sha256": sha256(chosen.output.read_bytes()).hexdigest()}
    chosen.log.write_text(told + json.dumps(end) + "\n", encoding="utf-8")
    print(f"{chosen.output}: {size} bytes")


if __name__ == "__main__":
    main()
