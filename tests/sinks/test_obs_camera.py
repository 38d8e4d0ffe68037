"""Cameras through pyvirtualcam: its own class and checks, with back ends that keep the pictures they get."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rvm_live.core.errors import SinkError, UnavailableError
from rvm_live.sinks.camera import outputs
from rvm_live.sinks.camera.obs import ObsCamera, UnityCamera
from rvm_live.sinks.camera.sink import VirtualCamera
from rvm_live.system.installed import adding
from tests.conftest import ROOT
from tests.project.test_imports import loaded_by
from tests.support.clock import FakeClock
from tests.support.pictures import FOREGROUND, make_composite

SIZE = (640, 360)


class Kept:
    """A back end of pyvirtualcam (``pyvirtualcam.camera.Backend``) that keeps its pictures."""

    made: list[Kept]
    refusal = ""

    def __init__(self, *, width: int, height: int, fps: float, fourcc: int, device: str | None) -> None:
        if self.refusal:
            raise RuntimeError(self.refusal)
        self.width, self.height, self.fps, self.fourcc = width, height, fps, fourcc
        self._device = device or "OBS Virtual Camera"
        self.sent: list[NDArray[np.uint8]] = []
        self.closed = 0
        self.made.append(self)

    def close(self) -> None:
        self.closed += 1

    def send(self, frame: NDArray[np.uint8]) -> None:
        assert frame.ndim == 1 and frame.flags.c_contiguous
        self.sent.append(frame.copy())

    def device(self) -> str:
        return self._device

    def native_fourcc(self) -> int | None:
        return None


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> type[Kept]:
    """Available as ``obs`` and as ``unitycapture``."""
    pyvirtualcam = pytest.importorskip("pyvirtualcam")
    kind = type("Kept", (Kept,), {"made": []})
    monkeypatch.setattr(pyvirtualcam.camera, "BACKENDS", {"obs": kind, "unitycapture": kind})
    return kind


def fourcc(text: str) -> int:
    return int.from_bytes(text.encode(), "little")


def test_obs_gets_i420_of_the_size_and_rate(backend: type[Kept]) -> None:
    device = ObsCamera("obs")
    device.open(*SIZE, 30)
    (made,) = backend.made
    assert (made.width, made.height, made.fps, made.fourcc) == (640, 360, 30, fourcc("I420"))
    assert device.name == "OBS Virtual Camera" and device.watched is None
    picture = np.random.default_rng(0).integers(0, 256, (540, 640), np.uint8)
    device.send(picture)
    np.testing.assert_array_equal(made.sent[0], picture.reshape(-1))
    device.close()
    device.close()
    assert made.closed == 1


def test_unity_capture_gets_real_transparency(backend: type[Kept], clock: FakeClock) -> None:
    camera = VirtualCamera(size=(320, 180), clock=clock, devices=lambda: [UnityCamera("Unity Video Capture")])
    camera.open()
    composite = make_composite(320, 180, transparent=True)
    from rvm_live.sinks.base import Shot

    clock.advance(0.05)
    camera.write_picture(Shot.of(composite))
    made = backend.made[0]
    assert made.fourcc == fourcc("ABGR"), "libyuv's name for R, G, B, A in memory"
    sent = made.sent[-1].reshape(180, 320, 4)
    assert sent[90, 160].tolist() == [*FOREGROUND[::-1], 255] and sent[0, 0].tolist() == [0, 0, 0, 0]
    camera.close(failed=False)


def test_a_device_by_name(backend: type[Kept], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "win32")
    (device,) = outputs.devices_for("Unity Video Capture #2")
    device.open(*SIZE, 30)
    assert device.name == "Unity Video Capture #2"
    device.close()


def test_what_pyvirtualcam_refuses_is_one_line_with_what_mends_it(
    backend: type[Kept], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend.refusal = "virtual camera device\nnot found"
    for system, mend in (("win32", "install OBS Studio"), ("darwin", "install OBS Studio 30 or newer, start it once")):
        monkeypatch.setattr("sys.platform", system)
        with pytest.raises(UnavailableError, match=f"'obs' backend: virtual camera device not found.*{mend}"):
            ObsCamera("obs").open(*SIZE, 30)
        told = outputs.outputs_here()[0]
        assert (told.name, told.works) == ("obs", False) and told.mend.startswith("install OBS Studio")


def test_one_that_breaks_while_it_is_used_is_told(backend: type[Kept], monkeypatch: pytest.MonkeyPatch) -> None:
    device = ObsCamera("obs")
    device.open(*SIZE, 30)

    def broken(frame: Any) -> None:
        raise RuntimeError("OBS was closed")

    monkeypatch.setattr(backend.made[0], "send", broken)
    with pytest.raises(SinkError, match=r"the camera OBS Virtual Camera was removed \(OBS was closed\)"):
        device.send(np.zeros((540, 640), np.uint8))
    device.close()


def test_pyvirtualcam_s_own_checks_are_met(backend: type[Kept]) -> None:
    """pyvirtualcam refuses a picture of another size, and the sink reports that."""
    device = ObsCamera("obs")
    device.open(*SIZE, 30)
    with pytest.raises(SinkError, match="unexpected frame size"):
        device.send(np.zeros((100, 640), np.uint8))
    device.close()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="its back end for v4l2loopback")
def test_its_real_back_end_says_what_is_missing() -> None:
    pytest.importorskip("pyvirtualcam")
    from rvm_live.sinks.camera.loopback import loopback_devices

    if loopback_devices():
        pytest.skip("v4l2loopback is loaded here")
    with pytest.raises(UnavailableError, match=r"the camera v4l2loopback cannot be used .*backend"):
        ObsCamera("v4l2loopback").open(*SIZE, 30)


@pytest.mark.skipif(not sys.platform.startswith("linux") or shutil.which("cc") is None, reason="Linux and a compiler")
def test_its_real_back_end_and_ours_write_to_the_same_device(tmp_path: Path) -> None:
    """In a process of its own with a stand-in for the device (``benchmarks/loopback_stand_in.c``)."""
    pytest.importorskip("pyvirtualcam")
    library, source = tmp_path / "stand_in.so", ROOT / "benchmarks" / "loopback_stand_in.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    code = """
