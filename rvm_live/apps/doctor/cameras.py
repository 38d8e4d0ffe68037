"""Cameras: which there are, whether they may be used, and who has them now; microphones. Nothing is opened."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress

from rvm_live.apps.doctor.finding import Finding
from rvm_live.core.errors import RvmLiveError
from rvm_live.microphones.factory import list_microphones
from rvm_live.sources.camera import permission
from rvm_live.sources.camera.camera import Camera, list_cameras, unlisted_cameras

__all__ = ["cameras", "microphones", "windows_refuses"]

_AREA = "cameras"
_CONSENT = r"Software\Microsoft\Windows\CurrentVersion\CapabilityAccessManager\ConsentStore\webcam"
_SETTINGS = "in Settings, Privacy & security, Camera, let apps and desktop apps access your camera"
Ask = Callable[[str, str], "str | None"]


def cameras() -> list[Finding]:
    """One finding a camera; or why there is none."""
    refused = permission.state() or windows_refuses(_registry)
    found = [_camera(camera, refused) for camera in list_cameras()]
    if found:
        return found
    if unlisted_cameras():
        return [Finding(_AREA, "cameras", "note", "this system cannot list its cameras", "try `rvm-live 0`")]
    return [Finding(_AREA, "camera", "bad", refused or "there is none", _why_none())]


def _camera(camera: Camera, refused: str) -> Finding:
    name = f"{camera.index}: {camera.name or 'camera'}"
    told = f"id {camera.id}" if camera.id else camera.path
    if refused:
        return Finding(_AREA, name, "bad", refused, _SETTINGS if sys.platform == "win32" else "")
    if camera.path.startswith("/dev/") and not os.access(camera.path, os.R_OK | os.W_OK):
        if not os.path.exists(camera.path):
            return Finding(_AREA, name, "bad", f"{camera.path} was unplugged", "plug it in again")
        return Finding(
            _AREA,
            name,
            "bad",
            f"you have no permission to use {camera.path}",
            "sudo usermod -aG video $USER, then log in again",
        )
    if users := used_by(camera.path):
        return Finding(
            _AREA, name, "note", f"{told}; in use by {', '.join(users)}", "close that program before you start rvm-live"
        )
    return Finding(_AREA, name, "good", told)


def _why_none() -> str:
    if sys.platform.startswith("linux") and not os.path.isdir("/sys/class/video4linux"):
        return "plug one in; in a container pass it in (--device /dev/video0), in a virtual machine attach it"
    return "plug one in; `rvm-live demo` and `rvm-live FILE` work without one"


def used_by(path: str) -> list[str]:
    """Programs that have a device open, as far as this user may know; on Linux alone."""
    import psutil  # type: ignore[import-untyped]

    if not path.startswith("/dev/") or not sys.platform.startswith("linux"):
        return []
    place, users = os.path.realpath(path), set()
    for number in filter(str.isdecimal, os.listdir("/proc")):
        try:
            folder = f"/proc/{number}/fd"
            if int(number) != os.getpid() and any(
                os.path.realpath(os.path.join(folder, each)) == place for each in os.listdir(folder)
            ):
                users.add(f"{psutil.Process(int(number)).name()} ({number})")
        except (OSError, psutil.Error):  # a process of another user, or one that has ended
            continue
    return sorted(users)


def windows_refuses(ask: Ask) -> str:
    """Why Windows gives no program, or none of this kind, the camera; empty where it does.

    Args:
        ask: (key of the current user's registry, value) -> what stands there; None where that is nothing, as on every
            other system.
    """
    for key, whom in ((_CONSENT, "any program"), (rf"{_CONSENT}\NonPackaged", "desktop programs")):
        if ask(key, "Value") == "Deny":
            return f"Windows does not let {whom} use the camera"
    return ""


def _registry(key: str, value: str) -> str | None:
    if sys.platform == "win32":
        import winreg

        with suppress(OSError), winreg.OpenKey(winreg.HKEY_CURRENT_USER, key) as opened:
            return str(winreg.QueryValueEx(opened, value)[0])
    return None


def microphones() -> list[Finding]:
    """Whether sound can be recorded beside the picture."""
    try:
        found = list_microphones()
    except RvmLiveError as error:
        return [Finding("sound", "microphones", "absent", str(error))]
    if not found:
        return [Finding("sound", "microphones", "absent", "there is none: recordings have no sound")]
    return [Finding("sound", "microphones", "good", ", ".join(name for name, _ in found))]
