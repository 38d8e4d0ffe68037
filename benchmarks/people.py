"""Engines that need no weights, measured against RVM at ratio 0.4 on people whom nobody trained on, by kind of picture.

    RVM_LIVE_WEIGHTS=path python -m benchmarks people --people FOLDER [--mediapipe-python .venv-mediapipe/bin/python]
        [--sheet FILE] [--quick]

The pictures are those that ``training/clips.py`` holds out. Each still is fitted into 1280x720 and shown a few times
with a slow drift of 2 pixels a frame; clips are used as they are. The last frame counts. RVM stands in for the truth,
so its mistakes count against everybody else; RVM at ratio 0.25 shows how much that may be. MAD is in thousandths.
``--sheet`` writes a contact sheet. It shows pictures of other people: look at it, do not keep it.

With MediaPipe there is a jury: RVM at 0.25 and both of MediaPipe's networks. A pixel's label is *safe* where RVM's
alpha at 0.4 lies within the range of what every juror says in the 25x25 pixels around it (of 1280x720; one pixel of
MediaPipe's networks is five of these), plus or minus a tenth. ``lite`` has no vote. The column *Safe* covers the safe
pixels of every picture. *Agreed* covers all pixels of those pictures in which at least 95 % of the pixels are safe.
Both leave out pixels on which everybody except RVM at 0.4 fails, so they flatter everybody, and the jurors most of all.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.compare import program_threads
from benchmarks.quality.subjects import EngineSubject, SelfieSubject, Subject
from benchmarks.report import Chart, publish
from rvm_live.core.arrays import Bytes
from rvm_live.core.errors import RvmLiveError, UnavailableError
from rvm_live.core.frames import Frame
from rvm_live.core.settings import EngineSettings
from training.clips import decoded, moving, people, split_of

__all__ = ["KINDS", "kind_of", "run", "safe", "shown"]

KINDS = ("portrait", "half body with hands", "whole body", "group")
_TOLD = ("mean", "median", "worst")
COLUMNS = (
    "what",
    *_TOLD,
    *KINDS,
    "pictures",
    *(f"safe {told}" for told in _TOLD),
    *(f"agreed {told}" for told in _TOLD),
    "agreed",
)
SIZE, LOOKS, DRIFT = (1280, 720), 6, 2
_GROUPS = ("human/group",)
_HALVES = ("echomimic_v2/", "human/person-", "human/stock-emotions-b")
_WHOLES = ("lhm/", "video/")
_JURY, _REACH, _SLACK, _AGREED = 3, 12, 0.1, 0.95
_EVERY = 4
"""Of a person's many faces on one sheet, which differ little, and of portraits."""


def kind_of(name: str) -> str:
    """The kind of a picture, by its name in the layout of ``../shared/people``."""
    if name.startswith(_GROUPS):
        return KINDS[3]
    whole = name.endswith("_posture") or name[-13:] in {f"_character_0{n}" for n in range(4, 8)}
    if whole or name.startswith(_WHOLES):
        return KINDS[2]
    if name.endswith("_selfie") or name.startswith(_HALVES):
        return KINDS[1]
    return KINDS[0]


def safe(label: Bytes, jurors: Sequence[Bytes]) -> NDArray[np.bool_]:
    """Where a label lies within the range of what every juror says nearby.

    Args:
        label: alpha uint8 (h, w).
        jurors: alphas of the same size.

    Returns:
        bool (h, w), True where the label is safe.
    """
    around = np.ones((2 * _REACH + 1,) * 2, np.uint8)
    slack = np.full_like(label, round(_SLACK * 255))
    found = np.ones(label.shape, np.bool_)
    for juror in jurors:
        low, high = cv2.subtract(cv2.erode(juror, around), slack), cv2.add(cv2.dilate(juror, around), slack)
        found &= (low <= label) & (label <= high)
    return found


def shown(path: Path) -> list[Bytes]:
    """Some frames of 1280x720: a clip's first ones, or a still that drifts."""
    width, height = SIZE
    spare_x, spare_y = DRIFT * LOOKS * 2, DRIFT * LOOKS
    pictures = list(islice(decoded(path), LOOKS if moving(path) else 1))
    frames = []
    for number in range(LOOKS):
        picture = pictures[min(number, len(pictures) - 1)]
        scale = max((width + spare_x) / picture.shape[1], (height + spare_y) / picture.shape[0])
        large = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        y, x = int((large.shape[0] - height - spare_y) * 0.15), (large.shape[1] - width - spare_x) // 2
        if not moving(path):
            y, x = y + number * DRIFT // 2, x + number * DRIFT
        frames.append(np.ascontiguousarray(large[y : y + height, x : x + width]))
    return frames


