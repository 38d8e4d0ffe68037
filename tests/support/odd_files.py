"""Small files with one oddity each, drawn on the spot, and the right result for each.

Every picture is a card: a colour in each corner (clockwise from the upper left: red, green, blue, yellow), and the
number of the frame in white and black bars between them. So a decoded picture shows which frame it is and how it is
oriented.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

__all__ = ["CASES", "FPS", "FRAMES", "NAMES", "Case", "card", "corners_of", "number_of"]

WIDTH, HEIGHT, FRAMES, FPS = 96, 64, 12, 10
COLOURS = {"R": (40, 40, 200), "G": (40, 200, 40), "B": (200, 40, 40), "Y": (40, 200, 200)}  # BGR
_BITS = 5


def card(number: int, width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    """Frame ``number`` as uint8 (height, width, 3) BGR."""
    image = np.full((height, width, 3), 128, np.uint8)
    h, w = height // 3, width // 3
    image[:h, :w], image[:h, -w:] = COLOURS["R"], COLOURS["G"]
    image[-h:, :w], image[-h:, -w:] = COLOURS["B"], COLOURS["Y"]
    for bit in range(_BITS):
        left = width * (bit + 1) // (_BITS + 2)
        image[h + 2 : height - h - 2, left : width * (bit + 2) // (_BITS + 2)] = 235 if number >> bit & 1 else 20
    return image


def number_of(image: NDArray[np.uint8]) -> int:
    """The number in the middle of an upright card."""
    height, width = image.shape[:2]
    row = image[height // 2 - 2 : height // 2 + 2].mean((0, 2))
    places = [width * (2 * bit + 3) // (2 * (_BITS + 2)) for bit in range(_BITS)]
    return sum(int(row[x - 1 : x + 2].mean() > 128) << bit for bit, x in enumerate(places))


def corners_of(image: NDArray[np.uint8]) -> str:
    """Letters of the colours at the upper left, upper right, lower left and lower right."""
    height, width = image.shape[:2]
    h, w = height // 8, width // 8
    spots = [image[h, w], image[h, -w], image[-h, w], image[-h, -w]]
    return "".join(
        min(COLOURS, key=lambda name: float(np.abs(spot.astype(int) - COLOURS[name]).sum())) for spot in spots
    )


@dataclass(frozen=True)
class Case:
    """One file, and the right result for it.

    Attributes:
        name: the file's name.
        make: writes the file.
        fails: what the one-line error says that refuses it; empty if the file must work.
        frames: numbers of the frames in order; None where only their count is known, from ``count``.
        count: the least number of frames, where damage decides.
        times: seconds at which they are shown; None where they are not defined.
        seconds: length of the picture.
        shape: width by height as displayed.
        corners: as :func:`corners_of`; None where the picture has no card.
        sound: codecs of the sound tracks.
        languages: of the sound tracks, in order.
        title: of the file.
        chapters: how many.
        subtitles: how many tracks.
        offset: seconds by which the sound begins after the picture.
        told: a word of what the program says about it.
        colours: how far a corner's colour may be off, levels.
        arguments: for ``rvm-live batch``.
        tags: of the video: pairs of ffprobe's names and values.
    """

    name: str
    make: Callable[[Path], None]
    fails: str = ""
    frames: Sequence[int] | None = tuple(range(FRAMES))
    count: int = 0
    times: Sequence[float] | None = tuple(n / FPS for n in range(FRAMES))
    seconds: float | None = FRAMES / FPS
    shape: Fraction = Fraction(WIDTH, HEIGHT)
    corners: str | None = "RGBY"
    sound: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    title: str = ""
    chapters: int = 0
    subtitles: int = 0
    offset: float | None = None
    told: str = ""
    colours: int = 6
    arguments: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()


# Writing ------------------------------------------------------------------------------------------------------


@dataclass
class Film:
    """How a film is written; the defaults make an ordinary one."""

    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    size: tuple[int, int] = (WIDTH, HEIGHT)
    rate: Fraction = Fraction(FPS)
    numbers: Sequence[int] = tuple(range(FRAMES))
    times: Sequence[float] | None = None
    start: float = 0.0
    aspect: Fraction | None = None
    options: dict[str, str] = field(default_factory=dict)
    container: dict[str, str] = field(default_factory=dict)
    format: str | None = None
    matrix: int = 5
    colours: dict[str, int] = field(default_factory=dict)
    full: bool = False
    sound: Sequence[Tone] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    spoil: Callable[[int, bytes], bytes] | None = None


@dataclass(frozen=True)
class Tone:
    """A sound track: a sine of 440 Hz."""

    codec: str = "aac"
    rate: int = 48_000
    layout: str = "stereo"
    language: str = ""
    start: float = 0.0
    seconds: float = FRAMES / FPS
    default: bool | None = None


def film(path: Path, **wanted: Any) -> None:
    """Write one film."""
    how = Film(**wanted)
    with av.open(str(path), "w", format=how.format, container_options=how.container) as out:
        out.metadata.update(how.metadata)
        picture = _add_picture(out, how)
        tones = [_add_tone(out, tone) for tone in how.sound]
        for number, packet in enumerate(_pictures(picture, how)):
            if how.spoil is not None:
                spoiled = av.Packet(how.spoil(number, bytes(packet)))
                spoiled.pts, spoiled.dts, spoiled.time_base = packet.pts, packet.dts, packet.time_base
                spoiled.is_keyframe, spoiled.stream, packet = packet.is_keyframe, picture, spoiled
            out.mux(packet)
        for track, tone in zip(tones, how.sound, strict=True):
            _sing(out, track, tone)


def _add_picture(out: Any, how: Film) -> Any:
    stream = out.add_stream(how.codec, rate=how.rate)
    stream.width, stream.height, stream.pix_fmt = *how.size, how.pix_fmt
    defaults = {"libx264": {"crf": "4", "preset": "veryfast", "bf": "0"}, "mpeg4": {"qscale": "1", "qmin": "1"}}
    stream.options = {**defaults.get(how.codec, {}), **how.options}
    if how.codec in ("mpeg4", "mpeg2video", "mjpeg", "wmv2"):
        stream.bit_rate = 4_000_000
    if how.aspect is not None:
        stream.codec_context.sample_aspect_ratio = how.aspect
    for name, code in how.colours.items():
        setattr(stream.codec_context, name, code)
    if how.full:
        stream.codec_context.color_range = 2
    if how.times is not None:
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
    return stream


def _pictures(stream: Any, how: Film) -> Any:
    base = Fraction(1, 1000) if how.times is not None else 1 / how.rate
    for place, number in enumerate(how.numbers):
        frame = av.VideoFrame.from_ndarray(card(number, *how.size), format="bgr24").reformat(
            format=how.pix_fmt,
            dst_colorspace=how.matrix,
            dst_color_range=2 if how.full else 1,
            interpolation=2 | 0x2000 | 0x40000,
        )
        frame.colorspace = how.colours.get("colorspace", 2)
        frame.color_range = 2 if how.full else 1
        seconds = how.start + (place / how.rate if how.times is None else how.times[place])
        frame.pts, frame.time_base = round(Fraction(seconds) / base), base
        yield from stream.encode(frame)
    yield from stream.encode()


def _add_tone(out: Any, tone: Tone) -> Any:
    track = out.add_stream(tone.codec, rate=tone.rate, layout=tone.layout)
    if tone.language:
        track.metadata["language"] = tone.language
    if tone.default is not None:
        track.disposition = av.stream.Disposition.default if tone.default else av.stream.Disposition(0)
    return track


def _sing(out: Any, track: Any, tone: Tone) -> None:
    context = track.codec_context
    size, total = context.frame_size or 1024, int(tone.seconds * tone.rate)
    resampler = av.AudioResampler(context.format, tone.layout, tone.rate)
    for at in range(0, total, size):
        t = np.arange(at, min(at + size, total)) / tone.rate
        wave = (np.sin(2 * np.pi * 440 * t) * 8000).astype(np.int16).reshape(1, -1)
        part = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
        part.sample_rate, part.pts = tone.rate, at + round(tone.start * tone.rate)
        part.time_base = Fraction(1, tone.rate)
        for each in resampler.resample(part):
            out.mux(track.encode(each))
    out.mux(track.encode())


def display_matrix(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Put ``(a, b, c, d)`` into the track header of an MP4's first track: x' = a x + c y, y' = b x + d y."""
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4
    version = data[place]
    at = place + (52 if version else 40)
    a, b, c, d = (value << 16 for value in matrix)
    struct.pack_into(">9i", data, at, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


# The cases ----------------------------------------------------------------------------------------------------

CASES: list[Case] = []


def case(name: str, **right: Any) -> Callable[[Callable[[Path], None]], Callable[[Path], None]]:
    def keep(make: Callable[[Path], None]) -> Callable[[Path], None]:
        CASES.append(Case(name, make, **right))
        return make

    return keep


def drawn(name: str, how: dict[str, Any], **right: Any) -> None:
    """A case that is one film without later changes."""
    CASES.append(Case(name, lambda path: film(path, **how), **right))


# Which picture


def _with_picture(path: Path, *, first: bool, codec: str = "png", film_too: bool = True) -> None:
    """A film with a cover picture; or only its sound, with one."""
    with av.open(str(path), "w") as out:

        def cover() -> Any:
            stream = out.add_stream(codec, rate=1)
            stream.width, stream.height = 32, 32
            stream.pix_fmt = "rgb24" if codec == "png" else "yuvj420p"
            stream.disposition = av.stream.Disposition.attached_pic
            return stream

        how = Film()
        covers = cover() if first else None
        picture = _add_picture(out, how) if film_too else None
        tone = _add_tone(out, Tone("aac" if film_too else "libmp3lame"))
        covers = covers or cover()
        frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 90, np.uint8), format="rgb24")
        frame = frame.reformat(format=covers.pix_fmt)
        frame.pts = 0
        out.mux(covers.encode(frame))
        out.mux(covers.encode())
        if picture is not None:
            for packet in _pictures(picture, how):
                out.mux(packet)
        _sing(out, tone, Tone("aac" if film_too else "libmp3lame"))
    if first:
        _covers_first(path)


