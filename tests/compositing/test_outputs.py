"""Several pictures from one matte: each equals that of a composer of its own, and is downloaded from the device
once."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rvm_live.backgrounds.base import Background, Plate
from rvm_live.backgrounds.blur import BlurBackground
from rvm_live.backgrounds.color import ColorBackground, parse_color
from rvm_live.backgrounds.cycle import PLAIN
from rvm_live.backgrounds.transparent import TransparentBackground
from rvm_live.compositing.composer import Composer
from rvm_live.compositing.output import Output
from rvm_live.core import transfer
from rvm_live.core.errors import BackgroundError, SettingsError
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.notices import Notices
from rvm_live.engines.rvm.torch.engine import RvmEngine
from rvm_live.media.colour import yuv_of
from rvm_live.sinks.base import Shot
from tests.engines.test_transfers import engine  # noqa: F401 - a fixture

WIDTH, HEIGHT = 64, 48
ROOM = (1, 2, 3)


def matte(number: int = 0, *, tensors: bool = False) -> Matte:
    rng = np.random.default_rng(number)
    image, foreground = rng.integers(0, 256, (2, HEIGHT, WIDTH, 3), np.uint8)
    alpha = rng.integers(0, 256, (HEIGHT, WIDTH), np.uint8)
    parts: Any = (torch.from_numpy(alpha), torch.from_numpy(foreground)) if tensors else (alpha, foreground)
    return Matte(Frame(image, number, 0, number), *parts)


class Counting(Background):
    """Another picture each time; reports when it is opened and closed."""

    label = "counting"

    def __init__(self) -> None:
        self.log: list[str] = []

    def open(self) -> None:
        self.log.append("open")

    def layer(self, width: int, height: int, now_ns: int) -> Plate:
        self.log.append("layer")
        return Plate(np.full((height, width, 3), len(self.log), np.uint8), len(self.log))

    def close(self) -> None:
        self.log.append("close")


class Broken(Background):
    label = "broken"

    def layer(self, width: int, height: int, now_ns: int) -> Plate:
        raise BackgroundError("the disk is gone")


def opened(backgrounds: list[Background], device: str = "cpu", **options: Any) -> Composer:
    composer = Composer(backgrounds, notices=Notices(), from_files=True, **options)
    composer.open(WIDTH, HEIGHT, device)
    return composer


@pytest.mark.parametrize("backend", ["cpu", "torch"])
@pytest.mark.parametrize("foreground", ["model", "source"])
def test_each_output_is_what_a_composer_of_its_own_would_make(backend: str, foreground: str) -> None:
    makes: dict[str, Any] = {
        "beach": lambda: ColorBackground("#c08040"),
        "blurred": lambda: BlurBackground(25),
        "cut out": TransparentBackground,
    }
    options = {"compositor": backend, "foreground": foreground}
    outputs = {name: Output(make()) for name, make in makes.items()}
    several = opened([ColorBackground("navy")], outputs=outputs, **options)
    alone = {name: opened([make()], **options) for name, make in makes.items()}
    main = opened([ColorBackground("navy")], **options)
    for number in range(4):
        composite = several.compose(matte(number, tensors=backend == "torch"))
        np.testing.assert_array_equal(composite.image, main.compose(matte(number)).image)
        assert composite.outputs.keys() == makes.keys()
        for name, composer in alone.items():
            np.testing.assert_array_equal(composite.outputs[name], composer.compose(matte(number)).image, name)
    assert composite.outputs["cut out"].shape == (HEIGHT, WIDTH, 4)
    for composer in (several, main, *alone.values()):
        composer.close()


def test_one_matting_serves_all_and_each_picture_comes_down_once(engine: RvmEngine) -> None:  # noqa: F811
    outputs = {
        "beach": Output(ColorBackground("#c08040")),
        "cut out": Output(TransparentBackground()),
        "camera": Output(ColorBackground("#102030"), "nv12"),
        "as shown": Output(pixels="i420"),
    }
    composer = opened([ColorBackground("navy")], engine.info.mattes_on, compositor="torch", outputs=outputs)
    composer.compose(engine.matte(matte(0).frame))  # uploads the backgrounds, once
    before = transfer.counts()
    for number in range(1, 6):
        composer.compose(engine.matte(matte(number).frame))
    after = transfer.counts()
    composer.close()
    assert after.uploads - before.uploads == 5, "the frame alone: plates that stand still stay"
    # Navy, beach, the cut-out and the camera's. A picture that differs from navy in pixel format only is not downloaded
    # again.
    assert after.downloads - before.downloads == 5 * 4


# Pixels of a camera --------------------------------------------------------------------------------------------


def formula(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Y', Cb, Cr by ITU-R BT.601 in limited range, (H, W, 3)."""
    blue, green, red = (image[..., index] / 255 for index in range(3))
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return np.stack([16 + 219 * luma, 128 + 224 * (blue - luma) / 1.772, 128 + 224 * (red - luma) / 1.402], axis=-1)


