"""The bodies of the three worker threads.

Every stage opens what it owns on its own thread, says so through a future that the others may wait for, works until its
inlet is closed, and closes what it owns.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, TimeoutError, wait
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rvm_live.core.errors import MatteError, QueueClosed
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.notices import Notices
from rvm_live.core.queues import FrameQueue, Overflow
from rvm_live.core.stillness import LastMatte, LastPicture
from rvm_live.engines.base import Engine, EngineInfo
from rvm_live.pipeline.adaptive import Governor, Move
from rvm_live.pipeline.metrics import Metrics
from rvm_live.pipeline.scenes import SceneDetector
from rvm_live.pipeline.stage import Compose, Epoch, Outlet, Stage, is_stale, kept
from rvm_live.sources.base import Grab, Source, SourceInfo
from rvm_live.system.pressure import Pressure

__all__ = ["CaptureStage", "Compose", "CompositingStage", "MattingStage"]

GAP_NS = 1_000_000_000
"""A live source that was silent for longer than this starts a new epoch: the person may have moved on."""
BAD_NS = 3_000_000_000
"""A live run ends if no matte could be used for longer than this."""
_SOON_S, _LOOK_S, _IDLE_S = 0.3, 0.05, 0.2
_TELL_EVERY = 60
_USUAL_SIZE = (1280, 720)


class CaptureStage(Stage):
    """Grabs frames, numbers them, and decides which epoch each belongs to."""

    outlet: FrameQueue[Frame]

    def __init__(
        self,
        source: Source,
        outlet: FrameQueue[Frame],
        *,
        epoch: Epoch,
        metrics: Metrics,
        notices: Notices,
        mirror: bool,
        scene_reset: bool = True,
    ) -> None:
        super().__init__("capture", None, outlet)
        self.info: Future[SourceInfo] = Future()
        self.promises = (self.info,)
        self.gates: Sequence[Future[Any]] = ()
        self.mirror = mirror
        self.reset_wanted = threading.Event()
        self._source = source
        self._epoch = epoch
        self._metrics = metrics
        self._notices = notices
        self._previous: Frame | None = None
        self._last = LastPicture()
        self._mirrored = mirror
        self._scenes = SceneDetector() if scene_reset else None

    def work(self) -> None:
        info = self._source.open()
        for note in info.notes:
            self._notices.fallback(note)
        self._keep(self.info, info)
        for gate in self.gates:
            gate.result()
        while not self.outlet.closed:
            with self.busy():
                grab = self._source.read()
            self._metrics.captured(grab.captured_ns)
            self.outlet.put(self._frame(grab))

    @property
    def excused(self) -> bool:
        return bool(getattr(self._source, "trouble", ""))  # a user's own source may not have this attribute

    def _frame(self, grab: Grab) -> Frame:
        mirror, previous, cut = self.mirror, self._previous, False
        image = self._last.known(grab.image, mirror)
        if image is None:
            image = _mirrored(grab.image) if mirror else grab.image
            cut = self._scenes is not None and self._scenes.is_cut(image)
            image = self._last.settled(grab.image, mirror, image)
        if previous is not None and (self._starts_epoch(previous, image, grab, mirror) or cut):
            self._epoch.advance()
        self._mirrored = mirror
        frame = Frame(
            image=image,
            seq=0 if previous is None else previous.seq + 1,
            epoch=self._epoch.current,
            captured_ns=grab.captured_ns,
            media_ns=grab.media_ns,
            repeated=previous is not None and image is previous.image,
            duration_ns=grab.duration_ns,
        )
        self._previous = frame
        return frame

    def _starts_epoch(self, previous: Frame, image: NDArray[np.uint8], grab: Grab, mirror: bool) -> bool:
        wanted = self.reset_wanted.is_set()
        self.reset_wanted.clear()
        # A file that is read no faster than its frames are processed has no gaps, however long a frame takes.
        live = self.outlet.policy is Overflow.DROP_OLDEST
        gap = live and grab.captured_ns - previous.captured_ns > GAP_NS
        # A file that starts over jumps back in its media time: that is another scene.
        jump = grab.media_ns is not None and previous.media_ns is not None and grab.media_ns < previous.media_ns
        if grab.restarted:
            return True
        return wanted or gap or jump or image.shape != previous.image.shape or mirror != self._mirrored


class MattingStage(Stage):
    """Owns the engine: opens it, feeds it, resets its state at every new epoch."""

    inlet: FrameQueue[Frame]
    outlet: FrameQueue[Matte]

    def __init__(
        self,
        engine: Engine,
        inlet: FrameQueue[Frame],
        outlet: FrameQueue[Matte],
        *,
        source_info: Future[SourceInfo],
        epoch: Epoch,
        notices: Notices,
        adaptive_fps: float | None,
        chunk: int = 1,
        renew: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__("matting", inlet, outlet)
        self._renew = renew
        self._adaptive_fps, self._chunk = adaptive_fps, chunk
        self._waiting: Frame | None = None
        self._told_slow = False
        self._hinted: set[str] = set()
        self.last = LastMatte()
        self.ready: Future[EngineInfo] = Future()
        self.promises = (self.ready,)
        self._engine = engine
        self._opened = False
        self._last: EngineInfo | None = None
        self._source_info = source_info
        self._epoch = epoch
        self._notices = notices

    def work(self) -> None:
        self._tell(self._engine.open())
        source = self._source_info.result()
        self._engine.prepare(source.width, source.height)
        self._opened = True
        self._tell(self._engine.info)
        self._keep(self.ready, self._engine.info)
        governor = None
        if self._adaptive_fps is not None:
            governor = Governor(self._engine, self._adaptive_fps, pressure=Pressure())
        epoch = None
        renewed = False
        while True:
            frames = self._next()
            if is_stale(frames[0].epoch, self._epoch, self.inlet):
                continue
            if self.inlet.policy is Overflow.DROP_OLDEST and (known := self.last.again(frames[0])) is not None:
                self.outlet.put(known)
                continue
            begins = frames[0].epoch != epoch
            if begins:
                self._engine.reset()
                epoch = frames[0].epoch
            with self.busy():
                mattes = [self._engine.matte(frames[0])] if self._chunk == 1 else self._engine.matte_chunk(frames)
            if begins or frames[0].seq % _TELL_EVERY == 0:
                self._tell(self._engine.info)  # the engine's info may change with the frame size, or while it runs
            if begins:
                renewed = False
            elif not renewed and getattr(self._engine, "succession", False):
                renewed = True
                self._renew()  # another engine has taken over: a new epoch begins
            self.last.remember(mattes[-1])
            for matte in mattes:
                self.outlet.put(matte)
                if governor is not None:
                    self._tell_move(governor.observe(matte))
                    self._tell_if_slow(governor)

    @property
    def excused(self) -> bool:
        # The engine compiles a network for another size: it does not hang.
        return bool(getattr(self._engine, "phase", ""))

    def _next(self) -> list[Frame]:
        """Consecutive frames of one epoch: a whole chunk, counted from the first frame of the run, or the rest of one.

        A chunk has the same frames however fast they come, because a network's rounding may depend on the chunk.
        """
        frames = [self.inlet.get() if self._waiting is None else self._waiting]
        self._waiting = None
        while (frames[-1].seq + 1) % self._chunk:
            try:
                frame = self.inlet.get()
            except QueueClosed as closed:
                if closed.error is not None:
                    raise
                break
            if frame.epoch != frames[0].epoch:
                self._waiting = frame
                break
            frames.append(frame)
        return frames

    def _tell_move(self, move: Move | None) -> None:
        """Report a move: another engine each time, another size only in the log."""
        if move is None:
            return
        before, after = move.before, move.after
        why = "other programs need the CPU" if move.pressed else f"matting took {move.taken_ms:.0f} ms"
        if after.engine == before.engine:
            self._notices.remark(
                f"{why}: {after.engine} works at ratio {after.downsample_ratio:.3g}, {after.precision}"
            )
            return
        self._renew()  # another engine has taken over: a new epoch begins
        if move.resorted:
            smallest = "" if move.pressed else " at its smallest size"
            self._notices.again(f"{why}{smallest}: {after.engine} runs until there is enough time for {before.model}")
        else:
            self._notices.news(f"there is enough time for {after.model} again: {after.engine} runs")

    def _tell_if_slow(self, governor: Governor) -> None:
        if not self._told_slow and (taken := governor.too_slow_ms) is not None:
            self._told_slow = True
            self._notices.fallback(f"matting takes {taken:.0f} ms at its smallest size: `--engine lite` is faster")

    def _tell(self, info: EngineInfo) -> None:
        """Report the engine's notes, each once."""
        for note in info.notes:
            self._notices.fallback(note)
        for remark in info.remarks:
            self._notices.remark(remark)
        for hint in {*info.hints} - self._hinted:
            self._notices.news(hint)
        self._hinted.update(info.hints)

    @property
    def engine_info(self) -> EngineInfo | None:
        """What the engine runs on now, or ran on last; None until it is ready."""
        return self._last or (self._engine.info if self._opened else None)

    def close(self) -> None:
        if self._opened:
            self._last = self._engine.info
        self._engine.close()


