"""Outputs side by side: each sink has its own mailbox, thread and rate, and shows no stale face.

In live video the compositing thread puts every composite into all mailboxes without waiting. So a slow output misses
pictures (its own drops are counted), and one that fails or hangs ends alone and is reported, if another continues.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, NamedTuple

from rvm_live.core.clock import Clock
from rvm_live.core.errors import QueueClosed, SettingsError, SinkError
from rvm_live.core.frames import Composite
from rvm_live.core.notices import Notices
from rvm_live.core.queues import FrameQueue, Overflow
from rvm_live.core.validation import check_has
from rvm_live.core.worker import Worker
from rvm_live.pipeline.pacing import Pacer
from rvm_live.pipeline.stage import Epoch, is_stale
from rvm_live.pipeline.watchdog import GRACE_S, PATIENT_NS
from rvm_live.sinks.base import PictureSink, Shot, Sink
from rvm_live.sinks.stale_timeout import StaleTimeout

__all__ = ["FanOut", "Fresh", "SinkThread"]

_IDLE_S = 0.01
_LIVE_SIZE, _FILE_SIZE = 2, 4


class Fresh:
    """Keeps a sink from showing stale pictures: invariant 2 for every sink, on any thread.

    Args:
        sink: the sink; only this object writes to it.
        clock: monotonic time.
    """

    def __init__(self, sink: Sink, clock: Clock) -> None:
        self.sink = sink
        self._stale = StaleTimeout(clock)

    def write(self, picture: Composite | Shot) -> None:
        """Show one picture."""
        self._stale.shown()
        if isinstance(picture, Shot):
            assert isinstance(self.sink, PictureSink)
            self.sink.write_picture(picture)
        else:
            self.sink.write(picture)

    def idle(self) -> None:
        """Called while no picture comes: hides one that has been shown for too long."""
        if self._stale.over:
            _call(self.sink, "clear")
        _call(self.sink, "idle")


class _Item(NamedTuple):
    epoch: int
    picture: Composite | Shot


class SinkThread:
    """One sink on a thread of its own, from its opening to its close.

    Args:
        sink: opened, written to and closed on the thread ``rvm-NAME``.
        name: of the thread, also in messages.
        policy: ``DROP_OLDEST`` for a mailbox that holds the newest, ``BLOCK`` to lose nothing.
        epoch: pictures of an older one are not shown in live video.
        fps: most pictures per second; None: no limit. The sink's own rate counts if it is lower.
        clock: monotonic time.

    Attributes:
        lost: it has failed, or hangs.
        added: it was added during the run; its failure ends no run.
    """

    def __init__(
        self, sink: Sink, name: str, *, policy: Overflow, epoch: Epoch, fps: float | None, clock: Clock
    ) -> None:
        self.sink, self.name = sink, name
        self.lost = False
        self._fresh = Fresh(sink, clock)
        size = _LIVE_SIZE if policy is Overflow.DROP_OLDEST else _FILE_SIZE
        self._worker: Worker[_Item] = Worker(name, self._work, maxsize=size, policy=policy)
        rates = [rate for rate in (fps, _of(sink, "fps")) if rate is not None]
        self._pacer = Pacer(min(rates)) if rates and policy is Overflow.DROP_OLDEST else None
        self._epoch, self._clock = epoch, clock
        self.added = False
        self._opened: Future[None] = Future()
        self._failed: Future[bool] = Future()
        self._busy_since_ns: int | None = None

    @property
    def queue(self) -> FrameQueue[_Item]:
        return self._worker.queue

    @property
    def error(self) -> BaseException | None:
        """The error that ended it; None if there was none."""
        opening = self._opened.exception() if self._opened.done() else None
        return opening or self._worker.error

    def open(self) -> None:
        """Open the sink on its thread; raises the sink's error."""
        if not self.added:
            self.start()
            self._opened.result()

    def start(self) -> None:
        """Start the thread that opens the sink; :meth:`FanOut.look` finds failures."""
        self._worker.start()

    def put(self, composite: Composite) -> None:
        """Pass a composite on; a sink of pictures gets it without its matte, which may be in a device's memory.

        Raises:
            QueueClosed: it has ended.
        """
        picture = Shot.of(composite) if isinstance(self.sink, PictureSink) else composite
        self.queue.put(_Item(composite.epoch, picture))

    def hangs(self, live: bool) -> bool:
        """Whether it has worked on one picture for too long."""
        since_ns, patience_ns = self._busy_since_ns, round(_of(self.sink, "patience_s") * 1e9)
        limit_ns = patience_ns if live else max(PATIENT_NS, patience_ns)
        return since_ns is not None and self._clock.now_ns() - since_ns > limit_ns

    def end(self, *, failed: bool) -> None:
        """Let the sink write the waiting pictures, then close it; :meth:`join` waits for that."""
        self.queue.close()
        with suppress(Exception):
            self._failed.set_result(failed)

    def join(self, timeout_s: float | None) -> bool:
        """Whether it has ended."""
        return self._worker.join(timeout_s)

    def _work(self) -> None:
        failed = True
        try:
            try:
                self.sink.open()
            except BaseException as error:
                self._opened.set_exception(error)
                return
            self._opened.set_result(None)
            self._write_all()
            failed = self._failed.result()
        finally:
            self.sink.close(failed=failed)

    def _write_all(self) -> None:
        while True:
            if self._pacer is not None and not self.queue.closed:
                wait_ns = self._pacer.wait_ns(self._clock.now_ns())
                if wait_ns > 0:
                    self._attend(None)
                    self._clock.sleep(min(wait_ns / 1e9, _IDLE_S))
                    continue
            try:
                item = self.queue.get(_IDLE_S)
            except TimeoutError:
                self._attend(None)
                continue
            except QueueClosed:
                return
            if is_stale(item.epoch, self._epoch, self.queue):
                continue
            self._attend(item.picture)
            if self._pacer is not None:
                self._pacer.shown(self._clock.now_ns())
            # Hold no reference to it while waiting for the next one.
            del item

    def _attend(self, picture: Composite | Shot | None) -> None:
        self._busy_since_ns = self._clock.now_ns()
        if picture is None:
            self._fresh.idle()
        else:
            self._fresh.write(picture)
        self._busy_since_ns = None


