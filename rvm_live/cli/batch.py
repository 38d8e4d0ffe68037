"""``rvm-live batch``: files and folders, with a progress display, plain lines or JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rvm_live.apps.batch.settings import (
    CODEC_NAMES,
    CONTAINERS,
    OLD_NAMES,
    PRESETS,
    WRITABLE,
    BatchSettings,
    parse_memory,
)
from rvm_live.cli.jobs_file import jobs_of
from rvm_live.cli.live import ask_once
from rvm_live.cli.looks import look_options
from rvm_live.cli.options import engine_options, engine_settings, settings_of
from rvm_live.cli.params import PlacePath, one_line, place_text, printable
from rvm_live.cli.progress import Bar, Lines
from rvm_live.cli.words import WithWords
from rvm_live.core.errors import SettingsError
from rvm_live.core.look import Look
from rvm_live.core.registry import ENGINES
from rvm_live.system.atomic_write import no_empty_folders

if TYPE_CHECKING:
    from rvm_live.apps.batch.report import BatchReport

__all__ = ["batch"]

_CODES = {"interrupted": 130, "terminated": 143, "hung up": 129}
_STATES = {"done": "done", "failed": "failed", "interrupted": "unfinished"}
"""State of a file -> its word in the last line."""


class _Quality(click.Choice):  # type: ignore[type-arg]  # older ones of click take none
    """A preset, by its present or a former name."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(OLD_NAMES.get(value, value), param, ctx)


@click.command(cls=WithWords)
@click.argument("inputs", nargs=-1, metavar="INPUT...")
@click.option(
    "-o",
    "--output",
    type=PlacePath(),
    help="A file (cut.mov) or a folder.  [default: clip.cutout.mov next to each input]",
)
@click.option(
    "--quality",
    type=_Quality(list(PRESETS)),
    default="standard",
    help="Speed against quality; resnet, high and ultra are slower.  [default: standard]",
)
@click.option(
    "--write",
    "written",
    default="composite",
    help=f"What to write, separated by commas: {', '.join(WRITABLE)}.  [default: composite]",
)
@click.option(
    "-b",
    "--background",
    default="transparent",
    callback=place_text,
    help="The background, as for live video.  [default: transparent]",
)
@click.option(
    "--container",
    type=click.Choice(CONTAINERS),
    default="auto",
    help="File format.  [default: mov; mp4 with a background; png for a still picture]",
)
@click.option(
    "--codec", type=click.Choice(CODEC_NAMES), default="auto", help="Video codec.  [default: depends on the container]"
)
@click.option(
    "--hwaccel",
    type=click.Choice(["none", "auto"]),
    default="none",
    help="auto: let a GPU decode and encode.  [default: none]",
)
@engine_options(
    engine={},
    model={"shown": "the preset's"},
    weights={},
    device={},
    precision={},
    downsample_ratio={"shown": "the preset's", "help": "A number above 0, at most 1."},
)
@click.option(
    "--start", metavar="WHEN", help="Where to start in each film: 250 (frame), 10.5s, 00:00:10.500 or 00:00:10:12."
)
@click.option("--end", metavar="WHEN", help="Where to stop, written like --start; this frame is not included.")
@click.option(
    "--cuts",
    type=PlacePath(home=True),
    metavar="FILE",
    help="A list of parts of films (CSV or EDL); each part becomes a file.",
)
@click.option(
    "--region", metavar="X,Y,W,H", help="Look for people only in this rectangle; the rest becomes background."
)
@click.option(
    "--mask",
    type=PlacePath(home=True),
    help="A picture or film: white is always person, black never, grey is left to the engine.",
)
@click.option("--seq-chunk", type=int, help="Frames matted at once.  [default: 8; 6 from a height of 2160 pixels]")
@click.option("--memory-limit", help="Most GPU memory that this process may use, such as 10GB.")
@engine_options(foreground={}, steady={}, box={}, gate={"shown": "off"}, key={})
@look_options(
    low_light={},
    match={},
    light_wrap={},
    blend={},
    grow={},
    shrink={},
    soften={},
    despill={},
    only_me={},
    person={},
    chair={},
)
@click.option("--room", metavar="NAME", help="The room that --chair keep is about.  [default: the only one recorded]")
@click.option("--straight", is_flag=True, help="Write EXR and fill without multiplying colours by alpha.")
@click.option(
    "--name-template", help="Name of outputs, with {prefix}, {name} and {stem}.  [default in a folder: {prefix}{name}]"
)
@click.option("--fps", type=float, default=25.0, help="Frames per second of numbered pictures.  [default: 25]")
@click.option("--resume", is_flag=True, help="Continue a run that was stopped.")
@click.option("--force", is_flag=True, help="Overwrite outputs that exist, whatever made them.")
@click.option(
    "--segment",
    type=float,
    default=20.0,
    help="Seconds of video between the points where --resume can continue.  [default: 20]",
)
@click.option("--watch", is_flag=True, help="Wait for new files in the INPUT folders, until Ctrl-C.")
@click.option("--jobs", type=PlacePath(), help="A TOML file with several runs, each with its own settings.")
@click.option("--monitor", is_flag=True, help="Record GPU and CPU load next to each output, as CSV and plot.")
@click.option(
    "--workers", type=int, default=1, help="Number of processes on this machine; more than 1 needs Ray.  [default: 1]"
)
@click.option("--ray", metavar="[=ADDRESS]", help="Use the Ray cluster at ADDRESS, or start one here.")
@engine_options(offline={}, require_licence={})
@click.option("--json", "as_json", is_flag=True, help="Print one JSON event per line, for programs.")
@click.pass_context
def batch(ctx: click.Context, /, **options: Any) -> None:
    """Cut people out of files, folders and patterns. Sound and time stamps are kept.

    Exit code 0: all files are done; 1: some failed; 2: nothing was started; 130: interrupted (143 by SIGTERM, 129 by
    SIGHUP).
    """
    from rvm_live.apps.batch.inbox import watch
    from rvm_live.apps.batch.report import BatchReport
    from rvm_live.apps.batch.run import run
    from rvm_live.cli.weights import download_progress
    from rvm_live.system import threads

    if options["jobs"] is not None:
        if options["inputs"] or options["watch"]:
            raise SettingsError("the --jobs file names the inputs of every job: leave out INPUT and --watch")
        asked = [_settings(job) for job in jobs_of(options["jobs"], ctx)]
    else:
        asked = [_settings(options)]
    for settings in asked:
        if settings.engine.engine != "auto" and settings.ray is None:
            ENGINES.load(settings.engine.engine)  # otherwise every file would fail with this error
    ask_once(asked[0].engine)
    threads.keep_memory()
    threads.apply(threads.plan(threads.usable_cores()))
    telling = _Json if options["as_json"] else Bar if sys.stderr.isatty() else Lines
    told = telling(_line, _name)
    reports: list[BatchReport] = []
    for settings in asked:
        with no_empty_folders(settings.output or Path()), told:
            reports.append((watch if options["watch"] else run)(settings, tell=told, progress=download_progress))
        if reports[-1].stopped:
            break
    report = BatchReport(
        tuple(file for each in reports for file in each.files),
        sum(each.untouched for each in reports),
        reports[-1].stopped,
    )
    if not options["as_json"]:
        click.echo(_summary(report))
    ctx.exit(_CODES[report.stopped] if report.stopped else 1 if report.failed else 0)