def _covers_first(path: Path) -> None:
    """Put an MP4's cover before its tracks, where programs for tags put it, so that the demuxer lists it first."""
    data = path.read_bytes()

    def boxes(start: int, end: int) -> list[tuple[bytes, int, int]]:
        found = []
        while start < end:
            length = int.from_bytes(data[start : start + 4], "big")
            found.append((data[start + 4 : start + 8], start, start + length))
            start += length
        return found

    _, start, end = next(box for box in boxes(0, len(data)) if box[0] == b"moov")
    inner = sorted(boxes(start + 8, end), key=lambda box: (box[0] != b"mvhd", box[0] != b"udta"))
    moov = b"".join(data[at:to] for _, at, to in inner)
    path.write_bytes(data[: start + 8] + moov + data[end:])


CASES += [
    Case("cover_first.mp4", lambda path: _with_picture(path, first=True), sound=("aac",)),
    Case("cover_last.mp4", lambda path: _with_picture(path, first=False), sound=("aac",)),
    Case("cover_jpeg.mp4", lambda path: _with_picture(path, first=True, codec="mjpeg"), sound=("aac",)),
    Case("song.mp3", lambda path: _with_picture(path, first=False, film_too=False), fails="cover"),
]  # fmt: skip


@case("preview.mkv")
def _preview(path: Path) -> None:
    """A small track that is not the default, placed before the one that is."""
    with av.open(str(path), "w") as out:
        small, large = Film(size=(48, 32), numbers=(31,)), Film()
        first, second = _add_picture(out, small), _add_picture(out, large)
        first.disposition, second.disposition = av.stream.Disposition(0), av.stream.Disposition.default
        for packet in [*_pictures(first, small), *_pictures(second, large)]:
            out.mux(packet)


