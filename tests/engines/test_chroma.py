"""The engine for people in front of a screen: it finds the alpha and colours that were mixed, in any light on the
screen."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import cv2
import numpy as np
import pytest

from rvm_live.core.arrays import Bytes
from rvm_live.core.errors import EngineError, SettingsError, UnavailableError
from rvm_live.core.frames import Frame
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.chroma.engine import ChromaEngine
from rvm_live.engines.chroma.screen import find_key
from tests.support.program import call

WIDTH, HEIGHT = 480, 320
SCREENS = {
    "green": (70, 180, 60),
    "dark green": (40, 90, 30),
    "blue": (190, 80, 30),
    "cyan": (200, 180, 60),
}


def opened(**settings: object) -> ChromaEngine:
    engine = ChromaEngine(EngineSettings(engine="chroma", **settings))  # type: ignore[arg-type]
    engine.open()
    return engine


def frames(*pictures: Bytes, step_ns: int = 33_000_000) -> list[Frame]:
    return [Frame(picture, seq, 0, seq * step_ns) for seq, picture in zip(count(), pictures, strict=False)]


def person(width: int = WIDTH, height: int = HEIGHT) -> tuple[Bytes, Bytes]:
    """A foreground of skin, dark hair and a grey pullover; alpha with a soft edge of six pixels and a few hairs."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x, y = x / width * WIDTH, y / height * HEIGHT
    head = np.hypot((x - 240) / 70, (y - 130) / 90)
    body = np.hypot((x - 240) / 150, (y - 330) / 110)
    hard = np.where(np.minimum(head, body) < 1, 255, 0).astype(np.uint8)
    for hair in range(12):
        cv2.line(hard, (170 + 12 * hair, 45), (160 + 14 * hair, 12), (255,), 2)
    alpha = cv2.GaussianBlur(hard, (0, 0), 1.5)
    colour = np.full((height, width, 3), (35, 45, 60), np.uint8)
    colour[(head < 0.85) & (y > 90)] = (120, 150, 210)
    colour[(body < 1) & (y > 230)] = (128, 128, 128)
    return cv2.GaussianBlur(colour, (0, 0), 2), alpha


def before(screen: tuple[int, int, int], *, noise: float = 0.0, uneven: float = 0.0) -> tuple[Bytes, Bytes, Bytes]:
    """The picture, and the foreground and alpha that it was mixed from."""
    colour, alpha = person()
    light = 1 + uneven * np.linspace(-1, 1, WIDTH, dtype=np.float32)[None, :, None]
    share = alpha[..., None] / np.float32(255)
    mixed = share * colour + (1 - share) * np.array(screen, np.float32) * light
    if noise:
        mixed = mixed + np.random.default_rng(0).normal(0, noise, mixed.shape)
    return np.clip(mixed + 0.5, 0, 255).astype(np.uint8), colour, alpha


def error(found: Bytes, truth: Bytes) -> float:
    """Mean absolute difference, thousandths."""
    return float(np.abs(found.astype(np.float32) - truth).mean() / 255 * 1000)


@pytest.mark.parametrize("screen", SCREENS.values(), ids=SCREENS)
@pytest.mark.parametrize(("noise", "uneven"), [(0, 0), (3, 0), (2, 0.3)], ids=["clean", "noisy", "uneven"])
def test_alpha_and_colours_are_those_it_was_mixed_of(screen: tuple[int, int, int], noise: float, uneven: float) -> None:
    picture, colour, alpha = before(screen, noise=noise, uneven=uneven)
    engine = opened()
    for frame in frames(*[picture] * 4):
        matte = engine.matte(frame)
    hard = max(screen) < 100  # a few levels of noise are a tenth of such a screen's colour
    assert error(matte.alpha, alpha) < (11 if hard else 8)
    assert not matte.alpha[:8].any(), "the screen itself is all gone"
    assert matte.alpha[HEIGHT - 60 : HEIGHT - 20, 200:280].min() >= (235 if hard else 255), (
        "and the person is all there"
    )
    seen = alpha > 100
    difference = np.abs(matte.foreground.astype(np.float32) - colour).mean(2)
    assert difference[seen].mean() < 6
    over_black = matte.foreground * (matte.alpha[..., None] / 255)
    hue = np.array(screen, np.float32) - np.mean(screen)
    edge = (matte.alpha > 20) & (matte.alpha < 230)
    own = (colour * (alpha[..., None] / 255))[edge] @ hue
    assert np.mean(over_black[edge] @ hue - own) / (hue @ hue) < (0.1 if hard else 0.05), (
        "no rim of the screen's colour"
    )


