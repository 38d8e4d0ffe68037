"""How Windows and macOS differ, with stand-ins for their libraries: neither system runs here."""

from __future__ import annotations

import ast
import io
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import psutil
import pytest
from rich.console import Console

from rvm_live.cli import monitor
from rvm_live.cli.line import Line
from rvm_live.core.errors import EndOfSource, SourceUnavailableError
from rvm_live.core.settings import SourceSettings
from rvm_live.pipeline.pipeline import Pipeline
from rvm_live.sources.auto import AutoSource
from rvm_live.sources.base import Source
from rvm_live.sources.camera import camera
from rvm_live.sources.camera.camera import Camera, CameraSource, find_camera, list_cameras
from rvm_live.sources.factory import open_source
from rvm_live.sources.reconnecting import ReconnectingSource
from rvm_live.sources.switched import SwitchedSource
from rvm_live.system import threads
from tests.conftest import ROOT
from tests.support.capture import FakeDevice, OnBackends
from tests.support.composers import DirectComposer
from tests.support.engines import PassThroughEngine
from tests.support.videos import make_video

_DSHOW = r"\\?\usb#vid_046d&pid_0825&mi_00#7&{n}&0&0000#{{65e8773d-8f56-11d0-a3b9-00a0c9223196}}\global"
_MSMF = r"\\?\USB#VID_046D&PID_0825&MI_00#7&{n}&0&0000#{{e5323777-f976-4f5b-9b55-b94699c46e44}}\GLOBAL"

Known = dict[int, list[tuple[str, str]]]
"""A back end and the names and paths of what it lists."""


def windows(monkeypatch: pytest.MonkeyPatch, known: Known) -> None:
    """A Windows whose back ends list these cameras; opening any other one fails."""

    def listed(backend: int) -> list[Any]:
        return [SimpleNamespace(index=n, name=name, path=path) for n, (name, path) in enumerate(known[backend])]

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr("cv2_enumerate_cameras.enumerate_cameras", listed)


# ------------------------------------------------------------------------------------------------ a camera's name


