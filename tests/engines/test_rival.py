"""RVM through ONNX Runtime as a rival of the engine that runs. This was never tried on a Mac or with DirectML: only the
provider's name is theirs, and ONNX Runtime's CPU provider does the work."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from rvm_live.core.errors import EngineError, QueueClosed, UnavailableError
from rvm_live.core.frames import Frame
from rvm_live.core.notices import Notices
from rvm_live.core.queues import FrameQueue, Overflow
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.base import EngineInfo
from rvm_live.engines.common.fixed_network import Shape
from rvm_live.engines.onnx import kept, providers, rival
from rvm_live.engines.onnx.engine import OnnxEngine
from rvm_live.engines.onnx.providers import Candidate
from rvm_live.engines.onnx.rival import RivalEngine
from rvm_live.engines.rvm.openvino.engine import OpenVinoEngine
from rvm_live.engines.select import AutoEngine
from rvm_live.pipeline.stage import Epoch
from rvm_live.pipeline.stages import MattingStage
from rvm_live.sources.base import SourceInfo
from tests.support.engines import PassThroughEngine
from tests.support.videos import read_frames

SIZE, RATIO = (256, 144), 0.5
CPU = (("CPUExecutionProvider", {}),)


@pytest.fixture(scope="module")
def frames(data: Path) -> list[Frame]:
    read = read_frames(data / "clips" / "webcam" / "volcomix_Doctor_26732.mp4", 8)
    return [replace(frame, image=cv2.resize(frame.image, SIZE, interpolation=cv2.INTER_AREA)) for frame in read]


@pytest.fixture(scope="module")
def file(weights: Path) -> bytes:
    """The file as a separate process makes it."""
    return kept.file_for(weights, Shape(*SIZE, RATIO), threading.Event()).read_bytes()


@pytest.fixture
def cached(weights: Path, file: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in a cache of the test's own."""
    monkeypatch.setattr(kept, "folder", lambda: tmp_path)
    monkeypatch.setattr(rival, "_failed", set())
    place = kept.folder() / f"{kept.sha256_of(kept.file_bytes(weights))[:16]}-256x144-r0.5"
    path = place.with_name(f"{place.name}-{kept.__version__}-{kept._FORMAT}.onnx")
    path.write_bytes(file)
    return path


@pytest.fixture
def engine(weights: Path, cached: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RivalEngine]:
    """OpenVINO at work, on a machine whose ONNX Runtime claims to have "Core ML"."""
    monkeypatch.setattr(rival, "PROVIDERS", {sys.platform: "Core ML"})
    monkeypatch.setattr(rival, "_FIRST", 2)
    monkeypatch.setattr(rival, "_EVERY", 1)
    monkeypatch.setattr(providers, "candidates", lambda *_, **__: [Candidate("Core ML", CPU)])
    made = rival_of(weights)
    yield made
    made.close()


def rival_of(weights: Path) -> RivalEngine:
    settings = EngineSettings(weights=weights, keep_up=True, downsample_ratio=RATIO, gate=False)
    own = OpenVinoEngine(settings)
    own.open()
    own.prepare(*SIZE)
    return RivalEngine(own, OpenVinoEngine, weights, settings)


def taking(monkeypatch: pytest.MonkeyPatch, own: float, other: float) -> None:
    """Set the measured times per frame; the engines run all the same."""

    def measured(run: Callable[[], object], **_: object) -> float:
        run()
        return other

    def of_the_first(times: Sequence[float]) -> float:
        assert len(times) == 5 and min(times) > 0
        return own

    monkeypatch.setattr(rival, "median_ms", measured)
    monkeypatch.setattr(rival, "median", of_the_first)


def tried(engine: RivalEngine, frames: list[Frame]) -> None:
    """Feed frames until the trial is over."""
    for frame in frames:
        engine.matte(frame)
    assert engine._trial is not None
    wait([engine._trial], 120)