import numpy as np
from rvm_live.sinks.camera.loopback import LoopbackCamera
from rvm_live.sinks.camera.obs import ObsCamera
from rvm_live.system.installed import adding
for device in (LoopbackCamera("/dev/video42"), ObsCamera("v4l2loopback", "/dev/video42")):
    device.open(1280, 720, 30.0)
    device.send(np.zeros((1080, 1280), np.uint8))
    print(device.name)
    device.close()
"""
    environment = {**os.environ, "LD_PRELOAD": str(library), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, encoding="utf-8", timeout=120, check=True
    )
    assert done.stdout.split("\n")[:2] == ["/dev/video42 (stand-in)", "/dev/video42"]


def test_without_it_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    with pytest.raises(UnavailableError, match=f"pyvirtualcam .*: {re.escape(adding('camera'))}"):
        ObsCamera("obs").open(*SIZE, 30)


def test_a_kind_that_this_system_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    library = ModuleType("pyvirtualcam")
    library.camera = ModuleType("camera")  # type: ignore[attr-defined]
    library.camera.BACKENDS = {"v4l2loopback": object}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyvirtualcam", library)
    with pytest.raises(UnavailableError, match="no unitycapture camera on this system"):
        UnityCamera().open(*SIZE, 30)


def test_it_is_imported_only_where_it_is_used() -> None:
    """It has another licence than this program."""
    assert "pyvirtualcam" not in loaded_by("import rvm_live.apps.live, rvm_live.sinks.camera.sink")
