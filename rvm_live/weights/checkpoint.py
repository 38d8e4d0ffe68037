"""Looks into a checkpoint before any of it is believed: what tensors it holds, and where in the file they lie.

Neither torch nor a pickle runs, and nothing is allocated but the list of tensors. Zip files of ``torch.save`` and
safetensors files are known; the values are read afterwards (``places.py``), from where every check was passed.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections import OrderedDict
from math import prod
from typing import Any

from rvm_live.weights.pickled import DTYPES, ForeignCode, Malformed, TensorEntry, read_pickle
from rvm_live.weights.places import Placed, Span, Unfit, shortened

__all__ = ["inspect"]

_LONGEST_LIST = 1 << 20  # bytes; the official files take under 0.1 MiB for their list of tensors
_LARGEST_SAFETENSORS_HEADER = 100_000_000  # what the format allows; beyond it a file is none
_MOST_RECORDS = 10_000
_SAFETENSORS = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
    "C64": "complex64",
}
_LEGACY = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"  # torch's magic number, pickled
_DAMAGED = "is not a checkpoint, or a truncated or damaged one"
_DAMAGED_ZIP = "is a truncated or damaged checkpoint"
_DAMAGED_SAFETENSORS = "is a truncated or damaged safetensors file"
# All that zipfile answers damage with.
_ZIP_ERRORS = (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError, struct.error)


def inspect(data: bytes) -> dict[str, Placed]:
    """Every tensor of a checkpoint, at least one; none of its values was looked at.

    Args:
        data: the whole file.

    Raises:
        Unfit: it is no state dict of plain tensors, or a damaged one.
    """
    header = int.from_bytes(data[:8], "little")
    if data[8:9] == b"{" and 2 <= header <= _LARGEST_SAFETENSORS_HEADER:
        return _of_safetensors(data, header)
    if data[:2] == b"PK":
        return _of_zip(data)
    if data.startswith(_LEGACY):
        raise Unfit(
            "is in the format of torch before 1.6, which is not read since it can hide code: if you trust its maker, "
            "load it with torch.load and save it again with torch.save"
        )
    if data[:1] == b"\x80":
        raise Unfit("is a Python pickle, not a checkpoint; nothing in it was run")
    raise Unfit(_DAMAGED)


def _of_safetensors(data: bytes, header: int) -> dict[str, Placed]:
    """The format: https://github.com/huggingface/safetensors#format"""
    if header > _LONGEST_LIST:
        raise Unfit(f"has a header of {header:,} bytes, far longer than RobustVideoMatting's")
    first = 8 + header
    if first > len(data):
        raise Unfit(_DAMAGED_SAFETENSORS)
    try:
        listed = json.loads(data[8:first], object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError) as error:
        raise Unfit(_DAMAGED_SAFETENSORS) from error
    listed.pop("__metadata__", None)
    places = {name: _of_entry(name, entry, first) for name, entry in listed.items()}
    end = first
    for place in sorted(places.values(), key=lambda place: (place.start, place.size)):
        if place.start != end:
            raise Unfit(_DAMAGED_SAFETENSORS)  # gaps and overlaps are against the format
        end += place.size
    if end != len(data):
        raise Unfit(_DAMAGED_SAFETENSORS)
    if not places:
        raise Unfit("holds no tensors")
    return places


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name comes twice")
    return found


def _of_entry(name: str, entry: Any, first: int) -> Placed:
    """One entry of a safetensors header; its place is checked against the others by the caller."""
    if type(entry) is not dict or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise Unfit(_DAMAGED_SAFETENSORS)
    kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not (_counts(shape) and _counts(offsets) and len(shape) <= 16 and len(offsets) == 2 and type(kind) is str):
        raise Unfit(_DAMAGED_SAFETENSORS)
    if kind not in _SAFETENSORS:
        raise Unfit(f"is not usable: {shortened(name)} holds {shortened(kind)}, not floating-point values")
    stride = tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))
    span = Span(first + offsets[0], offsets[1] - offsets[0])
    place = Placed(_SAFETENSORS[kind], tuple(shape), stride, span.start, span)
    if place.size != span.size:
        raise Unfit(_DAMAGED_SAFETENSORS)
    return place


def _counts(values: Any) -> bool:
    return type(values) is list and all(type(value) is int and 0 <= value <= 1 << 62 for value in values)


