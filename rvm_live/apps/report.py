"""The final report of a live run: what ran, what it did, how fast it was, what it fell back to."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from rvm_live.pipeline.metrics import STAGES, Percentiles, Snapshot

__all__ = ["LiveReport", "Ran"]


@dataclass(frozen=True)
class Ran:
    """What really ran, as opposed to what was asked for; empty if a run ended before it was known."""

    engine: str = ""
    model: str = ""
    device: str = ""
    precision: str = ""
    compositor: str = ""
    downsample_ratio: float = 0.0
    focus: str = ""
    source: str = ""
    width: int = 0
    height: int = 0


@dataclass(frozen=True)
class LiveReport:
    """Everything a finished run has to tell.

    Attributes:
        ran: what did the work.
        snapshot: counts and latencies of the whole run.
        fallbacks: everything that ran differently from what was asked for, one line each.
        exit_reason: what ended the run.
        recording: path of the recording, or None.
        streams: address and history of each stream, one line each, without secret parts.
        device_name: what its maker calls the device.
        camera_ms: how old pictures were when other programs got them from the virtual camera, milliseconds from the
            grab, the median; 0 where none took any.
        low_light: the largest factor by which shadows were made brighter; 1.0: none.
        failure: what was asked for and failed while the run went on, one line; empty if nothing did.
    """

    ran: Ran
    snapshot: Snapshot
    fallbacks: tuple[str, ...] = ()
    exit_reason: str = ""
    recording: str | None = None
    streams: tuple[str, ...] = ()
    device_name: str = field(default="", compare=False)
    failure: str = ""
    camera_ms: float = 0.0
    low_light: float = 1.0

    def as_json(self) -> dict[str, Any]:
        """The documented form of ``--stats-json``; latencies in milliseconds."""
        snapshot = self.snapshot
        return {
            "ran": asdict(self.ran),
            "frames": {
                "captured": snapshot.captured,
                "unique": snapshot.unique,
                "repeated": snapshot.repeated,
                "dropped": dict(snapshot.dropped),
            },
            "fps": {"unique": round(snapshot.unique_fps, 3)},
            "latency_ms": {
                stage: {name: round(value, 3) for name, value in asdict(track).items()}
                for stage in STAGES
                for track in [snapshot.latency_ms.get(stage, Percentiles())]
            },
            "fallbacks": list(self.fallbacks),
            "exit_reason": self.exit_reason,
            "recording": self.recording,
            "streams": list(self.streams),
            "failure": self.failure or None,
            "virtual_camera_ms": round(self.camera_ms, 3) or None,
            **({"low_light_gain": round(self.low_light, 2)} if self.low_light > 1 else {}),
        }
