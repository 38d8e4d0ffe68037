"""What ``lite`` learned from a camera's user: its file, and the engine that uses it."""

from __future__ import annotations

import os
import stat
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from rvm_live.core.camera_in_use import CameraInUse, Known
from rvm_live.core.errors import SettingsError, WeightsError
from rvm_live.core.frames import Frame
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.lite import learned
from rvm_live.engines.lite.engine import EMBEDDED, LiteEngine
from rvm_live.engines.lite.learned import Learned, find, forget, listed, path_for, read, save
from rvm_live.engines.lite.weights import learn, load_network

BASE = sha256(EMBEDDED.read_bytes()).hexdigest()
CAMERA = Known("usb-HD_Webcam", "camera 0 (HD Webcam)")


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path))


def kept(base: str = BASE, camera: Known = CAMERA) -> Learned:
    """A file in which one tensor differs from the package's."""
    bias = load_network().state_dict()["last.bias"].numpy().astype(np.float16) + np.float16(3)
    told = Learned(camera.name, "2026-01-02", base, 12.0, 4.0)
    return save(path_for(*camera), told, {"last.bias": bias})


# The file -------------------------------------------------------------------------------------------------------


def test_the_file_is_small_private_and_tells_of_itself() -> None:
    told = kept()
    assert read(told.path) == told
    assert find(*CAMERA) == told
    assert listed() == [told]
    assert told.path.parent == learned.folder()
    assert told.path.stat().st_size < 300_000
    if os.name == "posix":
        assert stat.S_IMODE(told.path.stat().st_mode) == 0o600
    assert [each.name for each in learned.folder().iterdir()] == [told.path.name]  # no half-written file beside it


def test_two_cameras_of_one_name_have_a_file_each() -> None:
    paths = {kept(camera=Known(identity, "HD Webcam")).path for identity in ("usb-1", "usb-2")}
    assert len(paths) == 2
    assert find("usb-3", "HD Webcam") is None


@pytest.mark.parametrize("content", [b"", b"\xff" * 40, b"\x02\0\0\0\0\0\0\0{}", b"\x05\0\0\0\0\0\0\0[1,2]"])
def test_a_damaged_file_is_nothing_learnt_and_can_be_deleted(content: bytes) -> None:
    path = kept().path
    path.write_bytes(content)
    assert find(*CAMERA) is None
    assert listed() == []
    with pytest.raises(WeightsError, match="damaged"):
        read(path)
    assert forget(path.stem) == [path.stem]


def test_a_file_that_was_cut_short_is_nothing_learnt() -> None:
    path = kept().path
    path.write_bytes(path.read_bytes()[:-1])
    assert find(*CAMERA) is None


def test_forgetting_by_name_by_camera_and_all() -> None:
    first, second = kept(), kept(camera=Known("b", "camera 1 (Other)"))
    assert forget("CAMERA 0 (hd webcam)") == [first.name]
    assert listed() == [second]
    with pytest.raises(SettingsError, match=second.name):
        forget("nobody")
    assert forget("all") == [second.name]
    assert forget("all") == []
    with pytest.raises(SettingsError, match="nothing at all"):
        forget("nobody")


# The engine -----------------------------------------------------------------------------------------------------


def found(engine: LiteEngine) -> np.ndarray:
    picture = np.random.default_rng(3).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    return np.array(engine.matte(Frame(picture, 0, 0, 0)).host().alpha)


@pytest.mark.few(1)
@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_the_engine_uses_what_was_learnt_before_the_camera_in_use(
    runtime: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if runtime == "torch":
        monkeypatch.setitem(sys.modules, "openvino", None)
    else:
        pytest.importorskip("openvino")
    kept()
    camera = CameraInUse()
    engine = LiteEngine(EngineSettings("lite", precision="fp32", camera=camera, gate=False))
    plain = LiteEngine(EngineSettings("lite", precision="fp32", gate=False))
    try:
        engine.open(), plain.open()
        camera.now = CAMERA
        engine.prepare(64, 48), plain.prepare(64, 48)
        assert engine.info.model == "lite (learned)"
        assert plain.info.model == "lite"
        first, usual = found(engine), found(plain)
        assert float(first.mean()) > float(usual.mean()) + 20
        camera.now = Known("another", "camera 1")  # begins with another epoch
        engine.reset(), plain.reset()
        assert np.array_equal(found(engine), found(plain))
        assert engine.info.model == "lite"
        camera.now = CAMERA
        engine.reset()
        assert np.array_equal(found(engine), first)
    finally:
        engine.close(), plain.close()


@pytest.mark.slow
def test_what_other_weights_learnt_is_left_alone_and_that_is_told() -> None:
    kept(base="0" * 64)
    camera = CameraInUse()
    camera.now = CAMERA
    engine = LiteEngine(EngineSettings("lite", precision="fp32", camera=camera))
    try:
        engine.open()
        engine.prepare(64, 48)
        assert engine.info.model == "lite"
        assert any("rvm-live learn" in note for note in engine.info.notes)
    finally:
        engine.close()


def test_a_file_of_another_network_is_refused() -> None:
    told = save(path_for(*CAMERA), Learned("c", "2026-01-02", BASE, 1, 1), {"last.bias": np.zeros(7, np.float16)})
    with pytest.raises(WeightsError, match="another network"):
        learn(load_network(), told)
    told = save(told.path, told, {"last.bias": np.full(4, np.nan, np.float16)})
    with pytest.raises(WeightsError, match="another network"):
        learn(load_network(), told)
