"""Sound beside the picture: in step, on the picture's clock, and without what nobody should hear."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from rvm_live.apps.assembly import failover
from rvm_live.apps.live import _App
from rvm_live.cli.words import said_in_full
from rvm_live.core.clock import SYSTEM_CLOCK
from rvm_live.core.errors import SettingsError, SinkError, SourceLostError, SourceUnavailableError
from rvm_live.core.notices import Notices
from rvm_live.core.queues import Overflow
from rvm_live.core.settings import EngineSettings, LiveSettings, SourceSettings
from rvm_live.microphones import factory, portaudio
from rvm_live.microphones.base import RATE, Microphone, Sound
from rvm_live.sinks.factory import open_recorder
from rvm_live.sinks.recording.listening import Listener
from rvm_live.sinks.recording.recorder import Recorder
from rvm_live.sinks.recording.sound_track import SoundTrack
from rvm_live.sinks.recording.unfinished import part_path
from rvm_live.sinks.recording.video_file import VideoFile
from rvm_live.sinks.recording.writers import Shot
from rvm_live.sinks.window.overlay import Overlay
from rvm_live.sinks.window.status import Status, joined, statistics_rows
from rvm_live.system.installed import adding
from tests.conftest import ROOT
from tests.support.claps import MICROPHONE, check_in_step, run_with_claps, samples, sound_server, tones
from tests.support.clock import FakeClock
from tests.support.pictures import make_composite
from tests.support.program import call
from tests.support.videos import make_video
from tests.support.waiting import until

SECOND = 1_000_000_000
CONTAINERS = {
    ".mp4": ("mp4", "aac"),
    ".mov": ("mov", "aac"),
    ".mkv": ("matroska", "libopus"),
    ".webm": ("webm", "libopus"),
}
LIVE = Overflow.DROP_OLDEST


@pytest.fixture(scope="module")
def server() -> Iterator[subprocess.Popen[bytes]]:
    with pytest.MonkeyPatch.context() as patch, sound_server(patch) as started:
        yield started


class MadeUp(Microphone):
    """A tone of 1 kHz in blocks of 10 ms, in real time; it may hang, fail, or not open.

    Args:
        plan: what happens instead of the block with that number.
    """

    name = "made up"

    def __init__(self, plan: dict[int, Callable[[], object]] | None = None, late_s: float = 0.0) -> None:
        self.plan = plan or {}
        self.late_s = late_s
        self.count = -1
        self.released = threading.Event()

    def open(self) -> None:
        self.plan.get(-1, lambda: None)()
        self._began_ns = SYSTEM_CLOCK.now_ns()

    def read(self) -> Sound:
        self.count += 1
        self.plan.get(self.count, lambda: None)()
        captured_ns = self._began_ns + self.count * 10_000_000
        SYSTEM_CLOCK.sleep((captured_ns - SYSTEM_CLOCK.now_ns()) / 1e9 + 0.01 + self.late_s)
        return Sound(tone(self.count * 480, 480), captured_ns)

    def release(self) -> None:
        self.released.set()


def tone(start: int, count: int) -> np.ndarray:
    return (12_000 * np.sin(2 * np.pi * 1000 * (start + np.arange(count)) / RATE)).astype(np.int16)


def record(path: Path, listener: Listener, *, seconds: float, patient: bool = True) -> Recorder:
    """Record twenty pictures a second and the microphone."""
    recorder = open_recorder(str(path), fps=20.0, policy=LIVE, listener=listener)
    try:
        recorder.open(patient=patient)
        for seq in range(round(seconds * 20)):
            recorder.write(make_composite(64, 48, seq=seq, captured_ns=SYSTEM_CLOCK.now_ns()))
            recorder.idle()
            time.sleep(0.05)
    finally:
        recorder.close(failed=False)
    return recorder


def loudness(path: Path, begin: float, end: float) -> float:
    """Root mean square of the sound between two times, [0, 1]; 0 where there is none."""
    sound, began = samples(path)
    part = sound[round((begin - began) * RATE) : round((end - began) * RATE)]
    return float(np.sqrt(np.mean(part**2))) if len(part) else 0.0


def length(path: Path) -> tuple[float, float]:
    """Lengths of picture and sound, seconds, each until its last packet ends."""
    with av.open(str(path)) as file:
        ends = []
        for stream in (file.streams.video[0], file.streams.audio[0]):
            file.seek(0)
            last = max(file.decode(stream), key=lambda frame: frame.pts)
            lasts = last.samples / last.sample_rate if stream.type == "audio" else 0.0
            ends.append(float(last.pts * last.time_base) + lasts)
    return ends[0], ends[1]


# In step ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "suffix", [each if each == ".mp4" else pytest.param(each, marks=pytest.mark.slow) for each in CONTAINERS]
)
def test_a_flash_and_a_tone_are_in_step(
    server: object, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole program on a real sound server: a tone is played whenever the picture flashes."""
    path = tmp_path / f"clap{suffix}"
    run_with_claps(monkeypatch, record=str(path), duration=5)
    check_in_step(path)
    picture, sound = length(path)
    assert sound == pytest.approx(picture, abs=0.1)


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
@pytest.mark.parametrize(("ppm", "jitter_ms", "gap_s"), [(0, 4, 0), (1500, 2, 0), (-1500, 2, 0), (0, 1, 0.5)])
@pytest.mark.few(1)
def test_sound_follows_the_clock_of_the_picture(
    tmp_path: Path, suffix: str, ppm: int, jitter_ms: float, gap_s: float
) -> None:
    """A tone each second from a microphone whose clock is wrong, whose time stamps jitter, and which loses a piece."""
    muxer, codec = CONTAINERS[suffix]
    path, trembling = tmp_path / f"take{suffix}", np.random.default_rng(0)
    seconds, began_ns, position = 30, 7 * SECOND, 0
    with av.open(str(path), "w", format=muxer) as container:
        track = SoundTrack(container, codec, began_ns)
        while True:
            at = -0.05 + (position + np.arange(480)) / (RATE * (1 + ppm * 1e-6))  # opened before the first picture
            position += 480
            if at[0] > seconds:
                break
            if gap_s and 5.3 < at[0] < 5.3 + gap_s:
                continue
            wave = np.where(at % 1 < 0.1, 12_000 * np.sin(2 * np.pi * 1000 * at), 0).astype(np.int16)
            stamp_ns = began_ns + round((at[0] + trembling.uniform(-jitter_ms, jitter_ms) / 1000) * 1e9)
            track.add([Sound(wave, stamp_ns)])
        track.finish()
    heard = tones(path)
    assert len(heard) in (seconds, seconds + 1), "the last one begins at the very end"
    assert np.abs(np.array(heard) - np.round(heard)).max() < 0.012
    assert track.gaps_s == pytest.approx(gap_s, abs=0.03)
    assert track.drift_s * 1000 == pytest.approx(-ppm * seconds / 1000, abs=10)