def test_a_shirt_like_the_wall_keeps_its_colour() -> None:
    """Pixels that the screen does not touch are unchanged, byte for byte."""
    picture, _, alpha = before(SCREENS["green"])
    matte = opened().matte(*frames(picture))
    inside = cv2.erode(alpha, np.ones((25, 25), np.uint8)) == 255
    assert inside.sum() > 5000
    np.testing.assert_array_equal(matte.foreground[inside], picture[inside])


@pytest.mark.slow
def test_light_that_changes_is_followed() -> None:
    engine = opened()
    alphas = []
    for number in range(60):
        screen = tuple(round(value * (1 - 0.4 * min(number / 40, 1))) for value in SCREENS["green"])
        picture, _, alpha = before(screen)  # type: ignore[arg-type]
        alphas.append(error(engine.matte(Frame(picture, number, 0, number * 33_000_000)).alpha, alpha))
    assert max(alphas) < 25 and alphas[-1] < 8


@pytest.mark.parametrize("screen", SCREENS, ids=SCREENS)
def test_the_colour_is_found(screen: str) -> None:
    key = find_key(before(SCREENS[screen], noise=3)[0])
    assert key is not None
    assert np.abs(np.subtract(key.bgr, SCREENS[screen])).max() < 8
    assert key.name == ("green" if "green" in screen or (screen == "cyan" and key.name == "green") else "blue")


@pytest.mark.parametrize("colour", [(128, 128, 128), (60, 60, 200), (40, 180, 210), (0, 0, 0), (225, 230, 228)])
def test_a_wall_is_no_screen(colour: tuple[int, int, int]) -> None:
    assert find_key(before(colour, noise=3)[0]) is None


def test_a_picture_on_the_wall_is_no_screen() -> None:
    picture = before((200, 205, 210))[0]
    picture[20:160, 20:120] = SCREENS["green"]
    assert find_key(picture) is None


def test_until_the_screen_is_found_nobody_is_seen_and_after_a_second_it_is_said() -> None:
    engine = opened(keep_up=True)
    wall = before((128, 128, 128))[0]
    room = frames(*[wall] * 40)
    assert all(not engine.matte(frame).alpha.any() for frame in room[:30])
    with pytest.raises(EngineError, match="no green or blue screen was found: name its colour with --key"):
        engine.matte(room[31])


