"""Speed on files: the overlapping stages of ``rvm-live batch`` beside a loop that reads, mattes and writes in turn.

    RVM_LIVE_WEIGHTS=path python -m benchmarks batch [--source demo|CLIP] [--frames 150] [--width 1280 --height 720]
        [--rounds 1] [--cases 5] [--against FOLDER]

Both use the same source, engine, compositor and encoder on the same file, without sound. The clip is made before the
clock starts, and the engine is warm. *Bare engine* is matting alone, on pictures in memory. Targets: at least twice as
fast as the loop where encoding and decoding matter; at least nine tenths of the bare engine's speed where matting is
the bottleneck. Where matting may use one core only, the loop leaves the other core to the encoder's own threads.

``--against`` names a checkout of another commit. Its loop then runs instead of this one's, with all of that commit's
code and in the same precision. With several rounds, both take turns and the table shows medians.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from benchmarks.compare import grab, program_threads
from benchmarks.report import publish
from rvm_live.apps.batch.codecs import recipe_for
from rvm_live.apps.batch.media import facts_of
from rvm_live.apps.batch.run import run as run_batch
from rvm_live.apps.batch.settings import BatchSettings
from rvm_live.backgrounds.parse import parse_one
from rvm_live.compositing.composer import Composer
from rvm_live.core.errors import EndOfSource, RvmLiveError, UnavailableError
from rvm_live.core.frames import Frame
from rvm_live.core.notices import Notices
from rvm_live.core.settings import EngineSettings, SourceSettings
from rvm_live.engines.select import AutoEngine
from rvm_live.media.encoder import Encoder
from rvm_live.sources.video.video import VideoFileSource

BACKGROUND = str(Path(__file__).parent.parent / "assets" / "backgrounds" / "studio.jpg")
COLUMNS = (
    "engine, ratio, file",
    "loop fps",
    "batch fps",
    "bare engine fps",
    "times the loop",
    "of the bare engine",
)


class Case(NamedTuple):
    """One comparison.

    Attributes:
        engine: its name.
        ratio: downsample ratio; None: the engine's own.
        container: what is written, with its usual codec.
        share: part of the frames that is used, 0 to 1; matting at full size takes long.
        cores: how many cores the engine may use; None: all.
    """

    engine: str
    ratio: float | None
    container: str
    share: float = 1.0
    cores: int | None = None


CASES = (
    Case("lite", None, "mp4"),
    Case("lite", None, "mov"),
    Case("openvino", 0.25, "mp4"),
    Case("openvino", 0.25, "mp4", cores=1),
    Case("openvino", 1.0, "mp4", share=0.3),
)


def run(arguments: list[str]) -> dict[str, Any]:
    """Run the benchmark.

    Raises:
        UnavailableError: no engine works.
    """
    parser = argparse.ArgumentParser("python -m benchmarks batch", description=__doc__)
    parser.add_argument("--source", default="demo")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--against", type=Path, help="a checkout of another commit, whose loop is taken")
    parser.add_argument("--cases", type=int, default=len(CASES), help="how many of the cases, from the first")
    options = parser.parse_args(arguments)
    rows: list[tuple[Any, ...]] = []
    refusals: dict[str, str] = {}
    with program_threads(), tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        frames = grab(options)
        for case in CASES[: options.cases]:
            settings = EngineSettings(engine=case.engine, device="cpu", downsample_ratio=case.ratio)
            label = f"{case.engine}, {case.ratio or 'own'}, {case.container}"
            label += f", {case.cores} core for matting" if case.cores else ""
            few = frames[: max(12, round(len(frames) * case.share))]
            clip = clip_of(scratch / "clip.mp4", [frame.image for frame in few])
            rounds = []
            try:
                with _cores(case.cores):
                    to = BatchSettings(
                        (str(clip),),
                        scratch / "out",
                        engine=settings,
                        background=BACKGROUND,
                        container=case.container,
                        force=True,
                    )
                    for _ in range(options.rounds):
                        bare, precision = _bare(settings, few)
                        settings = replace(settings, precision=precision)
                        path = scratch / f"loop.{case.container}"
                        if options.against is None:
                            loop = _loop(settings, clip, case.container, path)
                        else:
                            loop = _theirs(options.against, settings, clip, case.container, path)
                        rounds.append((loop, rate_of(to)[0], bare))
            except RvmLiveError as error:
                refusals[label] = str(error)
                continue
            loop, batch, bare = (median(rates) for rates in zip(*rounds, strict=True))
            rows.append((label, loop, batch, bare, batch / loop, batch / bare))
    if not rows:
        raise UnavailableError("; ".join(refusals.values()))
    return publish(
        "batch",
        COLUMNS,
        rows,
        source=options.source,
        frames=len(frames),
        size=f"{options.width}x{options.height}",
        refusals=refusals,
        rounds=options.rounds,
        against=None if options.against is None else _commit(options.against),
    )


def _commit(tree: Path) -> str:
    """The commit that a checkout is at."""
    command = ["git", "-C", str(tree), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or tree.name


@contextmanager
def _cores(count: int | None) -> Iterator[None]:
    """Limit engines that are opened inside to this many cores."""
    if count is None:
        yield
        return
    before = os.environ.get("RVM_LIVE_CORES")
    os.environ["RVM_LIVE_CORES"] = str(count)
    try:
        yield
    finally:
        if before is None:
            del os.environ["RVM_LIVE_CORES"]
        else:
            os.environ["RVM_LIVE_CORES"] = before


def clip_of(path: Path, pictures: list[NDArray[np.uint8]]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "veryfast", "crf": "18"})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _bare(settings: EngineSettings, frames: list[Frame]) -> tuple[float, Any]:
    """The bare engine's frames per second, and the precision it works in."""
    engine = _opened(settings, frames[0].width, frames[0].height)
    try:
        began = time.perf_counter()
        for frame in frames:
            engine.matte(frame).host()
        return len(frames) / (time.perf_counter() - began), engine.info.precision
    finally:
        engine.close()


