"""Hostile values everywhere: for each option of each command, settings, keys, environment variables and sources.

Whatever is typed, the program works or says in one short line why not, and leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import logging
import os
import re
import shutil
import socket
import string
import time
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rich.console import Console

from rvm_live.apps import tidy
from rvm_live.apps.batch.settings import BatchSettings, fill, parse_memory
from rvm_live.apps.export.export import ExportSettings
from rvm_live.apps.hwtest import HwTestSettings
from rvm_live.apps.soak.run import SoakSettings
from rvm_live.apps.stress.configs import Config, parse
from rvm_live.apps.stress.run import StressSettings
from rvm_live.cli import cli, main
from rvm_live.cli.batch import _line, _name
from rvm_live.cli.params import one_line, printable
from rvm_live.cli.progress import Bar, Lines
from rvm_live.core.errors import SettingsError, SourceUnavailableError, TidyError
from rvm_live.core.look import Look
from rvm_live.core.settings import EngineSettings, LiveSettings, SourceSettings, parse_ratio
from rvm_live.sinks.window.display import probe
from rvm_live.sinks.window.hotkeys import HOTKEYS, action_for
from rvm_live.sinks.window.toolkits.base import Key
from rvm_live.sinks.window.toolkits.opencv import key_of
from rvm_live.sources.base import Source
from rvm_live.sources.factory import open_source
from rvm_live.system import threads
from tests.support.display import open_display
from tests.support.movies import make_movie
from tests.support.program import Outcome

ENGINE = ["--engine", "tests.support.engines:LeftHalfEngine"]
SECONDS = 5.0
"""Of processor time, for a complaint."""
LONGEST_RUN = 30.0
"""Of any, on a machine that is busy with something else."""
LONGEST = 600

# {t} is a folder that holds one of each: clip.mp4, text, empty, folder, pipe, socket, dangling, loop.
NUMBERS = [
    "nan",
    "-nan",
    "inf",
    "-inf",
    "1e999",
    "-1e999",
    "-1",
    "0",
    "-0",
    "0.5",
    "1e-300",
    "99999999999999999999999",
    "-99999999999999999999999",
    "0x10",
    "1_0",
    "1,5",
    "1e5",
    "true",
    "None",
    "[]",
    "4294967296",
    "-2147483649",
    "16385",
    "٣",
    "²",
    "Ⅻ",
    "64.0",
]
TEXTS = [
    "", " ", "   ", " 5 ", "\0", "a\0b", "a\nb", "\r\n", "\t", "\x1b[31mred\x07", "\x9b", "x" * 5000, "x y " * 2000,
    "\u00e9", "e\u0301", "\udcff", "a\udc80b", "\ud800", "\u202e", "\ufeff", "\U0001f600" * 100, "-", "--", "---",
    "@file", "--help=1", "-o", "%d", "%03d", "%s%n", "*", "[", "[/red]", "{name}", "{}", "{0}", "{name.__class__}",
    "{name:>99}", "{", "}", "$x$", ";touch x", "$(touch x)", "|touch x", "`touch x`", "'", '"', "\\", "auto,auto",
    ",", ":", "::", "://",
]  # fmt: skip
PATHS = [
    ".", "..", "./", "a/../b", "{t}/clip.mp4", "{t}/text", "{t}/empty", "{t}/folder", "{t}/folder/", "{t}/pipe",
    "{t}/socket", "{t}/dangling", "{t}/loop", "{t}/loop/x.mp4", "{t}/missing.mp4", "{t}/missing/x.mp4",
    "{t}/text/x.mp4", "{t}/clip.mp4/", "/proc/none/x.mp4", "/dev/null/x.mp4", "~nobody-of-that-name/x", "~",
    "x" * 256, "x" * 250 + ".mp4", "d/" * 3000, "\U0001f600" * 64 + ".mp4", ".mp4", "..mp4", "x.MP4", "a:b.mp4",
    "con", "NUL.mp4",
]  # fmt: skip
SPECS = [
    "blur:nan", "blur:inf", "blur:", "blur:-1", "blur:1e999", "blur:25:3", "blur:\u0663", "color:", "color:#zz",
    "color:#\u0661\u0662\u0663", "color:rgb(1,2,3)", "color:" + "f" * 5000, "image:", "image:.", "image:{t}/text",
    "image:{t}/empty", "image:{t}/folder", "image:{t}/missing.png", "image:{t}/clip.mp4", "image:/dev/zero",
    "image:/dev/null", "image:\udcff.png", "image:" + "x" * 300, "video:", "video:{t}/text", "video:{t}/missing.mp4",
    "video:/dev/null", "video:{t}/clip.mp4?fit=", "video:{t}/clip.mp4?fit=zz", "video:?fit=cover", "?fit=cover",
    "transparent:1", "rvm:", ":x", "x:", ".x:y", "..:x", "rvm_live:", "rvm_live.core.errors:",
    "rvm_live.core.errors:No",
    "rvm_live.core.errors:RvmLiveError", "a" * 300 + ":b", "\udcff:x", "no.such:Thing", "a b:c", "cpu:0", "cuda:99",
    "cuda:-1", "cuda:\u0663", "cuda:", "mps:0", "10GB", "0GB", "-1GB", "1e3GB", "9" * 400 + "GB", "1.GB", "\u0663GB",
    "rvm/x/y", "lite/lite/auto/1x1/1", "lite/lite/auto/99999x99999/1", "lite/lite/auto/64x64/0",
    "lite/lite/auto/64x64/1x2", "composite,\0", "alpha,alpha", "alpha,,", "MJP\n",
]  # fmt: skip
# Hosts are on this machine only.
ADDRESSES = [
    "http://[::1", "http://[zz]/", "http://127.0.0.1:99999/", "http://127.0.0.1:-1/", "http://127.0.0.1:x/",
    "http://127.0.0.1:1/x.mp4", "rtsp://127.0.0.1:1/", "http://u:p@127.0.0.1:q/", "http://a\u2100b/",
    "odd+scheme://127.0.0.1:1/", "file://", "file:///", "file:///dev/null", "file:///%00", "file:///{t}/text",
    "file:{t}/clip.mp4", "data:,x", "concat:a|b", "pipe:0", "pipe:7", "subfile,,start,0,end,0,,:/etc/passwd",
    "crypto:x", "127.0.0.1:1", "ray://127.0.0.1:1",
]  # fmt: skip
VALUES = [*NUMBERS, *TEXTS, *PATHS, *SPECS, *ADDRESSES]
ANY = st.one_of(
    st.sampled_from(VALUES),
    st.text(max_size=30),
    st.text(string.printable, max_size=30),
    st.floats().map(str),
    st.integers().map(str),
)

# The rest of a command line in which everything else is right.
BASE: dict[tuple[str, ...], list[str]] = {
    (): [*ENGINE, "--headless", "--frames", "1", "--source", "{t}/clip.mp4"],
    ("batch",): [*ENGINE, "-o", "out", "{t}/clip.mp4"],
    ("calibrate",): ["--offline", "--source", "{t}/clip.mp4"],
    ("cameras",): [],
    ("check",): [*ENGINE, "{t}/clip.mp4"],
    ("completion",): ["--print"],
    ("config", "save"): [],
    ("config", "show"): [],
    ("ctl",): [],
    ("desktop",): [],
    ("doctor",): ["--quick"],
    ("engines",): [],
    ("export",): ["--format", "onnx", "--offline"],
    ("help",): [],
    ("hwtest",): ["--quick", "--seconds", "0.2", "--source", "{t}/clip.mp4"],
    ("learn",): ["--offline", "--source", "{t}/clip.mp4"],
    ("monitor",): ["--seconds", "0.02"],
    ("room",): ["--list"],
    ("soak",): [*ENGINE, "--frames", "100", "--source", "{t}/clip.mp4"],
    ("stress",): ["--minutes", "0.01", "--configs", "lite/lite/auto/64x64/1"],
    ("tidy",): ["{t}/folder"],
    ("weights", "list"): [],
    ("weights", "path"): [],
    ("weights", "pull"): [],
    ("weights", "verify"): [],
}
EXAMPLES = {
    (): 250,
    ("batch",): 250,
    ("check",): 20,
    ("doctor",): 8,
    ("engines",): 20,
    ("hwtest",): 40,
    ("monitor",): 60,
    ("soak",): 40,
    ("stress",): 20,
}
CODES = {
    ("batch",): {0, 1, 2},
    ("doctor",): {0, 1, 2},
    ("engines",): {0, 1, 2},
    ("hwtest",): {0, 1, 2},
    ("soak",): {0, 1, 2},
    ("stress",): {0, 1, 2},
}
"""1: some files failed; something does not work; no source delivered; it aged; nothing could run."""
WRITTEN = {"bundle", "output", "record", "stats_json", "folder", "inputs", "name"}
LENGTHS = {"seconds", "minutes", "hours", "duration", "interval"}


def found(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Parameter]]:
    """Every parameter of a command and of its subcommands."""
    context = click.Context(command)
    yield from ((path, parameter) for parameter in command.params)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from found(below, (*path, name))


PARAMETERS = list(found(cli))
TAKING = {
    path: [p for at, p in PARAMETERS if at == path and not getattr(p, "is_flag", False) and p.name != "command"]
    for path in BASE
}


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of each kind of file."""
    folder = tmp_path_factory.mktemp("things")
    make_movie(folder / "clip.mp4", frames=4, sound=())
    (folder / "text").write_text("this is none\n" * 50)
    (folder / "empty").touch()
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as listener, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # a socket's name must be short
        listener.bind("socket")
    return folder


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No camera, no home and no network: nothing of this machine is reached."""
    monkeypatch.setattr("rvm_live.sources.camera.camera.backends", lambda: ())
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("RVM_LIVE_WEIGHTS_URL", "https://127.0.0.1:1/")
    monkeypatch.setenv("OPENCV_LOG_LEVEL", "OFF")


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Callable[[], Path]]:
    """Create a new empty folder, so deep that its ``..`` is also the test's, and change into it."""
    number = itertools.count()
    before = Path.cwd()

    def fresh() -> Path:
        os.chdir(before)
        shutil.rmtree(tmp_path / "deep", ignore_errors=True)
        made = tmp_path / "deep" / "er" / str(next(number))
        made.mkdir(parents=True)
        os.chdir(made)
        return made

    yield fresh
    os.chdir(before)


