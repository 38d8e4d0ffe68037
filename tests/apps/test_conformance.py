"""Files as they come: small ones with one oddity each go through ``rvm-live batch``, and the outputs are checked.

The engine takes everything for the person, so that the output's picture equals the input's. Where ``ffprobe`` is
installed it is the referee: another build of FFmpeg than the one that the program reads and writes with.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.odd_files import CASES, COLOURS, NAMES, Case, corners_of, number_of
from tests.support.program import call

pytestmark = pytest.mark.slow

EVERYTHING = ("--engine", "tests.support.engines:PassThroughEngine", "--background", "color:#000000")


@dataclass(frozen=True)
class Seen:
    """The content of an output: pictures as uint8 (H, W, 3) BGR, and what the referee says of the rest."""

    pictures: list[NDArray[np.uint8]]
    times: list[float]
    seconds: float
    shape: Fraction
    sound: tuple[str, ...]
    languages: tuple[str, ...]
    offset: float | None
    title: str
    tags: dict[str, str]


def look(path: Path) -> Seen:
    """Decode the pictures with PyAV; ask ffprobe, or PyAV where that is missing, for the rest."""
    with av.open(str(path)) as file:
        frames = list(file.decode(video=0))
        matrix = None if frames[0].colorspace != 2 else 1 if frames[0].height >= 720 else 5
        pictures = [
            frame.reformat(format="bgr24", src_colorspace=matrix, interpolation=2 | 0x2000 | 0x40000).to_ndarray()
            for frame in frames
        ]
        times = [float(frame.pts * frame.time_base) for frame in frames]
    told = probe(path)
    video = next(each for each in told["streams"] if each["codec_type"] == "video")
    sound = [each for each in told["streams"] if each["codec_type"] == "audio"]
    aspect = Fraction((video.get("sample_aspect_ratio") or "1:1").replace(":", "/").replace("0/1", "1/1"))
    begins = [float(each["start_time"]) for each in sound]
    return Seen(
        pictures,
        times,
        float(video.get("duration") or told["format"]["duration"]),
        Fraction(video["width"], video["height"]) * aspect,
        tuple(each["codec_name"] for each in sound),
        tuple(each.get("tags", {}).get("language", "") for each in sound),
        begins[0] - float(video["start_time"]) if begins else None,
        told["format"].get("tags", {}).get("title", ""),
        {name: str(value) for name, value in video.items()},
    )


def probe(path: Path) -> dict[str, Any]:
    """``ffprobe``'s answer, or one of the same form from PyAV."""
    if shutil.which("ffprobe"):
        command = ["ffprobe", "-v", "error", "-show_streams", "-show_format", "-of", "json", str(path)]
        told: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        return told
    with av.open(str(path)) as file:
        streams = []
        for each in file.streams:
            facts: dict[str, Any] = {"codec_type": each.type, "tags": dict(each.metadata)}
            facts["start_time"] = float((each.start_time or 0) * each.time_base)
            facts["duration"] = float(each.duration * each.time_base) if each.duration else 0.0
            facts["codec_name"] = each.codec_context.codec.canonical_name
            if each.type == "video":
                facts |= {"width": each.width, "height": each.height}
                facts["sample_aspect_ratio"] = str(each.sample_aspect_ratio or "1/1")
                names = {1: "bt709", 5: "bt470bg", 6: "smpte170m", 9: "bt2020nc", 16: "smpte2084", 18: "arib-std-b67"}
                facts["color_transfer"] = names.get(each.codec_context.color_trc, "unknown")
                facts["color_space"] = names.get(each.codec_context.colorspace, "unknown")
            streams.append(facts)
        duration = (file.duration or 0) / av.time_base
        return {"streams": streams, "format": {"duration": duration, "tags": dict(file.metadata)}}


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_what_comes_out_is_what_went_in(case: Case, tmp_path: Path) -> None:
    clip = tmp_path / case.name
    case.make(clip)
    out = tmp_path / "out"
    done = call("batch", *EVERYTHING, *case.arguments, clip, "-o", out)
    if case.fails:
        assert done.code == 1, done.out
        assert case.fails in done.out
        assert not list(out.glob("*.m*4*"))
        return
    assert done.code == 0, done.out + done.err
    assert case.told in done.out
    made = next(path for path in out.iterdir() if path.stem == f"output_{clip.stem}" and not path.name.startswith("."))
    check(case, look(made))


def check(case: Case, seen: Seen) -> None:
    numbers = [number_of(upright(case, picture)) for picture in seen.pictures]
    if case.frames is None:
        assert len(numbers) >= case.count
        assert numbers == sorted(numbers)
    elif case.corners is not None:
        assert numbers == list(case.frames)
    else:
        assert len(numbers) == len(case.frames)
    if case.times is not None:
        assert seen.times == pytest.approx(list(case.times), abs=2e-3)
    elif case.frames is not None:
        assert seen.times == sorted(set(seen.times))
        assert seen.times[0] == pytest.approx(0, abs=2e-3)
    if case.seconds is not None:
        assert seen.seconds == pytest.approx(case.seconds, abs=0.03)
    assert float(seen.shape) == pytest.approx(float(case.shape), rel=0.04)
    if case.corners is not None:
        assert {corners_of(picture) for picture in seen.pictures} == {case.corners}
        worst = max(distance(picture, case.corners) for picture in seen.pictures)
        assert worst <= case.colours
    if case.sound is not None:
        assert seen.sound == case.sound
    if case.languages:
        assert seen.languages == case.languages
    if case.offset is not None:
        assert seen.offset == pytest.approx(case.offset, abs=0.04)
    assert seen.title == case.title
    for name, value in case.tags:
        assert seen.tags.get(name) == value


def upright(case: Case, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The card as it was drawn, whatever its orientation in the file."""
    for turned in (picture, np.transpose(picture, (1, 0, 2))):
        for rows in (slice(None), slice(None, None, -1)):
            for columns in (slice(None), slice(None, None, -1)):
                view = turned[rows, columns]
                if corners_of(view) == "RGBY":
                    return view
    return picture


def distance(picture: NDArray[np.uint8], corners: str) -> float:
    """How far the corners are from their colours, levels: the largest mean difference of a channel."""
    height, width = picture.shape[:2]
    h, w = height // 8, width // 8
    spots = [(h, w), (h, width - w), (height - h, w), (height - h, width - w)]
    return max(
        float(np.abs(picture[y - 2 : y + 2, x - 2 : x + 2].mean((0, 1)) - COLOURS[name]).max())
        for (y, x), name in zip(spots, corners, strict=True)
    )
