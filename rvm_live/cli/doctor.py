"""``rvm-live doctor``: the findings on one page, as JSON, or in a file to send with a bug report."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rvm_live.cli.config import in_force
from rvm_live.cli.layers import Layers, choose, load
from rvm_live.cli.line import telling
from rvm_live.cli.live import settings_from
from rvm_live.cli.params import PlacePath, one_line, printable
from rvm_live.core.errors import RvmLiveError, SettingsError
from rvm_live.core.settings import LiveSettings

if TYPE_CHECKING:
    from rvm_live.apps.doctor.finding import Finding, Report

__all__ = ["doctor", "page"]

_MARKS = {"good": "ok", "note": "note", "absent": "-", "bad": "BAD"}


@click.command()
@click.option("--quick", is_flag=True, help="Skip the slow checks: opening the engine, measuring the delay.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a page.")
@click.option(
    "--bundle",
    type=PlacePath(home=True),
    metavar="FILE",
    help="Write all of it, your settings and the last log into a zip file, without pictures, addresses and tokens.",
)
@click.pass_context
def doctor(ctx: click.Context, quick: bool, as_json: bool, bundle: Path | None) -> None:
    """Show on one page what works on this machine: cameras, engine, outputs, and the programs that will see them.

    For each thing that does not work it says what to do. No camera is opened and nothing is downloaded. Exit code 0 if
    all that is needed works, 1 if not.
    """
    from rvm_live.apps.doctor.examine import examine
    from rvm_live.sources.camera.opencv_logging import silence_backends
    from rvm_live.system import threads

    if bundle is not None:
        from rvm_live.apps.preflight import check_writable

        check_writable(bundle)
    program = ctx.find_root()
    silence_backends()
    threads.keep_memory()
    threads.apply(threads.plan(threads.usable_cores()))
    if not program.params["debug"]:
        logging.getLogger("rvm_live").setLevel(logging.ERROR)  # its messages are on the page anyway
    settings, before = _settings(program)
    with telling() as tell:
        tell("starting")
        report = examine(settings, before=before, quick=quick, tell=tell)
    if bundle is not None:
        from rvm_live.apps.doctor.bundle import write_bundle

        rows = "".join(f"{each.key} = {each.value!r}  # {each.origin}\n" for each in in_force(program))
        file = Layers.of(program).path
        texts = {"settings.txt": rows, "rvm-live.toml": _read(file)}
        names = write_bundle(bundle, report, page(report), texts)
        click.echo(printable(f"{bundle}: {', '.join(names)}"), err=True)
    click.echo(json.dumps(report.to_dict(), indent=2) if as_json else page(report))
    ctx.exit(0 if report.healthy else 1)


def _settings(program: click.Context) -> tuple[LiveSettings, list[Finding]]:
    """The settings of a live run; a settings file that cannot be used becomes a finding, not an error."""
    from rvm_live.apps.doctor.finding import Finding

    area, mend = "settings", "`rvm-live config edit`"
    try:
        path, named, profile = choose(program, program.params)
        layers = load(program, path, named, profile, program.command.configured(program))  # type: ignore[attr-defined]
        layers.without("", {name for name in program.params if _said(program, name)})
        layers.keep(program)
        for option in program.command.params:
            if option.name in layers.given.get("", {}) and not _said(program, option.name):
                value, source = option.consume_value(program, {})
                program.params[option.name] = option.process_value(program, value)
                program.set_parameter_source(option.name, source)
        settings = settings_from(program.params)
    except (RvmLiveError, click.ClickException) as error:
        told = error.format_message() if isinstance(error, click.ClickException) else str(error)
        return LiveSettings(), [Finding(area, "rvm-live.toml", "bad", told, mend)]
    there = layers.path is not None and layers.path.is_file()
    words = str(layers.path) if there else "none; the defaults are used"
    used = f", profile {layers.profile}" if layers.profile else ""
    return settings, [Finding(area, "rvm-live.toml", "good" if there else "absent", f"{words}{used}")]


def _said(program: click.Context, name: str | None) -> bool:
    from click.core import ParameterSource

    return program.get_parameter_source(name or "") in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)


def _read(file: Path | None) -> str:
    from rvm_live.cli.settings_file import read

    try:
        return "" if file is None else read(file, needed=False).text
    except SettingsError:
        return ""


def page(report: Report) -> str:
    """The report as people read it."""
    lines = [f"rvm-live {report.version} on {report.system}"]
    area = ""
    for finding in report.findings:
        if finding.area != area:
            area = finding.area
            lines += ["", area]
        told = f"{finding.name}: {finding.detail}" if finding.detail else finding.name
        lines.append(f"  {_MARKS[finding.state]:<5} {one_line(told)}")
        if finding.mend:
            lines.append(f"        to do: {one_line(finding.mend)}")
    if programs := report.programs():
        lines += ["", "how other programs see the virtual camera"]
        width = max(map(len, programs))
        lines += [f"  {name:<{width}}  {one_line(how)}" for name, how in programs.items()]
    if report.delay is not None:
        lines += [
            "",
            f"The picture is {report.delay.picture_ms:.0f} ms late. In OBS, delay the microphone by "
            f"{report.delay.audio_ms} ms: Edit, Advanced Audio Properties, Sync Offset.",
        ]
    bad = [finding.name for finding in report.findings if finding.state == "bad"]
    lines += ["", f"does not work: {', '.join(bad)}" if bad else "everything that the program needs works"]
    return "\n".join(map(printable, lines))