def call(*arguments: str) -> Outcome:
    """Run the program in this process, with streams that refuse what a terminal would refuse."""
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")
    err = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="backslashreplace")
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
            code = 0
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else 1
    out.flush()
    err.flush()
    told, complained = (stream.buffer.getvalue().decode() for stream in (out, err))  # type: ignore[attr-defined]
    return Outcome(code, told, complained)


def check(path: tuple[str, ...], arguments: list[str], folder: Path) -> Outcome:
    """Run, and check that it worked or said in one line why not, and left nothing behind."""
    began, spent = time.monotonic(), time.process_time()
    done = call(*arguments)
    took, spent = time.monotonic() - began, time.process_time() - spent
    assert done.code in CODES.get(path, {0, 2}), (done, arguments)
    assert "Traceback" not in done.err + done.out
    assert "error: unexpected" not in done.err, done.err
    if arguments[:2] != ["weights", "path"]:  # its output is for programs, unchanged
        assert all(line.isprintable() for line in (done.out + done.err).split("\n")), done
    assert took < LONGEST_RUN, f"{took:.1f} s"
    left = [each.relative_to(folder).as_posix() for each in folder.rglob("*")]
    assert not [name for name in left if name.endswith((".part", ".parts"))], left
    if done.code == 2:
        assert done.complaint
        assert spent < SECONDS, f"{spent:.1f} s"
        assert len(done.err) < LONGEST, len(done.err)
        assert left == []
    return done


