"""Tab completion: what it offers, and how it is installed and removed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rvm_live.cli import cli
from rvm_live.cli.completion import VARIABLE, _PowerShell
from rvm_live.sources.camera.camera import Camera
from tests.conftest import ROOT, missing
from tests.support.program import call


def offered(monkeypatch: pytest.MonkeyPatch, *words: str) -> list[str]:
    """The completions for the last word."""
    monkeypatch.setenv("COMP_WORDS", "\n".join(["rvm-live", *words[:-1]]))
    monkeypatch.setenv("COMP_WORD", words[-1])
    told = _PowerShell(cli, {}, "rvm-live", VARIABLE).complete()
    return ["\t".join(line.split("\t")[:2]) for line in told.splitlines()]


@pytest.mark.parametrize(
    ("words", "some"),
    [
        (["ba"], ["plain\tbatch"]),
        ([""], ["plain\tbatch", "plain\tdoctor", "plain\tweights"]),
        (["clip"], ["file\tclip"]),
        (["--prof"], ["plain\t--profile"]),
        (["--profile", "c"], ["plain\tcall"]),
        (["--profile", "de"], ["plain\tdesk"]),
        (["--engine", "o"], ["plain\tonnx", "plain\topenvino"]),
        (["--engine", "lite", "--display", ""], ["plain\tresult", "plain\tmatte"]),
        (["-b", "tr"], ["plain\ttransparent"]),
        (["-b", "my "], ["file\tmy "]),
        (["--source", "hd"], ["plain\tHD Webcam"]),
        (["--source", "nothing"], ["file\tnothing"]),
        (["batch", "x.mp4", "--quality", "h"], ["plain\thigh"]),
        (["weights", "p"], ["plain\tpull", "plain\tpath"]),
        (["config", "s"], ["plain\tshow", "plain\tsave"]),
        (["bat", "--"], ["plain\t--engine"]),  # words that would be an error are no obstacle
    ],
)
def test_what_is_offered(words: list[str], some: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path))
    (tmp_path / "rvm-live.toml").write_text("[profiles.desk]\nfps = 9\n")
    monkeypatch.setattr("rvm_live.sources.camera.camera._listed", lambda: [Camera(0, "HD Webcam")])
    found = offered(monkeypatch, *words)
    assert [each for each in some if each not in found] == [], found
    assert not [each for each in found if not each.partition("\t")[2].lower().startswith(words[-1].lower())]


def test_a_broken_settings_file_does_not_disturb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RVM_LIVE_NO_CONFIG")
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path))
    (tmp_path / "rvm-live.toml").write_text("fps ==\n")
    assert offered(monkeypatch, "--profile", "ca") == ["plain\tcall"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder for the test, with ``rvm-live`` among its programs."""
    folder = tmp_path / "my home"
    (folder / "bin").mkdir(parents=True)
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "ZDOTDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USERPROFILE", str(folder))
    program = folder / "bin" / "rvm-live"
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m rvm_live "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return folder


@pytest.mark.skipif(os.name != "posix", reason="bash")
def test_bash_completes_after_the_installation_and_not_after_the_removal(home: Path) -> None:
    if (bash := shutil.which("bash")) is None:
        missing("there is no bash", required="RVM_LIVE_REQUIRE_DISPLAY")
    (home / ".bashrc").write_text("# mine\nalias x=y")
    for _ in range(2):  # a second time changes nothing
        assert call("completion", "bash").code == 0
    text = (home / ".bashrc").read_text()
    assert text.startswith("# mine\nalias x=y\n") and text.count("# rvm-live completion") == 1
    ask = (
        f". '{home}/.bashrc'; complete -p rvm-live; COMP_WORDS=(rvm-live batch x --quality h); COMP_CWORD=4; "
        '_rvm_live_completion rvm-live; echo "got ${COMPREPLY[@]}"'
    )
    done = subprocess.run([str(bash), "--norc", "-c", ask], capture_output=True, encoding="utf-8", timeout=100)
    assert "_rvm_live_completion" in done.stdout and "got high\n" in done.stdout, done
    assert call("completion", "bash", "--remove").code == 0
    assert (home / ".bashrc").read_text() == "# mine\nalias x=y\n"
    assert not list(home.rglob("completions/*"))


@pytest.mark.parametrize(
    ("shell", "file", "start"),
    [
        ("zsh", ".local/share/rvm-live/_rvm-live", ".zshrc"),
        ("fish", ".config/fish/completions/rvm-live.fish", None),
    ],
)
def test_the_other_shells_files_lie_where_they_look(home: Path, shell: str, file: str, start: str | None) -> None:
    assert call("completion", shell).code == 0
    assert VARIABLE in (home / file).read_text()
    if start is not None:
        assert str(home / file) in (home / start).read_text()
    assert call("completion", shell, "--remove").code == 0
    assert not (home / file).exists() and (start is None or (home / start).read_text() == "")


def test_powershell_is_asked_for_its_profile(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path / "settings"))
    profile = home / "Documents" / "PowerShell" / "profile.ps1"
    pwsh = home / "bin" / "pwsh"
    pwsh.write_text(f"#!/bin/sh\necho '{profile}'\n")
    pwsh.chmod(0o755)
    if os.name == "posix":
        assert call("completion", "powershell").code == 0
        assert "completion.ps1" in profile.read_text()
    pwsh.unlink()
    monkeypatch.setenv("PATH", str(home / "bin"))
    assert "--print" in call("completion", "powershell").complaint
    assert "Register-ArgumentCompleter -Native -CommandName rvm-live" in call("completion", "powershell", "--print").out


def test_words_of_powershell_are_read() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMP_WORDS", "rvm-live\n-b\nmy beach.jpg")
        patch.setenv("COMP_WORD", "x")
        shell = _PowerShell(None, {}, "rvm-live", VARIABLE)  # type: ignore[arg-type]
        assert shell.get_completion_args() == (["-b", "my beach.jpg"], "x")


def test_what_cannot_be_done_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    assert "cannot tell which shell you use" in call("completion").complaint
    monkeypatch.setenv("SHELL", "/bin/bash")
    (home / ".bashrc").mkdir()
    assert "cannot read" in call("completion").complaint
    assert call("completion", "csh").code == 2
