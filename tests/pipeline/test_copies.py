"""No full-size picture is made without a reader: all that are made are counted, on each path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from rvm_live.backgrounds.parse import parse
from rvm_live.compositing.composer import Composer
from rvm_live.compositing.output import Output
from rvm_live.core.frames import Composite
from rvm_live.core.notices import Notices
from rvm_live.core.queues import FrameQueue, Overflow
from rvm_live.core.settings import EngineSettings, SourceSettings
from rvm_live.engines.select import AutoEngine
from rvm_live.media.colour import yuv_of
from rvm_live.pipeline.metrics import Metrics
from rvm_live.pipeline.stage import Epoch
from rvm_live.pipeline.stages import CaptureStage
from rvm_live.sinks.base import Shot
from rvm_live.sinks.recording.video_file import VideoFile
from rvm_live.sinks.window import views
from rvm_live.sources.demo.demo import DemoSource
from tests.support.copies import counted
from tests.support.fast import fast

SIZE = WIDTH, HEIGHT = 1280, 720
ALPHA = WIDTH * HEIGHT
"""Bytes of the least that counts. Of half the size, what is kept of the alpha before is as many, in floating point."""

SOURCE, ALPHA_PLANE, PICTURE, STEADY = "scenery.at", "one_pass.all_of", "one_pass._run", "smoothing.before"


class Way:
    """A frame's path from the source to the composite, on this thread."""

    def __init__(self, engine: EngineSettings, *, mirror: bool = False, camera: bool = False) -> None:
        source = DemoSource(SourceSettings("demo", width=WIDTH, height=HEIGHT, realtime=False))
        source.open()
        queue: FrameQueue[Any] = FrameQueue("captured", 2, Overflow.DROP_OLDEST)
        self.source = source
        self.capture = CaptureStage(source, queue, epoch=Epoch(), metrics=Metrics(), notices=Notices(), mirror=mirror)
        self.engine = AutoEngine(engine)
        self.engine.open()
        self.engine.prepare(*SIZE)
        outputs = {"camera": Output(pixels="nv12")} if camera else {}
        self.composer = Composer(parse("color:navy"), compositor="cpu", outputs=outputs)
        self.composer.open(*SIZE, "cpu")

    def frame(self) -> Composite:
        return self.composer.compose(self.engine.matte(self.capture._frame(self.source.read())))

    def close(self) -> None:
        self.composer.close()
        self.engine.close()
        self.source.release()


def settled(way: Way) -> list[str]:
    """The arrays that one frame needs once everything is warm."""
    try:
        with fast():
            for _ in range(3):
                way.frame()
            with counted(ALPHA) as told:
                way.frame()
        return told
    finally:
        way.close()


def lite() -> EngineSettings:
    return EngineSettings("lite", device="cpu", precision="fp32", keep_up=True)


def test_live_with_lite_a_frame_is_the_sources_alpha_and_the_result() -> None:
    assert settled(Way(lite())) == [SOURCE, STEADY, ALPHA_PLANE, PICTURE]


def test_what_is_mirrored_or_goes_to_a_camera_is_one_picture_more() -> None:
    told = settled(Way(lite(), mirror=True, camera=True))
    assert told == [SOURCE, "stages._mirrored", STEADY, ALPHA_PLANE, PICTURE, "one_pass.yuv_of"]


@pytest.mark.slow
def test_live_with_openvino_a_frame_is_the_sources_alpha_and_the_result(weights: Path) -> None:
    asked = EngineSettings("openvino", device="cpu", precision="fp32", downsample_ratio=0.2, weights=weights)
    assert settled(Way(asked)) == [SOURCE, ALPHA_PLANE, PICTURE]


class _Frames:
    """PyAV's frames, reporting what is copied into one."""

    from_numpy_buffer = av.VideoFrame.from_numpy_buffer

    def __init__(self) -> None:
        self.copied: list[tuple[int, ...]] = []

    def from_ndarray(self, image: NDArray[np.uint8], format: str) -> Any:
        self.copied.append(image.shape)
        return av.VideoFrame.from_ndarray(image, format=format)


def test_what_is_recorded_is_read_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames, picture = _Frames(), np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    before = picture.copy()
    writer = VideoFile(tmp_path / "film.mp4", fps=30)
    with monkeypatch.context() as patch:
        patch.setattr(av, "VideoFrame", frames)
        writer.write(Shot(picture, 0, 0, None))
        with counted(ALPHA) as told:
            writer.write(Shot(picture, 1, 33_000_000, None))
        with counted(ALPHA) as planes:
            yuv_of(picture, "nv12")
    writer.finish()
    assert frames.copied == [] and told == [] and len(planes) == 1
    assert np.array_equal(picture, before)
    with av.open(str(tmp_path / "film.mp4")) as film:
        seen = [frame.to_ndarray(format="bgr24") for frame in film.decode(video=0)]
    assert len(seen) == 2 and np.abs(seen[1].astype(int) - before).mean() < 60  # of noise with half its colours


@pytest.mark.parametrize(("size", "many"), [(SIZE, 1), ((960, 540), 1)])
def test_the_windows_picture_is_one(size: tuple[int, int], many: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    with counted(size[0] * size[1] * 3) as told:
        shown = views.picture(image, *size)
    assert len(told) == many and shown.shape == (size[1], size[0], 3) and not np.shares_memory(shown, image)
