"""Colours of files follow the standards' formulas, in reading and in writing."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from rvm_live.apps.batch.codecs import recipe_for
from rvm_live.backgrounds.base import Plate
from rvm_live.backgrounds.cycle import BackgroundCycle
from rvm_live.backgrounds.video import VideoBackground
from rvm_live.core.notices import Notices
from rvm_live.core.settings import SourceSettings
from rvm_live.media.colour import bgr_of
from rvm_live.media.encoder import Encoder, Recipe
from rvm_live.sources.video.video import VideoFileSource
from tests.support.program import call

Numbers = NDArray[np.float64]

_WEIGHTS = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 9: (0.2627, 0.0593)}
"""Kr and Kb of BT.709, BT.601 and BT.2020, by the matrices' numbers in ISO/IEC 23091-2."""
_SIDE = 16  # pixels of each colour


def _bgr(yuv: Numbers, matrix: int, *, full: bool = False) -> Numbers:
    """The formula: (n, 3) 8-bit Y, Cb, Cr to B, G, R in 0 to 255, clipped."""
    red, blue = _WEIGHTS[matrix]
    luma, cb, cr = (yuv / 255 if full else (yuv - [16, 0, 0]) / [219, 224, 224]).T
    cb, cr = ((cb - 128 / 255), (cr - 128 / 255)) if full else ((cb - 128 / 224), (cr - 128 / 224))
    b, r = luma + 2 * (1 - blue) * cb, luma + 2 * (1 - red) * cr
    return np.clip(np.stack([b, (luma - red * r - blue * b) / (1 - red - blue), r], axis=-1) * 255, 0, 255)


def _yuv(bgr: Numbers, matrix: int) -> Numbers:
    """The inverse formula, limited range."""
    red, blue = _WEIGHTS[matrix]
    b, g, r = (bgr / 255).T
    luma = red * r + (1 - red - blue) * g + blue * b
    return np.stack([16 + 219 * luma, 128 + 112 * (b - luma) / (1 - blue), 128 + 112 * (r - luma) / (1 - red)], axis=-1)


def _drawn(colours: Numbers) -> NDArray[np.uint8]:
    """Squares of each colour, uint8 (h, w, 3), 16 in a row."""
    rows = np.asarray(colours, np.uint8).reshape(-1, 16, 3)
    return rows.repeat(_SIDE, axis=0).repeat(_SIDE, axis=1)


