"""``rvm-live export``: options to settings, report to a few lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from rvm_live.apps.export.export import FORMATS, ExportSettings
from rvm_live.cli.line import telling
from rvm_live.cli.options import engine_options, engine_settings, settings_of
from rvm_live.cli.params import PlacePath, printable

if TYPE_CHECKING:
    from rvm_live.apps.export.export import ExportReport

__all__ = ["export"]


@click.command()
@click.option("--format", "form", type=click.Choice(list(FORMATS)), required=True, help="Format of the file.")
@engine_options(model={}, weights={}, offline={})
@click.option("--width", type=int, default=1280, help="Width of the frames in pixels.  [default: 1280]")
@click.option("--height", type=int, default=720, help="Height of the frames in pixels.  [default: 720]")
@engine_options(
    downsample_ratio={
        "names": ("--ratio", "--downsample-ratio"),
        "help": "auto: min(512 / longer side, 1); or a number above 0, at most 1.",
    }
)
@click.option("--fp16", "half", is_flag=True, help="Half precision, for GPUs; the file is half as large.")
@click.option(
    "-o",
    "--output",
    type=PlacePath(home=True),
    help="The file to write, or its folder.  [default: rvm_MODEL_WIDTHxHEIGHT_rRATIO_PRECISION here]",
)
@click.option("--force", "replace", is_flag=True, help="Overwrite a file that exists.")
def export(**options: Any) -> None:
    """Write the network to a file for other programs, for frames of one size.

    Its inputs are src and the recurrent states r1i to r4i; its outputs are fgr, pha and r1o to r4o. The file is
    compared with the network on a moving picture, in its own runtime, before it is written.
    """
    from rvm_live.apps.export.export import export as make
    from rvm_live.cli.weights import download_progress

    settings = settings_of(ExportSettings, options, engine=engine_settings(options))
    with telling() as tell:
        report = make(settings, tell=tell, progress=download_progress)
    click.echo(report_text(report))


def report_text(report: ExportReport) -> str:
    """The report as a few lines for people."""
    facts = report.facts
    size = sum(path.stat().st_size for path in report.files) / 1e6
    return "\n".join(
        [
            f"wrote {printable(' and '.join(map(str, report.files)))} ({size:.1f} MB)",
            f"  {facts['model']}, {facts['width']}x{facts['height']}, ratio {float(facts['downsample_ratio']):.4g}, "
            f"{facts['precision']}",
            f"  checked against the network on {report.frames} frames; mean differences: {report.difference}",
        ]
    )
