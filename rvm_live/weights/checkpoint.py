"""Checks a checkpoint before it is used: first the list of its tensors, then their values.

A safetensors file is read by that library. Of a zip file of ``torch.save`` zipfile reads the records and compares their
checksums, and ``pickled.py`` its list of tensors: it also says why ``torch.load`` is not used.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from math import prod
from typing import TYPE_CHECKING

from rvm_live.weights.pickled import DTYPES, ForeignCode, Malformed, TensorEntry, read_pickle

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Entry", "Unfit", "inspect", "shortened"]

_LONGEST_LIST = 1 << 20  # bytes; the tensor lists of the official files take less than 0.1 MiB
_LARGEST_SAFETENSORS_HEADER = 100_000_000  # the format's limit; a larger header is invalid
_MOST_RECORDS = 10_000
_LEGACY = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"  # torch's magic number, pickled
_DAMAGED = "is not a checkpoint, or a truncated or damaged one"
_DAMAGED_ZIP = "is a truncated or damaged checkpoint"
# All errors that zipfile raises for damaged files.
_ZIP_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, OSError, ValueError, RuntimeError, EOFError, struct.error),
    OverflowError,  # an offset that no file can have
)


class Unfit(ValueError):
    """The file cannot be used; the message is a predicate: "is ...", "contains ..."."""


@dataclass(frozen=True)
class Entry:
    """A tensor of a file.

    Attributes:
        dtype: torch's name of it.
        shape: sizes.
        read: its values, on the CPU; raises :class:`Unfit` where they are not those that were saved.
    """

    dtype: str
    shape: tuple[int, ...]
    read: Callable[[], Tensor]


def shortened(name: object) -> str:
    """A name from a file for a message: quoted, on one line, cut where it is long."""
    text = name if isinstance(name, str) else str(name)
    return repr(text if len(text) <= 80 else text[:77] + "...")


def inspect(data: bytes) -> dict[str, Entry]:
    """Every tensor of a checkpoint, at least one; no values have been read yet.

    Args:
        data: the whole file.

    Raises:
        Unfit: it is not a state dict of plain tensors, or a damaged one.
    """
    header = int.from_bytes(data[:8], "little")
    if data[8:9] == b"{" and 2 <= header <= _LARGEST_SAFETENSORS_HEADER:
        return _of_safetensors(data, header)
    if data[:2] == b"PK":
        return _of_zip(data)
    if data.startswith(_LEGACY):
        raise Unfit(
            "is in the format of torch before 1.6, which is not read because it can contain code: if you trust "
            "its author, "
            "load it with torch.load and save it again with torch.save"
        )
    if data[:1] == b"\x80":
        raise Unfit("is a Python pickle, not a checkpoint; nothing in it was run")
    raise Unfit(_DAMAGED)


def _of_safetensors(data: bytes, header: int) -> dict[str, Entry]:
    if header > _LONGEST_LIST:
        raise Unfit(f"has a header of {header:,} bytes, far longer than RobustVideoMatting's")
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(data)
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:  # KeyError: torch has no such data type
        raise Unfit("is a truncated or damaged safetensors file") from error
    if not tensors:
        raise Unfit("contains no tensors")
    return {
        name: Entry(str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape), partial(_itself, tensor))
        for name, tensor in tensors.items()
    }


def _itself(tensor: Tensor) -> Tensor:
    return tensor


def _of_zip(data: bytes) -> dict[str, Entry]:
    # zipfile makes an object for each of these marks; a file full of them would fill the memory.
    if data.count(b"PK\x01\x02") > _MOST_RECORDS:
        raise Unfit(f"contains more than {_MOST_RECORDS:,} records, so it is not a RobustVideoMatting checkpoint")
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except _ZIP_ERRORS as error:
        raise Unfit(_DAMAGED_ZIP) from error
    records = {record.filename: record for record in archive.infolist()}
    if any(name.endswith("/constants.pkl") or "/code/" in name for name in records):
        raise Unfit("is a TorchScript model, not a checkpoint: run it with --engine torchscript")
    lists = [name for name in records if name.endswith("/data.pkl") and name.count("/") == 1]
    if not lists:
        raise Unfit("is a zip archive, not a RobustVideoMatting checkpoint")
    if len(records) != len(archive.infolist()) or len(lists) > 1:
        raise Unfit("is not a checkpoint of torch.save: two records have the same name")
    for record in records.values():
        _check_record(record)
    if sum(record.file_size for record in records.values()) > len(data):
        raise Unfit(_DAMAGED_ZIP)  # records overlap
    root = lists[0].removesuffix("data.pkl")

    @cache  # tensors may share a record
    def content(name: str) -> bytearray:
        return bytearray(archive.read(name))

    try:
        if f"{root}byteorder" in records and content(f"{root}byteorder") != b"little":
            raise Unfit("was saved on a big-endian machine: load it there and save it as safetensors")
        if records[lists[0]].file_size > _LONGEST_LIST:
            raise Unfit(
                f"has a list of tensors of {records[lists[0]].file_size:,} bytes, far longer than RobustVideoMatting's"
            )
        listed = bytes(content(lists[0]))
    except _ZIP_ERRORS as error:
        raise error if isinstance(error, Unfit) else Unfit(_DAMAGED_ZIP) from error
    sizes = {name: record.file_size for name, record in records.items()}
    return {
        name: _entry(name, entry, sizes.get(where := f"{root}data/{entry.storage.key}"), where, content)
        for name, entry in _entries(listed).items()
    }


def _check_record(record: zipfile.ZipInfo) -> None:
    if record.compress_type != zipfile.ZIP_STORED:
        raise Unfit("contains compressed records, which torch.save does not write: save it again with torch.save")
    if record.flag_bits & 0x1:
        raise Unfit("contains encrypted records, which torch.save does not write: save it again with torch.save")
    if record.file_size != record.compress_size:
        raise Unfit(_DAMAGED_ZIP)


def _entries(pickled: bytes) -> dict[str, TensorEntry]:
    try:
        loaded = read_pickle(pickled)
    except ForeignCode as error:
        raise Unfit(
            f"contains pickled code besides tensors ({shortened(error)}); it was not run, and the file is not used"
        ) from error
    except Malformed as error:
        raise Unfit(_DAMAGED) from error
    if not isinstance(loaded, dict) or not loaded:
        raise Unfit(f"contains a {_kind(loaded)}, not a state dict")
    for name, value in loaded.items():
        if type(name) is not str or not isinstance(value, TensorEntry):
            raise Unfit(f"is not a state dict: its entry {shortened(name)} is a {_kind(value)}")
    return loaded


def _kind(value: object) -> str:
    if isinstance(value, TensorEntry):
        return "Tensor"
    known = isinstance(value, (bool, int, float, str, tuple, list, dict, type(None)))
    return type(value).__name__ if known else "fragment"


def _entry(name: str, entry: TensorEntry, size: int | None, record: str, content: Callable[[str], bytearray]) -> Entry:
    (dtype, _, numel), offset, shape, stride = entry
    if size is None:
        raise Unfit(f"is a damaged checkpoint: the values of {shortened(name)} are missing")
    if numel * DTYPES[dtype] != size:
        raise Unfit(f"is a damaged checkpoint: the values of {shortened(name)} are {size:,} bytes, not as declared")
    if not _is_dense(shape, stride):
        raise Unfit(
            f"is not usable: {shortened(name)} overlaps itself or has gaps; call .contiguous() and save it again"
        )
    if offset + prod(shape) > numel:
        raise Unfit(f"is a damaged checkpoint: {shortened(name)} has too few values")

    def read() -> Tensor:
        import torch

        kind = getattr(torch, dtype)
        if not size:
            return torch.empty(shape, dtype=kind)
        try:
            values = content(record)
        except _ZIP_ERRORS as error:
            raise Unfit(f"{_DAMAGED_ZIP}: the values of {shortened(name)} do not match their checksum") from error
        return torch.frombuffer(values, dtype=kind).as_strided(shape, stride, offset)

    return Entry(dtype, shape, read)


def _is_dense(shape: tuple[int, ...], stride: tuple[int, ...]) -> bool:
    """Whether the values fill their memory without gaps or overlaps, in any order of the axes."""
    if 0 in shape:
        return True
    expected = 1
    for step, size in sorted((step, size) for size, step in zip(shape, stride, strict=True) if size != 1):
        if step != expected:
            return False
        expected *= size
    return True