def _of_zip(data: bytes) -> dict[str, Placed]:
    # zipfile makes an object for each of these marks; a file of nothing else would fill the memory.
    if data.count(b"PK\x01\x02") > _MOST_RECORDS:
        raise Unfit(f"holds more than {_MOST_RECORDS:,} records, so it is no RobustVideoMatting checkpoint")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            records = archive.infolist()
    except _ZIP_ERRORS as error:
        raise Unfit(_DAMAGED_ZIP) from error
    names = [record.filename for record in records]
    if any(name.endswith("/constants.pkl") or "/code/" in name for name in names):
        raise Unfit("is a TorchScript model, not a checkpoint: run it with --engine torchscript")
    lists = [name for name in names if name.endswith("/data.pkl") and name.count("/") == 1]
    if not lists:
        raise Unfit("is a zip archive, not a RobustVideoMatting checkpoint")
    if len(set(names)) != len(names) or len(lists) > 1:
        raise Unfit("is no checkpoint of torch.save: a record's name comes twice")
    spans = {record.filename: _span(data, record) for record in records}
    if sum(span.size for span in spans.values()) > len(data):
        raise Unfit(_DAMAGED_ZIP)  # records that overlap
    root = lists[0].removesuffix("data.pkl")
    if f"{root}byteorder" in spans and _bytes(data, spans[f"{root}byteorder"]) != b"little":
        raise Unfit("was saved on a big-endian machine: load it there and save it as safetensors")
    if spans[lists[0]].size > _LONGEST_LIST:
        raise Unfit(f"has a list of tensors of {spans[lists[0]].size:,} bytes, far longer than RobustVideoMatting's")
    entries = _entries(_bytes(data, spans[lists[0]]))
    return {name: _placed(name, entry, spans.get(f"{root}data/{entry.storage.key}")) for name, entry in entries.items()}


def _bytes(data: bytes, span: Span) -> bytes:
    found = data[span.start : span.start + span.size]
    if zlib.crc32(found) != span.crc:
        raise Unfit(_DAMAGED_ZIP)
    return found


def _span(data: bytes, record: zipfile.ZipInfo) -> Span:
    """Where a record's bytes lie, by its own header, which must agree with the directory."""
    if record.compress_type != zipfile.ZIP_STORED:
        raise Unfit("holds compressed records, which torch.save does not write: save it again with torch.save")
    if record.flag_bits & 0x1:
        raise Unfit("holds encrypted records, which torch.save does not write")
    at = record.header_offset
    header = data[at : at + 30] if at >= 0 else b""
    if len(header) < 30 or header[:4] != b"PK\x03\x04" or record.file_size != record.compress_size:
        raise Unfit(_DAMAGED_ZIP)
    name_length, extra_length = struct.unpack("<HH", header[26:30])
    name = record.orig_filename.encode("utf-8" if record.flag_bits & 0x800 else "cp437")
    if data[at + 30 : at + 30 + name_length] != name:
        raise Unfit(_DAMAGED_ZIP)
    start = at + 30 + name_length + extra_length
    if start + record.file_size > len(data):
        raise Unfit(_DAMAGED_ZIP)
    return Span(start, record.file_size, record.CRC)


def _entries(pickled: bytes) -> dict[str, TensorEntry]:
    try:
        loaded = read_pickle(pickled)
    except ForeignCode as error:
        raise Unfit(
            f"holds pickled code beside tensors ({shortened(error)}); it was not run, and the file is not used"
        ) from error
    except Malformed as error:
        raise Unfit(_DAMAGED) from error
    if not isinstance(loaded, dict) or not loaded:
        raise Unfit(f"holds a {_kind(loaded)}, not a state dict")
    for name, value in loaded.items():
        if type(name) is not str or not isinstance(value, TensorEntry):
            raise Unfit(f"is no state dict: its entry {shortened(name)} is a {_kind(value)}")
    return loaded


def _kind(value: object) -> str:
    if isinstance(value, TensorEntry):
        return "Tensor"
    if isinstance(value, (bool, int, float, str, tuple, list, dict, OrderedDict)) or value is None:
        return type(value).__name__
    return "fragment"


def _placed(name: str, entry: TensorEntry, span: Span | None) -> Placed:
    storage, width = entry.storage, DTYPES[entry.storage.dtype]
    if span is None:
        raise Unfit(f"is a damaged checkpoint: the values of {shortened(name)} are not in it")
    if storage.numel * width != span.size:
        raise Unfit(
            f"is a damaged checkpoint: the values of {shortened(name)} are {span.size:,} bytes, not as declared"
        )
    if not _is_dense(entry.shape, entry.stride):
        raise Unfit(f"is not usable: {shortened(name)} overlaps itself or has gaps; save it again after .contiguous()")
    if entry.offset + prod(entry.shape) > storage.numel:
        raise Unfit(f"is a damaged checkpoint: {shortened(name)} reaches beyond its values")
    return Placed(storage.dtype, entry.shape, entry.stride, span.start + entry.offset * width, span)


def _is_dense(shape: tuple[int, ...], stride: tuple[int, ...]) -> bool:
    """Whether each value has one place, and all places lie together, in whichever order of the axes."""
    if 0 in shape:
        return True
    expected = 1
    for step, size in sorted((step, size) for size, step in zip(shape, stride, strict=True) if size != 1):
        if step != expected:
            return False
        expected *= size
    return True
