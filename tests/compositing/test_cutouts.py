"""Cut-outs hold nothing of the room: where alpha is below 8, alpha and colour are 0, in every output.

The room is green and blue, the person red: green or blue where there is no person comes from the room.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rvm_live
from rvm_live.apps.batch.codecs import recipe_for
from rvm_live.backgrounds.base import Blur, Clear, Layer, Plate
from rvm_live.backgrounds.transparent import checkerboard
from rvm_live.compositing.base import Compositor
from rvm_live.core.arrays import Bytes
from rvm_live.core.frames import Composite, Frame, Matte, Stamps
from rvm_live.core.queues import Overflow
from rvm_live.media.encoder import Encoder
from rvm_live.sinks.factory import open_recorder
from rvm_live.sinks.recording.snapshot import save_png
from rvm_live.sinks.window.views import render
from tests.compositing.test_compositors import compositor, opened  # noqa: F401 - a fixture
from tests.support.program import call

FAINT = 8
ENGINE = "tests.support.engines:FaintEngine"
HEIGHT, WIDTH = 90, 160
KINDS = ("array", "floats", "tensor", "float tensor", "no foreground")


def scene(height: int = HEIGHT, width: int = WIDTH, seed: int = 0) -> tuple[Bytes, Bytes]:
    """A red person with a soft edge in a room full of detail, with the alpha of :class:`FaintEngine`."""
    rng = np.random.default_rng(seed)
    room = rng.integers(150, 256, (height, width, 3), dtype=np.uint8)
    room[..., 2] = rng.integers(0, 40, (height, width))
    y, x = np.mgrid[:height, :width]
    depth = 0.3 - np.hypot((x + 0.5) / width - 0.5, (y + 0.5) / height - 0.5)
    inside = depth > 0
    room[inside] = (20, 20, 0)
    room[..., 2][inside] = np.clip(130 + depth[inside] * 1200, 0, 255)
    alpha = np.where(inside, room[..., 2], room[..., 0] % 8).astype(np.uint8)
    return room, alpha


def matte_of(image: Bytes, alpha: Bytes, kind: str = "no foreground") -> Matte:
    frame = Frame(image, seq=0, epoch=0, captured_ns=0)
    if kind == "no foreground":
        return Matte(frame, alpha)
    values: Any = (alpha, image.copy())
    if "float" in kind:
        values = [each.astype(np.float32) / 255 for each in values]
    if "tensor" in kind:
        values = [torch.from_numpy(each) for each in values]
    return Matte(frame, *values)


def composite_of(image: Bytes, matte: Matte) -> Composite:
    return Composite(image, matte, Stamps(0, 0, 0, 0, 0))


def room_in(colours: Bytes) -> int:
    """The largest green or blue value in pixels (N, 3 or 4); the person has 20, the room 150 and more."""
    return int(colours[:, :2].max(initial=0))


# In the program


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(KINDS),
    source=st.booleans(),
    faint=st.booleans(),
)
def test_no_compositor_leaves_a_trace_of_the_room(
    compositor: Compositor,  # noqa: F811
    size: tuple[int, int],
    seed: int,
    kind: str,
    source: bool,
    faint: bool,
) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(1, 256, (*size, 3), dtype=np.uint8)
    alpha = rng.integers(0, 12 if faint else 256, size, dtype=np.uint8)
    hidden = alpha < FAINT
    made = compositor.composite(matte_of(image, alpha, kind), Clear(), source_foreground=source)
    assert not made[hidden].any()
    np.testing.assert_array_equal(made[~hidden], np.dstack([image, alpha])[~hidden])
    plate = Plate(rng.integers(0, 256, image.shape, dtype=np.uint8), 1)
    over = compositor.composite(matte_of(image, alpha, kind), plate, source_foreground=source)
    np.testing.assert_array_equal(over[hidden], plate.image[hidden])


def test_in_every_view_the_background_alone_is_where_nobody_is(compositor: Compositor) -> None:  # noqa: F811
    image, alpha = scene()
    hidden = alpha < FAINT
    plate = Plate(np.full_like(image, (30, 10, 90)), 1)
    shown: list[tuple[Layer, Bytes]] = [(plate, plate.image), (Clear(), checkerboard(WIDTH, HEIGHT))]
    for layer, behind in shown:
        matte = matte_of(image, alpha)
        composite = composite_of(compositor.composite(matte, layer), matte)
        assert np.array_equal(render(composite, "result", WIDTH, HEIGHT)[hidden], behind[hidden])
        assert not render(composite, "matte", WIDTH, HEIGHT)[hidden].any()
        compared = render(composite, "comparison", WIDTH, HEIGHT)
        right = np.zeros_like(hidden)
        right[-HEIGHT // 4 :, WIDTH // 2 + 2 :] = True  # below the caption, to the right of the line
        assert (hidden & right).any() and np.array_equal(compared[hidden & right], behind[hidden & right])


def test_a_blur_takes_what_is_hidden_for_the_room(compositor: Compositor) -> None:  # noqa: F811
    image, alpha = scene()
    clean = np.where(alpha < FAINT, 0, alpha).astype(np.uint8)
    for blur in (Blur(10), Blur(10, lens=True)):
        ours = compositor.composite(matte_of(image, alpha), blur)
        np.testing.assert_array_equal(ours, compositor.composite(matte_of(image, clean), blur))


@pytest.mark.parametrize("kind", KINDS)
def test_in_the_library_alpha_and_foreground_make_a_clean_cut_out(kind: str) -> None:
    image, alpha = scene()
    for _ in range(2):  # the second time comes from a cache
        matte = matte_of(image.copy(), alpha, kind)
        ours = matte.host()
        hidden = alpha < FAINT
        assert not ours.alpha[hidden].any() and not ours.foreground[hidden].any()
        np.testing.assert_array_equal(ours.alpha[~hidden], alpha[~hidden])
        np.testing.assert_array_equal(ours.foreground[~hidden], image[~hidden])
        np.testing.assert_array_equal(matte.frame.image, image)  # the camera's picture itself is unchanged


def test_an_open_engine_gives_a_clean_cut_out() -> None:
    image, alpha = scene()
    with rvm_live.open_engine(ENGINE) as session:
        ours = session.matte(image).host()
    assert not ours.foreground[alpha < FAINT].any() and not ours.alpha[alpha < FAINT].any()


@pytest.mark.parametrize("layer", [Clear(), Plate(np.full((HEIGHT, WIDTH, 3), 77, np.uint8), 1)], ids=["clear", "over"])
def test_a_snapshot(tmp_path: Path, compositor: Compositor, layer: Layer) -> None:  # noqa: F811
    image, alpha = scene()
    matte = matte_of(image, alpha)
    save_png(composite_of(compositor.composite(matte, layer), matte), tmp_path / "shot.png")
    saved = cv2.imread(str(tmp_path / "shot.png"), cv2.IMREAD_UNCHANGED)
    assert not saved[alpha < FAINT].any()
    np.testing.assert_array_equal(saved[alpha >= FAINT], np.dstack([image, alpha])[alpha >= FAINT])


# In files


def decoded(path: Path) -> list[Bytes]:
    """The pictures of a file or folder, uint8 (H, W, 4)."""
    if path.is_dir():
        read = [cv2.imread(str(each), cv2.IMREAD_UNCHANGED) for each in sorted(path.iterdir())]
        return [(each // 257).astype(np.uint8) if each.dtype == np.uint16 else each for each in read]
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        # FFmpeg's own decoder leaves out alpha
        decoder: Any = av.CodecContext.create("libvpx-vp9", "r") if path.suffix == ".webm" else stream.codec_context
        return [frame.to_ndarray(format="bgra") for packet in file.demux(stream) for frame in decoder.decode(packet)]


def check(pictures: list[Bytes], alpha: Bytes, *, lossless: bool) -> None:
    assert pictures
    hidden, deep = alpha < FAINT, alpha > 200
    for picture in pictures:
        assert picture.shape == (*alpha.shape, 4)
        assert np.abs(picture[..., 3].astype(int) - alpha)[deep].max() <= 8
        if lossless:
            assert not picture[hidden].any()
        else:
            assert picture[..., 3][hidden].max() <= FAINT
            assert room_in(picture[hidden]) < 70


@pytest.mark.parametrize("name", ["pictures/", "film.mov", "film.webm"])
def test_a_live_recording(tmp_path: Path, name: str) -> None:
    image, alpha = scene()
    matte = matte_of(image, alpha)
    from rvm_live.compositing.cpu import CpuCompositor

    recorder = open_recorder(f"{tmp_path}/{name}", fps=30.0, policy=Overflow.BLOCK)
    recorder.open()
    for _ in range(3):
        recorder.write(composite_of(CpuCompositor().composite(matte, Clear()), matte))
    recorder.close(failed=False)
    check(decoded(tmp_path / name), alpha, lossless=name == "pictures/")


def test_a_live_recording_whose_pictures_change_their_size(tmp_path: Path) -> None:
    from rvm_live.compositing.cpu import CpuCompositor

    recorder = open_recorder(f"{tmp_path}/film.mov", fps=30.0, policy=Overflow.BLOCK)
    recorder.open()
    for height, width in ((HEIGHT, WIDTH), (117, 208)):
        matte = matte_of(*scene(height, width))
        recorder.write(composite_of(CpuCompositor().composite(matte, Clear()), matte))
    recorder.close(failed=False)
    _, last = decoded(tmp_path / "film.mov")
    assert not np.isin(last[..., 3], range(1, FAINT)).any()
    assert room_in(last[last[..., 3] < FAINT]) < 70


@pytest.mark.parametrize(
    ("container", "codec"), [("mov", "prores"), ("mkv", "ffv1"), ("webm", "vp9"), ("png", ""), ("tiff", "")]
)
def test_every_batch_output(tmp_path: Path, container: str, codec: str) -> None:
    image, alpha = scene()
    recipe, _ = recipe_for("mkv", "ffv1")
    clip = Encoder(tmp_path / "clip.mkv", recipe, image.shape, rate=Fraction(25), time_base=Fraction(1, 25))
    for number in range(3):
        clip.add(image, number)
    clip.flush()
    clip.close()
    wanted = ("--write", "composite,alpha,foreground", "--background", "transparent", "--container", container)
    done = call("batch", "--engine", ENGINE, tmp_path / "clip.mkv", "-o", tmp_path / "out", *wanted)
    assert done.code == 0, done.out + done.err
    suffix = f".{container}" if codec else ""
    lossless = container in ("mkv", "png", "tiff")
    hidden = alpha < FAINT
    cut_outs = decoded(tmp_path / "out" / f"output_clip{suffix}")
    check(cut_outs, alpha, lossless=lossless)
    alphas = decoded_grey(tmp_path / "out" / f"output_clip_alpha{suffix}")
    for each, cut_out in zip(alphas, cut_outs, strict=True):
        assert each[hidden].max() <= (0 if lossless else FAINT)
        if lossless:  # both are equal
            np.testing.assert_array_equal(each, cut_out[..., 3])
    for each in decoded(tmp_path / "out" / f"output_clip_foreground{suffix}"):
        # A codec that halves the colours' resolution mixes in the colour next to it, which is black or red.
        assert room_in(each[hidden]) <= (0 if lossless else 100)


def decoded_grey(path: Path) -> list[Bytes]:
    if path.is_dir():
        return decoded(path)
    with av.open(str(path)) as file:
        return [frame.to_ndarray(format="gray") for frame in file.decode(video=0)]
