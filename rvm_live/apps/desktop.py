"""Starting without a terminal: adds the program with its icon to the desktop.

On Linux an entry and icons after freedesktop.org's Desktop Entry and Icon Theme specifications, on Windows a link in
the Start menu, on macOS an application that starts this copy of the program. All of it is the user's alone.
"""

from __future__ import annotations

import html
import os
import plistlib
import re
import shlex
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import platformdirs

from rvm_live import __version__
from rvm_live.apps import droplet
from rvm_live.core.errors import RvmLiveError, UnavailableError
from rvm_live.system import atomic_write, folders

__all__ = ["install", "notify", "remove"]

_NAME = "rvm-live"
_WHAT = "Put another background behind you in the camera's picture"
_IDENTIFIER = "io.github.rvm-live"
_OPEN = ("desktop", "--open")
"""Command words that start the camera, or process dropped files."""
_MIME_TYPES = (
    *("video/mp4", "video/quicktime", "video/x-matroska", "video/webm", "video/x-msvideo", "video/mpeg", "video/mp2t"),
    *("image/jpeg", "image/png", "image/tiff", "image/webp", "image/gif"),
)
_PNG_SIDES = (32, 48, 64, 128, 256)
_ICO_SIDES = (16, 32, 48, 256)
_ICNS = {b"ic11": 32, b"ic12": 64, b"ic07": 128, b"ic08": 256, b"ic09": 512}
_LINK = """
$link = (New-Object -ComObject WScript.Shell).CreateShortcut($env:RVM_LINK)
$link.TargetPath = $env:RVM_TARGET
$link.Arguments = $env:RVM_ARGUMENTS
$link.IconLocation = $env:RVM_ICON + ',0'
$link.WorkingDirectory = $env:USERPROFILE
$link.WindowStyle = 7
$link.Save()
"""
_SAY = ("on run told", "display notification (item 2 of told) with title (item 1 of told)", "end run")
_LINK_LIMIT_S = 120.0
_NOTIFY_LIMIT_S = 10.0

Files = Mapping[Path, Callable[[], bytes]]
"""Path -> its content; the last one starts the program."""


def install() -> list[Path]:
    """Put the program among those of the desktop, in the place of what an earlier copy put there.

    Returns:
        What lies there now; the last one starts the program.

    Raises:
        UnavailableError: the user has no home, or Windows makes no link.
        SinkError: something cannot be written; nothing new is left then.
    """
    command = _command()
    files = _files(command)
    there = [path for path in files if os.path.lexists(path)]
    try:
        for path, content in files.items():
            _write(path, content())
        return [*_droplet(command), *files, *_link(command, *files)]
    except RvmLiveError:
        for path in files:
            if path not in there:
                with suppress(OSError):
                    _unlink(path)
        raise


def remove() -> list[Path]:
    """Take it out again.

    Returns:
        What was taken away; empty where there was nothing.

    Raises:
        UnavailableError: the user has no home.
        SinkError: something cannot be removed.
    """
    dropped = [path for app in _droplets() for path in droplet.files_of(app)]
    there = [path for path in (*_files([]), *_links(), *dropped) if os.path.lexists(path)]
    for path in there:
        with atomic_write.writing(path):
            _unlink(path)
    for app in _droplets():
        shutil.rmtree(app, ignore_errors=True)  # only empty folders are left
    return there


def notify(title: str, body: str) -> bool:
    """Show a desktop notification to a user who started the program without a terminal.

    Args:
        title: a few words.
        body: more of them, plain text.

    Returns:
        Whether there was a way to.
    """
    if sys.platform == "darwin":
        command = ["osascript", *(part for line in _SAY for part in ("-e", line)), title, body]
    else:
        told = title, html.escape(body, quote=False)
        command = ["notify-send", f"--app-name={_NAME}", f"--icon={_NAME}", "--", *told]
    if shutil.which(command[0]) is None:
        return False
    try:
        return subprocess.run(command, capture_output=True, timeout=_NOTIFY_LIMIT_S).returncode == 0
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return False


def _write(path: Path, data: bytes) -> None:
    with atomic_write.writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write.write(path, data)
        if path.parent.name == "MacOS":
            path.chmod(0o755)


def _unlink(path: Path) -> None:
    path.unlink()
    application = next((each for each in path.parents if each.suffix == ".app"), None)
    for folder in path.parents if application is not None else ():
        with suppress(OSError):  # the folder is not empty yet
            folder.rmdir()
        if folder == application:
            break


def _command() -> list[str]:
    """The command that starts this copy of the program: the command beside its Python, which pip, pipx and uv put
    there."""
    beside = Path(sys.executable).with_name(f"{_NAME}.exe" if sys.platform == "win32" else _NAME)
    return [str(beside)] if beside.is_file() else [sys.executable, "-m", "rvm_live"]


def _files(command: Sequence[str]) -> Files:
    home = Path(os.path.expanduser("~"))
    if not home.is_absolute() or Path(os.devnull) in home.parents:
        raise UnavailableError("there is no home folder to write it to: set HOME")
    if sys.platform == "win32":
        return {folders.settings_folder() / f"{_NAME}.ico": _ico}
    if sys.platform == "darwin":
        inside = _application(home) / "Contents"
        return {
            inside / "Resources" / f"{_NAME}.icns": _icns,
            inside / "MacOS" / _NAME: lambda: _stub(command),
            inside / "Info.plist": _plist,
        }
    shared = platformdirs.user_data_path()
    if not shared.is_absolute():  # the specification says to ignore relative paths
        shared = home / ".local" / "share"
    icons = {
        shared / "icons" / "hicolor" / f"{side}x{side}" / "apps" / f"{_NAME}.png": _png_of(side) for side in _PNG_SIDES
    }
    return {**icons, shared / "applications" / f"{_NAME}.desktop": lambda: _entry(command)}


