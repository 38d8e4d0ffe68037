"""The client: finds running programs and sends them commands."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rvm_live.apps.steering import place
from rvm_live.apps.steering.wire import LONGEST_ANSWER, Lines, WireError
from rvm_live.core.errors import SettingsError

__all__ = ["Program", "program", "programs"]

_SECONDS = 10.0
_MOST_BYTES = 4096


@dataclass(frozen=True)
class Program:
    """A running program.

    Attributes:
        pid: number of its process.
        path: where it is found.
    """

    pid: int
    path: Path

    def ask(self, do: str, **more: Any) -> Any:
        """What it answers.

        Args:
            do: ``set`` (with ``values``), ``step`` (``name``, ``steps``), ``list`` or ``status``.

        Raises:
            SettingsError: it refuses, with its own words, or does not answer.
        """
        try:
            with self._connected() as connection:
                lines = Lines(connection, LONGEST_ANSWER, _SECONDS)
                if self.path.suffix == place.PORT:
                    lines.send({"secret": self._said()["secret"]})
                lines.send({"do": do, **more})
                answer = lines.receive()
        except (OSError, WireError) as error:
            raise SettingsError(f"the program {self.pid} does not answer ({error})") from error
        if answer is None:
            raise SettingsError(f"the program {self.pid} does not answer")
        if not answer.get("ok"):
            raise SettingsError(str(answer.get("error", "refused")))
        return answer.get("value")

    @property
    def runs(self) -> bool:
        """Whether the program listens; the file of a killed program is removed."""
        try:
            if self.path.suffix == place.PORT:
                self.ask("status")  # another program may use the port by now
            else:
                self._connected().close()
            return True
        except (ConnectionRefusedError, FileNotFoundError, SettingsError):
            with suppress(OSError):
                self.path.unlink(missing_ok=True)
        except OSError:
            pass
        return False

    def _connected(self) -> socket.socket:
        family = socket.AF_INET if self.path.suffix == place.PORT else socket.AF_UNIX
        address: Any = ("127.0.0.1", self._said()["port"]) if family == socket.AF_INET else str(self.path)
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(_SECONDS)
            connection.connect(address)
        except BaseException:
            connection.close()
            raise
        return connection

    def _said(self) -> Mapping[str, Any]:
        """What stands in the file of a program that listens at a port."""
        try:
            with self.path.open("rb") as file:
                said = json.loads(file.read(_MOST_BYTES))
            return {"port": int(said["port"]), "secret": str(said["secret"])}
        except (ValueError, KeyError, TypeError) as error:
            raise SettingsError(f"{self.path} cannot be read ({error})") from error


def programs(folder: Path | None = None) -> list[Program]:
    """The running programs, sorted by process ID."""
    found = []
    try:
        paths = sorted((place.folder() if folder is None else folder).iterdir())
    except (OSError, SettingsError):
        return []
    for path in paths:
        if path.suffix in (place.SOCKET, place.PORT) and path.stem.isdecimal():
            each = Program(int(path.stem), path)
            if each.pid == os.getpid() or each.runs:
                found.append(each)
    return sorted(found, key=lambda each: each.pid)


def program(pid: int | None = None, folder: Path | None = None) -> Program:
    """The running program, or the one with that process ID.

    Raises:
        SettingsError: there is none, or there are several and none was named.
    """
    running = programs(folder)
    there = ", ".join(str(each.pid) for each in running)
    if pid is not None:
        named = [each for each in running if each.pid == pid]
        if not named:
            raise SettingsError(f"there is no rvm-live with process ID {pid}{f' (running: {there})' if there else ''}")
        return named[0]
    if not running:
        raise SettingsError("no rvm-live is running: start it first")
    if len(running) > 1:
        raise SettingsError(f"several programs are running: choose one with --pid: {there}")
    return running[0]
