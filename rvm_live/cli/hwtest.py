"""``rvm-live hwtest``: options to settings, report to tables or JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from rvm_live.cli.line import telling
from rvm_live.cli.options import engine_options, engine_settings, source_options, source_settings

__all__ = ["hwtest"]


@click.command()
@source_options(
    source={
        "metavar": "N|URL|PATH",
        "help": "A camera's number or name, a URL or a file; auto: the first camera that delivers.",
    },
    width={},
    height={},
    fps={},
    fourcc={},
)
@click.option("--seconds", type=float, help="How long to measure.  [default: 5; with --preview, until it is closed]")
@click.option("--preview", is_flag=True, help="Show the picture with counter and time stamps; q, Esc or closing ends.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of tables.")
@engine_options(
    weights={"help": "Weights to measure with: a file or a folder."},
    device={"help": "Device to measure on: auto, cpu, cuda, cuda:N or mps."},
)
@click.option("--quick", is_flag=True, help="Leave out the camera's modes and the timing of the engine.")
def hwtest(as_json: bool, **options: Any) -> None:
    """Probe cameras and this machine, and find out by measurement what to use here.

    Nothing is downloaded. The exit code is 0 where a source delivered frames, and 1 where none did.
    """
    from rvm_live.apps.hwtest import HwTestSettings, run
    from rvm_live.sources.camera.opencv_logging import silence_backends

    settings = HwTestSettings(
        source=source_settings(options),
        engine=engine_settings(options),
        seconds=options["seconds"],
        preview=options["preview"],
        quick=options["quick"],
    )
    silence_backends()
    with telling() as tell:
        tell("starting")
        report = run(settings, tell)
    if as_json:
        click.echo(json.dumps(report.to_dict(), indent=2, sort_keys=True))
    else:
        from rvm_live.cli.hwtest_tables import print_report

        print_report(report)
    sys.exit(0 if report.delivered else 1)
