"""Why there is no v4l2loopback device, and the command that helps."""

from __future__ import annotations

import platform
from pathlib import Path

from rvm_live.sinks.camera.device import CameraUnavailableError

__all__ = ["LOAD", "exclusive_hint", "missing_module"]

LOAD = 'sudo modprobe v4l2loopback exclusive_caps=1 card_label="rvm-live"'
_RELOAD = f"sudo modprobe -r v4l2loopback && {LOAD}"
_BUILD = "sudo apt install linux-headers-$(uname -r) && sudo dkms autoinstall"
_ENROL = (
    "; where Secure Boot refuses its key (`Key was rejected`): sudo mokutil --import /var/lib/dkms/mok.pub, "
    "restart and enrol it"
)
_INSTALL = {
    "debian": "sudo apt install v4l2loopback-dkms linux-headers-$(uname -r)",
    "fedora": "sudo dnf install akmod-v4l2loopback (from RPM Fusion)",
    "arch": "sudo pacman -S v4l2loopback-dkms linux-headers",
    "suse": "sudo zypper install v4l2loopback-kmp-default",
}
# Root of the system's files; tests replace it.
ROOT = Path("/")


def missing_module() -> CameraUnavailableError:
    """What is missing, and how to get it."""
    if (ROOT / "sys/module/v4l2loopback").exists():
        return CameraUnavailableError("v4l2loopback is loaded, but has no device", _RELOAD)
    if _built():
        return CameraUnavailableError("v4l2loopback is not loaded", LOAD + (_ENROL if _secure_boot() else ""))
    if (ROOT / "var/lib/dkms/v4l2loopback").exists():
        return CameraUnavailableError("v4l2loopback is not built for this kernel", _BUILD)
    return CameraUnavailableError(
        "v4l2loopback is not installed", _INSTALL.get(_family(), "install the package v4l2loopback-dkms")
    )


def exclusive_hint(path: str) -> CameraUnavailableError:
    """A hint for a device that is also listed as an output: Chromium ignores it."""
    return CameraUnavailableError(f"{path} was made without exclusive_caps=1, so browsers do not list it", _RELOAD)


def _built() -> bool:
    """Whether the module exists for the running kernel."""
    folder = ROOT / "lib/modules" / platform.release()
    try:
        return "v4l2loopback.ko" in (folder / "modules.dep").read_text("utf-8", "replace")
    except OSError:
        return False


def _secure_boot() -> bool:
    found = sorted((ROOT / "sys/firmware/efi/efivars").glob("SecureBoot-*"))
    try:
        return bool(found) and found[0].read_bytes()[-1:] == b"\x01"
    except OSError:
        return False


def _family() -> str:
    try:
        text = (ROOT / "etc/os-release").read_text("utf-8", "replace")
    except OSError:
        return ""
    told = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    names = f"{told.get('ID', '')} {told.get('ID_LIKE', '')}".replace('"', " ").lower().split()
    known = {"ubuntu": "debian", "rhel": "fedora", "opensuse": "suse"}
    return next((known.get(name, name) for name in names if known.get(name, name) in _INSTALL), "")