@pytest.mark.slow
def test_a_slow_microphone_is_silent_first_and_then_in_its_place(tmp_path: Path) -> None:
    """Recording starts while the program runs: the picture does not wait for the microphone."""
    microphone = MadeUp({-1: lambda: time.sleep(0.7)}, late_s=0.1)
    recorder = record(tmp_path / "take.mp4", Listener(lambda: microphone), seconds=1.5, patient=False)
    assert recorder.saved is not None and microphone.released.is_set()
    picture, sound = length(recorder.saved)
    assert sound == pytest.approx(picture, abs=0.15)
    began = tones(recorder.saved)
    assert len(began) == 1 and 0.6 < began[0] < 1.3
    assert loudness(recorder.saved, 0, began[0] - 0.05) < 0.01


class Heard:
    """A listener that has heard a tone for as long as asked."""

    clock, state, heard_ns = SYSTEM_CLOCK, "on", 1 << 62

    def __init__(self) -> None:
        self.count = 0

    def take(self, until_ns: int) -> list[Sound]:
        taken = []
        while (self.count + 1) * 10_000_000 <= until_ns:
            taken.append(Sound(tone(self.count * 480, 480), self.count * 10_000_000))
            self.count += 1
        return taken


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_what_is_cut_short_has_its_sound_too(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"take{suffix}"
    writer = VideoFile(path, fps=10, listener=Heard())  # type: ignore[arg-type]
    writer.claim()
    for seq in range(80):
        writer.write(Shot(make_composite(64, 48).image, seq, seq * 100_000_000, None))
    cut = tmp_path / f"cut{suffix}"
    shutil.copy(part_path(path), cut)  # the file as a power cut leaves it
    assert writer.finish()
    for file, least in ((cut, 3.9), (path, 7.9)):
        picture, sound = length(file)
        assert picture >= least and sound == pytest.approx(picture, abs=0.3)
        assert loudness(file, 0.5, least - 0.5) == pytest.approx(12_000 / 32_768 / np.sqrt(2), rel=0.05)


# What can go wrong --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_microphone_that_is_unplugged_ends_alone(tmp_path: Path) -> None:
    def gone() -> None:
        raise SourceLostError("the microphone 'made up' is gone: No such device")

    told: list[str] = []
    microphone = MadeUp({50: gone})
    recorder = record(tmp_path / "take.mkv", Listener(lambda: microphone, told=told.append), seconds=2.5)
    assert told == ["the microphone 'made up' is gone: No such device: the recording continues without sound"]
    assert recorder.sound == "lost" and recorder.failure == "" and microphone.released.is_set()
    assert recorder.saved is not None
    picture, sound = length(recorder.saved)
    assert picture > 2 and sound == pytest.approx(picture, abs=0.15)
    assert loudness(recorder.saved, 0.1, 0.4) > 0.2 and loudness(recorder.saved, 0.7, 2.2) < 0.01


@pytest.mark.slow
def test_a_microphone_that_hangs_ends_alone(tmp_path: Path) -> None:
    told: list[str] = []
    released = threading.Event()
    listener = Listener(lambda: MadeUp({50: released.wait}), told=told.append)
    try:
        recorder = record(tmp_path / "take.mp4", listener, seconds=3.5)
    finally:
        released.set()
    assert told == ["the microphone stopped giving sound: the recording continues without sound"]
    picture, sound = length(tmp_path / "take.mp4")
    assert recorder.saved and picture > 3 and sound == pytest.approx(picture, abs=0.15)


@pytest.mark.parametrize("how", ["killed", "stopped"])
@pytest.mark.slow
def test_a_sound_server_that_dies_or_hangs_takes_no_picture_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    from rvm_live.microphones.factory import open_microphone

    told: list[str] = []
    with sound_server(monkeypatch) as server:
        listener = Listener(lambda: open_microphone(MICROPHONE), told=told.append)

        def end() -> None:
            assert until(lambda: listener.state == "on")
            time.sleep(0.3)
            server.send_signal(signal.SIGKILL if how == "killed" else signal.SIGSTOP)

        late = threading.Thread(target=end)
        late.start()
        try:
            recorder = record(tmp_path / "take.mp4", listener, seconds=3.5)
        finally:
            late.join()
            server.send_signal(signal.SIGKILL)
            assert until(lambda: not any(t.name == "rvm-microphone" for t in threading.enumerate()))
    assert len(told) == 1 and "the recording continues without sound" in told[0]
    picture, sound = length(tmp_path / "take.mp4")
    assert recorder.saved and picture > 2.5 and sound == pytest.approx(picture, abs=0.2)


def refused() -> None:
    raise SourceUnavailableError("cannot open the microphone 'made up': Device or resource busy")


def test_a_microphone_that_cannot_be_opened_ends_a_run_before_it_begins(tmp_path: Path) -> None:
    path = tmp_path / "take.mp4"
    for _ in range(2):  # the name is free for the next try
        with pytest.raises(SinkError, match=r"cannot open the microphone 'made up': Device .* busy; leave out --audio"):
            record(path, Listener(lambda: MadeUp({-1: refused})), seconds=1)
    assert os.listdir(tmp_path) == []


def test_one_that_does_not_open_is_not_waited_for_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rvm_live.sinks.recording.listening._OPENING_S", 0.2)
    released = threading.Event()
    try:
        with pytest.raises(SinkError, match=r"the microphone did not open within 0\.2 s; leave out --audio"):
            record(tmp_path / "take.mp4", Listener(lambda: MadeUp({-1: released.wait})), seconds=1)
    finally:
        released.set()
    assert os.listdir(tmp_path) == []


def test_later_it_is_told_and_the_picture_is_recorded(tmp_path: Path) -> None:
    told: list[str] = []
    listener = Listener(lambda: MadeUp({-1: refused}), told=told.append)
    recorder = record(tmp_path / "take.mp4", listener, seconds=0.5, patient=False)
    assert len(told) == 1 and told[0].endswith("Device or resource busy: the recording continues without sound")
    assert recorder.saved == tmp_path / "take.mp4" and recorder.failure == ""


# Who is heard -------------------------------------------------------------------------------------------------------


class Scripted(Microphone):
    """Hands out prepared blocks."""

    name = "scripted"

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.given: list[int] = []
        self.more = threading.Semaphore(0)
        self.ended = False

    def open(self) -> None:
        """Open at once."""

    def hear(self, captured_s: float, read_s: float) -> None:
        """A block of 10 ms, read at the given time."""
        self.clock.time_ns = round(read_s * 1e9)
        self.given.append(round(captured_s * 1e9))
        self.more.release()

    def read(self) -> Sound:
        self.more.acquire()
        if self.ended:
            raise SourceLostError("over")
        return Sound(np.full(480, 1000, np.int16), self.given.pop(0))

    def release(self) -> None:
        """There is nothing to free."""


def test_nothing_is_kept_of_what_was_said_in_private_however_late_it_comes(clock: FakeClock) -> None:
    hidden = False
    microphone = Scripted(clock)
    listener = Listener(lambda: microphone, muted=lambda: hidden, clock=clock)
    listener.open()
    kept: dict[float, bool] = {}
    # When it was said, when it is read, and whether the person hides at that moment; sound arrives 0.3 s late.
    for said, hide in ((1.0, False), (2.0, True), (2.9, True), (2.95, False), (3.1, False), (3.6, False)):
        hidden = hide
        microphone.hear(said, said + 0.3)
        found: list[Sound] = []
        assert until(lambda: found.extend(listener.take(10 * SECOND)) or found)  # noqa: B023
        kept[said] = bool(found[0].samples.any())
    assert listener.state == "on"
    microphone.ended = True
    microphone.more.release()
    listener.close()
    assert kept == {1.0: True, 2.0: False, 2.9: False, 2.95: False, 3.1: False, 3.6: True}


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> list[MadeUp]:
    """Every microphone that the program opens."""
    opened: list[MadeUp] = []

    def make(device: str) -> MadeUp:
        opened.append(MadeUp())
        return opened[-1]

    monkeypatch.setattr("rvm_live.microphones.factory.open_microphone", make)
    return opened


@pytest.fixture
def app(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[_App]:
    clip = make_video(tmp_path / "clip.mp4", width=320, height=180)
    engine = EngineSettings("tests.support.engines:LeftHalfEngine")
    audio = getattr(request, "param", "default")
    settings = LiveSettings(
        SourceSettings(str(clip), loop=True), engine, backgrounds=("color:#808080",), headless=True, audio=audio,
        record=str(tmp_path / "first.mp4"),
    )  # fmt: skip
    made = _App(settings, failover(engine, notices := Notices(), live=True), notices, LIVE, SYSTEM_CLOCK)
    thread = threading.Thread(target=made.pipeline.run)
    thread.start()
    try:
        assert until(lambda: made.recording.seconds > 0 and made.status().unique_fps > 0)
        yield made
    finally:
        made.pipeline.stop("the test is over")
        thread.join(30)


def passed(app: _App, seconds: float) -> bool:
    end = SYSTEM_CLOCK.now_ns() + seconds * 1e9
    return until(lambda: SYSTEM_CLOCK.now_ns() > end)


@pytest.mark.slow
def test_whoever_hides_or_pauses_is_not_heard(made_up: list[MadeUp], app: _App, tmp_path: Path) -> None:
    for number, control in enumerate(("privacy", "paused"), 2):
        app.controls.recording = str(tmp_path / f"{control}.mp4")
        assert until(lambda: len(made_up) == number and made_up[-1].count > 100)  # noqa: B023
        app.controls.set(**{control: True})
        assert app.status().sound == "muted"
        muted_s = app.recording.seconds
        assert passed(app, 1.2)
        heard_s = app.recording.seconds
        app.controls.set(**{control: False})
        assert passed(app, 1.0) and app.status().sound == "on"
        app.controls.recording = None
        path = tmp_path / f"{control}.mp4"
        assert until(path.exists), app.notices.fallbacks
        assert loudness(path, 0.2, muted_s - 0.5) > 0.2
        assert loudness(path, muted_s + 0.1, heard_s - 0.5) < 0.001
        assert loudness(path, heard_s + 0.4, heard_s + 0.7) > 0.2


def test_the_microphone_is_open_while_it_is_recorded_and_at_no_other_time(
    made_up: list[MadeUp], app: _App, tmp_path: Path
) -> None:
    assert until(lambda: app.status().sound == "on") and len(made_up) == 1
    app.controls.recording = None
    assert until(made_up[0].released.is_set) and app.status().sound == ""
    assert until(lambda: app.recording.saved)
    with pytest.raises(SettingsError, match="a folder of PNGs cannot store sound"):
        app.controls.recording = f"{tmp_path}/pictures/"
    app.controls.recording = str(tmp_path / "second.mkv")
    assert until(lambda: app.status().sound == "on" and app.recording.seconds > 0.6) and len(made_up) == 2
    app.controls.recording = str(tmp_path / "third.mov")
    assert until(lambda: len(made_up) == 3 and app.status().sound == "on")
    assert made_up[1].released.is_set() and not made_up[2].released.is_set()
    app.pipeline.stop("enough")
    assert until(made_up[2].released.is_set)
    assert loudness(tmp_path / "second.mkv", 0.1, 0.4) > 0.2


@pytest.mark.parametrize("app", [None], indirect=True)
def test_without_being_asked_nobody_listens(made_up: list[MadeUp], app: _App, tmp_path: Path) -> None:
    assert passed(app, 0.3) and app.status().sound == "" and made_up == []
    assert not any(thread.name == "rvm-microphone" for thread in threading.enumerate())
    app.controls.recording = None
    assert until(lambda: app.recording.saved)
    with av.open(str(tmp_path / "first.mp4")) as file:
        assert [stream.type for stream in file.streams] == ["video"]


# Messages and what the user sees --------------------------------------------------------------------------------------


def test_the_value_is_taken_with_an_equals_sign_alone() -> None:
    assert said_in_full(["--audio", "clip.mp4"]) == ["--audio=default", "clip.mp4"]
    assert said_in_full(["--audio=hw:1", "clip.mp4"]) == ["--audio=hw:1", "clip.mp4"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--audio", "--headless", "--record", "take.mp4", "--no-realtime"], "leave out --no-realtime"),
        (["--audio", "--headless"], "add --record"),
        (["--audio=", "--record", "take.mp4"], "the microphone's name is empty"),
        (["--audio", "--headless", "--record", "takes/"], "a folder of PNGs cannot store sound: leave out --audio, or"),
        (["--audio=no-such-one", "--headless", "--record", "take.mp4"], "cannot open the microphone 'no-such-one': "),
    ],
)
def test_what_cannot_be_heard_is_one_line_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    make_video(tmp_path / "clip.mp4", width=96, height=64)
    if not sys.platform.startswith("linux") and "=no-such-one" in words[0]:
        pytest.skip("asks ALSA")
    done = call("clip.mp4", "--engine", "tests.support.engines:LeftHalfEngine", "--duration", "3", *words)
    assert done.code == 2 and complaint in done.complaint
    assert os.listdir(tmp_path) == ["clip.mp4"]


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks ALSA")
def test_alsa_writes_nothing_past_the_program(tmp_path: Path) -> None:
    """ALSA's own messages are suppressed in a fresh process, with and without a server that does not exist."""
    make_video(tmp_path / "clip.mp4", width=96, height=64)
    for device in ("pulse", "no-such-one"):
        done = subprocess.run(
            [sys.executable, "-m", "rvm_live", "clip.mp4", "--headless", "--record=take.mp4", f"--audio={device}"],
            cwd=tmp_path,
            env={**os.environ, "PULSE_SERVER": f"unix:{tmp_path}/none", "PYTHONPATH": str(ROOT)},
            capture_output=True,
            encoding="utf-8",
            timeout=100,
        )
        assert done.returncode == 2 and done.stdout == "", done.stderr
        assert len(done.stderr.splitlines()) == 1 and "cannot open the microphone" in done.stderr
    assert os.listdir(tmp_path) == ["clip.mp4"]


def test_nothing_of_it_is_loaded_without_the_option() -> None:
    code = "import rvm_live.apps.live, rvm_live.sinks.factory, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True, cwd=ROOT
    ).stdout
    loaded_names = set(loaded.split())
    assert "rvm_live.sinks.recording.recorder" in loaded_names
    assert not {name for name in loaded_names if "microphone" in name or "sounddevice" in name or "listening" in name}


