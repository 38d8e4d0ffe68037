"""Effects that the system itself applies to the camera's picture: a second blur looks bad, and costs twice."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from rvm_live.apps.doctor.finding import Finding
from rvm_live.sources.camera import permission

__all__ = ["effects", "of_macos", "of_windows"]

_AREA = "effects of the system"
_LIMIT_S = 15.0
_MACOS = {
    "isPortraitEffectEnabled": "Portrait",
    "isStudioLightEnabled": "Studio Light",
    "isCenterStageEnabled": "Center Stage",
    "isBackgroundReplacementEnabled": "Background",
    "reactionEffectGesturesEnabled": "Reactions",
}
"""AVCaptureDevice's class properties, from macOS 12 on, each from its own version -> as Control Center calls it."""
_WINDOWS = {41: "background blur", 40: "eye contact", 43: "automatic framing"}
"""KSPROPERTY_CAMERACONTROL_EXTENDED_PROPERTY of the Windows SDK -> as the settings call it."""
_SCRIPT = r"""
$ErrorActionPreference = 'Stop'
Add-Type -AssemblyName System.Runtime.WindowsRuntime
$null = [Windows.Media.Capture.MediaCapture, Windows.Media.Capture, ContentType = WindowsRuntime]
$asTask = [System.WindowsRuntimeSystemExtensions].GetMethods() | Where-Object {
    $_.Name -eq 'AsTask' -and $_.GetParameters().Count -eq 1 -and
    $_.GetParameters()[0].ParameterType.Name -eq 'IAsyncAction' } | Select-Object -First 1
$settings = New-Object Windows.Media.Capture.MediaCaptureInitializationSettings
$settings.StreamingCaptureMode = 'Video'
$settings.SharingMode = 'SharedReadOnly'
$capture = New-Object Windows.Media.Capture.MediaCapture
$null = $asTask.Invoke($null, @($capture.InitializeAsync($settings))).Wait(10000)
$set = [Guid]'1CB79112-C0D2-4213-9CA6-CD4FDB927972'
$found = @{}
foreach ($id in 40, 41, 43) {
    $asked = [byte[]]($set.ToByteArray() + [BitConverter]::GetBytes([uint32]$id) + [BitConverter]::GetBytes([uint32]1))
    $answer = $capture.VideoDeviceController.GetDevicePropertyByExtendedId($asked, $null)
    if ($answer.Status -eq 'Success') { $found["$id"] = [BitConverter]::ToUInt64([byte[]]$answer.Value, 16) }
}
$capture.Dispose()
ConvertTo-Json $found -Compress
"""
"""Asks the first camera, which is not started for it: flags stand behind 16 bytes in KSCAMERA_EXTENDEDPROP_HEADER."""


def effects() -> list[Finding]:
    """What is on already; empty on systems that have nothing of the kind, or do not tell."""
    if sys.platform == "darwin":
        return of_macos(permission.library())
    if sys.platform == "win32":
        return of_windows(_powershell)
    return []


def of_macos(library: Any) -> list[Finding]:
    """By AVFoundation; None: it is not there."""
    if library is None:
        return []
    on = [words for name, words in _MACOS.items() if _asked(library.AVCaptureDevice, name)]
    return _told(on, "switch it off in the green camera menu of the menu bar (Video), or in Control Center")


def _asked(device: Any, name: str) -> bool:
    try:
        return bool(getattr(device, name)())
    except Exception:  # this version of the system does not have it
        return False


def of_windows(run: Callable[[str], str]) -> list[Finding]:
    """By Windows' own controls of the camera (Windows Studio Effects).

    Args:
        run: a script of PowerShell -> what it prints.
    """
    try:
        flags = json.loads(run(_SCRIPT))
        on = [words for number, words in _WINDOWS.items() if int(flags.get(str(number), 0))]
    except (OSError, ValueError, AttributeError, TypeError, subprocess.SubprocessError):
        return []  # an older system, or no camera
    return _told(
        on, "switch it off in Settings, Bluetooth & devices, Cameras, or in the quick settings (Studio effects)"
    )


def _told(on: list[str], mend: str) -> list[Finding]:
    if not on:
        return [Finding(_AREA, "effects", "good", "none is on")]
    return [
        Finding(_AREA, ", ".join(on), "note", "the system changes the camera's picture before rvm-live gets it", mend)
    ]


def _powershell(script: str) -> str:
    command = ["powershell", "-NoProfile", "-NonInteractive", "-Command", script]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=_LIMIT_S).stdout
