"""Loads the kernels: compiled in the background and stored on disk; OpenCV does the work until they are ready."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

from rvm_live.core.errors import words_of
from rvm_live.core.frames import LEAST_ALPHA
from rvm_live.system import folders
from rvm_live.system.cpu_info import cpu_name
from rvm_live.system.installed import adding

__all__ = ["Kernels", "kernels"]


class Kernels:
    """Numba's kernels for the pass over the full picture; until they are ready, or without Numba, OpenCV does the work.

    ``RVM_LIVE_FAST=0`` switches them off. May be used from any thread.

    Attributes:
        failed: they should work here, but have failed.
        unwanted: the user has switched them off.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._thread: threading.Thread | None = None
        self._module: Any = None
        self._why = ""
        self.failed = self.unwanted = False

    @property
    def module(self) -> Any:
        """:mod:`rvm_live.finishing.kernels`, or None while it is being compiled, or if it does not work."""
        return self._module

    @property
    def why_not(self) -> str:
        """Why OpenCV does the work, one clause; empty if the kernels do."""
        if self._module is not None:
            return ""
        return self._why or "its kernels are still being compiled or loaded"

    def begin(self) -> None:
        """Get them ready in the background; a second call does nothing."""
        with self._lock:
            if self._thread is not None or self._done.is_set():
                return
            if os.environ.get("RVM_LIVE_FAST", "").strip() == "0":
                self.unwanted = True
                self._refuse("RVM_LIVE_FAST=0 switches its kernels off")
            elif find_spec("numba") is None:
                self._refuse(f"Numba is not installed ({adding('fast')})")
            else:
                # A daemon thread: the program can end without waiting for the compiler.
                self._thread = threading.Thread(target=self._load, name="kernels", daemon=True)
                self._thread.start()

    def wait(self, seconds: float | None = None) -> Any:
        """:attr:`module`, once it is known whether they work: runs that must always give the same bytes wait for
        that."""
        self.begin()
        self._done.wait(seconds)
        return self._module

    def drop(self, error: Exception) -> None:
        """Stop using the kernels, because they have failed: from now on OpenCV does the work."""
        self._why, self.failed, self._module = f"its kernels failed ({words_of(error)})", True, None

    def _refuse(self, why: str) -> None:
        self._why = why
        self._done.set()

    def _load(self) -> None:
        try:
            home = _home()
            if folders.kept_in(home) is None or not os.access(home, os.W_OK):
                self._why = "its kernels cannot be stored, and compiling them takes seconds"
            else:
                self._module = _compiled(home)
        except Exception as error:  # LLVM may not know this processor, or the disk may be full: no reason to stop
            self._why, self.failed = f"its kernels cannot be compiled ({words_of(error)})", True
        finally:
            self._done.set()


def _home() -> Path:
    """Where the kernels are kept."""
    # Numba's cache checks only the file of the function itself, neither the functions it calls nor constants of other
    # modules.
    parts = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
    held_to = [os.environ.get(name, "") for name in ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES")]
    parts += [f"{version('numba')} {sys.version} {cpu_name()} {held_to} {LEAST_ALPHA}".encode()]
    return folders.cache_folder() / "kernels" / sha256(b"".join(parts)).hexdigest()[:16]


def _compiled(home: Path) -> Any:
    """The kernels' module. What is not in the cache yet is compiled by another process: in this one the compiler would
    keep every other thread waiting for the interpreter, for seconds."""
    complete = home / "complete"
    if sys.executable and not complete.exists() and __name__ != "__main__":
        command = [sys.executable, "-m", "rvm_live.finishing.compiled"]
        subprocess.run(command, check=False, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL)
    import numba  # importing it takes half a second

    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(home)  # Numba reads it only when a function is declared
    try:
        from rvm_live.finishing import kernels as module
    finally:
        numba.config.CACHE_DIR = before
    with suppress(OSError):
        complete.touch()
    return module


kernels = Kernels()
"""The kernels of this process."""

if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(10)
    _compiled(_home())
