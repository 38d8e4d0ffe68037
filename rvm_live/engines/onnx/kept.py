"""The network of a checkpoint as an ONNX file for one size, made by a process beside and kept on disk."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE

from rvm_live import __version__
from rvm_live.core.errors import EngineError, RvmLiveError, UnavailableError, words_of
from rvm_live.engines.common.fixed_network import Shape, facts_of, make
from rvm_live.system import atomic_write, folders
from rvm_live.weights import cache_dir, file_bytes, load, sha256_of

__all__ = ["file_for", "folder"]

_FORMAT = 1
"""Version; goes up when :mod:`rvm_live.engines.common.fixed_network` changes what such a file computes."""
_MOST = 4
"""Files kept, of about 15 MB each: those that were used last."""
_LOOK_S = 0.2
_STALE_S = 24 * 3600


def folder() -> Path:
    """Where they are kept."""
    return cache_dir() / "onnx"


def file_for(weights: Path, shape: Shape, stop: threading.Event) -> Path:
    """The file for a size, made now if it is not there: that takes seconds of a process of its own, for in this one
    torch's exporter would keep every other thread waiting for the interpreter.

    Args:
        weights: the checkpoint.
        shape: what the file is made for.
        stop: once it is set, the wait ends and the process is stopped.

    Raises:
        UnavailableError: nothing can be stored here, or the wait was stopped.
        EngineError: it cannot be made.
    """
    home = folder()
    size = f"{shape.width}x{shape.height}-r{shape.ratio:.6g}"
    path = home / f"{sha256_of(file_bytes(weights))[:16]}-{size}-{__version__}-{_FORMAT}.onnx"
    if path.is_file():
        with suppress(OSError):
            path.touch()
        return path
    if not sys.executable or folders.kept_in(home) is None or not os.access(home, os.W_OK):
        raise UnavailableError(f"no ONNX file can be kept in {home}")
    asked = [str(weights), str(shape.width), str(shape.height), repr(shape.ratio), str(path)]
    command = [sys.executable, "-m", "rvm_live.engines.onnx.kept", *asked]
    with subprocess.Popen(command, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE, text=True) as maker:
        while True:
            try:
                _, said = maker.communicate(timeout=_LOOK_S)
                break
            except subprocess.TimeoutExpired:
                if stop.is_set():
                    maker.kill()
        if stop.is_set():
            raise UnavailableError("it is no longer wanted")
    if not path.is_file():
        why = said.strip().splitlines()
        raise EngineError(f"the network cannot be made an ONNX file: {why[-1] if why else 'no memory, perhaps'}")
    _tidy(home)
    return path


def _tidy(home: Path) -> None:
    """Keep the few files used last; remove others, those of other versions, and unfinished ones."""
    with suppress(OSError):
        files = sorted(home.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
        ours = [path for path in files if path.name.endswith(f"-{__version__}-{_FORMAT}.onnx")]
        others = [path for path in files if path not in ours and time.time() - path.stat().st_mtime > _STALE_S]
        for path in (*ours[_MOST:], *others):
            path.unlink(missing_ok=True)


def _make(weights: str, width: str, height: str, ratio: str, path: str) -> None:
    loaded, shape = load(Path(weights)), Shape(int(width), int(height), float(ratio))
    atomic_write.write(Path(path), make("onnx", loaded, shape, facts_of(loaded, shape, "onnx"))[".onnx"])


if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(10)
    try:
        _make(*sys.argv[1:])
    except (RvmLiveError, OSError) as error:
        sys.exit(words_of(error))
