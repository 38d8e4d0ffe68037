"""The contract of a sink."""

from __future__ import annotations

from abc import ABC, abstractmethod

from rvm_live.core.frames import Composite

__all__ = ["Sink"]


class Sink(ABC):
    """Takes composites.

    Who calls what: everything is called by the thread that runs the pipeline (the main thread): ``open`` once,
    then ``write`` for every composite in order and ``idle`` while none comes, ``close`` exactly once after
    ``open`` was called, even if it failed.

    Class attributes:
        on_main_thread: it can be used on the program's main thread alone, as windows can.
    """

    on_main_thread: bool = False

    @abstractmethod
    def open(self) -> None:
        """Get ready.

        Raises:
            SinkError: it cannot be opened; the message says why.
        """

    @abstractmethod
    def write(self, composite: Composite) -> None:
        """Show or store one composite.

        Raises:
            SinkError: it cannot be shown or stored.
        """

    def idle(self) -> None:  # noqa: B027 - optional hook
        """Called at least every 20 ms while no composite comes: pump events, redraw."""

    @abstractmethod
    def close(self, *, failed: bool) -> None:
        """Finish.

        Args:
            failed: an error ended the run. What was stored so far is still finished properly.
        """
