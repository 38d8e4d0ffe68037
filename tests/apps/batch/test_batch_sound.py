"""Everything in a file except its picture must reach the output: sound of every kind, in step; subtitles, titles and
marks."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from rvm_live.apps.batch.sound import Encoded
from rvm_live.sources.video.video import VideoFileSource
from tests.support.program import call
from tests.support.scenes_with_sound import (
    FLASH_S,
    Track,
    beep_of,
    beeps_of,
    flash_of,
    flashes_of,
    make_scene,
    sound_frames,
    text_of,
    with_subtitles,
)

ALL = ("--engine", "tests.support.engines:PassThroughEngine", "--background", "color:#000000")
LENGTH_S = 1.2


def worked(clip: Path, out: Path, container: str, *more: str) -> tuple[Path, str]:
    """Where the output is, and what the program said."""
    codec = () if container == "webm" else ("--codec", "h264")
    done = call("batch", *ALL, clip, "-o", out, "--container", container, *codec, *more)
    assert done.code == 0, done.out + done.err
    return out / f"output_{clip.stem}.{container}", done.out


def sound_of(path: Path) -> list[tuple[str, int, str]]:
    """Codec, rate and layout of each track."""
    with av.open(str(path)) as file:
        return [
            (each.codec_context.codec.canonical_name, each.codec_context.sample_rate, each.codec_context.layout.name)
            for each in file.streams.audio
        ]


def seconds_of(path: Path, track: int = 0) -> float:
    """Duration of the sound that can be decoded, seconds."""
    return sum(frame.samples / frame.sample_rate for frame in sound_frames(path, track))


# Sound that a container or an encoder does not take as it is


@pytest.mark.parametrize(
    ("name", "track", "format", "container", "becomes"),
    [
        ("a.avi", Track("pcm_s16le"), None, "mp4", ("aac", 48_000, "stereo")),  # without a layout
        ("a.mkv", Track("pcm_s16le", layout="5.1"), None, "webm", ("opus", 48_000, "5.1")),
        ("a.mxf", Track("pcm_s16le", layout="mono"), None, "mp4", ("aac", 48_000, "mono")),
        ("a.asf", Track("wmav2", 44_100), None, "mp4", ("aac", 44_100, "stereo")),
        ("a.asf", Track("wmav2", 44_100), None, "webm", ("opus", 48_000, "stereo")),
        ("a.mkv", Track("ac3", layout="5.1(side)"), None, "webm", ("opus", 48_000, "5.1")),
        ("a.mov", Track("pcm_s16le", 192_000), None, "mp4", ("aac", 96_000, "stereo")),
        ("a.mov", Track("pcm_s24le", 192_000, "mono"), None, "webm", ("opus", 48_000, "mono")),
        ("a.mkv", Track("pcm_s16le", 10_000, "mono"), None, "mp4", ("aac", 11_025, "mono")),
        ("a.mkv", Track("libmp3lame", 8_000, "mono"), None, "mp4", ("aac", 8_000, "mono")),
        ("a.mkv", Track("libmp3lame", 11_025, "mono"), None, "mp4", ("aac", 11_025, "mono")),
        ("a.mkv", Track("libmp3lame", 16_000, "mono"), None, "mp4", ("mp3", 16_000, "mono")),
        ("a.mov", Track("pcm_mulaw", 8_000, "mono"), None, "mkv", ("pcm_s16le", 8_000, "mono")),
        ("a.m2ts", Track("pcm_bluray", layout="stereo"), "mpegts", "mov", ("pcm_s16le", 48_000, "stereo")),
        ("a.m2ts", Track("pcm_bluray", layout="5.1(side)"), "mpegts", "mkv", ("pcm_s16le", 48_000, "5.1(side)")),
        ("a.vob", Track("pcm_dvd"), "vob", "mkv", ("pcm_s16le", 48_000, "stereo")),
        ("a.vob", Track("pcm_dvd"), "vob", "mp4", ("aac", 48_000, "stereo")),
        ("a.mkv", Track("pcm_s16le", layout="hexadecagonal"), None, "mp4", ("aac", 48_000, "stereo")),
        ("a.mkv", Track("pcm_s16le", packet=20), None, "mp4", ("aac", 48_000, "stereo")),  # many in one millisecond
        ("a.mkv", Track("pcm_s16le", packet=20), None, "mov", ("pcm_s16le", 48_000, "stereo")),
        ("a.avi", Track("adpcm_ima_wav", 44_100), None, "mkv", ("aac", 44_100, "stereo")),
        ("a.mkv", Track("pcm_f32le", 44_100), None, "mov", ("pcm_f32le", 44_100, "stereo")),
    ],
    ids=lambda value: value.codec if isinstance(value, Track) else value[0] if isinstance(value, tuple) else None,
)
@pytest.mark.few(8)
def test_sound_of_every_kind_arrives_in_step(
    tmp_path: Path, name: str, track: Track, format: str | None, container: str, becomes: tuple[str, int, str]
) -> None:
    codec = "mpeg2video" if name.endswith((".mxf", ".vob")) else "libx264"
    options = {"mpegts_m2ts_mode": "1"} if name.endswith("m2ts") else None
    clip = make_scene(tmp_path / name, tracks=[track], format=format, codec=codec, container=options)
    made, told = worked(clip, tmp_path / "out", container)
    (found,) = sound_of(made)
    assert found == becomes or found == (*becomes[:2], f"{found[2][0]} channels"), told
    before = sound_of(clip)[0][0]
    assert (f"sound track 1: {before} cannot be stored in {container}, encoded as" in told) == (before != becomes[0])
    assert seconds_of(made) == pytest.approx(seconds_of(clip), abs=0.1)
    assert beep_of(made) - flash_of(made) == pytest.approx(0, abs=0.045)


def test_what_no_encoder_takes_is_left_out_and_told(tmp_path: Path) -> None:
    clip = make_scene(tmp_path / "a.mov", tracks=[Track("pcm_s16le", layout="9 channels"), Track()])
    made, told = worked(clip, tmp_path / "out", "mp4")
    assert sound_of(made) == [("aac", 48_000, "stereo")]
    assert "sound track 1: pcm_s16le cannot be stored in mp4, left out" in told
    made, told = worked(clip, tmp_path / "out", "mov")
    assert len(sound_of(made)) == 2


def test_what_becomes_of_the_sound_is_settled_before_the_matting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_scene(tmp_path / "a.mkv", tracks=[Track("ac3", layout="5.1(side)")])
    seen: list[str] = []
    encode, read = Encoded.write, VideoFileSource.open
    monkeypatch.setattr(Encoded, "write", lambda lane, packet: (seen.append("sound"), encode(lane, packet))[1])
    monkeypatch.setattr(VideoFileSource, "open", lambda source: (seen.append("picture"), read(source))[1])
    worked(clip, tmp_path / "out", "webm")
    assert seen.index("sound") < seen.index("picture")


def test_a_track_that_is_empty_does_no_harm(tmp_path: Path) -> None:
    clip = make_scene(tmp_path / "a.mkv", tracks=[Track("ac3", end=0.0), Track()])
    for container in ("mp4", "webm"):
        made, told = worked(clip, tmp_path / "out", container)
        assert "sound track 1: empty, left out" in told
        assert beep_of(made) - flash_of(made) == pytest.approx(0, abs=0.045)


def test_what_the_container_refuses_in_the_end_costs_no_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By then everything is matted."""

    clip = labelled(tmp_path / "a.mkv")
    monkeypatch.setattr("rvm_live.apps.batch.companions.sound_ways", lambda stream, container: [""])
    monkeypatch.setattr("rvm_live.apps.batch.companions._tried", lambda *how: "")
    made, told = worked(clip, tmp_path / "out", "webm")
    assert "the container refuses other streams of the file" in told
    assert "webm cannot store the title, left out" in told
    assert sound_of(made) == []
    assert flash_of(made) == pytest.approx(FLASH_S, abs=0.03)