def test_the_quicker_one_takes_over_at_the_next_epoch(
    engine: RivalEngine, frames: list[Frame], monkeypatch: pytest.MonkeyPatch
) -> None:
    taking(monkeypatch, 20.0, 5.0)
    assert not engine.succession
    tried(engine, frames)
    assert engine.succession and engine.info.engine == "openvino", "it goes on until there is a new epoch"
    before = [engine.matte(frame).host().alpha for frame in frames][-1]
    engine.reset()
    assert not engine.succession
    assert (engine.info.engine, engine.info.downsample_ratio) == ("onnx", RATIO)
    assert "ONNX Runtime's Core ML provider" in engine.info.device_name
    assert engine.info.hints == ("ONNX Runtime's Core ML: 5.0 ms a frame, openvino on cpu 20.0 ms: it takes over "
                                 "from openvino on cpu",)  # fmt: skip
    after = [engine.matte(frame).host().alpha for frame in frames][-1]
    assert after.mean() > 0 and np.abs(after.astype(int) - before).mean() < 1


@pytest.mark.slow
def test_where_it_fails_at_work_the_first_one_goes_on_and_it_is_not_tried_again(
    engine: RivalEngine, frames: list[Frame], weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taking(monkeypatch, 20.0, 5.0)
    tried(engine, frames)
    engine.reset()

    def lost(*_: object) -> None:
        raise RuntimeError("the device was removed")

    monkeypatch.setattr(OnnxEngine, "_run", lost)
    with pytest.raises(EngineError, match="failed with ONNX Runtime's Core ML: the device was removed"):
        engine.matte(frames[0])
    assert engine.info.engine == "openvino" and engine.info.hints == ()
    assert "ONNX Runtime's Core ML is not used any more" in engine.info.notes[-1]
    again = rival_of(weights)
    try:
        for each in (engine, again):
            for frame in frames:
                assert each.matte(frame).host().alpha.shape == SIZE[::-1]
            assert each._trial is None
    finally:
        again.close()


@pytest.mark.slow
def test_a_slower_one_is_left_and_that_is_told(
    engine: RivalEngine, frames: list[Frame], monkeypatch: pytest.MonkeyPatch
) -> None:
    taking(monkeypatch, 5.0, 20.0)
    tried(engine, frames)
    assert not engine.succession
    engine.reset()
    assert engine.info.engine == "openvino"
    assert engine.info.remarks == ("ONNX Runtime's Core ML: 20.0 ms a frame, openvino on cpu 5.0 ms",)
    assert engine.info.notes == ()


def spoilt(path: Path) -> None:
    """A file that runs, but computes another alpha."""
    model = onnx.load(path)
    for each in model.graph.initializer:
        values = numpy_helper.to_array(each)
        if values.ndim == 4:
            each.CopyFrom(numpy_helper.from_array((values * np.float32(1.05)).astype(values.dtype), each.name))
    onnx.save(model, path)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["other", "damaged", "not there"])
def test_one_that_disagrees_or_fails_is_refused_with_its_reason(
    how: str, engine: RivalEngine, cached: Path, frames: list[Frame], monkeypatch: pytest.MonkeyPatch
) -> None:
    taking(monkeypatch, 20.0, 5.0)
    if how == "other":
        spoilt(cached)
    elif how == "damaged":
        cached.write_bytes(cached.read_bytes()[:1000])
    else:  # a provider that this ONNX Runtime was built without
        absent = Candidate("Core ML", (("CoreMLExecutionProvider", {}), *CPU))
        monkeypatch.setattr(providers, "candidates", lambda *_, **__: [absent])
    tried(engine, frames)
    engine.reset()
    assert engine.info.engine == "openvino" and not engine.succession
    (told,) = engine.info.notes
    why = {"other": "its alpha differs", "damaged": "cannot be read", "not there": "cannot be used"}
    assert told.startswith("ONNX Runtime's Core ML is not used: ") and why[how] in told
    assert cached.exists() is (how != "damaged"), "what is damaged is made anew the next time"


@pytest.mark.slow
def test_pictures_of_nobody_tell_nothing(engine: RivalEngine, frames: list[Frame]) -> None:
    black = [replace(frame, image=np.zeros_like(frame.image)) for frame in frames[:5]]
    for frame in black:
        engine.matte(frame)
    trial = engine._trial
    assert trial is not None
    assert isinstance(trial.exception(60), EngineError)
    engine.reset()
    assert engine.info.notes == () and not engine.succession


@pytest.mark.slow
def test_frames_of_another_size_begin_anew(
    engine: RivalEngine, frames: list[Frame], monkeypatch: pytest.MonkeyPatch
) -> None:
    taking(monkeypatch, 20.0, 5.0)
    tried(engine, frames)
    engine.reset()
    assert engine.info.engine == "onnx"
    small = replace(frames[0], image=np.ascontiguousarray(frames[0].image[:72, :128]))
    assert engine.matte(small).host().alpha.shape == (72, 128)
    assert engine.info.engine == "openvino" and engine._trial is None


