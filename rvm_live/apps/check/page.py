"""The report as one HTML file that needs nothing else: no script, no address; plots and pictures are embedded."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from html import escape
from string import Template

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live import __version__
from rvm_live.apps.check.advice import Advice
from rvm_live.apps.check.figures import FIGURES, Figure
from rvm_live.apps.check.judging import Judged
from rvm_live.apps.check.report import Report, Worst

__all__ = ["page"]

_WIDTH, _HEIGHT, _LEFT, _FOOT = 860, 150, 44, 22
_QUALITY = 82
_SCREEN = np.array((120, 190, 70), np.float32)
"""BGR: behind the person on the contact sheet, a colour that few wear."""
_Place = Callable[[float], float]

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>$title</title>
<style>
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #667; --paper: #fff; --line: #d8dde3; --mark: #0b6bcb;
  --usual: #0b6bcb22; --good: #1a7f37; --bad: #b3541e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --soft: #9aa4b2; --paper: #14171b; --line: #333a43;
  --mark: #6cb2ff; --usual: #6cb2ff22; --good: #57c17a; --bad: #f0a06a; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 920px; padding: 0 1rem; }
h1, p, figcaption { overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; } h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; }
p { margin: .4rem 0; } .soft { color: var(--soft); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .35rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child, th:nth-child(n+6), td:nth-child(n+6) { text-align: left; }
td:last-child { white-space: normal; min-width: 15em; }
th { font-weight: 600; } .good { color: var(--good); } .bad { color: var(--bad); font-weight: 600; }
.scroll { overflow-x: auto; }
svg { width: 100%; height: auto; display: block; } svg text { fill: var(--soft); font: 11px system-ui, sans-serif; }
.axis { stroke: var(--line); } .usual { fill: var(--usual); }
.values { fill: none; stroke: var(--mark); stroke-width: 1.5; }
.dot { fill: var(--mark); } .worst { fill: var(--bad); }
.sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(260px, 1fr)); gap: 1rem; }
figure { margin: 0; } figure img { width: 100%; height: auto; display: block; border-radius: 4px; }
figcaption { font-size: .85rem; color: var(--soft); margin-top: .25rem; }
.advice { border-left: 4px solid var(--mark); padding: .3rem 1rem; } code { font-size: .95em; }
</style>
</head>
<body>
<h1>$title</h1>
$head
$advice
<h2>Figures</h2>
$table
$plots
$sheet
<p class="soft">$foot</p>
</body>
</html>
""")


def page(report: Report) -> str:
    """The report as HTML."""
    return _PAGE.substitute(
        title=escape(f"rvm-live check: {report.source.label}"),
        head="\n".join(_head(report)),
        advice=_advice(report.advice),
        table=_table(report),
        plots="\n".join(_plot(figure, report) for figure in FIGURES if figure.name in report.summary),
        sheet=_sheet(report.worst),
        foot=escape(
            f"rvm-live {__version__}. Usual is the range of RVM at ratio 0.4 on the nine clips whose true mattes the "
            "figures were compared with. Lower is better."
        ),
    )


def _head(report: Report) -> Iterator[str]:
    info = report.engine
    ratio = f", ratio {info.downsample_ratio:.3g}" if info.downsample_ratio else ""
    beside = "" if report.other_ratio is None else f", compared with ratio {report.other_ratio:.3g}"
    words = " ".join(dict.fromkeys((info.engine, info.model))).rstrip()
    yield f"<p>{escape(f'{words}, {info.precision} on {info.device}{ratio}{beside}')}</p>"
    size = f"{report.source.width}x{report.source.height}"
    stretches = f"{report.windows} part{'s' * (report.windows != 1)}"
    yield f'<p class="soft">{escape(f"{size}, {len(report.frames)} frames measured, in {stretches}")}</p>'
    for note in report.notes:
        yield f'<p class="bad">{escape(note)}</p>'


def _advice(advice: Advice) -> str:
    lines = "".join(f"<p>{escape(line)}</p>" for line in advice.words())
    return f'<h2>What would help</h2><div class="advice">{lines}</div>'


