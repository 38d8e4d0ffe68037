"""The run's status for the window, and its table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath

from rvm_live.core.words import network_words
from rvm_live.sinks.window.panel import RED, Row
from rvm_live.system.gpu import GpuReading

__all__ = ["Status", "clock_of", "joined", "statistics_rows"]


_SOUND = {"": "", "on": "with sound", "muted": "muted", "lost": "without sound", "opening": "no sound yet"}


@dataclass(frozen=True)
class Status:
    """Values that the overlay shows, all about what really runs. Zero, empty or None: unknown, not shown.

    Attributes:
        unique_fps: different frames shown per second, over the last seconds.
        matting_ms: median time of one frame in the matting engine, milliseconds, over the last seconds.
        compositing_ms: likewise in the compositor.
        total_ms: likewise from grab to display.
        total_p95_ms: its 95th percentile.
        device: torch device that does the matting, e.g. ``cuda:0``.
        device_name: the device in words.
        backend: compositing back end that made the last picture.
        engine: name of the engine.
        model: name of the network.
        precision: ``fp32``, ``bf16``, ``fp16`` or ``int8``, of this moment.
        ratio: downsample ratio the network works at, (0, 1].
        focus: what of the picture, and which frames, it sees; empty if it sees all.
        source: one line.
        size: width and height of the frames, pixels.
        drops: queue -> frames dropped so far.
        repeats: frames shown again because nothing new came.
        background: short name.
        framing: the framing, e.g. ``follow · zoom 1.5``; empty if the frame is shown unchanged.
        low_light: how many times brighter shadows are made.
        look: the look, e.g. ``match 60 · linear``; empty if there is none.
        recording: path that is being written, or None.
        sound: state of the recorded microphone: ``on``, ``muted``, ``lost`` or ``opening``; empty without one.
        recorded_s: duration of the recording, seconds.
        recorded_bytes: size of the recording, bytes.
        camera: name of the virtual camera; empty without one.
        camera_ms: age of a picture when other programs get it, milliseconds.
        camera_watched: whether a program uses the camera; None if unknown.
        streams: of each stream its address, state (``connecting``, ``live``, ...), and for how long it has been live,
            seconds.
        gpu: newest reading, or None.
        fetching: the running download and its progress; empty without one.
        paused: the user switched the camera off.
        phase: the present step before the first picture, e.g. ``opening the camera``.
        messages: newest notices, fallbacks above all; each is shown for :data:`MESSAGE_SECONDS`.
    """

    unique_fps: float = 0.0
    matting_ms: float = 0.0
    compositing_ms: float = 0.0
    total_ms: float = 0.0
    total_p95_ms: float = 0.0
    device: str = ""
    device_name: str = ""
    backend: str = ""
    engine: str = ""
    model: str = ""
    precision: str = ""
    ratio: float = 0.0
    focus: str = ""
    source: str = ""
    size: tuple[int, int] = (0, 0)
    drops: Mapping[str, int] = field(default_factory=dict)
    repeats: int = 0
    background: str = ""
    framing: str = ""
    low_light: float = 1.0
    look: str = ""
    recording: str | None = None
    sound: str = ""
    recorded_s: float = 0.0
    recorded_bytes: int = 0
    camera: str = ""
    camera_ms: float = 0.0
    camera_watched: bool | None = None
    streams: tuple[tuple[str, str, float], ...] = ()
    gpu: GpuReading | None = None
    fetching: str = ""
    paused: bool = False
    phase: str = ""
    messages: tuple[str, ...] = ()


def joined(*parts: str) -> str:
    """The non-empty parts on one line."""
    return " · ".join(part for part in parts if part)


def _gpu_text(gpu: GpuReading) -> str:
    memory = ""
    if gpu.memory_used is not None:
        total = "" if gpu.memory_total is None else f"/{gpu.memory_total / 2**30:.1f}"
        memory = f"{gpu.memory_used / 2**30:.1f}{total} GiB"
    return joined(
        "" if gpu.utilisation is None else f"{gpu.utilisation} %",
        memory,
        "" if gpu.temperature is None else f"{gpu.temperature} °C",
        "" if gpu.power is None else f"{gpu.power:.0f} W",
        "" if gpu.clock is None else f"{gpu.clock} MHz",
    )


def _camera_text(status: Status) -> str:
    delay = f"{status.camera_ms:.0f} ms" if status.camera_ms and status.camera_watched is not False else ""
    return joined(status.camera, delay, "nobody watches" if status.camera_watched is False else "")


def statistics_rows(status: Status, display: str) -> list[Row]:
    """The lines of the statistics panel, in order; what is unknown is left out."""
    width, height = status.size
    drops = joined(*(f"{name} {count}" for name, count in status.drops.items() if count)) or "none"
    repeats = f"{status.repeats} repeated" if status.repeats else ""
    ratio = f"ratio {status.ratio:.3f}".rstrip("0").rstrip(".") if status.ratio else ""
    model = " ".join(filter(None, (network_words(status.engine, status.model), status.precision)))
    device = joined(status.device, status.device_name)
    gpu = _gpu_text(status.gpu) if status.gpu is not None else ""
    p95 = f"p95 {status.total_p95_ms:.1f}" if status.total_p95_ms else ""
    rows = [
        Row("", "fps", f"{status.unique_fps:.1f}", rank=0, scale=1.5),
        _latency("AI", status.matting_ms, rank=2),
        _latency("Compositing", status.compositing_ms, rank=3),
        _latency("Total", status.total_ms, p95, rank=1),
        Row("Device", device, rank=4) if device else None,
        Row("Backend", status.backend, rank=5) if status.backend else None,
        Row("Model", joined(model, ratio, status.focus), rank=6) if model else None,
        Row("Drops", joined(drops, repeats), rank=7),
        Row("GPU", gpu, rank=8) if gpu else None,
        Row("Camera", _camera_text(status), rank=9) if status.camera else None,
        Row("Background", status.background, rank=10) if status.background else None,
        Row("Source", joined(f"{width}x{height}" if width else "", status.source), rank=11)
        if width or status.source
        else None,
        Row("Framing", status.framing, rank=13) if status.framing else None,
        Row("Low light", f"shadows x{status.low_light:.1f}", rank=13) if status.low_light >= 1.05 else None,
        Row("Look", status.look, rank=13) if status.look else None,
        Row("View", display, rank=12),
        Row("Recording", joined(PurePath(status.recording).name, _SOUND[status.sound]), colour=RED, rank=9)
        if status.recording
        else None,
    ]
    return [row for row in rows if row is not None]


def _latency(label: str, milliseconds: float, more: str = "", *, rank: int) -> Row:
    if not milliseconds:
        return Row(label, "-", rank=rank)
    return Row(label, joined("ms", more), f"{milliseconds:.1f}", rank=rank)


def clock_of(seconds: float) -> str:
    """A duration as text: ``01:23``."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes:02d}:{rest:02d}"
