"""Whether the figures of `rvm-live check`, made without the truth, rank mattes as the truth does.

    RVM_LIVE_WEIGHTS=path python -m benchmarks check --data FOLDER [--frames 24] [--quick]

On each keyed clip of ``quality`` the mattes are: RVM at ratios 0.4 and 0.2, ``lite``, and RVM at 0.4 with one fault
made on purpose, or with all of them. Each figure's mean over the frames ranks these mattes, and so does the truth: MAD,
or dtSSD for figures of change over time. ``of four`` is Spearman's correlation between both rankings of RVM at 0.4, RVM
at 0.2, ``lite`` and the matte with all faults; ``of seven`` ranks the first three and the four mattes with one fault
each. Both are means over the clips. A figure below 0.8 of four is left out of the program. The columns behind show on
how many clips a figure is higher for a faulty matte than for the matte it was made from, and the usual values: the
quartiles of RVM at 0.4 over the clips.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.compare import program_threads
from benchmarks.quality.clips import keyed_clips
from benchmarks.quality.metrics import dtssd, mad
from benchmarks.report import Chart, publish
from rvm_live.apps.check.figures import Look, measured, motion
from rvm_live.apps.check.subject import Subject
from rvm_live.apps.check.windows import WARM_UP, Window
from rvm_live.core.arrays import Bytes
from rvm_live.core.errors import RvmLiveError, UnavailableError
from rvm_live.core.settings import EngineSettings

__all__ = ["BREAKS", "LEAST", "broken", "holes", "islands", "misplaced", "run", "softness", "spearman"]

Means = dict[str, dict[str, float]]

SIZE, QUICK_SIZE, FRAMES = (1280, 720), (320, 180), 24
LEAST = 0.8
GOOD, SMALL, LITE, BROKEN = "RVM 0.4", "RVM 0.2", "lite", "all at once"
BREAKS = ("eroded", "late", "holes", "trembling")
TEMPORAL = ("flicker", "area_jump")
COLUMNS = ("figure", "truth", "of four", "of seven", *BREAKS, "told", "usual from", "usual to")
_LATE = 2
_HOLES = 6


def run(arguments: list[str]) -> dict[str, Any]:
    """Run the benchmark.

    Raises:
        UnavailableError: there are no weights.
        SettingsError: there are no clips.
    """
    parser = argparse.ArgumentParser("python -m benchmarks check", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="a folder with webcam/ and backgrounds/")
    parser.add_argument("--frames", type=int, default=FRAMES, help="of each clip")
    parser.add_argument("--quick", action="store_true", help="one clip, small, few frames: does it run at all")
    options = parser.parse_args(arguments)
    size, count = (QUICK_SIZE, 9) if options.quick else (SIZE, options.frames)
    clips = keyed_clips(options.data, count, size, every_kind=False)[: 1 if options.quick else None]
    found: dict[str, Means] = {}
    left_out: dict[str, str] = {}
    with program_threads():
        subjects = _subjects()
        try:
            for number, clip in enumerate(clips):
                try:
                    pairs = list(clip.frames())
                except RvmLiveError as error:
                    left_out[clip.name] = str(error)
                    continue
                print(f"{number + 1} of {len(clips)}: {clip.name}", flush=True)
                pictures = tuple(picture for picture, _ in pairs)
                window = Window(0, pictures, tuple(at / 25 for at in range(len(pairs))))
                found[clip.name] = _judged(window, [alpha for _, alpha in pairs if alpha is not None], subjects)
        finally:
            for subject in subjects.values():
                subject.close()
    rows = [_row(name, found) for name in next(iter(found.values()))[GOOD] if name not in ("MAD", "dtSSD")]
    return publish(
        "check",
        COLUMNS,
        sorted(rows, key=lambda row: -row[2]),
        chart=Chart(("of four", "of seven"), labels=("figure",), unit="Spearman's rank correlation with the truth"),
        clips=len(found),
        frames=count,
        size=f"{size[0]}x{size[1]}",
        left_out=left_out,
        each_clip={clip: _rounded(means) for clip, means in found.items()},
    )


def _subjects() -> dict[str, Subject]:
    asked = {
        GOOD: EngineSettings(engine="openvino", precision="fp32", downsample_ratio=0.4, offline=True),
        SMALL: EngineSettings(engine="openvino", precision="fp32", downsample_ratio=0.2, offline=True),
        LITE: EngineSettings(engine="lite", precision="fp32"),
    }
    try:
        return {name: Subject(settings) for name, settings in asked.items()}
    except RvmLiveError as error:
        raise UnavailableError(f"RVM and lite are compared, and one does not run: {error}") from error


def _judged(window: Window, truth: list[Bytes], subjects: dict[str, Subject]) -> Means:
    """Subject -> the mean of every figure, and of the errors against the truth."""
    mattes, others = {}, {}
    for name, subject in subjects.items():
        mattes[name] = subject.alphas(window)
        other = subject.other()
        if other is None:
            raise UnavailableError(f"{name} gives no other reading")
        others[name] = other.alphas(window)
        other.close()
    for kind in (*BREAKS, BROKEN):
        mattes[kind], others[kind] = broken(mattes[GOOD], kind), others[GOOD]
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in mattes}
    for place in range(min(WARM_UP, len(truth) // 2), len(truth)):
        moved = motion(window.images[place], window.images[place - 1])
        for name, alphas in mattes.items():
            look = Look.of(window.images[place], alphas[place])
            before = Look.of(window.images[place - 1], alphas[place - 1])
            row = measured(look, before, moved, others[name][place])
            row.update(softness=softness(look), islands=islands(look), holes=holes(look), misplaced=misplaced(look))
            row["MAD"] = mad(alphas[place], truth[place])
            row["dtSSD"] = dtssd(alphas[place], truth[place], alphas[place - 1], truth[place - 1])
            rows[name].append(row)
    return {name: {key: fmean(row[key] for row in several) for key in several[0]} for name, several in rows.items()}


def _row(name: str, found: dict[str, Means]) -> tuple[Any, ...]:
    truth = "dtSSD" if name in TEMPORAL else "MAD"

    def of(several: Sequence[str]) -> float:
        ranks = (
            spearman([clip[each][name] for each in several], [clip[each][truth] for each in several])
            for clip in found.values()
        )
        return round(fmean(ranks), 3)

    seen = [sum(clip[each][name] > clip[GOOD][name] for clip in found.values()) for each in BREAKS]
    good = [clip[GOOD][name] for clip in found.values()]
    four = of((GOOD, SMALL, LITE, BROKEN))
    seven = of((GOOD, SMALL, LITE, *BREAKS))
    usual = (round(float(np.quantile(good, share)), 4) for share in (0.25, 0.75))
    return (name, truth, four, seven, *seen, four >= LEAST, *usual)


def _rounded(means: Means) -> Means:
    return {name: {key: round(value, 4) for key, value in row.items()} for name, row in means.items()}


def spearman(one: Sequence[float], other: Sequence[float]) -> float:
    """Rank correlation, -1 to 1. Equal values get the mean of their ranks; 0 where one side's values are all equal."""
    first, second = (_ranks(np.asarray(each, np.float64)) for each in (one, other))
    if first.std() == 0 or second.std() == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    below = (values[None] < values[:, None]).sum(1)
    return np.asarray(below + ((values[None] == values[:, None]).sum(1) - 1) / 2, np.float64)