def _centres(image: NDArray[Any]) -> Numbers:
    """The mean of four rows in the middle of each square, in the same order."""
    rows = [image[_SIDE // 2 + k :: _SIDE, _SIDE // 2 :: _SIDE] for k in range(4)]
    return np.mean(rows, axis=0).reshape(-1, *image.shape[2:])


def _mixed() -> Numbers:
    """A ramp of 128 greys and 128 colours that no conversion clips, (256, 3) Y, Cb, Cr."""
    grey = np.stack([np.linspace(16, 235, 128).round(), np.full(128, 128), np.full(128, 128)], axis=-1)
    some = np.random.default_rng(1).integers((80, 104, 104), (176, 152, 152), (128, 3))
    return np.concatenate([grey, some])


def _frame(yuv: Numbers, kind: str, matrix: int, *, full: bool = False) -> Any:
    """A frame of that pixel format with these 8-bit values."""
    planes = np.moveaxis(_drawn(yuv), -1, 0)
    frame: Any = av.VideoFrame.from_ndarray(np.ascontiguousarray(planes), format="yuv444p")
    frame.color_range = 2 if full or "j" in kind else 1
    if frame.color_range == 2 and kind != "yuv444p":  # as bytes: the formats with a j are full range by name
        frame = frame.reformat(format="yuvj444p")
    frame = frame.reformat(format=kind)
    frame.colorspace, frame.color_range = matrix, 2 if full or "j" in kind else 1
    return frame


def _film(path: Path, yuv: Numbers, matrix: int) -> Path:
    """A file whose pictures hold exactly these values: FFV1 is lossless."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=10)
        frame = _frame(yuv, "yuv420p", matrix)
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, 1
        for _ in range(2):
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _read(path: Path, *, realtime: bool) -> NDArray[np.uint8]:
    source = VideoFileSource(SourceSettings(str(path), realtime=realtime))
    try:
        source.open()
        return source.read().image
    finally:
        source.release()


def _behind(path: Path, *, exact: bool) -> NDArray[np.uint8]:
    background = VideoBackground(path, "stretch")
    background.exact = exact
    background.open()
    try:
        layer = background.layer(256, 256, 0)
    finally:
        background.close()
    assert isinstance(layer, Plate)
    return layer.image


@pytest.mark.parametrize("matrix", [1, 5])
@pytest.mark.parametrize("background", [False, True], ids=["source", "background"])
@pytest.mark.parametrize("exact", [True, False], ids=["file", "live"])
def test_a_file_is_read_in_its_own_colours(tmp_path: Path, background: bool, exact: bool, matrix: int) -> None:
    """In live video the fast conversion is off by up to two levels, but what it rounds down is put back on average."""
    film = _film(tmp_path / "a.mkv", _mixed(), matrix)
    read = _behind(film, exact=exact) if background else _read(film, realtime=not exact)
    error = _centres(read) - _bgr(_mixed(), matrix)
    assert np.abs(error.mean(axis=0)).max() <= 0.2
    assert np.abs(error).max() <= (1 if exact else 2)


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("matrix", [1, 5, 9])
@pytest.mark.parametrize(
    "kind",
    [
        "yuv420p", "yuvj420p", "nv12", "yuv422p", "yuvj422p", "yuyv422", "yuv444p", "yuva420p",
        "yuv420p10le", "p010le", "yuv422p10le", "yuva444p10le", "yuv420p12le", "yuv411p",
    ],
)  # fmt: skip
def test_every_layout_of_pixels_is_converted_by_the_formula(kind: str, matrix: int, exact: bool) -> None:
    frame = _frame(_mixed(), kind, matrix)
    image = bgr_of(frame, exact=exact)
    assert image.dtype == np.uint8 and image.shape == (256, 256, 3) and image.flags.c_contiguous
    error = _centres(image) - _bgr(_mixed(), matrix, full="j" in kind)
    assert np.abs(error.mean(axis=0)).max() <= 0.2
    assert np.abs(error).max() <= (1 if exact else 2)


@pytest.mark.parametrize("size", [(512, 512), (128, 128), (250, 130)])
def test_scaling_adds_no_bias(size: tuple[int, int]) -> None:
    flat = np.tile([[120.0, 100, 150]], (256, 1))
    image = bgr_of(_frame(flat, "yuv420p", 1), size, exact=False)
    assert image.shape == (size[1], size[0], 3)
    assert np.abs(image - _bgr(flat, 1)[0]).max() <= 0.6


@pytest.mark.parametrize("kind", ["bgr24", "rgb24", "gbrp", "bgra", "gray", "gbrp10le"])
def test_pixels_that_are_bgr_already_stay_as_they_are(kind: str) -> None:
    grey = np.arange(256)[:, None].repeat(3, axis=1).astype(float)
    colours = grey if kind == "gray" else np.random.default_rng(2).integers(0, 256, (256, 3)).astype(float)
    frame: Any = av.VideoFrame.from_ndarray(_drawn(colours), format="bgr24")
    if kind != "gray":
        frame = frame.reformat(format=kind)
    else:
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(_drawn(colours)[..., 0]), format="gray")
    assert (_centres(bgr_of(frame)) == colours).all()


@pytest.mark.parametrize("kind", ["gray", "gray10le"])
@pytest.mark.parametrize("told", [0, 1, 2])
def test_a_grey_file_is_as_bright_as_it_says(tmp_path: Path, kind: str, told: int) -> None:
    """Black is 16 and white 235 only where the file says so; grey pictures that say nothing have 0 and 255."""
    ramp = np.ascontiguousarray(_drawn(np.arange(256)[:, None].repeat(3, axis=1))[..., 0])
    samples, most = (ramp, 255) if kind == "gray" else (ramp.astype(np.uint16) * 4, 1023)
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 256, 256, kind
        stream.codec_context.color_range = told
        container.mux(stream.encode(av.VideoFrame.from_ndarray(samples, format=kind)))
        container.mux(stream.encode())
    full = np.arange(256) * (255 * (1 if kind == "gray" else 4) / most)
    wanted = full if told != 1 else np.clip((np.arange(256) - 16) * 255 / 219, 0, 255)
    shown = _centres(_read(tmp_path / "a.mkv", realtime=False))
    assert np.abs(shown - wanted[:, None]).max() <= (0.6 if kind == "gray" else 1.2)


@pytest.mark.parametrize("kind", ["yuv420p", "yuv444p10le", "yuv422p10le"])
def test_a_file_is_written_in_the_pictures_colours(tmp_path: Path, kind: str) -> None:
    colours = np.concatenate([np.arange(0, 256, 2)[:, None].repeat(3, axis=1), _bgr(_mixed()[128:], 1)]).round()
    encoder = Encoder(
        tmp_path / "a.mkv",
        Recipe("matroska", "ffv1", kind),
        (256, 256, 3),
        rate=Fraction(10),
        time_base=Fraction(1, 1000),
    )
    encoder.add(_drawn(colours), 0)
    encoder.flush()
    encoder.close()
    with av.open(str(tmp_path / "a.mkv")) as container:
        frame: Any = next(container.decode(video=0))
    assert (frame.colorspace, frame.color_range) == (1, 1)
    luma, cb, cr = (_values(plane, kind) for plane in frame.planes)
    error = luma[_SIDE // 2 :: _SIDE, _SIDE // 2 :: _SIDE].ravel() - _yuv(colours, 1)[:, 0]
    assert abs(error.mean()) <= 0.1 and np.abs(error).max() <= 0.6
    for plane, wanted in ((cb, _yuv(colours, 1)[:, 1]), (cr, _yuv(colours, 1)[:, 2])):
        down, across = _SIDE * plane.shape[0] // 256, _SIDE * plane.shape[1] // 256
        error = plane[down // 2 :: down, across // 2 :: across].ravel() - wanted
        assert abs(error.mean()) <= 0.1 and np.abs(error).max() <= 0.6
    back = _centres(bgr_of(frame)) - colours  # 8-bit Y, Cb, Cr are coarser than 8-bit B, G, R
    assert np.abs(back.mean(axis=0)).max() <= 0.2


@pytest.mark.parametrize(
    ("container", "codec"), [("mp4", "h264"), ("mp4", "hevc"), ("mp4", "av1"), ("mov", "prores"), ("webm", "vp9")]
)
def test_whoever_asks_hears_bt709(tmp_path: Path, container: str, codec: str) -> None:
    """The file and every picture in it are marked. ProRes has the mark in each picture, where it overrides the
    file's."""
    recipe, _ = recipe_for(container, codec)
    encoder = Encoder(
        tmp_path / "a", replace(recipe, muxer=container), (64, 64, 3), rate=Fraction(10), time_base=Fraction(1, 1000)
    )
    for number in range(3):
        encoder.add(np.full((64, 64, 3), 90, np.uint8), 100 * number)
    encoder.flush()
    encoder.close()
    with av.open(str(tmp_path / "a")) as opened:
        context: Any = opened.streams.video[0].codec_context
        frames: list[Any] = list(opened.decode(video=0))
    assert len(frames) == 3
    for told in (context, *frames):
        assert (told.color_primaries, told.color_trc, told.colorspace, told.color_range) == (1, 1, 1, 1)


def _values(plane: Any, kind: str) -> Numbers:
    deep = "10" in kind
    values = np.frombuffer(plane, np.uint16 if deep else np.uint8).reshape(plane.height, -1)[:, : plane.width]
    return values / (4.0 if deep else 1.0)


_FROM_BT709 = {  # linear light, the inverse of ITU-R BT.2087, and the same for Display P3
    9: np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]),
    12: np.array([[0.8225, 0.1774, 0.0], [0.0332, 0.9669, 0.0], [0.0171, 0.0724, 0.9108]]),
}
_PQ, _HLG = 16, 18
_WHITE = 203.0  # cd/m2, HDR's reference white (ITU-R BT.2408)


