"""The server in the running program: takes commands, changes controls, answers."""

from __future__ import annotations

import hmac
import json
import logging
import os
import secrets
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rvm_live.apps.steering import place
from rvm_live.apps.steering.wire import LONGEST_WISH, Lines, WireError
from rvm_live.core.controls import Controls
from rvm_live.core.errors import RvmLiveError, SettingsError, words_of

__all__ = ["Steering", "steered"]

_log = logging.getLogger("rvm_live")

_MOST = 8
"""Connections at a time."""
_SECONDS = 10.0
_SOON_S = 0.2


class Steering:
    """Listens, on a thread of its own, and answers each connection on another, a few at a time.

    Args:
        controls: the controls of this run.
        status: returns the program's status, in JSON types only.
        folder: where it is found by others; None: :func:`rvm_live.apps.steering.place.folder`.
        sockets: by a Unix socket; else by a loopback port and a secret.
    """

    def __init__(
        self,
        controls: Controls,
        status: Callable[[], Mapping[str, Any]],
        folder: Path | None = None,
        *,
        sockets: bool = place.HAS_SOCKETS,
    ) -> None:
        self._controls, self._status, self._sockets = controls, status, sockets
        folder = place.folder() if folder is None else folder
        self.path = folder / f"{os.getpid()}{place.SOCKET if sockets else place.PORT}"
        self._secret = secrets.token_hex(32)
        self._room = threading.BoundedSemaphore(_MOST)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._ended = False
        self._listening: socket.socket
        self._thread = threading.Thread(target=self._listen, name="rvm-steering", daemon=True)

    def start(self) -> None:
        """Listen.

        Raises:
            OSError: it cannot.
        """
        self.path.unlink(missing_ok=True)  # left by an earlier program with the same process number
        if self._sockets:
            self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._listening.bind(str(self.path))  # in a folder that no other user can enter
            self.path.chmod(0o600)
        else:
            self._listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self._listening.bind(("127.0.0.1", 0))
            said = {"port": self._listening.getsockname()[1], "secret": self._secret}
            with os.fdopen(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                json.dump(said, file)
        self._listening.listen(_MOST)
        self._listening.settimeout(_SOON_S)
        self._thread.start()

    def close(self) -> None:
        """Stop listening; open connections are left alone."""
        self._ended = True
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        if self._thread.ident is not None:
            self._thread.join()
        with suppress(AttributeError, OSError):
            self._listening.close()
        with suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _listen(self) -> None:
        while not self._ended:
            try:
                connection, _ = self._listening.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            if not self._room.acquire(blocking=False):
                connection.close()  # too many connections at once: the client may try again
                continue
            with self._lock:
                self._open.add(connection)
            threading.Thread(target=self._attend, args=(connection,), name="rvm-steered", daemon=True).start()

    def _attend(self, connection: socket.socket) -> None:
        try:
            with connection:
                if not self._sockets or _is_ours(connection):
                    self._talk(Lines(connection, LONGEST_WISH, _SECONDS))
        except OSError:  # the client went away
            pass
        finally:
            with self._lock:
                self._open.discard(connection)
            self._room.release()

    def _talk(self, lines: Lines) -> None:
        try:
            if not self._sockets:
                said = lines.receive() or {}
                if not hmac.compare_digest(str(said.get("secret", "")).encode(), self._secret.encode()):
                    return
            while not self._ended and (wish := lines.receive()) is not None:
                lines.send(self._answer(wish))
        except WireError as error:
            lines.send({"ok": False, "error": str(error)})

    def _answer(self, wish: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return {"ok": True, "value": self._done(wish)}
        except RvmLiveError as error:
            return {"ok": False, "error": str(error)}
        except Exception as error:  # a bad request must not stop the run
            _log.exception("a command from outside failed")
            return {"ok": False, "error": words_of(error)}

    def _done(self, wish: Mapping[str, Any]) -> Any:
        what, name = wish.get("do"), wish.get("name")
        if what == "set":
            values = wish.get("values")
            if not isinstance(values, dict) or not values:
                raise SettingsError("there is nothing to set")
            return dict(self._controls.set(**values))
        if what == "step" and isinstance(name, str) and isinstance(wish.get("steps", 1), int):
            return self._controls.step(name, wish.get("steps", 1))
        if what == "list":
            return self._controls.describe()
        if what == "status":
            return dict(self._status())
        raise SettingsError(f"unknown command {what!r}: set, step, list or status")


def _is_ours(connection: socket.socket) -> bool:
    """Whether the same user, or root, is at the other end, where the system tells."""
    asked = getattr(socket, "SO_PEERCRED", None)
    if asked is None:
        return True
    _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, asked, struct.calcsize("3i")))
    return user in (0, os.getuid())


@contextmanager
def steered(controls: Controls, status: Callable[[], Mapping[str, Any]]) -> Iterator[None]:
    """A context in which the program can be controlled; if that fails, it is logged and the run continues without."""
    steering: Steering | None = None
    try:
        steering = Steering(controls, status)
        steering.start()
    except (OSError, SettingsError) as error:
        _log.info("this program cannot be steered by rvm-live ctl: %s", words_of(error))
    try:
        yield
    finally:
        if steering is not None:
            steering.close()
