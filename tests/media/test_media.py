"""Every reader takes a video file the same way: which picture, its orientation, the shape of its pixels, its times."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from rvm_live.apps.batch.media import facts_of
from rvm_live.backgrounds.base import Plate
from rvm_live.backgrounds.video import VideoBackground
from rvm_live.core.errors import EndOfSource, SourceUnavailableError
from rvm_live.core.settings import SourceSettings
from rvm_live.media.facts import Orientation, reshaped
from rvm_live.media.ffmpeg import opened
from rvm_live.sources.base import Grab
from rvm_live.sources.factory import open_source
from rvm_live.sources.video.video import VideoFileSource
from tests.conftest import ROOT
from tests.support.clock import FakeClock
from tests.support.odd_files import CASES, Tone, card, corners_of, display_matrix, film, number_of
from tests.support.program import call
from tests.support.scenes_with_sound import make_scene

HALF = ("--engine", "tests.support.engines:LeftHalfEngine", "--background", "color:#000000")
MS = 1_000_000


def made(name: str, folder: Path) -> Path:
    """One of the odd files."""
    path = folder / name
    next(each for each in CASES if each.name == name).make(path)
    return path


def read(path: Path, **options: Any) -> list[Grab]:
    source = VideoFileSource(SourceSettings(str(path), realtime=False), **options)
    source.open()
    grabs = []
    try:
        while True:
            grabs.append(source.read())
    except EndOfSource:
        return grabs
    finally:
        source.release()


def times(grabs: Sequence[Grab]) -> list[float]:
    return [(grab.media_ns or 0) / 1e9 for grab in grabs]


def refusal(path: Path) -> str:
    with pytest.raises(SourceUnavailableError) as caught:
        read(path)
    with pytest.raises(SourceUnavailableError) as again:
        facts_of(path)
    assert str(again.value) == str(caught.value)
    return str(caught.value)


def work(clip: Path, out: Path, *options: str) -> Path:
    done = call("batch", *HALF, clip, "-o", out, *options)
    assert done.code == 0, done.out + done.err
    return next(path for path in out.iterdir() if path.name.startswith("output_"))


def recorded(clip: Path, out: Path) -> Path:
    arguments = ("--source", clip, "--headless", "--no-realtime", "--record", out)
    done = call(*HALF, "--background", "color:#c04020", *arguments)
    assert done.code == 0, done.err
    return out


def track(path: Path) -> Any:
    """What the file says about its picture; kept after it is closed."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        told = ("width", "height", "sample_aspect_ratio", "start_time", "duration", "time_base")
        return SimpleNamespace(**{name: getattr(stream, name) for name in told})


def shown_as(path: Path) -> Fraction:
    stream = track(path)
    return Fraction(stream.width, stream.height) * (stream.sample_aspect_ratio or 1)


# ------------------------------------------------------------------------------------------------------ which picture


@pytest.mark.parametrize("name", ["cover_first.mp4", "cover_last.mp4", "cover_jpeg.mp4", "preview.mkv"])
def test_the_film_is_taken_and_not_its_cover_or_preview(tmp_path: Path, name: str) -> None:
    path = made(name, tmp_path)
    assert [number_of(grab.image) for grab in read(path)] == list(range(12))
    facts = facts_of(path)
    assert (facts.width, facts.height, facts.rate) == (96, 64, 10)
    background = VideoBackground(path)
    background.open()
    shown = background.layer(96, 64, 0)
    background.close()
    assert isinstance(shown, Plate) and number_of(shown.image) == 0


def test_the_default_track_goes_before_the_larger_and_that_before_the_first(tmp_path: Path) -> None:
    for default, right in ((0, (48, 32)), (1, (96, 64)), (None, (96, 64))):
        path = tmp_path / f"{default}.mkv"
        with av.open(str(path), "w") as out:
            streams = []
            for number, (width, height) in enumerate([(48, 32), (96, 64), (96, 64)]):
                stream = out.add_stream("mpeg4", rate=10)
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                flag = number == default
                stream.disposition = av.stream.Disposition.default if flag else av.stream.Disposition(0)
                streams.append(stream)
            for number, stream in enumerate(streams):
                picture = card(number, stream.width, stream.height)
                frame = av.VideoFrame.from_ndarray(picture, format="bgr24").reformat(format="yuv420p")
                out.mux(stream.encode(frame))
                out.mux(stream.encode())
        grabs = read(path)
        assert grabs[0].image.shape[1::-1] == right
        assert number_of(grabs[0].image) == (0 if default == 0 else 1)


