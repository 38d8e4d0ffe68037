"""Malicious files, made by hand, and a separate process that opens them under limits."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT

__all__ = [
    "Outcome",
    "archive",
    "call",
    "code",
    "number",
    "opened_apart",
    "pickled",
    "png",
    "safetensors",
    "tensor",
    "text",
    "tuple_of",
]


# Pickles, opcode by opcode


def text(value: str) -> bytes:
    data = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(data)) + data


def number(value: int) -> bytes:
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    return b"\x8a\x09" + value.to_bytes(9, "little", signed=True)


def tuple_of(*values: bytes) -> bytes:
    return b"(" + b"".join(values) + b"t"


def call(function: str, *arguments: bytes) -> bytes:
    """A call in a pickle; ``function`` is written ``module name``."""
    module, name = function.split(" ")
    return f"c{module}\n{name}\n".encode() + tuple_of(*arguments) + b"R"


def tensor(
    key: str, numel: int, shape: tuple[int, ...], stride: tuple[int, ...], offset: int = 0, kind: str = "FloatStorage"
) -> bytes:
    """The pickle that ``torch.save`` writes for a tensor."""
    storage = tuple_of(text("storage"), f"ctorch\n{kind}\n".encode(), text(key), text("cpu"), number(numel)) + b"Q"
    sizes, steps = tuple_of(*map(number, shape)), tuple_of(*map(number, stride))
    rebuild = "torch._utils _rebuild_tensor_v2"
    return call(rebuild, storage, number(offset), sizes, steps, b"\x89", call("collections OrderedDict"))


def pickled(values: Mapping[str, bytes]) -> bytes:
    """A dictionary whose values are already pickled."""
    return b"\x80\x04}(" + b"".join(text(name) + value for name, value in values.items()) + b"u."


def code(trap: Path) -> dict[str, bytes]:
    """Pickled values, one for each way to run code; unpickling any of them creates the folder ``trap``."""
    made, mkdir = text(str(trap)), b"cos\nmkdir\n"
    python = text(f"__import__('os').mkdir({str(trap)!r})")
    inner = pickled({"x": call("os mkdir", made)})
    namespace = call("types SimpleNamespace") + b"}" + text("__setstate__") + mkdir + b"sb" + made + b"b"
    extension = call("copyreg add_extension", text("os"), text("mkdir"), number(1)) + b"0\x82\x01" + made + b"\x85R"
    module = call("importlib import_module", text("os"))
    return {
        "REDUCE of os.system": call("os system", text(f"mkdir {trap}")),
        "REDUCE of exec": call("builtins exec", python),
        "REDUCE of subprocess.call": call("subprocess call", b"](" + text("mkdir") + made + b"e"),
        "INST": b"(" + made + b"ios\nmkdir\n",
        "OBJ": b"(cbuiltins\nexec\n" + python + b"o",
        "NEWOBJ": b"cfunctools\npartial\n" + tuple_of(mkdir, made) + b"\x81)R",
        "NEWOBJ_EX": b"cfunctools\npartial\n" + tuple_of(mkdir, made) + b"}\x92)R",
        "BUILD with a __setstate__ of its own": namespace,
        "STACK_GLOBAL": text("os") + text("mkdir") + b"\x93" + made + b"\x85R",
        "STACK_GLOBAL of recalled words": b"(" + text("mkdir") + b"qc" + text("os") + b"qbhbhc\x93" + made + b"\x85Rt",
        "a name with dots": text("torch.serialization") + text("os.mkdir") + b"\x93" + made + b"\x85R",
        "copyreg's extension": extension,
        "getattr of a module": call("builtins getattr", module, text("mkdir")) + made + b"\x85R",
        "a lazy map": call("builtins list", call("builtins map", mkdir, b"](" + made + b"e")),
        "torch's own loader": call("torch.storage _load_from_bytes", b"B" + struct.pack("<I", len(inner)) + inner),
        "runpy": call("timeit timeit", text("pass"), python),
    }


# Files


def archive(records: Mapping[str, bytes], root: str = "archive", method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip file as ``torch.save`` makes it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method, compresslevel=1) as file:
        for name, data in {"version": b"3\n", **records}.items():
            file.writestr(f"{root}/{name}", data)
    return buffer.getvalue()


def beyond(data: bytes, name: str, where: int) -> bytes:
    """A zip file in which one record claims to begin at ``where``."""
    buffer = io.BytesIO(data)
    with zipfile.ZipFile(buffer, "a") as file:
        file.writestr("archive/more", b"")  # forces zipfile to write the directory
        file.getinfo(name).header_offset = where
    return buffer.getvalue()


def safetensors(header: object, data: bytes = b"") -> bytes:
    """A safetensors file; ``header`` is written as JSON, or as it is if it is bytes."""
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(encoded).to_bytes(8, "little") + encoded + data


def png(width: int, height: int) -> bytes:
    """A black PNG with one bit per pixel: a few bytes for any size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    line = bytes(1 + (width + 7) // 8)
    packed = b"".join(packer.compress(line) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


# Opening them


@dataclass(frozen=True)
class Outcome:
    """The result of opening one file.

    Attributes:
        error: name of the exception's type; empty if it was opened.
        message: its text.
        seconds: processor time that it took.
        grown: peak memory beyond that of the good file, MiB.
        sprung: whether the trap was there afterwards.
    """

    error: str
    message: str
    seconds: float
    grown: int
    sprung: bool


_OPENING = """
import json, os, resource, sys, time
from pathlib import Path

def weights(path):
    from rvm_live import weights
    weights.load(Path(path))

def source(path):
    from rvm_live.core.settings import SourceSettings
    from rvm_live.sources.image import ImageSource
    opened = ImageSource(SourceSettings(source=path))
    opened.open()
    opened.release()

def background(path):
    from rvm_live.backgrounds.parse import parse
    parse("image:" + path)[0].open()

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

kind, good, trap, *paths = json.load(sys.stdin)
opening = {"weights": weights, "source": source, "background": background}[kind]
opening(good)
before = peak()
size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + (1 << 30), -1))
for path in paths:
    error = message = ""
    began = time.process_time()  # others may be busy
    try:
        opening(path)
    except BaseException as caught:
        error, message = type(caught).__name__, str(caught)
    seconds = time.process_time() - began
    print(json.dumps([error, message, seconds, (peak() - before) >> 10, os.path.exists(trap)]), flush=True)
"""


def opened_apart(kind: str, good: Path, paths: list[Path], trap: Path) -> list[Outcome]:
    """Open files in a process that may take at most 1 GiB more than a good file takes; Linux only.

    Args:
        kind: ``weights``, ``source`` or ``background``.
        good: opened first.
        paths: opened in turn.
        trap: the folder that code in them would create.
    """
    told = json.dumps([kind, str(good), str(trap), *map(str, paths)])
    done = subprocess.run(
        [sys.executable, "-c", _OPENING], input=told, capture_output=True, encoding="utf-8", cwd=ROOT, timeout=200
    )
    outcomes = [Outcome(*json.loads(line)) for line in done.stdout.splitlines()]
    if done.returncode or len(outcomes) != len(paths):
        last = paths[len(outcomes)].name if len(outcomes) < len(paths) else "the end"
        raise AssertionError(f"the process died at {last} ({done.returncode}): {done.stderr[-2000:]}")
    return outcomes