@case("sound_only.mka", fails="no picture")
def _sound_only(path: Path) -> None:
    with av.open(str(path), "w") as out:
        _sing(out, _add_tone(out, Tone()), Tone())


# Orientation

_LIES = {  # matrix (a, b, c, d), the corners as displayed, whether width and height swap
    "turned_90": ((0, 1, -1, 0), "BRYG", True),
    "turned_180": ((-1, 0, 0, -1), "YBGR", False),
    "turned_270": ((0, -1, 1, 0), "GYRB", True),
    "mirrored": ((-1, 0, 0, 1), "GRYB", False),
    "upside_down": ((1, 0, 0, -1), "BYRG", False),
    "transposed": ((0, 1, 1, 0), "RBGY", True),
    "transversed": ((0, -1, -1, 0), "YGBR", True),
}


def _lying(matrix: tuple[int, int, int, int], **how: Any) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        film(path, **how)
        display_matrix(path, matrix)

    return make


for _name, (_matrix, _corners, _turned) in _LIES.items():
    _seen = Fraction(HEIGHT, WIDTH) if _turned else Fraction(WIDTH, HEIGHT)
    CASES.append(Case(f"{_name}.mp4", _lying(_matrix), corners=_corners, shape=_seen))
CASES.append(
    Case("turned_wide.mp4", _lying((0, 1, -1, 0), aspect=Fraction(4, 3)), corners="BRYG", shape=Fraction(1, 2))
)
drawn("wide_pixels.mp4", {"aspect": Fraction(64, 45)}, shape=Fraction(96 * 64, 64 * 45))
drawn("narrow_pixels.mkv", {"aspect": Fraction(8, 9)}, shape=Fraction(96 * 8, 64 * 9))
drawn("pal_wide.mpg", {"codec": "mpeg2video", "aspect": Fraction(32, 27), "rate": Fraction(25)},
      shape=Fraction(16, 9), times=[n / 25 for n in range(FRAMES)], seconds=FRAMES / 25,
      colours=12)  # fmt: skip
