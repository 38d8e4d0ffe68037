"""Backgrounds: how they are written, what they draw, what is refused."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image

from rvm_live.backgrounds import builtin as shipped
from rvm_live.backgrounds.base import Blur, Clear, Plate
from rvm_live.backgrounds.blur import BlurBackground
from rvm_live.backgrounds.builtin import assets, builtin
from rvm_live.backgrounds.color import ColorBackground
from rvm_live.backgrounds.cycle import PLAIN
from rvm_live.backgrounds.fit import fit_image
from rvm_live.backgrounds.image import ImageBackground
from rvm_live.backgrounds.parse import default_cycle, parse
from rvm_live.backgrounds.transparent import TransparentBackground
from rvm_live.backgrounds.video import VideoBackground
from rvm_live.core.colors import parse_color
from rvm_live.core.errors import BackgroundError, SettingsError
from tests.support.videos import make_sound

SECOND = 1_000_000_000


def picture(path: Path, width: int = 64, height: int = 32, color: tuple[int, int, int] = (10, 120, 230)) -> Path:
    image = np.full((height, width, 3), color, np.uint8)
    assert cv2.imwrite(str(path), image)
    return path


def clip(
    path: Path, levels: list[int], rate: int = 10, size: tuple[int, int] = (64, 48), codec: str = "libx264"
) -> Path:
    """A video of plain grey frames, each with another grey."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        stream.time_base = Fraction(1, rate)
        for level in levels:
            image = np.full((size[1], size[0], 3), level, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode())
    return path