def typed(path: tuple[str, ...], parameter: click.Parameter, value: str, things: Path) -> list[str]:
    """The command line with one hostile value instead of a good one."""
    base = [each.replace("{t}", str(things)) for each in BASE[path]]
    option = max(parameter.opts, key=len)
    if isinstance(parameter, click.Argument):
        base = [each for each in base if Path(each).parent != things]
        return [*path, *base, "--", value]
    for name in parameter.opts:
        if name in base:
            del base[base.index(name) : base.index(name) + 2]
    return [*path, f"{option}={value}", *base]


def harmless(parameter: click.Parameter, value: str, things: Path, folder: Path) -> bool:
    """Whether a test may type it: it does not start a long run, and changes no file outside the test's folder."""
    if parameter.name in LENGTHS:
        with contextlib.suppress(ValueError, OverflowError):
            return not 0.3 < float(value) < 1e9
    if parameter.name == "workers" and value.strip().isdecimal():
        return int(value) in (0, 1) or int(value) > 256
    if parameter.name == "ray":
        return value not in ("local", "auto")
    if parameter.name == "source" and (
        "//" in value and value not in [each.replace("{t}", str(things)) for each in VALUES]
    ):
        return False
    if parameter.name in WRITTEN and "\0" not in value:
        place = Path(os.path.abspath(value))
        ours = {things.parent, folder.parent.parent.parent}
        return value.startswith(("/proc/none", "/dev/null/")) or bool(
            ours & {place, *place.parents} and place not in ours
        )
    return True


