"""``rvm-live monitor``: GPU and CPU over time, alone or around a command."""

from __future__ import annotations

import math
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rvm_live.cli.line import Line
from rvm_live.cli.params import PlacePath, printable
from rvm_live.core.errors import MonitorError, RvmLiveError, UnavailableError, told_as
from rvm_live.system.atomic_write import no_empty_folders

if TYPE_CHECKING:
    from rvm_live.apps.monitor import Sample

__all__ = ["monitor"]

_LONGEST_S = 30 * 24 * 3600.0
_LEAST_INTERVAL_S, _LONGEST_INTERVAL_S = 0.01, 3600.0
_MOST_CARDS = 256
_LOOK_S = 0.1
_CODES = {"terminated": 143, "hung up": 129}  # Ctrl-C is not here: it is the usual end of a recording without a command

_SHOWN = {
    "gpu_percent": ("GPU", "%"),
    "vram_mb": ("VRAM", " MB"),
    "power_w": ("power", " W"),
    "temperature_c": ("temperature", " °C"),
    "clock_mhz": ("clock", " MHz"),
    "cpu_percent": ("CPU", "%"),
    "memory_mb": ("memory", " MB"),
}


@click.command(context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False})
@click.option("--name", help="Name of the files gpu_NAME.csv and gpu_NAME.png.  [default: the command's, or monitor]")
@click.option(
    "-o", "--output", type=PlacePath(), default=Path(), help="Folder for the files.  [default: the current folder]"
)
@click.option("--interval", type=float, default=1.0, help="Seconds between samples.  [default: 1]")
@click.option(
    "--seconds", type=float, help="Stop after this many seconds.  [default: when the command ends, or Ctrl-C]"
)
@click.option("--gpu", "device", type=int, default=0, help="Number of the GPU, as NVML counts.  [default: 0]")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def monitor(
    ctx: click.Context,
    name: str | None,
    output: Path,
    interval: float,
    seconds: float | None,
    device: int,
    command: tuple[str, ...],
) -> None:
    """Record load, memory, power and temperature over time, while COMMAND runs or until Ctrl-C.

    Write -- before a COMMAND that has options. Its exit code is passed on. Without an NVIDIA GPU only the CPU's
    load and memory are recorded.
    """
    from rvm_live.apps import monitor as samples
    from rvm_live.system.signals import stopping_on_signals

    name = name or (Path(command[0]).stem if command else "monitor")
    if not name or Path(name).name != name:
        raise click.UsageError(f"--name {name!r} must be a name, not a path: name the folder with --output")
    if seconds is not None and not 0 < seconds <= _LONGEST_S:
        raise click.UsageError(f"--seconds {seconds:g} is out of range: above 0, at most {_LONGEST_S:.0f} (30 days)")
    if not _LEAST_INTERVAL_S <= interval <= _LONGEST_INTERVAL_S:
        raise click.UsageError(
            f"--interval {interval:g} is out of range: from {_LEAST_INTERVAL_S:g} to {_LONGEST_INTERVAL_S:g} seconds"
        )
    if not 0 <= device < _MOST_CARDS:
        raise click.UsageError(f"--gpu {device} is out of range: from 0 to {_MOST_CARDS - 1}")
    if command and shutil.which(command[0]) is None:
        raise MonitorError(f"cannot run {command[0]}: the program was not found")
    path = output / f"gpu_{name}.csv"
    line, stopped = Line(), _Stopped()
    with (
        stopping_on_signals(stopped),
        no_empty_folders(output),
        _without(path),
        samples.Monitor(
            path, interval=interval, which=lambda: device, seen=lambda sample: line(_told(sample))
        ) as running,
    ):
        process = _started(list(command))
        if running.reason is not None:
            click.echo(f"the GPU is not recorded: {running.reason}", err=True)
        code = _wait(process, seconds, stopped)
    line.end()
    for column, (mean, largest) in samples.summary(running.samples).items():
        if column in _SHOWN:
            label, unit = _SHOWN[column]
            click.echo(f"{label:<12} mean {mean:.0f}{unit}, at most {largest:.0f}{unit}")
    click.echo(printable(f"{path}, {len(running.samples)} samples"))
    try:
        samples.draw(running.samples, path.with_suffix(".png"), _title(" ".join(command) or name))
        click.echo(printable(str(path.with_suffix(".png"))))
    except UnavailableError as error:
        click.echo(str(error), err=True)
    ctx.exit(code)


@contextmanager
def _without(path: Path) -> Iterator[None]:
    """Remove the empty recording of a command that could not be started; files of earlier runs stay."""
    there = os.path.lexists(path)
    try:
        yield
    except RvmLiveError:
        if not there:
            with suppress(OSError):
                path.unlink()
        raise


def _title(text: str) -> str:
    """A title that the plot's font can show."""
    plain = "".join(c if ord(c) < 0x250 else "?" for c in printable(text))
    return plain if len(plain) <= 100 else plain[:97] + "..."


def _told(sample: Sample) -> str:
    values = ((label, getattr(sample, name), unit) for name, (label, unit) in _SHOWN.items())
    return f"{sample.seconds:6.0f} s  " + ", ".join(f"{a} {b:.0f}{c}" for a, b, c in values if b is not None)


def _started(command: list[str]) -> subprocess.Popen[Any] | None:
    if not command:
        return None
    with told_as(MonitorError, f"cannot run {command[0]}"):
        return subprocess.Popen(command)


class _Stopped(threading.Event):
    """An event that the first signal sets, with the reason."""

    reason = ""

    def __call__(self, reason: str) -> None:
        self.reason = reason
        self.set()


def _wait(process: subprocess.Popen[Any] | None, seconds: float | None, stopped: _Stopped) -> int:
    """Wait until the command ends, the time is up, or a signal comes; returns the exit code, the command's if there is
    one."""
    if process is None:
        stopped.wait(seconds)
        return _CODES.get(stopped.reason, 0)
    until = math.inf if seconds is None else time.monotonic() + seconds
    while not stopped.is_set() and time.monotonic() < until:
        with suppress(subprocess.TimeoutExpired):
            return _code(process.wait(min(_LOOK_S, max(0.0, until - time.monotonic()))))
    _end(process, stopped.reason)
    try:
        return _code(process.wait(10))
    except subprocess.TimeoutExpired:
        process.kill()
        return _code(process.wait())


def _end(process: subprocess.Popen[Any], reason: str) -> None:
    """Ask the command to end. On Ctrl-C the terminal has already done so; on Windows only the terminal can."""
    with suppress(OSError):
        if reason != "interrupted":
            process.terminate()
        elif sys.platform != "win32":
            process.send_signal(signal.SIGINT)


def _code(returned: int) -> int:
    return returned if returned >= 0 else 128 - returned
