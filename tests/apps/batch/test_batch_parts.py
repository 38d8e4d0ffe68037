"""Parts of films: their start and end, with sound, subtitles, chapters and time codes; and lists of parts."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from rvm_live.apps.batch.cuts import cuts_of, read_cuts
from rvm_live.apps.batch.spans import Mark, Span
from rvm_live.core.errors import SettingsError
from rvm_live.media.timecode import Timecode
from tests.support.movies import inside, make_movie, names, pictures
from tests.support.program import call
from tests.support.scenes_with_sound import FLASH_S, Track, beep_of, flash_of, make_scene, text_of, with_subtitles
from tests.support.videos import make_video

PASS = ("--engine", "tests.support.engines:PassThroughEngine", "--background", "color:#000000")


def work(*arguments: str | Path) -> dict[str, Any]:
    """Run the program; returns the event of the last file."""
    done = call("batch", *PASS, *arguments, "--json")
    assert done.code == 0, done.out + done.err
    event: dict[str, Any] = json.loads(done.out.splitlines()[-1])
    return event


# Which pictures


@pytest.mark.parametrize(
    ("start", "end", "frames"),
    [
        ("10", "20", range(10, 20)),
        ("10f", None, range(10, 48)),
        (None, "1s", range(24)),
        ("0.5s", "00:00:01.5", range(12, 36)),
        ("00:00:00:12", "00:00:01:12", range(12, 36)),
        ("0:01", "47", range(24, 47)),
        ("47", "48", range(47, 48)),
    ],
)
def test_these_pictures_are_taken_and_no_others(
    tmp_path: Path, start: str | None, end: str | None, frames: range
) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=48)
    asked = [*(["--start", start] if start else []), *(["--end", end] if end else [])]
    event = work(clip, "-o", tmp_path / "out", "--container", "mkv", *asked)
    work(clip, "-o", tmp_path / "whole", "--container", "mkv")
    assert event["frames"] == len(frames)
    ours, theirs = (pictures(tmp_path / each / "output_clip.mkv", "bgr24") for each in ("out", "whole"))
    assert len(ours) == len(frames)
    for one, number in zip(ours, frames, strict=True):
        assert np.array_equal(one, theirs[number]), number
    times = inside(tmp_path / "out" / "output_clip.mkv").times
    assert [float(each) for each in times] == pytest.approx([number / 24 for number in range(len(frames))], abs=1e-3)


def test_parts_that_touch_share_no_picture_and_leave_none_out(tmp_path: Path) -> None:
    times = [0.0, 0.05, 0.31, 0.35, 1.2, 1.21, 2.0]
    clip = make_video(tmp_path / "vfr.mkv", frames=len(times), times=times)
    found: list[float] = []
    for number, (start, end) in enumerate([("0s", "0.35s"), ("0.35s", "1.205s"), ("1.205s", None)]):
        out = tmp_path / str(number)
        work(clip, "-o", out, "--start", start, *(["--end", end] if end else []))
        part = inside(out / "output_vfr.mp4").times
        found += [float(each) + times[len(found)] for each in part]
    assert found == pytest.approx(times, abs=1e-6)


# What accompanies the picture


@pytest.mark.parametrize(
    ("name", "codec", "container", "start"),
    [
        ("a.mp4", "aac", "mp4", 0.0),
        ("a.mov", "pcm_s16le", "mov", 0.0),
        ("a.mkv", "flac", "mkv", 3.0),
        ("a.mkv", "libopus", "webm", 0.0),
        ("a.mp4", "aac", "webm", 0.0),
        ("a.ts", "aac", "mp4", 7.0),
        ("a.mov", "pcm_s16le", "mp4", 0.0),
    ],
)
def test_the_tone_stays_with_its_flash(tmp_path: Path, name: str, codec: str, container: str, start: float) -> None:
    rate = 48_000
    clip = make_scene(tmp_path / name, tracks=(Track(codec, rate),), start=start)
    video = () if container == "webm" else ("--codec", "h264")
    work(clip, "-o", tmp_path / "out", "--container", container, *video, "--start", "0.28s", "--end", "1.0s")
    made = tmp_path / "out" / f"output_a.{container}"
    assert flash_of(made) == pytest.approx(FLASH_S - 0.28, abs=2e-3)
    assert beep_of(made) == pytest.approx(flash_of(made), abs=0.012)
    told = inside(made)
    assert len(told.times) == 18
    with av.open(str(made)) as file:
        stream = file.streams.audio[0]
        sound = [p for p in file.demux(stream) if p.size]
    packet = 0.09
    assert -packet < float(sound[0].pts * sound[0].time_base) < packet
    end = float(max(p.pts + (p.duration or 0) for p in sound) * sound[0].time_base)
    assert 0.72 - packet < end < 0.72 + packet


def test_subtitles_chapters_and_time_code_follow(tmp_path: Path) -> None:
    def prepare(out: Any, picture: Any) -> None:
        picture.metadata["timecode"] = "01:02:03:04"
        out.set_chapters(
            [
                {"id": number, "start": start, "end": end, "time_base": Fraction(1, 1000), "metadata": {"title": title}}
                for number, (start, end, title) in enumerate(
                    [(0, 200, "one"), (200, 800, "two"), (800, 1200, "three")], 1
                )
            ]
        )

    film = make_scene(tmp_path / "film.mp4", prepare=prepare)
    clip = with_subtitles(make_scene(tmp_path / "plain.mp4"), tmp_path / "a.mp4", "mov_text")
    work(film, "-o", tmp_path / "out", "--start", "10", "--end", "25", "--codec", "h264", "--container", "mov")
    work(clip, "-o", tmp_path / "out", "--start", "10", "--end", "25", "--codec", "h264", "--container", "mov")
    with av.open(str(tmp_path / "out" / "output_film.mov")) as made:
        assert made.streams.video[0].metadata["timecode"] == "01:02:03:14"
        told = [(float(e["start"] * e["time_base"]), float(e["end"] * e["time_base"])) for e in made.chapters()]
        assert np.ravel(told) == pytest.approx([0.0, 0.4, 0.4, 0.6], abs=2e-3)
    first, second = text_of(tmp_path / "out" / "output_a.mov")
    assert (*first[:2], *second[:2]) == pytest.approx((0.0, 0.1, 0.3, 0.6), abs=0.03)


def test_a_part_of_the_films_own_time_code(tmp_path: Path) -> None:
    def prepare(out: Any, picture: Any) -> None:
        picture.metadata["timecode"] = "23:59:59:20"

    film = make_scene(tmp_path / "a.mov", prepare=prepare)
    assert work(film, "-o", tmp_path / "one", "--start", "23:59:59:22", "--end", "00:00:00:05")["frames"] == 8
    for wrong, words in [("01:00:00:00", "is before the start of a.mov"), ("23:59:59;22", "write : before the frames")]:
        done = call("batch", *PASS, film, "-o", tmp_path / "two", "--start", wrong)
        assert done.code == 1
        assert words in done.out + done.err
        assert names(tmp_path / "two") == ["log_output_a.txt"]


@pytest.mark.parametrize(
    ("text", "nominal", "count"),
    [
        ("00:00:59;29", 30, 1799),
        ("00:01:00;02", 30, 1800),
        ("00:10:00;00", 30, 17982),
        ("01:00:00;00", 30, 107892),
        ("00:01:00;04", 60, 3600),
        ("00:01:00:00", 30, 1800),
        ("10:11:12:24", 25, 916_824),
    ],
)
def test_time_codes_count_as_smpte_has_it(text: str, nominal: int, count: int) -> None:
    code = Timecode.parse(text)
    assert code is not None
    assert code.count(nominal) == count
    assert str(Timecode.of(count, nominal, drop=code.drop)) == text


def test_every_drop_frame_number_of_an_hour_comes_back() -> None:
    seen = [Timecode.of(count, 30, drop=True) for count in range(107_892)]
    assert [code.count(30) for code in seen] == list(range(107_892))
    assert len(set(seen)) == len(seen)
    assert not any(code.seconds == 0 and code.frames < 2 and code.minutes % 10 for code in seen)


# Warming up, continuing, being recognised


def test_the_network_has_seen_the_frames_before(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=48, size=(32, 32))
    for start, chunk, seen in (("0", 8, 0), ("10", 8, 8), ("18", 8, 16), ("40", 5, 25)):
        out = tmp_path / start
        asked = ("--engine", "tests.support.engines:CountingEngine", "--write", "alpha", "--container", "png")
        done = call(
            "batch", *asked, clip, "-o", out, "--start", start, "--end", str(int(start) + 2), "--seq-chunk", str(chunk)
        )
        assert done.code == 0, done.out + done.err
        (first, second) = sorted((out / "output_clip_alpha").glob("*.png"))
        assert (first.name, second.name) == ("000000.png", "000001.png")
        assert pictures(first, "gray")[0][0, 0] == 10 * (seen % 24)


@pytest.mark.slow
def test_a_part_that_was_stopped_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=24 * 5, size=(640, 384))
    asked = ("--engine", "tests.support.engines:RememberingEngine", "--background", "color:#000000", "--segment", "1")
    asked = (*asked, "--seq-chunk", "6", "--start", "15", "--end", "100", "--write", "composite,alpha")
    assert call("batch", clip, "-o", tmp_path / "whole", *asked).code == 0
    patch = pytest.MonkeyPatch()
    with patch.context() as one:
        from rvm_live.apps.batch.segments import Segments

        done_, count = Segments.done, [0]

        def done(self: Segments, track: str, number: int, pts: list[int]) -> None:
            count[0] += 1
            if count[0] > 4:
                raise OSError("the disk is full")
            done_(self, track, number, pts)

        one.setattr(Segments, "done", done)
        assert call("batch", clip, "-o", tmp_path / "cut", *asked).code == 1
    told = call("batch", clip, "-o", tmp_path / "cut", *asked, "--resume")
    assert told.code == 0, told.out + told.err
    assert "continued at frame 48" in told.out
    for name in ("output_clip.mp4", "output_clip_alpha.mp4"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_another_part_is_another_output(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=24)
    out = tmp_path / "out"
    work(clip, "-o", out, "--start", "2", "--end", "8")
    assert work(clip, "-o", out, "--start", "2f", "--end", "8f")["state"] == "kept"
    done = call("batch", *PASS, clip, "-o", out, "--start", "3", "--end", "8")
    assert done.code == 1
    assert "made from another part" in done.out + done.err
    done = call("batch", *PASS, clip, "-o", out)
    assert "made from another part" in done.out + done.err


def test_a_row_of_pictures_has_parts_too(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=12)
    work(clip, "-o", tmp_path / "row", "--container", "png", "--write", "composite")
    row = tmp_path / "row" / "output_clip"
    work(row, "-o", tmp_path / "out", "--start", "0.16s", "--end", "8", "--container", "png")
    made = sorted((tmp_path / "out" / "output_output_clip").glob("*.png"))
    assert len(made) == 4
    for number, path in enumerate(made, 4):
        assert np.array_equal(pictures(path, "bgr24")[0], pictures(row / f"{number:06d}.png", "bgr24")[0])


# What is refused


@pytest.mark.parametrize(
    "asked",
    [
        ("--start", "soon"),
        ("--start", "-5"),
        ("--start", "1.5"),
        ("--start", "00:61:00.0"),
        ("--start", "00:00:00:99999"),
        ("--start", "9" * 400),
        ("--start", "20", "--end", "20"),
        ("--start", "2s", "--end", "00:00:01.5"),
        ("--start", "00:00:02:00", "--end", "00:00:01:24"),
        ("--end", "0"),
        ("--end", "0s"),
        ("--start", "1", "--cuts", "list.csv"),
        ("--cuts", "list.csv"),
    ],
)
def test_nonsense_is_refused_in_one_line_before_anything_is_there(tmp_path: Path, asked: tuple[str, ...]) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=2)
    done = call("batch", *PASS, clip, "-o", tmp_path / "out", *asked)
    assert done.code == 2, done.out + done.err
    assert len(done.err.strip().splitlines()) == 1, done.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (("--start", "24"), "is after the end of clip.mp4, which has 24 frames"),
        (("--start", "5s"), "is after the end"),
        (("--start", "12", "--end", "0.25s"), "contains no frame from 12f to 0.25s"),
        (("--start", "00:00:00:24"), "a second has 24 frames"),
        (("--start", "00:01:00;00"), "write :"),
    ],
)
def test_what_does_not_lie_in_a_film_fails_that_film_alone(tmp_path: Path, asked: tuple[str, ...], words: str) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=24)
    done = call("batch", *PASS, clip, "-o", tmp_path / "out", *asked)
    assert done.code == 1
    assert words in done.out + done.err
    assert names(tmp_path / "out") == ["log_output_clip.txt"]


def test_an_end_behind_the_films_end_is_told(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=24)
    told = work(clip, "-o", tmp_path / "one", "--end", "9s")
    assert any("the film ends after 1.000 s" in note for note in told["notes"])
    assert told["frames"] == 24
    assert not work(clip, "-o", tmp_path / "two", "--end", "1s")["notes"]
    assert not work(clip, "-o", tmp_path / "three", "--end", "24")["notes"]


# Lists


EDL = """TITLE: An interview
FCM: NON-DROP FRAME