def test_every_command_is_known_here() -> None:
    commands = {path for path, _ in PARAMETERS} | {("weights", "list")}
    assert commands - set(BASE) <= {("config",), ("weights",)}


@pytest.mark.filterwarnings("ignore:No artists with labels")  # a plot of a run shorter than a second
@pytest.mark.parametrize("path", [path for path in BASE if TAKING[path]], ids=lambda path: " ".join(path) or "live")
@pytest.mark.parametrize("share", [0.1, pytest.param(1.0, marks=pytest.mark.slow)], ids=["some", "all"])
def test_any_value_of_any_option(path: tuple[str, ...], share: float, things: Path, empty: Callable[[], Path]) -> None:
    @settings(
        max_examples=round(EXAMPLES.get(path, 150) * share),
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.sampled_from(range(len(TAKING[path]))), ANY)
    def any_value(number: int, value: str) -> None:
        parameter, folder = TAKING[path][number], empty()
        value = value.replace("{t}", str(things))
        if harmless(parameter, value, things, folder):
            check(path, typed(path, parameter, value, things), folder)

    any_value()


def test_a_flag_takes_no_value(things: Path, empty: Callable[[], Path]) -> None:
    flags = [(path, p) for path, p in PARAMETERS if getattr(p, "is_flag", False) and path in BASE]
    assert len(flags) > 20
    for path, parameter in flags:
        done = check(path, typed(path, parameter, "x", things), empty())
        assert done.code == 2, parameter


# What was found once, and must not come back

