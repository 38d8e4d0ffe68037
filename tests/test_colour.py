"""Colours of files are those of the standards' formulas, on the way in and on the way out."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from rvm_live.backgrounds.base import Plate
from rvm_live.backgrounds.video import VideoBackground
from rvm_live.colour import bgr_of
from rvm_live.settings import SourceSettings
from rvm_live.sinks.encoder import Encoder, Recipe
from rvm_live.sources.video import VideoFileSource

Numbers = NDArray[np.float64]

_WEIGHTS = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 9: (0.2627, 0.0593)}
"""Kr and Kb of BT.709, BT.601 and BT.2020, by the matrices' numbers in ISO/IEC 23091-2."""
_SIDE = 16  # pixels of each colour


def _bgr(yuv: Numbers, matrix: int, *, full: bool = False) -> Numbers:
    """The formula: (n, 3) Y, Cb, Cr of 8 bits to B, G, R of 0 to 255, clipped."""
    red, blue = _WEIGHTS[matrix]
    luma, cb, cr = (yuv / 255 if full else (yuv - [16, 0, 0]) / [219, 224, 224]).T
    cb, cr = ((cb - 128 / 255), (cr - 128 / 255)) if full else ((cb - 128 / 224), (cr - 128 / 224))
    b, r = luma + 2 * (1 - blue) * cb, luma + 2 * (1 - red) * cr
    return np.clip(np.stack([b, (luma - red * r - blue * b) / (1 - red - blue), r], axis=-1) * 255, 0, 255)


def _yuv(bgr: Numbers, matrix: int) -> Numbers:
    """The formula the other way, limited range."""
    red, blue = _WEIGHTS[matrix]
    b, g, r = (bgr / 255).T
    luma = red * r + (1 - red - blue) * g + blue * b
    return np.stack([16 + 219 * luma, 128 + 112 * (b - luma) / (1 - blue), 128 + 112 * (r - luma) / (1 - red)], axis=-1)


def _drawn(colours: Numbers) -> NDArray[np.uint8]:
    """Squares of each colour, uint8 (h, w, 3), 16 in a row."""
    rows = np.asarray(colours, np.uint8).reshape(-1, 16, 3)
    return rows.repeat(_SIDE, axis=0).repeat(_SIDE, axis=1)


def _centres(image: NDArray[Any]) -> Numbers:
    """The mean of four rows in each square's middle, in the same order."""
    rows = [image[_SIDE // 2 + k :: _SIDE, _SIDE // 2 :: _SIDE] for k in range(4)]
    return np.mean(rows, axis=0).reshape(-1, *image.shape[2:])


def _mixed() -> Numbers:
    """A ramp of 128 greys and 128 colours that no conversion clips, (256, 3) Y, Cb, Cr."""
    grey = np.stack([np.linspace(16, 235, 128).round(), np.full(128, 128), np.full(128, 128)], axis=-1)
    some = np.random.default_rng(1).integers((80, 104, 104), (176, 152, 152), (128, 3))
    return np.concatenate([grey, some])


def _frame(yuv: Numbers, kind: str, matrix: int, *, full: bool = False) -> Any:
    """A frame of that pixel format that holds these 8-bit values."""
    planes = np.moveaxis(_drawn(yuv), -1, 0)
    frame: Any = av.VideoFrame.from_ndarray(np.ascontiguousarray(planes), format="yuv444p")
    frame.color_range = 2 if full or "j" in kind else 1
    if frame.color_range == 2 and kind != "yuv444p":  # as bytes: the formats with a j are full range by name
        frame = frame.reformat(format="yuvj444p")
    frame = frame.reformat(format=kind)
    frame.colorspace, frame.color_range = matrix, 2 if full or "j" in kind else 1
    return frame


def _film(path: Path, yuv: Numbers, matrix: int) -> Path:
    """A file whose pictures hold exactly these values: FFV1 loses nothing."""
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
@pytest.mark.parametrize(
    "way",
    [
        pytest.param(lambda path: _read(path, realtime=False), id="source"),
        pytest.param(lambda path: _behind(path, exact=True), id="background"),
    ],
)
def test_a_file_is_read_in_its_own_colours(
    tmp_path: Path, way: Callable[[Path], NDArray[np.uint8]], matrix: int
) -> None:
    error = _centres(way(_film(tmp_path / "a.mkv", _mixed(), matrix))) - _bgr(_mixed(), matrix)
    assert np.abs(error.mean(axis=0)).max() <= 0.2
    assert np.abs(error).max() <= 1


@pytest.mark.parametrize("matrix", [1, 5])
@pytest.mark.parametrize(
    "way",
    [
        pytest.param(lambda path: _read(path, realtime=True), id="source"),
        pytest.param(lambda path: _behind(path, exact=False), id="background"),
    ],
)
def test_live_a_file_is_neither_darker_nor_tinted(
    tmp_path: Path, way: Callable[[Path], NDArray[np.uint8]], matrix: int
) -> None:
    """The quick conversion keeps its scatter of two levels; what it cuts off is put back."""
    error = _centres(way(_film(tmp_path / "a.mkv", _mixed(), matrix))) - _bgr(_mixed(), matrix)
    assert np.abs(error.mean(axis=0)).max() <= 0.2
    assert np.abs(error).max() <= 2


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
    back = _centres(bgr_of(frame)) - colours  # 8 bits of Y, Cb and Cr are coarser than 8 of B, G and R
    assert np.abs(back.mean(axis=0)).max() <= 0.2


def _values(plane: Any, kind: str) -> Numbers:
    deep = "10" in kind
    values = np.frombuffer(plane, np.uint16 if deep else np.uint8).reshape(plane.height, -1)[:, : plane.width]
    return values / (4.0 if deep else 1.0)
