"""What an examination finds, frozen and ready for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

__all__ = ["Delay", "Finding", "Report", "State"]

State = Literal["good", "note", "absent", "bad"]
"""``good``: works; ``note``: works, and there is something to know; ``absent``: is not here, and need not be; ``bad``:
does not work, and something that people want of the program hangs on it."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        area: the heading it stands under, such as ``cameras``.
        name: what it is, a few words.
        state: how it is.
        detail: what was found, one line.
        mend: what to do, one line; empty if there is nothing to do.
        seen_by: for an output: program -> what it needs to see this one; empty: nothing.
    """

    area: str
    name: str
    state: State
    detail: str = ""
    mend: str = ""
    seen_by: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Delay:
    """Delay of the picture.

    Attributes:
        picture_ms: from the grab of a frame to the finished composite, median, milliseconds.
        late_ms: likewise, 95th percentile.
        audio_ms: by how much sound is to be held back so that it fits a virtual camera's picture, milliseconds.
        measured_on: what, in words.
    """

    picture_ms: float
    late_ms: float
    audio_ms: int
    measured_on: str


@dataclass(frozen=True)
class Report:
    """Everything that was found.

    Attributes:
        version: of the program.
        system: operating system and Python.
        findings: in the order of their areas.
        delay: None where it was not measured.
    """

    version: str
    system: str
    findings: tuple[Finding, ...]
    delay: Delay | None = None

    @property
    def healthy(self) -> bool:
        """Whether nothing is bad."""
        return all(finding.state != "bad" for finding in self.findings)

    def programs(self) -> dict[str, str]:
        """Programs that may show the result as a camera: name -> through which output, and what it needs for that;
        what works comes before what does not."""
        told: dict[str, str] = {}
        outputs = [finding for finding in self.findings if finding.seen_by]
        for finding in sorted(outputs, key=lambda each: each.state not in ("good", "note")):
            works = finding.state in ("good", "note")
            for program, needs in finding.seen_by.items():
                how = f"through {finding.name}" + (f": {needs}" if needs else "")
                told.setdefault(program, how if works else f"not yet; once it works: {how}")
        return told

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "version": self.version,
            "system": self.system,
            "healthy": self.healthy,
            "findings": [{**asdict(finding), "seen_by": dict(finding.seen_by)} for finding in self.findings],
            "programs": self.programs(),
            "delay": None if self.delay is None else asdict(self.delay),
        }