FOUND: dict[str, tuple[list[str], str]] = {
    "a host without its bracket": (["--source", "http://[::1"], "address cannot be read"),
    "a port that is none": (["--source", "http://u:secret@127.0.0.1:x/"], "address cannot be read"),
    "an engine above the package": (["--engine", "..:x"], "unknown engine '..:x'"),
    "a compositor above the package": (["--compositor", ".x:y"], "unknown compositor '.x:y'"),
    "a device in other digits": (["--device", "cuda:\u0663"], "unknown device"),
    "a zero byte": (["--source", "a\0b"], "an argument contains a zero byte"),
    "weights with a name too long": (["--weights", "x" * 300], "too long"),
    "weights of nobody": (["--weights", "~nobody-of-that-name/x"], "no user 'nobody-of-that-name'"),
    "weights that never come": (["--engine", "onnx", "--weights", "{t}/pipe"], "a device or a pipe"),
    "weights without a name": (["--weights", ""], "the path is empty"),
    "a background with a name too long": (["--background", "image:" + "x" * 300], "too long"),
    "a recording with a name too long": (["--record", "x" * 300 + ".mp4"], "too long"),
    "a report with a name too long": (["--stats-json", "x" * 300], "too long"),
    "a report without a name": (["--stats-json", ""], "the path is empty"),
    "a very long word": (["--width", "9" * 5000], "width"),
    "words that would colour the terminal": (["--record", "\x1b[31m.xyz"], "\\x1b[31m.xyz"),
    "words that run backwards": (["--record", "\u202e.xyz"], "\\u202e.xyz"),
    "batch: no name": (["batch", "", "-o", "out"], "name is empty"),
    "batch: a name too long": (["batch", "x" * 300, "-o", "out"], "too long"),
    "batch: nobody's folder": (["batch", "~nobody-of-that-name/x", "-o", "out"], "does not exist"),
    "batch: an engine that is none": (["batch", "{t}/clip.mp4", "-o", "out", "--engine", "magic"], "unknown engine"),
    "batch: no output": (["batch", "{t}/clip.mp4", "-o", ""], "the path is empty"),
    "batch: memory without end": (["batch", "{t}/clip.mp4", "-o", "out", "--memory-limit", "9" * 400 + "GB"], "memory"),
    "batch: an attribute": (["batch", "{t}/clip.mp4", "-o", "out", "--name-template", "{name.__class__}"], "filled in"),
    "batch: a gigabyte": (["batch", "{t}/clip.mp4", "-o", "out", "--name-template", "{name:>999999999}"], "filled in"),
    "batch: an empty cluster": (["batch", "{t}/clip.mp4", "-o", "out", "--ray="], "address '' cannot be read"),
    "batch: a cluster nowhere": (["batch", "{t}/clip.mp4", "-o", "out", "--ray=:x"], "address ':x' cannot be read"),
    "calibrate: frames without end": (["calibrate", "--frames", "1000000000", "--source", "demo"], "at most 1000"),
    "monitor: not a number of seconds": (["monitor", "--seconds", "nan"], "out of range"),
    "monitor: seconds without end": (["monitor", "--seconds", "inf"], "out of range"),
    "monitor: not a number between samples": (["monitor", "--seconds", "0.02", "--interval", "nan"], "out of range"),
    "monitor: years between samples": (["monitor", "--seconds", "0.02", "--interval", "1e300"], "out of range"),
    "monitor: a card below none": (["monitor", "--seconds", "0.02", "--gpu", "-1"], "out of range"),
    "monitor: a command that is none": (["monitor", "--", "no-such-program-anywhere"], "cannot run"),
    "monitor: a command that is text": (["monitor", "--", "{t}/script"], "cannot run"),
    "stress: a device that is none": (["stress", "--device", "tpu"], "unknown device 'tpu'"),
    "soak: no such source": (["soak", "--frames", "100", "--source", "{t}/none.mp4"], "no file"),
    "weights of nobody, verified": (["weights", "verify", "~nobody-of-that-name/x"], "no user"),
}


@pytest.mark.parametrize("case", FOUND, ids=str)
def test_what_was_found_is_one_clear_line(case: str, things: Path, empty: Callable[[], Path]) -> None:
    (things / "script").write_text("no program\n")
    (things / "script").chmod(0o755)
    arguments, said = FOUND[case]
    commands = {name for path in BASE for name in path[:1]}
    base = [] if arguments[0] in commands else ["--headless", "--frames", "1"]
    base += ENGINE if base and "--engine" not in arguments else []
    base += ["--source", "{t}/clip.mp4"] if base and "--source" not in arguments else []
    done = check((), [each.replace("{t}", str(things)) for each in [*base, *arguments]], empty())
    assert done.code == 2, done
    assert said in done.complaint
    assert "secret" not in done.err


def test_a_long_line_keeps_its_beginning_and_its_end() -> None:
    assert one_line("cannot read\n /a/b:  no such file") == "cannot read /a/b: no such file"
    long = one_line(f"cannot read {'/folder' * 300}: no such file; choose another")
    assert len(long) < 300
    assert long.startswith("cannot read /folder") and long.endswith("folder: no such file; choose another")
    assert len(one_line("word " * 5000)) <= 500
    assert printable("a\x1b[2Jb\udcff\n") == "a\\x1b[2Jb\\udcff\\n"


@settings(deadline=None, derandomize=True)
@given(st.text())
def test_any_message_is_one_short_printable_line(text: str) -> None:
    line = one_line(text)
    assert line.isprintable() and len(line) <= 500
    line.encode()