def planes(made: NDArray[np.uint8], kind: str, width: int, height: int) -> list[NDArray[np.uint8]]:
    assert made.shape == (height * 3 // 2, width) and made.dtype == np.uint8 and made.flags.c_contiguous
    luma, rest = made[:height], made[height:].reshape(-1)
    if kind == "nv12":
        u, v = rest[::2], rest[1::2]
    else:
        u, v = rest[: rest.size // 2], rest[rest.size // 2 :]
    return [luma, *(each.reshape(height // 2, width // 2) for each in (u, v))]


def coloured(seed: int, width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    """Noise, and at the top the corners of the colour cube in blocks of 2 x 2."""
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    corners = np.array([(b, g, r) for b in (0, 255) for g in (0, 255) for r in (0, 255)], np.uint8)
    image[:2, :16] = corners.repeat(2, axis=0)
    return image


@pytest.mark.parametrize("kind", ["nv12", "i420"])
def test_the_pixels_of_a_camera_are_those_of_the_standard(kind: str) -> None:
    """Luma of each pixel, chroma of the mean of four pixels, exact to the level; OpenCV's luma differs by at most
    one."""
    image = coloured(1)
    luma, u, v = planes(yuv_of(image, kind), kind, WIDTH, HEIGHT)
    expected = formula(image)
    means = expected.reshape(HEIGHT // 2, 2, WIDTH // 2, 2, 3).mean(axis=(1, 3))
    assert np.abs(luma - expected[..., 0]).max() <= 0.75
    assert np.abs(u - means[..., 1]).max() <= 0.75 and np.abs(v - means[..., 2]).max() <= 0.75
    theirs = planes(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), "i420", WIDTH, HEIGHT)
    assert np.abs(luma.astype(int) - theirs[0]).max() <= 1
    assert (luma.min(), luma.max()) == (16, 235)


@pytest.mark.parametrize("colour", ["black", "white", "red", "#00ff00", "blue", "#808080", "#c08040"])
@pytest.mark.parametrize("kind", ["nv12", "i420"])
def test_every_colour_keeps_its_level(colour: str, kind: str) -> None:
    """With one colour there is nothing to average: the three planes equal the formula, and OpenCV's within one
    level."""
    image = np.full((HEIGHT, WIDTH, 3), parse_color(colour), np.uint8)
    made = planes(yuv_of(image, kind), kind, WIDTH, HEIGHT)
    theirs = planes(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), "i420", WIDTH, HEIGHT)
    for plane, other, value in zip(made, theirs, formula(image)[0, 0], strict=True):
        assert (plane == plane[0, 0]).all() and abs(plane[0, 0] - value) <= 0.75
        assert abs(int(plane[0, 0]) - int(other[0, 0])) <= 1


@pytest.mark.parametrize(("width", "height"), [(63, 48), (64, 47), (63, 47), (1, 1)])
def test_odd_sides_get_the_last_row_and_column_twice(width: int, height: int) -> None:
    image = coloured(2)[:height, :width]
    even = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
    for kind in ("nv12", "i420"):
        np.testing.assert_array_equal(yuv_of(image, kind), yuv_of(even, kind))
        planes(yuv_of(image, kind), kind, width + width % 2, height + height % 2)


def test_an_output_for_a_camera_is_its_own_composite_in_other_pixels() -> None:
    back = ColorBackground("#c08040")
    outputs = {"nv12": Output(ColorBackground("#c08040"), "nv12"), "i420": Output(pixels="i420")}
    several, alone = opened([ColorBackground("navy")], outputs=outputs), opened([back])
    for number in range(3):
        composite = several.compose(matte(number))
        np.testing.assert_array_equal(composite.outputs["i420"], yuv_of(composite.image, "i420"))
        np.testing.assert_array_equal(composite.outputs["nv12"], yuv_of(alone.compose(matte(number)).image, "nv12"))
    several.close()
    alone.close()


# What an output shows of the room, and what it shows after a failure --------------------------------------------


def test_nobody_is_seen_in_any_output_while_nobody_is_to_be_seen() -> None:
    outputs = {
        "beach": Output(ColorBackground("#c08040")),
        "cut out": Output(TransparentBackground()),
        "blurred": Output(BlurBackground(25)),
        "camera": Output(pixels="nv12"),
    }
    composer = opened([ColorBackground("navy")], outputs=outputs)
    expected = {
        "beach": np.full((HEIGHT, WIDTH, 3), parse_color("#c08040"), np.uint8),
        "cut out": np.zeros((HEIGHT, WIDTH, 4), np.uint8),
        "blurred": np.full((HEIGHT, WIDTH, 3), parse_color(PLAIN), np.uint8),
        "camera": yuv_of(np.full((HEIGHT, WIDTH, 3), parse_color("navy"), np.uint8), "nv12"),
    }
    composer.compose(matte())
    composer.hide(True)
    found = composer.compose(matte()).outputs
    for name, picture in expected.items():
        np.testing.assert_array_equal(found[name], picture, name)
        if name != "cut out":  # before the first matte, and after a failure
            np.testing.assert_array_equal(composer.background_only(WIDTH, HEIGHT, name), picture, name)
    composer.close()
    away = opened([ColorBackground("navy")], outputs=outputs, away=ColorBackground("red"))
    away.hide(True)
    red = np.full((HEIGHT, WIDTH, 3), parse_color("red"), np.uint8)
    found = away.compose(matte()).outputs
    assert all((found[name] == red).all() for name in ("beach", "cut out", "blurred"))
    np.testing.assert_array_equal(found["camera"], yuv_of(red, "nv12"))
    away.close()


def test_pixels_without_alpha_show_a_plain_colour_where_the_background_turns_transparent() -> None:
    composer = opened([TransparentBackground()], outputs={"camera": Output(pixels="nv12")})
    alone = opened([ColorBackground(PLAIN)])
    composite = composer.compose(matte())
    assert composite.image.shape == (HEIGHT, WIDTH, 4)
    np.testing.assert_array_equal(composite.outputs["camera"], yuv_of(alone.compose(matte()).image, "nv12"))
    composer.close()
    alone.close()


def test_a_picture_that_nobody_wants_is_not_made() -> None:
    looked_at = False
    outputs = {"page": Output(TransparentBackground(), wanted=lambda: looked_at), "camera": Output(pixels="nv12")}
    composer = opened([ColorBackground("navy")], outputs=outputs)
    assert composer.compose(matte()).outputs.keys() == {"camera"}
    composer.hide(True)
    assert composer.compose(matte()).outputs.keys() == {"camera"}
    composer.hide(False)
    looked_at = True
    made = composer.compose(matte(2))
    assert made.outputs.keys() == {"page", "camera"}
    assert Shot.of(made).outputs["page"] is made.outputs["page"]
    composer.close()


def test_an_outputs_background_is_opened_and_closed_once_and_one_that_fails_is_told() -> None:
    notices, counting = Notices(), Counting()
    composer = Composer(
        [ColorBackground("navy")],
        notices=notices,
        outputs={"moves": Output(counting), "broken": Output(Broken()), "as shown": Output()},
    )
    composer.open(WIDTH, HEIGHT, "cpu")
    still = matte()
    for _ in range(2):
        composite = composer.compose(still)
        assert composite.outputs["as shown"] is composite.image, "the same picture is not made twice"
    assert counting.log == ["open", "layer", "layer", "layer"]
    (told,) = notices.fallbacks
    assert told == "background broken failed (the disk is gone): showing a plain colour instead"
    alone = opened([ColorBackground(PLAIN)])
    np.testing.assert_array_equal(composite.outputs["broken"], alone.compose(still).image)
    alone.close()
    composer.close()
    assert counting.log.count("close") == 1


def test_what_stands_still_is_made_once_for_every_output() -> None:
    composer = opened(
        [ColorBackground("navy")], outputs={"a": Output(ColorBackground("red")), "b": Output(pixels="i420")}
    )
    still = matte()
    first, second = composer.compose(still), composer.compose(still)
    assert second.image is first.image
    assert all(second.outputs[name] is first.outputs[name] for name in ("a", "b"))
    third = composer.compose(matte(1))
    assert not (third.outputs["b"] == first.outputs["b"]).all()
    composer.close()


def test_what_cannot_be_is_refused_at_once() -> None:
    with pytest.raises(SettingsError, match="unknown pixels 'yuyv': choose one of bgr, nv12, i420"):
        Output(pixels="yuyv")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="nv12 has no alpha: choose bgr, or another background"):
        Output(TransparentBackground(), "nv12")
