"""What each output costs per picture, and how long a picture takes from the composite to whoever looks.

    python -m benchmarks outputs [--pictures 150] [--rounds 3]

Each output gets the same pictures, 30 a second, from a thread that works as a sink's thread does; the outputs take
turns. What counts is the processor time of this program, minus that of the same loop with an output that does nothing;
the reader's own process is not counted. Where there is a reader, a thread checks a thousand times a second which
picture has reached it. The last row is the whole program on its demo: from the grab until the picture is handed over. A
new output is one more entry of ``OUTPUTS``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.report import publish
from benchmarks.viewer import BITS, SIDE, number_in
from rvm_live.core.arrays import Bytes
from rvm_live.core.clock import SYSTEM_CLOCK
from rvm_live.core.errors import UnavailableError
from rvm_live.core.queues import Overflow
from rvm_live.sinks.base import PictureSink, Shot
from rvm_live.sinks.camera.sink import VirtualCamera
from rvm_live.sinks.web.address import Address
from rvm_live.sinks.web.program import WebProgram
from rvm_live.sinks.web.sink import OUTPUT, WebSink

SIZES = ((1280, 720), (1920, 1080))
FPS = 30
COLUMNS = ("what", "picture", "processor ms", "of a core at 30 fps %", "latency p50 ms", "latency p95 ms")
Arrivals = dict[int, float]


class Nothing(PictureSink):
    """An output that does nothing: the loop alone."""

    def open(self) -> None:
        """Do nothing: there is nothing to prepare."""

    def write_picture(self, shot: Shot) -> None:
        """Do nothing."""

    def close(self, *, failed: bool) -> None:
        """Do nothing: there is nothing to finish."""


@dataclass
class Opened:
    """An output that is ready.

    Attributes:
        sink: the output.
        arrivals: number of a picture -> when it reached a reader, seconds of ``time.perf_counter``; None: no reader.

        looking_s: processor seconds spent on looking for arrivals; set once closed.
    """

    sink: PictureSink
    arrivals: Arrivals | None = None
    looking_s: list[float] = field(default_factory=list)


@contextmanager
def nothing(size: tuple[int, int]) -> Iterator[Opened]:
    yield Opened(Nothing())


@contextmanager
def recording(size: tuple[int, int]) -> Iterator[Opened]:
    from rvm_live.sinks.factory import open_recorder

    with tempfile.TemporaryDirectory() as folder:
        yield Opened(open_recorder(f"{folder}/take.mp4", fps=FPS, policy=Overflow.DROP_OLDEST))


@contextmanager
def _session() -> Iterator[Any]:
    """Start a PipeWire of our own; this process's environment leads to it."""
    from tests.support.pipewire import open_session

    with open_session() as session:
        names = ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
        before = {name: os.environ.get(name) for name in names}
        os.environ.update({name: session.env[name] for name in names})
        try:
            yield session
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                os.environ.update({} if value is None else {name: value})


class Read(VirtualCamera):
    """The PipeWire camera with a reader, ``pipewiresrc``, that is there from the beginning."""

    def __init__(self, session: Any, size: tuple[int, int]) -> None:
        super().__init__("pipewire", size=size, fps=FPS)
        self.arrivals: Arrivals = {}
        self.looking_s: list[float] = []
        self._session, self._ended = session, threading.Event()
        self._watch: threading.Thread | None = None

    def open(self) -> None:
        super().open()
        reader = self._session.read("I420", self.size)
        self._watch = threading.Thread(target=_watch, args=(reader, self, self._ended))
        self._watch.start()
        while not self.watched:
            time.sleep(0.01)
            self.idle()

    def close(self, *, failed: bool) -> None:
        super().close(failed=failed)
        self._ended.set()
        if self._watch is not None:
            self._watch.join()


@contextmanager
def pipewire(size: tuple[int, int]) -> Iterator[Opened]:
    with _session() as session:
        camera = Read(session, size)
        yield Opened(camera, camera.arrivals, camera.looking_s)


