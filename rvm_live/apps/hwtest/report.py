"""What the probe found, frozen and ready for JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from rvm_live.apps.hwtest.rhythm import Rhythm
from rvm_live.system.gpu import GpuReading

__all__ = [
    "Advice",
    "Attempt",
    "Availability",
    "CameraName",
    "HwTestReport",
    "Machine",
    "Mode",
    "ModeResult",
    "OpenCvFacts",
    "SourceReport",
    "Timing",
    "TorchFacts",
]


@dataclass(frozen=True)
class CameraName:
    """A camera the system lists; name and path are empty where unknown."""

    index: int
    name: str
    path: str


@dataclass(frozen=True)
class Attempt:
    """A source that was tried and did not deliver."""

    source: str
    reason: str


@dataclass(frozen=True)
class Mode:
    """How pictures come: pixels, nominal frames per second (0 if unknown), pixel format (empty if unknown)."""

    width: int
    height: int
    fps: float
    fourcc: str

    def __str__(self) -> str:
        fps = f" {self.fps:.4g} fps" if self.fps else ""
        return f"{self.width}x{self.height}{fps}{' ' + self.fourcc if self.fourcc else ''}"


@dataclass(frozen=True)
class SourceReport:
    """A source that was opened and measured.

    Attributes:
        label: one line for people.
        kind: ``camera``, ``url``, ``video``, ``image`` or ``demo``.
        backend: what reads it.
        requested: what was asked of it, None where there is nothing to ask.
        actual: what it delivers.
        open_s: seconds until it was open and had its first picture.
        rhythm: how the frames came.
        controls: brightness and its like, in the driver's own units, where readable.
        ended: why it stopped before its time, or None.
    """

    label: str
    kind: str
    backend: str
    requested: Mode | None
    actual: Mode
    open_s: float
    rhythm: Rhythm
    controls: dict[str, float]
    ended: str | None = None


@dataclass(frozen=True)
class ModeResult:
    """One mode that was asked for, what came instead, and its true rate; or the reason why nothing came."""

    asked: Mode
    got: Mode | None
    rhythm: Rhythm | None
    reason: str | None = None


@dataclass(frozen=True)
class Availability:
    """Whether a back end works here, and details or the reason."""

    name: str
    works: bool
    detail: str


@dataclass(frozen=True)
class TorchFacts:
    """Torch's version, the CUDA it was built for (None: none), its devices, and its threads on the CPU."""

    version: str
    cuda: str | None
    devices: tuple[str, ...]
    threads: int


@dataclass(frozen=True)
class OpenCvFacts:
    """OpenCV's version, whether it was built with CUDA, its window system (empty: none), its camera back ends."""

    version: str
    cuda: bool
    gui: str
    camera_backends: tuple[str, ...]


@dataclass(frozen=True)
class Machine:
    """The computer.

    Attributes:
        system: operating system and architecture.
        python: version.
        cpu: the processor's name.
        cores: physical cores.
        usable_cores: those this process may use.
        memory_bytes: main memory.
        memory_free_bytes: of it, what programs can still have.
        gpu: the first NVIDIA GPU, None if there is none to be read.
        gpu_reason: why not.
        torch: what torch can use.
        opencv: what OpenCV was built with.
        compositors: each compositor.
        engines: each engine.
    """

    system: str
    python: str
    cpu: str
    cores: int
    usable_cores: int
    memory_bytes: int
    memory_free_bytes: int
    gpu: GpuReading | None
    gpu_reason: str | None
    torch: TorchFacts
    opencv: OpenCvFacts
    compositors: tuple[Availability, ...]
    engines: tuple[Availability, ...]


@dataclass(frozen=True)
class Timing:
    """Matting alone, measured: frames per second, and the 95th percentile of one frame's milliseconds."""

    model: str
    device: str
    precision: str
    width: int
    height: int
    downsample_ratio: float
    fps: float
    p95_ms: float
    frames: int


@dataclass(frozen=True)
class Advice:
    """What to use here.

    Attributes:
        timings: all that were measured.
        best: the recommended one, None if none was measured.
        keeps_fps: the rate that ``best`` keeps (30, 24 or 15), None if it keeps none of them.
        command: how to start the program that way, None without ``best``.
        note: why nothing was measured, or what the measurement leaves out.
        hint: what would be quicker and is not there yet, None where there is nothing.
    """

    timings: tuple[Timing, ...] = ()
    best: Timing | None = None
    keeps_fps: int | None = None
    command: str | None = None
    note: str | None = None
    hint: str | None = None


@dataclass(frozen=True)
class HwTestReport:
    """Everything.

    Attributes:
        cameras: all that the system lists.
        attempts: sources that were tried in vain.
        source: the one that delivered, or None.
        modes: common modes of a camera; empty for other sources.
        machine: the computer.
        advice: what to use here.
    """

    cameras: tuple[CameraName, ...]
    attempts: tuple[Attempt, ...]
    source: SourceReport | None
    modes: tuple[ModeResult, ...]
    machine: Machine
    advice: Advice

    @property
    def delivered(self) -> bool:
        """Whether a source delivered frames."""
        return self.source is not None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; floating-point numbers are rounded to four places."""
        plain: dict[str, Any] = _rounded({**asdict(self), "delivered": self.delivered})
        return plain


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(inner) for inner in value]
    return value
