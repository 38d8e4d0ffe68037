"""``rvm-live desktop``: what it adds to each system's menu; on Linux the system's own checker is asked."""

from __future__ import annotations

import os
import plistlib
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rvm_live.apps import desktop
from rvm_live.core.errors import SinkError, UnavailableError
from rvm_live.sinks.window.icon import draw_icon
from tests.conftest import ROOT
from tests.support.display import Display
from tests.support.movies import make_movie, pictures
from tests.support.program import call


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user whose folders are empty."""
    folder = tmp_path / "home"
    folder.mkdir()
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(folder))
    monkeypatch.setenv("RVM_LIVE_CACHE", str(folder / "settings"))
    for name in ("XDG_DATA_HOME", "APPDATA"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return folder


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() or path.is_symlink()}


def exec_of(entry: Path) -> str:
    (found,) = re.findall("^Exec=(.*)$", entry.read_text(errors="surrogateescape"), re.MULTILINE)
    return str(found)


def told_by(value: str) -> list[str]:
    """The arguments of an ``Exec`` line, read as the specification says: first as a string, then its quotes."""
    text = re.sub(r"\\(.)", lambda found: {"n": "\n", "t": "\t", "r": "\r"}.get(found[1], found[1]), value)
    quoted = re.findall(r'"((?:[^"\\]|\\.)*)"', text, re.DOTALL)
    return [re.sub(r"\\(.)", r"\1", each, flags=re.DOTALL).replace("%%", "%") for each in quoted]


def test_it_comes_and_goes_without_a_trace(home: Path) -> None:
    done = call("desktop", "--install")
    assert done.code == 0
    there = files_in(home)
    assert ".local/share/applications/rvm-live.desktop" in there
    assert ".local/share/icons/hicolor/256x256/apps/rvm-live.png" in there
    assert set(done.out.splitlines()[:-1]) == {str(home / each) for each in there}
    picture = cv2.imread(str(home / ".local/share/icons/hicolor/64x64/apps/rvm-live.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(picture, draw_icon(64))
    assert call("desktop", "--install").code == 0  # once more: it replaces itself
    assert files_in(home) == there
    gone = call("desktop", "--remove")
    assert (gone.code, gone.out.splitlines()[-1]) == (0, f"{len(there)} files removed")
    assert files_in(home) == set()
    assert call("desktop", "--remove").out == "there was nothing to remove\n"


def test_the_entry_starts_this_copy_of_the_program(home: Path) -> None:
    entry = desktop.install()[-1]
    command = told_by(exec_of(entry))
    done = subprocess.run([*command, "--version"], capture_output=True, encoding="utf-8", timeout=120)
    assert done.stdout == call("--version").out, done.stderr


FOLDERS = ["plain", "with blanks", "100%f", 'a"quote', "b\\slash", "c$HOME`d`", "e'f", "line\nbreak", "\u00e4\u4e2d"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_entry_is_valid_wherever_the_program_lies(folder: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = home / folder / "rvm-live"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho > "$HOME/started"\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program.with_name("python")))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    entry = desktop.install()[-1]
    assert entry == home / "data" / "applications" / "rvm-live.desktop"
    assert told_by(exec_of(entry)) == [str(program)]
    if (gio := shutil.which("gio")) is not None:  # another program's reading of the same line
        subprocess.run([gio, "launch", str(entry)], check=True, timeout=60)
        assert Display.wait((home / "started").exists, 60)
    checker = shutil.which("desktop-file-validate")
    if checker is None:
        pytest.skip("desktop-file-validate not found: apt-get install desktop-file-utils")
    done = subprocess.run([checker, "--warn-kde", str(entry)], capture_output=True, encoding="utf-8", timeout=60)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout
    program.unlink()
    assert told_by(exec_of(desktop.install()[-1])) == [str(program.with_name("python")), "-m", "rvm_live"]


@pytest.mark.parametrize("arguments", [(), ("--install", "--remove")])
def test_one_of_both_has_to_be_said(arguments: tuple[str, ...]) -> None:
    done = call("desktop", *arguments)
    assert done.code == 2 and "use --install or --remove" in done.complaint


def test_what_cannot_be_written_is_told_and_leaves_nothing(home: Path) -> None:
    (home / ".local/share").mkdir(parents=True)
    (home / ".local/share/applications").write_text("a file")
    done = call("desktop", "--install")
    assert done.code == 2 and "applications" in done.complaint
    assert files_in(home) == {".local/share/applications"}


def test_without_a_home_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for nowhere in ("/dev/null/no-home", "relative"):
        monkeypatch.setenv("HOME", nowhere)
        for act in (desktop.install, desktop.remove):
            with pytest.raises(UnavailableError, match="set HOME"):
                act()


# Files dropped on the icon


@pytest.fixture
def said(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with the desktop's notifications, their words one below the other."""
    folder = home / "bin"
    folder.mkdir()
    program = folder / "notify-send"
    program.write_text('#!/bin/sh\nprintf \'%s\\n\' "$@" >> "$HOME/said"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return home / "said"


@pytest.mark.slow
def test_files_that_are_dropped_are_worked_off_and_told(home: Path, said: Path) -> None:
    """With another program's reading of the entry, where there is one, as a file manager would start it."""
    clip = make_movie(home / "my clip.mp4", frames=4)
    other = make_movie(home / "b&b.mp4", frames=4)
    settings = home / "settings.toml"
    settings.write_text('[batch]\nengine = "tests.support.engines:LeftHalfEngine"\nbackground = "#000000"\n')
    entry = desktop.install()[-1]
    assert exec_of(entry).endswith(" desktop --open %F")
    types = re.findall("^MimeType=(.*)$", entry.read_text(), re.MULTILINE)
    assert len(types) == 1 and {"video/mp4", "image/png"} < set(types[0].split(";"))
    environment = {**os.environ, "RVM_LIVE_CONFIG": str(settings), "PYTHONPATH": str(ROOT)}
    environment.pop("RVM_LIVE_NO_CONFIG", None)
    gio = shutil.which("gio")
    start = [gio, "launch", str(entry)] if gio is not None else [*told_by(exec_of(entry)), "desktop", "--open"]
    subprocess.run([*start, str(clip), str(other)], env=environment, check=True, timeout=120, cwd=home)
    assert Display.wait(lambda: said.exists() and "rvm-live has finished" in said.read_text(), 120)
    assert len(pictures(home / "my clip.cutout.mp4", "gray")) == 4
    assert len(pictures(home / "b&b.cutout.mp4", "gray")) == 4
    words = said.read_text()
    assert "rvm-live cuts people out\nmy clip.mp4, b&amp;b.mp4\n" in words
    assert "my clip.mp4: done, my clip.cutout.mp4\nb&amp;b.mp4: done, b&amp;b.cutout.mp4\n" in words


def test_what_is_no_film_is_told_too(home: Path, said: Path) -> None:
    (home / "letter.txt").write_text("dear")
    for dropped, words in ((home / "letter.txt", "letter.txt: "), (home / "gone.mp4", "does not exist")):
        done = call("desktop", "--open", str(dropped))
        assert done.code in (1, 2)
        assert "rvm-live failed\n" in said.read_text()
        assert words in said.read_text().splitlines()[-1]
        assert words in done.out


def test_a_desktop_that_says_nothing_is_done_without(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(home))
    assert not desktop.notify("a", "b")
    assert call("desktop", "--open", str(home / "gone.mp4")).code == 2


def test_without_files_the_entry_starts_the_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []
    monkeypatch.setattr("rvm_live.cli.run_live", lambda options, layers: started.append(options["source"]) or 3)
    assert call("desktop", "--open").code == 3
    assert started == ["auto"]
    done = call("desktop", "--install", "a.mp4")
    assert done.code == 2 and "FILEs can only be used with --open" in done.complaint


# Other systems, checked by the files that they read


OSACOMPILE = """#!/bin/sh
printf '%s\\n' "$@" > "$HOME/told"
[ "$1" = -o ] && mkdir -p "$2/Contents/MacOS" "$2/Contents/Resources/Scripts" "$2/Contents/Empty" || exit 1
cp "$3" "$2/Contents/Resources/Scripts/main.scpt" && ln -s applet "$2/Contents/MacOS/droplet"
"""


def on_macos(home: Path, monkeypatch: pytest.MonkeyPatch, compiler: str | None = OSACOMPILE) -> None:
    """macOS, with a stand-in for the tool that makes applications from scripts."""
    monkeypatch.setattr(sys, "platform", "darwin")
    folder = home.with_name("bin")
    folder.mkdir()
    if compiler is not None:
        (folder / "osacompile").write_text(compiler)
        (folder / "osacompile").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_on_macos_it_is_an_application(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_macos(home, monkeypatch)
    program = home / "it's here" / "rvm-live"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\npwd\nprintf '%s\\n' \"$@\"\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program.with_name("python")))
    before = files_in(home)
    made = desktop.install()
    contents = home / "Applications" / "rvm-live.app" / "Contents"
    droplet = home / "Applications" / "rvm-live files.app"
    assert made[0] == droplet
    assert {path.relative_to(contents).as_posix() for path in made[1:]} == {
        "Info.plist", "MacOS/rvm-live", "Resources/rvm-live.icns",
    }  # fmt: skip
    told = plistlib.loads((contents / "Info.plist").read_bytes())
    assert told["CFBundleExecutable"] == "rvm-live" and told["NSCameraUsageDescription"]
    done = subprocess.run([contents / "MacOS" / "rvm-live", "a b"], capture_output=True, encoding="utf-8", cwd="/")
    assert done.stdout == f"{home}\na b\n", done.stderr
    icon = (contents / "Resources" / "rvm-live.icns").read_bytes()
    assert icon[:4] == b"icns" and struct.unpack(">I", icon[4:8])[0] == len(icon)
    place, sides = 8, []
    while place < len(icon):
        size = struct.unpack(">I", icon[place + 4 : place + 8])[0]
        picture = cv2.imdecode(np.frombuffer(icon[place + 8 : place + size], np.uint8), cv2.IMREAD_UNCHANGED)
        sides.append(picture.shape)
        place += size
    assert sides == [(side, side, 4) for side in (32, 64, 128, 256, 512)]
    assert desktop.install() == made  # once more: it replaces itself
    assert len(desktop.remove()) == 5
    assert files_in(home) - {"told"} == before
    assert not any((home / "Applications").iterdir())


def by_applescript(script: str, dropped: list[str]) -> list[str]:
    """The shell command of a script's ``on open``, as AppleScript builds it; its ``quoted form of`` quotes as a shell
    does."""
    (literal,) = re.findall(r'^\t\tdo shell script "((?:[^"\\]|\\.)*)" & theFiles$', script, re.MULTILINE)
    text = re.sub(r"\\(.)", lambda found: {"n": "\n", "t": "\t", "r": "\r"}.get(found[1], found[1]), literal)
    quoted = ("'" + path.replace("'", "'\\''") + "'" for path in dropped)
    return ["/bin/sh", "-c", text + "".join(f" {each}" for each in quoted)]


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_is_dropped_on_macos_reaches_the_program_as_it_is(
    folder: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_macos(home, monkeypatch)
    program = home / folder / "rvm-live"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\npwd\nprintf '%s\\0' \"$@\"\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program.with_name("python")))
    app = desktop.install()[0]
    script = (app / "Contents" / "Resources" / "Scripts" / "main.scpt").read_text(encoding="utf-8")
    told = (home / "told").read_text().splitlines()
    assert told[0] == "-o" and Path(told[1]).name == app.name and Path(told[1]).parent.parent == app.parent
    dropped = [
        "/a b/c.mp4",
        "/it's.mov",
        '/say "hi".mov',
        "/-o",
        "-rf",
        "/m\u00fcller \u4e2d.mp4",
        "/$HOME`x`;|&.png",
        "/a\nb",
    ]
    done = subprocess.run(by_applescript(script, dropped), capture_output=True, encoding="utf-8", cwd="/")
    where, _, rest = done.stdout.partition("\n")
    assert (where, done.stderr) == (str(home), "")
    assert rest.split("\0")[:-1] == ["desktop", "--open", "--", *dropped]
    (opened,) = re.findall(r'^\tdo shell script "open " & quoted form of "(.*)"$', script, re.MULTILINE)
    assert opened == str(home / "Applications" / "rvm-live.app"), "alone it is the camera"
    assert script.splitlines()[0] == "on run" and "on open theItems" in script


@pytest.mark.parametrize(
    ("compiler", "words"),
    [
        (None, "osacompile, which is part of macOS, is not there"),
        ("#!/bin/sh\necho 'script:3: syntax\nerror' >&2; exit 1\n", "made no application: script:3: syntax error"),
        ("#!/bin/sh\nexit 0\n", "osacompile made no application: exit code 0"),
    ],
)
def test_on_macos_without_a_compiler_that_works_nothing_is_left(
    home: Path, monkeypatch: pytest.MonkeyPatch, compiler: str | None, words: str
) -> None:
    on_macos(home, monkeypatch, compiler)
    done = call("desktop", "--install")
    assert done.code == 2 and words in done.complaint and len(done.err.strip().splitlines()) == 1
    assert files_in(home) == set()
    (home.with_name("bin") / "osacompile").write_text(OSACOMPILE)
    (home.with_name("bin") / "osacompile").chmod(0o755)
    made = desktop.install()
    (home.with_name("bin") / "osacompile").write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(UnavailableError, match="exit code 3"):
        desktop.install()
    assert all(path.exists() for path in made), "what was there stays"


def test_on_macos_notifications_are_its_own(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_macos(home, monkeypatch)
    assert not desktop.notify("rvm-live has finished", "a.mp4")
    program = home.with_name("bin") / "osascript"
    program.write_text('#!/bin/sh\nprintf \'%s\\n\' "$@" > "$HOME/said"\n')
    program.chmod(0o755)
    assert desktop.notify("rvm-live has finished", '-a & "b".mp4: done')
    said = (home / "said").read_text().splitlines()
    assert said[-2:] == ["rvm-live has finished", '-a & "b".mp4: done']
    assert said[1] == "on run told" and "display notification" in said[3]


def on_windows(home: Path, monkeypatch: pytest.MonkeyPatch, code: int = 0) -> list[dict[str, str]]:
    """Windows with a PowerShell that makes the link, or fails; records its arguments."""
    told: list[dict[str, str]] = []

    def run(command: list[str], *, env: dict[str, str], **_: Any) -> subprocess.CompletedProcess[str]:
        assert command[0] == "powershell"
        told.append({name: value for name, value in env.items() if name.startswith("RVM_") and name in command[-1]})
        link = Path(env["RVM_LINK"])
        if code == 0:
            link.parent.mkdir(parents=True, exist_ok=True)
            link.touch()
        return subprocess.CompletedProcess(command, code, "", "Access\n is denied")

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setenv("APPDATA", str(home / "Roaming"))
    return told


def test_on_windows_it_is_a_link_in_the_start_menu(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = on_windows(home, monkeypatch)
    icon, link = desktop.install()
    assert link == home / "Roaming/Microsoft/Windows/Start Menu/Programs/rvm-live.lnk"
    assert told == [
        {
            "RVM_LINK": str(link),
            "RVM_TARGET": sys.executable,
            "RVM_ARGUMENTS": "-m rvm_live desktop --open",
            "RVM_ICON": str(icon),
        }
    ]
    data = icon.read_bytes()
    reserved, kind, count = struct.unpack("<HHH", data[:6])
    assert (reserved, kind, count) == (0, 1, 4)
    for entry, side in zip(range(6, 6 + 16 * count, 16), (16, 32, 48, 256), strict=True):
        width, height, *_, size, place = struct.unpack("<BBBBHHII", data[entry : entry + 16])
        assert (width, height) == (side % 256, side % 256)
        assert cv2.imdecode(np.frombuffer(data[place : place + size], np.uint8), -1).shape == (side, side, 4)
    assert desktop.remove() == [icon, link]
    assert files_in(home) == set()


def test_on_windows_a_link_that_is_not_made_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_windows(home, monkeypatch, code=1)
    with pytest.raises(UnavailableError, match=r"Windows did not make the link .*: Access is denied"):
        desktop.install()
    assert files_in(home) == set()

    def missing(*_: Any, **__: Any) -> None:
        raise FileNotFoundError(2, "No such file", "powershell")

    monkeypatch.setattr(subprocess, "run", missing)
    with pytest.raises(UnavailableError, match="PowerShell, which makes the link, does not run"):
        desktop.install()


def test_what_cannot_be_removed_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desktop.install()

    def refused(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "unlink", refused)
    with pytest.raises(SinkError, match="Permission denied"):
        desktop.remove()
