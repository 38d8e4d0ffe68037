"""Cameras whose pictures are not uint8 BGR: converted, or refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rvm_live.core.arrays import Bytes
from rvm_live.sources.camera.layouts import UnknownLayoutError, as_bgr
from tests.support.capture import FakeDevice
from tests.support.program import call

WIDTH, HEIGHT = 64, 48
SIZE = (WIDTH, HEIGHT)


def coloured() -> Bytes:
    """Colours that change slowly, so that formats with coarser colour keep them."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.dstack([60 + 2 * x, 200 - 3 * y, 80 + x + y]).astype(np.uint8)


def grey() -> Bytes:
    return cv2.cvtColor(coloured(), cv2.COLOR_BGR2GRAY)


def i420() -> Bytes:
    return cv2.cvtColor(coloured(), cv2.COLOR_BGR2YUV_I420)


def yv12() -> Bytes:
    return cv2.cvtColor(coloured(), cv2.COLOR_BGR2YUV_YV12)


def nv(first: int) -> Bytes:
    planes = i420().reshape(-1)
    luma, chroma = planes[: WIDTH * HEIGHT], planes[WIDTH * HEIGHT :].reshape(2, -1)
    pairs = np.stack([chroma[first], chroma[1 - first]], axis=1).reshape(-1)
    return np.concatenate([luma, pairs]).reshape(HEIGHT * 3 // 2, WIDTH)


def packed(order: str) -> Bytes:
    planes = cv2.cvtColor(coloured(), cv2.COLOR_BGR2YUV_I420).reshape(-1)
    luma = planes[: WIDTH * HEIGHT].reshape(HEIGHT, WIDTH)
    u, v = (
        np.repeat(each.reshape(HEIGHT // 2, WIDTH // 2), 2, axis=0) for each in planes[WIDTH * HEIGHT :].reshape(2, -1)
    )
    parts = {"Y": luma[:, 0::2], "y": luma[:, 1::2], "U": u, "V": v}
    return np.stack([parts[name] for name in order], axis=-1).reshape(HEIGHT, WIDTH, 2)


def jpeg() -> Bytes:
    return cv2.imencode(".jpg", coloured(), [cv2.IMWRITE_JPEG_QUALITY, 95])[1].reshape(1, -1)


CASES: dict[str, tuple[Callable[[], Any], str]] = {
    "bgr": (coloured, ""),
    "bgra": (lambda: cv2.cvtColor(coloured(), cv2.COLOR_BGR2BGRA), "BGR4"),
    "not contiguous": (lambda: np.dstack([coloured(), grey(), grey()])[..., :3], ""),
    "16 bits of each colour": (lambda: coloured().astype(np.uint16) * 257, ""),
    "yuyv": (lambda: packed("YUyV"), "YUYV"),
    "yuyv by no name": (lambda: packed("YUyV"), ""),
    "uyvy": (lambda: packed("UYVy"), "UYVY"),
    "yvyu": (lambda: packed("YVyU"), "YVYU"),
    "yuyv, flat": (lambda: packed("YUyV").reshape(1, -1), "YUYV"),
    "yuyv, twice as wide": (lambda: packed("YUyV").reshape(HEIGHT, -1), "YUYV"),
    "nv12": (lambda: nv(0), "NV12"),
    "nv12, flat": (lambda: nv(0).reshape(-1, 1), "NV12"),
    "nv21": (lambda: nv(1), "NV21"),
    "i420": (i420, "YU12"),
    "yv12, flat": (lambda: yv12().reshape(1, -1), "YV12"),
    "bgr, flat": (lambda: coloured().reshape(1, -1), "BGR3"),
    "jpeg": (jpeg, "MJPG"),
}
GREYS: dict[str, tuple[Callable[[], Any], str]] = {
    "two axes": (grey, "GREY"),
    "one channel": (lambda: grey()[..., None], "GREY"),
    "flat": (lambda: grey().reshape(1, -1), "GREY"),
    "16 bits": (lambda: grey().astype(np.uint16) * 257, "Y16 "),
    "12 bits": (lambda: grey().astype(np.uint16) * 16, "Y12 "),
    "10 bits": (lambda: grey().astype(np.uint16) * 4, "Y10 "),
    "16 bits, one channel": (lambda: grey().astype(np.uint16)[..., None] * 257, "Y16 "),
}
REFUSED: dict[str, Callable[[], Any]] = {
    "numbers with a point": lambda: coloured().astype(np.float32) / 255,
    "five channels": lambda: np.dstack([coloured(), grey(), grey()]),
    "bytes of no known format": lambda: np.arange(1000, dtype=np.uint8).reshape(1, -1),
    "signed": lambda: coloured().astype(np.int16),
    "half a jpeg": lambda: jpeg()[:, :20],
    "four axes": lambda: coloured()[None],
}


@pytest.mark.parametrize("name", CASES)
def test_colours_are_those_of_the_picture(name: str) -> None:
    make, fourcc = CASES[name]
    made = as_bgr(make(), SIZE, fourcc)
    assert made.dtype == np.uint8 and made.shape == (HEIGHT, WIDTH, 3) and made.flags.c_contiguous
    assert np.abs(made.astype(int) - coloured()).mean() < 3


@pytest.mark.parametrize("name", GREYS)
def test_grey_is_that_of_the_picture(name: str) -> None:
    make, fourcc = GREYS[name]
    made = as_bgr(make(), SIZE, fourcc)
    np.testing.assert_array_equal(made, np.dstack([grey()] * 3))


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_picture_is_told(name: str) -> None:
    with pytest.raises(UnknownLayoutError, match=r"delivers pictures that cannot be read .*--fourcc"):
        as_bgr(REFUSED[name](), SIZE, "XYZ ")


@given(
    shape=st.lists(st.integers(1, 40), min_size=1, max_size=4).map(tuple),
    dtype=st.sampled_from([np.uint8, np.uint16, np.int8, np.float32, np.float64, np.bool_]),
    size=st.tuples(st.integers(0, 40), st.integers(0, 40)),
    fourcc=st.sampled_from(["", "NV12", "YUYV", "Y10 ", "MJPG", "????"]),
)
def test_whatever_comes_it_is_a_picture_or_told(
    shape: tuple[int, ...], dtype: type, size: tuple[int, int], fourcc: str
) -> None:
    try:
        made = as_bgr(np.ones(shape, dtype), size, fourcc)
    except UnknownLayoutError as error:
        assert "\n" not in str(error)
        return
    assert made.dtype == np.uint8 and made.ndim == 3 and made.shape[2] == 3 and made.flags.c_contiguous


@pytest.mark.few(4)
@pytest.mark.parametrize("name", [*CASES, *GREYS, *REFUSED])
def test_a_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The whole program with such a camera."""
    known = {**CASES, **GREYS}
    make, fourcc = known[name] if name in known else (REFUSED[name], "XYZ ")
    FakeDevice.plug_in(monkeypatch, FakeDevice(sizes=[SIZE], hands_out=lambda _: make(), fourcc=fourcc))
    record = tmp_path / "shots"
    done = call(
        *("--source", "0", "--headless", "--frames", "2", "--record", f"{record}/", "--duration", "20"),
        *("--engine", "tests.support.engines:PassThroughEngine", "--background", "color:#000000"),
    )
    if name in REFUSED:
        assert done.code == 2
        assert "camera 0 (Fake Cam) delivers pictures that cannot be read" in done.complaint
        return
    assert done.code == 0, done.err
    wanted = coloured() if name in CASES else np.dstack([grey()] * 3)
    for file in record.iterdir():
        assert np.abs(cv2.imread(str(file)).astype(int) - wanted).mean() < 3