def song_with_cover(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        audio = container.add_stream("aac", rate=8000, layout="mono")
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 32, 32, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        container.mux(cover.encode(av.VideoFrame.from_ndarray(np.full((32, 32, 3), 90, np.uint8), format="bgr24")))
        container.mux(cover.encode())
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 8000, 0
        container.mux(audio.encode(frame))
        container.mux(audio.encode())
    return path


def plate(background: object, width: int = 40, height: int = 30, now_ns: int = 0) -> Plate:
    layer = background.layer(width, height, now_ns)  # type: ignore[attr-defined]
    assert isinstance(layer, Plate)
    assert layer.image.shape == (height, width, 3) and layer.image.dtype == np.uint8
    assert layer.image.flags.c_contiguous
    return layer


@pytest.fixture
def opened() -> Iterator[Callable[[VideoBackground], VideoBackground]]:
    backgrounds: list[VideoBackground] = []

    def open_(background: VideoBackground) -> VideoBackground:
        backgrounds.append(background)
        background.open()
        return background

    yield open_
    for background in backgrounds:
        background.close()


def level_at(background: VideoBackground, now_ns: int, expected: int, width: int = 32, height: int = 24) -> None:
    """Wait until the decoder thread has delivered the frame that is due at ``now_ns``; no other may be shown then."""
    deadline = time.monotonic() + 5
    while True:
        shown = int(plate(background, width, height, now_ns).image[height // 2, width // 2, 0])
        if abs(shown - expected) <= 4:
            return
        assert time.monotonic() < deadline, f"shows {shown}, not {expected}"
        time.sleep(0.002)


# How backgrounds are written -----------------------------------------------------------------------------------


def test_the_kinds_without_files() -> None:
    assert isinstance(parse("transparent")[0].layer(4, 4, 0), Clear)
    assert parse("blur")[0].layer(4, 4, 0) == Blur(25)
    assert parse(" Blur:7.5 ")[0].layer(4, 4, 0) == Blur(7.5)
    assert parse("color:#00ff88")[0].label == "color #00ff88"
    assert parse("colour:navy")[0].label == "color #000080"


@pytest.mark.parametrize(
    ("text", "bgr"),
    [
        ("#123456", (0x56, 0x34, 0x12)),
        ("abc", (0xCC, 0xBB, 0xAA)),
        ("black", (0, 0, 0)),
        ("White", (255, 255, 255)),
        ("gray", (128, 128, 128)),
        ("green", (0, 255, 0)),
        ("blue", (255, 0, 0)),
    ],
)
def test_colours(text: str, bgr: tuple[int, int, int]) -> None:
    assert parse_color(text) == bgr
    image = plate(ColorBackground(text)).image
    assert (image == bgr).all()


def test_a_colour_is_drawn_once_per_size() -> None:
    background = ColorBackground("#102030")
    assert plate(background) is plate(background, now_ns=SECOND)
    assert plate(background, 20, 10).image.shape == (10, 20, 3)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("blurr", "unknown background 'blurr'.*blur:25.*image:PATH"),
        ("", "unknown background"),
        ("sepia:3", "unknown background 'sepia:3'"),
        ("transparent:1", "unknown background"),
        ("color", "unknown background"),
        ("blur:", "not a number"),
        ("blur:much", "'much' is not a number"),
        ("blur:0", "between 1 and 100"),
        ("blur:101", "between 1 and 100"),
        ("blur:nan", "between 1 and 100"),
        ("color:", "unknown colour ''"),
        ("color:#12345", "unknown colour '#12345'.*#rrggbb"),
        ("image:", "does not name a file: write image:PATH"),
        ("image:a.png?fit=zoom", "unknown fit 'zoom'.*cover, contain, stretch"),
        ("a\0b", "zero byte"),
    ],
)
def test_what_cannot_be_meant(spec: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        parse(spec)
    assert "\n" not in str(caught.value)


def test_files_are_told_by_kind_or_suffix(tmp_path: Path) -> None:
    image, video = picture(tmp_path / "a.PNG"), clip(tmp_path / "b.mp4", [10, 20])
    assert isinstance(parse(str(image))[0], ImageBackground)
    assert isinstance(parse(str(video))[0], VideoBackground)
    assert isinstance(parse(f"image:{image}")[0], ImageBackground)
    assert isinstance(parse(f"video:{video}")[0], VideoBackground)
    fitted = parse(f"image:{image}?fit=contain")[0]
    assert isinstance(fitted, ImageBackground) and fitted.fit == "contain" and fitted.path == image
    bare = parse(f"{video}?fit=stretch")[0]
    assert isinstance(bare, VideoBackground) and bare.fit == "stretch"


def test_paths_with_colons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = picture(tmp_path / "C:pic ture:1.png")
    assert parse(str(odd))[0].label == "image C:pic ture:1"
    assert parse(f"image:{odd}")[0].label == "image C:pic ture:1"
    monkeypatch.chdir(tmp_path)
    assert parse("C:pic ture:1.png")[0].label == "image C:pic ture:1"
    with pytest.raises(BackgroundError, match=r"no background image C:\\me\\wall.jpg"):
        parse(r"C:\me\wall.jpg")
    with pytest.raises(BackgroundError, match=r"no background file or folder C:\\me"):
        parse(r"C:\me")


def test_a_folder_is_all_its_pictures_by_name(tmp_path: Path) -> None:
    picture(tmp_path / "b.jpg")
    clip(tmp_path / "A.mkv", [1])
    clip(tmp_path / "c.gif", [1, 99], codec="gif")
    picture(tmp_path / ".hidden.jpg")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "more").mkdir()
    assert [b.label for b in parse(str(tmp_path))] == ["video A", "image b", "video c"]
    folder = parse(f"{tmp_path}?fit=contain")
    assert all(b.fit == "contain" for b in folder)  # type: ignore[attr-defined]


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.png").write_text("<html>not a picture</html>")
    (tmp_path / "text.mp4").write_text("<html>not a video</html>" * 100)
    (tmp_path / "bare").mkdir()
    (tmp_path / "odd.xyz").write_text("?")
    make_sound(tmp_path / "sound.m4a")
    song_with_cover(tmp_path / "song.mp4")
    refused = {
        f"image:{tmp_path}/none.jpg": "there is no background image",
        f"{tmp_path}/none.mp4": "there is no background video",
        f"{tmp_path}/nowhere/": "no background file or folder",
        f"image:{tmp_path}/empty.jpg": "is empty",
        f"{tmp_path}/text.png": "is not a picture",
        f"{tmp_path}/text.mp4": "cannot read the background video",
        f"video:{tmp_path}/sound.m4a": "contains no moving picture, only sound",
        f"{tmp_path}/song.mp4": "contains no moving picture, only sound",
        f"{tmp_path}/bare": "contains no image and no video",
        f"{tmp_path}/odd.xyz": "write image:.* or video:",
        f"image:{tmp_path}": "is a folder",
    }
    for spec, words in refused.items():
        with pytest.raises(BackgroundError, match=words) as caught:
            parse(spec)
        assert "\n" not in str(caught.value)


# Images --------------------------------------------------------------------------------------------------------


def test_fits() -> None:
    image = np.zeros((10, 20, 3), np.uint8)
    image[:, :5], image[:, 15:] = (255, 0, 0), (0, 0, 255)
    image[:, 5:15] = (0, 255, 0)
    cover = fit_image(image, 40, 40, "cover")
    assert (cover[:, 5:35, 1] > 200).all() and (cover[:, 2:-2, 1] > 100).all()
    contain = fit_image(image, 40, 40, "contain")
    assert not contain[:10].any() and not contain[30:].any()
    assert (contain[20, 2] == (255, 0, 0)).all() and (contain[20, 37] == (0, 0, 255)).all()
    stretch = fit_image(image, 40, 40, "stretch")
    assert (stretch[0, 2] == (255, 0, 0)).all() and (stretch[39, 37] == (0, 0, 255)).all()
    for fit in ("cover", "contain", "stretch"):
        for size in ((1, 1), (7, 3), (3, 500), (500, 3), (20, 10)):
            fitted = fit_image(image, *size, fit)
            assert fitted.shape == (size[1], size[0], 3)
            assert not np.shares_memory(fitted, image)


def test_an_image_is_fitted_once_per_size_and_needs_its_file_once(tmp_path: Path) -> None:
    path = picture(tmp_path / "a.png")
    background = ImageBackground(path)
    background.open()
    path.unlink()
    first = plate(background)
    assert (first.image == (10, 120, 230)).all()
    assert plate(background, now_ns=SECOND) is first
    assert plate(background, 20, 20).version != first.version
    background.close()


def test_a_photograph_is_turned_as_its_exif_says(tmp_path: Path) -> None:
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:, :40] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation 6: turn clockwise
    Image.fromarray(pixels).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    background = ImageBackground(tmp_path / "turned.jpg", "stretch")
    background.open()
    image = plate(background, 40, 80).image
    assert image[:36].min() > 200 and image[44:].max() < 50
    background.close()