# Damage


def nonsense(*numbers: int) -> Any:
    return lambda number, data: data[:1] + bytes(len(data) - 1) if number in numbers else data


def missing(first: int, last: int) -> Any:
    return lambda number, data: b"" if first <= number < last else data


@pytest.mark.parametrize("damaged", [(8,), (0,), (3, 4, 5, 30)])
@pytest.mark.parametrize("container", ["mp4", "mkv", "webm"])
def test_damaged_packets_cost_themselves_alone(tmp_path: Path, damaged: tuple[int, ...], container: str) -> None:
    clip = make_scene(tmp_path / "a.ts", tracks=[Track("ac3", spoil=nonsense(*damaged))])
    made, _ = worked(clip, tmp_path / "out", container)
    assert beep_of(made) - flash_of(made) == pytest.approx(beep_of(clip) - flash_of(clip), abs=0.04)
    assert seconds_of(made) > LENGTH_S - 0.04 * (len(damaged) + 1)


def test_a_damaged_adts_frame_is_left_out_and_told(tmp_path: Path) -> None:
    clip = make_scene(tmp_path / "a.ts", tracks=[Track("aac")])
    data = bytearray(clip.read_bytes())
    syncs = [at for at in range(len(data) - 1) if data[at] == 0xFF and data[at + 1] & 0xF6 == 0xF0]
    at = syncs[len(syncs) // 3]
    data[at : at + 7] = bytes(7)
    clip.write_bytes(data)
    for container in ("mp4", "mkv"):
        made, told = worked(clip, tmp_path / "out", container)
        assert "damaged packet" in told
        assert beep_of(made) - flash_of(made) == pytest.approx(beep_of(clip) - flash_of(clip), abs=0.04)
        assert seconds_of(made) > LENGTH_S - 0.3


@pytest.mark.parametrize("container", ["mp4", "mkv", "webm"])
def test_a_hole_in_the_sound_does_not_move_what_comes_after_it(tmp_path: Path, container: str) -> None:
    clip = make_scene(tmp_path / "a.mkv", tracks=[Track("ac3", spoil=missing(4, 10))])
    made, _ = worked(clip, tmp_path / "out", container)
    assert beep_of(made) - flash_of(made) == pytest.approx(0, abs=0.04)


# In step


@pytest.mark.parametrize("container", ["mp4", "mov", "mkv", "webm"])
@pytest.mark.parametrize("lead", [0.0, 0.35, -0.4], ids=["together", "picture first", "sound first"])
@pytest.mark.parametrize(
    ("name", "start"), [("a.mkv", 0.0), ("a.ts", 0.0), ("a.ts", 72_000.0), ("a.mkv", 93_600.0), ("a.mp4", 0.0)]
)
@pytest.mark.few(8)
def test_picture_and_sound_stay_in_step(tmp_path: Path, name: str, start: float, lead: float, container: str) -> None:
    begin = start if lead >= 0 else start - lead  # nothing from before the file's own beginning
    clip = make_scene(tmp_path / name, tracks=[Track(start=lead)], start=begin)
    made, _ = worked(clip, tmp_path / "out", container)
    assert beep_of(made) - flash_of(made) == pytest.approx(0, abs=0.045)
    assert flash_of(made) - FLASH_S == pytest.approx(max(0.0, -lead), abs=0.045), "the file begins at 0"


def test_two_films_put_together_stay_in_step(tmp_path: Path) -> None:
    for number, codec in enumerate(("aac", "ac3")):
        parts = [make_scene(tmp_path / f"{number}{part}.ts", tracks=[Track(codec)]) for part in range(2)]
        clip = tmp_path / f"both{number}.ts"
        clip.write_bytes(b"".join(part.read_bytes() for part in parts))
        made, _ = worked(clip, tmp_path / "out", "mp4")
        flashes, beeps = flashes_of(made), beeps_of(made)
        assert len(flashes) == len(beeps) == 2
        assert beeps == pytest.approx(flashes, abs=0.06)
        assert flashes[1] - flashes[0] == pytest.approx(LENGTH_S, abs=0.1)


def test_stamps_of_sound_that_do_not_increase_are_put_in_order(tmp_path: Path) -> None:
    clip = make_scene(tmp_path / "a.mkv", tracks=[Track("ac3")])
    with av.open(str(clip)) as source, av.open(str(tmp_path / "b.mkv"), "w") as out:
        made = {each.index: out.add_stream_from_template(each, opaque=True) for each in source.streams}
        last = 0
        for number, packet in enumerate(source.demux()):
            if packet.size:
                if packet.stream.type == "audio":
                    if number % 9 == 0:
                        packet.pts = packet.dts = last  # two packets with the same time
                    last = packet.pts
                packet.stream = made[packet.stream.index]
                out.mux(packet)
    made_, told = worked(tmp_path / "b.mkv", tmp_path / "out", "mp4")
    assert "damaged" not in told
    assert beep_of(made_) - flash_of(made_) == pytest.approx(0, abs=0.045)


# Languages, marks, titles, chapters, time code, subtitles


CHAPTERS = [
    {"id": 1, "start": 0, "end": 500, "time_base": Fraction(1, 1000), "metadata": {"title": "one"}},
    {"id": 2, "start": 500, "end": 1200, "time_base": Fraction(1, 1000), "metadata": {"title": "two"}},
]
DATE = "2024-05-01T10:00:00.000000Z"


def labelled(path: Path) -> Path:
    """A film with every kind of metadata."""

    def prepare(out: Any, picture: Any) -> None:
        out.metadata.update({"title": "A walk", "creation_time": DATE, "comment": "by the lake", "location": "+1+2/"})
        picture.metadata["timecode"] = "01:02:03:04"
        out.set_chapters(CHAPTERS)

    tracks = [
        Track(metadata={"language": "ger" if path.suffix == ".mov" else "deu", "title": "Deutsch"}, default=False),
        Track("ac3", metadata={"language": "eng"}, default=True),
    ]
    return make_scene(path, tracks=tracks, prepare=prepare)


def labels_of(path: Path) -> dict[str, Any]:
    """The metadata of a file."""
    with av.open(str(path)) as file:
        tags = {name.lower(): text for name, text in file.metadata.items()}
        picture = {name.lower(): text for name, text in file.streams.video[0].metadata.items()}
        return {
            "title": tags.get("title"),
            "date": tags.get("creation_time"),
            "place": tags.get("location"),
            "timecode": picture.get("timecode"),
            "chapters": [
                (float(each["start"] * each["time_base"]), each["metadata"].get("title")) for each in file.chapters()
            ],
            "sound": [(each.language, bool(each.disposition & 1)) for each in file.streams.audio],
            "subtitles": [(each.codec_context.codec.canonical_name, each.language) for each in file.streams.subtitles],
        }


@pytest.mark.parametrize("source", ["mp4", "mkv", "mov"])
@pytest.mark.parametrize("container", ["mp4", "mov", "mkv", "webm"])
@pytest.mark.few(4)
def test_what_is_written_on_a_file_goes_with_it(tmp_path: Path, source: str, container: str) -> None:
    clip = labelled(tmp_path / f"a.{source}")
    assert labels_of(clip)["chapters"] == [(0.0, "one"), (0.5, "two")]
    made, told = worked(clip, tmp_path / "out", container)
    assert labels_of(made) == {
        "title": "A walk",
        "date": DATE,
        "place": None,
        "timecode": "01:02:03:04",
        "chapters": [(0.0, "one"), (0.5, "two")],
        "sound": [("ger" if "mov" in (source, container) else "deu", False), ("eng", True)],
        "subtitles": [],
    }
    assert "cannot store" not in told


def test_a_film_from_late_at_night_keeps_its_chapters_in_place(tmp_path: Path) -> None:
    def prepare(out: Any, picture: Any) -> None:
        moved = [{**each, "start": each["start"] + 3_600_000, "end": each["end"] + 3_600_000} for each in CHAPTERS]
        out.set_chapters(moved)

    clip = make_scene(tmp_path / "a.mkv", start=3600.0, prepare=prepare)
    made, _ = worked(clip, tmp_path / "out", "mp4")
    assert [start for start, _ in labels_of(made)["chapters"]] == pytest.approx([0.0, 0.5], abs=0.03)


def test_what_a_container_has_no_place_for_is_told(tmp_path: Path) -> None:
    def prepare(out: Any, picture: Any) -> None:
        picture.metadata["timecode"] = "01:02:03:04"

    clip = make_scene(tmp_path / "a.mkv", tracks=[Track(metadata={"language": "de-CH", "title": "Mundart"})],
                      prepare=prepare)  # fmt: skip
    made, told = worked(clip, tmp_path / "out", "mp4")
    assert labels_of(made)["timecode"] == "01:02:03:04"
    assert "mp4 cannot store the language of sound track 1, left out" in told


@pytest.mark.parametrize(
    ("source", "codec"), [("mkv", "subrip"), ("mkv", "ass"), ("mp4", "mov_text"), ("webm", "webvtt")]
)
@pytest.mark.parametrize(
    ("container", "becomes"), [("mp4", "mov_text"), ("mov", "mov_text"), ("mkv", ""), ("webm", "webvtt")]
)
@pytest.mark.few(6)
def test_subtitles_go_along(tmp_path: Path, source: str, codec: str, container: str, becomes: str) -> None:
    how = {"codec": "libvpx", "tracks": [Track("libopus")]} if source == "webm" else {}
    clip = with_subtitles(make_scene(tmp_path / f"film.{source}", **how), tmp_path / f"a.{source}", codec)
    made, told = worked(clip, tmp_path / "out", container)
    becomes = becomes or ("subrip" if codec == "mov_text" else codec)
    assert labels_of(made)["subtitles"] == [(becomes, "ger" if container == "mov" else "deu")]
    first, second = text_of(made)
    assert first[:2] == pytest.approx((0.1, 0.5), abs=0.03)
    assert second[:2] == pytest.approx((0.7, 1.1), abs=0.03)
    assert r"{\i1}" in first[2]
    assert [re.sub(r"{.*?}", "", text) for _, _, text in (first, second)] == ["hello", "two"]
    said = f"subtitle track 1: {codec} cannot be stored in {container}, encoded as {becomes}"
    assert (said in told) == (codec != becomes)


def test_fonts_go_with_their_subtitles_where_there_is_a_place_for_them(tmp_path: Path) -> None:
    clip = make_scene(
        tmp_path / "a.mkv", prepare=lambda out, picture: out.add_attachment("font.ttf", "font/ttf", b"letters")
    )
    made, told = worked(clip, tmp_path / "out", "mkv")
    with av.open(str(made)) as file:
        assert [(each.name, each.mimetype, each.data) for each in file.streams.attachments] == [
            ("font.ttf", "font/ttf", b"letters")
        ]
    assert "attached" not in told
    _, told = worked(clip, tmp_path / "out", "mp4")
    assert "mp4 cannot store attached files (fonts), left out" in told


def test_pictures_of_text_are_copied_or_left_out(tmp_path: Path) -> None:
    clip = make_scene(tmp_path / "film.mkv")
    with av.open(str(clip)) as source, av.open(str(tmp_path / "a.mkv"), "w") as out:
        made = {each.index: out.add_stream_from_template(each, opaque=True) for each in source.streams}
        track = out.add_mux_stream("pgssub")
        track.metadata["language"] = "deu"
        for packet in source.demux():
            if packet.size:
                packet.stream = made[packet.stream.index]
                out.mux(packet)
        for start in (100, 700):
            packet = av.Packet(bytes([0x80, 0, 0]))  # an end of a display set
            packet.pts = packet.dts = start
            packet.duration, packet.time_base, packet.stream = 400, Fraction(1, 1000), track
            out.mux(packet)
    made_, told = worked(tmp_path / "a.mkv", tmp_path / "out", "mkv")
    assert labels_of(made_)["subtitles"] == [("hdmv_pgs_subtitle", "deu")]
    assert "subtitle track" not in told
    for container in ("mp4", "webm"):
        made_, told = worked(tmp_path / "a.mkv", tmp_path / "out", container)
        assert labels_of(made_)["subtitles"] == []
        assert f"subtitle track 1: hdmv_pgs_subtitle cannot be stored in {container}, left out" in told
        assert len(sound_of(made_)) == 1