def test_a_song_with_a_cover_is_no_film(tmp_path: Path) -> None:
    assert "contains no moving picture: sound and a cover" in refusal(made("song.mp3", tmp_path))
    done = call("batch", *HALF, tmp_path / "song.mp3", "-o", tmp_path / "out")
    assert done.code == 1 and "contains no moving picture" in done.out


# --------------------------------------------------------------------------------------------------------- how it lies


@pytest.mark.parametrize("turned", range(8))
def test_every_way_to_lie_is_brought_upright(tmp_path: Path, turned: int) -> None:
    """All eight combinations of quarter turns and mirroring, in files, video backgrounds and batch outputs."""
    x, y = (1, -1)[turned & 1], (1, -1)[turned >> 1 & 1]
    matrix = (0, y, x, 0) if turned & 4 else (x, 0, 0, y)
    path = tmp_path / "a.mp4"
    film(path)
    stored = read(path)[0].image
    display_matrix(path, matrix)
    right = np.swapaxes(stored, 0, 1) if turned & 4 else stored
    right = right[::y, ::x]
    assert np.array_equal(read(path)[0].image, right)
    facts = facts_of(path)
    assert (facts.height, facts.width) == right.shape[:2]
    background = VideoBackground(path)
    background.open()
    shown = background.layer(facts.width, facts.height, 0)
    background.close()
    assert isinstance(shown, Plate) and corners_of(shown.image) == corners_of(np.ascontiguousarray(right))


def test_a_matrix_in_between_is_taken_for_the_nearest() -> None:
    turned = np.array([11585, 56756, 0, -56756, 11585, 0, 0, 0, 1 << 30], np.int32)
    assert Orientation.of_matrix(turned) == Orientation(transposed=True, flipped_x=True)
    assert Orientation.of_matrix(np.array([65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30], np.int32)) == Orientation()


# ------------------------------------------------------------------------------------------- pixels that are not square


@pytest.mark.parametrize("container", ["mp4", "mkv", "mov", "webm"])
def test_outputs_are_seen_in_the_shape_of_their_input(tmp_path: Path, container: str) -> None:
    clip = tmp_path / "wide.mp4"
    film(clip, aspect=Fraction(64, 45), numbers=(0, 1))
    out = work(clip, tmp_path / "out", "--container", container)
    assert shown_as(clip) == Fraction(32, 15)
    assert float(shown_as(out)) == pytest.approx(32 / 15, rel=0.02)
    kept = container in ("mp4", "mov")  # the other containers cannot store it, and get square pixels
    assert (track(out).width, track(out).height) == ((96, 64) if kept else (137 + (container == "webm"), 64))


def test_a_turned_picture_of_wide_pixels_has_high_ones(tmp_path: Path) -> None:
    clip = tmp_path / "wide.mp4"
    film(clip, aspect=Fraction(4, 3), numbers=(0, 1))
    display_matrix(clip, (0, 1, -1, 0))
    assert shown_as(work(clip, tmp_path / "out")) == Fraction(1, 2)


def test_pictures_in_a_folder_have_square_pixels(tmp_path: Path) -> None:
    clip = tmp_path / "wide.mp4"
    film(clip, aspect=Fraction(4, 3), numbers=(0, 1))
    folder = work(clip, tmp_path / "out", "--container", "png")
    with av.open(str(folder / "000001.png")) as picture:
        assert (picture.streams.video[0].width, picture.streams.video[0].height) == (128, 64)