drawn("odd_sides.mkv", {"size": (95, 63), "pix_fmt": "yuv444p"}, shape=Fraction(95, 63))
drawn("small.mp4", {"size": (36, 24)}, shape=Fraction(36, 24), colours=16)


@case("larger_later.ts", frames=tuple(range(2 * FRAMES)), times=None, seconds=None, told="size")
def _larger_later(path: Path) -> None:
    _joined(path, {}, {"size": (192, 128), "start": FRAMES / FPS, "numbers": range(FRAMES, 2 * FRAMES)})


@case("smaller_later.ts", frames=tuple(range(2 * FRAMES)), times=None, seconds=None, told="size")
def _smaller_later(path: Path) -> None:
    _joined(path, {}, {"size": (48, 32), "start": FRAMES / FPS, "numbers": range(FRAMES, 2 * FRAMES)})


def _joined(path: Path, *films: dict[str, Any]) -> None:
    """Several transport streams, one after the other."""
    data = b""
    for how in films:
        film(path, format="mpegts", **how)
        data += path.read_bytes()
    path.write_bytes(data)


# Colours

drawn("bt709.mp4", {"matrix": 1, "colours": {"colorspace": 1}})
drawn("bt601.mp4", {"matrix": 5, "colours": {"colorspace": 5}})
drawn("full_range.mp4", {"pix_fmt": "yuvj420p", "full": True})
drawn("all_colours.mp4", {"pix_fmt": "yuv444p"})
drawn("ten_bits.mkv", {"pix_fmt": "yuv420p10le"})
drawn("rgb.mkv", {"codec": "ffv1", "pix_fmt": "bgr0"})
drawn("rgb_planes.mkv", {"codec": "ffv1", "pix_fmt": "gbrp10le"})
drawn("sixteen_bits.mkv", {"codec": "ffv1", "pix_fmt": "yuv444p16le"})
drawn("large_untagged.mp4", {"size": (1280, 720), "matrix": 1, "numbers": (0, 1, 2)}, frames=(0, 1, 2),
      times=(0, 0.1, 0.2), seconds=0.3, shape=Fraction(16, 9))  # fmt: skip
drawn("motion_jpeg.avi", {"codec": "mjpeg", "pix_fmt": "yuvj420p", "full": True}, colours=12)
drawn("grey.mkv", {"codec": "ffv1", "pix_fmt": "gray"}, corners=None)
for _curve, _code in (("pq", 16), ("hlg", 18)):
    drawn(f"{_curve}.mkv", {"pix_fmt": "yuv420p10le", "matrix": 9,
          "colours": {"colorspace": 9, "color_primaries": 9, "color_trc": _code}}, told="HDR",
          tags=(("color_transfer", "bt709"), ("color_space", "bt709")), colours=255)  # fmt: skip


# Times

_B_FRAMES = {"bf": "2", "b_strategy": "0"}
drawn("b_frames.avi", {"options": _B_FRAMES})
drawn("b_frames.mp4", {"options": _B_FRAMES})
drawn("b_frames.mkv", {"options": _B_FRAMES})
drawn("ordinary.ts", {"sound": (Tone("aac"),)}, sound=("aac",), offset=0.0)
drawn("after_20_hours.ts", {"start": 72_000.0, "sound": (Tone("aac", start=72_000.0),)}, sound=("aac",), offset=0.0)
drawn("after_26_hours.mkv", {"start": 93_600.0})
drawn("variable.mkv", {"times": (0, 0.05, 0.31, 0.35, 1.2, 1.21, 2.0, 2.1, 2.2, 2.3, 2.5, 2.9)},
      times=(0, 0.05, 0.31, 0.35, 1.2, 1.21, 2.0, 2.1, 2.2, 2.3, 2.5, 2.9), seconds=None)  # fmt: skip
drawn("film.mp4", {"rate": Fraction(24_000, 1001)}, times=[n * 1001 / 24_000 for n in range(FRAMES)], seconds=None)
drawn("ntsc.mkv", {"rate": Fraction(60_000, 1001)}, times=[n * 1001 / 60_000 for n in range(FRAMES)], seconds=None)
drawn("raw.h264", {"format": "h264"}, times=None, seconds=None)
drawn("long_last.gif", {"codec": "gif", "pix_fmt": "bgr8", "container": {"final_delay": "100"}},
      seconds=(FRAMES - 1) / FPS + 1, colours=40)  # fmt: skip