@pytest.mark.parametrize(
    "name", ["USB2.0 HD UVC WebCam", "FHD v1.2", "C920.x", "USB Camera w/ Mic", "Integrated Camera: Integrated C", "."]
)
def test_a_cameras_name_is_no_file(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(camera, "list_cameras", lambda: [Camera(0, "Front"), Camera(3, f"{name}X"), Camera(5, name)])
    if name == ".":
        with pytest.raises(SourceUnavailableError, match="is a folder"):
            open_source(SourceSettings(name))
        return
    assert isinstance(open_source(SourceSettings(name)), CameraSource)
    assert find_camera(name).index == 5  # rather than one whose name is longer


@pytest.mark.parametrize("name", ["USB2.0 HD UVC WebCam", "USB2.0"])
def test_a_camera_with_a_dot_is_waited_for_as_any(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(camera, "list_cameras", list)
    source = open_source(SourceSettings(name, wait=True))
    with pytest.raises(SourceUnavailableError, match=f"there is no camera, file or URL '{name}'"):
        source.open()
    source.release()


@pytest.mark.parametrize("name", ["holiday.mp4", "clips/holiday", "cam.3gp", "x.y.mkv"])
def test_a_file_that_is_not_there_is_a_file(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(camera, "list_cameras", lambda: [Camera(0, "USB2.0 HD UVC WebCam")])
    with pytest.raises(SourceUnavailableError, match=f"there is no file {name}"):
        open_source(SourceSettings(name))


# ------------------------------------------------------------------------------------------- two lists on Windows


def test_a_camera_is_opened_by_its_own_number_in_each_back_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second list has another order: the fallback would open another camera by the first list's number."""
    first, second = _DSHOW.format(n="aaa"), _DSHOW.format(n="bbb")
    windows(
        monkeypatch,
        {
            cv2.CAP_DSHOW: [("Cam", first), ("Cam", second), ("OBS Virtual Camera", "")],
            cv2.CAP_MSMF: [("Cam", _MSMF.format(n="bbb")), ("Depth", r"\\?\swd#x"), ("Cam", _MSMF.format(n="aaa"))],
        },
    )
    assert list_cameras() == [
        Camera(0, "Cam", first, ((cv2.CAP_DSHOW, 0), (cv2.CAP_MSMF, 2))),
        Camera(1, "Cam", second, ((cv2.CAP_DSHOW, 1), (cv2.CAP_MSMF, 0))),
        Camera(2, "OBS Virtual Camera", "", ((cv2.CAP_DSHOW, 2),)),
        Camera(3, "Depth", r"\\?\swd#x", ((cv2.CAP_MSMF, 1),)),
    ]
    right, other, depth = FakeDevice(sizes=[(64, 48)]), FakeDevice(sizes=[(80, 60)]), FakeDevice(sizes=[(96, 72)])
    OnBackends.plug_in(monkeypatch, {(cv2.CAP_MSMF, 2): right, (cv2.CAP_MSMF, 0): other, (cv2.CAP_MSMF, 1): depth})
    for asked, device in (("0", right), ("1", other), ("3", depth), ("depth", depth)):
        source = CameraSource(SourceSettings(asked))
        info = source.open()
        source.release()
        assert (info.width, info.height) == device.sizes[0], asked


def test_a_camera_of_directshow_alone_is_not_sought_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    windows(monkeypatch, {cv2.CAP_DSHOW: [("OBS Virtual Camera", "")], cv2.CAP_MSMF: [("Cam", _MSMF.format(n="a"))]})
    OnBackends.plug_in(monkeypatch, {(cv2.CAP_MSMF, 0): FakeDevice()})
    source = CameraSource(SourceSettings("obs"))
    with pytest.raises(SourceUnavailableError, match=r"camera 0 \(OBS Virtual Camera\) cannot be opened"):
        source.open()
    source.release()
    source = CameraSource(SourceSettings("7"))  # no camera has this number, so none may be opened by it
    with pytest.raises(SourceUnavailableError, match="camera 7 cannot be opened"):
        source.open()
    source.release()


def test_the_first_camera_may_be_one_that_media_foundation_alone_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    windows(monkeypatch, {cv2.CAP_DSHOW: [], cv2.CAP_MSMF: [("Front", r"\\?\swd#front")]})
    OnBackends.plug_in(monkeypatch, {(cv2.CAP_MSMF, 0): FakeDevice()})
    source = AutoSource(SourceSettings("auto"))
    info = source.open()
    source.release()
    assert info.label == "camera 0 (Front)"


@pytest.mark.parametrize("working", [cv2.CAP_DSHOW, cv2.CAP_MSMF])
def test_one_list_is_enough(working: int, monkeypatch: pytest.MonkeyPatch) -> None:
    windows(monkeypatch, {working: [("Cam", "")]})
    assert list_cameras() == [Camera(0, "Cam", "", ((working, 0),))]


def test_where_nothing_is_listed_any_back_end_may_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    windows(monkeypatch, {})
    OnBackends.plug_in(monkeypatch, {(cv2.CAP_MSMF, 2): FakeDevice()})
    for asked in ("2", "auto"):
        source = open_source(SourceSettings(asked))
        info = source.open()
        source.release()
        assert info.label == "camera 2"


@pytest.mark.parametrize(
    ("names", "joined"),
    [((["Cam"], ["Cam"]), 1), ((["Cam", "Cam"], ["Cam"]), 3), ((["Cam"], ["Cam 2"]), 2), (([""], [""]), 2)],
)
def test_without_paths_a_name_tells_where_it_is_one_cameras_alone(
    names: tuple[list[str], list[str]], joined: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = names
    windows(monkeypatch, {cv2.CAP_DSHOW: [(name, "") for name in ours], cv2.CAP_MSMF: [(name, "x") for name in theirs]})
    found = list_cameras()
    assert len(found) == joined
    assert [each.index for each in found] == list(range(joined))


_VARIABLES = ("OPENCV_VIDEOIO_MSMF_ENABLE_HW_TRANSFORMS", "OPENCV_FFMPEG_LOGLEVEL", "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT")


@pytest.mark.parametrize(("given", "seen"), [({}, "0 -8 2"), (dict.fromkeys(_VARIABLES, "7"), "7 7 7")])
def test_opencv_finds_its_variables_when_it_is_imported(given: dict[str, str], seen: str) -> None:
    """Windows' C library shows a module the environment as it was when the module was loaded."""
    code = f"""if True:
        import os, sys
        class Watch:
            def find_spec(self, name, path=None, target=None):
                if name == "cv2":
                    print(*(os.environ.get(each) for each in {_VARIABLES}))
                    sys.meta_path.remove(self)
        sys.meta_path.insert(0, Watch())
        from rvm_live.cli import main
        main(["cameras"])
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OPENCV_")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, cwd=ROOT, env={**clean, **given})
    assert done.stdout.splitlines()[0] == seen, done.stderr


# ------------------------------------------------------------------------------------------ permission on macOS


class Mac:
    """Stands in for AVFoundation: a user who answers once the question is on the screen.

    Args:
        status: AVAuthorizationStatus before the question.
        answer: the status after the user's answer, if it was 0; None: no answer comes.
        needs_events: the question appears only while the main thread processes events.
    """

    AVMediaTypeVideo = "vide"

    def __init__(self, status: int = 0, answer: int | None = 3, *, needs_events: bool = False) -> None:
        self.status, self.answer, self.needs_events = status, answer, needs_events
        self.asked = self.turns = 0
        self.waiting: list[Callable[[bool], None]] = []
        self.AVCaptureDevice = self.NSDate = self.NSRunLoop = self

    @staticmethod
    def of(monkeypatch: pytest.MonkeyPatch, mac: Mac) -> Mac:
        """Make the test run on that machine."""
        monkeypatch.setattr(sys, "platform", "darwin")
        monkeypatch.setitem(sys.modules, "AVFoundation", mac)  # type: ignore[arg-type]
        built_in = SimpleNamespace(index=0, name="FaceTime", path="0x1")
        monkeypatch.setattr("cv2_enumerate_cameras.enumerate_cameras", lambda _: [built_in])
        monkeypatch.setenv("OPENCV_AVFOUNDATION_SKIP_AUTH", "")  # so that it is restored
        monkeypatch.delenv("OPENCV_AVFOUNDATION_SKIP_AUTH")
        monkeypatch.setattr("rvm_live.sources.camera.permission._LIMIT_S", 30.0)
        device = FakeDevice()

        class Guarded(OnBackends):
            def open(self, target: int | str, backend: int, parameters: list[int]) -> bool:
                return mac.status == 3 and super().open(target, backend, parameters)

        handles = {(cv2.CAP_AVFOUNDATION, 0): device}
        monkeypatch.setattr("rvm_live.sources.camera.capture.cv2.VideoCapture", lambda: Guarded(handles))
        return mac

    def authorizationStatusForMediaType_(self, media: str) -> int:
        assert media == self.AVMediaTypeVideo
        return self.status

    def requestAccessForMediaType_completionHandler_(self, media: str, done: Callable[[bool], None]) -> None:
        assert media == self.AVMediaTypeVideo
        self.asked += 1
        self.waiting.append(done)
        if not self.needs_events:
            threading.Timer(0.1, self._answer).start()

    def _answer(self) -> None:
        if self.answer is not None:
            self.status = self.answer
            for done in self.waiting:
                done(self.answer == 3)

    def dateWithTimeIntervalSinceNow_(self, seconds: float) -> float:
        return seconds

    def currentRunLoop(self) -> Mac:
        assert threading.current_thread() is threading.main_thread()
        return self

    def runUntilDate_(self, date: float) -> None:
        self.turns += 1
        if self.needs_events and self.turns == 3:
            self._answer()


def pipeline(source: Source) -> Pipeline:
    return Pipeline(source, PassThroughEngine(), DirectComposer())


@pytest.mark.parametrize("asked", ["auto", "0", "facetime"])
def test_the_first_start_on_macos_gets_the_camera(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mac = Mac.of(monkeypatch, Mac(needs_events=True))
    make = SourceSettings(asked)
    source = SwitchedSource(make, lambda each: ReconnectingSource(each, open_source))
    running = pipeline(source)
    running.run(frames=3)
    assert running.source_info is not None
    assert running.source_info.label == "camera 0 (FaceTime)"
    assert (mac.asked, os.environ["OPENCV_AVFOUNDATION_SKIP_AUTH"]) == (1, "1")


def test_a_camera_opened_on_another_thread_waits_for_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A camera opened while the program runs, or by a user's own program."""
    mac = Mac.of(monkeypatch, Mac())
    source = open_source(SourceSettings("0"))
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(source.open).result(30).kind == "camera"
    source.release()
    assert (mac.asked, mac.turns) == (1, 0)


@pytest.mark.parametrize(
    ("status", "answer", "asked", "said"),
    [(0, 2, 1, "Privacy & Security, Camera"), (2, 3, 0, "Privacy & Security"), (1, 3, 0, "Screen Time forbids it")],
)
def test_a_refusal_is_told_with_what_to_do(
    status: int, answer: int, asked: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mac = Mac.of(monkeypatch, Mac(status, answer))
    source = open_source(SourceSettings("0"))
    source.prepare()
    with pytest.raises(SourceUnavailableError, match=said) as caught:
        source.open()
    source.release()
    assert "\n" not in str(caught.value)
    assert mac.asked == asked
    info = (demo := open_source(SourceSettings("auto"))).open()
    demo.release()
    assert info.kind == "demo" and info.notes[0].count("macOS") == 1


def test_a_question_that_nobody_answers_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    Mac.of(monkeypatch, Mac(0, None))
    monkeypatch.setattr("rvm_live.sources.camera.permission._LIMIT_S", 0.2)
    source = open_source(SourceSettings("0"))
    with pytest.raises(SourceUnavailableError, match="nobody has answered"):
        source.open()
    source.release()


def test_a_run_may_end_while_the_question_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    mac = Mac.of(monkeypatch, Mac(0, None))
    running = pipeline(open_source(SourceSettings("0")))
    threading.Timer(0.2, lambda: running.stop("interrupted")).start()
    running.run()
    assert running.exit_reason == "interrupted"
    source = open_source(SourceSettings("0"))
    with ThreadPoolExecutor(1) as pool:
        opening = pool.submit(source.open)
        while mac.asked < 2:
            time.sleep(0.01)
        assert source.trouble
        source.release()
        with pytest.raises(EndOfSource):
            opening.result(30)


def test_nobody_is_asked_for_what_is_no_camera(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mac = Mac.of(monkeypatch, Mac())
    make_video(tmp_path / "a.mp4", frames=2)
    for spec in (str(tmp_path / "a.mp4"), "demo", "http://127.0.0.1:9/x"):
        open_source(SourceSettings(spec)).prepare()
    monkeypatch.setattr("cv2_enumerate_cameras.enumerate_cameras", lambda _: [])
    for spec in ("auto", "0"):
        open_source(SourceSettings(spec)).prepare()
    assert mac.asked == 0


def test_without_the_systems_library_opencv_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    Mac.of(monkeypatch, Mac(3))
    monkeypatch.setitem(sys.modules, "AVFoundation", None)
    source = open_source(SourceSettings("0"))
    source.prepare()
    assert source.open().kind == "camera"
    source.release()
    assert "OPENCV_AVFOUNDATION_SKIP_AUTH" not in os.environ


# ----------------------------------------------------------------------------------- cores, signals, the terminal


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_off_linux_physical_cores_are_counted(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    nowhere = Path("/nowhere")
    for told, expected in ((8, 8), (None, 16)):
        monkeypatch.setattr(psutil, "cpu_count", lambda logical=True, told=told: 16 if logical else told)
        assert threads.usable_cores(nowhere, nowhere) == threads.all_cores() == expected
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert threads.usable_cores(nowhere, nowhere) == 1


class Command:
    """A child process as on Windows: it has no SIGINT."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def send_signal(self, number: int) -> None:
        raise ValueError(f"Unsupported signal: {number}")

    def terminate(self) -> None:
        self.done.append("terminate")

    def kill(self) -> None:
        self.done.append("kill")

    def wait(self, seconds: float | None = None) -> int:
        if seconds is not None and not self.done:
            raise subprocess.TimeoutExpired("x", seconds)
        return 0xC000013A


@pytest.mark.parametrize(("reason", "done"), [("interrupted", ["kill"]), ("terminated", ["terminate"])])
def test_a_command_ends_on_windows_without_a_signal_it_has_not(
    reason: str, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    command, stopped = Command(), monitor._Stopped()
    stopped(reason)
    assert monitor._wait(command, None, stopped) == 0xC000013A  # type: ignore[arg-type]
    assert command.done == done  # if Ctrl-C did not end it in ten seconds it is killed


@pytest.mark.parametrize(("kind", "expected"), [("xterm", "\r\x1b[2Kone\r\x1b[2Ktwo [b]\n"), ("dumb", "")])
def test_a_line_over_itself_goes_through_the_console(kind: str, expected: str) -> None:
    written = io.StringIO()
    line = Line(Console(file=written, force_terminal=True, color_system=None, width=20, _environ={"TERM": kind}))
    line("one")
    line("two [b]")
    line.end()
    assert written.getvalue() == expected


def test_a_long_line_stays_one() -> None:
    written = io.StringIO()
    line = Line(Console(file=written, force_terminal=True, color_system=None, width=20, _environ={"TERM": "xterm"}))
    line("a word and another and many more")
    assert written.getvalue().removeprefix("\r\x1b[2K") == "a word and another …"


def test_nobody_writes_escape_codes_past_the_console() -> None:
    written = {
        path.name
        for path in (ROOT / "rvm_live").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and "\x1b" in str(node.value)
    }
    assert written == set()


# --------------------------------------------------------------------------------------------- what is supported


def test_the_package_names_the_systems_and_pythons_of_the_table() -> None:
    """In the README and in the metadata that PyPI searches."""
    readme, project = ((ROOT / name).read_text() for name in ("README.md", "pyproject.toml"))
    table = readme[readme.index("### What it runs on") :].partition("Not supported:")[0]
    rows = re.findall(r"^\| ([A-Za-z]\w+) .* \| (\S+) to (\S+) \| (.*) \|$", table, re.MULTILINE)
    assert [row[0] for row in rows] == ["Linux", "Linux", "Windows", "macOS"]
    assert all("CI" in by or "resolver" in by or "nobody" in by for *_, by in rows)
    known = re.findall(r'"(Operating System|Programming Language) :: (?:.* :: )?(\S+|MacOS X)"', project)
    assert [name for kind, name in known if kind == "Operating System"] == ["MacOS X", "Windows", "Linux"]
    pythons = [name for kind, name in known if kind != "Operating System" and name != "Only"]
    assert pythons == [f"3.{minor}" for minor in range(10, 15)]
    assert {row[1:3] for row in rows} == {(pythons[0], pythons[-1])}
    assert f'requires-python = ">={pythons[0]}"' in project