def broken(alphas: list[Bytes], kind: str) -> list[Bytes]:
    """The mattes with a fault made on purpose.

    Args:
        alphas: uint8 (H, W), of consecutive frames.
        kind: ``eroded`` by 1/160 of the width; two frames ``late``; six round ``holes`` of 1/25 of the width that stay
            in place; ``trembling``: every second matte grown by 1/320; or ``all at once``.
    """
    made = [alpha.copy() for alpha in alphas]
    width = made[0].shape[1]
    if kind in ("late", BROKEN):
        made = [made[max(0, place - _LATE)].copy() for place in range(len(made))]
    if kind in ("eroded", BROKEN):
        made = [np.asarray(cv2.erode(alpha, _disc(max(1, width // 160)))) for alpha in made]
    if kind in ("holes", BROKEN):
        rng = np.random.default_rng(1)
        rows, columns = np.nonzero(made[0] > 250)
        for spot in rng.integers(0, len(rows), _HOLES) if len(rows) else ():
            for alpha in made:
                cv2.circle(alpha, (int(columns[spot]), int(rows[spot])), max(1, width // 50), 0, -1, cv2.LINE_AA)
    if kind in ("trembling", BROKEN):
        grown = _disc(max(1, width // 320))
        made = [np.asarray(cv2.dilate(alpha, grown)) if place % 2 else alpha for place, alpha in enumerate(made)]
    return made


# Figures that were tried and do not rank mattes as the truth does.


def softness(look: Look) -> float:
    """Number of pixels with alpha between 0.05 and 0.95, per pixel of the outline's length."""
    return float(np.count_nonzero((look.alpha >= 13) & (look.alpha <= 242))) / look.outline


def islands(look: Look) -> float:
    """Share of the person's area, %, that is not connected (8-connected) to its largest part."""
    count, _, stats, _ = cv2.connectedComponentsWithStats(look.solid, connectivity=8)
    if count < 2:
        return 0.0
    sizes = stats[1:, cv2.CC_STAT_AREA]
    return 100.0 - 100.0 * float(sizes.max()) / float(sizes.sum())


def holes(look: Look) -> float:
    """Area that the person surrounds (4-connected; beyond the border is outside), % of the person's area."""
    around = cv2.copyMakeBorder(1 - look.solid, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=(1,))
    _, labels = cv2.connectedComponents(around, connectivity=4)
    inside = int(around.sum()) - int(np.count_nonzero(labels == labels[0, 0]))
    return 100.0 * inside / max(int(look.solid.sum()), 1)


def misplaced(look: Look) -> float:
    """Share of alpha's edge, %, that lies beside an edge of the picture. The picture's gradient under alpha's edge is
    compared with the strongest within 1/160 of the longer side, weighted by alpha's gradient; the border does not
    count."""
    smooth = cv2.GaussianBlur(look.image, (0, 0), 1.5).astype(np.float32)
    slope = np.hypot(*(np.abs(cv2.Sobel(smooth, cv2.CV_32F, *each)).sum(2) for each in ((1, 0), (0, 1))))
    alpha = cv2.GaussianBlur(look.alpha.astype(np.float32) / 255, (0, 0), 1.5)
    weight = np.hypot(cv2.Sobel(alpha, cv2.CV_32F, 1, 0), cv2.Sobel(alpha, cv2.CV_32F, 0, 1))
    weight[:3] = weight[-3:] = weight[:, :3] = weight[:, -3:] = 0
    total = float(weight.sum())
    if total < 1e-3:
        return 0.0
    strongest = cv2.dilate(slope, _disc(max(2, max(look.alpha.shape) // 160)))
    return 100.0 - 100.0 * float((weight * slope / (strongest + 8)).sum()) / total


def _disc(radius: int) -> Bytes:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)))
