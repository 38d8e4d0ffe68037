"""``log_<name>.txt`` beside each output: what was asked for, what ran, how long it took, what went wrong."""

from __future__ import annotations

import platform
from collections.abc import Collection
from dataclasses import fields, is_dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rvm_live import __version__
from rvm_live.apps.batch.inputs import Job
from rvm_live.apps.batch.matting import Worked
from rvm_live.apps.batch.media import Facts
from rvm_live.apps.batch.report import Done
from rvm_live.apps.batch.settings import PRESETS, BatchSettings
from rvm_live.pipeline.metrics import STAGES
from rvm_live.system.atomic_write import write_whole
from rvm_live.system.gpu import GpuReading

__all__ = ["log_of", "tells_of_what_is_there", "write_log"]

_STATE, _OUTPUT = "state        ", "output       "
_LATER = "\n\na later run, which has replaced nothing\n\n"
_PACKAGES = ("torch", "openvino", "opencv-contrib-python", "av", "numpy")


def log_of(job: Job) -> Path:
    """Path of a file's log."""
    return job.folder / f"log_{job.stem}.txt"


def tells_of_what_is_there(log: Path) -> bool:
    """Whether a log is of a finished run, and one of its outputs still exists."""
    try:
        lines = log.read_text("utf-8", "replace").partition(_LATER)[0].splitlines()
    except OSError:
        return False
    made = (line.removeprefix(_OUTPUT) for line in lines if line.startswith(_OUTPUT))
    return f"{_STATE}done" in lines and any((log.parent / Path(each).name).exists() for each in made)


def write_log(
    settings: BatchSettings,
    done: Done,
    facts: Facts | None,
    worked: Worked | None,
    start: datetime,
    readings: tuple[GpuReading | None, GpuReading | None],
    trace: str = "",
) -> None:
    """Write the complete log of one file. The log of a finished run is kept while its outputs exist: a run that
    fails is added below it, one that is interrupted is not.

    Args:
        settings: of the run.
        done: the result.
        facts: of the input, None where it could not be read.
        worked: what ran and how, None if nothing ran to its end.
        start: when the file was begun.
        readings: of the GPU before and after.
        trace: where it failed.

    Raises:
        OSError: it cannot be written.
    """
    path, before = log_of(done.job), b""
    if done.state != "done" and tells_of_what_is_there(path):
        if done.state == "interrupted":
            return
        before = path.read_bytes().partition(_LATER.encode())[0] + _LATER.encode()
    preset = PRESETS[settings.quality]
    lines = [
        f"input        {done.job.source}",
        f"{_STATE}{done.state}",
        f"begun        {start.isoformat(timespec='seconds')}",
        f"ended        {datetime.now(timezone.utc).isoformat(timespec='seconds')}",
        f"took         {done.seconds:.2f} s, {done.frames - done.resumed} frames, {done.fps:.1f} fps",
    ]
    lines += [f"{_OUTPUT}{path}" for path in done.outputs]
    if facts is not None:
        lines.append(
            f"picture      {facts.width}x{facts.height}, {float(facts.rate):.3f} fps, {facts.frames or '?'} frames, "
            f"time base {facts.time_base}, sound: {', '.join(facts.sound) or 'none'}"
        )
    if done.job.span is not None:
        lines.append(f"part         {done.job.span}")
    side = "the clip's own" if preset.side is None else f"{preset.side} pixels"
    lines += ["", "settings", f"  quality      {settings.quality} ({preset.model}, longer side {side})"]
    lines += _in_words(settings, leave_out=("inputs", "quality"))
    if worked is not None:
        lines += ["", "what ran"]
        lines += _in_words(worked.ran)
        lines += [f"  {name:<16} {getattr(worked, name)}" for name in ("chunk", "decoder", "encoder")]
        lines += ["", "milliseconds     p50     p95     p99"]
        for stage in STAGES:
            if stage in worked.snapshot.latency_ms:
                track = worked.snapshot.latency_ms[stage]
                lines.append(f"  {stage:<12}{track.p50:7.1f} {track.p95:7.1f} {track.p99:7.1f}")
    lines += ["", "GPU", *_gpus(*readings)]
    lines += ["", "versions", f"  rvm-live {__version__}, Python {platform.python_version()}, {platform.platform()}"]
    lines.append("  " + ", ".join(f"{name} {_version(name)}" for name in _PACKAGES))
    if done.notes:
        lines += ["", "told", *(f"  {note}" for note in done.notes)]
    if done.error:
        lines += ["", "error", f"  {done.error}", *(f"  {line}" for line in trace.splitlines())]
    # A file's name may not be valid text.
    text = ("\n".join(lines) + "\n").encode("utf-8", "backslashreplace")
    write_whole(path, before + text)


def _in_words(settings: Any, leave_out: Collection[str] = ()) -> list[str]:
    """A line for each field; those of settings in settings stand among them."""
    lines: list[str] = []
    for field in fields(settings):
        value = getattr(settings, field.name)
        if is_dataclass(value):
            lines += _in_words(value, leave_out)
        elif field.name not in leave_out:
            lines.append(f"  {field.name.replace('_', ' '):<16} {_word(value)}")
    return lines


def _word(value: object) -> str:
    if value is None or value == "":
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_word, value)) or "none"
    return str(value)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


_SHOWN = {
    "utilisation": ("load", 1, "%"),
    "memory_used": ("memory", 1e6, "MB"),
    "temperature": ("temperature", 1, "C"),
    "power": ("power", 1, "W"),
    "clock": ("clock", 1, "MHz"),
    "memory_clock": ("memory clock", 1, "MHz"),
}


def _gpus(before: GpuReading | None, after: GpuReading | None) -> list[str]:
    """Both readings and their difference, where a GPU did the work; the first is wanting where it was not known yet."""
    if after is None:
        return ["  none"]
    lines = [f"  {after.name}, driver {after.driver}", "                   before     after    change"]
    for field, (label, unit, name) in _SHOWN.items():
        first, last = getattr(before, field, None), getattr(after, field)
        if last is not None:
            numbers = (first, last, None if first is None else last - first)
            told = " ".join(f"{'-' if each is None else f'{each / unit:.0f}':>9}" for each in numbers)
            lines.append(f"  {label:<14} {told} {name}")
    return lines