@pytest.mark.parametrize(
    ("said", "meant"),
    [("default", "default"), ("hw:1", "hw:1"), ("Yeti", "plughw:CARD=Yeti"), ("plughw:CARD=Yeti", "plughw:CARD=Yeti")],
)
def test_a_part_of_a_name_is_enough(monkeypatch: pytest.MonkeyPatch, said: str, meant: str) -> None:
    known = [("default", "settings"), ("plughw:CARD=Yeti", "Blue Yeti"), ("pulse", "Server"), ("pipewire", "Server")]
    monkeypatch.setattr(factory, "list_microphones", lambda: known)
    monkeypatch.setattr(factory, "_LINUX", True)
    assert factory.open_microphone(said).name == meant
    with pytest.raises(SettingsError, match="'server' is not unique, it may be pulse, pipewire: name one of them"):
        factory.open_microphone("server")


def test_the_sign_of_a_recording_shows_whether_it_hears() -> None:
    drawn = {}
    for state in ("", "on", "muted", "lost"):
        canvas = np.full((360, 640, 3), 90, np.uint8)
        status = Status(unique_fps=30, recording="me.mp4", recorded_s=83, recorded_bytes=4_200_000, sound=state)
        for statistics_ in ("off", "table"):
            Overlay().draw(canvas, lambda: status, display="result", statistics=statistics_, help=False)  # noqa: B023
        corner = canvas[:60, 440:].astype(int)
        red = (corner[..., 2] > 150) & (corner[..., 1] < 130)
        drawn[state] = (int((np.abs(corner - 90).max(axis=2) > 8).sum()), int(red.sum()))
        (row,) = [row for row in statistics_rows(status, "result") if row.label == "Recording"]
        assert row.text == joined(
            "me.mp4", {"on": "with sound", "muted": "muted", "lost": "without sound"}.get(state, "")
        )
    (plain, dot), (wider, _), (_, struck), lost = (drawn[state] for state in ("", "on", "muted", "lost"))
    assert wider > plain and struck > dot + 5 and drawn["on"][1] == dot and lost == drawn["muted"]


