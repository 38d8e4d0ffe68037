"""``auto`` changes to the faster engine by itself, and back: with real engines, and with stand-ins that fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from rvm_live.core.errors import UnavailableError
from rvm_live.core.frames import Frame
from rvm_live.core.notices import Notices
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.base import Engine, EngineInfo, Rung
from rvm_live.engines.resort import ResortEngine
from rvm_live.engines.select import AutoEngine
from rvm_live.engines.smoothing import SmoothedEngine
from rvm_live.pipeline.adaptive import Governor, Move
from tests.support.clock import FakeClock
from tests.support.engines import PassThroughEngine
from tests.support.videos import read_frames
from tests.support.waiting import until

ABOVE, BELOW = EngineSettings(engine="rvm"), EngineSettings(engine="lite")


def move(engine: Engine, rung: Rung) -> None:
    """Move to a rung, waiting until it is ready."""
    assert until(lambda: engine.use_rung(rung), 120)


@pytest.mark.slow
def test_the_real_ones_change_places(weights: Path, data: Path) -> None:
    frames = read_frames(data / "clips" / "webcam" / "volcomix_Doctor_26732.mp4", 8)
    engine = AutoEngine(EngineSettings(weights=weights, device="cpu", keep_up=True))
    engine.open()
    try:
        engine.prepare(frames[0].width, frames[0].height)
        above = engine.info
        *sizes, lite = engine.rungs
        assert (above.engine, lite.engine) == ("openvino", "lite")
        assert all(not rung.engine and rung.cost > lite.cost for rung in sizes)
        assert not engine.use_rung(lite), "opening it takes longer than a frame"
        assert engine.matte(frames[0]).host().alpha.shape == (frames[0].height, frames[0].width)
        move(engine, lite)
        assert engine.info.engine == "lite"
        assert isinstance(engine._inner, ResortEngine) and isinstance(engine._inner._inner, AutoEngine)
        assert isinstance(engine._inner._inner._inner, SmoothedEngine)
        engine.use_steady(False)
        assert not isinstance(engine._inner._inner._inner, SmoothedEngine)
        assert engine.rungs == (*sizes, lite), "there would be no way back"
        alphas = [engine.matte(frame).host().alpha for frame in frames]
        assert alphas[-1].mean() > 20
        move(engine, sizes[-1])
        assert (engine.info.engine, engine.info.downsample_ratio) == ("openvino", sizes[-1].ratio)
        again = [engine.matte(frame).host().alpha for frame in frames]
        apart = np.abs(again[-1].astype(int) - alphas[-1]).mean()
        assert 0 < apart < 20, "both see the same person"
        assert engine.use_rung(lite), "what was opened once is kept"
    finally:
        engine.close()


@pytest.mark.parametrize(
    "asked", [{"fallback_lite": False}, {"downsample_ratio": 0.25}, {"engine": "openvino"}, {"keep_up": False}]
)
@pytest.mark.few(1)
def test_what_the_user_fixed_stays(weights: Path, asked: dict[str, Any]) -> None:
    engine = AutoEngine(replace(EngineSettings(weights=weights, device="cpu", keep_up=True), **asked))
    engine.open()
    try:
        engine.prepare(320, 180)
        assert not any(rung.engine for rung in engine.rungs)
    finally:
        engine.close()


class Named(PassThroughEngine):
    """An engine with the name that its settings give."""

    opened: ClassVar[list[str]] = []
    closed: ClassVar[list[str]] = []
    failing = False

    def __init__(self, settings: EngineSettings) -> None:
        super().__init__()
        self.settings = settings
        self._info = EngineInfo(settings.engine, settings.engine, "cpu", "CPU", "fp32", 0.2)

    def open(self) -> EngineInfo:
        if self.failing:
            raise UnavailableError("it is not here")
        self.opened.append(self.settings.engine)
        return self._info

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def rungs(self) -> tuple[Rung, ...]:
        return (Rung(0.4, "fp32", 0.2), Rung(0.2, "fp32", 0.06)) if self.settings.engine == "rvm" else ()

    def use_rung(self, rung: Rung) -> bool:
        self._info = self._info.on(rung)
        return True

    def close(self) -> None:
        self.closed.append(self.settings.engine)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> ResortEngine:
    monkeypatch.setattr(Named, "opened", [])
    monkeypatch.setattr(Named, "closed", [])
    engine = ResortEngine(Named(ABOVE), Named, ABOVE, BELOW)
    engine.prepare(64, 48)
    return engine


def test_an_engine_that_cannot_take_the_place_is_not_tried_for_ever(
    made: ResortEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Named, "failing", True)
    lite = made.rungs[-1]
    while made.rungs[-1] == lite:
        assert not made.use_rung(lite)
    assert [rung.ratio for rung in made.rungs] == [0.4, 0.2]
    assert made.info.engine == "rvm"
    made.close()


def test_one_that_began_below_opens_the_other_when_there_is_time_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Named, "opened", [])
    engine = ResortEngine(Named(BELOW), Named, ABOVE, BELOW)
    engine.prepare(1280, 720)
    above, below = engine.rungs
    assert (above.ratio, above.engine, below.engine) == (pytest.approx(0.2), "", "lite")
    assert Named.opened == []
    move(engine, above)
    assert engine.info.engine == "rvm" and Named.opened == ["rvm"]
    assert [rung.ratio for rung in engine.rungs] == [0.4, 0.2, 0.0]
    engine.close()


def test_frames_of_another_size_leave_what_was_prepared_for_the_size_before(made: ResortEngine) -> None:
    move(made, made.rungs[-1])
    made.matte(Frame(np.zeros((48, 64, 3), np.uint8), 0, 0, 0))
    assert Named.closed == []
    made.matte(Frame(np.zeros((96, 128, 3), np.uint8), 1, 0, 0))
    assert Named.closed == ["rvm"]
    assert made.info.engine == "lite" and len(made.rungs) == 2
    made.close()
    assert Named.closed == ["rvm", "lite"]


def test_the_governor_goes_down_to_it_and_comes_back(made: ResortEngine, clock: FakeClock) -> None:
    governor, moves = Governor(made, 30, clock), []
    for number in range(1200):
        slow = number < 300
        frame = Frame(np.zeros((48, 64, 3), np.uint8), number, 0, round((1 + number / 30) * 1e9))
        clock.time_ns = max(clock.time_ns, frame.captured_ns)
        matte = made.matte(frame)
        began = clock.now_ns()
        clock.advance(0.012 if made.info.engine == "lite" else 0.06 if slow else 0.02)
        if (moved := governor.observe(replace(matte, started_ns=began, finished_ns=clock.now_ns()))) is not None:
            moves.append(moved)
        if made._opening is not None:
            made._opening.future.result(10)
    names = [(each.before.engine, each.after.engine, each.resorted) for each in moves]
    assert names[:2] == [("rvm", "rvm", False), ("rvm", "lite", True)], "to its smallest size first"
    assert ("lite", "rvm", False) in names and made.info.engine == "rvm"
    made.close()


@pytest.mark.parametrize("pressed", [False, True])
def test_each_change_is_told_each_time(pressed: bool) -> None:
    from rvm_live.pipeline.stages import MattingStage

    notices = Notices()
    stage = MattingStage.__new__(MattingStage)
    stage._notices = notices
    renewed: list[int] = []
    stage._renew = lambda: renewed.append(1)
    rvm = EngineInfo("openvino", "mobilenetv3", "cpu", "CPU", "fp32", 0.2)
    lite = EngineInfo("lite", "lite", "cpu", "CPU", "fp32", 0.2)
    for _ in range(2):
        before = notices.messages[-1].telling if notices.messages else 0
        stage._tell_move(Move(rvm, lite, 62.0, pressed, resorted=True))
        stage._tell_move(Move(lite, rvm, 12.0, False, resorted=False))
        assert notices.messages[-1].telling == before + 2
    why = "other programs need the CPU" if pressed else "matting took 62 ms at its smallest size"
    assert notices.fallbacks == (f"{why}: lite runs until there is enough time for mobilenetv3",)
    assert notices.messages[-1] == "there is enough time for mobilenetv3 again: openvino runs"
    stage._tell_move(Move(rvm, rvm.at_ratio(0.3), 40.0, pressed, resorted=False))
    stage._tell_move(None)
    assert len(renewed) == 4, "another engine begins an epoch, another size does not"
    assert len(notices.messages) == 2 and "ratio 0.3" in notices.remarks[-1]
