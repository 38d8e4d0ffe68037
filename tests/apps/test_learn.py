"""``rvm-live learn``: from a clip to a file, with RVM's real weights; what it refuses, and how it is stopped."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import av
import numpy as np
import pytest

from rvm_live.apps.doctor import machine
from rvm_live.apps.learn import learn as app
from rvm_live.apps.learn.learn import LearnSettings
from rvm_live.apps.learn.places import places
from rvm_live.apps.learn.watch import LEAST_MOMENTS, Watched, watch
from rvm_live.apps.live_engines import LiveEngines
from rvm_live.core.controls import Controls
from rvm_live.core.errors import SettingsError, SourceUnavailableError, WeightsError
from rvm_live.core.notices import Notices
from rvm_live.core.settings import EngineSettings, SourceSettings
from rvm_live.engines.failover import FailoverEngine
from rvm_live.engines.lite import adapt, learned
from rvm_live.engines.lite.adapt import Verdict
from rvm_live.engines.lite.engine import EMBEDDED
from rvm_live.engines.lite.learned import Learned
from rvm_live.engines.lite.lessons import Recording
from rvm_live.sources.base import SourceInfo
from rvm_live.sources.demo.scenery import Scenery
from rvm_live.sources.factory import open_source
from rvm_live.sources.switched import SwitchedSource
from tests.project.test_imports import loaded_by
from tests.support.engines import LeftHalfEngine
from tests.support.program import Outcome, call

SIZE = (256, 144)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path / "home"))


def written(path: Path, pictures: list[np.ndarray]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.bit_rate = *SIZE, 2_000_000
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def somebody(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's person in its room."""
    source = open_source(SourceSettings("demo", width=SIZE[0], height=SIZE[1], realtime=False))
    source.open()
    pictures = [source.read().image for _ in range(LEAST_MOMENTS + 15)]
    source.release()
    return written(tmp_path_factory.mktemp("clips") / "somebody.mp4", pictures)


@pytest.fixture(scope="module")
def nobody(tmp_path_factory: pytest.TempPathFactory) -> Path:
    room = Scenery(*SIZE)
    return written(tmp_path_factory.mktemp("clips") / "nobody.mp4", [room.at(n / 30) for n in range(20)])


def said(*words: str) -> Outcome:
    return call("learn", *words)


@pytest.mark.slow
def test_somebody_is_learnt_listed_found_and_forgotten(
    somebody: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapt, "learnt", better(adapt.learnt))
    done = said("--source", str(somebody), "--weights", str(weights), "--minutes", "0.05")
    assert done.code == 0, done.out + done.err
    (kept,) = learned.listed()
    assert kept.after < kept.before
    assert 20_000 < kept.path.stat().st_size < 400_000
    assert str(kept.path.name) in (done.out + done.err).replace("\n", "")
    assert any(each.name == "lite (learned)" and each.state == "good" for each in machine.learned())
    assert kept.name in said("--list").out
    assert said("--forget", kept.name).code == 0
    assert learned.listed() == []
    assert "nothing has been learnt" in said("--list").out


def better(learnt: object) -> object:
    """Learns for real, but in too short a time to be certainly better: that judgement is replaced."""

    def call(*args: object, **words: object) -> object:
        tuned, _ = learnt(*args, **words)  # type: ignore[operator]
        return tuned, Verdict(9.0, 3.0, 8.0, 7.0)

    return call


@pytest.mark.slow
def test_what_is_no_better_is_not_kept(somebody: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapt, "learnt", lambda base, *args, **words: (base, Verdict(3.0, 3.1, 8.0, 7.0)))
    done = said("--source", str(somebody), "--weights", str(weights), "--minutes", "0.05")
    assert done.code == 0, done.out + done.err
    assert "not kept" in (done.out + done.err)
    assert not learned.folder().exists()


@pytest.mark.parametrize("after", [3.1, 2.9])
def test_what_is_judged_no_better_is_never_written(after: float, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = Recording(*(np.zeros((10, 18, 32, *more), np.uint8) for more in ((3,), (3,), ())))
    seen = Watched(SourceInfo("a camera", "camera", *SIZE, 30.0, True), recording, [])
    monkeypatch.setattr(app, "watch", lambda *args: seen)
    monkeypatch.setattr(adapt, "learnt", lambda base, *args, **words: (base, Verdict(3.0, after, 8.0, 7.0)))
    result = app.learn(LearnSettings(SourceSettings("demo")))
    assert (result.learned is not None) == learned.folder().exists() == (after < 3)


@pytest.mark.slow
def test_without_enough_of_anybody_nothing_is_learnt(nobody: Path, weights: Path) -> None:
    done = said("--source", str(nobody), "--weights", str(weights))
    assert done.code == 2
    assert "you were seen in only" in (done.out + done.err).replace("\n", " ")
    assert not learned.folder().exists()


@pytest.mark.slow
def test_the_empty_room_counts_only_where_it_is_empty(somebody: Path, weights: Path) -> None:
    """At the end of a clip there is no empty room: nobody has left, and nothing is taken for the room."""
    asked: list[int] = []
    seen = watch(
        SourceSettings(str(somebody), realtime=False),
        EngineSettings(weights=weights),
        2.2,
        lambda: asked.append(1),
        lambda what, share: None,
    )
    assert asked == [1]
    assert seen.empty == []
    assert LEAST_MOMENTS <= len(seen.recording.alpha) <= LEAST_MOMENTS + 15


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--source", "{nobody}", "--offline"), "weights pull"),
        (("--seconds", "2"), "out of range"),
        (("--minutes", "1000"), "out of range"),
        (("--forget", "me"), "nothing at all"),
        (("--list", "--forget", "all"), "together"),
        (("--source", "{nobody}.gone", "--weights", "{weights}"), "there is no file"),
    ],
)
def test_what_cannot_be_is_one_line(words: tuple[str, ...], told: str, nobody: Path, weights: Path) -> None:
    done = said(*(each.format(nobody=nobody, weights=weights) for each in words))
    assert done.code == 2
    assert told in (done.out + done.err).replace("\n", " ")
    assert "Traceback" not in (done.out + done.err)


