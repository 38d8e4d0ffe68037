"""A long run needs no more memory than a short one."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from rvm_live.backgrounds.parse import parse
from rvm_live.compositing.composer import Composer
from rvm_live.core.frames import Composite
from rvm_live.core.notices import Notices
from rvm_live.core.queues import Overflow
from rvm_live.core.settings import EngineSettings, SourceSettings
from rvm_live.engines.rvm.openvino.engine import OpenVinoEngine
from rvm_live.pipeline.pipeline import Pipeline
from rvm_live.sinks.base import Sink
from rvm_live.sources.factory import open_source

WARM, END = 300, 900


class _Watch(Sink):
    """Records the resident megabytes after every hundredth frame."""

    def __init__(self) -> None:
        self.megabytes: dict[int, float] = {}

    def open(self) -> None:
        pass

    def write(self, composite: Composite) -> None:
        if composite.seq % 100 == 0:
            self.megabytes[composite.seq] = psutil.Process().memory_info().rss / 1e6

    def close(self, *, failed: bool) -> None:
        pass


@pytest.mark.slow
@pytest.mark.parametrize("foreground", ["model", "source"])
def test_memory_is_steady(weights: Path, foreground: str) -> None:
    watch = _Watch()
    notices = Notices()
    pipeline = Pipeline(
        open_source(SourceSettings("demo", width=320, height=180, realtime=False)),
        OpenVinoEngine(EngineSettings(weights=weights, downsample_ratio=0.25, foreground=foreground)),
        Composer(parse("blur:25"), foreground=foreground, notices=notices),
        [watch],
        overflow=Overflow.BLOCK,
    )
    pipeline.run(frames=END)
    warm = max(watch.megabytes[seq] for seq in range(WARM - 200, WARM + 1, 100))
    # A picture of 320x180 is 0.17 MB: keeping one of every ten frames would add 8 MB.
    assert watch.megabytes[END - 100] - warm < 5, watch.megabytes
