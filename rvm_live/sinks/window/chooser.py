"""The system's file chooser in a separate process, so that the picture continues meanwhile."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from rvm_live.core.errors import SettingsError, told_as

__all__ = ["Chooser"]

_TITLE = "A picture or video for the background"
_TK = f"""
import sys, tkinter
from tkinter import filedialog
root = tkinter.Tk()
root.withdraw()
sys.stdout.write(filedialog.askopenfilename(title={_TITLE!r}) or "")
"""


def _command() -> list[str]:
    """The command for a file chooser: the desktop's own program if there is one, else Tk's.

    Raises:
        SettingsError: there is none.
    """
    if sys.platform.startswith("linux"):
        if shutil.which("zenity"):
            return ["zenity", "--file-selection", "--title", _TITLE]
        if shutil.which("kdialog"):
            return ["kdialog", "--title", _TITLE, "--getopenfilename", str(Path.home())]
    from importlib.util import find_spec

    if find_spec("tkinter") is None or find_spec("_tkinter") is None:
        raise SettingsError("there is no file chooser here: drop a file on the window, or name it with --background")
    return [sys.executable, "-c", _TK]


class Chooser:
    """Asks for one file at a time, on its own thread, ``rvm-chooser``.

    Args:
        chosen: called with the file on that thread; not called if the user chose none.
    """

    def __init__(self, chosen: Callable[[Path], None]) -> None:
        self._chosen = chosen
        self._process: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None

    def ask(self) -> None:
        """Open the chooser; if one is open already, it stays.

        Raises:
            SettingsError: this desktop has none.
        """
        if self._thread is not None and self._thread.is_alive():
            return
        with told_as(SettingsError, "the file chooser cannot be started"):
            self._process = subprocess.Popen(
                _command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
        self._thread = threading.Thread(target=self._wait, args=(self._process,), name="rvm-chooser", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Close the chooser, if it is open."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.kill()
        if self._thread is not None:
            self._thread.join(5)

    def _wait(self, process: subprocess.Popen[str]) -> None:
        told, _ = process.communicate()
        name = told.strip("\r\n")
        if process.returncode == 0 and name:
            self._chosen(Path(name))