def _opened(settings: EngineSettings, width: int, height: int) -> AutoEngine:
    engine = AutoEngine(settings)
    engine.open()
    engine.prepare(width, height)
    return engine


def _loop(settings: EngineSettings, clip: Path, container: str, path: Path) -> float:
    """Read, matte and write one frame after the other, as a simple script does."""
    facts = facts_of(clip)
    engine = _opened(settings, facts.width, facts.height)
    composer = Composer([parse_one(BACKGROUND)], foreground="model", notices=Notices())
    composer.open(facts.width, facts.height, "cpu")
    encoder: Encoder | None = None
    source = VideoFileSource(SourceSettings(str(clip), realtime=False))
    source.open()
    count, began = 0, time.perf_counter()
    try:
        while True:
            grabbed = source.read()
            frame = Frame(grabbed.image, count, 0, grabbed.captured_ns, grabbed.media_ns)
            image = composer.compose(engine.matte(frame)).image
            if encoder is None:
                recipe, _ = recipe_for(container, "auto")
                encoder = Encoder(path, recipe, image.shape, rate=facts.rate, time_base=facts.time_base)
            encoder.add(image, round(Fraction(grabbed.media_ns or 0, 1_000_000_000) / facts.time_base))
            count += 1
    except EndOfSource:
        if encoder is not None:
            encoder.flush()
            encoder.close()
    took = time.perf_counter() - began
    source.release()
    composer.close()
    engine.close()
    return count / took


_THEIRS = """
import sys
from pathlib import Path
from benchmarks.batch import EngineSettings, _loop
from benchmarks.compare import program_threads
engine, ratio, precision, clip, container, path = sys.argv[1:]
settings = EngineSettings(engine=engine, device="cpu", downsample_ratio=float(ratio) or None, precision=precision)
with program_threads():
    print(_loop(settings, Path(clip), container, Path(path)))
"""


def _theirs(tree: Path, settings: EngineSettings, clip: Path, container: str, path: Path) -> float:
    """:func:`_loop` of another commit, run with that commit's own code."""
    asked = (settings.engine, str(settings.downsample_ratio or 0), settings.precision, str(clip), container, str(path))
    environment = {**os.environ, "PYTHONPATH": str(tree), "RVM_LIVE_CACHE": str(path.parent / "theirs")}
    command = [sys.executable, "-c", _THEIRS, *asked]
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnavailableError(f"the loop of {tree.name} failed: {done.stderr.strip().splitlines()[-1]}")
    return float(done.stdout.split()[-1])


def rate_of(settings: BatchSettings) -> tuple[float, str]:
    """Frames per second of a batch job, and what ran.

    The time is from the first frame's progress report to the last one, which leaves out opening the file. Progress is
    reported four times a second: for a file that is done sooner the whole time counts.

    Raises:
        UnavailableError: the file failed.
    """
    stamps: list[tuple[float, int]] = []
    ran: dict[str, Any] = {}

    def tell(event: dict[str, Any]) -> None:
        if event["event"] in ("progress", "file"):
            stamps.append((time.perf_counter(), event["frames"]))
        if event["event"] == "file":
            if event["state"] != "done":
                raise UnavailableError(event["error"])
            ran.update(event["ran"], seconds=event["seconds"])

    run_batch(settings, tell=tell)
    (began, first), (ended, last) = stamps[0], stamps[-1]
    rate = (last - first) / (ended - began) if last > first else last / ran["seconds"]
    return rate, f"{ran['engine']} {ran['precision']} on {ran['device']}"
