"""What ``hwtest`` is asked and what it answers: frozen, and convertible to JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from rvm_live.errors import SettingsError
from rvm_live.settings import EngineSettings, SourceSettings

__all__ = [
    "Advice",
    "CameraEntry",
    "Gpu",
    "HwtestResult",
    "HwtestSettings",
    "Machine",
    "Measured",
    "ModeResult",
    "Part",
    "SourceReport",
    "Timing",
]

LONGEST_S = 3600.0


@dataclass(frozen=True)
class HwtestSettings:
    """What to probe.

    Attributes:
        source: as for the live application; ``auto`` probes every camera there is.
        seconds: how long each source is measured.
        modes: go through a camera's common modes.
        advise: time the engine and recommend what to use.
        engine: the engine to time.
    """

    source: SourceSettings = SourceSettings()
    seconds: float = 5.0
    modes: bool = True
    advise: bool = True
    engine: EngineSettings = EngineSettings()

    def __post_init__(self) -> None:
        if not 0.1 <= self.seconds <= LONGEST_S:
            raise SettingsError(
                f"seconds {self.seconds:g} is out of range: it must be between 0.1 and {LONGEST_S:g} seconds"
            )


@dataclass(frozen=True)
class CameraEntry:
    """A camera that the system knows: number to open it by, its maker's name for it, and device path."""

    index: int
    name: str
    path: str


@dataclass(frozen=True)
class Measured:
    """How frames really came.

    Attributes:
        frames: pictures received after the warm-up.
        repeated: those that show exactly what the one before showed.
        seconds: from the first to the last of them.
        fps: frames per second, from their time stamps; 0.0 with fewer than two frames.
        interval_ms: median time between two frames.
        jitter_ms: standard deviation of that time.
        p95_ms: 95th percentile of that time.
        longest_ms: longest time between two frames.
        dropped: frames that are missing: a gap of more than 1.5 median intervals counts as the frames that fit in it.
    """

    frames: int
    repeated: int
    seconds: float
    fps: float
    interval_ms: float
    jitter_ms: float
    p95_ms: float
    longest_ms: float
    dropped: int


@dataclass(frozen=True)
class ModeResult:
    """One common mode of a camera: what was asked for, and what came.

    Attributes:
        width: asked for, pixels.
        height: asked for, pixels.
        fps: asked for.
        fourcc: asked for.
        got_width: of the pictures that came; 0 if none did.
        got_height: likewise.
        got_fourcc: as the driver tells it, empty if it does not.
        true_fps: measured; 0.0 if no picture came.
        reason: why no picture came, else empty.
    """

    width: int
    height: int
    fps: float
    fourcc: str
    got_width: int = 0
    got_height: int = 0
    got_fourcc: str = ""
    true_fps: float = 0.0
    reason: str = ""


@dataclass(frozen=True)
class SourceReport:
    """One source that was tried.

    Attributes:
        source: what it is opened by.
        label: one line for people.
        kind: ``camera``, ``url``, ``video``, ...
        delivered: at least one picture came.
        reason: why it failed, one line; empty if it did not.
        backend: library that reads it, e.g. ``V4L2``.
        open_ms: time until it was open and its first picture there.
        asked: width, height, fps and fourcc that were asked for; empty where a source is not asked.
        actual: width, height, fps (as told, 0.0 if unknown) and fourcc or codec.
        measured: how frames came, None if none did.
        controls: brightness, contrast, exposure, gain, focus, ... -> value, None where it is not readable.
        modes: common modes, for cameras.
    """

    source: str
    label: str
    kind: str
    delivered: bool
    reason: str = ""
    backend: str = ""
    open_ms: float = 0.0
    asked: dict[str, Any] = field(default_factory=dict)
    actual: dict[str, Any] = field(default_factory=dict)
    measured: Measured | None = None
    controls: dict[str, float | None] = field(default_factory=dict)
    modes: tuple[ModeResult, ...] = ()


@dataclass(frozen=True)
class Gpu:
    """One GPU: name, driver, and memory in bytes (None where not told)."""

    name: str
    driver: str | None
    memory: int | None


@dataclass(frozen=True)
class Part:
    """A compositor or an engine: whether it works here, and if not, why."""

    name: str
    works: bool
    reason: str = ""


@dataclass(frozen=True)
class Machine:
    """What the program runs on.

    Attributes:
        system: operating system and its version.
        python: version.
        cpu: model.
        cores: logical cores this process may use.
        gpus: what NVML or torch tells.
        gpu_reason: why no GPU is listed, else empty.
        torch: version, empty if it cannot be imported.
        torch_cuda: CUDA version torch was built for, empty without.
        torch_devices: torch device -> name in words.
        opencv: version.
        opencv_build: key facts of its build.
        compositors: which work.
        engines: which work.
    """

    system: str
    python: str
    cpu: str
    cores: int
    gpus: tuple[Gpu, ...]
    gpu_reason: str
    torch: str
    torch_cuda: str
    torch_devices: dict[str, str]
    opencv: str
    opencv_build: dict[str, str]
    compositors: tuple[Part, ...]
    engines: tuple[Part, ...]


@dataclass(frozen=True)
class Timing:
    """One combination that was timed.

    Attributes:
        model: network.
        width: of the frame, pixels.
        height: of the frame, pixels.
        downsample_ratio: at which the network worked.
        frames: how many were timed.
        matting_ms: median time for one frame, upload and download included.
        p95_ms: 95th percentile of that time.
        fps: 1000 / matting_ms.
    """

    model: str
    width: int
    height: int
    downsample_ratio: float
    frames: int
    matting_ms: float
    p95_ms: float
    fps: float


@dataclass(frozen=True)
class Advice:
    """What to use here, by measurement.

    Attributes:
        choice: the combination that is recommended, None where nothing could be timed.
        target_fps: rate that the choice keeps with a reserve; 0.0 if it keeps none of those aimed at.
        device: that did the work.
        precision: it worked in.
        pictures: what the engine was timed on.
        options: what to put behind ``rvm-live``.
        reason: why there is no advice, or what is missing from it; else empty.
        timings: everything that was timed, in order.
    """

    choice: Timing | None
    target_fps: float = 0.0
    device: str = ""
    precision: str = ""
    pictures: str = ""
    options: str = ""
    reason: str = ""
    timings: tuple[Timing, ...] = ()


@dataclass(frozen=True)
class HwtestResult:
    """Everything ``hwtest`` found out.

    Attributes:
        version: of rvm-live.
        cameras: every camera that the system knows.
        sources: every source that was tried, in order.
        machine: what it runs on.
        advice: what to use here; None if it was not asked for.
    """

    version: str
    cameras: tuple[CameraEntry, ...]
    sources: tuple[SourceReport, ...]
    machine: Machine
    advice: Advice | None

    @property
    def delivered(self) -> bool:
        """Whether any source delivered pictures."""
        return any(source.delivered for source in self.sources)

    def as_json(self) -> dict[str, Any]:
        """Plain dictionaries, lists, numbers and strings."""
        return {**asdict(self), "delivered": self.delivered}