def _table(report: Report) -> str:
    rows = ["<tr><th>figure<th>mean<th>95 %<th>worst<th>usual<th>unit<th>a high one means"]
    for each in FIGURES:
        if (found := report.summary.get(each.name)) is None:
            if each.name == "disagreement":
                rows.append(
                    f'<tr><td>{each.title}<td colspan="6">cannot be measured: this engine works at one size only'
                )
            continue
        mark = "bad" if found.mean > each.usual[1] else "good"
        values = "".join(f"<td>{value:.2f}" for value in (found.p95, found.most))
        usual = f"{each.usual[0]:g} to {each.usual[1]:g}"  # range of usual means, because the mean is compared
        rows.append(
            f'<tr><td>{each.title}<td class="{mark}">{found.mean:.2f}{values}<td>{usual}<td>{each.unit}<td>{each.told}'
        )
    return f'<div class="scroll"><table>{"".join(rows)}</table></div>'


def _plot(figure: Figure, report: Report) -> str:
    """A figure over the clip's time, with what is usual behind it."""
    frames = [each for each in report.frames if figure.name in each.figures]
    last = max((each.seconds for each in report.frames), default=0.0) or 1.0
    top = max(report.summary[figure.name].most, figure.usual[1]) * 1.1

    def x(seconds: float) -> float:
        return _LEFT + seconds / last * (_WIDTH - _LEFT - 8)

    def y(value: float) -> float:
        return (_HEIGHT - _FOOT) - value / top * (_HEIGHT - _FOOT - 8)

    low, high = y(figure.usual[0]), y(figure.usual[1])
    parts = [
        f'<rect class="usual" x="{_LEFT}" y="{high:.1f}" width="{_WIDTH - _LEFT - 8}" height="{low - high:.1f}"/>',
        *_axes(top, last, x, y),
    ]
    for run in _runs(frames):
        points = [(x(each.seconds), y(each.figures[figure.name])) for each in run]
        if len(points) == 1:
            parts.append(f'<circle class="dot" cx="{points[0][0]:.1f}" cy="{points[0][1]:.1f}" r="2"/>')
        else:
            joined = " ".join(f"{left:.1f},{up:.1f}" for left, up in points)
            parts.append(f'<polyline class="values" points="{joined}"/>')
    shown = {each.judged.number for each in report.worst if each.why == figure.name}
    for each in frames:
        if each.number in shown:
            parts.append(
                f'<circle class="worst" cx="{x(each.seconds):.1f}" cy="{y(each.figures[figure.name]):.1f}" r="4"/>'
            )
    drawn = "".join(parts)
    label = escape(f"{figure.title} over time, {figure.unit}")
    return (
        f"<h2>{figure.title}, {figure.unit}</h2>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">{drawn}</svg>'
    )


def _axes(top: float, last: float, x: _Place, y: _Place) -> Iterator[str]:
    for share in (0.0, 0.5, 1.0):
        value = top / 1.1 * share
        yield f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - 8}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
        yield f'<text x="{_LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.2g}</text>'
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        anchor = "end" if share == 1 else "start" if share == 0 else "middle"
        seconds = last * share
        words = f"{seconds:.1f} s" if last < 60 else f"{seconds // 60:.0f}:{seconds % 60:02.0f}"
        yield f'<text x="{x(seconds):.1f}" y="{_HEIGHT - 5}" text-anchor="{anchor}">{words}</text>'


def _runs(frames: list[Judged]) -> Iterator[list[Judged]]:
    """Frames that follow each other."""
    run: list[Judged] = []
    for each in frames:
        if run and each.number != run[-1].number + 1:
            yield run
            run = []
        run.append(each)
    if run:
        yield run


def _sheet(several: tuple[Worst, ...]) -> str:
    """The frames that look worst, over a colour."""
    if not several:
        return ""
    titles = {each.name: each for each in FIGURES}
    cells = []
    for each in several:
        figure = titles.get(each.why)
        why = "" if figure is None else f", {figure.title} {each.judged.figures[each.why]:.2f} {figure.unit}"
        words = escape(f"{each.judged.seconds:.2f} s, frame {each.judged.number}{why}")
        cells.append(f'<figure><img alt="{words}" src="{_data(_over(each))}"><figcaption>{words}</figcaption></figure>')
    return f'<h2>Frames that look worst</h2><div class="sheet">{"".join(cells)}</div>'


def _over(worst: Worst) -> NDArray[np.uint8]:
    """The person over one colour, the room left out."""
    share = worst.alpha.astype(np.float32)[..., None] / 255
    return np.asarray(worst.image * share + _SCREEN * (1 - share) + 0.5, np.uint8)


def _data(picture: NDArray[np.uint8]) -> str:
    _, encoded = cv2.imencode(".jpeg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode('ascii')}"
