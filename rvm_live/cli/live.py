"""``rvm-live`` without a command: options to settings, report to text."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click
import cloup

from rvm_live.apps.report import LiveReport
from rvm_live.cli import values
from rvm_live.cli.layers import Layers
from rvm_live.cli.looks import look_option
from rvm_live.cli.options import engine_option, engine_settings, settings_of, source_option, source_settings
from rvm_live.cli.params import OnePerLine, PlacePath, one_line, place_text, printable
from rvm_live.cli.words import Aliased, size_text
from rvm_live.core.errors import SettingsError, SinkError
from rvm_live.core.framing import parse_shift
from rvm_live.core.look import Look
from rvm_live.core.settings import DISPLAY_MODES, MODELS, STATISTICS, EngineSettings, LiveSettings
from rvm_live.core.words import network_words
from rvm_live.pipeline.metrics import STAGES, Percentiles

__all__ = ["live_options", "run_live"]

F = TypeVar("F", bound=Callable[..., Any])

_GROUPS: dict[str, list[Callable[[Any], Any]]] = {
    "Picture": [
        click.option(
            "-b",
            "--background",
            "backgrounds",
            type=OnePerLine(),
            multiple=True,
            callback=place_text,
            shell_complete=values.backgrounds,
            help="transparent, blur:25 (or --blur[=25]), red, #00ff88, a picture, a video, a folder, slides:FOLDER, "
            "camera:1 or a URL; repeat it to have several (key b).",
        ),
        click.option(
            "--mirror/--no-mirror",
            default=None,
            help="Mirror the picture in the window (key m).  [default: on for a camera]",
        ),
        click.option(
            "--display",
            cls=Aliased,
            aliases=("--view",),
            type=click.Choice(DISPLAY_MODES),
            default=DISPLAY_MODES[0],
            help="View to begin with (key o).  [default: result]",
        ),
        click.option(
            "--stats",
            "statistics",
            type=click.Choice(STATISTICS),
            default=STATISTICS[0],
            help="Statistics shown over the picture (key s).  [default: line]",
        ),
        click.option("--fullscreen", is_flag=True, help="Start in full screen (key f)."),
        click.option("--follow", is_flag=True, help="Keep people in the middle of the picture (key a)."),
        click.option("--zoom", type=float, default=1.0, help="Size of the person, 0.5 to 4.  [default: 1]"),
        click.option(
            "--shift",
            metavar="X,Y",
            default="0,0",
            help="Move the person right and down, as parts of the picture's size: 0.2,0.  [default: 0,0]",
        ),
        look_option("only_me", hotkey="i"),
        look_option("person"),
        look_option("chair"),
        click.option(
            "--away",
            callback=place_text,
            help="Picture to show while privacy is on (key v).  [default: the background]",
        ),
        engine_option("foreground"),
        click.option(
            "--compositor",
            default="auto",
            shell_complete=values.compositors,
            help="auto, opencv-cuda, torch or cpu (key g).  [default: auto]",
        ),
    ],
    "Fitting the background": [
        look_option("low_light"),
        look_option("match", hotkey="l"),
        *map(look_option, ("light_wrap", "blend", "grow", "shrink", "soften", "despill")),
    ],
    "Camera, file or stream": [
        source_option("source", aliases=("-i", "--input", "--camera", "--webcam")),
        click.option("--size", callback=size_text, help="Size of the camera's picture, such as 1280x720."),
        source_option("width"),
        source_option("height"),
        source_option("fps", help="Most frames per second; a camera is asked for as many."),
        source_option("fourcc"),
        source_option("wait"),
        source_option("loop"),
        source_option("realtime"),
    ],
    "Virtual camera": [
        click.option(
            "--virtual-camera",
            metavar="[=DEVICE]",
            help="Be a camera for other programs: auto, pipewire, v4l2loopback, obs, or a device.",
        ),
        click.option(
            "--virtual-camera-size",
            callback=size_text,
            metavar="SIZE",
            help="640x360, 1280x720 or 1920x1080.  [default: the source's size]",
        ),
        click.option("--always", is_flag=True, help="Keep camera and engine running without a window or viewer."),
    ],
    "Recording": [
        click.option(
            "-o",
            "--record",
            cls=Aliased,
            aliases=("--output",),
            callback=place_text,
            help="Record to .mp4, .mkv, .mov, .webm or a folder/ of PNGs.",
        ),
        click.option(
            "--audio",
            metavar="[=MICROPHONE]",
            help="Also record the default microphone, or the one named by --audio=NAME (see `rvm-live cameras`).",
        ),
        click.option(
            "--stream",
            "streams",
            metavar="URL",
            multiple=True,
            help="Send the result to rtmp(s)://, udp:// or tcp:// (MPEG-TS), hls:FOLDER or whip+https://; repeatable.",
        ),
        click.option(
            "--stream-bitrate", type=int, metavar="KBIT", help="Bit rate of the picture (not WHIP).  [default: by size]"
        ),
        click.option("--mirror-output", is_flag=True, help="Also mirror what is recorded."),
        click.option(
            "--sink",
            "sinks",
            metavar="NAME[:ARGUMENT]",
            type=OnePerLine(),
            multiple=True,
            help="One more output: a plug-in's name or package.module:Class; may be repeated.",
        ),
        click.option("--headless", is_flag=True, help="Open no window."),
        click.option("--duration", type=float, help="Stop after this many seconds."),
        click.option("--frames", type=int, help="Stop after this many frames."),
    ],
    "Page": [
        click.option(
            "--web",
            metavar="[=HOST:PORT]",
            help="Serve a web page that shows and controls everything.  [default: for this machine only]",
        ),
        click.option("--open", "open_page", is_flag=True, help="Open the page in a browser."),
        click.option(
            "--web-origin",
            "web_origins",
            metavar="URL",
            multiple=True,
            help="Address under which a proxy serves the page, such as https://cam.example.org.",
        ),
    ],
    "Quality": [
        engine_option("engine"),
        engine_option("model"),
        engine_option("weights"),
        engine_option("device"),
        engine_option("precision"),
        engine_option("downsample_ratio"),
        click.option(
            "--adaptive/--no-adaptive",
            default=True,
            help="Change ratio and precision to keep up with --fps; options that you set stay.  [default: on]",
        ),
        engine_option("fallback_lite"),
        click.option(
            "--scene-reset/--no-scene-reset", default=True, help="Start the matting state anew at a cut.  [default: on]"
        ),
        engine_option("steady"),
        engine_option("box"),
        engine_option("gate"),
        click.option(
            "--learned/--no-learned",
            default=True,
            help="Let lite use what it has learnt with this camera (rvm-live learn).  [default: on]",
        ),
        engine_option("key"),
        engine_option("offline"),
        engine_option("require_licence"),
    ],
    "Settings": [
        click.option(
            "--profile",
            metavar="NAME",
            shell_complete=values.profiles,
            help="A set of settings: call, stream, record, quality, saver, or your own.",
        ),
        click.option(
            "--config", type=PlacePath(home=True), metavar="FILE", help="Read this file instead of your rvm-live.toml."
        ),
        click.option(
            "--remember/--no-remember",
            default=False,
            help="Start with the background, view and window of the last run.  [default: off]",
        ),
        click.option("--no-config", is_flag=True, help="Do not read rvm-live.toml."),
    ],
    "Reports": [
        click.option("--report", is_flag=True, help="At the end, also print the latency of every stage."),
        click.option("--stats-json", type=PlacePath(), help="Write the final report to this file, as JSON."),
        click.option(
            "--log-level",
            type=click.Choice(["debug", "info", "warning", "error"]),
            default="warning",
            help="Least severe messages to print on standard error.  [default: warning]",
        ),
        click.option("--debug", is_flag=True, help="Print tracebacks and all log messages."),
    ],
}


def live_options(function: F) -> F:
    """Add the options of the live application to a click command, in groups."""
    for title, options in reversed(_GROUPS.items()):
        function = cloup.option_group(title, *options)(function)
    return function


def settings_from(options: Mapping[str, Any]) -> LiveSettings:
    """Turn parsed options into validated settings.

    Raises:
        SettingsError: a value is out of range, or the size was given twice.
    """
    width, height = options["width"], options["height"]
    if options["size"] is not None:
        if width is not None or height is not None:
            raise SettingsError("give the size with --size, or with --width and --height, not both")
        width, height = options["size"]
    return settings_of(
        LiveSettings,
        options,
        source=source_settings(options, width=width, height=height, mirror=options["mirror_output"]),
        engine=engine_settings(options),
        shift=parse_shift(options["shift"]),
        look=settings_of(Look, options),
        said=tuple(options.get("said", ())),
    )


def run_live(options: Mapping[str, Any], layers: Layers) -> int:
    """Run the live application and print its report; returns the exit code."""
    settings = settings_from(options)
    from rvm_live.apps.live import run
    from rvm_live.cli.weights import download_progress
    from rvm_live.system import last_log, threads

    ask_once(settings.engine)
    threads.keep_memory()
    threads.apply(threads.plan(threads.usable_cores()))
    last_log.note(f"settings: {settings}")
    report = run(
        settings,
        tell=lambda line: click.echo(one_line(line), err=True),
        progress=download_progress,
        profiles=layers.wishes,
        profile=layers.profile,
    )
    last_log.note(f"report: {json.dumps(report.as_json())}")
    click.echo(report_text(report) if options["report"] else report_line(report))
    if report.failure:
        raise SinkError(report.failure)
    return {"interrupted": 130, "terminated": 143, "hung up": 129}.get(report.exit_reason, 0)


def ask_once(settings: EngineSettings) -> None:
    """Ask on a terminal whether RVM's weights may be downloaded, the first time that they are missing.

    Without a terminal nothing is asked or downloaded, and the embedded engine runs.
    """
    from rvm_live.engines.choice import EMBEDDED, question_open
    from rvm_live.weights import KNOWN, consent

    if not (sys.stdin.isatty() and sys.stderr.isatty()) or not question_open(settings):
        return
    known = KNOWN[MODELS[0]]
    click.echo(
        f"RobustVideoMatting cuts out hair and edges better than {EMBEDDED}, the small network that comes with "
        f"rvm-live. Its weights ({known.terms}) come from "
        f"{urlsplit(known.url).hostname}.",
        err=True,
    )
    answer = click.confirm("Download them now? This is asked only once", default=True, err=True)
    consent.remember(answer)


def report_line(report: LiveReport) -> str:
    """The report on one line, such as ``40 s · 29.8 fps · 42 ms · saved me.mp4, 11 MB``.

    One more line for each thing that ran differently from what was asked for.
    """
    snapshot = report.snapshot
    parts = [f"{snapshot.elapsed_s:.0f} s"]
    if snapshot.shown:
        total = snapshot.latency_ms.get("total", Percentiles())
        parts += [f"{snapshot.unique_fps:.1f} fps", f"{total.p50:.0f} ms"]
    else:
        parts.append("no picture was shown")
    parts += [f"streamed to {line}" for line in report.streams]
    if report.recording:
        parts.append(f"saved {report.recording}, {_size(Path(report.recording))}")
    lines = [" · ".join(parts), *(f"fallback: {line}" for line in report.fallbacks)]
    return "\n".join(printable(line) for line in lines)


def _size(path: Path) -> str:
    """Size of a file, or of all files in a folder, in words."""
    try:
        files = [each for each in path.iterdir() if each.is_file()] if path.is_dir() else [path]
        size = sum(file.stat().st_size for file in files)
    except OSError as error:
        return error.strerror or "gone"
    return f"{size / 1e6:.0f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"


def report_text(report: LiveReport) -> str:
    """The report as a few aligned lines for people."""
    ran, snapshot = report.ran, report.snapshot
    device = f"{ran.device} ({report.device_name})" if report.device_name else ran.device
    network = network_words(ran.engine, ran.model)
    lines = [
        f"rvm-live: {report.exit_reason}",
        f"  source      {ran.source}, {ran.width}x{ran.height}",
        f"  engine      {network} on {device}, {ran.precision}, ratio {ran.downsample_ratio:.3g}"
        + (f", {ran.focus}" if ran.focus else ""),
        f"  compositor  {ran.compositor}",
        f"  frames      {snapshot.captured} captured, {snapshot.unique} unique shown, {snapshot.repeated} repeated",
        f"  unique fps  {snapshot.unique_fps:.1f}",
        f"  dropped     {', '.join(f'{name} {count}' for name, count in snapshot.dropped.items())}",
        "  latency ms     p50     p95     p99",
    ]
    for stage in STAGES:
        track = snapshot.latency_ms.get(stage, Percentiles())
        lines.append(f"  {stage:<11}{track.p50:7.1f} {track.p95:7.1f} {track.p99:7.1f}")
    lines += [f"  low light   shadows up to {report.low_light:.1f} times brighter"] * (report.low_light > 1)
    if report.camera_ms:
        lines.append(f"  camera      {report.camera_ms:.0f} ms from capture to other programs")
    lines += [f"  fallback    {line}" for line in report.fallbacks]
    lines += [f"  stream      {line}" for line in report.streams]
    if report.recording:
        lines.append(f"  recording   {report.recording}")
    return "\n".join(printable(line) for line in lines)