def run(arguments: list[str]) -> dict[str, Any]:
    """Run the benchmark.

    Raises:
        UnavailableError: the folder holds none of the people that are held out.
    """
    parser = argparse.ArgumentParser("python -m benchmarks people", description=__doc__)
    parser.add_argument("--people", type=Path, required=True, help="a folder with stills of many people, by source")
    parser.add_argument("--mediapipe-python", default="", help="an interpreter that has MediaPipe")
    parser.add_argument("--sheet", type=Path, help="where to write what was seen")
    parser.add_argument("--quick", action="store_true", help="three pictures: does it run at all")
    options = parser.parse_args(arguments)
    chosen = _chosen(options.people)
    if not chosen:
        raise UnavailableError(f"{options.people} holds none of the people that are held out")
    chosen = chosen[:3] if options.quick else chosen
    subjects: list[Subject] = [EngineSubject(EngineSettings(engine="openvino", precision="fp32", downsample_ratio=0.4))]
    subjects += [EngineSubject(EngineSettings(engine="lite", precision="fp32"))]
    jury: list[Subject] = [EngineSubject(EngineSettings(engine="openvino", precision="fp32", downsample_ratio=0.25))]
    if options.mediapipe_python:
        jury += [SelfieSubject(options.mediapipe_python, landscape=each) for each in (False, True)]
    found: dict[str, list[Bytes]] = {}
    heard: list[list[Bytes]] = []
    refusals: dict[str, str] = {}
    with program_threads():
        for subject in (*subjects, *jury):
            try:
                name = subject.open(*SIZE)
                found[name] = [_last(subject, path) for _, path in chosen]
                heard += [found[name]] if subject in jury else []
            except RvmLiveError as error:
                refusals[subject.label] = str(error)
            finally:
                subject.close()
    if not found or subjects[0].label in refusals:
        raise UnavailableError(f"RVM, which stands in for the truth, does not run: {refusals[subjects[0].label]}")
    truth_name, *others = found
    truth = found[truth_name]
    masks = [safe(label, each) for label, *each in zip(truth, *heard, strict=True)] if len(heard) == _JURY else []
    apart = {name: [cv2.absdiff(*each) for each in zip(found[name], truth, strict=True)] for name in others}
    labels = [label for label, _ in chosen]
    rows = [_row(name, labels, each, masks) for name, each in apart.items()]
    each_picture = {
        label: {
            "safe": round(float(masks[number].mean()), 3) if masks else None,
            **{name: round(_error(each[number]), 1) for name, each in apart.items()},
        }
        for number, label in enumerate(labels)
    }
    if options.sheet is not None:
        _sheet(options.sheet, chosen, found)
    size = f"{SIZE[0]}x{SIZE[1]}"
    chart = Chart(("mean", "median"), labels=("what",), unit="MAD, thousandths")
    told = {"frames": LOOKS, "size": size, "truth": truth_name, "refusals": refusals, "each_picture": each_picture}
    return publish("people", COLUMNS, rows, chart=chart, **told)


def _chosen(folder: Path) -> list[tuple[str, Path]]:
    """The pictures held out. Of faces, which differ little, every fourth one."""
    found, faces = [], 0
    for name, path in people(None, folder):
        if split_of(name) != "held-out":
            continue
        if "_emotions_" in name or name.startswith("congress/"):
            faces += 1
            if faces % _EVERY:
                continue
        found.append((name, path))
    return found


def _last(subject: Subject, path: Path) -> Bytes:
    subject.reset()
    alpha = np.zeros(0, np.uint8)
    for number, picture in enumerate(shown(path)):
        _, alpha = subject.matte(Frame(picture, number, 0, number))
    return np.array(alpha)


def _error(apart: Bytes) -> float:
    """Mean of absolute differences, in thousandths of full alpha."""
    return float(apart.mean()) / 255 * 1e3


def _row(name: str, labels: list[str], apart: list[Bytes], masks: list[NDArray[np.bool_]]) -> tuple[Any, ...]:
    errors = [_error(each) for each in apart]
    kinds: dict[str, list[float]] = defaultdict(list)
    for label, value in zip(labels, errors, strict=True):
        kinds[kind_of(label)].append(value)
    by_kind = [round(statistics.mean(kinds[kind]), 1) if kinds[kind] else None for kind in KINDS]
    inside = [_error(each[mask]) for each, mask in zip(apart, masks, strict=False) if mask.any()]
    agreed = [value for value, mask in zip(errors, masks, strict=False) if mask.mean() >= _AGREED]
    count = len(agreed) if masks else None
    return (name, *_told(errors), *by_kind, len(errors), *_told(inside), *_told(agreed), count)


def _told(values: list[float]) -> list[float | None]:
    """Mean, median and worst of the values."""
    if not values:
        return [None] * len(_TOLD)
    return [round(value, 1) for value in (statistics.mean(values), statistics.median(values), max(values))]


def _sheet(path: Path, chosen: list[tuple[str, Path]], found: dict[str, list[Bytes]]) -> None:
    """Write the contact sheet: each picture, and each engine's composite of it over green."""
    rows = []
    for number, (name, still) in enumerate(chosen):
        picture = shown(still)[-1]
        cells = [picture]
        for alphas in found.values():
            weight = cv2.cvtColor(alphas[number], cv2.COLOR_GRAY2BGR)
            green = cv2.multiply(np.full_like(picture, (60, 200, 60)), 255 - weight, scale=1 / 255)
            cells.append(cv2.add(cv2.multiply(picture, weight, scale=1 / 255), green))
        small = [cv2.resize(cell, (224, 126), interpolation=cv2.INTER_AREA) for cell in cells]
        cv2.putText(small[0], name, (3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.35, (255, 255, 255), 1, cv2.LINE_AA)
        rows.append(np.hstack(small))
    rows += [np.zeros_like(rows[0])] * (len(rows) % 2)
    half = len(rows) // 2
    cv2.imwrite(str(path), np.hstack([np.vstack(rows[:half]), np.vstack(rows[half:])]))