class CompositingStage(Stage):
    """Puts every matte over the background."""

    inlet: FrameQueue[Matte]

    def __init__(
        self,
        composer: Compose,
        inlet: FrameQueue[Matte],
        outlet: Outlet,
        *,
        source_info: Future[SourceInfo],
        engine_info: Future[EngineInfo],
        epoch: Epoch,
        notices: Notices,
        last: LastMatte,
    ) -> None:
        super().__init__("compositing", inlet, outlet)
        self.ready: Future[None] = Future()
        self.promises = (self.ready,)
        self._composer = composer
        self._source_info, self._engine_info = source_info, engine_info
        self._epoch = epoch
        self._notices = notices
        self._last = last
        self._bad_since_ns: int | None = None

    def work(self) -> None:
        try:
            source = self._source_info.result(_SOON_S)
        except TimeoutError:
            # A camera may take 20 s to open. Until then only the background is shown, perhaps in a wrong size.
            self._composer.open_backgrounds(*_USUAL_SIZE)
        else:
            self._composer.open_backgrounds(source.width, source.height)
        opening: tuple[Future[Any], ...] = (self._source_info, self._engine_info)
        while not all(promise.done() for promise in opening):
            wait(opening, _LOOK_S, FIRST_EXCEPTION)  # wait() does not wake up for promises that were cancelled
            self._look_at_background()
            for promise in filter(Future.done, opening):
                promise.result()  # an error is raised at once, even if the other one is still loading
        source, engine = self._source_info.result(), self._engine_info.result()
        self._composer.open(source.width, source.height, engine.mattes_on)
        self._keep(self.ready, None)
        while True:
            try:
                matte = self.inlet.get(_IDLE_S if self.inlet.policy is Overflow.DROP_OLDEST else None)
            except TimeoutError:
                self._look_at_background()
                continue
            if is_stale(matte.frame.epoch, self._epoch, self.inlet):
                continue
            try:
                with self.busy():
                    composite = self._composer.compose(matte)
            except MatteError as error:
                self._last.forget()
                if not self._bears(matte):
                    raise
                self._notices.fallback(f"{error}: its frame was left out")
                self.inlet.count_drop()
                continue
            self._bad_since_ns = None
            self.outlet.put(composite)

    def _look_at_background(self) -> None:
        """While no matte comes, show the background: the one chosen last."""
        if kept(self._source_info) and self.inlet.policy is Overflow.DROP_OLDEST:
            source = self._source_info.result()
            self._composer.open_backgrounds(source.width, source.height)

    def _bears(self, bad: Matte) -> bool:
        """Whether to continue without this frame. A file loses none, and a live run only continues like that for a
        short time."""
        now_ns = bad.frame.captured_ns
        self._bad_since_ns = now_ns if self._bad_since_ns is None else self._bad_since_ns
        return self.inlet.policy is Overflow.DROP_OLDEST and now_ns - self._bad_since_ns <= BAD_NS

    def close(self) -> None:
        self._composer.close()


def _mirrored(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import cv2  # NumPy mirrors pixel by pixel, which takes forty times as long

    return np.asarray(cv2.flip(image, 1), np.uint8)