@pytest.mark.parametrize(("aspect", "size"), [(Fraction(64, 45), (137, 64)), (Fraction(8, 9), (96, 72))])
def test_live_pixels_are_square(tmp_path: Path, aspect: Fraction, size: tuple[int, int]) -> None:
    clip = tmp_path / "a.mkv"
    film(clip, aspect=aspect, numbers=(0, 1, 2))
    source = open_source(SourceSettings(str(clip), realtime=False))
    info = source.open()
    grab = source.read()
    source.release()
    assert (info.width, info.height) == grab.image.shape[1::-1] == size
    assert corners_of(grab.image) == "RGBY"
    assert float(shown_as(recorded(clip, tmp_path / "live.mp4"))) == pytest.approx(size[0] / size[1], rel=0.02)


def test_pixels_that_are_next_to_square_stay_as_they_are() -> None:
    assert reshaped((300, 350), Fraction(639, 640)) == (300, 350)
    assert reshaped((720, 576), Fraction(64, 45)) == (1024, 576)
    assert reshaped((720, 480), Fraction(8, 9)) == (720, 540)
    assert reshaped((16_000, 7_000), Fraction(2)) == (16_000, 3_500)  # it would be too large otherwise


@pytest.mark.parametrize("aspect", [Fraction(1, 1000), Fraction(1000)])
def test_pixels_of_a_nonsensical_shape_are_taken_for_square(tmp_path: Path, aspect: Fraction) -> None:
    clip = tmp_path / "a.mkv"
    film(clip, aspect=aspect, numbers=(0,))
    source = open_source(SourceSettings(str(clip), realtime=False))
    assert (source.open().width, source.read().image.shape) == (96, (64, 96, 3))
    source.release()


def test_a_video_background_keeps_its_shape(tmp_path: Path) -> None:
    clip = tmp_path / "a.mkv"
    film(clip, aspect=Fraction(4, 3), numbers=(0, 1))
    background = VideoBackground(clip, "contain")
    background.open()
    shown = background.layer(128, 128, 0)
    background.close()
    assert isinstance(shown, Plate)
    rows = np.flatnonzero(shown.image.max((1, 2)) > 8)
    assert (rows[0], rows[-1]) == (32, 95)  # 96 x 64 of 4:3 is twice as wide as high


def test_a_background_is_not_distorted_by_the_frames_pixels(tmp_path: Path) -> None:
    """A square in the background stays a square where a frame's pixels are twice as wide as high."""
    clip, behind = tmp_path / "a.mp4", tmp_path / "square.png"
    film(clip, aspect=Fraction(2), numbers=(0,))
    plain = np.zeros((64, 192, 3), np.uint8)
    plain[16:48, 144:176] = 255
    behind.write_bytes(_png(plain))
    image = read(work(clip, tmp_path / "out", "--background", str(behind)))[0].image
    white = image[:, 48:].min(2) > 128  # the left half is the person
    rows, columns = np.flatnonzero(white.any(1)), np.flatnonzero(white.any(0))
    assert (len(rows), len(columns)) == (pytest.approx(32, abs=2), pytest.approx(16, abs=2))


def _png(image: np.ndarray[Any, Any]) -> bytes:
    data = io.BytesIO()
    with av.open(data, "w", format="image2pipe") as out:
        stream = out.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = image.shape[1], image.shape[0], "rgb24"
        out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(stream.encode())
    return data.getvalue()


# ------------------------------------------------------------------------------------- what changes in mid-file


def joined(path: Path, *films: dict[str, Any]) -> Path:
    data = b""
    for how in films:
        film(path, format="mpegts", **how)
        data += path.read_bytes()
    path.write_bytes(data)
    return path


def test_another_size_is_fitted_into_the_first_and_told_once(tmp_path: Path) -> None:
    clip = joined(tmp_path / "a.ts", {}, {"size": (64, 64), "start": 1.2}, {"size": (96, 48), "start": 2.4})
    done = call("batch", *HALF, clip, "-o", tmp_path / "out", "--write", "composite,alpha", "--container", "mkv")
    assert done.code == 0, done.out
    assert done.out.count("the size changes") == 1 and "64x64 at frame 12" in done.out
    images = [grab.image for grab in read(tmp_path / "out" / "output_a.mkv")]
    assert len(images) == 36 and {image.shape for image in images} == {(64, 96, 3)}
    later = images[20]
    assert later[:, :14].max() < 8 and later[:, -14:].max() < 8  # bars at both sides
    assert later[:, 20:40].max() > 100
    assert images[30][:6].max() < 8 and images[30][-6:].max() < 8  # and at top and bottom