@pytest.mark.slow
def test_nobody_waits_for_a_file_that_is_no_longer_wanted(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "folder", lambda: tmp_path)
    stop = threading.Event()
    stop.set()
    with pytest.raises(UnavailableError, match="no longer wanted"):
        kept.file_for(weights, Shape(*SIZE, RATIO), stop)
    assert not [*tmp_path.glob("*.onnx")]


def test_old_files_are_tidied(cached: Path) -> None:
    for number in range(kept._MOST + 2):
        cached.with_name(f"{number}-{kept.__version__}-{kept._FORMAT}.onnx").write_bytes(b"")
    old, new = cached.with_name("of-another-version-0.onnx"), cached.with_name(".being-written.part")
    for each in (old, new):
        each.write_bytes(b"")
    os.utime(old, (0, 0))
    os.utime(cached, (0, 0))
    kept._tidy(cached.parent)
    assert new.exists() and not old.exists() and not cached.exists()
    assert len([*cached.parent.glob("*.onnx")]) == kept._MOST


class Succeeded(PassThroughEngine):
    """An engine that has something better ready from its second frame on."""

    @property
    def succession(self) -> bool:
        return self.calls.count("matte") > 1 and self.calls.count("reset") < 2

    @property
    def info(self) -> EngineInfo:
        over = self.calls.count("reset") == 2
        return replace(super().info, hints=("another runtime took over",) if over else ())


def test_a_live_run_begins_an_epoch_for_it_once_and_tells_it() -> None:
    inlet, outlet = (FrameQueue[Any](name, 20, Overflow.BLOCK) for name in ("in", "out"))
    source: Future[SourceInfo] = Future()
    source.set_result(SourceInfo("demo", "demo", 8, 8, 30.0, live=True))
    notices, renewed = Notices(), list[bool]()
    stage = MattingStage(
        Succeeded(),
        inlet,
        outlet,
        source_info=source,
        epoch=Epoch(),
        notices=notices,
        adaptive_fps=None,
        renew=lambda: renewed.append(bool(notices.messages)),
    )
    for number, epoch in enumerate((0, 0, 0, 0, 1, 1)):
        inlet.put(Frame(np.full((8, 8, 3), number, np.uint8), number, epoch, number))
    inlet.close()
    with pytest.raises(QueueClosed):
        stage.work()
    assert renewed == [False] and notices.messages == ("another runtime took over",)
    assert [outlet.get().frame.epoch for _ in range(6)] == [0, 0, 0, 0, 1, 1]


@pytest.mark.parametrize(
    ("asked", "running", "there"),
    [
        ({}, {}, True),
        ({"keep_up": False}, {}, False),
        ({"device": "cpu"}, {}, False),
        ({"precision": "fp32"}, {}, False),
        ({}, {"engine": "lite"}, False),
        ({}, {"engine": "rvm", "device": "mps"}, True),
        ({}, {"engine": "rvm", "device": "cuda:0"}, False),
    ],
)
def test_only_live_video_that_left_the_choice_looks_for_it(
    asked: dict[str, object], running: dict[str, str], there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = EngineSettings(**{"keep_up": True, **asked})  # type: ignore[arg-type]
    info = replace(EngineInfo("openvino", "mobilenetv3", "cpu", "CPU", "fp32"), **running)  # type: ignore[arg-type]
    monkeypatch.setattr(rival, "PROVIDERS", {sys.platform: "Core ML"})
    assert rival.possible(settings, info) is there
    monkeypatch.setattr(rival, "PROVIDERS", {"another": "Core ML"})
    assert not rival.possible(settings, info), "there is no such provider on this system"


def test_auto_puts_it_beside_the_engine_it_took(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = EngineSettings(weights=weights, device="auto", keep_up=True, fallback_lite=False)
    for here in (False, True):
        if here:
            monkeypatch.setattr(rival, "PROVIDERS", {sys.platform: "Core ML"})
        engine = AutoEngine(settings)
        try:
            engine.open()
            assert isinstance(engine._inner, RivalEngine) is here
        finally:
            engine.close()