001  AX       V     C        00:00:00:05 00:00:00:10 01:00:00:00 01:00:00:05
* FROM CLIP NAME: clip.mp4

002  TAPE     A     C        00:00:00:00 00:00:00:20 01:00:00:05 01:00:01:01
003  AX       V     C        00:00:00:12 00:00:00:12 01:00:00:05 01:00:00:05
003  AX       V     D    006 00:00:00:14 00:00:00:20 01:00:00:05 01:00:00:11
* FROM CLIP NAME: other.mov
* TO CLIP NAME: clip.mp4
004  BL       V     C        00:00:00:00 00:00:01:00 01:00:00:11 01:00:01:11
005  AX       B     C        00:00:00:01 00:00:00:04 01:00:01:11 01:00:01:14
* FROM CLIP NAME: other.mov
M2   AX       048.0                00:00:00:01
"""


def test_an_edit_list_makes_a_file_of_each_event_of_the_picture(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=24)
    other = make_movie(tmp_path / "other.mov", frames=12, codec="mpeg4", fps=25)
    edl = tmp_path / "cut.edl"
    edl.write_text(EDL)
    work(clip, other, "-o", tmp_path / "out", "--cuts", edl, "--container", "mkv")
    films = [name for name in names(tmp_path / "out") if name.endswith(".mkv")]
    assert films == ["output_clip-01.mkv", "output_clip-02.mkv", "output_other.mkv"]
    whole = pictures(clip, "bgr24")
    for name, frames in ((films[0], range(5, 10)), (films[1], range(14, 20))):
        made = pictures(tmp_path / "out" / name, "bgr24")
        assert len(made) == len(frames)
        for one, number in zip(made, frames, strict=True):
            assert np.abs(one.astype(int) - whole[number]).mean() < 1.5, number
    assert len(pictures(tmp_path / "out" / films[2], "gray")) == 3


def test_a_csv_list_names_its_parts(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=24)
    (tmp_path / "list.csv").write_text("Start;End;Name\n0;5;the beginning\n0.5s;;../../end\n10;12;\n")
    assert call("batch", *PASS, clip, "--cuts", tmp_path / "list.csv").code == 0
    films = [name for name in names(tmp_path) if "cutout" in name]
    assert films == ["_.._end.cutout.mp4", "clip-03.cutout.mp4", "the beginning.cutout.mp4"]
    assert [len(pictures(tmp_path / name, "gray")) for name in films] == [12, 2, 5]
    again = call("batch", *PASS, *tmp_path.glob("*.mp4"), "--cuts", tmp_path / "list.csv", "--json")
    assert [json.loads(line)["state"] for line in again.out.splitlines() if '"file"' in line] == ["kept"] * 3


def test_parts_go_to_the_films_that_the_list_names(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("file,start,end\nA.mp4,1,2\nb,3,4\n,5,6\n")
    one, other = cuts_of(read_cuts(path), path, ["a.mp4", "B.mov"])
    assert [str(span.start) for span in one] == ["1f", "5f"]
    assert [span.name for span in other] == ["B-01", "B-02"]
    path.write_text("file,start\nnone.mp4,1\n")
    with pytest.raises(SettingsError, match=r"names none of these films, only none\.mp4"):
        cuts_of(read_cuts(path), path, ["a.mp4", "b.mp4"])
    assert len(cuts_of(read_cuts(path), path, ["a.mp4"])[0]) == 1


def test_dropped_frames_are_of_the_list_where_it_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.EDL"
    path.write_text("FCM: DROP FRAME\n1 AX V C 01:00:00:00 01:00:01:00 00:00:00:00 00:00:01:00\n")
    (cut,) = read_cuts(path)
    assert cut.span == Span(Mark(code=Timecode(1, 0, 0, 0, True)), Mark(code=Timecode(1, 0, 1, 0, True)))


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.csv", b"", "names no part"),
        ("a.csv", b"start,end\n", "names no part"),
        ("a.csv", b"begin,end\n1,2\n", "line 1: the first line must be a header"),
        ("a.csv", b"start,start\n1,2\n", "header"),
        ("a.csv", b"start,end\n1,2,3\n", "line 2: it has 3 fields"),
        ("a.csv", b"start,end\n5,2\n", "line 2: the end 2f must be after the start 5f"),
        ("a.csv", b"start,end\nsoon,2\n", "line 2: the start 'soon' cannot be read"),
        ("a.csv", b"\0" * 100, "is not a list of cuts"),
        ("a.csv", b"start\n" + b"1\n" * 10_001, "10000 at most"),
        ("a.csv", b"start\n" + b'"' + b"1" * 200_000, "field larger than field limit"),
        ("a.csv", b"x" * (5 << 20), "of at most 4 MB"),
        ("a.edl", b"TITLE: x\n", "names no part"),
        ("a.edl", b"001 AX V C 00:00:05:00 00:00:01:00 00:00:00:00 00:00:01:00\n", "line 1: the end 00:00:01:00"),
        ("a.edl", b"001 AX V C 00:00:05:00 00:00:06:00\n", "line 1: '001 AX V C"),
        ("a.edl", b"001 AX V C 00:00:05:00 00:99:06:00 00:00:00:00 00:00:01:00\n", "cannot be read"),
        ("a.edl", b"001 " * 10_000, "a line of 39999 characters"),
        ("a.edl", "﻿\r\r\n\x85".encode(), "names no part"),
    ],
)
def test_a_bad_list_is_refused_in_one_line(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(SettingsError, match=re.escape(words)) as told:
        read_cuts(path)
    assert len(str(told.value).splitlines()) == 1


def test_a_still_and_one_file_for_several_parts_are_refused(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=4)
    cv2.imwrite(str(tmp_path / "photo.png"), np.zeros((32, 32, 3), np.uint8))
    (tmp_path / "list.csv").write_text("start,end\n0,1\n2,3\n")
    for asked, words in (
        ((tmp_path / "photo.png", "--start", "1"), "photo.png is one picture"),
        ((clip, "-o", tmp_path / "cut.mp4", "--cuts", tmp_path / "list.csv"), "there are 2 parts: name a folder"),
    ):
        done = call("batch", *PASS, *asked)
        assert done.code == 2
        assert words in done.err