def _pq_value(light: Numbers) -> Numbers:
    power = (light / 10_000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)


def _hlg_value(light: Numbers) -> Numbers:
    """The signal that a camera would send for this light on a display of 1000 cd/m2."""
    shown = light / 1000
    luminance = np.maximum(shown @ [0.2627, 0.6780, 0.0593], 1e-9)[:, None]
    scene = shown * luminance ** (1 / 1.2 - 1)
    return np.where(
        scene <= 1 / 12, np.sqrt(3 * scene), 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    )


def _other(light: Numbers, curve: int, gamut: int) -> Any:
    """A 10-bit frame of squares with these lights, (256, 3) RGB in BT.709's primaries; 1 is reference white."""
    there = np.maximum(light @ _FROM_BT709[gamut].T, 0)
    if curve == _PQ:
        rgb = _pq_value(there * _WHITE)
    elif curve == _HLG:
        rgb = _hlg_value(there * _WHITE)
    else:
        rgb = there ** (1 / 2.4)
    matrix = 9 if gamut == 9 else 1
    values = np.round(_yuv(rgb[:, ::-1] * 255, matrix) * 4).astype(np.uint16)
    frame: Any = av.VideoFrame(256, 256, "yuv444p10le")
    for plane, drawn in zip(frame.planes, values.reshape(16, 16, 3).transpose(2, 0, 1), strict=True):
        assert plane.line_size == 512
        plane.update(drawn.repeat(_SIDE, axis=0).repeat(_SIDE, axis=1).tobytes())
    frame.colorspace, frame.color_range, frame.color_trc, frame.color_primaries = matrix, 1, curve, gamut
    return frame


