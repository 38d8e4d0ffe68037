"""A private PipeWire, WirePlumber and session bus, and programs that read from a camera there.

They need no systemd, no sound card and no camera. Use :func:`open_session` as a context manager, or inside a fixture.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.support.waiting import until

__all__ = ["Reader", "Session", "open_session", "require_pipewire"]

_TOOLS = ("dbus-daemon", "pipewire", "wireplumber", "gst-launch-1.0")
_STARTUP_SECONDS = 30.0
_SYSTEM_PYTHON, _PORTAL = "/usr/bin/python3", "/usr/libexec/xdg-desktop-portal"


def require_pipewire(*, portal: bool = False) -> None:
    """Skip the test where something is missing (fail it under RVM_LIVE_REQUIRE_DISPLAY=1)."""
    from tests.conftest import missing

    absent = [tool for tool in (*_TOOLS, *((_PORTAL, "dbus-send") if portal else ())) if shutil.which(tool) is None]
    if portal and subprocess.run([_SYSTEM_PYTHON, "-c", "import dbus, gi"], capture_output=True).returncode != 0:
        absent.append("python3-dbus and python3-gi")
    if absent:
        missing(f"{', '.join(absent)} not found: `make display` installs it", required="RVM_LIVE_REQUIRE_DISPLAY")


class Reader:
    """A reader, ``pipewiresrc``, that writes every picture of the camera into a file.

    Args:
        session: the session that has the camera.
        kind: pixel format, ``I420`` or ``NV12``.
        size: width and height, pixels.
        node: the camera's node name.
    """

    def __init__(self, session: Session, kind: str, size: tuple[int, int], node: str = "rvm-live") -> None:
        self.path = session.folder / f"read-{time.monotonic_ns()}.raw"
        self._size = size
        source = ["pipewiresrc", f"target-object={node}", "do-timestamp=true"]
        sink = ["filesink", f"location={self.path}", "buffer-mode=unbuffered"]
        command = ["gst-launch-1.0", "-q", *source, "!", f"video/x-raw,format={kind}", "!", *sink]
        self.process = session.start(command)

    def pictures(self) -> NDArray[np.uint8]:
        """The pictures that have arrived so far, uint8 (n, H * 3 / 2, W)."""
        width, height = self._size
        data = np.fromfile(self.path, np.uint8) if self.path.exists() else np.empty(0, np.uint8)
        bytes_each = width * height * 3 // 2
        whole = data[: data.size // bytes_each * bytes_each]
        return whole.reshape(-1, height * 3 // 2, width)

    def wait(self, count: int) -> NDArray[np.uint8]:
        """Wait for ``count`` pictures; returns them and any that arrived with them."""
        width, height = self._size
        wanted = count * width * height * 3 // 2
        assert until(lambda: self.path.exists() and self.path.stat().st_size >= wanted), (
            f"{len(self.pictures())} of {count} pictures came"
        )
        return self.pictures()

    def freeze(self) -> None:
        """Make the reader hang."""
        self.process.send_signal(signal.SIGSTOP)

    def close(self) -> None:
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
        _end(self.process)


class Session:
    """The session's daemons.

    Attributes:
        folder: the folder of its sockets and logs.
        env: a copy of this process's environment that leads to this session and nowhere else.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: list[subprocess.Popen[bytes]] = []
        bus = f"unix:path={folder}/bus"
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(("PIPEWIRE_", "DBUS_"))}
        self.env |= {"XDG_RUNTIME_DIR": str(folder), "DBUS_SESSION_BUS_ADDRESS": bus, "HOME": str(folder)}
        self.start(["dbus-daemon", "--session", "--nofork", "--nopidfile", f"--address={bus}"])
        assert until((folder / "bus").exists, _STARTUP_SECONDS)
        self.pipewire: subprocess.Popen[bytes] | None = None
        self.wireplumber: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        return self.folder / "pipewire-0"

    def begin(self, *, manager: bool = True) -> None:
        """Start the daemons."""
        self.pipewire = self.start(["pipewire"])
        assert until(self.socket.exists, _STARTUP_SECONDS)
        if manager:
            self.wireplumber = self.start(["wireplumber"])
            assert until(lambda: "WirePlumber [export]" in self.dump(), _STARTUP_SECONDS)

    def die(self) -> None:
        """Kill PipeWire, which takes it away from every program."""
        for process in (self.wireplumber, self.pipewire):
            if process is not None:
                process.kill()
                process.wait()
        self.pipewire = self.wireplumber = None
        for path in self.folder.glob("pipewire-0*"):
            path.unlink()

    def start(self, command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start a program in the session; it ends with the session."""
        log = (self.folder / f"{command[0].rpartition('/')[2]}.log").open("ab")
        with log:
            process = subprocess.Popen(command, env=self.env, stdout=log, stderr=log, **options)
        self.running.append(process)
        return process

    def dump(self) -> str:
        """Everything in the session, as ``pw-dump`` reports it."""
        done = subprocess.run(["pw-dump"], env=self.env, capture_output=True, encoding="utf-8", timeout=60)
        return done.stdout

    def read(self, kind: str = "I420", size: tuple[int, int] = (640, 360)) -> Reader:
        """Start reading from the camera, once it is there."""
        assert until(lambda: '"media.class": "Video/Source"' in self.dump())
        return Reader(self, kind, size)

    def open_portal(self) -> None:
        """Start xdg-desktop-portal with a desktop that says yes; browsers reach cameras through it."""
        require_pipewire(portal=True)
        backend = self.folder / "portals" / "rvmtest.portal"
        backend.parent.mkdir()
        name = "org.freedesktop.impl.portal.desktop.rvmtest"
        interfaces = "org.freedesktop.impl.portal.Access;org.freedesktop.impl.portal.Lockdown;"
        backend.write_text(f"[portal]\nDBusName={name}\nInterfaces={interfaces}\nUseIn=rvmtest\n")
        self.env |= {"XDG_CURRENT_DESKTOP": "rvmtest", "XDG_DESKTOP_PORTAL_DIR": str(backend.parent)}
        self.start([_SYSTEM_PYTHON, str(Path(__file__).with_name("portal_consent.py"))])
        assert self._owned(name)
        self.start([_PORTAL])
        assert self._owned("org.freedesktop.portal.Desktop")

    def _owned(self, name: str) -> bool:
        """Wait until somebody owns a name on the bus."""
        told = ["org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.NameHasOwner", f"string:{name}"]
        command = ["dbus-send", "--session", "--print-reply", f"--dest={told[0]}", *told[1:]]

        def look() -> bool:
            done = subprocess.run(command, env=self.env, capture_output=True, encoding="utf-8", timeout=60)
            return "boolean true" in done.stdout

        return until(look)

    def close(self) -> None:
        for process in reversed(self.running):
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def open_session(*, begun: bool = True) -> Iterator[Session]:
    """Start the daemons of a private session; they end with the block."""
    require_pipewire()
    with tempfile.TemporaryDirectory(prefix="rvm-pw-") as folder:  # short: a socket's path has 107 letters
        os.chmod(folder, 0o700)
        session = Session(Path(folder))
        try:
            if begun:
                session.begin()
            yield session
        finally:
            session.close()
