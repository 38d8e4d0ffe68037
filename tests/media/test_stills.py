"""Still and animated pictures: upright, complete, in their own colours, and without messages from the libraries."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from rvm_live.backgrounds.base import Plate
from rvm_live.backgrounds.image import ImageBackground
from rvm_live.backgrounds.parse import parse
from rvm_live.backgrounds.video import VideoBackground
from rvm_live.core.arrays import Bytes
from rvm_live.core.errors import BackgroundError, SourceUnavailableError
from rvm_live.core.settings import SourceSettings
from rvm_live.media.ffmpeg import open_file
from rvm_live.media.image_files import read_encoded
from rvm_live.media.stills import decode
from rvm_live.sources.factory import open_source
from rvm_live.sources.image import ImageSource
from rvm_live.sources.video.video import VideoFileSource
from tests.support.avif_files import coded, put_together
from tests.support.program import call

CORNERS = ((20, 40, 220), (40, 200, 40), (220, 60, 30), (200, 200, 200))
"""BGR: top left, top right, bottom left, bottom right."""


def drawn(width: int = 96, height: int = 64) -> Bytes:
    """Four corners in different colours, so that every turn and mirroring can be recognised."""
    image = np.empty((height, width, 3), np.uint8)
    for number, colour in enumerate(CORNERS):
        rows = slice(0, height // 2) if number < 2 else slice(height // 2, None)
        columns = slice(0, width // 2) if number % 2 == 0 else slice(width // 2, None)
        image[rows, columns] = colour
    return image


def corners(image: Bytes) -> list[tuple[int, ...]]:
    height, width = image.shape[:2]
    places = [
        (height // 4, width // 4),
        (height // 4, -width // 4),
        (-height // 4, width // 4),
        (-height // 4, -width // 4),
    ]
    return [tuple(int(value) for value in image[place]) for place in places]


def near(image: Bytes, wanted: Bytes) -> None:
    assert image.shape == wanted.shape
    assert np.abs(np.array(corners(image)) - np.array(corners(wanted))).max() <= 6


def background(path: Path, width: int = 0, height: int = 0) -> Bytes:
    """What the background shows of it, at its own size unless another is given."""
    made = ImageBackground(path, "stretch")
    made.check()
    made.open()
    try:
        if not width:
            height, width = decode(read_encoded(path)).image.shape[:2]
        layer = made.layer(width, height, 0)
    finally:
        made.close()
    assert isinstance(layer, Plate)
    return layer.image


def source(path: Path) -> Bytes:
    made = open_source(SourceSettings(str(path), realtime=False))
    assert isinstance(made, ImageSource)
    try:
        made.open()
        return made.read().image
    finally:
        made.release()


def film(path: Path) -> Bytes:
    """The picture as a batch run reads it."""
    with open_file(path) as container:
        (frame,) = container.decode(video=0)
        image: Bytes = frame.to_ndarray(format="bgr24")
        return image


READERS = pytest.mark.parametrize("read", [background, source, film])


# Orientation


def exif(number: int, order: str = "<", kind: int = 3) -> bytes:
    """EXIF with one entry before the orientation, which is stored as 16 or (kind 4) 32 bits."""
    value = struct.pack(f"{order}H2x" if kind == 3 else f"{order}I", number)
    entries = struct.pack(f"{order}HHII", 0x0100, 4, 1, 77) + struct.pack(f"{order}HHI", 0x0112, kind, 1) + value
    return (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, 2) + entries + bytes(4)


def saved(kind: str, **options: Any) -> bytes:
    made = io.BytesIO()
    Image.fromarray(drawn()[..., ::-1]).save(made, kind, **{"quality": 95, **options})
    return made.getvalue()


def png(chunk: bytes, *, late: bool) -> bytes:
    data = saved("PNG")
    at = data.index(b"IEND") - 4 if late else data.index(b"IDAT") - 4
    whole = struct.pack(">I", len(chunk)) + b"eXIf" + chunk + struct.pack(">I", zlib.crc32(b"eXIf" + chunk))
    return data[:at] + whole + data[at:]


def jpeg(chunk: bytes, *, before: bytes = b"") -> bytes:
    data = saved("JPEG")
    segments = b"".join(b"\xff\xe1" + struct.pack(">H", len(part) + 2) + part for part in (before, chunk) if part)
    return data[:2] + segments + data[2:]


def webp(chunk: bytes) -> bytes:
    """A WebP whose EXIF chunk is inserted by hand: Pillow would drop a prefix."""
    data = saved("WEBP", exif=exif(1), lossless=True)
    body = data[12 : data.index(b"EXIF")] + b"EXIF" + struct.pack("<I", len(chunk)) + chunk + bytes(len(chunk) % 2)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


WAYS: dict[str, tuple[str, Callable[[int], bytes]]] = {
    "jpeg": (".jpg", lambda number: jpeg(b"Exif\0\0" + exif(number))),
    "jpeg, big endian, after XMP": (
        ".JPG",
        lambda number: jpeg(b"Exif\0\0" + exif(number, ">"), before=b"http://ns.adobe.com/xap/1.0/\0<x/>"),
    ),
    "jpeg, 32 bits": (".jfif", lambda number: jpeg(b"Exif\0\0" + exif(number, "<", 4))),
    "png, before the pixels": (".png", lambda number: png(exif(number), late=False)),
    "png, after the pixels": (".png", lambda number: png(exif(number, ">"), late=True)),
    "png, with a prefix": (".png", lambda number: png(b"Exif\0\0" + exif(number), late=True)),
    "webp": (".webp", lambda number: webp(exif(number))),
    "webp, with a prefix": (".webp", lambda number: webp(b"Exif\0\0" + exif(number))),
    "avif": (".avif", lambda number: coded(drawn(), exif=exif(number), subsampling="4:4:4")),
    "tiff": (".tif", lambda number: saved("TIFF", tiffinfo={0x0112: number})),
}


def upright(number: int) -> Bytes:
    """What Pillow makes of it, upright."""
    tagged = io.BytesIO()
    Image.fromarray(drawn()[..., ::-1]).save(tagged, "PNG", exif=exif(number))
    return np.asarray(ImageOps.exif_transpose(Image.open(tagged)))[..., ::-1]


@READERS
@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("way", WAYS)
def test_a_picture_lies_as_it_says(tmp_path: Path, read: Callable[[Path], Bytes], way: str, number: int) -> None:
    suffix, make = WAYS[way]
    path = tmp_path / f"a{suffix}"
    path.write_bytes(make(number))
    near(read(path), upright(number))


@pytest.mark.parametrize(
    "damaged", [b"", b"Exif", b"II*\0\xff\xff\xff\x7f", exif(9), exif(0), exif(6)[:20], b"MM" + bytes(6)]
)
def test_exif_that_makes_no_sense_turns_nothing(tmp_path: Path, damaged: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg(b"Exif\0\0" + damaged))
    (tmp_path / "a.png").write_bytes(png(damaged, late=False))
    near(source(tmp_path / "a.jpg"), drawn())
    near(source(tmp_path / "a.png"), drawn())


def test_exif_in_an_avif_does_not_turn_it_twice(tmp_path: Path) -> None:
    """Its own boxes decide (ISO/IEC 23008-12); programs that rewrite them leave the old EXIF in the file."""
    data = coded(drawn(), exif=exif(6), subsampling="4:4:4")
    assert b"irot" in data
    (tmp_path / "a.avif").write_bytes(data)
    near(background(tmp_path / "a.avif"), upright(6))


@pytest.mark.parametrize("number", [1, 3, 6, 8])
def test_a_film_of_jpegs_with_exif_is_read(tmp_path: Path, number: int) -> None:
    """As cameras write them into AVI: PyAV has no name for the side data next to the rotation."""
    data = jpeg(b"Exif\0\0" + exif(number))
    with av.open(str(tmp_path / "camera.avi"), "w") as container:
        stream: Any = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuvj420p"
        for at in range(3):
            packet = av.Packet(data)
            packet.pts, packet.dts, packet.time_base, packet.stream = at, at, Fraction(1, 10), stream
            container.mux(packet)
    found = open_source(SourceSettings(str(tmp_path / "camera.avi"), realtime=False))
    found.open()
    near(found.read().image, upright(number))
    found.release()


# AVIF


def quartered() -> list[bytes]:
    image = drawn(256, 128)
    tiles = [image[:64, :128], image[:64, 128:], image[64:, :128], image[64:, 128:]]
    return [coded(tile, subsampling="4:4:4") for tile in tiles]


@READERS
def test_a_tiled_avif_is_shown_whole(tmp_path: Path, read: Callable[[Path], Bytes]) -> None:
    path = tmp_path / "a.avif"
    path.write_bytes(put_together(quartered(), 2, (240, 120)))  # the last tiles reach beyond the edge
    image = read(path)
    assert image.shape == (120, 240, 3)
    near(image, drawn(240, 120))


@READERS
def test_a_tiled_avif_is_turned_and_mirrored_as_a_whole(tmp_path: Path, read: Callable[[Path], Bytes]) -> None:
    path = tmp_path / "a.avif"
    turned = struct.pack(">I4sB", 9, b"irot", 1) + struct.pack(">I4sB", 9, b"imir", 0)
    path.write_bytes(put_together(quartered(), 2, (256, 128), turned=turned))
    near(read(path), np.ascontiguousarray(np.flipud(np.rot90(drawn(256, 128)))))


def test_tiles_that_are_not_there_or_too_many_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = put_together(quartered(), 2, (256, 128))
    at = whole.index(b"dimg") + 6
    for number, broken in enumerate((struct.pack(">H", 3), struct.pack(">H", 5))):  # of the four tiles
        (tmp_path / f"{number}.avif").write_bytes(whole[:at] + broken + whole[at + 2 :])
        with pytest.raises(BackgroundError, match="is damaged"):
            background(tmp_path / f"{number}.avif", 64, 64)
    (tmp_path / "a.avif").write_bytes(whole)
    encoded = read_encoded(tmp_path / "a.avif")
    monkeypatch.setattr("rvm_live.media.stills.MOST_PIXELS", 16_000)
    with pytest.raises(ValueError, match="is damaged"):
        decode(encoded)


@READERS
@pytest.mark.parametrize("told", ["limited", "full"])
def test_a_grey_avif_has_its_black_and_white(tmp_path: Path, read: Callable[[Path], Bytes], told: str) -> None:
    ramp = np.repeat(np.linspace(0, 255, 8).round().astype(np.uint8), 16)[None].repeat(64, axis=0)
    path = tmp_path / "a.avif"
    path.write_bytes(coded(ramp, range=told, quality=100))
    shown = read(path)[32, 8::16].astype(int)
    assert np.abs(shown - ramp[0, 8::16, None]).max() <= 3


def test_an_hdr_avif_is_tone_mapped_and_told(tmp_path: Path) -> None:
    flat = np.full((64, 64, 3), 148, np.uint8)  # PQ of about 203 cd/m2
    path = tmp_path / "sky.avif"
    path.write_bytes(coded(flat, quality=100, subsampling="4:4:4"))
    dark = int(background(path)[32, 32, 0])
    data = path.read_bytes()
    at = data.index(b"nclx") + 4
    path.write_bytes(data[:at] + struct.pack(">HH", 9, 16) + data[at + 4 :])
    made = ImageBackground(path)
    made.open()
    layer = made.layer(64, 64, 0)
    made.close()
    assert isinstance(layer, Plate)
    assert dark <= 150 and 225 <= layer.image[32, 32].min() <= layer.image[32, 32].max() <= 235
    assert made.told == "the background image sky.avif is HDR (PQ, BT.2020), tone-mapped to BT.709"
    still = ImageSource(SourceSettings(str(path), realtime=False))
    assert still.open().notes == ("sky.avif is HDR (PQ, BT.2020), tone-mapped to BT.709",)
    still.release()


# Animations


FRAMES = [(200, 40, 40), (40, 200, 40), (40, 40, 200)]


def animation(path: Path, lengths: tuple[int, ...] = (200, 300, 1500)) -> Path:
    """Three pictures of one colour each, shown for the given milliseconds."""
    pictures = [Image.fromarray(np.full((48, 64, 3), colour, np.uint8)) for colour in FRAMES]
    lossless = {"lossless": True} if path.suffix == ".webp" else {"quality": 100, "subsampling": "4:4:4"}
    options = {} if path.suffix == ".png" else lossless
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=list(lengths), **options)
    return path


MOVING = pytest.mark.parametrize("suffix", [".png", ".webp", ".avif"])


@MOVING
def test_an_animation_is_a_film_of_all_its_pictures(tmp_path: Path, suffix: str) -> None:
    path = animation(tmp_path / f"a{suffix}")
    found = open_source(SourceSettings(str(path), realtime=False))
    assert isinstance(found, VideoFileSource)
    try:
        info = found.open()
        grabs = [found.read() for _ in FRAMES]
    finally:
        found.release()
    assert (info.width, info.height) == (64, 48)
    for grab, colour, when in zip(grabs, FRAMES, (0, 200, 500), strict=True):
        assert np.abs(grab.image.astype(int) - colour[::-1]).max() <= 4
        assert grab.media_ns == when * 1_000_000


@MOVING
def test_an_animation_as_a_background_moves(tmp_path: Path, suffix: str) -> None:
    path = animation(tmp_path / f"a{suffix}")
    (found,) = parse(str(path))
    (again,) = parse(str(tmp_path))
    assert isinstance(found, VideoBackground) and isinstance(again, VideoBackground)
    found.exact = True
    found.open()
    try:
        for milliseconds, colour in ((0, 0), (199, 0), (201, 1), (501, 2), (1990, 2), (2010, 0), (2210, 1)):
            layer = found.layer(64, 48, milliseconds * 1_000_000)
            assert isinstance(layer, Plate)
            assert np.abs(layer.image.astype(int) - FRAMES[colour][::-1]).max() <= 4, milliseconds
    finally:
        found.close()


@MOVING
def test_the_first_picture_of_an_animation_can_be_had_as_an_image(tmp_path: Path, suffix: str) -> None:
    (found,) = parse(f"image:{animation(tmp_path / f'a{suffix}')}")
    assert isinstance(found, ImageBackground)
    found.open()
    layer = found.layer(64, 48, 0)
    found.close()
    assert isinstance(layer, Plate)
    assert np.abs(layer.image.astype(int) - FRAMES[0][::-1]).max() <= 4


@pytest.mark.parametrize("suffix", [".png", ".webp", ".avif", ".jpg"])
def test_a_still_picture_stays_one(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(drawn()).save(path)
    (found,) = parse(str(path))
    assert isinstance(found, ImageBackground)
    assert isinstance(open_source(SourceSettings(str(path))), ImageSource)


def test_pictures_of_an_animation_that_are_over_at_once_are_seen(tmp_path: Path) -> None:
    """As browsers show them."""
    path = animation(tmp_path / "a.webp", (0, 5, 40))
    with open_file(path) as container:
        assert [frame.pts * frame.time_base for frame in container.decode(video=0)] == pytest.approx([0, 0.1, 0.2])


def test_an_animation_that_would_fill_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = animation(tmp_path / "a.webp")
    monkeypatch.setattr("rvm_live.media.stills._MOST_MOVING", 2 * 64 * 48)
    monkeypatch.setattr("rvm_live.media.stills._AT_ONCE", 1)
    with pytest.raises(ValueError, match="has more than 2 pictures of 64 x 48: make a video of it"):
        open_file(path)


def test_a_long_animation_is_decoded_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = animation(tmp_path / "a.webp")
    monkeypatch.setattr("rvm_live.media.stills._AT_ONCE", 2 * 64 * 48)
    with open_file(path) as container:
        assert len(list(container.decode(video=0))) == 3


def test_a_batch_takes_tiles_turns_and_animations(tmp_path: Path) -> None:
    (tmp_path / "tiled.avif").write_bytes(put_together(quartered(), 2, (256, 128)))
    (tmp_path / "turned.png").write_bytes(png(exif(6), late=True))
    animation(tmp_path / "moving.webp")
    names = ("tiled.avif", "turned.png", "moving.webp")
    half = ("--engine", "tests.support.engines:LeftHalfEngine")
    done = call("batch", *half, *(tmp_path / name for name in names), "-o", tmp_path / "out", "--container", "mkv")
    assert done.code == 0, done.err + done.out
    seen = []
    for name in names:
        with open_file(tmp_path / "out" / f"output_{Path(name).stem}.mkv") as container:
            frames = list(container.decode(video=0))
        seen.append((frames[0].width, frames[0].height, len(frames)))
    assert seen == [(256, 128, 1), (64, 96, 1), (64, 48, 3)]


# Small and damaged pictures


@READERS
@pytest.mark.parametrize("size", [(1, 1), (4, 1080), (1080, 4), (7, 9), (2, 3)])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp"])
def test_a_side_of_less_than_eight_pixels(
    tmp_path: Path, read: Callable[[Path], Bytes], size: tuple[int, int], suffix: str
) -> None:
    path = tmp_path / f"a{suffix}"
    cv2.imwrite(str(path), np.full((size[1], size[0], 3), (30, 60, 200), np.uint8))
    image = read(path)
    assert image.shape == (size[1], size[0], 3)
    assert np.abs(image.astype(int) - (30, 60, 200)).max() <= 6


@pytest.mark.parametrize("size", [(1, 1), (4, 1080)])
@pytest.mark.parametrize("fit", ["cover", "contain", "stretch"])
def test_a_narrow_background_fills_its_frame(tmp_path: Path, size: tuple[int, int], fit: str) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.full((size[1], size[0], 3), 90, np.uint8))
    (found,) = parse(f"image:{path}?fit={fit}")
    found.open()
    layer = found.layer(320, 180, 0)
    found.close()
    assert isinstance(layer, Plate)
    assert layer.image.shape == (180, 320, 3) and layer.image[90].max(axis=0).tolist() == [90, 90, 90]


def broken_png() -> bytes:
    data = bytearray(saved("PNG"))
    data[data.index(b"IDAT") + 20] ^= 255
    return bytes(data)


def noisy_jpeg() -> bytes:
    """It can be decoded, but libjpeg prints a warning."""
    data = saved("JPEG")
    return data[:-2] + b"\0\0\0" + data[-2:]


def cut_jpeg() -> bytes:
    return jpeg(b"")[: len(jpeg(b"")) * 2 // 3]


def talkative_png() -> bytes:
    """A profile about which libpng prints a warning."""
    chunk = b"iCCP" + b"x\0\0" + zlib.compress(b"nothing of a profile")
    at = saved("PNG").index(b"IDAT") - 4
    return (
        saved("PNG")[:at]
        + struct.pack(">I", len(chunk) - 4)
        + chunk
        + struct.pack(">I", zlib.crc32(chunk))
        + saved("PNG")[at:]
    )


@pytest.mark.parametrize("make", [broken_png, noisy_jpeg, cut_jpeg, talkative_png])
def test_libraries_do_not_speak_for_themselves(
    tmp_path: Path, make: Callable[[], bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"a.{'jpg' if 'jpeg' in make.__name__ else 'png'}"
    path.write_bytes(make())
    told = []
    for read in (background, source, film):
        try:
            read(path)
        except (BackgroundError, SourceUnavailableError, ValueError) as error:
            told.append(str(error))
    written = capfd.readouterr()
    assert (written.out, written.err) == ("", "")
    assert len(told) in (0, 3) and all(str(path) in line or line.startswith("is ") for line in told)


def test_what_others_write_meanwhile_is_not_lost(capfd: pytest.CaptureFixture[str]) -> None:
    from rvm_live.media.stills import _hushed

    with _hushed():
        os.write(2, b"libpng warning: iCCP: known incorrect sRGB profile\na notice that counts\n")
        os.write(2, b"Corrupt JPEG data: 3 extraneous bytes before marker 0xd9\n")
    os.write(2, b"and one after it\n")
    assert capfd.readouterr().err == "a notice that counts\nand one after it\n"