def _sdr_colours(most: float) -> Numbers:
    """Greys and moderate colours, (256, 3) RGB of BT.709's signal, 0 to 255."""
    grey = np.linspace(0, most, 128)[:, None].repeat(3, axis=1)
    return np.concatenate([grey, np.random.default_rng(3).uniform(0.4 * most, most, (128, 3))])


@pytest.mark.parametrize("curve", [_PQ, _HLG])
def test_hdr_shows_what_an_sdr_camera_would_have_shown(curve: int) -> None:
    colours = _sdr_colours(183)  # 92 cd/m2: brighter light is compressed
    error = _centres(bgr_of(_other((colours / 255) ** 2.4, curve, 9)))[:, ::-1] - colours
    assert np.abs(error.mean(axis=0)).max() <= 0.5
    assert np.percentile(np.abs(error), 99) <= 2 and np.abs(error).max() <= 6  # in a channel that is nearly black


@pytest.mark.parametrize("curve", [_PQ, _HLG])
def test_hdr_keeps_its_lights_apart(curve: int) -> None:
    light = np.linspace(0, 1000 / _WHITE, 256)[:, None].repeat(3, axis=1)
    shown = _centres(bgr_of(_other(light, curve, 9)))
    assert (np.diff(shown[:, 1]) >= -0.01).all()
    assert shown[0].max() == 0 and shown[-1].min() >= 254
    white = shown[np.abs(light[:, 0] - 1).argmin()]
    assert white.min() >= 225 and white.max() <= 235
    assert np.ptp(shown, axis=1).max() <= 1, "a grey stays grey"


def test_hdr_that_is_brighter_than_a_display_is_white_and_no_colour_turns_over() -> None:
    bright = np.concatenate([np.full((128, 3), 10_000 / _WHITE), np.tile([40.0, 0.0, 0.0], (128, 1))])
    shown = _centres(bgr_of(_other(bright, _PQ, 9)))
    assert shown[:128].min() >= 254
    blue, green, red = shown[200]
    assert red >= 250 and max(blue, green) <= 30


