"""What a frame costs in each compositor, on one core, against a plain NumPy blend in floating point.

    python -m benchmarks compositors [--count N] [--device DEVICE] [--threads N]

Target: the cpu back end takes at most 4 ms at 1280x720. The ratio says how many times faster a compositor is than the
NumPy blend of the same run. Blur and cut-out are compared to that blend too, although they do more, or less, work.

Rows of a look give the processor time of the whole composer at 1280x720 over a picture. Each takes turns with "as it
is"; the difference is what the look costs. Rows of only-me and chair give, likewise, processor time on top of the
engine's.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from functools import lru_cache, partial
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.report import Chart, publish, time_calls
from rvm_live.backgrounds.base import Background, Blur, Clear, Layer, Plate
from rvm_live.compositing.base import Compositor
from rvm_live.compositing.composer import Composer
from rvm_live.core import transfer
from rvm_live.core.errors import UnavailableError
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.look import Look
from rvm_live.core.notices import Notices
from rvm_live.core.only_me import OnlyMe
from rvm_live.core.registry import COMPOSITORS
from rvm_live.core.settings import EngineSettings
from rvm_live.core.things import Things
from rvm_live.engines.base import Engine, EngineInfo
from rvm_live.engines.only_me.engine import OnlyMeEngine
from rvm_live.engines.things import rooms
from rvm_live.engines.things.engine import ThingsEngine

SIZES = ((1280, 720), (1920, 1080))
COLUMNS = ("backend and layer", "size", "median ms", "p95 ms", "times NumPy")
TARGET_MS = 4.0
LOOKS = (
    Look(),
    Look(match=60),
    Look(light_wrap=50),
    Look(blend="linear"),
    Look(match=60, light_wrap=50, blend="linear"),
    Look(shrink=2),
    Look(grow=4),
    Look(soften=4),
    Look(despill=True),
)


def run(arguments: list[str]) -> dict[str, Any]:
    """Measure, print one table, write one JSON file, and return what was written."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks compositors", description=__doc__)
    parser.add_argument("--count", type=int, default=60, help="frames timed for each row")
    parser.add_argument("--device", default="cpu", help="torch device on which the mattes lie")
    parser.add_argument("--threads", type=int, default=1, help="threads for OpenCV and torch")
    options = parser.parse_args(arguments)
    before = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(options.threads)
    torch.set_num_threads(options.threads)
    try:
        return _measured(options.count, options.device, options.threads)
    finally:
        cv2.setNumThreads(before[0])
        torch.set_num_threads(before[1])


def _measured(count: int, device: str, threads: int) -> dict[str, Any]:
    rows: list[tuple[Any, ...]] = []
    refusals: dict[str, str] = {}
    for width, height in SIZES:
        rows += _at_size(width, height, count, device, refusals)
    hd = next(row for row in rows if row[:2] == ("cpu, plate", "1280x720"))
    return publish(
        "compositors",
        COLUMNS,
        rows,
        chart=Chart(("median ms", "p95 ms"), panels="size", unit="ms"),
        device=device,
        threads=threads,
        refusals=refusals,
        target={"cpu_plate_720p_ms": TARGET_MS, "met": hd[2] <= TARGET_MS},
    )


