"""``rvm-live calibrate``: the networks for ``--precision int8``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from rvm_live.cli.options import engine_options, engine_settings, source_options, source_settings
from rvm_live.core.errors import SettingsError

if TYPE_CHECKING:
    from rvm_live.apps.calibrate import Calibrated

__all__ = ["calibrate"]

_MOST_FRAMES = 1000


@click.command()
@source_options(
    source={"help": "A camera, clip or URL that shows you as in use."},
    width={"help": "Pixels asked of the camera, as in use."},
    height={"help": "Pixels asked of the camera, as in use."},
    fps={"default": 30.0},
)
@click.option("--frames", type=int, default=60, help="Frames to calibrate on.  [default: 60]")
@engine_options(
    model={},
    weights={},
    downsample_ratio={"help": "One ratio; auto: every size the program moves between.", "shown": ""},
    offline={},
)
def calibrate(**options: Any) -> None:
    """Prepare --precision int8 for one size of frame, on pictures of your own.

    It pays on CPUs without bfloat16; whether it does here is measured, and auto takes it where it does. Nothing leaves
    this machine.
    """
    if options["frames"] > _MOST_FRAMES:
        raise SettingsError(f"frames {options['frames']} is out of range: at most {_MOST_FRAMES} are held in memory")
    from rvm_live.apps.calibrate import run
    from rvm_live.sources.camera.opencv_logging import silence_backends

    silence_backends()
    source, engine = source_settings(options, realtime=False), engine_settings(options)
    made = run(source, engine, options["frames"], done=_tell)
    taken = [each for each in made if each.taken]
    if len(taken) == len(made):
        click.echo("ready: auto takes it in live video from now on; files with --precision int8")
    elif taken:
        click.echo("ready: auto takes those that pay in live video; all with --precision int8")
    else:
        click.echo("ready, but it does not pay on this processor: auto does not take it, --precision int8 does")


def _tell(each: Calibrated) -> None:
    width, height = each.low
    click.echo(
        f"{width}x{height} (ratio {each.ratio:.3g}): alpha is {each.worst * 1e3:.2f}e-3 from single precision, "
        f"in {each.share:.2f} of the time"
    )