@pytest.mark.slow
def test_where_no_camera_is_nobody_is_learnt(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rvm_live.sources.auto.list_cameras", list)
    monkeypatch.setattr("rvm_live.sources.auto.unlisted_cameras", list)
    with pytest.raises(SourceUnavailableError, match="no camera"):
        watch(SourceSettings("auto"), EngineSettings(weights=weights), 5.0, None, lambda what, share: None)


@pytest.mark.slow
def test_stopped_while_it_learns_it_leaves_what_was_there(
    somebody: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began: list[float] = []

    class Stopped:
        def __init__(self, future: object) -> None:
            self._future = future

        def result(self) -> object:
            while not began:
                pass
            raise KeyboardInterrupt

    submit = app.ThreadPoolExecutor.submit
    monkeypatch.setattr(
        app.ThreadPoolExecutor, "submit", lambda self, *args, **words: Stopped(submit(self, *args, **words))
    )

    def told(what: str, share: float) -> None:
        if what == "learning":
            began.append(share)

    settings = LearnSettings(SourceSettings(str(somebody), realtime=False), EngineSettings(weights=weights), 5.0, 30.0)
    with pytest.raises(KeyboardInterrupt):
        app.learn(settings, told=told)
    assert len(began) <= 3  # it did not go on for half an hour
    assert not learned.folder().exists()


def test_places_to_guard_with_are_never_learnt_from() -> None:
    learnt_before, guards = places()
    assert len(learnt_before) >= 3 and len(guards) >= 2
    for guard in guards:
        assert not any(guard.shape == each.shape and np.array_equal(guard, each) for each in learnt_before)


@pytest.mark.parametrize("field", [{"seconds": 1.0}, {"seconds": 1000.0}, {"minutes": 0.0}])
def test_settings_out_of_range_are_refused(field: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="out of range"):
        LearnSettings(SourceSettings("demo"), **field)


def test_no_weights_is_told_before_the_camera_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RVM_LIVE_WEIGHTS", raising=False)
    with pytest.raises(WeightsError, match="weights pull"):
        watch(SourceSettings("gone.mp4"), EngineSettings(), 5.0, None, lambda what, share: None)


@pytest.mark.slow
@pytest.mark.parametrize(("option", "told"), [((), "lite (learned)"), (("--no-learned",), "lite")])
def test_a_live_run_uses_what_was_learnt_before_its_camera(
    option: tuple[str, ...], told: str, nobody: Path, tmp_path: Path
) -> None:
    label = f"file {nobody.name}"
    words = Learned(label, "2026-01-02", sha256(EMBEDDED.read_bytes()).hexdigest(), 9.0, 3.0)
    learned.save(learned.path_for(label, label), words, {"last.bias": np.zeros(4, np.float16)})
    report = tmp_path / "report.json"
    done = call(
        *("--engine", "lite", "--source", nobody, "--headless", "--no-realtime", "--frames", "2"),
        *("--precision", "fp32", "--stats-json", report, "--report", *option),
    )
    assert done.code == 0, done.err
    assert json.loads(report.read_text())["ran"]["model"] == told
    assert f"engine      {told} on cpu" in done.out


def test_the_control_turns_it_off_and_on_again() -> None:
    source = SwitchedSource(SourceSettings("demo"), open_source)
    engine = FailoverEngine(LeftHalfEngine, EngineSettings("lite", camera=source.in_use), Notices())
    controls = Controls(LiveEngines(engine, source).controls())
    assert controls.learned is True
    controls.learned = "off"
    assert controls.learned is False and engine.asked.camera is None
    controls.learned = True
    assert controls.learned is True and engine.asked.camera is source.in_use


def test_a_source_that_opens_is_the_camera_in_use(nobody: Path) -> None:
    source = SwitchedSource(SourceSettings(str(nobody)), open_source)
    assert source.in_use.now == ("", "")
    try:
        info = source.open()
        assert source.in_use.now == (info.label, info.label)
    finally:
        source.release()


def test_what_is_refused_waits_for_no_torch() -> None:
    asked = "from rvm_live.apps.learn.learn import LearnSettings, learn"
    assert loaded_by(asked) & {"torch", "openvino"} == set()
