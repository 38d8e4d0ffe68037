"""A camera without a driver: stands in for ``cv2.VideoCapture`` and behaves as real cameras do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rvm_live.sources.camera import camera
from rvm_live.sources.camera.camera import Camera
from tests.support.sources import numbered

__all__ = ["FakeDevice", "OnBackends"]

RAW = cv2.VideoWriter.fourcc(*"YUYV")
PACKED = cv2.VideoWriter.fourcc(*"MJPG")


class FakeDevice:
    """Delivers numbered pictures in real time, in the nearest size it has; uncompressed pictures may be slower.

    Args:
        index: the number that opens it; any other number fails.
        sizes: width and height of each size it has, largest first.
        fps: its highest rate.
        raw_fps: its highest rate with YUYV; None: the same.
        frames: pictures until it is unplugged; None: no end.
        hands_out: turns a picture, uint8 (H, W, 3) BGR, into what the library returns.
        fourcc: the pixel format it reports; empty: the one that was asked for.

    Attributes:
        asked: the properties that were asked for, in order, as text.
        opened: how often it was opened.
        held: whether it is open now.
    """

    def __init__(
        self,
        *,
        index: int = 0,
        sizes: list[tuple[int, int]] | None = None,
        fps: float = 200.0,
        raw_fps: float | None = None,
        frames: int | None = None,
        hands_out: Callable[[NDArray[np.uint8]], Any] = lambda picture: picture,
        fourcc: str = "",
    ) -> None:
        self.index = index
        self.sizes = sizes or [(64, 48)]
        self.fps = fps
        self.raw_fps = raw_fps or fps
        self.frames = frames
        self.hands_out = hands_out
        self.fourcc = fourcc
        self.asked: list[str] = []
        self.opened = 0
        self.held = False

    @staticmethod
    def plug_in(monkeypatch: pytest.MonkeyPatch, device: FakeDevice, name: str = "Fake Cam") -> None:
        """Make it the machine's only camera."""
        known = [Camera(device.index, name, f"/dev/fake{device.index}")]
        monkeypatch.setattr(camera, "list_cameras", lambda: known)
        monkeypatch.setattr("rvm_live.sources.auto.list_cameras", lambda: known)
        monkeypatch.setattr("rvm_live.sources.camera.capture.cv2.VideoCapture", lambda: _FakeCapture(device))

    @staticmethod
    def plug_in_all(monkeypatch: pytest.MonkeyPatch, devices: dict[str, FakeDevice]) -> None:
        """Make them the machine's cameras: name -> device."""
        known = [Camera(device.index, name, f"/dev/fake{device.index}") for name, device in devices.items()]
        for place in ("camera.camera", "auto"):
            monkeypatch.setattr(f"rvm_live.sources.{place}.list_cameras", lambda: known)
        monkeypatch.setattr("rvm_live.apps.live_controls.list_cameras", lambda: known)
        monkeypatch.setattr(
            "rvm_live.sources.camera.capture.cv2.VideoCapture", lambda: _AnyCapture(list(devices.values()))
        )


class _AnyCapture:
    """A capture that turns into a handle on whichever device is opened."""

    def __init__(self, devices: list[FakeDevice]) -> None:
        self._devices = devices
        self._inner = _FakeCapture(devices[0])

    def open(self, target: int | str, backend: int, parameters: list[int]) -> bool:
        found = [device for device in self._devices if device.index == target]
        self._inner = _FakeCapture(found[0] if found else self._devices[0])
        return self._inner.open(target, backend, parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class OnBackends:
    """Devices each known to one back end only, by their number there: ``(backend, number)`` -> device."""

    def __init__(self, devices: dict[tuple[int, int], FakeDevice]) -> None:
        self._devices = devices
        self._inner: _FakeCapture | None = None

    @staticmethod
    def plug_in(monkeypatch: pytest.MonkeyPatch, devices: dict[tuple[int, int], FakeDevice]) -> None:
        """Make these devices what ``cv2.VideoCapture`` can open."""
        monkeypatch.setattr("rvm_live.sources.camera.capture.cv2.VideoCapture", lambda: OnBackends(devices))

    def open(self, target: int | str, backend: int, parameters: list[int]) -> bool:
        device = self._devices.get((backend, int(target)))
        if device is None:
            return False
        self._inner = _FakeCapture(device)
        return self._inner.open(device.index, backend, parameters)

    def release(self) -> None:
        if self._inner is not None:
            self._inner.release()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _FakeCapture:
    """One handle on the device, with the interface of ``cv2.VideoCapture``."""

    def __init__(self, device: FakeDevice) -> None:
        self._device = device
        self._open = False
        self._number = 0
        self._due = 0.0
        self._last: NDArray[np.uint8] | None = None
        self._settings: dict[int, float] = {}

    def open(self, target: int | str, backend: int, parameters: list[int]) -> bool:
        device = self._device
        if target != device.index or device.held:
            return False
        device.opened += 1
        device.held = self._open = True
        pairs = dict(zip(parameters[::2], parameters[1::2], strict=True))
        for what, value in pairs.items():
            self.set(what, value)
        return True

    def set(self, what: int, value: float) -> bool:
        self._device.asked.append(_fourcc(int(value)) if what == cv2.CAP_PROP_FOURCC else f"{value:g}")
        self._settings[what] = value
        return True

    def get(self, what: int) -> float:
        width, height = self._size
        known = {
            cv2.CAP_PROP_FRAME_WIDTH: width,
            cv2.CAP_PROP_FRAME_HEIGHT: height,
            cv2.CAP_PROP_FPS: self._fps,
            cv2.CAP_PROP_FOURCC: cv2.VideoWriter.fourcc(*self._device.fourcc)
            if self._device.fourcc
            else self._settings.get(cv2.CAP_PROP_FOURCC, RAW),
            cv2.CAP_PROP_BRIGHTNESS: 128,
            cv2.CAP_PROP_CONTRAST: 32,
            cv2.CAP_PROP_EXPOSURE: 156,
            cv2.CAP_PROP_GAIN: 0,
        }
        return float(known.get(what, -1))

    @property
    def _size(self) -> tuple[int, int]:
        wanted = self._settings.get(cv2.CAP_PROP_FRAME_WIDTH, 0)
        return min(self._device.sizes, key=lambda size: abs(size[0] - wanted))

    @property
    def _fps(self) -> float:
        raw = self._settings.get(cv2.CAP_PROP_FOURCC) == RAW
        limit = self._device.raw_fps if raw else self._device.fps
        return min(limit, self._settings.get(cv2.CAP_PROP_FPS, limit))

    def grab(self) -> bool:
        if not self._open or (self._device.frames is not None and self._number >= self._device.frames):
            return False
        now = time.perf_counter()
        # As a camera: what nobody fetched in time is not kept.
        self._due = max(
            self._due + 1 / self._fps, now - 2 / self._fps
        )  # as a camera: it does not keep what nobody fetched
        time.sleep(max(0.0, min(self._due - now, 1.0)))
        self._number += 1
        return True

    def retrieve(self) -> tuple[bool, Any]:
        return True, self._device.hands_out(numbered(*self._size, self._number))

    def getBackendName(self) -> str:
        return "FAKE"

    def isOpened(self) -> bool:
        return self._open

    def release(self) -> None:
        if self._open:
            self._open = self._device.held = False


def _fourcc(code: int) -> str:
    return "".join(chr(code >> shift & 0xFF) for shift in (0, 8, 16, 24))
