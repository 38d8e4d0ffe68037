"""The controls of a live run change what is running: by name, during the run."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from rvm_live.apps.live import _App
from rvm_live.apps.live_weights import WeightsFetch
from rvm_live.core.errors import SettingsError
from rvm_live.core.settings import EngineSettings, LiveSettings, SourceSettings
from tests.conftest import ROOT
from tests.support.capture import FakeDevice
from tests.support.everywhere import going
from tests.support.mirror import certificate, send, serving
from tests.support.videos import make_video
from tests.support.waiting import until

GREEN = ("color:#00ff00", "color:#ff0000", "blur")


@contextmanager
def running(folder: Path, **options: Any) -> Iterator[_App]:
    """A headless live run on a clip that is repeated."""
    clip = make_video(folder / "clip.mp4", width=320, height=180)
    source = options.pop("source", SourceSettings(str(clip), loop=True))
    name = options.pop("engine", "tests.support.engines:LeftHalfEngine")
    engine = EngineSettings(engine=name, fallback_lite=False)  # however busy this machine is
    settings = LiveSettings(source, engine, backgrounds=GREEN, headless=True, **options)
    with going(settings, lambda app: app.status().unique_fps > 0) as app:
        yield app


def test_what_is_asked_for_is_in_force_and_told(tmp_path: Path) -> None:
    with running(tmp_path) as app:
        told: list[Mapping[str, Any]] = []
        app.controls.subscribe(told.append)
        assert app.controls.choices("background")[:3] == ["color #00ff00", "color #ff0000", "blur 25"]
        app.controls.background = "color #ff0000"
        assert until(lambda: app.composer.background_label == "color #ff0000")
        picture = tmp_path / "beach.png"
        cv2.imwrite(str(picture), np.full((180, 320, 3), 90, np.uint8))
        app.controls.background = str(picture)
        assert app.controls.background == "beach" == app.controls.choices("background")[-1]
        assert until(lambda: app.composer.background_label == "image beach")
        for wish, complaint in (
            ("blu 25", "did you mean 'blur 25'"),
            (str(tmp_path / "none.png"), "there is no background"),
            (7, "background must be a name, a path or a value of --background"),
        ):
            with pytest.raises(SettingsError, match=complaint):
                app.controls.background = wish
        with pytest.raises(SettingsError, match="there is no camera"):
            app.controls.camera = "none"
        assert [next(iter(each)) for each in told] == ["background", "background"]


def test_the_page_has_words_for_each_of_them(tmp_path: Path) -> None:
    """In every language. Controls with their own place on the page need no word, and no word is left without a
    control."""
    page = ROOT / "rvm_live" / "sinks" / "web" / "page"
    placed = re.findall(r"\w+", re.findall(r"PLACED = \[(.*)\]", (page / "fields.js").read_text("utf-8"))[0])
    wanted = set()
    with running(tmp_path) as app:
        for each in app.controls.describe():
            kind, several = "action" if each["kind"] == "trigger" else "control", isinstance(each["value"], tuple)
            names = [f"{each['name']}-{index}" for index in range(2)] if several else [each["name"]]
            wanted |= {f"{kind}.{name}" for name in names if name not in placed}
    for words in json.loads((page / "strings.json").read_text("utf-8")).values():
        assert {word for word in words if word.startswith(("control.", "action."))} - {"action.stop_sure"} == wanted


def test_of_blurs_that_were_tried_one_stays(tmp_path: Path) -> None:
    """Each step of a slider makes one. The one named at the start stays, too."""
    with running(tmp_path) as app:
        before = list(app.controls.choices("background"))
        with pytest.raises(SettingsError, match="there is no camera"):
            app.controls.set(background="blur:33", camera="none")
        assert app.controls.choices("background") == before, "nothing of a wish is left where another is refused"
        for strength in (40, 41, 42):
            app.controls.background = f"blur:{strength}"
            assert app.controls.background == f"blur {strength}"
            assert until(lambda: app.composer.background_label == f"blur {strength}")  # noqa: B023
        assert app.controls.choices("background") == [*before, "blur 42"]
        app.controls.background = "blur:25"
        assert app.controls.background == "blur 25"


@pytest.mark.slow
def test_a_folder_of_ones_own_joins_the_backgrounds_and_is_looked_at_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path / "settings"))
    folder = tmp_path / "settings" / "backgrounds"
    folder.mkdir(parents=True)
    (tmp_path / "settings" / "answers.json").write_text(
        json.dumps({"own_code": ["tests.support.engines:LeftHalfEngine"]})
    )
    cv2.imwrite(str(folder / "sea.png"), np.full((180, 320, 3), 90, np.uint8))
    (folder / "notes.txt").write_text("no picture")
    with running(tmp_path) as app:
        assert app.controls.choices("background")[0] == "color #00ff00", "what is shown first stays"
        assert app.controls.choices("background")[-1] == "sea"
        cv2.imwrite(str(folder / "wood.png"), np.full((180, 320, 3), 40, np.uint8))
        (folder / "broken.png").write_bytes(b"no picture")
        assert until(lambda: {"wood", "broken"} <= set(app.controls.choices("background")))
        app.controls.background = "wood"
        assert until(lambda: app.composer.background_label == "image wood")
        app.controls.background = "broken"
        assert until(lambda: any("background image broken failed" in note for note in app.notices.fallbacks))
        assert "broken" not in app.controls.choices("background")


def test_recordings_begin_and_end_one_after_the_other(tmp_path: Path) -> None:
    with running(tmp_path) as app:
        for name in ("one.mp4", "two.mkv"):
            app.controls.recording = str(tmp_path / name)
            assert app.controls.recording == str(tmp_path / name)
            count = app.pipeline.snapshot().unique
            assert until(lambda: app.recording.seconds > 0.5 and app.pipeline.snapshot().unique > count + 5)  # noqa: B023
            app.controls.recording = None
            there = tmp_path / name
            assert until(there.exists), (app.notices.fallbacks, app.recording.failure, sorted(tmp_path.iterdir()))
        with pytest.raises(SettingsError, match="unknown suffix"):
            app.controls.recording = str(tmp_path / "three.avi")
        assert app.controls.recording is None
    assert [path.name for path in app.recording.saved] == ["one.mp4", "two.mkv"]
    for path in app.recording.saved:
        with av.open(str(path)) as file:
            assert sum(1 for _ in file.decode(video=0)) > 3
    assert app.report(app.pipeline.snapshot()).recording == str(tmp_path / "two.mkv")


def test_a_pause_frees_the_source_and_privacy_shows_nobody(tmp_path: Path) -> None:
    with running(tmp_path) as app:
        app.controls.paused = True
        assert until(lambda: app.source.inner is None)
        count = app.pipeline.snapshot().captured
        time.sleep(0.3)
        assert app.pipeline.snapshot().captured <= count + 1
        app.controls.paused = False
        assert until(lambda: app.pipeline.snapshot().captured > count + 3)
        app.controls.set(privacy=True, background="color #00ff00")
        assert app.controls.privacy is True and app.composer.private
        app.controls.privacy = False


def test_a_background_that_is_chosen_in_a_pause_is_seen_at_once(tmp_path: Path) -> None:
    with running(tmp_path) as app:
        app.controls.paused = True
        assert until(lambda: app.source.inner is None and app.status().paused)
        for name, colour in (("color #ff0000", (0, 0, 255)), ("color #00ff00", (0, 255, 0))):
            app.controls.background = name
            assert until(lambda: tuple(app.composer.background_only(4, 4)[0, 0]) == colour, 5)  # noqa: B023
        app.controls.paused = False


@pytest.mark.slow
def test_where_there_is_no_other_value_one_is_told_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RVM_LIVE_WEIGHTS", raising=False)
    FakeDevice.plug_in_all(monkeypatch, {})
    with running(tmp_path, engine="lite") as app:
        for name, why in (
            ("camera", "there is no camera"),
            ("engine", "RVM is not here yet: press w to fetch it"),
            ("quality", "lite has only one quality: press w for RVM"),
        ):
            with pytest.raises(SettingsError, match=why):
                app.controls.step(name)


def test_the_camera_changes_and_the_one_before_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    front, side = FakeDevice(sizes=[(64, 48)], fps=60), FakeDevice(index=1, sizes=[(128, 96)], fps=60)
    FakeDevice.plug_in_all(monkeypatch, {"Front Cam": front, "Side Cam": side})
    with running(tmp_path, source=SourceSettings("Front Cam")) as app:
        assert app.controls.camera == "Front Cam" and list(app.controls.choices("camera")) == ["Front Cam", "Side Cam"]
        assert app.view.mirror, "a camera's picture is shown as a mirror does"
        epoch = app.pipeline._epoch.current
        app.controls.camera = "Side Cam"
        assert until(lambda: app.status().size == (128, 96))
        assert app.controls.camera == "Side Cam" and "Side Cam" in app.status().source
        assert (front.held, side.held) == (False, True)
        assert app.pipeline._epoch.current > epoch
        assert app.controls.step("camera") == "Front Cam"
        assert until(lambda: app.status().size == (64, 48))
        app.controls.paused = True
        assert until(lambda: not front.held and not side.held), "while it rests its light is out"
        app.controls.paused = False
        assert until(lambda: front.held)
    assert not front.held and not side.held


def test_a_source_that_cannot_be_opened_leaves_the_one_before(tmp_path: Path) -> None:
    with running(tmp_path) as app:
        count = app.pipeline.snapshot().captured
        app.source.use(SourceSettings(str(tmp_path / "none.mp4")))
        assert until(lambda: any("continuing with the previous source" in note for note in app.notices.fallbacks))
        assert until(lambda: app.pipeline.snapshot().captured > count + 5)
        other = make_video(tmp_path / "other.mp4", width=160, height=96)
        app.source.use(SourceSettings(str(other), loop=True))
        assert until(lambda: app.status().size == (160, 96))
        assert "other.mp4" in app.status().source, "what is told is what runs"


@pytest.mark.expects_errors
def test_the_engine_changes_between_two_frames(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RVM_LIVE_WEIGHTS", str(weights))
    with running(tmp_path, engine="lite") as app:
        assert app.controls.engine == "lite" and list(app.controls.choices("engine")) == ["lite", "rvm"]
        with pytest.raises(SettingsError, match="lite has only one quality"):
            app.controls.quality = "high"
        app.controls.engine = "rvm"
        assert app.controls.engine == "rvm"
        assert until(lambda: app.status().engine in ("openvino", "rvm"))
        app.controls.quality = "quick"
        assert until(lambda: app.status().ratio == pytest.approx(256 / 320))
        app.controls.engine = "lite"
        assert until(lambda: app.status().engine == "lite")
    assert [each for each in app.notices.fallbacks if "matting takes" not in each] == []


@pytest.mark.slow
def test_without_weights_there_is_lite_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RVM_LIVE_WEIGHTS", raising=False)
    with running(tmp_path, engine="lite") as app:
        assert list(app.controls.choices("engine")) == ["lite"]
        with pytest.raises(SettingsError, match="RVM's weights are not here: fetch them with `rvm-live weights pull`"):
            app.controls.engine = "rvm"


@pytest.mark.slow
@pytest.mark.expects_errors
def test_weights_are_fetched_while_the_picture_goes_on_and_then_used(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is slow: frames go on meanwhile, and progress is shown. The first attempt fails."""
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RVM_LIVE_WEIGHTS", raising=False)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate()))
    body, there = weights.read_bytes(), threading.Event()

    def answer(handler: BaseHTTPRequestHandler, _: int) -> None:
        if not there.is_set():
            send(handler, b"gone", status=404)
            return
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        for start in range(0, len(body), len(body) // 8 + 1):
            handler.wfile.write(body[start : start + len(body) // 8 + 1])
            time.sleep(0.1)

    with serving(answer, secure=True) as (url, _), running(tmp_path, engine="lite") as app:
        monkeypatch.setenv("RVM_LIVE_WEIGHTS_URL", url)
        app.fetch.start()
        assert until(lambda: any("could not be fetched" in note for note in app.notices.messages))
        assert app.controls.engine == "lite" and app.status().fetching == ""
        there.set()
        count = app.pipeline.snapshot().captured
        app.fetch.start()
        assert until(lambda: " MB" in app.status().fetching)
        assert until(lambda: app.controls.engine == "rvm")
        assert app.pipeline.snapshot().captured > count + 5
        assert until(lambda: app.status().engine in ("openvino", "rvm"))
    assert (tmp_path / "cache").is_dir()


@pytest.mark.slow
def test_where_no_server_can_be_reached_one_is_told_to_try_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path))
    monkeypatch.delenv("RVM_LIVE_WEIGHTS", raising=False)
    told: list[str] = []
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("RVM_LIVE_WEIGHTS_URL", f"https://127.0.0.1:{closed.getsockname()[1]}")
        fetch = WeightsFetch(EngineSettings(), lambda: told.append("ready"), told.append)
        fetch.start()
        assert until(lambda: told and not fetch.state)
    assert told == ["No network: press w later"]


def test_offline_nothing_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path))
    monkeypatch.delenv("RVM_LIVE_WEIGHTS", raising=False)
    fetch = WeightsFetch(EngineSettings(offline=True), lambda: None, lambda _: None)
    with pytest.raises(SettingsError, match="downloads are switched off"):
        fetch.start()
    assert fetch.state == ""
