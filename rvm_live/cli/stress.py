"""``rvm-live stress``: how much matting this machine can do, and how hot it gets."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rvm_live.apps.batch.settings import parse_memory
from rvm_live.cli.options import engine_options, engine_settings, settings_of
from rvm_live.cli.params import PlacePath, made_folder, printable
from rvm_live.core.errors import UnavailableError

if TYPE_CHECKING:
    from rvm_live.apps.stress.run import Row, StressReport

__all__ = ["stress"]

_COLUMNS = (
    ("fps", "fps", "{:.1f}"),
    ("megapixels_s", "Mpx/s", "{:.0f}"),
    ("p50_ms", "p50 ms", "{:.1f}"),
    ("p95_ms", "p95 ms", "{:.1f}"),
    ("gpu_percent", "GPU %", "{:.0f}"),
    ("vram_mb", "VRAM MB", "{:.0f}"),
    ("power_w", "W", "{:.0f}"),
    ("temperature_c", "hottest C", "{:.0f}"),
    ("cpu_percent", "CPU %", "{:.0f}"),
    ("memory_mb", "memory MB", "{:.0f}"),
    ("paused_s", "paused s", "{:.1f}"),
)


@click.command()
@click.option("--minutes", type=float, default=5.0, help="Minutes for all configurations together.  [default: 5]")
@click.option("--configs", help="ENGINE/MODEL/PRECISION/SIZE/CHUNK[xBATCH], separated by commas.")
@engine_options(device={})
@click.option("--memory-limit", help="Most GPU memory to use, such as 10GB.")
@click.option(
    "--max-temperature",
    type=float,
    default=85.0,
    help="Degrees Celsius at which the test slows down, then stops.  [85]",
)
@click.option("-o", "--output", type=PlacePath(), default=Path("stress"), help="[default: stress]")
@click.pass_context
def stress(ctx: click.Context, /, **options: Any) -> None:
    """Run networks, precisions, frame sizes and chunks one after the other; measure speed, load, memory, power and
    heat.

    It ends with a table, stress.csv, stress.png and the fastest setting for this machine. Networks that are not
    downloaded run with random weights, which take the same time. Exit code 1 if nothing could run, 130 after Ctrl-C.
    """
    from rvm_live.apps.stress.configs import parse
    from rvm_live.apps.stress.run import Row, StressSettings, run
    from rvm_live.media.plots import write_rows
    from rvm_live.system import threads
    from rvm_live.system.signals import stopping_on_signals

    limit = options["memory_limit"]
    settings = settings_of(
        StressSettings,
        options,
        configs=() if options["configs"] is None else parse(options["configs"]),
        device=engine_settings(options).device,  # rejects an unknown device
        memory_limit=None if limit is None else parse_memory(limit),
    )
    threads.keep_memory()
    threads.apply(threads.plan(threads.usable_cores()))
    stopped = threading.Event()
    with made_folder(settings.output), stopping_on_signals(lambda reason: stopped.set()):
        report = run(settings, stopped=stopped, tell=_tell)
    _show(report)
    write_rows(Row, report.rows, settings.output / "stress.csv")
    click.echo(printable(str(settings.output / "stress.csv")))
    try:
        from rvm_live.apps.stress.plot import draw

        draw(report.rows, settings.output / "stress.png", f"rvm-live stress, {report.device_name}")
        click.echo(printable(str(settings.output / "stress.png")))
    except UnavailableError as error:
        click.echo(str(error), err=True)
    ctx.exit(130 if stopped.is_set() else 0 if any(row.fps for row in report.rows) else 1)


def _tell(event: str, value: Any) -> None:
    if event == "row":
        row: Row = value
        told = f"{row.fps:.1f} fps" if row.fps is not None else row.error
        click.echo(f"{row.config}: {told}", err=True)


def _show(report: StressReport) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    table = Table(title=f"rvm-live stress on {report.device_name} ({report.device})")
    table.add_column("configuration")
    shown = [each for each in _COLUMNS if any(getattr(row, each[0]) is not None for row in report.rows)]
    for _, label, _ in shown:
        table.add_column(label, justify="right")
    for row in report.rows:
        values = [getattr(row, name) for name, _, _ in shown]
        table.add_row(
            row.config, *("-" if v is None else form.format(v) for v, (_, _, form) in zip(values, shown, strict=True))
        )
    console.print(table, markup=False)
    for row in report.rows:
        if row.error:
            console.print(f"{row.config}: {row.error}", markup=False, highlight=False)
    for note in report.notes:
        console.print(note, markup=False, highlight=False)
    if any(not row.real_weights for row in report.rows):
        console.print(
            "random weights were used for networks that are not downloaded: the speed is the same", highlight=False
        )
    if report.reason:
        console.print(report.reason, markup=False, highlight=False)
    bests, live = report.bests, report.live()
    if bests:
        console.print("highest throughput of this machine, by network:")
    for best in bests:
        console.print(f"  {best.config}, {best.megapixels_s:.0f} megapixels a second", highlight=False)
        console.print(f"    {_command(best)}", markup=False, highlight=False)
    if live is not None:
        console.print(f"live at 30 fps: {live.config}, {live.fps:.0f} fps")
        console.print(f"  {_command(live, live=True)}", markup=False, highlight=False)


def _command(row: Row, *, live: bool = False) -> str:
    """The command line for this setting."""
    engine, model, precision, _, many = row.config.split("/")
    chunk = many.partition("x")[0]
    named = "" if engine == "lite" else f" --model {model}"
    start = "rvm-live" if live else "rvm-live batch INPUT -o OUTPUT"
    chunks = "" if live or engine != "rvm" else f" --seq-chunk {chunk}"
    return f"{start} --engine {engine}{named} --precision {precision}{chunks}"
