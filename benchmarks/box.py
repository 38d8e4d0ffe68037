"""What it saves, and what it costs in quality, to run the network only on a box around the person and only on motion.

    RVM_LIVE_WEIGHTS=path python -m benchmarks box --data FOLDER [--frames 26] [--ratio 0.25] [--engines openvino lite]
        [--sits CLIP] [--moves CLIP] [--rounds 1]

Quality is measured against keyed truth (``python -m benchmarks quality`` explains it), from the ninth frame on, on
alpha as the user gets it. ``px`` is the share of the small picture that the network saw, ``ran`` the share of frames in
which it ran. Speed is processor milliseconds per frame of the whole program, all threads together: headless, every
frame of a clip, in single precision where the engine has the choice. Two cores have 66 ms for a frame at 30 fps.
``--sits`` is a clip of somebody who sits, ``--moves`` one of somebody who moves before a moving camera. In the third
clip nobody moves: it is the first picture of the first clip, with a camera's noise on it, as a camera's MJPEG.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.clips import grabbed, keyed_clips
from benchmarks.quality.metrics import Scorer, mean_of
from benchmarks.report import publish
from rvm_live.core.errors import RvmLiveError, UnavailableError
from rvm_live.core.frames import Composite, Frame
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.focus.person_box import SETTLE
from rvm_live.engines.select import AutoEngine
from rvm_live.sinks.base import Sink

WAYS: dict[str, tuple[bool, bool]] = {
    "whole": (False, False),
    "gate": (False, True),
    "box": (True, False),
    "box and gate": (True, True),
}
COLUMNS = (
    *("what", "MAD e-3", "MSE e-3", "dtSSD e-2", "worst clip's MAD", "px %", "ran %"),
    *("sits ms", "moves ms", "nobody moves ms"),
)
_NOISE, _NOISES = 2.0, 23
_FIRST, _LAST = 40, 200
_SIZE, _QUICK_SIZE = (1280, 720), (320, 180)


class Meter(Sink):
    """Measures how much processor time the frames took, leaving out the first ones.

    Args:
        argument: the file that it is written into.
    """

    name = "meter"
    runs_on = "run"

    def __init__(self, argument: str) -> None:
        self._path = Path(argument)
        self._frames: list[tuple[int, float]] = []

    def open(self) -> None:
        self._frames.clear()

    def write(self, composite: Composite) -> None:
        self._frames.append((composite.seq, time.process_time()))

    def close(self, *, failed: bool) -> None:
        first = min(_FIRST, len(self._frames) // 2)
        (seq, began), (last, ended) = self._frames[first], self._frames[-1]
        self._path.write_text(json.dumps((ended - began) / (last - seq) * 1e3), encoding="utf-8")


def spent(clip: Path, options: argparse.Namespace, *extra: str) -> float:
    """Processor milliseconds a frame of the whole program."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "meter"
        command = [sys.executable, "-m", "rvm_live", "--source", str(clip), "--no-realtime", "--loop", "--headless"]
        command += ["--background", "color:navy", "--no-scene-reset", "--frames", str(options.timed), *extra]
        command += ["--sink", f"benchmarks.box:Meter:{told}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UnavailableError(done.stderr.strip().splitlines()[-1] if done.stderr else "rvm-live failed")
        return float(json.loads(told.read_text(encoding="utf-8")))


def unmoving(clip: Path, path: Path, many: int) -> Path:
    """Write an MJPEG of ``many`` frames that shows one picture with a camera's noise; a clip that starts over would
    restart the network."""
    picture = grabbed(clip, 1)[0].astype(np.float32)
    rng = np.random.default_rng(0)
    noisy = [np.clip(picture + rng.normal(0, _NOISE, picture.shape), 0, 255).astype(np.uint8) for _ in range(_NOISES)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=30)
        stream.height, stream.width, stream.pix_fmt = *picture.shape[:2], "yuvj422p"
        stream.options = {"qmin": "3", "qmax": "5"}
        for at in range(many):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noisy[at % _NOISES], format="bgr24")))
        container.mux(stream.encode())
    return path


