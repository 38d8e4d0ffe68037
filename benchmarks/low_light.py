"""Alpha in the dark, with ``--low-light off`` and ``auto``: keyed clips, darkened and with a sensor's noise.

    RVM_LIVE_WEIGHTS=path python -m benchmarks low-light --data FOLDER [--frames 10] [--quick]

The clips are those of the quality table. The light (in linear units) is reduced to a fifth and to a tenth. It falls on
a simulated sensor that holds 2000 electrons per pixel, with shot noise (Poisson) and a read noise of four electrons.
MAD is in thousandths, dtSSD in hundredths; each clip has the same weight. The result also holds the time that the
capture thread spends on a dark frame.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.compare import program_threads
from benchmarks.quality.clips import keyed_clips
from benchmarks.quality.metrics import Quality, Scorer, mean_of
from benchmarks.quality.subjects import EngineSubject, Subject
from benchmarks.report import Chart, publish, summarise
from rvm_live.core.arrays import Bytes
from rvm_live.core.errors import RvmLiveError, UnavailableError
from rvm_live.core.frames import Frame
from rvm_live.core.settings import EngineSettings
from rvm_live.sources.low_light import LowLight

__all__ = ["darkened", "run"]

LIGHTS = {"as shot": 1.0, "a fifth": 0.2, "a tenth": 0.1}
ELECTRONS, OWN_NOISE = 2000.0, 4.0
COLUMNS = ("what", "light", "MAD off e-3", "MAD auto e-3", "dtSSD off e-2", "dtSSD auto e-2", "clips")
SIZE, FRAMES = (1280, 720), 10
_FRAME_NS = 40_000_000


def darkened(image: Bytes, light: float, chance: np.random.Generator) -> Bytes:
    """A picture as a sensor would take it in less light.

    Args:
        image: uint8 (H, W, 3).
        light: share of the light that is left, 0 to 1.
        chance: random generator of the noise.
    """
    level = image / 255
    linear = light * np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    counted = chance.poisson(linear * ELECTRONS) + chance.normal(0, OWN_NOISE, linear.shape)
    linear = np.clip(counted / ELECTRONS, 0, 1)
    level = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    dark: Bytes = np.rint(level * 255).astype(np.uint8)
    return dark


def run(arguments: list[str]) -> dict[str, Any]:
    """Run the benchmark.

    Raises:
        UnavailableError: nothing is named to measure on.
    """
    parser = argparse.ArgumentParser("python -m benchmarks low-light", description=__doc__)
    parser.add_argument("--data", type=Path, help="a folder with webcam/ and backgrounds/")
    parser.add_argument("--frames", type=int, default=FRAMES, help="of each clip")
    parser.add_argument("--quick", action="store_true", help="one clip, small, one subject: does it run at all")
    options = parser.parse_args(arguments)
    if options.data is None:
        raise UnavailableError("name what to measure on: --data FOLDER")
    size = (320, 180) if options.quick else SIZE
    clips = keyed_clips(options.data, options.frames, size, every_kind=False)[: 1 if options.quick else None]
    found: dict[tuple[str, str, bool], dict[str, Quality]] = {}
    spent: list[float] = []
    refusals: dict[str, str] = {}
    with program_threads():
        team = _subjects(size, refusals, quick=options.quick)
        try:
            for number, clip in enumerate(clips):
                print(f"{number + 1} of {len(clips)}: {clip.name}", flush=True)
                pairs = [(picture, alpha) for picture, alpha in clip.frames() if alpha is not None]
                chance = np.random.default_rng(number)
                for words, light in LIGHTS.items():
                    dark = [picture if light == 1 else darkened(picture, light, chance) for picture, _ in pairs]
                    for auto in (False, True):
                        seen = _with_low_light(dark, spent if light < 1 else []) if auto else dark
                        same = auto and all(one is other for one, other in zip(seen, dark, strict=True))
                        for name, subject in team.items():
                            known = found[name, words, False][clip.name] if same else None
                            quality = known or _scored(subject, seen, [alpha for _, alpha in pairs])
                            found.setdefault((name, words, auto), {})[clip.name] = quality
        finally:
            for subject in team.values():
                subject.close()
    rows = []
    for name, words in dict.fromkeys((name, words) for name, words, _ in found):
        before, after = (mean_of(found[name, words, on].values()) for on in (False, True))
        numbers = (round(each, 2) for each in (before.mad, after.mad, before.dtssd, after.dtssd))
        rows.append((name, words, *numbers, len(clips)))
    each = {
        f"{name}: {words}, {'auto' if auto else 'off'}": {clip: round(q.mad, 2) for clip, q in per.items()}
        for (name, words, auto), per in found.items()
    }
    return publish(
        "low_light",
        COLUMNS,
        rows,
        chart=Chart(("MAD off e-3", "MAD auto e-3"), labels=("light",), panels="what", unit="MAD, thousandths"),
        frames=options.frames,
        size=f"{size[0]}x{size[1]}",
        ms_a_frame=summarise(spent).median if spent else None,
        refusals=refusals,
        mad_of_each_clip=each,
    )


def _subjects(size: tuple[int, int], refusals: dict[str, str], *, quick: bool) -> dict[str, Subject]:
    wanted = [EngineSettings(engine="lite", device="cpu")]
    if not quick:
        wanted.append(EngineSettings(engine="openvino", device="cpu", downsample_ratio=0.25))
    team: dict[str, Subject] = {}
    for settings in wanted:
        subject = EngineSubject(settings)
        try:
            team[subject.open(*size)] = subject
        except RvmLiveError as error:
            refusals[subject.label] = str(error)
            subject.close()
    return team


def _with_low_light(pictures: list[Bytes], spent: list[float]) -> list[Bytes]:
    """The pictures as they would arrive after a second: the first one is given twice."""
    low_light, seen = LowLight(on=True), []
    for number, picture in enumerate([pictures[0], *pictures]):
        began = time.thread_time_ns()
        seen.append(low_light(picture, number * _FRAME_NS))
        spent.append((time.thread_time_ns() - began) / 1e6)
    return seen[1:]


def _scored(subject: Subject, pictures: list[Bytes], truth: list[Bytes]) -> Quality:
    subject.reset()
    scorer = Scorer(every=len(pictures))  # Grad and Conn are not needed
    for number, (picture, alpha) in enumerate(zip(pictures, truth, strict=True)):
        _, found = subject.matte(Frame(picture, number, 0, number * _FRAME_NS))
        scorer.add(found, alpha)
    return scorer.result()
