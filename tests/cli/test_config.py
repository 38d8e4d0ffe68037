"""``rvm-live.toml``, profiles, the environment and the command line: which one counts, and what the program says of
it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from rvm_live.cli import cli
from rvm_live.cli.layers import choose, key_of, keys_of, load
from rvm_live.cli.live import settings_from
from rvm_live.cli.profiles import BUILT_IN
from rvm_live.core.settings import LiveSettings
from tests.conftest import ROOT
from tests.support.movies import make_movie
from tests.support.program import call

MINE = """\
# mine
background = "my beach.jpg"  # in a folder with spaces
engine = "lite"
fps = 24
size = "640x360"

[profiles.desk]
blur = 30
source = "HD Webcam"

[batch]
quality = "high"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A settings folder that is read, and another folder as the working directory."""
    for name in ("RVM_LIVE_NO_CONFIG", "RVM_LIVE_FALLBACK_LITE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path / "settings"))
    (tmp_path / "settings").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "settings"


def write(folder: Path, text: str) -> Path:
    file = folder / "rvm-live.toml"
    file.write_text(text, "utf-8")
    return file


def shown(*arguments: str) -> dict[str, tuple[object, str]]:
    """Key -> value and origin, as the program prints them."""
    done = call(*arguments, "config", "show", "--json")
    assert done.code == 0, done.err
    return {each["key"]: (each["value"], each["from"]) for each in json.loads(done.out)["settings"]}


def test_each_layer_counts_for_more_than_the_one_below(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(folder, MINE + '[profiles.fast]\nfps = 50\nengine = "rvm"\nfourcc = "YUYV"\n')
    monkeypatch.setenv("RVM_LIVE_FPS", "12")
    monkeypatch.setenv("RVM_LIVE_FOURCC", "NV12")
    found = shown("--profile", "fast", "--fourcc", "I420")
    assert found["fourcc"] == ("I420", "command line")
    assert found["fps"] == (12.0, "environment (RVM_LIVE_FPS)")
    assert found["engine"] == ("rvm", f"profile fast: {file}, line 15")
    assert found["background"] == (["my beach.jpg"], f"{file}, line 2")
    assert found["device"] == ("auto", "default")
    assert found["batch.quality"] == ("high", f"{file}, line 12")


def test_what_is_shown_is_what_runs(folder: Path, tmp_path: Path) -> None:
    make_movie(tmp_path / "my clip.mp4", frames=4, size=(96, 64))
    write(folder, f"source = {str(tmp_path / 'my clip.mp4')!r}\nrealtime = false\nframes = 2\nheadless = true\n")
    done = call("--engine", "tests.support.engines:LeftHalfEngine", "--stats-json", "report.json")
    assert done.code == 0, done.err
    report = json.loads(Path("report.json").read_text())
    assert "my clip.mp4" in report["ran"]["source"] and report["frames"]["unique"] == 2


def test_two_ways_to_say_one_thing_do_not_meet(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, MINE)
    found = shown("--width", "320", "--height", "180")
    assert found["width"][0] == 320 and found["size"] == (None, "default")
    monkeypatch.setenv("RVM_LIVE_WIDTH", "160")
    assert shown()["size"] == (None, "default")
    write(folder, "width = 320\nheight = 180\n[profiles.big]\nsize = '1920x1080'\n")
    monkeypatch.delenv("RVM_LIVE_WIDTH")
    found = shown("--profile", "big")
    assert found["size"][0] == [1920, 1080] and found["height"] == (None, "default")


def test_a_flag_of_the_file_can_be_switched_off(folder: Path) -> None:
    write(folder, "fullscreen = true\nmirror = true\n[batch]\nresume = true\n")
    found = shown("--no-fullscreen", "--no-mirror")
    assert found["fullscreen"] == (False, "command line") and found["mirror"] == (False, "command line")
    assert "there are no inputs" in call("batch", "--no-resume").complaint


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ('background = "a b.jpg"', "background", ["a b.jpg"]),
        ('background = ["a b.jpg", "blur"]', "background", ["a b.jpg", "blur"]),
        ('sink = "tests.support.sinks:Any"', "sink", ["tests.support.sinks:Any"]),
        ("blur = true", "background", ["blur"]),
        ("blur = 40", "background", ["blur:40"]),
        ("audio = true", "audio", "default"),
        ("downsample-ratio = 0.4", "downsample-ratio", "0.4"),
        ("downsample_ratio = 0.4", "downsample-ratio", "0.4"),
        ("source = 1", "source", "1"),
        ('camera = "HD Webcam"', "source", "HD Webcam"),
        ('stats = "table"', "stats", "table"),
        ("no-stats = true", "stats", "off"),
        ("virtual-camera = true", "virtual-camera", "auto"),
        ("adaptive = false", "adaptive", False),
        ("fps = 30", "fps", 30.0),
        ("\N{BYTE ORDER MARK}fps = 30\r\n", "fps", 30.0),
    ],
)
def test_values_are_what_they_would_be_on_the_command_line(folder: Path, text: str, key: str, value: object) -> None:
    write(folder, text)
    assert shown()[key][0] == value


def test_paths_in_the_environment_may_hold_spaces_and_colons(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RVM_LIVE_BACKGROUND", "image:my beach.jpg\nblur:25\n")
    assert shown()["background"] == (["image:my beach.jpg", "blur:25"], "environment (RVM_LIVE_BACKGROUND)")
    monkeypatch.setenv("RVM_LIVE_WEIGHTS", "/w/a b.pth")
    write(folder, 'weights = "/other.pth"\n')
    assert shown()["weights"] == ("/w/a b.pth", "environment (RVM_LIVE_WEIGHTS)")
    assert shown("--weights", "/mine.pth")["weights"] == ("/mine.pth", "command line")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fps = 30\nengine == 1\n", "line 2, column 9: unexpected character"),
        ("fps = 30\nfps = 20\n", 'line 2, column 1: key "fps" already exists'),
        ("fps = 30\nbackgruond = 'red'\n", "line 2: unknown key 'backgruond': did you mean 'background'?"),
        ("[profile.x]\nfps = 30\n", "profile must be a profile's name"),
        ("[profiels.x]\nfps = 30\n", "unknown key 'profiels': did you mean 'profiles'?"),
        ("[profiles.x]\nfsp = 30\n", "line 2: unknown key 'fsp': did you mean 'fps'?"),
        ("[batch]\nqualty = 'high'\n", "line 2: unknown key 'qualty': did you mean 'quality'?"),
        ("[btach]\nquality = 'high'\n", "line 1: unknown key 'btach': did you mean 'batch'?"),
        ("batch = 1\n", "line 1: 'batch' is a command: write its options under [batch]"),
        ("profiles = 1\n", "write [profiles.NAME]"),
        ("[profiles]\nx = 1\n", "line 2: 'x' is not a profile: write [profiles.x]"),
        ("profile = 'cal'\n", "there is no profile 'cal': did you mean 'call'?"),
        ("no-adaptive = true\n", "line 1: unknown key 'no-adaptive': write adaptive = false"),
        ("config = 'x'\n", "line 1: unknown key 'config'"),
        ("help = true\n", "line 1: unknown key 'help'"),
        ("fps = 'many'\n", "line 1: fps: 'many' is not a valid float"),
        ("fps = true\n", "line 1: fps: it must be text or a number, not true"),
        ("fps = [1]\n", "line 1: fps: it must be one value, not a list"),
        ("width = 1.5\n", "line 1: width: it must be a whole number"),
        ("fullscreen = 'yes'\n", "line 1: fullscreen: it must be true or false"),
        ("size = 'large'\n", "line 1: size: 'large' is not a size"),
        ("display = 'room'\n", "line 1: display: 'room' is not one of"),
        ("background = [['a']]\n", "line 1: background: it must be text or a number"),
        ("[source]\nx = 1\n", "source: it must be text or a number"),
        ("fps = 1979-05-27\n", "line 1: fps: it must be text or a number"),
        ("fps = 5000\n", "fps 5000 is out of range"),
        (f"background = '{'a' * 5000}'\n", "file name too long"),
    ],
)
def test_what_is_wrong_in_the_file_is_told_in_one_line(folder: Path, text: str, words: str) -> None:
    file = write(folder, text)
    done = call("demo", "--headless", "--frames", "1")
    assert done.code == 2
    assert words in done.complaint
    assert str(file)[:20] in done.complaint or "profile 'cal'" in words


def test_files_that_are_none(folder: Path, tmp_path: Path) -> None:
    run = ("demo", "--headless", "--frames", "1")
    assert "there is no settings file" in call("--config", tmp_path / "gone.toml", *run).complaint
    assert "is a folder or a device" in call("--config", tmp_path, *run).complaint
    assert "not both" in call("--config", tmp_path, "--no-config", *run).complaint
    (folder / "rvm-live.toml").write_bytes(b"fps = 30 # \xff")
    assert "not written in UTF-8" in call(*run).complaint
    write(folder, "a = " + "[" * 5000)
    assert call(*run).code == 2
    if os.geteuid():
        (folder / "rvm-live.toml").chmod(0)
        assert "cannot be read: Permission denied" in call(*run).complaint


def test_what_mends_a_broken_file_does_not_read_it(folder: Path) -> None:
    file = write(folder, "fps ==\n")
    assert call("config", "path").out.strip() == str(file)
    for words in (["--help"], ["batch", "--help"], ["help", "batch"], ["--version"], ["--no-config", "config", "show"]):
        assert call(*words).code == 0, words
    assert call("config", "show").code == 2
    assert call("batch", "clip.mp4").code == 2


def test_a_profile_is_named_before_and_behind_a_command(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, "[profiles.fine.batch]\nquality = 'high'\n")
    assert shown("--profile", "fine")["batch.quality"][0] == "high"
    done = call("config", "show", "--profile=fine")
    assert "batch.quality" in done.out
    monkeypatch.setenv("RVM_LIVE_PROFILE", "fine")
    assert shown()["batch.quality"][0] == "high"
    assert call("batch", "x.mp4", "--profile", "nothing").complaint.startswith("there is no profile 'nothing'")
    write(folder, "profile = 'saver'\n[profiles.saver]\nfps = 10\n")
    monkeypatch.delenv("RVM_LIVE_PROFILE")
    found = shown()
    assert found["fps"][0] == 10.0 and found["engine"] == ("lite", "profile saver")


def test_of_a_profile_a_program_that_runs_can_take_what_is_a_control(folder: Path) -> None:
    write(folder, MINE + "\n[profiles.call]\ndownsample-ratio = 0.5\nfollow = true\nbox = true\n")
    with click.Context(cli, info_name="rvm-live") as ctx:
        wishes = load(ctx, *choose(ctx, {}), cli.configured(ctx)).wishes
    assert wishes["desk"] == {"background": "blur:30", "source": "HD Webcam"}
    wanted = {"background": "blur", "virtual_camera": True, "ratio": 0.5, "follow": True, "box": True}
    assert wishes["call"] == {**wanted, "size": "1280x720", "fps": 30.0}
    assert wishes["saver"].items() >= {"engine": "lite", "device": "cpu", "statistics": "off"}.items()


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_profiles_that_come_along_can_be_used(folder: Path, name: str) -> None:
    with click.Context(cli, info_name="rvm-live") as ctx:
        layers = load(ctx, *choose(ctx, {"profile": name}), cli.configured(ctx))
    assert len(layers.given[""]) == len(BUILT_IN[name]) >= 4
    made = cli.make_context("rvm-live", ["--profile", name])
    assert isinstance(settings_from(made.params), LiveSettings)
    assert all(key in keys_of(cli) for key in BUILT_IN[name])


def test_every_option_has_a_key_and_a_variable() -> None:
    keys = keys_of(cli)
    for option in cli.params:
        assert isinstance(option, click.Option)
        if option.hidden or option.name in ("help", "help_all", "version"):
            continue
        variable = f"RVM_LIVE_{key_of(option).upper().replace('-', '_')}"
        assert option.envvar == (None if option.name == "weights" else variable)
        assert key_of(option) in keys or option.name in ("config", "no_config", "profile", "debug")


def test_saving_keeps_comments_and_makes_paths_last(folder: Path) -> None:
    file = write(folder, MINE)
    file.chmod(0o640)
    Path("my pier.jpg").write_bytes(b"")
    done = call("config", "save", "desk", "--engine", "rvm", "-b", "my pier.jpg", "--blur=7", "--size", "320x180")
    assert done.code == 0, done.err
    text = file.read_text("utf-8")
    assert "# mine" in text and "# in a folder with spaces" in text and file.stat().st_mode & 0o777 == 0o640
    found = shown("--profile", "desk")
    assert found["background"][0] == [str(Path.cwd() / "my pier.jpg"), "blur:7"]
    assert found["engine"][0] == "rvm" and found["source"][0] == "HD Webcam" and found["size"][0] == [320, 180]
    assert call("--profile", "desk", "--fps", "9", "config", "save", "other").code == 0
    found = shown("--profile", "other")
    assert found["fps"][0] == 9.0 and found["engine"][0] == "rvm" and found["source"][0] == "HD Webcam"
    assert "nothing to save" in call("config", "save", "empty").complaint
    assert call("config", "save").code == 2
    assert [each.name for each in folder.iterdir()] == ["rvm-live.toml"]


def test_saving_where_there_is_no_file_and_through_a_link(folder: Path, tmp_path: Path) -> None:
    assert call("config", "save", "desk", "--blur").code == 0
    file = folder / "rvm-live.toml"
    assert "blur" in file.read_text() and "`rvm-live --help-all` lists them" in file.read_text()
    if os.name == "posix":
        assert file.stat().st_mode & 0o077 == 0
        (tmp_path / "dotfiles").mkdir()
        kept = file.rename(tmp_path / "dotfiles" / "kept.toml")
        file.symlink_to(kept)
        assert call("config", "save", "other", "--blur=9").code == 0
        assert file.is_symlink() and "blur:9" in kept.read_text()


@pytest.mark.skipif(os.name != "posix", reason="folders' permissions")
def test_a_folder_that_cannot_be_written_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RVM_LIVE_CACHE", "/proc/nowhere")
    done = call("config", "save", "desk", "--blur")
    assert done.code == 2 and "cannot write /proc/nowhere/rvm-live.toml" in done.complaint
    assert call("config", "edit").code == 2
    assert call("config", "show").code == 0


def test_editing_makes_a_file_and_checks_it(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    editor = tmp_path / "editor.py"
    editor.write_text(f"import sys\nopen(sys.argv[1], 'a').write({'bakground = 1'!r})\n")
    monkeypatch.setenv("VISUAL", f"{sys.executable} {editor}")
    done = call("config", "edit")
    assert done.code == 2 and "unknown key 'bakground': did you mean 'background'?" in done.complaint
    assert (folder / "rvm-live.toml").read_text().startswith("# Settings of rvm-live")
    monkeypatch.setenv("VISUAL", "no-such-editor-anywhere")
    assert call("config", "edit").code == 2


def test_addresses_are_shown_without_their_passwords(folder: Path) -> None:
    write(folder, "source = 'rtsp://me:secret@camera.local/1'\n")
    assert shown()["source"][0] == "rtsp://camera.local/1"


def test_no_settings_are_read_where_tests_and_benchmarks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``tests/conftest.py`` and ``benchmarks`` see to that; every process that they start inherits it."""
    assert os.environ["RVM_LIVE_NO_CONFIG"] == "1"
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path))
    (tmp_path / "rvm-live.toml").write_text("nonsense ==")
    assert call("config", "show").code == 0
    code = "import os, benchmarks; print(os.environ['RVM_LIVE_NO_CONFIG'])"
    environment = {name: value for name, value in os.environ.items() if name != "RVM_LIVE_NO_CONFIG"}
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", check=True
    )
    assert told.stdout.strip() == "1"
