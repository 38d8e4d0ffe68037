"""Reads the one pickle in a checkpoint without unpickling it: nothing is imported, called or allocated on its word.

A small stack machine knows the few opcodes of which ``torch.save`` makes a dictionary of tensors, and the few names
that belong there. Tensors become descriptions. All else is refused where it stands.

The format: https://github.com/python/cpython/blob/main/Lib/pickletools.py
"""

from __future__ import annotations

import io
import pickletools
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, NamedTuple

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
_ORDERED_DICT = "collections.OrderedDict"
_TENSOR = "torch._utils._rebuild_tensor_v2"
_PARAMETER = "torch._utils._rebuild_parameter"
_NAMES = {_ORDERED_DICT, _TENSOR, _PARAMETER, *_STORAGES}

_LITERALS = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE"}
_FIXED = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_FRESH: dict[str, type] = {"EMPTY_DICT": dict, "EMPTY_LIST": list}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_RUNS_CODE = {"INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"}
_OPCODES = {info.code.encode("latin-1"): info for info in pickletools.opcodes}

# A ResNet50's list has about 15,000 steps.
_MOST_STEPS = 100_000
_MOST_DIMENSIONS = 16
_LARGEST = 1 << 62


class Malformed(ValueError):
    """It is no pickle that ``torch.save`` writes."""


class ForeignCode(ValueError):
    """It names or calls something beside tensors; the message is the name, or what it would have done."""


class Storage(NamedTuple):
    """Values in a record of their own.

    Attributes:
        dtype: one of :data:`DTYPES`.
        key: name of the record.
        numel: number of values it says it has.
    """

    dtype: str
    key: str
    numel: int


@dataclass(frozen=True)
class TensorEntry:
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


class _Name(NamedTuple):
    """A global that stands on the list; never looked up."""

    name: str


def read_pickle(data: bytes) -> object:
    """What the pickle describes: None, bool, int, float, str, tuple, list, dict, OrderedDict and TensorEntry.

    Raises:
        ForeignCode: it would import or call something else; nothing was run.
        Malformed: it is damaged, or of other parts than these.
    """
    return _Machine(data).run()


class _Machine:
    def __init__(self, data: bytes) -> None:
        self._stream = io.BytesIO(data)
        self._stack: list[Any] = []
        self._outer: list[list[Any]] = []  # the stacks below each open mark
        self._memo: dict[int, Any] = {}  # not a list: an index costs what was stored, not what it says

    def run(self) -> object:
        for _ in range(_MOST_STEPS):
            name, value = self._next()
            if name == "STOP":
                return self._pop()
            self._step(name, value)
        raise Malformed("more steps than a checkpoint has")

    def _next(self) -> tuple[str, Any]:
        info = _OPCODES.get(self._stream.read(1))
        if info is None:
            raise Malformed("it ends early, or holds what is no opcode")
        if info.name in _RUNS_CODE:
            raise ForeignCode(info.name)
        try:
            return info.name, info.arg.reader(self._stream) if info.arg else None
        except ValueError as error:
            raise Malformed(str(error)) from error

    def _step(self, name: str, value: Any) -> None:
        stack = self._stack
        if name in _LITERALS:
            stack.append(value)
        elif name in _FIXED:
            stack.append(_FIXED[name])
        elif name in _FRESH:
            stack.append(_FRESH[name]())
        elif name in ("BINPUT", "LONG_BINPUT"):
            self._memo[value] = self._top()
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = self._top()
        elif name in ("BINGET", "LONG_BINGET"):
            if value not in self._memo:
                raise Malformed("it recalls what was not stored")
            stack.append(self._memo[value])
        elif name == "MARK":
            self._outer.append(stack)
            self._stack = []
        elif name == "TUPLE":
            self._push(tuple(self._since_mark()))
        elif name in _TUPLES:
            stack.append(tuple(reversed([self._pop() for _ in range(_TUPLES[name])])))
        elif name in ("SETITEM", "SETITEMS"):
            items = self._since_mark() if name == "SETITEMS" else [self._pop(), self._pop()][::-1]
            self._set(items)
        elif name in ("APPEND", "APPENDS"):
            items = self._since_mark() if name == "APPENDS" else [self._pop()]
            self._list().extend(items)
        elif name == "GLOBAL":
            stack.append(_listed(value.replace(" ", ".", 1)))
        elif name == "STACK_GLOBAL":
            last, module = self._pop(), self._pop()
            if type(last) is not str or type(module) is not str:
                raise Malformed("a name is no text")
            stack.append(_listed(f"{module}.{last}"))
        elif name == "BINPERSID":
            stack.append(_storage(self._pop()))
        elif name == "REDUCE":
            arguments, function = self._pop(), self._pop()
            stack.append(_called(function, arguments))
        elif name == "BUILD":
            # What an OrderedDict carries beside its entries (torch's version numbers) is of no use here.
            if type(self._pop()) is not dict or type(self._top()) is not OrderedDict:
                raise ForeignCode("an object's state")
        elif name not in ("PROTO", "FRAME"):
            raise Malformed(f"{name} is not used by checkpoints")

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _top(self) -> Any:
        if not self._stack:
            raise Malformed("it takes from an empty stack")
        return self._stack[-1]

    def _pop(self) -> Any:
        value = self._top()
        del self._stack[-1]
        return value

    def _since_mark(self) -> list[Any]:
        if not self._outer:
            raise Malformed("a mark is missing")
        items, self._stack = self._stack, self._outer.pop()
        return items

    def _list(self) -> list[Any]:
        top = self._top()
        if type(top) is not list:
            raise Malformed("it appends to what is no list")
        return top

    def _set(self, items: list[Any]) -> None:
        top = self._top()
        if type(top) not in (dict, OrderedDict) or len(items) % 2:
            raise Malformed("it sets entries of what is no dictionary")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # Hashing tuples within tuples takes the time, and the depth, that the file likes.
            if type(key) not in (str, int):
                raise Malformed("a key is neither text nor a whole number")
            top[key] = value


def _listed(name: str) -> _Name:
    if name not in _NAMES:
        raise ForeignCode(name)
    return _Name(name)


def _storage(told: Any) -> Storage:
    if type(told) is not tuple or len(told) != 5:
        raise Malformed("a storage is not described in five parts")
    word, kind, key, _, count = told  # the fourth is the device it was on
    if word != "storage" or type(kind) is not _Name or kind.name not in _STORAGES:
        raise Malformed("a storage is of no known type")
    if type(key) is not str or not _whole(count):
        raise Malformed("a storage has no name or no size")
    return Storage(_STORAGES[kind.name], key, count)


def _called(function: Any, arguments: Any) -> Any:
    if type(function) is not _Name or type(arguments) is not tuple:
        raise ForeignCode("a call")
    if function.name == _ORDERED_DICT and not arguments:
        return OrderedDict()
    if function.name == _PARAMETER and len(arguments) == 3 and type(arguments[0]) is TensorEntry:
        return arguments[0]
    if function.name == _TENSOR and len(arguments) == 6:
        storage, offset, shape, stride = arguments[:4]
        if type(storage) is Storage and _whole(offset) and _sizes(shape) and _sizes(stride):
            if len(shape) != len(stride):
                raise Malformed("a tensor has more sizes than steps, or fewer")
            return TensorEntry(storage, offset, shape, stride)
    raise Malformed(f"{function.name} is given what does not belong to it")


def _whole(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _LARGEST


def _sizes(value: Any) -> bool:
    return type(value) is tuple and len(value) <= _MOST_DIMENSIONS and all(_whole(size) for size in value)
