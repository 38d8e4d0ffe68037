"""Checks the figures on the documentation pages: ``python -m benchmarks.figures`` fails where one differs from the
results.

The figures are derived again from the committed results. There are two kinds. Blocks between marks are written by their
benchmarks, and must equal what those would write now. Tables and sentences written by hand are listed in
:data:`CLAIMS`, each with the formula for its figures.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import check, people, performance, scaling
from benchmarks.quality import page as quality
from benchmarks.report import RESULTS, cell, results

__all__ = ["CLAIMS", "Claim", "differences"]

ROOT = Path(__file__).parent.parent
Found = Mapping[str, Mapping[str, Any]]
_WORST = "worst frame's alpha MAD"


class Claim(NamedTuple):
    """Figures on a page, and how they are computed.

    Attributes:
        page: path from the root.
        text: the sentence, with ``{}`` for each figure; a space matches any run of spaces and line breaks.
        made: results -> the figures, formatted as on the page.
    """

    page: str
    text: str
    made: Callable[[Found], list[str]]


def _live(found: Found) -> list[str]:
    rows = found["live"]["rows"]
    fps = [row["unique fps"] for row in rows]
    late = [float(row["total p50 / p95 / p99 ms"].split(" / ")[0]) for row in rows]
    asked = found["live"]["command"].removeprefix("python -m benchmarks ")
    extremes = [f"{each(values):.0f}" for values in (fps, late) for each in (min, max)]
    return [*extremes, asked, found["live"]["date"]]


def _int8(found: Found) -> list[str]:
    rows = {(row["instructions"], row["precision"]): row for row in found["int8"]["rows"]}
    made = []
    for instructions, name in (("all there is", "bf16"), ("without bfloat16", ""), ("without bfloat16 and VNNI", "")):
        for precision in ("fp32", name, "int8"):
            if precision:
                row = rows[instructions, precision]
                made.append(f"{row['CPU ms']:.1f}")
                made += [] if precision == "fp32" else [f"{row[_WORST] * 1e3:.2f}"]
    return [*made, f"{rows['without bfloat16', 'int8']['times fp32']:.1f}"]


def _edges(found: Found) -> list[str]:
    rows = found["edges"]["rows"]
    columns = ("edge, grey levels", "colours alone, grey levels", "median ms")
    return [f"{row[column]:.1f}" for row in rows for column in columns]


def _finishing(found: Found) -> list[str]:
    rows = found["finishing"]["rows"]
    columns = ("OpenCV ms", "kernels ms", "times", "matting ms")
    return [f"{row[column]:.2g}" if column == "times" else cell(row[column]) for row in rows for column in columns]


def _people(what: str, found: Found) -> list[str]:
    row = next(row for row in found["people"]["rows"] if row["what"].startswith(what))
    values = [row[column] for column in ("mean", "median", "worst", *people.KINDS)]
    return [f"{value:.0f}" if value > 40 else f"{value:.1f}" for value in values]


def _people_agreed(what: str, found: Found) -> list[str]:
    row = next(row for row in found["people"]["rows"] if row["what"].startswith(what))
    return [str(row[column]) for column in people.COLUMNS[people.COLUMNS.index("pictures") + 1 :]]


def _check(name: str, found: Found) -> list[str]:
    row = next(row for row in found["check"]["rows"] if row["figure"] == name)
    ranks = [f"{row[column]:.2f}" for column in ("of four", "of seven")]
    seen = [str(row[kind]) for kind in check.BREAKS]
    least, most = (row[f"usual {which}"] for which in ("from", "to"))
    return [row["truth"], *ranks, *seen, f"{least:.2g}", f"{most:.2g}", "yes" if row["told"] else "no"]


def _output(what: str, picture: str, columns: tuple[str, ...], found: Found) -> list[str]:
    row = next(row for row in found["outputs"]["rows"] if (row["what"], row["picture"]) == (what, picture))
    return [f"{row[column]:.1f}" if column == "processor ms" else f"{row[column]:.0f}" for column in columns]


def _viewers(found: Found) -> list[str]:
    columns = ("of a core at 30 fps %", "latency p50 ms")
    names = ("page, one viewer", "/obs, one viewer")
    return [value for name in names for value in _output(name, "1280x720", columns, found)]


def _camera(found: Found) -> list[str]:
    columns = ("processor ms", "latency p50 ms")
    made = [value for size in ("1280x720", "1920x1080") for value in _output("camera, PipeWire", size, columns, found)]
    whole = "rvm-live, lite on its demo at 30 fps: grab to hand-over"
    return [*made, *_output(whole, "1280x720", columns[1:], found)]


_LOOKS = ("match 60", "light wrap 50", "linear", "shrink 2", "soften 4", "grow 4", "despill")


def _looks(found: Found) -> list[str]:
    ms = {
        row["backend and layer"]: row["median ms"] for row in found["compositors"]["rows"] if row["size"] == "1280x720"
    }
    kept = ("only-me, one person", "only-me, two who touch", "chair, kept")
    seen = ("look, as it is", *(f"look, {name}" for name in _LOOKS), *kept)
    return [f"{ms[name]:.1f}" for name in seen]


def _low_light(what: str, light: str, found: Found) -> list[str]:
    row = next(row for row in found["low_light"]["rows"] if (row["what"], row["light"]) == (what, light))
    mad, flicker = (
        [row[f"{name} {on} {unit}"] for on in ("off", "auto")] for name, unit in (("MAD", "e-3"), ("dtSSD", "e-2"))
    )
    return [*(f"{value:.1f}" for value in mad), *(f"{value:.2f}" for value in flicker)]


def _worse_in_the_light(found: Found) -> list[str]:
    each = found["low_light"]["mad_of_each_clip"]
    pairs = [
        (per[clip], each[name.replace(", auto", ", off")][clip])
        for name, per in each.items()
        if name.endswith(", auto") and "as shot" not in name
        for clip in per
    ]
    worse = [auto - off for auto, off in pairs if auto > off]
    return [str(len(pairs)), str(len(worse)), f"{max(worse, default=0):.1f}"]


def _dark_ms(found: Found) -> str:
    return f"{found['low_light']['ms_a_frame']:.1f}"


_EDGE_ROWS = " ".join(
    f"| {name}, ratio {ratio} | {colours} | {{}} | {{}} | {{}} |"
    for name, ratio in (("lite bf16", 0.2), *(("openvino bf16", ratio) for ratio in (0.2, 0.25, 0.4)))
    for colours in ("model", "source")
)
_FINISHING_ROWS = " ".join(
    f"| {engine}, {layer} | {size} | {{}} | {{}} | {{}} | {{}} |"
    for size in ("1280x720", "3840x2160")
    for engine in ("lite", "openvino")
    for layer in ("plate", "transparent", "blur 25")
)
_DARK = tuple(
    (what, light)
    for what in ("lite bf16, ratio 0.25", "openvino bf16, ratio 0.25")
    for light in ("as shot", "a fifth", "a tenth")
)
_PEOPLE_ROWS = {
    "`lite` fp32, 320x176": "lite fp32",
    "MediaPipe 0.10.21, general": "MediaPipe 0.10.21 (selfie segmentation, general",
    "MediaPipe 0.10.21, landscape": "MediaPipe 0.10.21 (selfie segmentation, landscape",
    "RVM at ratio 0.25": "openvino fp32, ratio 0.25",
}
_CHECK_ROWS = {
    "**flicker**": "flicker",
    "**disagreement**": "disagreement",
    "**area jumps**": "area_jump",
    "misplaced": "misplaced",
    "holes": "holes",
    "islands": "islands",
    "softness": "softness",
}
CLAIMS = (
    Claim(
        "README.md",
        "shows {} to {} unique frames a second at 1280×720, with a latency of {} to {} ms from the camera "  # noqa: RUF001
        "(p50; `python -m benchmarks {}`, {}).",
        _live,
    ),
    Claim(
        "README.md",
        "With RVM at ratio 0.25 it mattes {} times as fast as the plain network in PyTorch",
        lambda found: [f"{found['compare']['rows'][0]['times plain']:.1f}"],
    ),
    Claim(
        "docs/engines.md",
        "| AVX-512 with VNNI and bfloat16 | {} ms | {} ms, {}e-3 | {} ms, {}e-3 | "
        "| AVX-512 with VNNI | {} ms | none | {} ms, {}e-3 | | AVX-512 | {} ms | none | {} ms, {}e-3 | "
        "So int8 pays on processors with VNNI and without bfloat16, where it is {} times as fast",
        _int8,
    ),
    Claim("docs/quality.md", _EDGE_ROWS, _edges),
    Claim(
        "docs/looks.md",
        "| as it is | {} | " + " ".join(f"| {name} | {{}} |" for name in _LOOKS) + " | `--only-me`, one person | {} | "
        "| `--only-me`, two who touch | {} | | `--chair keep` | {} |",
        _looks,
    ),
    Claim("docs/performance.md", _FINISHING_ROWS, _finishing),
    *(
        Claim("docs/quality.md", f"| {what} | {light} |" + " {} |" * 4, partial(_low_light, what, light))
        for what, light in _DARK
    ),
    Claim(
        "docs/quality.md",
        "Of the {} measurements on single clips {} are worse with it, by {} at most.",
        _worse_in_the_light,
    ),
    Claim("docs/quality.md", "A dark frame takes {} ms of one core", lambda found: [_dark_ms(found)]),
    *(
        Claim("docs/quality.md", f"| {row} |" + " {} |" * 7, partial(_people, what))
        for row, what in _PEOPLE_ROWS.items()
    ),
    *(
        Claim("docs/quality.md", f"| {row}, by the jury |" + " {} |" * 7, partial(_people_agreed, what))
        for row, what in _PEOPLE_ROWS.items()
    ),
    *(
        Claim("docs/check.md", f"| {row} |" + " {} |" * 7 + " {} to {} | {} |", partial(_check, name))
        for row, name in _CHECK_ROWS.items()
    ),
    Claim(
        "docs/web.md",
        "the page {} % of a core, {} ms from the composite to a reader; `/obs` {} % with its compositing, {} ms;",
        _viewers,
    ),
    Claim(
        "docs/camera.md",
        "takes {} ms of processor time, conversion included, and reaches a reader {} ms after it was composed; "
        "at 1920×1080 {} and {} ms. With `lite` on the demo at 30 pictures a second, the median delay from the "  # noqa: RUF001
        "grab to the hand-over is {} ms,",
        _camera,
    ),
)


def differences(root: Path = ROOT, folder: Path = RESULTS) -> Iterator[str]:
    """Where pages differ from the results, one line each."""
    found = results(folder)
    yield from _blocks(root, folder, found)
    for claim in CLAIMS:
        text = " ".join((root / claim.page).read_text(encoding="utf-8").split())
        pattern = r"(\S+?(?: --[a-z]+ \S+)*?)".join(map(re.escape, " ".join(claim.text.split()).split("{}")))
        told = re.search(pattern, text)
        if told is None:
            yield f"{claim.page}: nothing there reads {claim.text[:60]!r}..."
        elif list(told.groups()) != (made := claim.made(found)):
            apart = [f"{a} for {b}" for a, b in zip(told.groups(), made, strict=True) if a != b]
            yield f"{claim.page}: {', '.join(apart)} in {claim.text[:60]!r}..."


def _blocks(root: Path, folder: Path, found: Found) -> Iterator[str]:
    """Pages whose generated blocks would be written differently now."""
    docs = root / "docs"
    with tempfile.TemporaryDirectory() as scratch:
        copies = {name: Path(scratch) / name for name in ("performance.md", "quality.md", "scaling.md", "batch.md")}
        for name, copy in copies.items():
            copy.write_text((docs / name).read_text(encoding="utf-8"), encoding="utf-8")
        performance.write(folder, copies["performance.md"])
        scaling.write(folder, Path(scratch))
        text = copies["quality.md"].read_text(encoding="utf-8")
        new = performance.replaced(text, quality.block(found["quality"]), begin=quality.BEGIN, end=quality.END)
        copies["quality.md"].write_text(new, encoding="utf-8")
        for name, copy in copies.items():
            if copy.read_text(encoding="utf-8") != (docs / name).read_text(encoding="utf-8"):
                yield f"docs/{name}: the results tell something else: write it anew with its benchmark"


def main() -> int:
    """Print the differences; returns the exit code."""
    found = [*differences()]
    for line in found:
        sys.stderr.write(f"{line}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
