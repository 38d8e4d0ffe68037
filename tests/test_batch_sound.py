"""All of a file but its picture on its way into another: sound of every kind, in step, subtitles, titles and marks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import pytest

from rvm_live.batch.sound import Encoded
from rvm_live.sources.video import VideoFileSource
from tests.support.program import call
from tests.support.scenes_with_sound import Track, beep_of, flash_of, make_scene, sound_frames

ALL = ("--engine", "tests.support.engines:PassThroughEngine", "--background", "color:#000000")
LENGTH_S = 1.2


def worked(clip: Path, out: Path, container: str, *more: str) -> tuple[Path, str]:
    """Where the output lies, and what was said."""
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
    """How long the sound is that decodes."""
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
        ("a.mkv", Track("pcm_f32le", 44_100), None, "mov", ("pcm_f32le", 44_100, "stereo")),
    ],
    ids=lambda value: value.codec if isinstance(value, Track) else value[0] if isinstance(value, tuple) else None,
)
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
    assert (f"sound track 1: {before} does not fit into {container}, encoded as" in told) == (before != becomes[0])
    assert seconds_of(made) == pytest.approx(seconds_of(clip), abs=0.1)
    assert beep_of(made) - flash_of(made) == pytest.approx(beep_of(clip) - flash_of(clip), abs=0.03)


def test_what_no_encoder_takes_is_left_out_and_told(tmp_path: Path) -> None:
    clip = make_scene(tmp_path / "a.mov", tracks=[Track("pcm_s16le", layout="9 channels"), Track()])
    made, told = worked(clip, tmp_path / "out", "mp4")
    assert sound_of(made) == [("aac", 48_000, "stereo")]
    assert "sound track 1: pcm_s16le does not fit into mp4, left out" in told
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
