"""Changes made during a run reach every output: the window, a recording, and a sink like a virtual camera."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest

from rvm_live.apps.live_controls import profile_control
from rvm_live.compositing.cpu import CpuCompositor
from rvm_live.core.arrays import Bytes
from rvm_live.core.errors import EngineError, SettingsError
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.notices import Notices
from rvm_live.core.registry import COMPOSITORS, ENGINES
from rvm_live.core.settings import EngineSettings, SourceSettings
from rvm_live.engines.base import EngineInfo
from rvm_live.engines.failover import FailoverEngine
from tests.support.engines import LeftHalfEngine
from tests.support.everywhere import SIZE, everywhere
from tests.support.videos import make_video
from tests.support.waiting import until

PERSON = (40, 80, 200)
"""Of every pixel that the camera gives, BGR."""


class TellingEngine(LeftHalfEngine):
    """Puts the person at the left, as wide as the ratio; alpha is 255 on the CPU and 120 elsewhere."""

    def open(self) -> EngineInfo:
        self._info = EngineInfo("telling", "none", "cpu", "CPU", "uint8")
        if self.settings.device != "auto":
            self._info = dataclasses.replace(self._info, device=self.settings.device)
        return self._info

    @property
    def info(self) -> EngineInfo:
        return dataclasses.replace(self._info, downsample_ratio=self.settings.downsample_ratio or 0.5)

    def alpha(self, frame: Frame) -> Bytes:
        alpha = np.zeros(frame.image.shape[:2], np.uint8)
        share = self.settings.downsample_ratio or 0.5
        alpha[:, : round(frame.width * share)] = 255 if self.settings.device in ("auto", "cpu") else 120
        return alpha


class RightHalfEngine(LeftHalfEngine):
    """Takes the right half for the person."""

    epochs: ClassVar[list[int]] = []

    def matte(self, frame: Frame) -> Matte:
        self.epochs.append(frame.epoch)
        return super().matte(frame)

    def alpha(self, frame: Frame) -> Bytes:
        return np.ascontiguousarray(super().alpha(frame)[:, ::-1])


class NowhereEngine(LeftHalfEngine):
    """Fails to open, once it is allowed to try."""

    may = threading.Event()

    def open(self) -> EngineInfo:
        self.may.wait(20)
        raise EngineError("there is no such network")


class FlickeringEngine(LeftHalfEngine):
    """Takes everything for the person; alpha is higher in every second frame."""

    def alpha(self, frame: Frame) -> Bytes:
        return np.full(frame.image.shape[:2], 255 if self.frames_since_reset % 2 else 155, np.uint8)


class MarkedCompositor(CpuCompositor):
    """Leaves a mark in each composite."""

    name = "marked"

    def composite(self, *given: Any, **named: Any) -> Bytes:
        image = super().composite(*given, **named)
        image[-8:, :8] = 255
        return image


@pytest.fixture(autouse=True)
def more_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    here = "tests.apps.test_controls_reach"
    kinds = {"telling": TellingEngine, "right": RightHalfEngine, "nowhere": NowhereEngine, "flicker": FlickeringEngine}
    for name, kind in kinds.items():
        monkeypatch.setitem(ENGINES.builtin, name, f"{here}:{kind.__name__}")
    monkeypatch.setitem(COMPOSITORS.builtin, "marked", f"{here}:MarkedCompositor")


@pytest.fixture
def still(tmp_path: Path) -> SourceSettings:
    """A still picture: all frames are the same, and changes must reach the outputs nevertheless."""
    path = tmp_path / "still.png"
    cv2.imwrite(str(path), np.full((SIZE[1], SIZE[0], 3), PERSON, np.uint8))
    return SourceSettings(str(path), loop=True, fps=30)


def has(colour: tuple[int, int, int], x: float, y: float = 0.25) -> Any:
    """Whether a place, given as shares of the picture, has that colour."""

    def test(picture: Bytes) -> bool:
        pixel = picture[round(y * (SIZE[1] - 1)), round(x * (SIZE[0] - 1)), :3]
        return bool(np.abs(pixel.astype(int) - colour).max() <= 2)

    return test


def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: SourceSettings, engine: str, **options: Any) -> Any:
    backgrounds = ("color:#00ff00", "color:#ff0000", "blur:25")
    return everywhere(tmp_path, monkeypatch, EngineSettings(engine), source, backgrounds=backgrounds, **options)


def test_what_is_behind_whether_anybody_is_seen_and_by_what_it_is_put_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, still: SourceSettings
) -> None:
    with run(tmp_path, monkeypatch, still, "telling", compositor="cpu") as all_outputs:
        assert all_outputs.show(lambda each: has(PERSON, 0.1)(each) and has((0, 255, 0), 0.9)(each))
        all_outputs.controls.background = "color #ff0000"
        assert all_outputs.show(has((0, 0, 255), 0.9))
        all_outputs.controls.compositor = "marked"
        assert all_outputs.show(has((255, 255, 255), 0, 1))
        assert until(lambda: all_outputs.controls.compositor == "marked")
        all_outputs.controls.compositor = "cpu"
        assert all_outputs.show(has(PERSON, 0, 1))
        all_outputs.controls.privacy = True
        assert all_outputs.show(has((0, 0, 255), 0.1))
        all_outputs.controls.privacy = False
        assert all_outputs.show(has(PERSON, 0.1))
        all_outputs.controls.paused = True
        alone = has((0, 0, 255), 0.1)
        assert until(lambda: all_outputs.taken.newest is None and alone(all_outputs.pictures()["window"]))
        kept = len(list(all_outputs.stills.iterdir()))
        assert not until(lambda: len(list(all_outputs.stills.iterdir())) > kept, 0.3)
        all_outputs.controls.paused = False
        assert all_outputs.show(has(PERSON, 0.1))
        all_outputs.controls.stop = True
        assert until(lambda: all_outputs.app.pipeline.exit_reason == "stopped")


def test_a_profile_changes_several_at_once_and_leaves_out_what_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, still: SourceSettings, caplog: pytest.LogCaptureFixture
) -> None:
    profiles = {
        "call": {"background": "color:#ff0000", "zoom": 2.0, "steady": True, "device": "toaster", "fps": 30},
        "off": {},
    }
    with run(tmp_path, monkeypatch, still, "telling") as all_outputs, caplog.at_level("INFO", "rvm_live"):
        controls = all_outputs.controls
        controls.add(profile_control(profiles, "", controls))
        assert controls.profile == "" and list(controls.choices("profile")) == ["call", "off"]
        many = len(controls.choices("background"))
        for _ in range(2):
            assert controls.set(profile="call")["zoom"] == 2.0
        assert all_outputs.show(lambda each: has(PERSON, 0.45)(each) and has((0, 0, 255), 0.55)(each))
        assert controls.profile == "call" and controls.steady is True
        assert len(controls.choices("background")) == many, "a colour that is there does not join again"
        assert "profile call: device was left out: unknown device 'toaster'" in caplog.text
        assert "fps" not in caplog.text, "it counts at the start"
        with pytest.raises(SettingsError, match="there is no profile 'cal': did you mean 'call'"):
            controls.profile = "cal"


def test_the_virtual_camera_comes_and_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, still: SourceSettings
) -> None:
    def none_here(words: str) -> list[Any]:
        raise SettingsError("there is no virtual camera here")

    with run(tmp_path, monkeypatch, still, "telling") as all_outputs:
        camera = all_outputs.app.camera
        camera._make = list
        assert all_outputs.controls.virtual_camera is False
        monkeypatch.setattr("rvm_live.apps.live_controls.devices_for", none_here)
        with pytest.raises(SettingsError, match="there is no virtual camera here"):
            all_outputs.controls.virtual_camera = True
        monkeypatch.setattr("rvm_live.apps.live_controls.devices_for", lambda words: [])
        all_outputs.controls.virtual_camera = True
        assert camera.on and all_outputs.controls.virtual_camera is True
        all_outputs.controls.virtual_camera = "off"
        assert not camera.on


@pytest.mark.slow
def test_where_the_person_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, still: SourceSettings) -> None:
    """At first at the left, half as wide as the picture."""
    green = (0, 255, 0)
    with run(tmp_path, monkeypatch, still, "telling") as all_outputs:
        assert all_outputs.show(lambda each: has(PERSON, 0.05)(each) and has(green, 0.6)(each))
        all_outputs.controls.set(zoom=0.5, shift=[0.25, 0])
        assert all_outputs.controls.shift == (0.25, 0.0)
        assert all_outputs.show(
            lambda each: has(green, 0.45)(each) and has(PERSON, 0.7)(each) and has(green, 0.8)(each)
        )
        all_outputs.controls.set(zoom=1, shift="0,0")
        assert all_outputs.show(lambda each: has(PERSON, 0.05)(each) and has(green, 0.6)(each))
        all_outputs.controls.background = "blur 25"
        all_outputs.controls.set(zoom=0.5)
        assert all_outputs.show(has(PERSON, 0.05)), "the room is seen: the picture stays within it"
        all_outputs.controls.set(zoom=1, background="color #00ff00", ratio=0.25)
        assert all_outputs.show(has(green, 0.3))
        all_outputs.controls.shift = (0.3, 0)
        assert all_outputs.show(has(PERSON, 0.4))
        all_outputs.press("a")
        assert until(lambda: all_outputs.controls.follow is True)
        all_outputs.controls.shift = (0, 0)
        # The frame's own edge cuts it off above, below and at the left, so it stays there.
        assert all_outputs.show(lambda each: has(PERSON, 0.02)(each) and has(green, 0.3)(each))
        assert all_outputs.app.status().framing == "follow"
        all_outputs.press("a")
        assert until(lambda: all_outputs.controls.follow is False)


def test_the_engine_and_how_it_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, still: SourceSettings) -> None:
    with run(tmp_path, monkeypatch, still, "telling") as all_outputs:
        controls, told = all_outputs.controls, []
        controls.subscribe(lambda changes: told.append(dict(changes)))
        assert (controls.engine, controls.ratio, controls.device, controls.steady) == ("telling", "auto", "cpu", False)
        assert all_outputs.show(lambda each: has(PERSON, 0.45)(each) and has((0, 255, 0), 0.55)(each))
        controls.ratio = 0.75
        assert controls.ratio == 0.75, "what is about to be"
        assert all_outputs.show(lambda each: has(PERSON, 0.7)(each) and has((0, 255, 0), 0.8)(each))
        controls.set(ratio="auto", device="cuda:1")
        fainter = tuple(
            round(120 / 255 * one + 135 / 255 * other) for one, other in zip(PERSON, (0, 255, 0), strict=True)
        )
        assert all_outputs.show(lambda each: has(fainter, 0.45)(each) and has((0, 255, 0), 0.55)(each))
        assert (controls.ratio, controls.device) == ("auto", "cuda:1")
        RightHalfEngine.epochs.clear()
        before = all_outputs.app.pipeline.snapshot().captured
        controls.set(engine="right", device="auto")
        assert controls.engine == "right"
        assert all_outputs.show(lambda each: has(PERSON, 0.9)(each) and has((0, 255, 0), 0.1)(each))
        assert all_outputs.app.pipeline.snapshot().captured > before
        # Epoch 0 is the black warm-up picture. The engine for the first change may be given up for the second.

        assert [epoch for epoch in RightHalfEngine.epochs if epoch] == RightHalfEngine.epochs[-1:] * sum(
            map(bool, RightHalfEngine.epochs)
        ), "the first matte of the other engine begins an epoch"
        assert {"engine": "right"} in [{"engine": each["engine"]} for each in told if "engine" in each]
        assert (controls.box, controls.gate) == (False, True), "of itself in live video"
        controls.set(box=True, gate="off")
        assert (controls.box, controls.gate) == (True, False)


def test_another_engine_takes_over_with_the_first_frame_of_an_epoch() -> None:
    engine = FailoverEngine(LeftHalfEngine, EngineSettings("one"), Notices())
    opened = threading.Event()
    engine.renew = opened.set
    engine.open()
    engine.prepare(*SIZE)
    frame = Frame(np.zeros((SIZE[1], SIZE[0], 3), np.uint8), 0, 0, 0)
    engine.use(EngineSettings("other"))
    assert opened.wait(20)
    engine.matte(frame)
    assert (engine.settings.engine, engine.asked.engine, engine.changing) == ("one", "other", True)
    engine.reset()
    engine.matte(frame)
    assert (engine.settings.engine, engine.changing) == ("other", False)
    engine.close()


def test_an_engine_that_cannot_be_opened_leaves_the_one_before_and_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, still: SourceSettings
) -> None:
    NowhereEngine.may.clear()
    with run(tmp_path, monkeypatch, still, "telling") as all_outputs:
        told: list[Mapping[str, Any]] = []
        all_outputs.controls.subscribe(told.append)
        all_outputs.controls.engine = "nowhere"
        assert all_outputs.controls.engine == "nowhere"
        NowhereEngine.may.set()
        words = "the engine was not changed (there is no such network): continuing as before"
        assert until(lambda: words in all_outputs.app.notices.fallbacks)
        assert until(lambda: told and told[-1].get("engine") == "telling")
        assert all_outputs.controls.engine == "telling" and all_outputs.show(has(PERSON, 0.1))


def test_steadiness_comes_and_goes_without_another_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same grey throughout, but never the same bytes, so each frame is matted."""
    clip = make_video(
        tmp_path / "clip.mp4",
        width=SIZE[0],
        height=SIZE[1],
        draw=lambda n: np.full((SIZE[1], SIZE[0], 3), 100 + 4 * (n % 2), np.uint8),
    )
    with run(tmp_path, monkeypatch, SourceSettings(str(clip), loop=True), "flicker") as all_outputs:
        seen: dict[str, set[int]] = {}

        def apart(least: int, most: int) -> bool:
            """Whether the pictures of an output differ by that much, in levels of green."""
            for name, picture in all_outputs.pictures().items():
                if picture is not None:
                    seen.setdefault(name, set()).add(int(picture[8, 8, 1]))
            return len(seen) == 3 and all(least <= max(each) - min(each) <= most for each in seen.values())

        opened = all_outputs.app.pipeline.engine_info
        assert until(lambda: apart(50, 70))
        all_outputs.controls.steady = True
        assert all_outputs.controls.steady is True

        def calm() -> bool:
            for _ in range(5):
                for _ in range(4):
                    apart(0, 0)
            return apart(0, 40)

        assert until(lambda: seen.clear() or calm())
        all_outputs.controls.steady = False
        assert until(lambda: seen.clear() or until(lambda: apart(50, 70), 1))
        assert all_outputs.app.pipeline.engine_info == opened


