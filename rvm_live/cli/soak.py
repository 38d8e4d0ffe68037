"""``rvm-live soak``: live video for hours, with faults on purpose, to find leaks and slowdowns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rvm_live.cli.line import Line
from rvm_live.cli.options import engine_options, engine_settings, settings_of, source_options, source_settings
from rvm_live.cli.params import PlacePath, made_folder, printable
from rvm_live.core.errors import UnavailableError

if TYPE_CHECKING:
    from rvm_live.apps.soak.run import Sample

__all__ = ["soak"]


@click.command()
@click.option("--frames", type=int, help="Stop after this many shown frames.")
@click.option("--hours", type=float, help="Stop after this many hours.")
@click.option(
    "--faults", is_flag=True, help="Make the camera and the engine fail at random times that --seed determines."
)
@click.option("--seed", type=int, default=1, help="[default: 1]")
@source_options(
    source={"default": "demo", "shown": "the demo, at full speed"},
    width={"default": 320, "shown": 320},
    height={"default": 180, "shown": 180},
)
@engine_options(engine={"default": "lite"}, weights={}, device={}, downsample_ratio={})
@click.option("-o", "--output", type=PlacePath(), default=Path("soak"), help="[default: soak]")
@click.pass_context
def soak(ctx: click.Context, /, **options: Any) -> None:
    """Run live video without a window for a long time, and record memory, threads, file descriptors, queues and
    latency.

    It ends with a verdict, soak.csv and soak.png. Exit code 0 if nothing leaked or slowed down, 1 if something did, 130
    after Ctrl-C.
    """
    from rvm_live.apps.soak.run import Sample, SoakSettings, run
    from rvm_live.media.plots import write_rows
    from rvm_live.sources.camera.opencv_logging import silence_backends
    from rvm_live.system import threads

    demo = options["source"] == "demo"
    source = source_settings(options, fps=1000.0 if demo else 60.0, realtime=not demo)
    settings = settings_of(SoakSettings, options, source=source, engine=engine_settings(options))
    silence_backends()
    threads.keep_memory()
    threads.apply(threads.plan(threads.usable_cores()))
    line = Line()
    with made_folder(settings.output):
        report = run(settings, lambda sample: line(_told(sample)))
    line.end()
    rate = report.frames / report.seconds if report.seconds else 0.0
    click.echo(
        f"{report.frames} frames in {report.seconds:.0f} s, {rate:.0f} fps, {report.engine}; {report.exit_reason}"
    )
    if settings.faults:
        told = ", ".join(f"{count} x {kind}" for kind, count in sorted(report.faults.items())) or "no fault occurred"
        click.echo(f"faults: {told}")
    for finding in report.findings:
        click.echo(
            f"{'good' if finding.good else 'BAD ':<4} {finding.what}: {finding.value} (at most: {finding.limit})"
        )
    write_rows(Sample, report.samples, settings.output / "soak.csv")
    click.echo(printable(str(settings.output / "soak.csv")))
    try:
        from rvm_live.apps.soak.plot import draw

        draw(report.samples, settings.output / "soak.png", f"rvm-live soak, {report.engine}")
        click.echo(printable(str(settings.output / "soak.png")))
    except UnavailableError as error:
        click.echo(str(error), err=True)
    ctx.exit(130 if report.exit_reason in ("interrupted", "terminated", "hung up") else 0 if report.good else 1)


def _told(sample: Sample) -> str:
    told = f"{sample.seconds:7.0f} s  {sample.frames} frames, {sample.fps:.0f} fps, {sample.rss_mb:.0f} MB"
    return f"{told}, {sample.threads} threads, {sample.descriptors} descriptors"
