"""``log_<name>.txt`` beside each output: what was asked for, what ran, how long it took, what went wrong."""

from __future__ import annotations

import platform
from dataclasses import fields
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version

from rvm_live import __version__
from rvm_live.batch.media import Facts
from rvm_live.batch.report import Done
from rvm_live.batch.settings import PRESETS, BatchSettings
from rvm_live.gpu import GpuReading
from rvm_live.metrics import STAGES, Snapshot
from rvm_live.report import Ran
from rvm_live.sinks.snapshot import write_whole

__all__ = ["write_log"]

_PACKAGES = ("torch", "openvino", "opencv-contrib-python", "av", "numpy")


def write_log(
    settings: BatchSettings,
    done: Done,
    facts: Facts | None,
    ran: Ran,
    snapshot: Snapshot | None,
    start: datetime,
    readings: tuple[GpuReading | None, GpuReading | None],
) -> None:
    """Write the log of one file, whole.

    Args:
        settings: of the run.
        done: what became of it.
        facts: of the input, None where it could not be read.
        ran: what did the work.
        snapshot: counts and latencies, None where nothing ran.
        start: when the file was begun.
        readings: of the GPU before and after.

    Raises:
        OSError: it cannot be written.
    """
    preset = PRESETS[settings.quality]
    lines = [
        f"input        {done.job.source}",
        f"state        {done.state}",
        f"begun        {start.isoformat(timespec='seconds')}",
        f"ended        {datetime.now(timezone.utc).isoformat(timespec='seconds')}",
        f"took         {done.seconds:.2f} s, {done.frames} frames, {_rate(done.frames, done.seconds)}",
    ]
    lines += [f"output       {path}" for path in done.outputs]
    if facts is not None:
        lines.append(
            f"picture      {facts.width}x{facts.height}, {float(facts.rate):.3f} fps, {facts.frames or '?'} frames, "
            f"time base {facts.time_base}, sound: {', '.join(facts.sound) or 'none'}"
        )
    lines += ["", "settings", f"  quality      {settings.quality} ({preset.model}, ratio {preset.ratio:g})"]
    for field in fields(settings):
        if field.name not in ("inputs", "quality"):
            lines.append(f"  {field.name:<12} {getattr(settings, field.name)}")
    lines += ["", "what ran"]
    lines += [f"  {field.name:<16} {getattr(ran, field.name)}" for field in fields(ran)]
    if snapshot is not None:
        lines += ["", "milliseconds     p50     p95     p99"]
        for stage in STAGES:
            if stage in snapshot.latency_ms:
                track = snapshot.latency_ms[stage]
                lines.append(f"  {stage:<12}{track.p50:7.1f} {track.p95:7.1f} {track.p99:7.1f}")
    lines += ["", "GPU"]
    lines += [f"  {when:<8} {_gpu(reading)}" for when, reading in zip(("before", "after"), readings, strict=True)]
    lines += ["", "versions", f"  rvm-live {__version__}, Python {platform.python_version()}, {platform.platform()}"]
    lines.append("  " + ", ".join(f"{name} {_version(name)}" for name in _PACKAGES))
    if done.notes:
        lines += ["", "told", *(f"  {note}" for note in done.notes)]
    if done.error:
        lines += ["", "error", f"  {done.error}"]
    write_whole(settings.output / f"log_{done.job.stem}.txt", ("\n".join(lines) + "\n").encode())


def _rate(frames: int, seconds: float) -> str:
    return f"{frames / seconds:.1f} fps" if seconds > 0 else "0 fps"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _gpu(reading: GpuReading | None) -> str:
    if reading is None:
        return "none"
    used = None if reading.memory_used is None else round(reading.memory_used / 1e6)
    return (
        f"{reading.name}, {reading.utilisation} %, {used} MB, {reading.temperature} C, {reading.power} W, "
        f"{reading.clock} MHz"
    )
