"""Finds a microphone by its name."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.errors import SettingsError, SourceUnavailableError
from rvm_live.microphones.base import Microphone
from rvm_live.system.installed import adding

__all__ = ["DEFAULT", "check_microphone", "list_microphones", "open_microphone"]

DEFAULT = "default"
"""The one that the system's settings name."""
_LINUX = sys.platform.startswith("linux")


def list_microphones() -> list[tuple[str, str]]:
    """(name, description) of the microphones that ``--audio=NAME`` takes; nothing is opened.

    Raises:
        SourceUnavailableError: this system cannot be asked; says what to do.
    """
    if _LINUX:
        from rvm_live.microphones.alsa import alsa_devices

        return alsa_devices()
    from rvm_live.microphones.portaudio import portaudio_devices

    return portaudio_devices()


def check_microphone() -> None:
    """Check, before anything starts, what can be checked without opening a microphone.

    Raises:
        SourceUnavailableError: what this system needs is not installed.
    """
    if not _LINUX and find_spec("sounddevice") is None:
        raise SourceUnavailableError(f"--audio needs sounddevice: {adding('audio')}")


def open_microphone(device: str, clock: Clock = SYSTEM_CLOCK) -> Microphone:
    """Make a microphone, which is in use from its ``open()`` on.

    Args:
        device: ``default``, a name of :func:`list_microphones`, a part of one such name or description, or, on Linux,
            any name that ALSA knows.
        clock: monotonic time.

    Raises:
        SettingsError: more than one fits.
    """
    name = device if device == DEFAULT else _named(device)
    if _LINUX:
        from rvm_live.microphones.alsa import AlsaMicrophone

        return AlsaMicrophone(name, clock)
    from rvm_live.microphones.portaudio import PortAudioMicrophone

    return PortAudioMicrophone(name, clock)


def _named(device: str) -> str:
    known = list_microphones()
    if any(name == device for name, _ in known):
        return device
    meant = [name for name, told in known if device.lower() in f"{name}\n{told}".lower()]
    if len(meant) > 1 and not (_LINUX and ":" in device):
        raise SettingsError(f"the microphone {device!r} is not unique, it may be {', '.join(meant)}: name one of them")
    return meant[0] if len(meant) == 1 else device
