"""Every benchmark runs, with few frames, and writes a table, JSON and a plot; the pages agree with the results."""

from __future__ import annotations

import builtins
import json
import re
import shutil
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks import __main__ as program
from benchmarks import int8, learn, people, performance, report, scaling, threads
from benchmarks.plots import Chart, chart_of, draw
from benchmarks.selfie.model import Selfie
from rvm_live.core.errors import EngineError, UnavailableError
from rvm_live.core.frames import Frame
from tests.conftest import ROOT
from tests.support.threads import torch_threads  # noqa: F401

CLIP, CLIPS, PEOPLE = "liveportrait_s18.mp4", "clips", "people"
QUICK = {
    "batch": ("batch", "--frames", "24", "--width", "320", "--height", "180"),
    "compare": (
        "compare",
        "--quick",
        "--frames",
        "9",
        "--ratio",
        "0.5",
        "--width",
        "320",
        "--height",
        "180",
        "--source",
        CLIP,
    ),
    "box": ("box", "--quick", "--frames", "10", "--ratio", "0.5", "--engines", "openvino", "--data", CLIPS),
    "check": ("check", "--quick", "--data", CLIPS),
    "compositors": ("compositors", "--count", "2"),
    "cpu": ("cpu", "--frames", "4", "--ratios", "0.2"),
    "edges": ("edges", "--quick", "--frames", "3", "--data", CLIPS),
    "finishing": ("finishing", "--frames", "2", "--sizes", "320x180", "--source", CLIP),
    "gpu": ("gpu-quick", "--quick", "--device", "cpu", "--frames", "5"),
    "int8": ("int8", "--width", "128"),
    "live": ("live", "--seconds", "2", "--steady", "0"),
    "low-light": ("low_light", "--quick", "--frames", "3", "--data", CLIPS),
    "outputs": ("outputs", "--pictures", "12", "--rounds", "1", "--seconds", "0"),
    "people": ("people", "--quick", "--people", PEOPLE),
    "pipeline": ("pipeline", "--seconds", "0.3", "--count", "50"),
    "presets": ("presets", "--frames", "12", "--width", "320", "--height", "180", "--presets", "lite", "high"),
    "quality": ("quality", "--quick", "--no-posts", "--data", CLIPS),
    "screens": ("screens", "--quick", "--data", CLIPS),
    "rot": ("rot", "--frames", "60", "--engines", "lite"),
    "threads": ("threads", "--seconds", "0.5", "--rounds", "1"),
    "window": ("window", "--pictures", "4", "--rounds", "1"),
}
"""Name -> the name of its results, and its options."""