@pytest.mark.parametrize("interlaced", [False, True])
def test_a_size_that_changes_does_not_end_the_picture(tmp_path: Path, interlaced: bool) -> None:
    options = {"options": {"flags": "+ilme+ildct", "x264opts": "tff=1"} if interlaced else {}}
    clip = joined(tmp_path / "a.ts", options, {**options, "size": (192, 128), "start": 1.2})
    grabs = read(clip)
    assert [grab.image.shape[1::-1] for grab in grabs] == [(96, 64)] * 12 + [(192, 128)] * 12
    assert [number_of(grab.image) for grab in grabs] == [*range(12)] * 2
    assert times(grabs) == pytest.approx([n / 10 for n in range(24)], abs=2e-3)


def test_another_shape_of_pixels_is_brought_to_the_first(tmp_path: Path) -> None:
    clip = joined(tmp_path / "a.ts", {}, {"aspect": Fraction(2), "start": 1.2})
    assert [grab.image.shape[1::-1] for grab in read(clip)][::12] == [(96, 64), (192, 64)]
    assert [grab.image.shape[1::-1] for grab in read(clip, square=True)][::12] == [(96, 64), (192, 64)]
    out = work(clip, tmp_path / "out")
    assert shown_as(out) == Fraction(3, 2)
    assert read(out)[20].image[:14].max() < 30  # bars


# --------------------------------------------------------------------------------------------------------------- times


@pytest.mark.parametrize("name", ["b_frames.avi", "b_frames.mp4", "b_frames.mkv"])
def test_frames_come_in_the_order_in_which_they_are_shown(tmp_path: Path, name: str) -> None:
    grabs = read(made(name, tmp_path))
    assert [number_of(grab.image) for grab in grabs] == list(range(12))
    assert times(grabs) == pytest.approx([n / 10 for n in range(12)], abs=1e-3)
    assert sum(grab.duration_ns or 0 for grab in grabs) == pytest.approx(1.2e9, abs=MS)


@pytest.mark.parametrize("bf", [0, 1, 3])
@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_avi_holds_no_other_time_than_its_order(tmp_path: Path, codec: str, bf: int) -> None:
    clip = tmp_path / "a.avi"
    film(clip, codec=codec, options={"bf": str(bf)}, numbers=range(30), rate=Fraction(25))
    grabs = read(clip)
    assert [number_of(grab.image) for grab in grabs] == list(range(30))
    assert times(grabs) == pytest.approx([n / 25 for n in range(30)], abs=1e-3)


@pytest.mark.parametrize(("start", "suffix"), [(72_000, "ts"), (93_600, "mkv"), (93_600, "ts"), (5, "mp4"), (0, "ts")])
def test_everything_starts_at_0(tmp_path: Path, start: int, suffix: str) -> None:
    clip = tmp_path / f"late.{suffix}"
    film(clip, start=float(start), sound=(Tone(start=float(start)),), numbers=range(6))
    assert times(read(clip)) == pytest.approx([n / 10 for n in range(6)], abs=2e-3)
    with av.open(str(work(clip, tmp_path / "out"))) as container:
        assert float(container.duration or 0) / av.time_base < 1.5
        begins = [float((each.start_time or 0) * each.time_base) for each in container.streams]
    assert begins == pytest.approx([0, 0], abs=0.03)


def test_sound_that_comes_first_stays_before_the_picture(tmp_path: Path) -> None:
    clip = tmp_path / "a.ts"
    film(clip, start=10.5, sound=(Tone(start=10.0),))
    assert times(read(clip))[0] == pytest.approx(0.5, abs=0.03)
    with av.open(str(work(clip, tmp_path / "out"))) as container:
        begins = [float((each.start_time or 0) * each.time_base) for each in container.streams]
    assert begins == pytest.approx([0.5, 0], abs=0.03)


