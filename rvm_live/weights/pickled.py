"""Reads the one pickle in a checkpoint of ``torch.save``: it cannot import, call or allocate anything.

It uses Python's own unpickler with only the few opcodes that a dictionary of tensors needs, and
with descriptions in place of classes. ``torch.load(weights_only=True)`` is not enough: a key made of tuples within
tuples keeps it busy for ever, of the archive around it no checksum is compared and a name may come twice, sizes are
not compared with the records', and it takes nothing of protocol 4.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

__all__ = ["DTYPES", "ForeignCode", "Malformed", "Storage", "TensorEntry", "read_pickle"]

DTYPES = {
    "bool": 1,
    "uint8": 1,
    "int8": 1,
    "int16": 2,
    "int32": 4,
    "int64": 8,
    "float16": 2,
    "bfloat16": 2,
    "float32": 4,
    "float64": 8,
    "complex64": 8,
    "complex128": 16,
}
"""torch's names of the types of values, and their size in bytes."""

_STORAGES = {
    "torch.BoolStorage": "bool",
    "torch.ByteStorage": "uint8",
    "torch.CharStorage": "int8",
    "torch.ShortStorage": "int16",
    "torch.IntStorage": "int32",
    "torch.LongStorage": "int64",
    "torch.HalfStorage": "float16",
    "torch.BFloat16Storage": "bfloat16",
    "torch.FloatStorage": "float32",
    "torch.DoubleStorage": "float64",
    "torch.ComplexFloatStorage": "complex64",
    "torch.ComplexDoubleStorage": "complex128",
}
_KEPT = (
    "PROTO FRAME STOP NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE SHORT_BINUNICODE "
    "EMPTY_DICT EMPTY_LIST EMPTY_TUPLE MARK TUPLE TUPLE1 TUPLE2 TUPLE3 APPEND APPENDS BINPUT LONG_BINPUT MEMOIZE "
    "BINGET LONG_BINGET GLOBAL STACK_GLOBAL BINPERSID"
)
_RUNS_CODE = ("INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4")
_MOST_DIMENSIONS = 16
_LARGEST = 1 << 62


class Malformed(ValueError):
    """The pickle is not one that ``torch.save`` writes."""


class ForeignCode(ValueError):
    """The pickle names or calls something else than tensors; the message is the name, or what it would have done."""


class Storage(NamedTuple):
    """Values in their own record of the archive.

    Attributes:
        dtype: one of :data:`DTYPES`.
        key: name of the record.
        numel: number of values it says it has.
    """

    dtype: str
    key: str
    numel: int


class TensorEntry(NamedTuple):
    """A tensor as the pickle describes it: only types and signs were checked.

    Attributes:
        storage: where its values are.
        offset: of its first value in the storage, values.
        shape: up to 16 sizes.
        stride: as many steps, values.
    """

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


def read_pickle(data: bytes) -> object:
    """What the pickle describes: None, bool, int, float, str, tuple, list, dict, OrderedDict and TensorEntry.

    Time and memory follow the length of ``data``.

    Raises:
        ForeignCode: it would import or call something else; nothing was run.
        Malformed: it is damaged, or of other parts than these.
    """
    try:
        return _Reader(io.BytesIO(data)).load()
    except ForeignCode:
        raise
    except Exception as error:  # a damaged file may fail in as many ways as there are opcodes
        raise Malformed(f"{type(error).__name__}: {error}") from error


class _Reader(pickle._Unpickler):  # not the C version: that allocates as many entries as the file claims
    stack: list[Any]
    append: Callable[[Any], None]
    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        code: pickle._Unpickler.dispatch[code] for code in (getattr(pickle, name)[0] for name in _KEPT.split())
    }

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        if full in _STORAGES:
            return _Kind(_STORAGES[full])
        if full not in _CALLED:
            raise ForeignCode(full)
        return _CALLED[full]

    def persistent_load(self, told: Any) -> Storage:
        word, kind, key, _, count = told  # the fourth is the original device
        if word != "storage" or type(kind) is not _Kind or type(key) is not str or not _whole(count):
            raise Malformed("a storage of unknown type")
        return Storage(kind.dtype, key, count)

    def _set(self, items: list[Any]) -> None:
        top = self.stack[-1]
        # Hashing nested tuples could take any time, and any depth.
        if type(top) not in (dict, OrderedDict) or any(type(key) not in (str, int) for key in items[::2]):
            raise Malformed("entries outside a dictionary, or without a name")
        top.update(zip(items[::2], items[1::2], strict=True))

    def _setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key, value])

    def _reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if type(arguments) is not tuple or function not in _CALLED.values():
            raise (Malformed if type(function) is _Kind else ForeignCode)("a call")
        self.append(function(*arguments))

    def _build(self) -> None:
        # The attributes of an OrderedDict (torch's version numbers) are of no use here.
        if type(self.stack.pop()) is not dict or type(self.stack[-1]) is not OrderedDict:
            raise ForeignCode("an object's state")

    def _run(self) -> None:
        raise ForeignCode("an object of a class")

    dispatch |= {
        pickle.SETITEM[0]: _setitem,
        pickle.SETITEMS[0]: lambda self: self._set(self.pop_mark()),
        pickle.REDUCE[0]: _reduce,
        pickle.BUILD[0]: _build,
        **dict.fromkeys((getattr(pickle, name)[0] for name in _RUNS_CODE), _run),
    }


class _Kind(NamedTuple):
    """A class of storages; never looked up."""

    dtype: str


def _ordered_dict() -> OrderedDict[Any, Any]:
    return OrderedDict()


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> TensorEntry:
    if type(storage) is not Storage or not _whole(offset) or not _sizes(shape) or not _sizes(stride):
        raise Malformed("a tensor made of unexpected parts")
    if len(shape) != len(stride):
        raise Malformed("a tensor's sizes and strides differ in number")
    return TensorEntry(storage, offset, shape, stride)


def _parameter(tensor: Any, *_: Any) -> TensorEntry:
    if type(tensor) is not TensorEntry:
        raise Malformed("a parameter that is not a tensor")
    return tensor


_CALLED: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _ordered_dict,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
}


def _whole(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _LARGEST


def _sizes(value: Any) -> bool:
    return type(value) is tuple and len(value) <= _MOST_DIMENSIONS and all(_whole(size) for size in value)
