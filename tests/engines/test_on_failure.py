"""What is tried when an engine fails, as one table for live video and files."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rvm_live.apps.batch.out_of_memory import OutOfMemoryFallback
from rvm_live.core.errors import EngineError, NoMemoryError
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.notices import Notices
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.base import EngineInfo
from rvm_live.engines.on_failure import on_failure
from tests.support.engines import HungryEngine, PassThroughEngine

FULL = NoMemoryError("out of memory")
BROKEN = EngineError("the driver is gone")
AUTO = EngineSettings(device="cuda", precision="fp16")
RVM = replace(AUTO, engine="rvm")


def failed(asked: EngineSettings, engine: str, device: str, ratio: float) -> PassThroughEngine:
    made = PassThroughEngine(asked)
    made._info = EngineInfo(engine, "none", device, device, "fp32", ratio)
    return made


@pytest.mark.parametrize(
    ("error", "asked", "here", "live", "files"),
    [
        (FULL, AUTO, ("rvm", "cuda:0", 0.5), ["at ratio 0.25", "on the CPU", "lite"], ["at ratio 0.25", "on the CPU"]),
        (FULL, AUTO, ("rvm", "cuda:0", 0.3), ["at ratio 0.15", "on the CPU", "lite"], ["on the CPU"]),
        (FULL, AUTO, ("rvm", "cuda:0", 0.1), ["anew", "on the CPU", "lite"], ["on the CPU"]),
        (BROKEN, AUTO, ("rvm", "cuda:0", 0.5), ["anew", "on the CPU", "lite"], ["on the CPU"]),
        (BROKEN, RVM, ("rvm", "cuda:0", 0.5), ["anew", "on the CPU"], ["on the CPU"]),
        (BROKEN, AUTO, ("rvm", "cpu", 0.5), ["anew", "lite"], []),
        (BROKEN, AUTO, ("lite", "cpu", 0.5), ["anew"], []),
        (FULL, RVM, ("rvm", "cpu", 0.5), ["at ratio 0.25"], ["at ratio 0.25"]),
        (FULL, RVM, ("rvm", "cpu", 0.1), ["anew"], []),
    ],
)
def test_what_is_tried(
    error: Exception, asked: EngineSettings, here: tuple[str, str, float], live: list[str], files: list[str]
) -> None:
    engine = failed(asked, *here)
    tried = on_failure(error, asked, engine, (1280, 720), least_side=128, anew=asked, embedded=True)
    assert [
        words.replace("with the same engine, opened again", "anew").split(" engine ")[-1] for _, words in tried
    ] == live
    for settings, words in tried:
        if words == "on the CPU":
            assert settings == replace(asked, device="cpu", precision="auto"), "at the ratio that was asked for"
        if words.endswith("lite"):
            assert (settings.engine, settings.device, settings.downsample_ratio) == ("lite", "cpu", None)
    assert [words for _, words in on_failure(error, asked, engine, (1280, 720), least_side=256)] == files


def test_no_size_no_smaller_ratio() -> None:
    assert [each.words for each in on_failure(FULL, RVM, failed(RVM, "rvm", "cuda:0", 1.0), None, least_side=256)] == [
        "on the CPU"
    ]


def test_main_memory_that_does_not_suffice_either_means_a_smaller_ratio_there() -> None:
    class Hungrier(HungryEngine):
        def matte(self, frame: Frame) -> Matte:
            if self._info.device == "cpu" and self._info.downsample_ratio > 0.5:
                raise NoMemoryError("out of memory on cpu")
            return super().matte(frame)

    told = Notices()
    asked = EngineSettings(engine="rvm", downsample_ratio=1.0, device="cuda")
    engine = OutOfMemoryFallback(Hungrier, asked, 1, told)
    engine.open()
    engine.prepare(640, 360)
    assert engine.matte(Frame(np.zeros((360, 640, 3), np.uint8), 0, 0, 0)).frame.seq == 0
    said = [note.rpartition(": continuing ")[2] for note in told.fallbacks]
    assert said == ["at ratio 0.5", "on the CPU", "at ratio 0.5"]
    assert (engine.info.device, engine.info.downsample_ratio) == ("cpu", 0.5)
