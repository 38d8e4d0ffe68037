"""Files fit their background as live video does: the same bytes each time, and another look makes another output."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from rvm_live.apps.batch.segments import Segments
from tests.support.movies import make_movie
from tests.support.program import call

SIZE = (640, 384)


def pictures(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.glob("*.png"))]


def test_alpha_and_composite_have_the_look_and_the_same_bytes_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=6, size=SIZE, sound=())
    behind = np.tile(np.linspace(20, 160, SIZE[0], dtype=np.uint8)[:, None] // np.uint8([1, 2, 3]), (SIZE[1], 1, 1))
    cv2.imwrite(str(tmp_path / "behind.png"), behind)
    plain = ("batch", clip, "--engine", "tests.support.engines:LeftHalfEngine", "--background",
             f"image:{tmp_path / 'behind.png'}", "--container", "png", "--write", "composite,alpha",
             "--name-template", "{name}")  # fmt: skip
    look = ("--match", "80", "--light-wrap", "40", "--blend", "linear", "--shrink", "4")
    for out, more in (("a", ()), ("b", look), ("c", look)):
        done = call(*plain, *more, "-o", tmp_path / out)
        assert done.code == 0, done
    found = {out: pictures(tmp_path / out / "clip") for out in "abc"}
    assert len(found["a"]) == 6 and found["b"] == found["c"] != found["a"]
    alpha = cv2.imread(str(tmp_path / "b" / "clip_alpha" / "000003.png"), cv2.IMREAD_GRAYSCALE)
    assert set(alpha[:, : SIZE[0] // 2 - 4].flatten()) == {255} and not alpha[:, SIZE[0] // 2 - 4 :].any()
    one, other = (cv2.imread(str(tmp_path / out / "clip" / "000003.png")).astype(int) for out in "ab")
    assert np.abs(one - other)[:, : SIZE[0] // 2 - 40].mean() > 2, "the person is in another light"
    np.testing.assert_array_equal(one[:, SIZE[0] // 2 :], other[:, SIZE[0] // 2 :])

    assert "made with another look" in call(*plain, "-o", tmp_path / "b").out
    resumed: list[bool] = []
    begin = Segments.begin
    monkeypatch.setattr(Segments, "begin", lambda self, *, resume: resumed.append(resume) or begin(self, resume=resume))
    for more in (look, ("--blend", "linear")):
        call(*plain, *more, "-o", tmp_path / "b", "--resume", "--force")
    assert resumed == [False, True], "what a match has followed is not kept"


@pytest.mark.parametrize("more", [("--match", "101"), ("--grow", "-1"), ("--soften", "x"), ("--blend", "screen")])
def test_what_cannot_be_is_one_line(tmp_path: Path, more: tuple[str, str]) -> None:
    done = call("batch", tmp_path / "clip.mp4", *more)
    assert done.code == 2 and len(done.err.strip().splitlines()[-1]) < 120 and "Traceback" not in done.err
    assert more[0][2:] in done.err