def test_a_name_on_a_terminal_is_shown_and_not_obeyed() -> None:
    """Names with markup for rich or with terminal codes, in the bars and in the lines of a batch run."""
    name = "/in/[red]\x1b[2J\n\udcff.mp4"
    shown = "[red]\\x1b[2J\\n\\udcff.mp4"
    events: list[dict[str, Any]] = [
        {"event": "start", "files": 1},
        {"event": "progress", "number": 0, "input": name, "frames": 1, "of": 4},
        {"event": "note", "text": f"of {name}"},
    ]
    failed = {"event": "file", "number": 0, "input": name, "state": "failed", "error": f"{name}: why"}
    screen, lines, notes = io.StringIO(), io.StringIO(), io.StringIO()
    with contextlib.redirect_stderr(notes), Bar(_line, _name) as bars:
        for event in events:
            bars(event)
        Console(file=screen, width=200).print(bars._shown())
        bars(failed)
    assert shown in screen.getvalue()
    with contextlib.redirect_stdout(lines), contextlib.redirect_stderr(notes), Lines(_line, _name) as plain:
        for event in [*events, failed]:
            plain(event)
    assert lines.getvalue() == f"{shown}: failed: /in/[red]\\x1b[2J \\udcff.mp4: why\n"
    assert "\x1b[2J" not in screen.getvalue() + lines.getvalue() + notes.getvalue()