# PortAudio, by a stand-in -----------------------------------------------------------------------------------------


class FakeSoundDevice:
    """The part of ``sounddevice`` that this program uses; a stereo device of 44.1 kHz."""

    class default:
        hostapi = 1

    class RawInputStream:
        latency = 0.02

        def __init__(self, **asked: Any) -> None:
            FakeSoundDevice.asked, FakeSoundDevice.stream = asked, self
            self.active = False

        def start(self) -> None:
            self.active = True

        def close(self, ignore_errors: bool) -> None:
            self.active = False

    asked: dict[str, Any]
    stream: Any

    @staticmethod
    def query_hostapis() -> list[dict[str, str]]:
        return [{"name": "MME"}, {"name": "Core Audio"}]

    @staticmethod
    def query_devices(device: str | None = "all", kind: str = "") -> Any:
        microphone = {"name": "Yeti", "max_input_channels": 2, "hostapi": 1, "default_samplerate": 44100.0}
        if device == "all":
            return [
                microphone,
                {**microphone, "hostapi": 0},
                {**microphone, "name": "Speaker", "max_input_channels": 0},
            ]
        if device not in (None, "Yeti"):
            raise ValueError(f"No input device matching {device!r}")
        return microphone


def test_portaudios_sound_has_its_time_and_form(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", FakeSoundDevice)
    assert portaudio.portaudio_devices() == [("Yeti", "Core Audio")]
    microphone = portaudio.PortAudioMicrophone("default", clock)
    microphone.open()
    asked = FakeSoundDevice.asked
    assert (asked["samplerate"], asked["channels"], asked["dtype"], asked["blocksize"]) == (44100, 2, "int16", 441)
    stretch = np.full((441, 2), 1000, np.int16).tobytes()
    count, first_ns = 0, clock.now_ns()
    for number in range(100):
        clock.advance(0.01)
        # Every second block has no time of its own; its age is then the stream's latency.
        heard, told = (4.97, 5.0) if number % 2 else (0.0, 5.0)
        asked["callback"](stretch, 441, SimpleNamespace(inputBufferAdcTime=heard, currentTime=told), None)
        sound = microphone.read()
        assert sound.captured_ns == pytest.approx(clock.now_ns() - (0.03 if number % 2 else 0.02) * 1e9, abs=10)
        count += len(sound.samples)
    assert count == pytest.approx(RATE, abs=100) and sound.samples.dtype == np.int16
    assert np.abs(sound.samples - 1000).max() < 30 and clock.now_ns() > first_ns
    FakeSoundDevice.stream.active = False
    with pytest.raises(SourceLostError, match="the microphone 'default' was disconnected"):
        microphone.read()
    microphone.release()
    with pytest.raises(SourceUnavailableError, match="cannot open the microphone 'Snowball': No input device"):
        portaudio.PortAudioMicrophone("Snowball", clock).open()


def test_without_sounddevice_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    monkeypatch.setattr(factory, "_LINUX", False)
    with pytest.raises(SourceUnavailableError, match=re.escape(adding("audio"))):
        factory.list_microphones()
    monkeypatch.setattr(factory, "find_spec", lambda _: None)
    with pytest.raises(SourceUnavailableError, match=re.escape(f"--audio needs sounddevice: {adding('audio')}")):
        factory.check_microphone()
