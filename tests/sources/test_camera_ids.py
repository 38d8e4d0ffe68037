"""Cameras are recognised by what stays the same when they are plugged in in another order."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rvm_live.apps.live_controls import _Cameras
from rvm_live.backgrounds.color import ColorBackground
from rvm_live.compositing.composer import Composer
from rvm_live.core.errors import SettingsError
from rvm_live.core.settings import SourceSettings
from rvm_live.sources.camera import camera
from rvm_live.sources.camera.camera import Camera, CameraSource, find_camera
from rvm_live.sources.factory import open_source
from rvm_live.sources.switched import SwitchedSource
from tests.support.program import call

DSHOW = r"\\?\usb#vid_046d&pid_0825&mi_00#7&2&0&0000#{65e8773d-8f56-11d0-a3b9-00a0c9223196}\global"
MSMF = r"\\?\USB#VID_046D&PID_0825&MI_00#7&2&0&0000#{e5323777-f976-4f5b-9b55-b94699c46e44}\GLOBAL"
BY_ID = "usb-046d_HD_Pro_C920_1A2B-video-index0"
BY_PATH = "pci-0000:00:14.0-usb-0:2:1.0-video-index0"


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Camera]:
    """Two equal cameras as udev names them: one by its id, both by their sockets."""
    folders = [tmp_path / "by-id", tmp_path / "by-path"]
    for folder in folders:
        folder.mkdir()
    (folders[0] / BY_ID).symlink_to("/dev/video97")
    (folders[1] / BY_PATH).symlink_to("/dev/video98")
    (folders[1] / "pci-0000:00:14.0-usb-0:1:1.0-video-index0").symlink_to("/dev/video97")
    monkeypatch.setattr(camera, "_STABLE", tuple(map(str, folders)))
    cameras = [Camera(97, "HD Pro C920", "/dev/video97"), Camera(98, "HD Pro C920", "/dev/video98")]
    monkeypatch.setattr(camera, "_listed", lambda: cameras)
    return cameras


def test_a_camera_is_found_by_its_id(known: list[Camera]) -> None:
    assert [each.id for each in known] == [BY_ID, BY_PATH]
    assert find_camera(BY_ID.upper()) is known[0]
    assert find_camera(BY_PATH) is known[1]
    assert find_camera("c920") is known[0], "a part of a name: the first"
    for words in (BY_ID, BY_PATH):
        assert isinstance(open_source(SourceSettings(words)), CameraSource)
    assert Camera(3, "Cam", "/dev/video3").id == "" and Camera(3).id == ""


def test_an_id_is_the_same_in_each_of_windows_back_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = Camera(0, "HD", DSHOW), Camera(1, "HD", MSMF)
    assert one.id == other.id == r"\\?\usb#vid_046d&pid_0825&mi_00#7&2&0&0000"
    monkeypatch.setattr(camera, "_listed", lambda: [one])
    assert find_camera(MSMF.partition("#{")[0]) is one
    assert isinstance(open_source(SourceSettings(one.id)), CameraSource)
    assert Camera(0, "FaceTime HD", "3F45E80A-0176-46F7-B185-BB9E2C0E82E3").id == "3f45e80a-0176-46f7-b185-bb9e2c0e82e3"


def test_what_is_listed_opens_a_camera(known: list[Camera]) -> None:
    done = call("cameras")
    assert done.out.splitlines()[0] == f"97  HD Pro C920  /dev/video97  id {BY_ID}"
    listed = json.loads(call("cameras", "--json").out)
    assert [each["id"] for each in listed] == [BY_ID, BY_PATH]
    for each in listed:
        for words in (each["id"], str(each["index"])):
            assert find_camera(words).index == each["index"]


def test_the_control_takes_what_is_listed(known: list[Camera], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rvm_live.apps.live_controls.list_cameras", lambda: known)
    source = SwitchedSource(SourceSettings("demo"), open_source, lambda words: None, lambda info: None)
    control = _Cameras(source, lambda: None, Composer([ColorBackground("red")]))
    assert control.check(BY_PATH) == control.check("98") == "camera 98 (HD Pro C920)"
    assert control.check("pro") == "camera 97 (HD Pro C920)"
    for nonsense in ("", "  ", "none", 99, None):
        with pytest.raises(SettingsError, match="there is no camera"):
            control.check(nonsense)