def _settings(options: Mapping[str, Any]) -> BatchSettings:
    return settings_of(
        BatchSettings,
        options,
        engine=engine_settings(options),
        write=tuple(dict.fromkeys(each.strip() for each in options["written"].split(",") if each.strip())),
        look=settings_of(Look, options),
        hardware=options["hwaccel"] == "auto",
        segment_seconds=options["segment"],
        memory_limit=None if options["memory_limit"] is None else parse_memory(options["memory_limit"]),
    )


def _summary(report: BatchReport) -> str:
    counts = {word: sum(each.state == state for each in report.files) for state, word in _STATES.items()}
    counts["untouched"] = report.untouched
    told = [f"{count} {word}" for word, count in counts.items() if count or word == "done"]
    kept = sum(each.state == "kept" for each in report.files)
    if kept:
        told.append(f"{kept} kept (--force overwrites {'it' if kept == 1 else 'them'})")
    return ", ".join([*told, *([report.stopped] if report.stopped else [])])


def _name(event: dict[str, Any]) -> str:
    return printable(Path(event["input"]).name)


def _line(event: dict[str, Any]) -> str:
    name = _name(event)
    if event["state"] == "failed":
        return f"{name}: failed: {one_line(event['error'])}"
    if event["state"] != "done":
        return ": ".join([name, event["state"], *map(one_line, event["notes"] if event["state"] == "kept" else ())])
    rate = (event["frames"] - event["resumed"]) / event["seconds"] if event["seconds"] else 0.0
    frames = f"{event['frames']} frame{'s' * (event['frames'] != 1)}"
    lines = [f"{name}: {frames}, {rate:.1f} fps -> {printable(', '.join(event['outputs']))}"]
    lines += [f"  {one_line(note)}" for note in event["notes"]]
    return "\n".join(lines)


class _Json(Lines):
    """Prints every event as JSON, one per line."""

    def __call__(self, event: dict[str, Any]) -> None:
        if event["event"] != "stopping":
            click.echo(json.dumps(event), file=self._out)