def _at_size(width: int, height: int, count: int, device: str, refusals: dict[str, str]) -> list[tuple[Any, ...]]:
    size = f"{width}x{height}"
    scene = _scene(width, height)
    plate = Plate(np.ascontiguousarray(scene.image[::-1]), version=1)
    layers: dict[str, Layer] = {"plate": plate, "blur 25": Blur(25.0), "blur 3": Blur(3.0), "transparent": Clear()}
    naive = time_calls(lambda: _naive(scene, plate.image), warm_up=2, count=max(count // 4, 5))
    rows: list[tuple[Any, ...]] = [("NumPy float, plate", size, naive.median, naive.p95, 1.0)]
    for name in COMPOSITORS.auto:
        compositor = COMPOSITORS.load(name)(device)
        try:
            compositor.open()
        except UnavailableError as error:
            refusals[name] = str(error)
            continue
        for label, layer in layers.items():
            timing = time_calls(partial(_once, compositor, scene, layer, device), warm_up=3, count=count)
            rows.append((f"{name}, {label}", size, timing.median, timing.p95, naive.median / timing.median))
        compositor.close()
    for look, timings in _looks(scene, plate, count).items() if (width, height) == SIZES[0] else ():
        median = statistics.median(timings)
        p95 = float(np.percentile(timings, 95))
        rows.append((f"look, {look.words or 'as it is'}", size, median, p95, naive.median / median))
    kept = {**_kept(width, height, count), **_things(width, height, count)} if (width, height) == SIZES[0] else {}
    for label, timings in kept.items():
        median = statistics.median(timings)
        p95 = float(np.percentile(timings, 95))
        rows.append((label, size, median, p95, naive.median / max(median, 1e-6)))
    return rows


def _kept(width: int, height: int, count: int) -> dict[str, list[float]]:
    """Processor milliseconds per frame that ``--only-me`` takes on top of the engine."""
    image = _scene(width, height).image
    middles = {"only-me, one person": (0.3,), "only-me, two who touch": (0.42, 0.58)}
    timings: dict[str, list[float]] = {}
    for label, places in middles.items():
        picture, alpha = image // 8, np.zeros((height, width), np.uint8)
        for number, place in enumerate(places):
            at = slice(height // 4, None), slice(round((place - 0.1) * width), round((place + 0.1) * width))
            picture[at] += np.array([120, 20 + 160 * number, 60], np.uint8)
            alpha[at] = 255
        ready = _Ready(EngineSettings())
        engine = OnlyMeEngine(ready, OnlyMe(True))
        apart = alpha.copy()
        apart[:, width // 2 - width // 40 : width // 2 + width // 40] = 0
        found = timings[label] = []
        for number in range(count + 3):
            frame = Frame(picture, number, 0, number * 33_333_333)
            ready.given = Matte(frame, alpha if number else apart)  # the two parts arrive as two people
            started = time.thread_time()
            engine.matte(frame)
            if number >= 3:
                found.append((time.thread_time() - started) * 1e3)
    return timings


def _things(width: int, height: int, count: int) -> dict[str, list[float]]:
    """The same for ``--chair keep``, in a room where a chair stands beside somebody."""
    room, timings = _scene(width, height).image // 8, []
    chair, alpha = room.copy(), np.zeros((height, width), np.uint8)
    chair[height // 2 : -height // 8, width // 8 : width // 3] = (30, 60, 170)
    alpha[height // 4 :, width // 2 : width * 3 // 4] = 255
    ready, notices = _Ready(EngineSettings()), Notices()
    engine = ThingsEngine(ready, Things("keep"), lambda: "benchmark", notices)
    before = os.environ.get("RVM_LIVE_CACHE")
    with TemporaryDirectory() as home:
        os.environ["RVM_LIVE_CACHE"] = home
        try:
            rooms.keep(rooms.Room("benchmark", room, chair))
            for number in range(count + 3):
                ready.given = Matte(Frame(chair, number, 0, number * 33_333_333), alpha, chair)
                started = time.thread_time()
                made = engine.matte(ready.given.frame)
                if number >= 3:
                    timings.append((time.thread_time() - started) * 1e3)
        finally:
            del os.environ["RVM_LIVE_CACHE"]
            if before is not None:
                os.environ["RVM_LIVE_CACHE"] = before
    assert made.host().alpha[height * 3 // 4, width // 5] == 255 and not notices.messages
    return {"chair, kept": timings}


class _Ready(Engine):
    """An engine whose matte was made before."""

    given: Matte

    def open(self) -> EngineInfo:
        return self.info

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("ready", "", "cpu", "", "fp32")

    def reset(self) -> None: ...

    def matte(self, frame: Frame) -> Matte:
        return self.given


class _Still(Background):
    label = "still"

    def __init__(self, plate: Plate) -> None:
        self.plate = plate

    def layer(self, width: int, height: int, now_ns: int) -> Layer:
        return self.plate


def _looks(scene: _Scene, plate: Plate, count: int) -> dict[Look, list[float]]:
    """Processor milliseconds per frame for each look; the looks take turns frame by frame."""
    height, width = scene.alpha.shape
    composers = {look: Composer([_Still(plate)], compositor="cpu", look=look, from_files=True) for look in LOOKS}
    for composer in composers.values():
        composer.open(width, height, "cpu")
    timings: dict[Look, list[float]] = {look: [] for look in LOOKS}
    copies = (scene, _Scene(*(part.copy() for part in scene)))  # the same arrays as before would be found in caches
    for number in range(count + 3):
        image, alpha, foreground = copies[number % 2]
        for look, composer in composers.items():
            started = time.thread_time()
            composer.compose(Matte(Frame(image, number, 0, 0, number * 40_000_000), alpha, foreground))
            if number >= 3:
                timings[look].append((time.thread_time() - started) * 1e3)
    for composer in composers.values():
        composer.close()
    return timings


class _Scene(NamedTuple):
    image: NDArray[np.uint8]
    alpha: NDArray[np.uint8]
    foreground: NDArray[np.uint8]


def _once(compositor: Compositor, scene: _Scene, layer: Layer, device: str) -> None:
    """Composite one frame. A matte caches its conversions, so each call gets a new matte, as each live frame does."""
    frame = Frame(scene.image, seq=0, epoch=0, captured_ns=0)
    if device == "cpu":
        compositor.composite(Matte(frame, scene.alpha, scene.foreground), layer)
        return
    height, width = scene.alpha.shape
    on_device = _on_device(width, height, device)
    compositor.composite(Matte(frame, on_device.alpha, on_device.foreground, on_device.image), layer)


@lru_cache(maxsize=2)
def _on_device(width: int, height: int, device: str) -> Any:
    """The same scene in the device's memory, where the engine's mattes would be; copied there once."""
    parts: list[Any] = [transfer.upload(part, device) for part in _scene(width, height)]
    return _Scene(*parts)


def _scene(width: int, height: int) -> _Scene:
    """A noisy room, and the matte of somebody who fills a third of it."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    inside = 0.34 - np.hypot(x / width - 0.5, (y / height - 0.7) * 0.6)
    alpha = np.clip(inside * 4000 + 128, 0, 255).astype(np.uint8)
    return _Scene(image, alpha, np.ascontiguousarray(image[:, ::-1]))


def _naive(scene: _Scene, background: NDArray[np.uint8]) -> NDArray[np.uint8]:
    share = scene.alpha[..., None].astype(np.float32) / 255
    blend: NDArray[np.uint8] = (scene.foreground * share + background * (1 - share) + 0.5).astype(np.uint8)
    return blend