@case("twice.ts", frames=tuple(range(FRAMES)) * 2, times=[n / FPS for n in range(2 * FRAMES)], seconds=2 * FRAMES / FPS)
def _twice(path: Path) -> None:
    _joined(path, {}, {})


@case("twice_with_sound.ts", frames=tuple(range(FRAMES)) * 2, times=None, seconds=None, sound=("aac",))
def _twice_with_sound(path: Path) -> None:
    _joined(path, {"sound": (Tone(),)}, {"sound": (Tone(),)})


# Sound, and what belongs to it

drawn("pcm.avi", {"codec": "mpeg4", "sound": (Tone("pcm_s16le"),)}, sound=("aac",), offset=0.0)
drawn("pcm.mkv", {"sound": (Tone("pcm_s16le"),)}, sound=("aac",), offset=0.0)
drawn("pcm_192.mov", {"sound": (Tone("pcm_s24le", 192_000),)}, sound=("aac",), arguments=("--container", "mp4"))
drawn("pcm_10.mkv", {"sound": (Tone("pcm_s16le", 10_000, "mono"),)}, sound=("aac",))
drawn("mp3_8.mkv", {"sound": (Tone("libmp3lame", 8_000, "mono"),)}, sound=None)
drawn("mulaw.mov", {"sound": (Tone("pcm_mulaw", 8_000, "mono"),)}, sound=("aac",), arguments=("--container", "mp4"))
drawn(
    "surround.mkv", {"sound": (Tone("ac3", 48_000, "5.1(side)"),)}, sound=("opus",), arguments=("--container", "webm")
)
drawn("latm.ts", {"sound": (Tone("aac"),), "container": {"mpegts_flags": "latm"}}, sound=("aac",))
drawn("bluray.m2ts", {"sound": (Tone("pcm_bluray", 48_000),), "format": "mpegts",
      "container": {"mpegts_m2ts_mode": "1"}}, sound=("aac",))  # fmt: skip
drawn("opus.webm", {"codec": "libvpx-vp9", "sound": (Tone("libopus"),)}, sound=("opus",))
drawn("sound_later.mp4", {"sound": (Tone("aac", start=0.5, seconds=0.7),)}, sound=("aac",), offset=0.5)
drawn("sound_later.ts", {"sound": (Tone("aac", start=0.5, seconds=0.7),)}, sound=("aac",), offset=0.5)
drawn("languages.mkv", {"sound": (Tone(language="deu", default=False), Tone(language="eng", default=True))},
      sound=("aac", "aac"), languages=("deu", "eng"))  # fmt: skip
drawn("titled.mp4", {"metadata": {"title": "A walk"}}, title="A walk")
drawn("titled.mkv", {"metadata": {"title": "A walk"}, "sound": (Tone("ac3"),)}, title="A walk", sound=("ac3",))


# Damage, and what only looks like it


def _nonsense(first: int, last: int) -> Callable[[int, bytes], bytes]:
    def spoil(number: int, data: bytes) -> bytes:
        return bytes(len(data)) if first <= number < last else data

    return spoil


drawn(
    "damaged_middle.mkv", {"options": {"g": "1"}, "spoil": _nonsense(5, 6)}, frames=None, count=FRAMES - 1, times=None
)
drawn("damaged_tail.mkv", {"options": {"g": "1"}, "spoil": _nonsense(FRAMES - 2, FRAMES - 1)}, frames=None,
      count=FRAMES - 1, times=None)  # fmt: skip


@case("cut_short.mp4", frames=None, count=FRAMES // 3, times=None, seconds=None)
def _cut_short(path: Path) -> None:
    film(path, container={"movflags": "faststart"}, options={"g": "1"})
    data = path.read_bytes()
    start = data.index(b"mdat")
    path.write_bytes(data[: start + (len(data) - start) // 2])


drawn("encrypted.mp4", {"container": {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "0" * 32,
      "encryption_kid": "1" * 32}}, fails="encrypted")  # fmt: skip


@case("empty.mp4", fails="empty")
def _empty(path: Path) -> None:
    path.write_bytes(b"")


@case("words.mp4", fails="not a video")
def _words(path: Path) -> None:
    path.write_text("No film, but words.\n" * 100)


NAMES = [each.name for each in CASES]
