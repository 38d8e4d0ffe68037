"""How runs are assembled: the same settings mean the same in live video, in files and in long runs."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import pkgutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import rvm_live
from rvm_live.apps.assembly import Assembly, failover, reconnecting
from rvm_live.apps.batch.run import run as run_batch
from rvm_live.apps.batch.settings import BatchSettings
from rvm_live.apps.live import run as run_live
from rvm_live.apps.soak.run import SoakSettings
from rvm_live.apps.soak.run import run as run_soak
from rvm_live.backgrounds.color import ColorBackground
from rvm_live.core.frames import Composite, Frame, Matte
from rvm_live.core.notices import Notices
from rvm_live.core.queues import Overflow
from rvm_live.core.settings import EngineSettings, LiveSettings, SourceSettings
from tests.conftest import ROOT
from tests.support.engines import LeftHalfEngine
from tests.support.movies import make_movie, pictures

BLUE = (255, 0, 0)


class BlueEngine(LeftHalfEngine):
    """Takes the left half for the person, and paints it blue."""

    def matte(self, frame: Frame) -> Matte:
        return dataclasses.replace(super().matte(frame), foreground=np.full_like(frame.image, BLUE))


def blue(foreground: str) -> EngineSettings:
    return EngineSettings(engine="tests.apps.test_assembly:BlueEngine", foreground=foreground)


def test_whose_colours_are_seen_is_said_in_one_place() -> None:
    holders = set()
    for module in pkgutil.walk_packages(rvm_live.__path__, "rvm_live."):
        if module.name.endswith("settings"):
            for each in vars(importlib.import_module(module.name)).values():
                if dataclasses.is_dataclass(each) and "foreground" in {
                    field.name for field in dataclasses.fields(each)
                }:
                    holders.add(each)
    assert holders == {EngineSettings}


def test_the_engines_settings_say_whose_colours_a_file_gets(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=3, sound=())
    for foreground, seen in (("model", np.full((64, 48, 3), BLUE)), ("source", pictures(clip, "bgr24")[0][:, :48])):
        folder = tmp_path / foreground
        settings = BatchSettings((str(clip),), folder, engine=blue(foreground), container="mkv", background="black")
        assert run_batch(settings, signals=False).files[0].state == "done"
        got = pictures(folder / "output_clip.mkv", "bgra")[0][:, :48, :3]
        assert np.abs(got.astype(int) - seen).mean() < 1


def test_a_pipeline_is_put_together_in_one_place() -> None:
    made: dict[str, set[str]] = {}
    package = ROOT / "rvm_live"
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                made.setdefault(node.func.id, set()).add(path.relative_to(package).as_posix())
    for part in ("Pipeline", "Composer", "FailoverEngine", "ReconnectingSource"):
        own = {"backgrounds/live.py"} if part == "ReconnectingSource" else set()  # the background's own source
        assert made[part] - own == {"apps/assembly.py"}, part


def left(image: NDArray[np.uint8]) -> NDArray[np.int64]:
    return image[:, :48, :3].astype(int)


@pytest.mark.few(1)
@pytest.mark.parametrize("foreground", ["model", "source"])
def test_a_stream_and_a_long_run_and_the_program_take_whose_colours_from_the_same_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, foreground: str
) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=4, sound=())
    first = left(pictures(clip, "bgr24")[0])

    def fits(image: NDArray[np.uint8], frame: NDArray[np.uint8]) -> bool:
        seen = np.full_like(first, BLUE) if foreground == "model" else left(frame)
        return bool(np.abs(left(image) - seen).mean() < 4)

    engine = blue(foreground)
    for composite in rvm_live.stream(clip, "black", engine=engine.engine, foreground=foreground):  # type: ignore[arg-type]
        assert fits(composite.image, composite.frame.image)

    report = run_live(
        LiveSettings(
            SourceSettings(str(clip), realtime=False),
            engine,
            backgrounds=("black",),
            headless=True,
            record=f"{tmp_path}/stills/",
        )
    )
    stills = sorted((tmp_path / "stills").rglob("*.png"))
    assert report.snapshot.unique == len(stills) == 4
    assert fits(cv2.imread(str(stills[0])), pictures(clip, "bgr24")[0])

    seen: list[Composite] = []
    monkeypatch.setattr("rvm_live.apps.soak.run._Eye.write", lambda eye, composite: seen.append(composite))
    monkeypatch.setattr("rvm_live.apps.soak.run.default_cycle", lambda _: [ColorBackground("black")])
    run_soak(SoakSettings(frames=100, source=SourceSettings("demo", 96, 64, 1000.0, realtime=False), engine=engine))
    assert len(seen) == 100 and all(fits(each.image, each.frame.image) for each in seen[::10])


def test_files_keep_no_rate_and_take_what_is_published_and_live_video_keeps_up() -> None:
    """Whether frames may be dropped is set in one place, and the engine, the composer and the pipeline follow it."""
    notices = Notices()
    for overflow, live in ((Overflow.DROP_OLDEST, True), (Overflow.BLOCK, False)):
        engine = failover(blue("source"), notices, live=live)
        assert engine.settings.keep_up is live
        background = ColorBackground("red")
        source = reconnecting(SourceSettings("demo"), notices)
        parts = Assembly(source, engine, [background], overflow=overflow, notices=notices)
        assert parts.live is live and background.exact is not live
        pipeline = parts.pipeline(max_fps=30, adaptive_fps=30)
        assert pipeline.captured.policy is overflow and pipeline.notices is notices
        assert (pipeline._pacer is not None) is live
        assert pipeline._matting._adaptive_fps == (30 if live else None)