def _watch(reader: Any, camera: Read, ended: threading.Event) -> None:
    """Look for new pictures in the reader's file. Only the pictures' numbers are read."""
    width, height = camera.size
    bytes_each, at = width * height * 3 // 2, 0
    while not ended.wait(0.001):
        path: Path = reader.path
        if not path.exists() or path.stat().st_size < at + bytes_each:
            continue
        now = time.perf_counter()
        with path.open("rb") as file:
            file.seek(at + width * (SIDE // 2))
            row = np.frombuffer(file.read(BITS * SIDE), np.uint8)
        camera.arrivals.setdefault(number_in(row), now)
        at += bytes_each
    camera.looking_s.append(time.thread_time())
    reader.close()


class Page(WebSink):
    """The page, with or without a viewer of one kind of picture; the viewer is there from the beginning, in its own
    process.

    For a viewer of the cut-out, what the composer makes for it is made here, so that it is counted, too.
    """

    def __init__(self, kind: str, size: tuple[int, int]) -> None:
        super().__init__(Address(port=0, fixed=True), WebProgram(), lambda w, h: np.zeros((h, w, 3), np.uint8))
        self.arrivals: Arrivals = {}
        self._kind = kind
        self._viewer: subprocess.Popen[str] | None = None
        width, height = size
        self._alpha = np.zeros((height, width), np.uint8)
        cv2.ellipse(self._alpha, (width // 2, height * 2 // 3), (width // 5, height // 2), 0, 0, 360, 255, -1)
        self._alpha = np.asarray(cv2.GaussianBlur(self._alpha, (0, 0), 3), np.uint8)
        self._alpha[: 2 * SIDE] = 255  # makes the number visible

    def open(self) -> None:
        super().open()
        if self._kind:
            command = [sys.executable, "-m", "benchmarks.viewer", self.source, self._kind]
            self._viewer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            assert self._viewer.stdout is not None
            self._viewer.stdout.readline()

    def write_picture(self, shot: Shot) -> None:
        if self.wants_cut_out:
            cut = np.asarray(cv2.merge([*cv2.split(shot.image), self._alpha]), np.uint8)
            cut = np.asarray(cv2.copyTo(cut, self._alpha), np.uint8)
            shot = replace(shot, outputs={OUTPUT: cut})
        super().write_picture(shot)

    def close(self, *, failed: bool) -> None:
        if self._viewer is not None:
            told, _ = self._viewer.communicate("\n")
            self.arrivals.update((int(number), float(when)) for number, when in map(str.split, told.splitlines()))
        super().close(failed=failed)


def page(kind: str) -> Callable[[tuple[int, int]], Any]:
    @contextmanager
    def opened(size: tuple[int, int]) -> Iterator[Opened]:
        sink = Page(kind, size)
        yield Opened(sink, sink.arrivals)

    return opened


OUTPUTS: dict[str, Callable[[tuple[int, int]], Any]] = {
    "recording .mp4": recording,
    "camera, PipeWire": pipewire,
    "page, nobody looks": page(""),
    "page, one viewer": page("result"),
    "/obs, one viewer": page("cutout"),
}
"""What it is called -> makes it: (width, height) -> a context manager that gives an :class:`Opened`."""


def _numbered(base: Bytes, number: int) -> Bytes:
    """A copy with the number, 1 to 65535, drawn as 16 squares in its first rows."""
    image: Bytes = base.copy()
    for bit in range(BITS):
        image[:SIDE, bit * SIDE : (bit + 1) * SIDE] = 255 if number >> bit & 1 else 0
    return image


def _pictures(size: tuple[int, int]) -> list[Bytes]:
    width, height = size
    small = np.random.default_rng(0).integers(0, 255, (36, 64, 3), np.uint8)
    base = np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
    return [np.ascontiguousarray(np.roll(base, 8 * shift, axis=1)) for shift in range(4)]


def feed(opened: Opened, pictures: list[Bytes], count: int) -> tuple[float, list[float]]:
    """Give the output ``count`` pictures; returns processor milliseconds per picture, and latencies."""
    sink, given = opened.sink, dict[int, float]()
    sink.open()
    began = time.perf_counter()
    before = time.process_time()
    for number in range(1, count + 1):
        image = _numbered(pictures[number % len(pictures)], number)
        given[number] = time.perf_counter()
        sink.write_picture(Shot(image, number, SYSTEM_CLOCK.now_ns(), None))
        while (wait := began + number / FPS - time.perf_counter()) > 0:
            time.sleep(min(wait, 0.01))
            sink.idle()
    spent = time.process_time() - before
    time.sleep(0.2)
    sink.close(failed=False)
    spent -= sum(opened.looking_s)
    arrivals = opened.arrivals or {}
    latencies = [1e3 * (arrivals[number] - when) for number, when in given.items() if number in arrivals]
    return 1e3 * spent / count, latencies


def conversions() -> dict[str, Callable[[Bytes], object]]:
    """Ways to convert BGR to I420."""
    import av
    from av.video.reformatter import VideoReformatter

    from rvm_live.media.colour import yuv_of

    scaler = VideoReformatter()
    return {
        "I420 by cv2, chroma of one pixel of four": lambda image: cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420),
        "I420 by PyAV, chroma of the mean (yuv_of)": lambda image: yuv_of(image, "i420"),
        "I420 by PyAV, its default": lambda image: scaler.reformat(
            av.VideoFrame.from_ndarray(image, format="bgr24"), format="yuv420p"
        ),
        "BT.709 by PyAV, as recordings": lambda image: scaler.reformat(
            av.VideoFrame.from_ndarray(image, format="bgr24"),
            format="yuv420p", dst_colorspace="itu709", src_color_range="JPEG", dst_color_range="MPEG",
            interpolation=2 | 0x40000,
        ),
    }  # fmt: skip


def pyvirtualcam_ms(count: int) -> dict[str, float]:
    """Processor milliseconds in which pyvirtualcam's own back end converts a picture, by its size; empty where it or a
    C compiler is missing. Its device is a stand-in in a process of its own."""
    compiler, source = shutil.which("cc"), Path(__file__).with_name("loopback_stand_in.c")
    if compiler is None or find_spec("pyvirtualcam") is None or not sys.platform.startswith("linux"):
        return {}
    with tempfile.TemporaryDirectory() as folder:
        library = f"{folder}/stand_in.so"
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, str(source), "-ldl"], check=True)
        command = [sys.executable, "-c", _PYVIRTUALCAM, str(count), *(f"{width}x{height}" for width, height in SIZES)]
        environment = {**os.environ, "LD_PRELOAD": library}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


_PYVIRTUALCAM = """
import json, sys, time
import numpy as np
import pyvirtualcam
told = {}
for size in sys.argv[2:]:
    width, height = map(int, size.split("x"))
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    camera = pyvirtualcam.Camera(width, height, 30, fmt=pyvirtualcam.PixelFormat.BGR, device="/dev/video42")
    camera.send(picture)
    before = time.process_time()
    for _ in range(int(sys.argv[1])):
        camera.send(picture)
    told[size] = 1e3 * (time.process_time() - before) / int(sys.argv[1])
    camera.close()
print(json.dumps(told))
"""


def _processor_ms(way: Callable[[Bytes], object], picture: Bytes, count: int) -> float:
    way(picture)
    before = time.process_time()
    for _ in range(count):
        way(picture)
    return 1e3 * (time.process_time() - before) / count


def whole(seconds: float) -> float:
    """The program on its demo at 30 pictures a second: median age of a picture when it is handed over."""
    from rvm_live.apps.live import run as run_live
    from rvm_live.core.settings import EngineSettings, LiveSettings, SourceSettings
    from rvm_live.system import threads

    threads.apply(threads.plan(threads.usable_cores()))
    with _session() as session, tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        settings = LiveSettings(
            SourceSettings("demo", fps=FPS), EngineSettings(engine="lite"), backgrounds=("#204060",), headless=True,
            virtual_camera="pipewire", always=True, duration=seconds, stats_json=report,
        )  # fmt: skip
        reader = threading.Thread(target=lambda: session.read("I420", (1280, 720)).process.wait())
        reader.start()
        run_live(settings)
        for process in session.running:
            process.terminate()
        reader.join()
        return float(json.loads(report.read_text())["virtual_camera_ms"] or 0.0)


def run(arguments: list[str]) -> dict[str, Any]:
    """Run the benchmark."""
    parser = argparse.ArgumentParser("python -m benchmarks outputs", description=__doc__)
    parser.add_argument("--pictures", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args(arguments)
    absent = [tool for tool in ("pipewire", "wireplumber", "gst-launch-1.0") if shutil.which(tool) is None]
    if absent:
        raise UnavailableError(f"{', '.join(absent)} not found: `make display` installs it")
    rows: list[tuple[Any, ...]] = []
    for size in SIZES:
        pictures, told = _pictures(size), f"{size[0]}x{size[1]}"
        ways = conversions()
        found: dict[str, list[float]] = {name: [] for name in (*ways, *OUTPUTS)}
        latencies: dict[str, list[float]] = {name: [] for name in OUTPUTS}
        theirs = "I420 by pyvirtualcam (libyuv)"
        for _ in range(options.rounds):
            if (took := pyvirtualcam_ms(options.pictures).get(told)) is not None:
                found.setdefault(theirs, []).append(took)
            for name, way in ways.items():
                found[name].append(_processor_ms(way, pictures[0], max(options.pictures // 5, 2)))
            with nothing(size) as opened:
                loop_ms, _ = feed(opened, pictures, options.pictures)
            for name, make in OUTPUTS.items():
                with make(size) as opened:
                    spent_ms, late = feed(opened, pictures, options.pictures)
                found[name].append(spent_ms - loop_ms)
                latencies[name] += late
        for name, values in found.items():
            cost = statistics.median(values)
            late = sorted(latencies.get(name, []))
            ranks = [late[int(len(late) * share)] for share in (0.5, 0.95)] if late else [None, None]
            rows.append((name, told, cost, cost * FPS / 10, *ranks))
    delay = whole(options.seconds) if options.seconds else None
    if delay:
        rows.append(("rvm-live, lite on its demo at 30 fps: grab to hand-over", "1280x720", None, None, delay, None))
    return publish("outputs", COLUMNS, rows)