def test_odd_pictures(tmp_path: Path) -> None:
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[..., 2], rgba[..., 3] = 200, 128
    cv2.imwrite(str(tmp_path / "alpha.png"), rgba)
    cv2.imwrite(str(tmp_path / "grey16.png"), np.full((8, 8), 0x8080, np.uint16))
    cv2.imwrite(str(tmp_path / "größe.png"), np.full((8, 8, 3), 9, np.uint8))
    for name, bgr in (("alpha", (0, 0, 200)), ("grey16", (128, 128, 128)), ("größe", (9, 9, 9))):
        background = parse(str(tmp_path / f"{name}.png"))[0]
        background.open()
        assert (plate(background).image == bgr).all()
        background.close()


# Videos --------------------------------------------------------------------------------------------------------

Opened = Callable[[VideoBackground], VideoBackground]


def test_a_video_plays_by_its_own_clock_and_loops(tmp_path: Path, opened: Opened) -> None:
    levels = [20, 60, 100, 140, 180]
    background = opened(VideoBackground(clip(tmp_path / "a.mp4", levels, rate=10)))
    start = 77 * SECOND
    versions = set()
    for frame in range(23):  # more than four repetitions, a little after each frame is due
        level_at(background, start + frame * SECOND // 10 + 1_000_000, levels[frame % 5])
        versions.add(plate(background, 32, 24, start + frame * SECOND // 10 + 2_000_000).version)
    assert len(versions) == 23, "a version stands for one picture"


def test_a_frame_is_not_shown_before_its_time(tmp_path: Path, opened: Opened) -> None:
    background = opened(VideoBackground(clip(tmp_path / "a.mp4", [20, 200], rate=2)))
    level_at(background, SECOND, 20)
    time.sleep(0.05)
    for now in (SECOND, SECOND + SECOND // 4, SECOND + SECOND // 2 - 1_000_000):
        assert plate(background, 32, 24, now).image.max() < 30
    level_at(background, SECOND + SECOND // 2, 200)


def test_over_a_file_each_moment_has_its_own_picture_however_long_it_takes(tmp_path: Path, opened: Opened) -> None:
    video = VideoBackground(clip(tmp_path / "a.mp4", [20, 60, 100, 140, 180]))
    video.exact = True
    opened(video)

    def level(seconds: float) -> int:
        return int(plate(video, now_ns=round(seconds * 1e9)).image.mean())

    first = [level(number / 10 + 0.01) for number in range(5)]
    assert first == sorted(first)
    assert first[-1] - first[0] > 120
    assert level(0.91) == first[4], "the second pass"
    assert level(3600.21) == first[2], "an hour on, past thousands of passes"
    assert level(0.11) == first[1], "the file in front began anew"


def test_a_slow_viewer_sees_the_frame_that_is_due(tmp_path: Path, opened: Opened) -> None:
    levels = list(range(20, 220, 10))
    background = opened(VideoBackground(clip(tmp_path / "a.mp4", levels, rate=20)))
    for frame in range(0, 60, 7):
        level_at(background, SECOND + frame * SECOND // 20 + 1_000_000, levels[frame % 20])


def test_the_clock_stands_still_while_the_video_is_not_shown(tmp_path: Path, opened: Opened) -> None:
    levels = [20, 60, 100, 140, 180]
    background = opened(VideoBackground(clip(tmp_path / "a.mp4", levels, rate=10)))
    level_at(background, SECOND, 20)
    level_at(background, SECOND + SECOND // 10 + 1_000_000, 60)
    level_at(background, 60 * SECOND, 60)
    level_at(background, 60 * SECOND + SECOND // 10, 100)


def test_a_new_size_is_drawn_at_once(tmp_path: Path, opened: Opened) -> None:
    background = opened(VideoBackground(clip(tmp_path / "a.mp4", [90] * 5)))
    for size in ((32, 24), (50, 20), (32, 24)):
        assert abs(int(plate(background, *size, SECOND).image.mean()) - 90) <= 4


def test_the_first_frame_needs_no_waiting(tmp_path: Path, opened: Opened) -> None:
    background = opened(VideoBackground(clip(tmp_path / "a.mp4", [150, 20, 20, 20])))
    assert abs(int(plate(background).image[5, 5, 0]) - 150) <= 4


@pytest.mark.parametrize("suffix", ["gif", "webm", "mkv"])
def test_other_containers(tmp_path: Path, opened: Opened, suffix: str) -> None:
    codec = {"gif": "gif", "webm": "libvpx-vp9", "mkv": "ffv1"}[suffix]
    background = opened(VideoBackground(clip(tmp_path / f"a.{suffix}", [0, 255, 0, 255], rate=5, codec=codec)))
    for frame in range(10):
        level_at(background, SECOND + frame * SECOND // 5 + 12_000_000, 255 * (frame % 2))


def test_a_video_that_vanishes_is_an_error_of_the_background(tmp_path: Path, opened: Opened) -> None:
    path = clip(tmp_path / "a.mp4", [20, 60])
    background = opened(VideoBackground(path))
    path.unlink()
    with pytest.raises(BackgroundError, match=r"a\.mp4 failed: there is no background video"):
        for step in range(1000):
            plate(background, 32, 24, SECOND + step * SECOND // 10)
            time.sleep(0.002)


def test_a_damaged_end_is_the_end(tmp_path: Path, opened: Opened) -> None:
    path = clip(tmp_path / "a.mkv", [20, 60, 100, 140, 180] * 4, codec="ffv1")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    background = opened(VideoBackground(path))
    level_at(background, SECOND, 20)
    seen = set()
    for step in range(60):
        seen.add(int(plate(background, 32, 24, SECOND + step * SECOND // 10).image[0, 0, 0]))
        time.sleep(0.003)
    assert len(seen) > 3


def test_colours_survive_video(opened: Opened) -> None:
    """The shipped video is tagged BT.709; its colours equal FFmpeg's own conversion of a frame."""
    folder = assets()
    assert folder is not None
    background = opened(VideoBackground(folder / "aurora.mp4", "stretch"))
    shown = plate(background, 1280, 720, 0).image
    with av.open(str(folder / "aurora.mp4")) as container:
        frame = next(container.decode(video=0))
    assert frame.colorspace == 1, "tagged BT.709"
    expected = frame.to_ndarray(format="bgr24", src_colorspace="ITU709")
    assert np.abs(shown.astype(int) - expected).mean() < 1


@pytest.mark.parametrize(("size", "space"), [((64, 48), "ITU601"), ((1280, 720), "ITU709")])
def test_untagged_video_is_read_by_convention(
    tmp_path: Path, opened: Opened, size: tuple[int, int], space: str
) -> None:
    green = np.empty((size[1], size[0], 3), np.uint8)
    green[:] = (40, 180, 60)
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv444p"
        frame = av.VideoFrame.from_ndarray(green, format="bgr24").reformat(format="yuv444p", dst_colorspace=space)
        frame.colorspace = 2
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    background = opened(VideoBackground(tmp_path / "a.mkv"))
    assert np.abs(plate(background, *size).image.astype(int) - green).max() <= 3


def test_real_files(data: Path, opened: Opened) -> None:
    folder = data / "clips" / "backgrounds"
    if not folder.is_dir():
        pytest.skip("no background clips in the test data")
    found = parse(str(folder))
    assert {type(background) for background in found} == {ImageBackground, VideoBackground}
    for kind in (ImageBackground, VideoBackground):
        background = next(b for b in found if isinstance(b, kind))
        background.open()
        assert plate(background, 320, 180).image.std() > 5
        background.close()


# What is shipped -----------------------------------------------------------------------------------------------


def test_the_shipped_backgrounds_are_all_there_and_drawable() -> None:
    backgrounds = builtin()
    assert sum(isinstance(b, ImageBackground) for b in backgrounds) >= 4
    assert backgrounds[0].label == "image studio", "a picture is the default"
    kinds = [type(b) for b in backgrounds[:5]]
    assert kinds == [ImageBackground, BlurBackground, VideoBackground, TransparentBackground, ColorBackground]
    for background in backgrounds:
        background.open()
        layer = background.layer(64, 36, 0)
        assert not isinstance(layer, Plate) or isinstance(background, ColorBackground) or layer.image.std() > 3
        background.close()


def test_the_shipped_files_are_small_and_of_the_right_size() -> None:
    folder = assets()
    assert folder is not None
    images = sorted(folder.glob("*.jpg"))
    assert len(images) >= 4
    for path in images:
        assert path.stat().st_size < 400_000
        assert cv2.imread(str(path)).shape == (1080, 1920, 3)
    (video,) = folder.glob("*.mp4")
    assert video.stat().st_size < 1_500_000


@pytest.mark.slow
def test_the_shipped_video_loops_without_a_jump() -> None:
    folder = assets()
    assert folder is not None
    with av.open(str(folder / "aurora.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        frames = [f.to_ndarray(format="gray").astype(np.int16) for f in container.decode(video=0)]
    assert len(frames) == 240
    steps = [float(np.abs(b - a).mean()) for a, b in pairwise(frames)]
    assert float(np.median(steps)) > 0.05, "it moves"
    assert np.abs(frames[-1] - frames[0]).mean() < 1.5 * max(steps)


def test_the_assets_are_found_in_a_wheel_and_in_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site" / "rvm_live"
    monkeypatch.setattr(shipped, "files", lambda name: package)
    assert assets() is None
    assert [b.label for b in builtin()] == ["blur 25", "transparent", "color #00b140"]
    (tmp_path / "site" / "assets" / "backgrounds").mkdir(parents=True)
    assert assets() == tmp_path / "site" / "assets" / "backgrounds"
    (package / "_assets" / "backgrounds").mkdir(parents=True)
    assert assets() == package / "_assets" / "backgrounds"


def test_the_cycle_starts_with_the_users_own(tmp_path: Path) -> None:
    picture(tmp_path / "mine.png")
    labels = [b.label for b in default_cycle([str(tmp_path), "blur:40"])]
    assert labels[:3] == ["image mine", "blur 40", "image studio"]
    assert "blur 25" not in labels and labels.count("transparent") == 1
    assert [b.label for b in default_cycle([])] == [b.label for b in builtin()]
    assert PLAIN not in labels
