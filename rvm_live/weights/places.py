"""Where in a file a checkpoint's tensors lie, and reading them from there."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from rvm_live.weights.pickled import DTYPES

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Placed", "Span", "Unfit", "read_tensors", "shortened"]


class Unfit(ValueError):
    """The file cannot be used; the message is a predicate: "is ...", "holds ..."."""


@dataclass(frozen=True)
class Span:
    """Bytes of the file that lie in it whole.

    Attributes:
        start: first byte.
        size: number of bytes.
        crc: CRC-32 that they are to have; None where the format has none.
    """

    start: int
    size: int
    crc: int | None = None


@dataclass(frozen=True)
class Placed:
    """A tensor whose values lie in the file without gaps and without overlap.

    Attributes:
        dtype: torch's name of it.
        shape: sizes.
        stride: steps, values.
        start: first byte of its values in the file.
        within: the record they are part of.
    """

    dtype: str
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    start: int
    within: Span

    @property
    def size(self) -> int:
        """Bytes."""
        return prod(self.shape) * DTYPES[self.dtype]


def shortened(name: object) -> str:
    """A name from a file for a message: quoted, on one line, cut where it is long."""
    text = name if isinstance(name, str) else str(name)
    return repr(text if len(text) <= 80 else text[:77] + "...")


def read_tensors(data: bytes, places: Mapping[str, Placed]) -> dict[str, Tensor]:
    """Copy the values out, on the CPU.

    Args:
        data: the whole file.
        places: what ``checkpoint.inspect`` found in the same file; their shapes decide what is allocated.

    Raises:
        Unfit: a record's bytes are not those that were written.
    """
    import torch

    whole = memoryview(data)
    intact: set[Span] = set()
    tensors: dict[str, Tensor] = {}
    for name, place in places.items():
        span = place.within
        if span.crc is not None and span not in intact:
            if zlib.crc32(whole[span.start : span.start + span.size]) != span.crc:
                raise Unfit(f"is a damaged checkpoint: the values of {shortened(name)} fail their checksum")
            intact.add(span)
        copied = bytearray(whole[place.start : place.start + place.size])
        flat = torch.frombuffer(copied, dtype=getattr(torch, place.dtype))
        tensors[name] = flat.as_strided(place.shape, place.stride).clone()  # memory of torch's own, aligned
    return tensors