def start(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    """Run ``python -m benchmarks`` in this process."""
    monkeypatch.setattr(sys, "argv", ["benchmarks", *arguments])
    program.main()


@pytest.fixture
def quick(data: Path, weights: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Run benchmarks quickly: real weights; no window, except for the benchmark of windows; and only one thread plan
    and one kind of processor."""
    which, plans = shutil.which, threads.plans
    monkeypatch.setattr(threads, "plans", lambda: {name: task for name, task in plans().items() if name[-1] == "*"})
    monkeypatch.setattr(int8, "SETS", {"": "all there is"})
    monkeypatch.setenv("RVM_LIVE_WEIGHTS", str(weights))
    monkeypatch.delenv("DISPLAY", raising=False)
    if "window" not in request.node.name:
        monkeypatch.setattr(shutil, "which", lambda name: None if name == "Xvfb" else which(name))


def test_every_benchmark_has_a_quick_run() -> None:
    paths = [path for path in (ROOT / "benchmarks").rglob("*.py") if "\ndef run(" in path.read_text("utf-8")]
    names = {(path.parent if path.stem == "benchmark" else path).stem.replace("_", "-") for path in paths}
    assert names - set(program.ALONE) == set(program.NAMES) == set(QUICK)
    assert set(program.ALONE) <= names


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in ("compositors", "pipeline") else pytest.mark.slow) for name in QUICK],
)
def test_it_runs_and_leaves_a_table_json_and_a_plot(
    name: str, data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, *options = QUICK[name]
    places = {CLIP: data / "clips" / "webcam" / CLIP, CLIPS: data / "clips", PEOPLE: data / "people"}
    options = [str(places.get(each, each)) for each in options]
    if name == "int8":
        pytest.importorskip("nncf")
    start(monkeypatch, "--results", str(tmp_path), name, *options)
    told = capfd.readouterr().out
    result = json.loads((tmp_path / f"{made}.json").read_text("utf-8"))
    assert f"python -m benchmarks {made}" in told
    assert result["rows"] and all(set(row) == set(result["columns"]) for row in result["rows"])
    assert str(result["rows"][-1][result["columns"][0]])[:12] in told
    assert result["command"].startswith(f"python -m benchmarks {name}") and result["host"]["cpu"]
    assert not foldered(result)
    if name == "compare":
        compared(result)
    assert (tmp_path / f"{made}.png").stat().st_size < 100_000
    with Image.open(tmp_path / f"{made}.png") as picture:
        assert picture.width > 800 and len(picture.convert("RGB").getcolors(1 << 20) or []) > 10


def foldered(value: Any) -> list[str]:
    """Strings in a result that name a folder."""
    text = json.dumps(value, ensure_ascii=False)
    return re.findall(r"(?<![\w/:.)])(?:~|[A-Za-z]:)?(?:[/\\]+[\w.-]+){2,}", text)


# Compare


def compared(result: dict[str, Any]) -> None:
    """Check that a table of ``compare`` makes sense."""
    rows = {row["what"].split(" (")[0].split(":")[0]: row for row in result["rows"]}
    ours, plain = rows["rvm-live"], rows["plain network"]
    assert "ratio 0.5" in ours["what"] and "ratio 0.5" in plain["what"] and "fp32" in plain["what"]
    assert ours["times ours"] == plain["times plain"] == 1
    assert ours["times plain"] * plain["times ours"] == pytest.approx(1)
    assert ours["times plain"] == pytest.approx(plain["matting ms"] / ours["matting ms"])
    assert plain["alpha MAD e-3"] == plain["dtSSD e-2"] == 0 < ours["alpha MAD e-3"] < 2
    for row in result["rows"]:
        if row["matting ms"] is not None:
            assert 0 < row["matting ms"] < row["with composite ms"] and row["matting ms"] <= row["p95 ms"]
    if "MediaPipe" in result["refusals"]:
        assert "pip install mediapipe==" in result["refusals"]["MediaPipe"] and rows["MediaPipe"]["matting ms"] is None
    assert result["source"] == CLIP and result["size"] == "320x180" and result["frames"] == 9


WORKING = """
from types import SimpleNamespace as made
class SelfieSegmentation:
    def __init__(self, model_selection): self.which = model_selection
    def process(self, image):
        return made(segmentation_mask=(image[..., 0] > 100).astype("float32") * (1 - self.which / 2))
__version__ = "0.10.21"
solutions = made(selfie_segmentation=made(SelfieSegmentation=SelfieSegmentation))
print("libraries like to talk")
"""


def mediapipe(folder: Path, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package named mediapipe, first on the worker's path."""
    (folder / "mediapipe.py").write_text(body)
    monkeypatch.setenv("PYTHONPATH", str(folder))


def test_the_worker_gives_each_frame_its_alpha(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mediapipe(tmp_path, WORKING, monkeypatch)
    rng = np.random.default_rng(0)
    selfie = Selfie(sys.executable, landscape=True, width=64, height=36)
    try:
        assert selfie.name == "MediaPipe 0.10.21 (selfie segmentation, landscape 256x144)"
        for number in range(3):
            image = rng.integers(0, 256, (36, 64, 3), np.uint8)
            took, alpha = selfie.matte(Frame(image, number, 0, 0))
            assert took > 0
            assert np.array_equal(alpha, np.where(image[..., 2] > 100, 128, 0)), "red comes first in RGB"
    finally:
        selfie.close()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("raise ImportError('nothing here')", "not installed: nothing here"),
        ("", "this mediapipe has no solutions: it needs mediapipe 0.10.21"),
        ("import os; os._exit(3)", "ended before it began"),
    ],
)
def test_without_mediapipe_there_is_a_reason(
    body: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mediapipe(tmp_path, body, monkeypatch)
    with pytest.raises(UnavailableError, match=rf"{re.escape(reason)}.*pip install mediapipe==0\.10\.21"):
        Selfie(sys.executable, landscape=False, width=64, height=36)


def test_a_mediapipe_that_could_report_usage_is_not_even_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mediapipe(tmp_path, f"open({str(tmp_path / 'imported')!r}, 'w')", monkeypatch)
    (tmp_path / "mediapipe-1.2.2.dist-info").mkdir()
    facts = "Metadata-Version: 2.1\nName: mediapipe\nVersion: 1.2.2\n"
    (tmp_path / "mediapipe-1.2.2.dist-info" / "METADATA").write_text(facts)
    with pytest.raises(UnavailableError, match=r"mediapipe 1\.2\.2 comes without the model.*mediapipe==0\.10\.21"):
        Selfie(sys.executable, landscape=True, width=64, height=36)
    assert not (tmp_path / "imported").exists()


def test_an_interpreter_that_is_not_there_is_a_reason(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="cannot start"):
        Selfie(str(tmp_path / "python"), landscape=False, width=64, height=36)


def test_a_worker_that_dies_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mediapipe(tmp_path, WORKING.replace("return made(", "raise SystemExit; return made("), monkeypatch)
    selfie = Selfie(sys.executable, landscape=False, width=64, height=36)
    try:
        with pytest.raises(EngineError, match="MediaPipe's process ended"):
            selfie.matte(Frame(np.zeros((36, 64, 3), np.uint8), 0, 0, 0))
    finally:
        selfie.close()


# People


def test_a_label_is_safe_where_every_juror_says_so_nearby() -> None:
    label = np.zeros((60, 80), np.uint8)
    label[:, :40] = 255  # a person on the left
    near, far, soft = label.copy(), label.copy(), label.copy()
    near[:, 40:52], far[:, 40:60], soft[:, 60:] = 255, 255, 20
    assert people.safe(label, [label, near, soft]).all()  # an outline 12 pixels off is close enough; so is a tenth
    unsafe = ~people.safe(label, [near, far])  # at 20 pixels, some are more than 12 from where it agrees
    assert unsafe[:, 40:48].all() and not unsafe[:, :40].any() and not unsafe[:, 48:].any()
    soft[:, 60:] = 100  # half alpha, and no outline near
    assert not people.safe(soft, [label])[:, 60:].any() and people.safe(soft, [label])[:, :60].all()
    assert (people.safe(label, [label, np.zeros_like(label)]) == (label == 0)).all()  # one juror sees nobody


def test_of_the_jury_s_columns_what_is_unsafe_is_left_out() -> None:
    good, half = np.full((4, 10), 51, np.uint8), np.full((4, 10), 51, np.uint8)
    half[:, 5:] = 255  # nobody agrees there
    agreed, doubted = np.ones((4, 10), np.bool_), np.ones((4, 10), np.bool_)
    doubted[:, 5:] = False
    row = people._row("lite", ["human/group-1", "congress/K1"], [good, half], [agreed, doubted])
    told = dict(zip(people.COLUMNS, row, strict=True))
    assert (told["group"], told["portrait"], told["worst"], told["pictures"]) == (200.0, 600.0, 600.0, 2)
    assert (told["safe mean"], told["safe worst"]) == (200.0, 200.0)
    assert (told["agreed mean"], told["agreed worst"], told["agreed"]) == (200.0, 200.0, 1)
    alone = dict(zip(people.COLUMNS, people._row("lite", ["congress/K1"], [half], []), strict=True))  # without a jury
    assert alone["mean"] == 600.0 and {alone[name] for name in people.COLUMNS[9:]} == {None}


# Learning one user


def test_what_clips_gained_is_told_by_mean_median_and_worst() -> None:
    rows = [
        ("a", "keyed", 10.0, 4.0, 4.0, 0.4, True, 20.0, 9.0),
        ("b", "keyed", 20.0, 8.0, 5.0, 0.4, True, 21.0, 8.0),
        ("c", "keyed", 6.0, 9.0, 3.0, 1.5, False, 25.0, 30.0),
        ("d", "RVM 0.4", 5.0, 4.0, None, 0.8, True, 20.0, 9.0),
    ]
    told = [learn._beside_the_teacher(row) for row in rows]
    assert [row[6] for row in told] == [1.0, 1.6, 3.0, None]
    mean, median, worst, *others = learn._summaries(told)
    assert mean == ("mean, keyed", "keyed", 12.0, 7.0, 4.0, 0.58, 1.75, "2 of 3", 22.0, 15.67)
    assert median == ("median, keyed", "keyed", 10.0, 8.0, 4.0, 0.4, 1.6, "2 of 3", 21.0, 9.0)
    assert worst == ("worst, keyed", "keyed", 20.0, 9.0, 5.0, 1.5, 3.0, "2 of 3", 25.0, 30.0)
    assert {row[2:] for row in others} == {(5.0, 4.0, None, 0.8, None, "1 of 1", 20.0, 9.0)}


# Reports


def published(folder: Path, *arguments: str, **extra: Any) -> dict[str, Any]:
    with report.commanded("some", arguments, folder):
        rows = [("one, 30.2 / 41.5", 1.25, True, None), ("see /home/somebody/clips/a b.mp4", 2500.0, False, 7)]
        return report.publish("some", ("what", "time ms", "met", "fps"), rows, **extra)


def test_no_folder_gets_into_a_result(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.touch()
    result = published(
        tmp_path,
        f"--source={clip}",
        str(clip),
        r"C:\Users\somebody\b.mp4",
        deep={"list": [str(clip), clip, "http://host/path/x", "p50/p95/p99"]},
    )
    assert not foldered({**result, "deep": None})
    assert result["command"] == "python -m benchmarks some --source=clip.mp4 clip.mp4 b.mp4"
    assert result["deep"] == {"list": ["clip.mp4", "clip.mp4", "http://host/path/x", "p50/p95/p99"]}
    assert json.loads((tmp_path / "some.json").read_text("utf-8")) == result


def test_a_table_without_matplotlib(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.split(".")[0] == "matplotlib":
            raise ImportError("No module named 'matplotlib'")
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    published(tmp_path)
    told = capsys.readouterr().out
    assert "no plot: matplotlib is not installed (pip install 'rvm-live[bench]')" in told
    assert "1.25" in told and "2500" in told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["some.json"]


def test_the_chart_of_a_table() -> None:
    rows = [{"what": "a", "size": "s", "median ms": None, "p95 ms": 2.0, "fps": 3, "met": True}]
    columns = ("what", "size", "median ms", "p95 ms", "fps", "met")
    assert chart_of(columns, rows) == Chart(("p95 ms",), labels=("what", "size", "median ms"), unit="ms")
    rows[0]["median ms"] = 1.0
    assert chart_of(columns, rows) == Chart(("median ms", "p95 ms"), labels=("what", "size"), unit="ms")
    assert chart_of(("what", "met"), rows) is None


def test_longer_bars_for_larger_numbers(tmp_path: Path) -> None:
    rows = [{"what": "a", "t": 1.0}, {"what": "b", "t": 4.0}, {"what": "c", "t": None}]
    draw(tmp_path / "x.png", Chart(("t",), unit="ms", target=3.0), rows, title="title", caption="caption")
    with Image.open(tmp_path / "x.png") as picture:
        pixels = picture.convert("RGB")
        bar = (47, 109, 179)
        lengths = [sum(pixels.getpixel((x, y)) == bar for x in range(pixels.width)) for y in range(pixels.height)]
    found = sorted({length for length in lengths if length > 20})
    assert found[-1] / found[0] == pytest.approx(4, rel=0.03)


# Pages


def test_the_page_tells_what_the_results_tell() -> None:
    text = performance.PAGE.read_text("utf-8")
    assert performance.replaced(text, performance.block()) == text, "run `python -m benchmarks performance`"


def test_the_pages_on_files_tell_what_the_results_tell(tmp_path: Path) -> None:
    for name in ("batch.md", "scaling.md"):
        shutil.copy(scaling.DOCS / name, tmp_path / name)
    scaling.write(docs=tmp_path)
    for name in ("batch.md", "scaling.md"):
        assert (tmp_path / name).read_text("utf-8") == (scaling.DOCS / name).read_text("utf-8"), (
            "run `python -m benchmarks scaling`"
        )


def test_what_a_thousand_hours_cost() -> None:
    assert scaling.machine_hours(30.0) == 1000
    assert scaling.machine_hours(15.0, hours=10, video_fps=60) == 40
    row = next(line for line in scaling.block().splitlines() if line.startswith("| `standard`"))
    cells = [float(each.strip().replace(",", "")) for each in row.split("|")[2:-1]]
    rate, hours, *costs, machines = cells
    assert hours == pytest.approx(30000 / rate, rel=0.01)
    assert costs == pytest.approx([hours * price for price in scaling.PRICES], rel=0.02)
    assert (machines - 1) * 168 < hours <= machines * 168


def test_the_page_is_rewritten_between_its_marks_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{performance.BEGIN}\nold\n{performance.END}\nafter\n", "utf-8")
    with report.commanded("live", (), tmp_path):
        report.publish("live", ("1280x720", "fps", "met"), [("head|less", 31.0, True)])
    performance.write(tmp_path, page)
    told = page.read_text("utf-8")
    assert (
        told.startswith(f"before\n{performance.BEGIN}\n")
        and told.endswith(f"{performance.END}\nafter\n")
        and "old" not in told
    )
    assert "| head\\|less | 31 | yes |" in told and "`python -m benchmarks live`" in told
    with pytest.raises(ValueError, match="once each"):
        performance.replaced("no marks", "x")


def test_committed_results_name_no_folder_and_have_their_plot() -> None:
    found = report.results()
    assert {"compare", "compositors", "cpu", "live", "pipeline"} <= set(found)
    for name, result in found.items():
        assert not foldered(result), name
        assert result["command"].startswith(f"python -m benchmarks {result['benchmark'].replace('_', '-')}"), name
        assert (report.RESULTS / f"{name}.png").exists(), name


# The command


def test_what_cannot_run_here_is_left_out_of_all(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    ran: list[str] = []

    def unavailable(arguments: list[str]) -> None:
        raise UnavailableError("no such device")

    for name in program.NAMES:
        module = import_module(f"benchmarks.{name.replace('-', '_')}")
        monkeypatch.setattr(module, "run", unavailable if name == "gpu" else lambda rest, name=name: ran.append(name))
    start(monkeypatch, "--results", str(tmp_path), "all")
    assert ran == [name for name in program.NAMES if name != "gpu"]
    assert "benchmark gpu was left out: no such device" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="benchmark gpu: no such device"):
        start(monkeypatch, "gpu")
    with pytest.raises(SystemExit, match="usage: python -m benchmarks"):
        start(monkeypatch, "nothing")
