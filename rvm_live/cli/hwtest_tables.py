"""The probe's report as tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from rvm_live.apps.hwtest.report import (
    Advice,
    Availability,
    HwTestReport,
    Machine,
    Mode,
    ModeResult,
    SourceReport,
)
from rvm_live.apps.hwtest.rhythm import Rhythm

__all__ = ["print_report"]

_GIB = 1 << 30


def print_report(report: HwTestReport, console: Console | None = None) -> None:
    """Print everything to ``console`` (None: standard output)."""
    out = console or Console(highlight=False)
    _heading(out, "Cameras")
    if report.cameras:
        for camera in report.cameras:
            path = f"  [dim]{escape(camera.path)}[/]" if camera.path else ""
            out.print(f"  {camera.index}  {escape(camera.name or 'unnamed')}{path}")
    else:
        out.print("  none found")
    _heading(out, "Source")
    for attempt in report.attempts:
        out.print(Padding(Text.assemble(("failed  ", "red"), attempt.reason), (0, 0, 0, 2)))
    if report.source is None:
        out.print("  [bold red]no source delivered frames[/]: name a camera, file or URL with --source")
    else:
        _source(out, report.source)
    if report.modes:
        _heading(out, "Modes of this camera")
        _modes(out, report.modes)
    _heading(out, "Machine")
    _machine(out, report.machine)
    _heading(out, "Back ends")
    _back_ends(out, report.machine)
    _heading(out, "Recommended here")
    _advice(out, report.advice)


def _heading(out: Console, words: str) -> None:
    out.print()
    out.print(f"[bold cyan]{words}[/]")


def _facts(out: Console, facts: Iterable[tuple[str, str]]) -> None:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(name, Text(value))
    out.print(Padding(table, (0, 0, 0, 2)))


def _source(out: Console, source: SourceReport) -> None:
    rhythm = source.rhythm
    facts = [("name", source.label), ("back end", source.backend or "unknown")]
    if source.requested is not None:
        facts.append(("asked for", str(source.requested)))
    facts += [
        ("delivers", str(source.actual)),
        ("opened in", f"{source.open_s:.2f} s, first picture included"),
        ("measured", f"{rhythm.fps:.2f} fps over {rhythm.seconds:.1f} s ({rhythm.frames} frames)"),
        (
            "jitter",
            f"{rhythm.jitter_ms:.1f} ms standard deviation; "
            f"interval {rhythm.interval_ms:.1f} ms median, {rhythm.p95_ms:.1f} ms p95",
        ),
        ("dropped", f"{rhythm.dropped} frames in {rhythm.gaps} gaps of over 1.5 intervals"),
        ("repeated", f"{rhythm.repeated} frames"),
    ]
    if source.kind == "camera":
        controls = ", ".join(f"{name} {value:g}" for name, value in source.controls.items())
        facts.append(("controls", controls or "none can be read"))
    if source.ended:
        facts.append(("ended early", source.ended))
    _facts(out, facts)


def _modes(out: Console, modes: Sequence[ModeResult]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2), header_style="dim")
    table.add_column("asked for", no_wrap=True)
    table.add_column("delivers", no_wrap=True)
    for column in ("true fps", "jitter ms", "dropped"):
        table.add_column(column, justify="right", no_wrap=True)
    for mode in modes:
        if mode.got is None or mode.rhythm is None:
            table.add_row(str(mode.asked), Text(mode.reason or "nothing", style="red"))
        else:
            table.add_row(str(mode.asked), _got(mode.asked, mode.got), *_figures(mode.asked, mode.rhythm))
    out.print(Padding(table, (0, 0, 0, 2)))


def _got(asked: Mode, got: Mode) -> Text:
    same = (asked.width, asked.height, asked.fourcc) == (got.width, got.height, got.fourcc)
    return Text(str(got), style="" if same else "yellow")


def _figures(asked: Mode, rhythm: Rhythm) -> tuple[Text, str, str]:
    enough = rhythm.fps >= 0.95 * asked.fps
    return (
        Text(f"{rhythm.fps:.1f}", style="green" if enough else "yellow"),
        f"{rhythm.jitter_ms:.1f}",
        f"{rhythm.dropped}",
    )


def _machine(out: Console, machine: Machine) -> None:
    cores = f"{machine.cores} cores"
    if machine.usable_cores != machine.cores:
        cores += f", {machine.usable_cores} of them usable"
    memory = f"{machine.memory_bytes / _GIB:.1f} GiB, {machine.memory_free_bytes / _GIB:.1f} free"
    torch, opencv = machine.torch, machine.opencv
    built = f"built for CUDA {torch.cuda}" if torch.cuda else "without CUDA"
    windows = f"windows by {opencv.gui}" if opencv.gui else "without windows"
    _facts(
        out,
        [
            ("system", f"{machine.system}, Python {machine.python}"),
            ("CPU", f"{machine.cpu}, {cores}"),
            ("memory", memory),
            ("GPU", _gpu(machine)),
            ("torch", f"{torch.version}, {built}; devices: {', '.join(torch.devices)}; {torch.threads} threads"),
            ("OpenCV", f"{opencv.version}, {'with' if opencv.cuda else 'without'} CUDA, {windows}"),
            ("cameras by", ", ".join(opencv.camera_backends) or "nothing"),
        ],
    )


def _gpu(machine: Machine) -> str:
    gpu = machine.gpu
    if gpu is None:
        return machine.gpu_reason or "none"
    words = [gpu.name]
    if gpu.memory_total is not None:
        words.append(f"{gpu.memory_total / _GIB:.1f} GiB")
    if gpu.driver:
        words.append(f"driver {gpu.driver}")
    return ", ".join(words)


def _back_ends(out: Console, machine: Machine) -> None:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for kind, found in (("compositor", machine.compositors), ("engine", machine.engines)):
        for back_end in found:
            table.add_row(kind, back_end.name, _verdict(back_end), Text(back_end.detail))
    out.print(Padding(table, (0, 0, 0, 2)))


def _verdict(found: Availability) -> Text:
    return Text("works", style="green") if found.works else Text("no", style="red")


def _advice(out: Console, advice: Advice) -> None:
    if advice.timings:
        table = Table(box=None, pad_edge=False, padding=(0, 2), header_style="dim")
        for column in ("", "model", "on", "frame"):
            table.add_column(column, no_wrap=True)
        for column in ("ratio", "fps", "p95 ms"):
            table.add_column(column, justify="right", no_wrap=True)
        for timing in advice.timings:
            chosen = timing == advice.best
            table.add_row(
                ">" if chosen else "",
                timing.model,
                f"{timing.device} {timing.precision}",
                f"{timing.width}x{timing.height}",
                f"{timing.downsample_ratio:.3g}",
                f"{timing.fps:.1f}",
                f"{timing.p95_ms:.1f}",
                style="bold green" if chosen else "",
            )
        out.print(Padding(table, (0, 0, 0, 2)))
    best = advice.best
    if best is not None:
        where = f"{best.model} at {best.width}x{best.height}, ratio {best.downsample_ratio:.3g}"
        what = f"{where}: {best.fps:.1f} fps measured"
        if advice.keeps_fps is None:
            what += "; nothing reaches 15 fps here, this is the fastest"
        else:
            what += f", the largest that keeps {advice.keeps_fps}"
        out.print(Padding(Text(what, style="bold"), (1, 0, 0, 2)))
    if advice.command:
        # On one line, whatever the terminal's width, so that it can be copied.
        out.print(Text(f"  {advice.command}"), soft_wrap=True)
    if advice.hint:
        out.print(Padding(Text(advice.hint), (0, 0, 0, 2)))
    if advice.note:
        out.print(Padding(Text(advice.note, style="dim"), (0, 0, 0, 2)))
