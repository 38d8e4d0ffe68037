"""Composers and sinks without OpenCV, for tests of the pipeline itself."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rvm_live.compositing.composer import Composer
from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.errors import CompositorError, SinkError
from rvm_live.core.frames import Composite, Matte, Stamps
from rvm_live.sinks.base import Sink


class DirectComposer:
    """Composites over black, in NumPy."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK, fail_after: int | None = None) -> None:
        self.clock = clock
        self.fail_after = fail_after
        self.calls: list[str] = []

    def open_backgrounds(self, width: int, height: int) -> None:
        self.calls.append("open_backgrounds")

    def open(self, width: int, height: int, device: str) -> None:
        self.calls.append("open")

    def compose(self, matte: Matte) -> Composite:
        if self.fail_after is not None and self.calls.count("compose") >= self.fail_after:
            raise CompositorError("the composer failed on purpose")
        self.calls.append("compose")
        started = self.clock.now_ns()
        host = matte.host()
        image = np.where(host.alpha[..., None] > 127, host.foreground, 0).astype(np.uint8)
        stamps = Stamps(matte.frame.captured_ns, matte.started_ns, matte.finished_ns, started, self.clock.now_ns())
        return Composite(image, matte, stamps, backend="direct", background="black")

    def close(self) -> None:
        self.calls.append("close")


class ListSink(Sink):
    """Keeps every composite that it is given.

    Args:
        on_write: called with every composite, on the thread that runs the pipeline.
        fail_after: after this many writes, raise SinkError.
    """

    runs_on = "run"

    def __init__(self, on_write: Callable[[Composite], None] | None = None, fail_after: int | None = None) -> None:
        self.composites: list[Composite] = []
        self.calls: list[str] = []
        self.idles = 0
        self.on_write = on_write
        self.fail_after = fail_after

    def open(self) -> None:
        self.calls.append("open")

    def write(self, composite: Composite) -> None:
        if self.fail_after is not None and len(self.composites) >= self.fail_after:
            raise SinkError("the sink failed on purpose")
        self.composites.append(composite)
        if self.on_write is not None:
            self.on_write(composite)

    def idle(self) -> None:
        self.idles += 1

    def close(self, *, failed: bool) -> None:
        self.calls.append(f"close(failed={failed})")


def next_background(composer: Composer) -> None:
    """Choose the background after the present one."""
    names = composer.backgrounds
    place = names.index(composer.background) if composer.background in names else -1
    composer.show_background(names[(place + 1) % len(names)])


def next_compositor(composer: Composer) -> None:
    """Choose the back end after the present one."""
    names = composer.working
    composer.use_compositor(names[(names.index(composer.backend) + 1) % len(names)])
