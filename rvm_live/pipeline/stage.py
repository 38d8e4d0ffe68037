"""A worker thread between two queues, and the epoch that all of them look at.

No error is lost in a stage's thread: whatever ends it, its outlet is closed (with the error,
if there was one) and its inlet is cancelled, so that both neighbours learn of it.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import contextmanager, suppress
from typing import Any, Protocol, TypeVar

from rvm_live.core.clock import SYSTEM_CLOCK
from rvm_live.core.errors import EndOfSource, QueueClosed
from rvm_live.core.frames import Composite, Matte
from rvm_live.core.queues import FrameQueue, Overflow

__all__ = ["Compose", "Epoch", "Outlet", "Stage", "is_stale", "kept"]

T = TypeVar("T")


class Compose(Protocol):
    """What the compositing stage needs; :class:`rvm_live.compositing.composer.Composer` is one."""

    def open_backgrounds(self, width: int, height: int) -> None: ...
    def open(self, width: int, height: int, device: str) -> None: ...
    def compose(self, matte: Matte) -> Composite: ...
    def close(self) -> None: ...


class Outlet(Protocol):
    """Where a stage puts what it made: a queue, or several."""

    def put(self, item: Any, /) -> None: ...
    def close(self, error: BaseException | None = None) -> None: ...


class Epoch:
    """The generation of the recurrent state. Written by the capture thread alone, read by all."""

    def __init__(self) -> None:
        self.current = 0

    def advance(self) -> None:
        self.current += 1


class Stage(ABC):
    """One worker thread between two queues.

    Args:
        name: of the thread, behind ``rvm-``.
        inlet: where items come from, None for the first stage.
        outlet: where results go.

    Attributes:
        loaded: what it needs is open; until then it takes its time without hanging.
    """

    def __init__(self, name: str, inlet: FrameQueue[Any] | None, outlet: Outlet) -> None:
        self.name = name
        self.inlet = inlet
        self.outlet: Outlet = outlet
        self.promises: Sequence[Future[Any]] = ()
        self.busy_since_ns: int | None = None
        self.loaded = False
        self._thread = threading.Thread(target=self._run, name=f"rvm-{name}", daemon=False)
        self._started = False

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Use around the work on one item, so that others can see how long it takes."""
        self.busy_since_ns = SYSTEM_CLOCK.now_ns()
        try:
            yield
        finally:
            self.busy_since_ns = None

    @property
    def excused(self) -> bool:
        """Whether the stage itself explains why it makes no progress."""
        return False

    def start(self) -> None:
        self._started = True
        self._thread.start()

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait until the thread has ended (returns at once if it was never started); returns whether it has."""
        if self._started:
            self._thread.join(timeout_s)
            return not self._thread.is_alive()
        return True

    def break_promises(self, error: BaseException | None = None) -> None:
        """Wake those that wait for this stage to be ready, with the error, or to leave."""
        for promise in self.promises:
            # A promise that is kept already, or is being kept at this moment, raises InvalidStateError.
            with suppress(InvalidStateError):
                if error is None:
                    promise.cancel()
                else:
                    promise.set_exception(error)

    def _keep(self, promise: Future[T], value: T) -> None:
        """Say that the stage is ready, unless the run is over already."""
        self.loaded = True
        try:
            promise.set_result(value)
        except InvalidStateError:
            raise CancelledError from None

    def _run(self) -> None:
        # After a failure, closing often fails too, with a less useful message: the first error counts.
        errors = _error_of(self.work), _error_of(self.close)
        error = errors[1] if errors[0] is None else errors[0]
        self.outlet.close(error)
        if self.inlet is not None:
            self.inlet.cancel(error)
        self.break_promises(error)

    @abstractmethod
    def work(self) -> None:
        """Run until the end; raises QueueClosed or EndOfSource at an ordinary one."""

    def close(self) -> None:  # noqa: B027 - optional hook
        """Free the stage's resources, on its own thread."""


def _error_of(action: Callable[[], None]) -> BaseException | None:
    """The error of ``action``, or the one that closed its queue; None at an ordinary end."""
    try:
        action()
    except QueueClosed as closed:
        return closed.error
    except (EndOfSource, CancelledError):
        return None
    except BaseException as caught:  # every error travels along the queues; Pipeline.run() raises it
        return caught
    return None


def is_stale(epoch: int, present: Epoch, queue: FrameQueue[Any]) -> bool:
    """Whether a live item is from before the last reset; if so it is counted as dropped by its queue."""
    if queue.policy is Overflow.BLOCK or epoch >= present.current:
        return False
    queue.count_drop()
    return True


def kept(promise: Future[Any]) -> bool:
    """Whether a future has a result already."""
    return promise.done() and not promise.cancelled() and promise.exception() is None
