"""THE PICTURE: four stages, three queues.

::

              captured            matted              composed
   CAPTURE ──▶ queue ──▶ MATTING ──▶ queue ──▶ COMPOSITING ──▶ queue ──▶ DISPLAY / UI
   thread                thread                thread                    the thread that calls run()
   Source      Frame     Engine      Matte     Composer        Composite the window
                                                    │
                                                    └──▶ mailbox ──▶ SINK, thread, for each of the others

Live video drops the oldest frame of a full queue, files block (:class:`~rvm_live.core.queues.Overflow`). An error in
any stage closes the queues behind it and is raised by :meth:`Pipeline.run` with its own traceback. Leaving the
pipeline, however it happens, closes the queues, releases the source and joins every thread. Only a thread inside a call
to a driver or model that does not return cannot be joined. After two seconds a live run names it in
:attr:`Pipeline.left`, finishes its files, and leaves the thread running.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from functools import partial
from types import TracebackType

from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.errors import QueueClosed, SettingsError
from rvm_live.core.frames import Composite, Frame, Matte
from rvm_live.core.notices import Notices
from rvm_live.core.queues import FrameQueue, Overflow
from rvm_live.core.validation import check_has
from rvm_live.engines.base import Engine, EngineInfo
from rvm_live.pipeline.fan_out import FanOut
from rvm_live.pipeline.metrics import Metrics, Snapshot
from rvm_live.pipeline.pacing import Pacer
from rvm_live.pipeline.stage import Epoch, is_stale, kept
from rvm_live.pipeline.stages import CaptureStage, Compose, CompositingStage, MattingStage
from rvm_live.pipeline.watchdog import PATIENT_NS, STUCK_NS, Watchdog
from rvm_live.sinks.base import Sink
from rvm_live.sources.base import Source, SourceInfo

__all__ = ["Pipeline"]

LIVE_SIZES = (1, 2, 2)
BLOCK_SIZES = (4, 4, 4)
_IDLE_S = 0.01


class Pipeline:
    """Runs a source through an engine and a composer into sinks.

    Args:
        source: where frames come from; opened, read and released by the pipeline.
        engine: how mattes are made; opened, used and closed on the matting thread.
        composer: how composites are made; opened, used and closed on the compositing thread.
        sinks: where composites go, side by side; each on a thread of its own, or where its ``runs_on`` tells.
        overflow: ``DROP_OLDEST`` for live video, ``BLOCK`` to lose nothing.
        max_fps: most composites per second for a sink; None: every one, at once.
        mirror: flip frames left to right at capture.
        adaptive_fps: move the engine's downsample ratio so that it keeps up with this many frames per second (or with
            the source, where that is slower); None leaves it alone.
        scene_reset: start a new epoch at a cut (:class:`~rvm_live.pipeline.scenes.SceneDetector`).
        chunk: frames that are given to the engine at once; for files, whose frames may wait for each other.
        notices: list for fallbacks; its own if None.
        clock: monotonic time.

    Raises:
        SettingsError: an argument has the wrong type, or two do not fit together.

    Attributes:
        outputs: sinks on their own threads; in live video they come and go (``outputs.add``, ``outputs.remove``).
        left: names of the stages and sinks that were still running soon after a live run.
    """

    def __init__(
        self,
        source: Source,
        engine: Engine,
        composer: Compose,
        sinks: Iterable[Sink] = (),
        *,
        overflow: Overflow = Overflow.DROP_OLDEST,
        max_fps: float | None = None,
        mirror: bool = False,
        adaptive_fps: float | None = None,
        scene_reset: bool = True,
        chunk: int = 1,
        notices: Notices | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        check_has(source, "the source", "an rvm_live.Source", ("open", "read", "release"))
        check_has(engine, "the engine", "an rvm_live.Engine", ("open", "info", "reset", "matte"))
        check_has(composer, "the composer", "an rvm_live.Composer", ("open", "compose", "close"))
        check_has(sinks, "the sinks", "a list of them", ("__iter__",))
        sinks = list(sinks)
        for sink in sinks:
            check_has(sink, "a sink", "an rvm_live.Sink", ("open", "write", "close"))
        check_has(overflow, "overflow", "Overflow.DROP_OLDEST or Overflow.BLOCK", ("value",))
        self.notices = Notices() if notices is None else notices
        self.metrics = Metrics(clock)
        self.exit_reason = "running"
        self.left: tuple[str, ...] = ()
        self._clock = clock
        self._source = source
        self._pacer = None if max_fps is None else Pacer(max_fps)
        self._stop = threading.Event()
        self._started = False
        self._beside: threading.Thread | None = None
        self._outcome: Future[Snapshot] = Future()
        self._epoch = Epoch()
        if chunk > 1 and overflow is Overflow.DROP_OLDEST:
            raise SettingsError("live frames are matted one by one: chunks are only for files")
        sizes = LIVE_SIZES if overflow is Overflow.DROP_OLDEST else tuple(max(size, chunk) for size in BLOCK_SIZES)
        self.captured: FrameQueue[Frame] = FrameQueue("captured", sizes[0], overflow)
        self.matted: FrameQueue[Matte] = FrameQueue("matted", sizes[1], overflow)
        self.composed: FrameQueue[Composite] = FrameQueue("composed", sizes[2], overflow)
        self.outputs = FanOut(self.composed, sinks, self.notices, epoch=self._epoch, fps=max_fps, clock=clock)
        self._sinks = self.outputs.here
        self._capture = CaptureStage(
            source,
            self.captured,
            epoch=self._epoch,
            metrics=self.metrics,
            notices=self.notices,
            mirror=mirror,
            scene_reset=scene_reset,
        )
        self._matting = MattingStage(
            engine,
            self.captured,
            self.matted,
            source_info=self._capture.info,
            epoch=self._epoch,
            notices=self.notices,
            adaptive_fps=adaptive_fps,
            chunk=chunk,
            renew=self._capture.reset_wanted.set,
        )
        self._compositing = CompositingStage(
            composer,
            self.matted,
            self.outputs,
            source_info=self._capture.info,
            engine_info=self._matting.ready,
            epoch=self._epoch,
            notices=self.notices,
            last=self._matting.last,
        )
        self._stages = (self._capture, self._matting, self._compositing)
        after_ns = STUCK_NS if overflow is Overflow.DROP_OLDEST else PATIENT_NS
        self._watchdog = Watchdog(self._stages, self.notices, after_ns)
        # No frame is grabbed before it can be used: a file starts at its first frame, a camera with a fresh one.
        self._capture.gates = (self._matting.ready, self._compositing.ready)

    # Running ------------------------------------------------------------------------------------------------

    def run(self, *, frames: int | None = None, duration: float | None = None) -> Snapshot:
        """Show composites in the calling thread until something ends the run, then shut everything down.

        Args:
            frames: stop after this many were shown.
            duration: stop this many seconds after the first frame was captured.

        Returns:
            The final counts; ``exit_reason`` says what ended the run.

        Raises:
            BaseException: whatever failed in any stage or sink, with its original traceback.
        """
        for _ in self.composites(frames=frames, duration=duration):
            pass
        return self.snapshot()

    def composites(self, *, frames: int | None = None, duration: float | None = None) -> Iterator[Composite]:
        """As :meth:`run`, but yields every composite once the sinks have received it::

            for composite in pipeline.composites():
                ...

        Everything is opened with the first one and shut down when the loop ends: at the end of the
        source, by ``break``, or by an error in it. (If you keep the iterator, call its ``close()``.)

        Args:
            frames: as for :meth:`run`.
            duration: as for :meth:`run`.

        Raises:
            BaseException: in the loop, as from :meth:`run`.
        """
        with self:
            yield from self._display(frames, duration)

    def start(self, *, frames: int | None = None, duration: float | None = None) -> None:
        """As :meth:`run`, on another thread beside your own main loop, until :meth:`stop` or something else ends it.

        :meth:`join` returns the result, or raises the error, also of opening.

        If the program's main thread ends without calling either, the run also ends in order.

        Args:
            frames: as for :meth:`run`.
            duration: as for :meth:`run`.

        Raises:
            SettingsError: it runs or ran already, or a sink, such as a window, must be on the main thread.
        """
        if self._started or self._beside is not None:
            raise SettingsError("a pipeline runs only once: make another one")
        if self.outputs.needs_main:
            raise SettingsError("a window must run on the main thread: call run() there instead of start()")

        def run() -> None:
            try:
                self._outcome.set_result(self.run(frames=frames, duration=duration))
            except BaseException as error:  # raised by join()
                self._outcome.set_exception(error)

        self._beside = threading.Thread(target=run, name="rvm-display")
        self._beside.start()

    def join(self, timeout: float | None = None) -> Snapshot | None:
        """Wait for the end of a run that :meth:`start` began; does not end it.

        Args:
            timeout: seconds to wait at most; None: as long as it takes.

        Returns:
            The final counts; None if it has not ended in time. ``exit_reason`` says what ended it.

        Raises:
            SettingsError: it was not started.
            BaseException: whatever failed, as from :meth:`run`.
        """
        if self._beside is None:
            raise SettingsError("nothing to join: call start() first")
        if not wait((self._outcome,), timeout).done:
            return None
        self._beside.join()
        return self._outcome.result()

    def __enter__(self) -> Pipeline:
        sinks, self._sinks = self._sinks, []
        outputs, self.outputs.outputs = self.outputs.outputs, []
        try:
            prepare = getattr(self._source, "prepare", None)  # a user's own source may not have this method
            if prepare is not None:
                prepare(self._stop.is_set)
            for output in outputs:
                self.outputs.outputs.append(output)
                output.open()
            for each in sinks:
                self._sinks.append(each)
                each.sink.open()
            for stage in self._stages:
                self._started = True
                stage.start()
        except BaseException:
            self._shut_down(failed=True)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None and self.exit_reason == "running":
            told = {KeyboardInterrupt: "interrupted", GeneratorExit: "left"}
            self.exit_reason = next((text for each, text in told.items() if isinstance(error, each)), "error")
        self._shut_down(failed=isinstance(error, Exception))

    def _display(self, frames: int | None, duration: float | None) -> Iterator[Composite]:
        self.outputs.limit = frames
        shown = 0
        ended: QueueClosed | None = None
        while not self._stop.is_set():
            if self._beside is not None and not threading.main_thread().is_alive():
                self.stop("left")  # the interpreter waits for this thread, and nobody else would stop it
                return
            self.outputs.look()
            if duration is not None and self.metrics.elapsed_s() >= duration:
                self.stop("duration reached")
                return
            if not self._may_show():
                continue
            try:
                composite = self.composed.get(timeout=_IDLE_S)
            except TimeoutError:
                self._watchdog.look()
                self._idle()
                continue
            except QueueClosed as closed:
                ended = closed
                break
            self._watchdog.progress()
            if is_stale(composite.epoch, self._epoch, self.composed):
                continue
            for each in self._sinks:
                each.write(composite)
            now = self._clock.now_ns()
            self.metrics.shown(composite, now)
            if self._pacer is not None:
                self._pacer.shown(now)
            shown += 1
            yield composite
            if frames is not None and shown >= frames:
                self.stop("frames reached")
        if ended is not None:
            if ended.error is not None:  # raised outside the except clause, so that it keeps its own cause and context
                raise ended.error
            self.stop("end of source")

    def _may_show(self) -> bool:
        """Whether the rate allows a picture now; if not, calls the sinks' ``idle`` while waiting."""
        if self._pacer is None:
            return True
        wait = self._pacer.wait_ns(self._clock.now_ns())
        if wait <= 0:
            return True
        self._idle()
        wait = self._pacer.wait_ns(self._clock.now_ns())
        self._clock.sleep(min(wait / 1e9, _IDLE_S))
        return False

    def _idle(self) -> None:
        for each in self._sinks:
            each.idle()

    def _shut_down(self, *, failed: bool) -> None:
        self._stop.set()
        errors: list[BaseException] = []
        for queue in (self.captured, self.matted, self.composed):
            queue.cancel()
        for stage in self._stages:
            stage.break_promises()
        if self._started:
            _attempt(self._source.release, errors)
        self.left = self._watchdog.joined(patient=self.captured.policy is Overflow.BLOCK)
        self.left += self.outputs.end(failed=failed, errors=errors)
        for each in self._sinks:
            _attempt(partial(each.sink.close, failed=failed), errors)
        if errors and not failed:
            raise errors[0]

    # Controls, from any thread ------------------------------------------------------------------------------

    def stop(self, reason: str = "stopped") -> None:
        """End the run soon, for this reason; only the first reason counts."""
        if self.exit_reason == "running":
            self.exit_reason = reason
        self._stop.set()

    def abandon(self, reason: str, lost: Sink) -> None:
        """End the run now, from inside a call to a sink that will not return; everything else is closed as usual."""
        self.stop(reason)
        self._sinks = [each for each in self._sinks if each.sink is not lost]
        self._shut_down(failed=True)

    def reset(self) -> None:
        """Start a new epoch with the next frame: the engine forgets its recurrent state."""
        self._capture.reset_wanted.set()

    @property
    def mirror(self) -> bool:
        """Whether frames are flipped left to right; may be set at any time."""
        return self._capture.mirror

    @mirror.setter
    def mirror(self, value: bool) -> None:
        self._capture.mirror = value

    # What runs ----------------------------------------------------------------------------------------------

    @property
    def source_info(self) -> SourceInfo | None:
        """What the source delivers; None until it is open."""
        future = self._capture.info
        return future.result() if kept(future) else None

    @property
    def engine_info(self) -> EngineInfo | None:
        """What the engine runs on, or ran on last; None until it is ready."""
        return self._matting.engine_info

    @property
    def stuck(self) -> str:
        """Which stage makes no progress, and for how long; empty if all do."""
        return self._watchdog.stuck

    def snapshot(self) -> Snapshot:
        """The counts and latencies now."""
        dropped = {q.name: q.dropped for q in (self.captured, self.matted, self.composed)}
        return self.metrics.snapshot(dropped | self.outputs.dropped)


def _attempt(action: Callable[[], None], errors: list[BaseException]) -> None:
    """Call ``action`` and keep its error, so that the rest of a shutdown still happens."""
    try:
        action()
    except Exception as error:
        errors.append(error)
