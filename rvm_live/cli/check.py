"""``rvm-live check``: how good the cut-out is on one's own footage, as a table or as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rvm_live.cli.line import telling
from rvm_live.cli.options import engine_options, engine_settings, source_options, source_settings
from rvm_live.cli.params import PlacePath, one_line, printable

if TYPE_CHECKING:
    from rvm_live.apps.check.report import Report

__all__ = ["check"]


@click.command()
@click.argument("clip", metavar="CLIP|CAMERA|demo")
@click.option(
    "-o",
    "--output",
    type=PlacePath(home=True),
    default=Path("check.html"),
    help="The HTML report to write.  [default: check.html]",
)
@click.option(
    "--seconds", type=float, help="Look at this many seconds from the start.  [default: the whole film; otherwise 10]"
)
@source_options(width={}, height={}, fps={"default": 30.0})
@engine_options(
    engine={},
    model={},
    weights={},
    device={},
    precision={},
    downsample_ratio={},
    steady={},
    box={},
    key={},
    offline={},
    require_licence={},
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def check(clip: str, output: Path, as_json: bool, **options: Any) -> None:
    """Measure the quality of the cut-out on your own footage, without a reference matte.

    The figures rank mattes in the same order as a true reference does. An HTML page shows them over time, with the
    frames that look worst. Nothing leaves this machine.
    """
    from rvm_live.apps.check.page import page
    from rvm_live.apps.check.run import CheckSettings
    from rvm_live.apps.check.run import check as checked
    from rvm_live.apps.preflight import check_writable
    from rvm_live.cli.weights import download_progress
    from rvm_live.sources.camera.opencv_logging import silence_backends
    from rvm_live.system import threads
    from rvm_live.system.atomic_write import write_whole
    from rvm_live.system.folders import at_home

    settings = CheckSettings(
        source=source_settings(options, source=clip, realtime=False),
        engine=engine_settings(options),
        seconds=options["seconds"],
        output=at_home(output),
    )
    check_writable(settings.output)
    silence_backends()
    threads.keep_memory()
    threads.apply(threads.plan(threads.usable_cores()))
    with telling() as tell:
        report = checked(settings, tell, download_progress)
    write_whole(settings.output, page(report).encode("utf-8", "backslashreplace"))
    if as_json:
        click.echo(json.dumps(report.to_dict(), indent=2))
        return
    for line in table(report):
        click.echo(printable(line))
    click.echo(printable(str(settings.output)))


def table(report: Report) -> list[str]:
    """The report as people read it."""
    from rvm_live.apps.check.figures import FIGURES

    info = report.engine
    ratio = f", ratio {info.downsample_ratio:.3g}" if info.downsample_ratio else ""
    lines = [
        f"{report.source.label}, {report.source.width}x{report.source.height}: {len(report.frames)} frames measured, "
        f"in {report.windows} part{'s' * (report.windows != 1)}",
        " ".join(dict.fromkeys((info.engine, info.model))).rstrip() + f", {info.precision} on {info.device}{ratio}",
        *map(one_line, report.notes),
        "",
        f"{'':<14}{'mean':>8}{'95 %':>8}{'worst':>8}  {'usual':<15}unit",
    ]
    for each in FIGURES:
        if (found := report.summary.get(each.name)) is not None:
            usual = f"{each.usual[0]:g} to {each.usual[1]:g}"
            values = "".join(f"{value:8.2f}" for value in (found.mean, found.p95, found.most))
            lines.append(f"{each.title:<14}{values}  {usual:<15}{each.unit}")
    if "disagreement" not in report.summary:
        lines.append(f"{'disagreement':<14}cannot be measured: this engine works at one size only")
    if report.worst:
        places = ", ".join(f"{each.judged.seconds:.1f} s" for each in report.worst)
        lines += ["", f"looks worst at {places}"]
    lines += ["", *report.advice.words()]
    return lines