@pytest.mark.parametrize(
    ("name", "wish", "why"),
    [
        ("engine", "litte", "there is no engine 'litte': did you mean 'lite'"),
        ("engine", "os:system", "there is no engine 'os:system': choose one of"),
        ("device", "gpu", "unknown device 'gpu': choose auto, cpu"),
        ("device", 1, "unknown device 1: choose one of auto, cpu"),
        ("ratio", 2, "ratio must be a number from 0.05 to 1 or auto, not 2"),
        ("steady", "perhaps", "steady must be on or off, not 'perhaps'"),
        ("box", "perhaps", "box must be on or off, not 'perhaps'"),
        ("compositor", "best", "there is no compositor 'best'"),
        ("stop", "now", "stop must be on or off, not 'now'"),
    ],
)
def test_what_cannot_be_is_one_clear_line(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, name: str, wish: Any, why: str
) -> None:
    controls = _desk(tmp_path_factory, monkeypatch)
    with pytest.raises(SettingsError, match=why):
        controls.set(**{name: wish})


def _desk(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The controls of a run that never begins."""
    from rvm_live.apps.assembly import failover
    from rvm_live.apps.live import _App
    from rvm_live.core.clock import SYSTEM_CLOCK
    from rvm_live.core.queues import Overflow
    from rvm_live.core.settings import LiveSettings

    settings = LiveSettings(SourceSettings("demo"), EngineSettings("telling"), headless=True)
    made = failover(settings.engine, notices := Notices(), live=True)
    return _App(settings, made, notices, Overflow.DROP_OLDEST, SYSTEM_CLOCK).controls