def test_a_name_that_is_no_text_can_be_printed(tmp_path: Path) -> None:
    (tmp_path / "a \udcff b.mp4").touch()
    done = call("tidy", str(tmp_path))
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == ["a \\udcff b.mp4 -> a_b.mp4", "1 renamed"]
    assert call("tidy", str(tmp_path), "--undo").code == 0
    assert "a \udcff b.mp4" in os.listdir(tmp_path)
    (tmp_path / "w\udcff.pth").touch()
    done = call("weights", "verify", str(tmp_path / "w\udcff.pth"))
    assert (done.code, "w\\udcff.pth" in done.complaint) == (2, True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RVM_LIVE_WEIGHTS", str(tmp_path / "w\udcff.pth"))
        done = call("weights", "path")
    assert (done.code, done.out) == (0, f"{tmp_path}/w\\udcff.pth\n")


@pytest.mark.parametrize("name", ["$x_{$", "\r\n", "\x1b[2J", "\udcff", "\U0001f600", "%d", "{}", "x" * 200])
def test_any_name_of_a_record_can_be_drawn(name: str, empty: Callable[[], Path]) -> None:
    folder = empty()
    done = check(("monitor",), ["monitor", "--seconds", "0.02", f"--name={name}"], folder)
    assert done.code == 0, done
    assert sorted(os.listdir(folder)) == [f"gpu_{name}.csv", f"gpu_{name}.png"]


# Settings, words, keys


def roughly(kind: str) -> st.SearchStrategy[Any]:
    """Values of a settings field's type, right and wrong ones."""
    numbers = st.integers() | st.integers(-10, 20000)
    reals = st.floats() | st.floats(0, 100) | numbers
    words = st.sampled_from(VALUES) | st.text(max_size=20)
    known: dict[str, st.SearchStrategy[Any]] = {
        "str": words,
        "str | None": st.none() | words,
        "int": numbers,
        "int | None": st.none() | numbers,
        "float": reals,
        "float | None": st.none() | reals,
        "bool": st.booleans(),
        "bool | None": st.none() | st.booleans(),
        "Path": words.map(Path),
        "Path | None": st.none() | words.map(Path),
        "tuple[float, float]": st.tuples(reals, reals),
        "tuple[int, int] | None": st.none() | st.tuples(numbers, numbers),
        "tuple[str, ...]": st.lists(words, max_size=3).map(tuple),
        "Look": st.just(Look(match=60, blend="linear")),
        "CameraInUse | None": st.none(),
        "tuple[Config, ...]": st.just(()) | st.just((Config("lite", "lite", "auto", 64, 64),)),
    }
    kind = re.sub(r"\b(EngineName|DeviceName|(Blend|Foreground|Model|Precision) \| str)\b", "str", kind)  # for editors
    return known[kind]


SETTINGS = [
    SourceSettings, EngineSettings, LiveSettings, BatchSettings, ExportSettings, HwTestSettings, Look, SoakSettings,
    StressSettings,
]  # fmt: skip


@pytest.mark.few(1)
@pytest.mark.parametrize("kind", SETTINGS, ids=lambda kind: kind.__name__)
def test_any_settings_are_taken_or_refused(kind: Any) -> None:
    plain = {field.name: field for field in fields(kind) if not field.type.endswith("Settings")}
    taken = 0

    @settings(max_examples=300, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(st.fixed_dictionaries({}, optional={name: roughly(field.type) for name, field in plain.items()}))
    def any_values(values: dict[str, Any]) -> None:
        nonlocal taken
        needed = {"inputs": ("x",), "output": Path("x"), "form": "onnx", "frames": 100}
        asked = {name: value for name, value in needed.items() if name in plain} | values
        try:
            made = kind(**asked)
        except SettingsError as error:
            assert str(error).strip()
            return
        assert is_dataclass(made)
        taken += 1

    any_values()
    assert taken, "nothing was ever right: nothing was looked at"


@settings(max_examples=500, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(ANY)
def test_any_words_are_read_or_refused(text: str) -> None:
    for read, most in ((parse, None), (parse_memory, 10**25), (parse_ratio, 1)):
        with contextlib.suppress(SettingsError):
            value: Any = read(text)
            assert most is None or value is None or 0 < value <= most
    with contextlib.suppress(SettingsError):
        assert len(fill(text, "p" * 9, "n" * 9, "s" * 9)) <= 9 * (len(text) + 1)


def test_any_key_is_known_or_none() -> None:
    actions = {hotkey.action for hotkey in HOTKEYS}

    @settings(max_examples=2000, deadline=None, derandomize=True)
    @given(st.integers() | st.integers(-(2**32), 2**32) | st.integers(-300, 300))
    def any_code(code: int) -> None:
        key = key_of(code)
        assert code >= 0 or key is None
        assert key is None or action_for(key) in {*actions, None}

    any_code()
    assert action_for(Key("q", shift=True)) == "quit"


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.text(max_size=3), st.booleans(), st.text(max_size=2))
def test_any_key_of_any_layout_is_known_or_none(name: str, shift: bool, place: str) -> None:
    assert action_for(Key(name, shift, place)) in {*(hotkey.action for hotkey in HOTKEYS), None}


# Sources


@pytest.mark.slow
def test_any_words_are_a_source_or_refused(things: Path, empty: Callable[[], Path]) -> None:
    folder = empty()
    opened = 0

    @settings(max_examples=600, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(ANY)
    def any_words(text: str) -> None:
        nonlocal opened
        try:
            source = open_source(SourceSettings(text.replace("{t}", str(things)), realtime=False))
        except (SettingsError, SourceUnavailableError) as error:
            assert str(error).strip()
            return
        assert isinstance(source, Source)
        opened += 1
        source.release()

    any_words()
    assert opened
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("text", [each for each in ADDRESSES if "127.0.0.1" in each or each.startswith("file")])
def test_an_address_that_nobody_serves_is_one_line(text: str, things: Path, empty: Callable[[], Path]) -> None:
    source = text.replace("{t}", str(things))
    done = check((), ["--headless", "--frames", "1", *ENGINE, "--source", source], empty())
    assert done.code == (0 if source == f"file:///{things}/clip.mp4" else 2)


# The environment


@pytest.mark.parametrize("value", ["many", "-1", "1.5", "9" * 5000, "\u0663\u00b2", "1 2", "nan", "\x1b[31m"])
def test_a_number_of_cores_that_is_none_is_passed_over_and_told(
    value: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cores = threads.usable_cores()
    monkeypatch.setenv("RVM_LIVE_CORES", value)
    logging.getLogger("rvm_live").propagate = True
    with caplog.at_level(logging.WARNING, "rvm_live"):
        assert threads.usable_cores() == cores
    assert "RVM_LIVE_CORES is ignored" in caplog.text
    assert len(caplog.text) < 300


def test_a_number_of_cores_that_is_none_is_told_on_one_line(
    things: Path, empty: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RVM_LIVE_CORES", "\x1b[2Jmany\nlines")
    done = check((), typed((), TAKING[()][0], f"{things}/clip.mp4", things), empty())
    assert done.code == 0
    assert done.err.splitlines() == [
        "WARNING RVM_LIVE_CORES is ignored: '\\x1b[2Jmany\\nlines' is not a number of cores"
    ]


ENVIRONMENT = [each for each in [*TEXTS, *PATHS, *SPECS] if "\0" not in each and "\ud800" not in each]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["RVM_LIVE_WEIGHTS", "RVM_LIVE_CACHE", "RVM_LIVE_WEIGHTS_URL"])
def test_any_environment_is_taken_or_one_line(
    name: str, things: Path, empty: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = (
        ["weights", "list"],
        ["weights", "path"],
        ["weights", "verify"],
        ["export", "--format", "onnx", "--offline"],
    )
    more = [["weights", "pull"]] if name == "RVM_LIVE_WEIGHTS_URL" else []
    urls = [each for each in ADDRESSES if each.startswith(("http://[", "http://127.0.0.1", "http://u", "odd", "file"))]
    for value in ["nonsense", *urls] if name == "RVM_LIVE_WEIGHTS_URL" else ENVIRONMENT:
        monkeypatch.setenv(name, value.replace("{t}", str(things)))
        for arguments in (*commands, *more):
            check((), arguments, empty())


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(["", ":", "unix:", "/", "127.0.0.1:", ":0.", "localhost:9"]),
    (st.sampled_from(ENVIRONMENT) | st.text(string.printable, max_size=20)).filter(lambda text: "\0" not in text),
)
def test_any_display_is_there_or_one_reason(front: str, text: str) -> None:
    if text[:1].isalnum() and ":" in text:
        return  # the name of another machine
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISPLAY", front + text)
        reason = probe().reason
    assert reason is None or reason.strip()


@pytest.mark.parametrize("content", [b"", b"\xff" * 4000, b"\x01\x00\xff\xff\x00", b"\x01\x00" + bytes(8) * 900])
def test_any_file_of_cookies_gives_one_reason(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cookies").write_bytes(content)
    monkeypatch.setenv("XAUTHORITY", str(tmp_path / "cookies"))
    monkeypatch.setenv("DISPLAY", ":9753")
    assert "no X server runs there" in (probe().reason or "")


# Short names


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=60) | ANY.map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b"[" * 100_000)
@example(b'{"runs": [{"renamed": [["..", "x"]]}]}')
@example(b'{"runs": [{"renamed": [["", "x"]]}]}')
@example(b'{"runs": [{"renamed": [["\\u0000", "x"]]}]}')
@example(b'{"runs": [{"renamed": [["\\ud800", "x"]]}]}')
@example(b'{"runs": {"a": 1}}')
def test_any_undo_log_is_obeyed_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.getbasetemp() / "tidied"
    folder.mkdir(exist_ok=True)
    (folder / "x").touch()
    (folder / tidy.LOG).write_bytes(content)
    with contextlib.suppress(TidyError):
        tidy.undo(folder)
    assert "x" in os.listdir(folder)


# Things that can be called, but are not engines; files that can be opened, and never end


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ["os:system", "os.path:join", "sys:exit", "os:environ"])
def test_an_engine_is_a_class(name: str, things: Path, empty: Callable[[], Path]) -> None:
    source = ["--source", str(things / "clip.mp4")]
    done = check((), [*source, "--headless", "--frames", "1", "--engine", name], empty())
    assert done.code == 2
    assert "is not a class" in done.complaint


def test_a_pipe_is_no_source(things: Path, empty: Callable[[], Path]) -> None:
    done = check((), ["--source", str(things / "pipe"), "--headless", "--frames", "1", *ENGINE], empty())
    assert done.code == 2
    assert "neither a file nor a camera" in done.complaint


@pytest.mark.window
def test_a_pipe_for_cookies_is_not_waited_for(things: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rvm_live.sinks.window.display._TIMEOUT_SECONDS", 1.0)
    monkeypatch.setenv("XAUTHORITY", str(things / "pipe"))
    with open_display(320, 240) as opened:
        monkeypatch.setenv("DISPLAY", opened.name)
        assert "does not answer" in (probe().reason or "")