# Linux -------------------------------------------------------------------------------------------------------


def _entry(command: Sequence[str]) -> bytes:
    by_env = ["env"] if "%" in command[0] else []  # GLib looks for the program before it resolves the escapes
    lines = (
        *("[Desktop Entry]", "Type=Application", f"Name={_NAME}", "GenericName=Webcam Background"),
        *(f"Comment={_WHAT}", f"Exec={' '.join([*by_env, *map(_quoted, command), *_OPEN, '%F'])}"),
        *(
            f"TryExec={_string(command[0])}",
            f"MimeType={';'.join(_MIME_TYPES)};",
            f"Icon={_NAME}",
            "Terminal=false",
            "Categories=AudioVideo;Video;Recorder;",
        ),
        *("Keywords=camera;webcam;background;matting;", f"StartupWMClass={_NAME}", ""),
    )
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def _quoted(argument: str) -> str:
    """An argument in ``Exec``: quoted, then escaped as any string, and no field code in it."""
    quoted = re.sub(r'(["`$\\])', r"\\\1", argument)
    return _string(f'"{quoted}"').replace("%", "%%")


def _string(text: str) -> str:
    escaped = text.replace("\\", "\\\\")
    return escaped.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")


def _png_of(side: int) -> Callable[[], bytes]:
    return lambda: _png(side)


def _png(side: int) -> bytes:
    import cv2

    from rvm_live.sinks.window.icon import draw_icon

    return bytes(cv2.imencode(".png", draw_icon(side))[1])


# macOS -------------------------------------------------------------------------------------------------------


def _application(home: Path) -> Path:
    return home / "Applications" / f"{_NAME}.app"


def _droplets() -> list[Path]:
    """Where files can be dropped: an application beside that of the camera."""
    home = Path(os.path.expanduser("~"))
    return [_application(home).with_name(f"{_NAME} files.app")] if sys.platform == "darwin" else []


def _droplet(command: Sequence[str]) -> list[Path]:
    for app in _droplets():
        droplet.put(app, [*command, *_OPEN], app.with_name(f"{_NAME}.app"))
    return _droplets()


def _stub(command: Sequence[str]) -> bytes:
    # Programs started from the Finder run in the root folder, where recordings cannot be written.
    return f'#!/bin/sh\ncd "$HOME" && exec {shlex.join(command)} "$@"\n'.encode("utf-8", "surrogateescape")


def _plist() -> bytes:
    return plistlib.dumps(
        {
            "CFBundleExecutable": _NAME,
            "CFBundleIconFile": _NAME,
            "CFBundleIdentifier": _IDENTIFIER,
            "CFBundleName": _NAME,
            "CFBundlePackageType": "APPL",
            "CFBundleShortVersionString": __version__,
            "NSCameraUsageDescription": f"{_WHAT}.",
            "NSMicrophoneUsageDescription": "Record your voice with the picture.",
            "NSHighResolutionCapable": True,
        }
    )


def _icns() -> bytes:
    """Pictures behind headers: a type that says the size, and the length with the header, big-endian."""
    parts = b"".join(kind + struct.pack(">I", 8 + len(data)) + data for kind, data in _each(_ICNS))
    return b"icns" + struct.pack(">I", 8 + len(parts)) + parts


def _each(kinds: Mapping[bytes, int]) -> list[tuple[bytes, bytes]]:
    return [(kind, _png(side)) for kind, side in kinds.items()]


# Windows -----------------------------------------------------------------------------------------------------


def _ico() -> bytes:
    """A directory of pictures, then the pictures: PNGs, which Windows reads since Vista."""
    pictures = [(side, _png(side)) for side in _ICO_SIDES]
    place, directory = 6 + 16 * len(pictures), struct.pack("<HHH", 0, 1, len(pictures))
    for side, data in pictures:
        directory += struct.pack("<BBBBHHII", side % 256, side % 256, 0, 0, 1, 32, len(data), place)
        place += len(data)
    return directory + b"".join(data for _, data in pictures)


def _links() -> list[Path]:
    roaming = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    link = roaming / "Microsoft" / "Windows" / "Start Menu" / "Programs" / f"{_NAME}.lnk"
    return [link] if sys.platform == "win32" else []


def _link(command: Sequence[str], *icons: Path) -> list[Path]:
    """Have Windows make its link; what goes into it travels in the environment, where nothing has to be quoted.

    Raises:
        UnavailableError: it makes none.
    """
    for link in _links():
        target, arguments = command[0], subprocess.list2cmdline([*command[1:], *_OPEN])
        told = {"RVM_LINK": str(link), "RVM_TARGET": target, "RVM_ARGUMENTS": arguments, "RVM_ICON": str(icons[0])}
        asked = ["powershell", "-NoProfile", "-NonInteractive", "-Command", _LINK]
        try:
            done = subprocess.run(
                asked, env={**os.environ, **told}, capture_output=True, text=True, timeout=_LINK_LIMIT_S
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UnavailableError(f"PowerShell, which makes the link, does not run: {error}") from error
        if done.returncode != 0 or not link.is_file():
            why = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
            raise UnavailableError(f"Windows did not make the link {link}: {why[:200]}")
    return _links()