def test_a_screen_that_comes_into_the_light_within_the_first_second_is_found() -> None:
    engine = opened(keep_up=True)
    dark = (before(SCREENS["green"])[0] // 20).astype(np.uint8)
    picture, _, alpha = before(SCREENS["green"])
    seen = [engine.matte(frame).alpha for frame in frames(dark, dark, picture, picture)]
    assert not seen[1].any()
    assert error(seen[3], alpha) < 8


def test_another_place_has_another_screen() -> None:
    engine = opened()
    for screen in ("green", "blue"):
        picture, _, alpha = before(SCREENS[screen])
        assert error(engine.matte(*frames(picture)).alpha, alpha) < 8
        engine.reset()


def test_a_colour_that_is_told_is_taken() -> None:
    picture, _, alpha = before((200, 40, 190))  # magenta screens are not detected
    with pytest.raises(EngineError):
        opened().matte(*frames(picture))
    assert error(opened(key="#be28c8").matte(*frames(picture)).alpha, alpha) < 8


def test_what_cannot_be() -> None:
    with pytest.raises(SettingsError, match="unknown colour 'verdigris'"):
        EngineSettings(engine="chroma", key="verdigris")
    with pytest.raises(SettingsError, match="--key grey is grey"):
        opened(key="grey")
    with pytest.raises(UnavailableError, match="chroma runs on the cpu, not on cuda"):
        opened(device="cuda")


def test_the_person_alone_is_wanted() -> None:
    picture, _, _ = before(SCREENS["green"])
    assert opened(foreground="source").matte(*frames(picture)).foreground is None


@pytest.mark.parametrize("size", [(64, 48), (97, 51), (1, 1), (3, 700)])
def test_any_size(size: tuple[int, int]) -> None:
    width, height = size
    picture = np.full((height, width, 3), SCREENS["green"], np.uint8)
    matte = opened().matte(*frames(picture))
    assert matte.alpha.shape == (height, width) and not matte.alpha.any()


@pytest.mark.slow
def test_real_screens(data: Path) -> None:
    """Nine clips shot in front of a screen, against the slow key that is the benchmark's truth."""
    from benchmarks.keyed.key import key
    from benchmarks.quality.clips import grabbed

    clips = [data / "clips/webcam/liveportrait_d0.mp4", *sorted((data / "clips/webcam").glob("grid_*.mpg"))]
    errors = []
    for path in clips:
        found: list[float] = []
        pictures = [np.ascontiguousarray(picture[4:-4, 4:-4]) for picture in grabbed(path, 25)]
        truth = key(pictures, path.name, 6)
        engine = opened()
        rows, columns = truth.alpha[0].shape
        assert pictures[0].shape[1] - columns < 12
        off = (pictures[0].shape[1] - columns) // 2
        for frame, alpha in zip(frames(*pictures[:6]), truth.alpha, strict=True):
            found.append(error(engine.matte(frame).alpha[off : off + rows, off : off + columns], alpha))
        errors.append(float(np.mean(found)))
    assert float(np.median(errors)) < 7, errors
    assert sorted(errors)[-2] < 12, errors


def test_from_the_command_line(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), before(SCREENS["green"])[0])
    cv2.imwrite(str(tmp_path / "b.png"), before((128, 128, 128))[0])
    out = tmp_path / "out"
    assert call("batch", "--engine", "chroma", tmp_path / "a.png", "-o", out, "--background", "transparent").code == 0
    alpha = cv2.imread(str(next(out.glob("*a.png"))), cv2.IMREAD_UNCHANGED)[..., 3]
    assert error(alpha, before(SCREENS["green"])[2]) < 8
    done = call("batch", "--engine", "chroma", tmp_path / "b.png", "-o", out)
    assert done.code == 1 and "no green or blue screen was found" in done.out + done.err
    magenta = before((200, 40, 190))
    cv2.imwrite(str(tmp_path / "c.png"), magenta[0])
    options = ("--engine", "chroma", "--key", "#be28c8", "--background", "transparent")
    assert call("batch", *options, tmp_path / "c.png", "-o", out).code == 0
    assert error(cv2.imread(str(next(out.glob("*c.png"))), cv2.IMREAD_UNCHANGED)[..., 3], magenta[2]) < 8
    done = call("batch", "--engine", "chroma", "--key", "verdigris", tmp_path / "c.png", "-o", out)
    assert done.code == 2 and "unknown colour 'verdigris'" in done.err


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("screen", "told"), [("green", "a green screen was found"), ("blue", "a blue screen was found")]
)
def test_auto_names_it_and_goes_on_as_before(screen: str, told: str, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    for colour, expected in ((SCREENS[screen], True), ((128, 128, 128), False)):
        cv2.imwrite(str(picture), before(colour)[0])
        done = call("--headless", "--source", picture, "--offline", "--frames", "5", "--report")
        assert done.code == 0, done.err
        assert done.err.count(f"{told}: `--engine chroma`") == expected
        assert "chroma" not in done.out
