"""Short clips as GIF and WebP, checked with other programs' decoders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from rvm_live.apps.batch import animation
from tests.support.movies import make_movie, names, pictures
from tests.support.program import call
from tests.support.videos import make_video

HALF = ("--engine", "tests.support.engines:LeftHalfEngine")


def work(*arguments: str | Path) -> str:
    done = call("batch", *HALF, *arguments)
    assert done.code == 0, done.out + done.err
    return done.out


def shown(path: Path) -> tuple[list[NDArray[np.uint8]], list[int], dict[str, Any]]:
    """The pictures of an animation, BGRA; how many milliseconds each is shown; and the file's metadata."""
    found, lengths = [], []
    with Image.open(path) as file:
        for number in range(getattr(file, "n_frames", 1)):
            file.seek(number)
            found.append(np.asarray(file.convert("RGBA"))[..., [2, 1, 0, 3]])
            lengths.append(int(file.info["duration"]))
        return found, lengths, dict(file.info)


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_a_clip_becomes_an_animation_that_is_clear_around_the_person(tmp_path: Path, kind: str) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=10, fps=25)
    work(clip, "-o", tmp_path / f"cut.{kind}")
    found, lengths, told = shown(tmp_path / f"cut.{kind}")
    assert lengths == [40] * 10
    assert told["loop"] == 0
    for picture, own in zip(found, pictures(clip, "bgr24"), strict=True):
        assert (picture[:, :48, 3] == 255).all()
        assert not picture[:, 48:, 3].any()
        off = np.abs(picture[:, :47, :3].astype(int) - own[:, :47])
        assert off.mean() < 8, off.mean()
    assert not [name for name in names(tmp_path) if name.startswith(".") and name.endswith(".parts")]


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_over_a_background_and_as_alpha_they_are_opaque(tmp_path: Path, kind: str) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=4, fps=25)
    work(
        clip, "-o", tmp_path / "out", "--container", kind, "-b", "color:#2040a0", "--write", "composite,alpha,fill-key"
    )
    found, _, _ = shown(tmp_path / "out" / f"output_clip.{kind}")
    assert all((picture[..., 3] == 255).all() for picture in found)
    assert np.abs(found[-1][:, 60:, :3].astype(int) - (0xA0, 0x40, 0x20)).max() <= 8
    alpha, _, _ = shown(tmp_path / "out" / f"output_clip_alpha.{kind}")
    assert (alpha[-1][:, :46, :3] > 250).all()
    assert (alpha[-1][:, 50:, :3] < 5).all()
    both, _, _ = shown(tmp_path / "out" / f"output_clip_fill-key.{kind}")
    assert both[0].shape[1] == 192


def test_half_a_person_is_a_whole_one_in_a_gif_and_as_much_in_a_webp(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=3, fps=25)
    ramp = np.tile(np.linspace(0, 112, 96, dtype=np.uint8), (64, 1))
    cv2.imwrite(str(tmp_path / "mask.png"), ramp)
    asked = ("--engine", "tests.support.engines:PassThroughEngine", "--mask", tmp_path / "mask.png")
    for kind in ("gif", "webp", "mkv"):
        done = call("batch", clip, "-o", tmp_path / "out", "--container", kind, *asked)
        assert done.code == 0, done.out + done.err
    wanted = pictures(tmp_path / "out" / "output_clip.mkv", "bgra")
    for ours, theirs in zip(shown(tmp_path / "out" / "output_clip.webp")[0], wanted, strict=True):
        assert np.array_equal(ours[..., 3], theirs[..., 3])
    for ours, theirs in zip(shown(tmp_path / "out" / "output_clip.gif")[0], wanted, strict=True):
        assert np.array_equal(ours[..., 3], np.where(theirs[..., 3] >= 128, 255, 0))
        assert not ours[ours[..., 3] == 0].any() or (ours[ours[..., 3] == 0][:, 3] == 0).all()


def test_a_variable_rate_stays_and_what_browsers_would_slow_down_is_left_out(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.15, 0.4]
    clip = make_video(tmp_path / "vfr.mkv", frames=len(times), times=times)
    work(clip, "-o", tmp_path / "out", "--container", "gif")
    work(clip, "-o", tmp_path / "out", "--container", "webp")
    for kind in ("gif", "webp"):
        assert shown(tmp_path / "out" / f"output_vfr.{kind}")[1][:3] == [100, 50, 250]
    fast = make_movie(tmp_path / "fast.mp4", frames=60, fps=100)
    told = work(fast, "-o", tmp_path / "out", "--container", "gif")
    assert "30 of 60 frames left out: a GIF shows at most 50 per second" in told
    _, lengths, _ = shown(tmp_path / "out" / "output_fast.gif")
    assert lengths == [20] * 30


@pytest.mark.few(1)
@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_what_is_too_long_or_too_large_is_refused_before_anything_is_written(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = make_movie(tmp_path / "long.mp4", frames=61, fps=1, sound=())
    large = make_movie(tmp_path / "large.mp4", frames=2, size=(1922, 32))
    for clip, words in ((long, f"61 s are too long for {kind}, which takes 60 s"), (large, "1922x32 is too large")):
        done = call("batch", *HALF, clip, "-o", tmp_path / "out", "--container", kind)
        assert done.code == 1
        assert words in done.out + done.err
    assert {name for name in names(tmp_path / "out")} == {"log_output_long.txt", "log_output_large.txt"}
    work(long, "-o", tmp_path / "out", "--container", kind, "--start", "5", "--end", "9")
    assert shown(tmp_path / "out" / f"output_long.{kind}")[1] == [1000] * 4
    monkeypatch.setattr(animation, "_MOST_SECONDS", 1)
    done = call("batch", *HALF, make_video(tmp_path / "a.h264", frames=60), "-o", tmp_path / "two", "--container", kind)
    assert "too long" in done.out + done.err
    done = call("batch", *HALF, long, "-o", tmp_path / "two", "--container", kind, "--codec", "vp9")
    assert (done.code, f"the codec vp9 cannot be stored in {kind}" in done.err) == (2, True)


def test_two_runs_make_the_same_bytes_and_one_that_was_stopped_goes_on(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=48)
    asked = ("--segment", "1", "--seq-chunk", "6", "--write", "composite,alpha")
    for kind in ("gif", "webp"):
        work(clip, "-o", tmp_path / "one", "--container", kind, *asked)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(animation, "_gif" if kind == "gif" else "_webp", _full)
            assert call("batch", *HALF, clip, "-o", tmp_path / "two", "--container", kind, *asked).code == 1
        assert "continued at frame 48" in work(clip, "-o", tmp_path / "two", "--container", kind, *asked, "--resume")
        for name in (f"output_clip.{kind}", f"output_clip_alpha.{kind}"):
            assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def _full(*_: Any) -> list[str]:
    raise OSError(28, "No space left on device")
