"""How runs are put together: the same settings mean the same in live video, in files and in long runs."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from pathlib import Path

import numpy as np

import rvm_live
from rvm_live.apps.batch.run import run as run_batch
from rvm_live.apps.batch.settings import BatchSettings
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.settings import EngineSettings
from tests.support.engines import LeftHalfEngine
from tests.support.movies import make_movie, pictures

BLUE = (255, 0, 0)


class BlueEngine(LeftHalfEngine):
    """Takes whoever is in the left half for blue."""

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