def scored(
    settings: EngineSettings, clips: dict[str, list[tuple[NDArray[np.uint8], Any]]]
) -> tuple[dict[str, Any], float, float]:
    """Clip -> quality; and the mean shares of the small picture and of the frames that the network saw."""
    engine = AutoEngine(settings)
    engine.open()
    found, seen, ran = {}, [], []
    try:
        for epoch, (name, pairs) in enumerate(clips.items()):
            engine.prepare(pairs[0][0].shape[1], pairs[0][0].shape[0])
            engine.reset()
            scorer = Scorer(every=1000)
            for at, (picture, truth) in enumerate(pairs):
                matte = engine.matte(Frame(picture, at, epoch, at))
                if at < SETTLE:
                    continue
                scorer.add(np.array(matte.host().alpha), truth)
            share, part = _told(engine.info.focus)
            seen.append(share)
            ran.append(part)
            found[name] = scorer.result()
    finally:
        engine.close()
    return found, float(np.mean(seen)) * 100, float(np.mean(ran)) * 100


def _told(focus: str) -> tuple[float, float]:
    """The two shares in a text such as ``box 60 %, 1 of 2 frames``: 0.6 and 0.5."""
    share = part = 1.0
    for each in focus.split(", "):
        words = each.split()
        if words[:1] == ["box"]:
            share = float(words[1]) / 100
        elif words:
            part = int(words[0]) / int(words[2])
    return share, part


def run(arguments: list[str]) -> dict[str, Any]:
    """Run the benchmark."""
    parser = argparse.ArgumentParser("python -m benchmarks box", description=__doc__)
    parser.add_argument("--data", type=Path, help="a folder with webcam/ and backgrounds/")
    parser.add_argument("--frames", type=int, default=26, help="of each keyed clip")
    parser.add_argument("--ratio", type=float, default=0.25, help="of openvino")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--engines", nargs="+", default=["openvino", "lite"])
    parser.add_argument("--sits", type=Path)
    parser.add_argument("--moves", type=Path)
    parser.add_argument("--timed", type=int, default=_LAST, help="frames of each run of the program")
    parser.add_argument("--rounds", type=int, default=1, help="runs of the program; the least time counts")
    parser.add_argument("--quick", action="store_true", help="one clip, small: does it run at all")
    options = parser.parse_args(arguments)
    size = _QUICK_SIZE if options.quick else _SIZE
    clips: dict[str, list[tuple[NDArray[np.uint8], Any]]] = {}
    left_out: dict[str, str] = {}
    if options.data is not None:
        for clip in keyed_clips(options.data, options.frames, size, every_kind=False)[: 1 if options.quick else None]:
            try:
                clips[clip.name] = list(clip.frames())
            except RvmLiveError as error:
                left_out[clip.name] = str(error)
    rows: list[tuple[Any, ...]] = []
    each: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        still = None if options.sits is None else unmoving(options.sits, Path(folder) / "still.mkv", options.timed)
        for engine in options.engines:
            ratio = options.ratio if engine == "openvino" else None
            names = {way: f"{engine}{'' if ratio is None else f' {ratio:g}'}, {way}" for way in WAYS}
            times = _times(engine, ratio, still, options)
            for way, (box, gate) in WAYS.items():
                quality: tuple[Any, ...] = (None,) * 6
                if clips:
                    asked = EngineSettings(
                        engine, device="cpu", downsample_ratio=ratio, precision=options.precision, box=box, gate=gate
                    )
                    found, share, part = scored(asked, clips)
                    mean = mean_of(found.values())
                    worst = max(one.mad for one in found.values())
                    quality = (mean.mad, mean.mse, mean.dtssd, worst, share, part)
                    each[names[way]] = {name: [one.mad, one.dtssd] for name, one in found.items()}
                rows.append((names[way], *quality, *times[way]))
    return publish(
        "box",
        COLUMNS,
        rows,
        precision=options.precision,
        left_out=left_out,
        each_clip=each,
        clips=len(clips),
    )


def _times(
    engine: str, ratio: float | None, still: Path | None, options: argparse.Namespace
) -> dict[str, tuple[float | None, ...]]:
    """Way -> milliseconds per frame on the three clips. The ways take turns."""
    told: dict[str, list[list[float]]] = {way: [[], [], []] for way in WAYS}
    for _ in range(options.rounds):
        for place, clip in enumerate((options.sits, options.moves, still)):
            for way, (box, gate) in WAYS.items():
                if clip is not None:
                    extra = ["--engine", engine, "--precision", options.precision]
                    extra += [] if ratio is None else ["--downsample-ratio", str(ratio)]
                    extra += ["--box" if box else "--no-box", "--gate" if gate else "--no-gate"]
                    told[way][place].append(spent(clip, options, *extra))
    return {way: tuple(min(times, default=None) for times in found) for way, found in told.items()}


__all__ = ["Meter", "run"]
