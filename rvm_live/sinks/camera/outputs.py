"""The kinds of virtual cameras: by the value of ``--virtual-camera``, and on this machine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import psutil  # type: ignore[import-untyped]

from rvm_live.core.errors import SettingsError
from rvm_live.sinks.camera import obs
from rvm_live.sinks.camera.device import CameraDevice, CameraUnavailableError
from rvm_live.sinks.camera.loopback import LoopbackCamera
from rvm_live.sinks.camera.module import exclusive_hint
from rvm_live.sinks.camera.pipewire import PipeWireCamera

__all__ = ["CameraOutput", "devices_for", "outputs_here", "unseen_because"]

_LINUX: dict[str, Callable[[], CameraDevice]] = {"pipewire": PipeWireCamera, "v4l2loopback": LoopbackCamera}
_ELSEWHERE: dict[str, Callable[[], CameraDevice]] = {"obs": lambda: obs.ObsCamera("obs")}
_WINDOWS: dict[str, Callable[[], CameraDevice]] = {"unitycapture": obs.UnityCamera}


def _kinds() -> dict[str, Callable[[], CameraDevice]]:
    """The kinds of this system, in the order in which they are tried."""
    system: str = sys.platform
    if system == "linux":
        return _LINUX
    return {**_ELSEWHERE, **_WINDOWS} if system == "win32" else _ELSEWHERE


def devices_for(words: str) -> list[CameraDevice]:
    """The devices for ``words``; nothing is opened.

    Args:
        words: ``auto`` for all that may work here; a kind's name; else the name or path of a device.

    Raises:
        SettingsError: there is none of that kind on this system.
    """
    kinds = _kinds()
    if words == "auto":
        return [make() for make in kinds.values()]
    if words in kinds:
        return [kinds[words]()]
    if words in {**_LINUX, **_ELSEWHERE, **_WINDOWS}:
        raise SettingsError(
            f"there is no virtual camera {words} on this system: choose one of auto, {', '.join(kinds)}"
        )
    if kinds is not _LINUX:
        return [obs.ObsCamera(device=words)]
    if not words.startswith("/dev/"):
        raise SettingsError(
            f"there is no virtual camera {words!r}: choose one of auto, {', '.join(kinds)}, or a device (/dev/video10)"
        )
    return [LoopbackCamera(words)]


@dataclass(frozen=True)
class CameraOutput:
    """State of one kind of virtual camera on this machine.

    Attributes:
        name: as ``--virtual-camera`` takes it.
        works: it can be used now.
        why: what it is, or why it cannot be used; one line.
        mend: what to do; empty if it works.
        seen_by: program -> what it needs to see this camera; empty: nothing.
    """

    name: str
    works: bool
    why: str
    mend: str
    seen_by: dict[str, str]


_SEEN_BY = {
    "pipewire": {
        "Chromium, Chrome": "chrome://flags/#enable-webrtc-pipewire-camera (--enable-features=WebRtcPipeWireCamera)",
        "Firefox": "about:config, media.webrtc.camera.allow-pipewire true; on by itself on Fedora 41 and newer",
        "OBS": "source Video Capture Device (PipeWire)",
    },
    "v4l2loopback": dict.fromkeys(("Chromium, Chrome", "Firefox", "OBS", "Zoom", "Teams", "Discord"), ""),
    "obs": dict.fromkeys(("Chrome, Edge", "Firefox", "Zoom", "Teams", "Discord", "Meet"), "choose OBS Virtual Camera"),
    "unitycapture": {"OBS": "with its transparency", "Zoom, Discord": "choose Unity Video Capture"},
}


def outputs_here() -> list[CameraOutput]:
    """The virtual cameras of this machine, each tried briefly with the smallest picture."""
    return [_tried(name, make()) for name, make in _kinds().items()]


def _tried(name: str, device: CameraDevice) -> CameraOutput:
    try:
        device.open(640, 360, 30.0)
        told, unseen = device.name, unseen_because(device)
        if unseen is not None:
            raise unseen
    except CameraUnavailableError as error:
        return CameraOutput(name, False, error.why, error.mend, _SEEN_BY[name])
    finally:
        device.close()
    return CameraOutput(name, True, told, "", _SEEN_BY[name])


def unseen_because(device: CameraDevice) -> CameraUnavailableError | None:
    """Why programs may not find an open camera; None if nothing is wrong."""
    if isinstance(device, LoopbackCamera) and not device.exclusive:
        return exclusive_hint(device.path)
    if isinstance(device, PipeWireCamera) and not _session_manager():
        return CameraUnavailableError(
            "PipeWire has no session manager, so no program finds the camera",
            "systemctl --user start wireplumber (it needs a session bus: dbus-run-session)",
        )
    return None


def _session_manager() -> bool:
    known = {"wireplumber", "pipewire-media-"}  # Linux cuts the names of processes to 15 characters
    return any((each.info["name"] or "")[:15] in known for each in psutil.process_iter(["name"]))