class FanOut:
    """What the compositing stage puts its composites into.

    Args:
        lead: the queue of the thread that runs the pipeline; when it ends, all end.
        sinks: where composites go.
        notices: told of outputs that end alone.
        epoch: pictures of an older one are not shown in live video.
        fps: pictures a second that an output gets at most; None: as they come.
        clock: monotonic time.

    Attributes:
        outputs: sinks on threads of their own.
        here: sinks on the thread that runs the pipeline, which takes composites from ``lead``.
        needs_main: that thread must be the program's main thread.
        limit: how many composites of a file are passed on; None: all.
    """

    def __init__(
        self,
        lead: FrameQueue[Composite],
        sinks: Iterable[Sink],
        notices: Notices,
        *,
        epoch: Epoch,
        fps: float | None,
        clock: Clock,
    ) -> None:
        self.outputs: list[SinkThread] = []
        self.here: list[Fresh] = []
        self.needs_main = False
        self.limit: int | None = None
        self._lead, self._notices = lead, notices
        self._live = lead.policy is Overflow.DROP_OLDEST
        self._epoch, self._fps, self._clock = epoch, fps, clock
        self._names: list[str] = []
        self._leaving: list[SinkThread] = []
        self._changing = threading.Lock()
        self._over = False
        for sink in sinks:
            where = _of(sink, "runs_on")
            if where != "own":
                self.here.append(Fresh(sink, clock))
                self.needs_main |= where == "main"
                continue
            self.outputs.append(self._thread(sink))

    def _thread(self, sink: Sink) -> SinkThread:
        name = _of(sink, "name") or type(sink).__name__.lower()
        self._names.append(name)
        name = name if self._names.count(name) == 1 else f"{name} {self._names.count(name)}"
        return SinkThread(sink, name, policy=self._lead.policy, epoch=self._epoch, fps=self._fps, clock=self._clock)

    def add(self, sink: Sink) -> None:
        """Add another output during the run, from any thread. Nobody waits for it to open; one that fails is
        reported and ends alone.

        Raises:
            SettingsError: it needs the run's own thread, the run is not live, or it is over.
        """
        check_has(sink, "a sink", "an rvm_live.Sink", ("open", "write", "close"))
        if _of(sink, "runs_on") != "own" or not self._live:
            raise SettingsError("outputs can only be added or removed in live video")
        with self._changing:
            if self._over:
                raise SettingsError("the run is over")
            output = self._thread(sink)
            output.added = True
            output.start()
            self.outputs = [*self.outputs, output]

    def remove(self, sink: Sink) -> None:
        """Let an output write its waiting pictures, and end; may be called from any thread, which does not wait."""
        with self._changing:
            gone = [output for output in self.outputs if output.sink is sink]
            self.outputs = [output for output in self.outputs if output.sink is not sink]
            self._leaving = [output for output in self._leaving if not output.join(0)] + gone
        for output in gone:
            output.end(failed=False)

    def has(self, sink: Sink) -> bool:
        """Whether this is an output that works or is being opened."""
        return any(output.sink is sink and not output.lost for output in self.outputs)

    def put(self, composite: Composite) -> None:
        """Pass a composite to all outputs.

        Raises:
            QueueClosed: the run is over.
            BaseException: the last output has failed; for files, any output.
        """
        if self.limit is not None and not self._live:
            if self.limit == 0:
                raise QueueClosed(self._lead.name)
            self.limit -= 1
        for output in self.outputs:
            with suppress(QueueClosed):  # look(), below, finds out why
                output.put(composite)
        self.look()
        self._lead.put(composite)

    def close(self, error: BaseException | None = None) -> None:
        """Take no more composites; waiting ones are still shown."""
        for output in self.outputs:
            output.queue.close(error)
        self._lead.close(error)

    def look(self) -> None:
        """Find outputs that have failed or hang.

        Raises:
            BaseException: as from :meth:`put`.
        """
        for output in self.outputs:
            if output.lost:
                continue
            error = output.error
            if error is None and output.hangs(self._live):
                error = SinkError(f"the output {output.name} hangs")
            if error is None:
                continue
            output.lost = True
            output.queue.cancel(error)
            others: list[Fresh | SinkThread] = [*self.here, *(each for each in self.outputs if not each.lost)]
            going_on = any(not _of(each.sink, "aside") for each in others)
            if not output.added and (not self._live or not going_on):
                raise error
            self._notices.fallback(f"{error}: the other outputs continue")

    def end(self, *, failed: bool, errors: list[BaseException]) -> tuple[str, ...]:
        """Let every output finish, side by side.

        Args:
            failed: an error ended the run.
            errors: list to which errors are added.

        Returns:
            Names of the outputs that have not ended.
        """
        with self._changing:
            self._over = True
            outputs = [*self.outputs, *self._leaving]
        for output in outputs:
            output.end(failed=failed)
        left = []
        for output in outputs:
            limit_s = None if not self._live else _of(output.sink, "patience_s")
            if not output.join(GRACE_S if output.lost else limit_s):
                output.queue.cancel()
                left.append(output.name)
                self._notices.fallback(f"{output.name} did not end; its thread was left running")
            elif output.error is not None and not output.lost and not output.added:
                errors.append(output.error)
        return tuple(left)

    @property
    def dropped(self) -> dict[str, int]:
        """Pictures that each output was too slow for; outputs that missed none are left out."""
        return {output.name: output.queue.dropped for output in self.outputs if output.queue.dropped}


def _of(sink: Sink, name: str) -> Any:
    """An attribute of a sink, or its default: a user's sink need not be derived from ours."""
    return getattr(sink, name, getattr(Sink, name))


def _call(sink: Sink, hook: str) -> None:
    """Call an optional method of a sink."""
    if hasattr(sink, hook):
        getattr(sink, hook)()
