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
    source={"help": "A camera, clip or URL that shows you as in daily use."},
    width={"help": "Width in pixels, as in daily use."},
    height={"help": "Height in pixels, as in daily use."},
    fps={"default": 30.0},
)
@click.option("--frames", type=int, default=60, help="Number of frames to calibrate with.  [default: 60]")
@engine_options(
    model={},
    weights={},
    downsample_ratio={"help": "One ratio; auto: every size that the program may use.", "shown": ""},
    offline={},
)
def calibrate(**options: Any) -> None:
    """Prepare --precision int8 for one frame size, with pictures from your camera or clip.

    It helps on CPUs without bfloat16. The gain is measured here, and auto uses it if it is faster. Nothing leaves
    this machine.
    """
    if options["frames"] > _MOST_FRAMES:
        raise SettingsError(f"frames {options['frames']} is out of range: it must be at most {_MOST_FRAMES}")
    from rvm_live.apps.calibrate import run
    from rvm_live.sources.camera.opencv_logging import silence_backends

    silence_backends()
    source, engine = source_settings(options, realtime=False), engine_settings(options)
    made = run(source, engine, options["frames"], done=_tell)
    taken = [each for each in made if each.taken]
    if len(taken) == len(made):
        click.echo("ready: auto uses it for live video from now on; for files use --precision int8")
    elif taken:
        click.echo("ready: auto uses the faster sizes for live video; --precision int8 uses all of them")
    else:
        click.echo("ready, but not faster on this CPU: auto does not use it, --precision int8 does")


def _tell(each: Calibrated) -> None:
    width, height = each.low
    click.echo(
        f"{width}x{height} (ratio {each.ratio:.3g}): alpha differs by {each.worst * 1e3:.2f}e-3 from single precision "
        f"and takes {each.share:.2f} of its time"
    )
