"""``rvm-live calibrate``: the networks for ``--precision int8``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from rvm_live.cli.params import PlacePath
from rvm_live.core.errors import SettingsError
from rvm_live.core.settings import MODELS, EngineSettings, SourceSettings, parse_ratio

if TYPE_CHECKING:
    from rvm_live.apps.calibrate import Calibrated

__all__ = ["calibrate"]

_MOST_FRAMES = 1000


@click.command()
@click.option("--source", default="auto", help="A camera, clip or URL that shows you as in use.  [default: auto]")
@click.option("--width", type=int, help="Pixels asked of the camera, as in use.  [default: 1280]")
@click.option("--height", type=int, help="Pixels asked of the camera, as in use.  [default: 720]")
@click.option("--fps", type=float, default=30.0, help="Frames per second asked of the camera.  [default: 30]")
@click.option("--frames", type=int, default=60, help="Frames to calibrate on.  [default: 60]")
@click.option("--model", type=click.Choice(MODELS), help="RVM's backbone.  [default: mobilenetv3]")
@click.option("--weights", type=PlacePath(home=True), help="Weights: a file, or a folder that holds them.")
@click.option("--downsample-ratio", default="auto", help="One ratio; auto: every size the program moves between.")
@click.option("--offline", is_flag=True, help="Never download weights.")
def calibrate(**options: Any) -> None:
    """Prepare --precision int8 for one size of frame, on pictures of your own.

    It pays on CPUs with 8-bit dot products (VNNI) and without bfloat16. Nothing leaves this machine.
    """
    if options["frames"] > _MOST_FRAMES:
        raise SettingsError(f"frames {options['frames']} is out of range: at most {_MOST_FRAMES} are held in memory")
    from rvm_live.apps.calibrate import run
    from rvm_live.sources.camera.opencv_logging import silence_backends

    silence_backends()
    source = SourceSettings(
        source=options["source"],
        width=options["width"],
        height=options["height"],
        fps=options["fps"],
        realtime=False,
    )
    engine = EngineSettings(
        model=options["model"],
        weights=options["weights"],
        downsample_ratio=parse_ratio(options["downsample_ratio"]),
        offline=options["offline"],
    )
    run(source, engine, options["frames"], done=_tell)
    click.echo("ready: use it with --precision int8")


def _tell(each: Calibrated) -> None:
    width, height = each.low
    click.echo(f"{width}x{height} (ratio {each.ratio:.3g}): alpha is {each.worst * 1e3:.2f}e-3 from single precision")