@pytest.mark.parametrize("gamut", [9, 12])
def test_wide_colours_are_brought_into_bt709(gamut: int) -> None:
    colours = _sdr_colours(250)
    error = _centres(bgr_of(_other((colours / 255) ** 2.4, 1, gamut)))[:, ::-1] - colours
    assert np.abs(error.mean(axis=0)).max() <= 0.3 and np.abs(error).max() <= 3


def test_a_bt2020_picture_without_a_matrix_takes_bt2020s() -> None:
    frame = _other((_sdr_colours(150) / 255) ** 2.4, _HLG, 9)
    told = bgr_of(frame)
    frame.colorspace = 2
    assert (bgr_of(frame) == told).all()


def test_tone_mapping_leaves_the_frame_as_it_was() -> None:
    """The result is the same twice, for a frame that needs no other conversion first, at two sizes in turn."""
    frame: Any = _other((_sdr_colours(150) / 255) ** 2.4, _PQ, 9).reformat(format="gbrp16le")
    frame.pts = 7
    first, small = bgr_of(frame), bgr_of(frame, (128, 128))
    assert (bgr_of(frame) == first).all() and (bgr_of(frame, (128, 128)) == small).all()
    assert (frame.pts, frame.color_trc, frame.color_primaries) == (7, _PQ, 9)


def _hdr_film(path: Path, curve: int, colour: tuple[int, int, int]) -> Path:
    """A short 10-bit film of one colour, RGB, as a phone would record it."""
    frame = _other(np.tile(np.array(colour) / 255.0, (256, 1)) ** 2.4, curve, 9).reformat(format="yuv420p10le")
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx265", rate=10, options={"x265-params": "log-level=none", "crf": "4"})
        stream.width, stream.height, stream.pix_fmt = 256, 256, "yuv420p10le"
        context = stream.codec_context
        context.colorspace, context.color_range, context.color_trc, context.color_primaries = 9, 1, curve, 9
        for number in range(5):
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(("curve", "name"), [(_PQ, "PQ"), (_HLG, "HLG")])
def test_an_hdr_film_keeps_its_skin_and_is_told(tmp_path: Path, curve: int, name: str) -> None:
    path = _hdr_film(tmp_path / "phone.mp4", curve, (180, 128, 96))
    source = VideoFileSource(SourceSettings(str(path), realtime=False))
    try:
        info, image = source.open(), source.read().image
    finally:
        source.release()
    assert np.abs(image.astype(int) - (96, 128, 180)).max() <= 3
    assert info.notes == (f"phone.mp4 is HDR ({name}, BT.2020), tone-mapped to BT.709",)
    assert np.abs(_behind(path, exact=False).astype(int) - (96, 128, 180)).max() <= 3


def test_an_hdr_background_is_told(tmp_path: Path) -> None:
    notices = Notices()
    cycle = BackgroundCycle([VideoBackground(_hdr_film(tmp_path / "sea.mp4", _PQ, (20, 90, 160)))], notices)
    cycle.layer(64, 64, 0)
    cycle.layer(64, 64, 1)
    cycle.close()
    assert notices.fallbacks == ("the background video sea.mp4 is HDR (PQ, BT.2020), tone-mapped to BT.709",)


def test_a_batch_of_an_hdr_film_is_tagged_as_what_it_is_and_told(tmp_path: Path) -> None:
    path = _hdr_film(tmp_path / "phone.mp4", _PQ, (180, 128, 96))
    done = call("batch", "--engine", "tests.support.engines:LeftHalfEngine", path, "-o", tmp_path / "out", "-b", "red")
    assert done.code == 0, done.err + done.out
    assert "phone.mp4 is HDR (PQ, BT.2020), tone-mapped to BT.709" in " ".join(done.out.split())
    with av.open(str(tmp_path / "out" / "output_phone.mp4")) as container:
        context: Any = container.streams.video[0].codec_context
        frame: Any = next(container.decode(video=0))
    assert (context.color_primaries, context.color_trc, context.colorspace) == (1, 1, 1)
    assert (frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range) == (1, 1, 1, 1)
