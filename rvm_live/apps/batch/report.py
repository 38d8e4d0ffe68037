"""Results of the files of a batch run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rvm_live.apps.batch.inputs import Job
from rvm_live.apps.report import Ran

__all__ = ["BatchReport", "Done"]


@dataclass(frozen=True)
class Done:
    """Result of one file.

    Attributes:
        job: which.
        state: ``done``, ``kept`` (it was there), ``failed`` or ``interrupted``.
        outputs: files or folders that are complete.
        frames: of the file that are done.
        resumed: so many of them by an earlier run.
        seconds: it took.
        error: one line; empty unless it failed.
        notes: what differs from what was asked for.
        elsewhere: another machine may succeed.
        lost: this process has lost its GPU: another process must continue.
        ran: what did the work, None where nothing did.
        kind: name of the error's class.
        low_light: the largest factor by which shadows were made brighter; 1.0: none.
    """

    job: Job
    state: str
    outputs: tuple[Path, ...] = ()
    frames: int = 0
    resumed: int = 0
    seconds: float = 0.0
    error: str = ""
    notes: tuple[str, ...] = ()
    elsewhere: bool = False
    lost: bool = False
    ran: Ran | None = None
    kind: str = ""
    low_light: float = 1.0

    @property
    def fps(self) -> float:
        """Frames that this run did, per second."""
        return (self.frames - self.resumed) / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True)
class BatchReport:
    """All files of a run.

    Attributes:
        files: those that were begun, in order.
        untouched: number of files that were not started.
        stopped: what ended the run: ``interrupted``, ``terminated`` or ``hung up``; empty if it was not.
    """

    files: tuple[Done, ...]
    untouched: int = 0
    stopped: str = ""

    @property
    def failed(self) -> int:
        return sum(each.state == "failed" for each in self.files)

    @property
    def interrupted(self) -> bool:
        return bool(self.stopped)
