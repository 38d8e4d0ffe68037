"""``rvm-live completion``: the tab key knows commands, options and their values in bash, zsh, fish and PowerShell."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem, ShellComplete, add_completion_class, get_completion_class

from rvm_live.cli.params import printable
from rvm_live.cli.settings_file import write
from rvm_live.core.errors import SinkError
from rvm_live.system.folders import settings_folder

__all__ = ["VARIABLE", "completion"]

VARIABLE = "_RVM_LIVE_COMPLETE"
"""Environment variable by which shells ask click for completions."""
_PROGRAM = "rvm-live"
_MARK = "# rvm-live completion"
_SHELLS = ("bash", "zsh", "fish", "powershell")
_SLOW_S = 20.0


class _PowerShell(ShellComplete):
    """Completion for PowerShell, like click's own for the other shells."""

    name = "powershell"
    source_template = r"""
Register-ArgumentCompleter -Native -CommandName %(prog_name)s -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $words = @($commandAst.CommandElements | ForEach-Object { $_.Extent.Text.Trim('"', "'") })
    if ($wordToComplete -and $words.Count -gt 1) { $words = $words[0..($words.Count - 2)] }
    $env:COMP_WORDS = $words -join "`n"
    $env:COMP_WORD = $wordToComplete.Trim('"', "'")
    $env:%(complete_var)s = 'powershell_complete'
    try {
        & %(prog_name)s | ForEach-Object {
            $kind, $value, $help = $_ -split "`t", 3
            if ($kind -eq 'plain') {
                $text = if ($value -match '[\s;,&|()]') { "'" + $value.Replace("'", "''") + "'" } else { $value }
                $told = if ($help) { $help } else { $value }
                [System.Management.Automation.CompletionResult]::new($text, $value, 'ParameterValue', $told)
            }
        }
    } finally { Remove-Item Env:%(complete_var)s, Env:COMP_WORDS, Env:COMP_WORD -ErrorAction SilentlyContinue }
}
"""

    def get_completion_args(self) -> tuple[list[str], str]:
        return os.environ["COMP_WORDS"].split("\n")[1:], os.environ.get("COMP_WORD", "")

    def format_completion(self, item: CompletionItem[Any]) -> str:
        return "\t".join([item.type, str(item.value), " ".join((item.help or "").split())])


add_completion_class(_PowerShell)


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS), required=False)
@click.option("--print", "printed", is_flag=True, help="Print the script; install nothing.")
@click.option("--remove", is_flag=True, help="Remove it.")
@click.pass_context
def completion(ctx: click.Context, shell: str | None, printed: bool, remove: bool) -> None:
    """Set up the Tab key to complete commands, options, cameras, profiles and files. SHELL: by default the one you use.

    It writes a file with the script and, except for fish, adds a line to the file that your shell reads at its start.
    """
    shell = shell or _own_shell()
    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(ctx.find_root().command, {}, _PROGRAM, VARIABLE).source()
    if printed:
        click.echo(script)
        return
    file, start, line = _places(shell)
    if remove:
        _without(start)
        with suppress(FileNotFoundError):
            file.unlink()
        click.echo(f"{_PROGRAM} is no longer completed in {shell}")
        return
    write(file, script)
    told = [str(file)]
    if start is not None:
        before = _without(start)
        write(start, f"{before}{line}  {_MARK}\n")
        told.append(str(start))
    click.echo(printable("\n".join(told)))
    click.echo(f"open a new {shell}; `{_PROGRAM} completion {shell} --remove` removes it")


def _own_shell() -> str:
    shell = Path(os.environ.get("SHELL", "")).name
    if shell in _SHELLS:
        return shell
    if sys.platform == "win32" or shell == "pwsh":
        return "powershell"
    raise click.UsageError(f"cannot tell which shell you use: write `{_PROGRAM} completion {'|'.join(_SHELLS)}`")


def _places(shell: str) -> tuple[Path, Path | None, str]:
    """The file of the script, the one that the shell reads at its start, and the line for it.

    Raises:
        SinkError: there is no home folder, or PowerShell does not tell where its profile is.
    """
    home = Path(os.path.expanduser("~"))
    if not home.is_absolute():
        raise SinkError(f"there is no home folder to write it to: use `{_PROGRAM} completion {shell} --print`")
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    if shell == "fish":
        folder = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "fish" / "completions"
        return folder / f"{_PROGRAM}.fish", None, ""
    if shell == "bash":
        file = data / "bash-completion" / "completions" / _PROGRAM
        return file, home / ".bashrc", f"[ -r '{file}' ] && . '{file}'"
    if shell == "zsh":
        file = data / _PROGRAM / f"_{_PROGRAM}"
        ready = "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }"
        start = Path(os.environ.get("ZDOTDIR") or home) / ".zshrc"
        return file, start, f"[ -r '{file}' ] && {{ {ready}; . '{file}'; }}"
    file = settings_folder() / "completion.ps1"
    return file, _powershell_profile(), f"if (Test-Path '{file}') {{ . '{file}' }}"


def _powershell_profile() -> Path:
    program = shutil.which("pwsh") or shutil.which("powershell")
    try:
        if program is not None:
            command = [program, "-NoProfile", "-NonInteractive", "-Command", "$PROFILE.CurrentUserAllHosts"]
            done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_SLOW_S)
            if done.stdout.strip():
                return Path(done.stdout.strip())
    except (OSError, subprocess.SubprocessError):
        pass
    raise SinkError(
        f"PowerShell does not tell where its profile is: copy what `{_PROGRAM} completion powershell --print` "
        "prints into the file $PROFILE"
    )


def _without(start: Path | None) -> str:
    """Remove our line from a shell's file; returns the rest of its text.

    Raises:
        SinkError: it cannot be read or written.
    """
    if start is None:
        return ""
    try:
        text = start.read_text("utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise SinkError(f"cannot read {start}: {getattr(error, 'strerror', None) or 'it is not UTF-8'}") from error
    kept = "".join(line for line in text.splitlines(keepends=True) if not line.rstrip().endswith(_MARK))
    kept = kept if not kept or kept.endswith("\n") else kept + "\n"
    if kept != text:
        write(start, kept)
    return kept