def test_frames_before_0_keep_their_time(tmp_path: Path) -> None:
    clip = tmp_path / "a.mp4"
    b_frames = {"bf": "2", "b_strategy": "0"}
    film(clip, options=b_frames, container={"movflags": "+negative_cts_offsets", "use_editlist": "0"}, sound=(Tone(),))
    data = bytearray(clip.read_bytes())
    at = data.index(b"ctts") + 8
    for entry in range(struct.unpack_from(">I", data, at)[0]):  # every picture half a second earlier
        (offset,) = struct.unpack_from(">i", data, at + 8 + 8 * entry)
        struct.pack_into(">i", data, at + 8 + 8 * entry, offset - track(clip).time_base.denominator // 2)
    clip.write_bytes(data)
    assert track(clip).start_time < 0
    grabs = read(clip)
    assert times(grabs) == pytest.approx([n / 10 for n in range(12)], abs=2e-3)
    with av.open(str(work(clip, tmp_path / "out"))) as container:
        begins = [float((each.start_time or 0) * each.time_base) for each in container.streams]
    assert begins == pytest.approx([0, 0.5], abs=0.03)


@pytest.mark.parametrize("sound", [(), (Tone(),)])
@pytest.mark.parametrize("second", [0.0, 500.0, 90_000.0])
def test_files_put_together_play_one_after_the_other(tmp_path: Path, second: float, sound: tuple[Tone, ...]) -> None:
    beside = tuple(Tone(start=second) for _ in sound)
    clip = joined(tmp_path / "a.ts", {"sound": sound}, {"start": second, "sound": beside})
    grabs = read(clip)
    assert [number_of(grab.image) for grab in grabs] == [*range(12)] * 2
    assert times(grabs) == pytest.approx([n / 10 for n in range(24)], abs=0.08)
    assert times(grabs) == sorted(set(times(grabs)))
    out = work(clip, tmp_path / "out")
    with av.open(str(out)) as container:
        lengths = [float((each.duration or 0) * each.time_base) for each in container.streams]
    assert lengths == pytest.approx([2.4] * (1 + len(sound)), abs=0.1)


def test_a_pause_in_the_stamps_stays(tmp_path: Path) -> None:
    clip = tmp_path / "a.mkv"
    film(clip, times=[0, 0.1, 30.1, 30.2], numbers=range(4))
    assert times(read(clip)) == pytest.approx([0, 0.1, 30.1, 30.2])


def test_the_last_picture_keeps_its_own_time(tmp_path: Path) -> None:
    clip = made("long_last.gif", tmp_path)
    assert read(clip)[-1].duration_ns == 1_000 * MS
    for out in (work(clip, tmp_path / "out"), recorded(clip, tmp_path / "live.mp4")):
        stream = track(out)
        assert float(stream.duration * stream.time_base) == pytest.approx(2.1, abs=0.02)
    with av.open(str(recorded(clip, tmp_path / "live.mkv"))) as container:
        assert (container.duration or 0) / av.time_base == pytest.approx(2.1, abs=0.02)


def test_in_real_time_the_last_picture_is_seen_until_its_end(tmp_path: Path, clock: FakeClock) -> None:
    source = VideoFileSource(SourceSettings(str(made("long_last.gif", tmp_path))), clock)
    source.open()
    began = clock.now_ns()
    for _ in range(12):
        source.read()
    with pytest.raises(EndOfSource):
        source.read()
    source.release()
    assert clock.now_ns() - began == pytest.approx(2_100 * MS, abs=MS)


def test_a_background_picture_that_stands_long_is_seen_to_its_end(tmp_path: Path) -> None:
    """Its container gives each picture a tenth of a second, but the next one comes after two seconds; the viewer is
    late."""
    clip = tmp_path / "a.mkv"
    film(clip, times=[2 * n for n in range(12)])
    background = VideoBackground(clip)
    background.exact = True
    background.open()
    seen = []
    for second in (0.0, 17.0, 17.9, 21.0):
        shown = background.layer(96, 64, round(second * 1e9))
        assert isinstance(shown, Plate)
        seen.append(number_of(shown.image))
    background.close()
    assert seen == [0, 8, 8, 10]


# -------------------------------------------------------------------------------------------------------------- damage


@pytest.mark.parametrize("broken", [1, 15, 27, 28, 29])
def test_a_broken_packet_costs_no_picture_but_its_own(tmp_path: Path, broken: int) -> None:
    """Also near the end, where decoders with several threads still hold other pictures."""

    def spoil(number: int, data: bytes) -> bytes:
        return data[:4] + bytes(len(data) - 4) if number == broken else data

    clip = tmp_path / "a.mkv"
    film(clip, options={"bf": "2", "b_strategy": "0"}, numbers=range(30), spoil=spoil)
    seen = times(read(clip))
    assert len(seen) == 29 and seen == sorted(set(seen))


def test_encrypted_files_are_told_as_such(tmp_path: Path) -> None:
    path = made("encrypted.mp4", tmp_path)
    assert "is encrypted" in refusal(path)
    done = call("--source", path, "--headless", *HALF)
    assert done.code == 2 and "is encrypted" in done.complaint


@pytest.mark.parametrize("size", [188, 192])
def test_a_scrambled_broadcast_is_told_as_such(tmp_path: Path, size: int) -> None:
    clip = tmp_path / "a.ts"
    film(clip, format="mpegts", container={"mpegts_m2ts_mode": str(int(size == 192))}, numbers=range(30))
    data = bytearray(clip.read_bytes())
    noise = np.random.default_rng(0)
    for at in range(size - 188, len(data), size):
        if (data[at + 1] & 0x1F, data[at + 2]) == ((0x01, 0x00) if size == 188 else (0x10, 0x11)):  # the picture
            data[at + 3] |= 0x80
            data[at + 12 : at + 188] = noise.bytes(176)
    clip.write_bytes(data)
    assert "is encrypted" in refusal(clip)


def bomb(path: Path, side: int) -> Path:
    """A PNG of zeros, whatever the name says."""
    packed = zlib.compressobj(1)
    row = bytes(1 + 3 * side)
    data = b"".join(packed.compress(row) for _ in range(side)) + packed.flush()

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b""))
    return path


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no resource module")
def test_a_picture_bomb_is_not_decoded_however_it_is_called(tmp_path: Path) -> None:
    path = bomb(tmp_path / "bomb.mp4", 12_000)
    assert "has 12000 x 12000 pixels: more than 128 megapixels are not decoded" in refusal(path)
    code = (
        "import resource, sys; from rvm_live.media.ffmpeg import open_file\n"
        "def most(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\n"
        "import av; before = most(); open_file(sys.argv[1]); print(most() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], cwd=ROOT, capture_output=True, encoding="utf-8", check=True
    )
    assert int(done.stdout) < 200  # MiB; decoded it takes 412


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_label_that_is_no_text_is_no_reason_to_refuse_the_file(tmp_path: Path, suffix: str) -> None:
    clip = make_scene(
        tmp_path / f"a.{suffix}", prepare=lambda out, picture: out.metadata.update({"title": "caf@ in Oslo"})
    )
    data = clip.read_bytes()
    assert data.count(b"caf@") == 1
    clip.write_bytes(data.replace(b"caf@", b"caf\xe9"))  # Latin-1
    assert len(read(clip)) == 30
    with opened(str(work(clip, tmp_path / "out", "--container", suffix))) as made:
        assert made.metadata["title"].startswith("caf") and made.metadata["title"].endswith(" in Oslo")


def test_files_are_opened_for_reading_in_one_place() -> None:
    """The arguments of ``av.open`` change from version to version."""
    tree = {path: path.read_text() for path in (ROOT / "rvm_live").rglob("*.py") if path.name != "ffmpeg.py"}
    assert not [path for path, text in tree.items() if "metadata_errors" in text]
