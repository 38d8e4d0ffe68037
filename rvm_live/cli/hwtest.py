"""``rvm-live hwtest``: options to settings, report to tables or JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from rvm_live.cli.line import telling
from rvm_live.cli.options import engine_options, engine_settings, settings_of, source_options, source_settings

__all__ = ["hwtest"]


@click.command()
@source_options(
    source={
        "metavar": "N|URL|PATH",
        "help": "A camera's number or name, a URL or a file; auto: the first camera that delivers pictures.",
    },
    width={},
    height={},
    fps={},
    fourcc={},
)
@click.option(
    "--seconds", type=float, help="Seconds to measure.  [default: 5; with --preview until the window is closed]"
)
@click.option(
    "--preview", is_flag=True, help="Show the picture with a frame counter and time stamps; q or Esc ends it."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@engine_options(
    weights={"help": "Weights to measure with: a file or a folder."},
    device={"help": "Device to measure on: auto, cpu, cuda, cuda:N or mps."},
)
@click.option("--quick", is_flag=True, help="Skip the camera's modes and the timing of the engine.")
def hwtest(as_json: bool, **options: Any) -> None:
    """Test cameras and this machine, and measure which settings to use here.

    Nothing is downloaded. The exit code is 0 if a source delivered frames, and 1 if none did.
    """
    from rvm_live.apps.hwtest import HwTestSettings, run
    from rvm_live.sources.camera.opencv_logging import silence_backends

    source, engine = source_settings(options), engine_settings(options)
    settings = settings_of(HwTestSettings, options, source=source, engine=engine)
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
