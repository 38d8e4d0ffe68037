"""The command line: parse, call, print, exit code. Nothing heavy is imported before a command runs.

Exit codes: 0 done, 1 a bug or a probe that found nothing, 2 bad input or a failure that was understood,
129, 130 and 143 ended by SIGHUP, SIGINT and SIGTERM.

May import apps, backgrounds, compositing, core, engines, finishing, media, microphones, network, pipeline, sinks,
sources, system, weights.

>>> from rvm_live.cli import main
>>> main(["demo", "--headless", "--duration", "5"])  # doctest: +SKIP
"""

from __future__ import annotations

import atexit
import io
import logging
import os
import platform
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

import click
import cloup
from click.core import ParameterSource
from click.shell_completion import CompletionItem
from cloup.formatting import HelpSection, ensure_is_cloup_formatter

from rvm_live import __version__
from rvm_live.cli.layers import CONTROL_OF, Layers, choose, load, name_in_environment
from rvm_live.cli.live import live_options, run_live
from rvm_live.cli.params import check_environment, check_words, one_line
from rvm_live.cli.words import looks_like_a_command, said_in_full, settings_first, with_opposites
from rvm_live.core.errors import RvmLiveError, SettingsError, SourceUnavailableError
from rvm_live.core.registry import look_in_own_folder
from rvm_live.sources.camera.opencv_logging import set_variables
from rvm_live.system import last_log
from rvm_live.system.folders import stand_in_for_home

__all__ = ["main"]

_COMMANDS = {
    "batch": ("rvm_live.cli.batch:batch", "Cut people out of files and folders, with their sound."),
    "calibrate": (
        "rvm_live.cli.calibrate:calibrate",
        "Prepare --precision int8 with pictures from your camera or clip.",
    ),
    "cameras": ("rvm_live.cli.cameras:cameras", "List the cameras and microphones of this machine."),
    "check": ("rvm_live.cli.check:check", "Measure the quality of the cut-out on your own footage."),
    "completion": (
        "rvm_live.cli.completion:completion",
        "Set up the Tab key to complete commands, options and values.",
    ),
    "config": ("rvm_live.cli.config:config", "Show, save and edit your settings."),
    "ctl": ("rvm_live.cli.ctl:ctl", "Control a running rvm-live: ctl background beach."),
    "desktop": ("rvm_live.cli.desktop:desktop", "Add rvm-live, with an icon, to your desktop's programs."),
    "doctor": ("rvm_live.cli.doctor:doctor", "Check what works on this machine and how to fix the rest."),
    "engines": ("rvm_live.cli.engines:engines", "List the engines, their licences and what runs here."),
    "export": ("rvm_live.cli.export:export", "Write the network to an ONNX, OpenVINO or TorchScript file."),
    "help": ("rvm_live.cli.cameras:help_", "Show this help, or the help of a command."),
    "hwtest": ("rvm_live.cli.hwtest:hwtest", "Test the camera and this machine."),
    "learn": ("rvm_live.cli.learn:learn", "Train lite, the embedded engine, on you and your camera."),
    "monitor": ("rvm_live.cli.monitor:monitor", "Record GPU and CPU load over time, also while a command runs."),
    "room": ("rvm_live.cli.room:room", "Keep a chair or a microphone in the picture (--chair keep)."),
    "soak": (
        "rvm_live.cli.soak:soak",
        "Run live video for hours, with faults, to find leaks and slowdowns.",
    ),
    "stress": ("rvm_live.cli.stress:stress", "Load the GPU or CPU fully and measure what it can do."),
    "tidy": ("rvm_live.cli.tidy:tidy", "Give the files of a folder short, safe, unique names."),
    "weights": ("rvm_live.cli.weights:weights", "List, download, verify and locate RVM's weights."),
}


_LABORATORY = ("calibrate", "export", "hwtest", "monitor", "soak", "stress", "tidy")
_QUICK: dict[str, list[tuple[str, str | Callable[[int], str]]]] = {
    "Start": [
        ("rvm-live [FILE|CAMERA|URL]", "show in a window; default: the first camera"),
        ("rvm-live batch FILES -o FOLDER", "cut people out of files, with their sound"),
    ],
    "Picture": [
        ("-b, --background WHAT", "red, #00ff88, transparent, a file or folder"),
        ("--blur[=1-100]", "blur the room"),
    ],
    "Camera": [
        ("--size 1280x720, --fps 30", "ask the camera for these"),
        ("--mirror / --no-mirror", "show it in the window as in a mirror"),
    ],
    "Recording": [
        ("-o, --record FILE", ".mp4, .mov, .webm or folder/; --audio: sound"),
        ("--duration SECONDS, --headless", "stop after this time; open no window"),
    ],
    "Quality": [
        ("--engine lite|rvm|...", "the engine; default: the best one here"),
    ],
}
"""The first 24 lines of the help."""
_WITHOUT_SETTINGS = frozenset({"cameras", "completion", "config", "desktop", "doctor", "engines", "help", "weights"})
"""Commands without options for a settings file."""
_MENDING = (("config", "edit"), ("config", "path"))
_RUNTIMES = ("torch", "openvino", "onnxruntime")
_COMPLETE = "_RVM_LIVE_COMPLETE"
_CONTEXT = {"max_content_width": 110, "help_option_names": ["-h", "--help"]}
_WHOLE = "rvm_live.cli.whole"
"""Key in click's ``meta``: the whole help is wanted."""
_WORD = "rvm_live.cli.word"
"""Key in click's ``meta``: the word that was taken for the source."""


class _LazyGroup(cloup.Group):
    """Knows its commands' names and summaries, and imports one only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        name_in_environment(command, cmd_name)
        return command

    def resolve_command_name(self, ctx: click.Context, name: str) -> str | None:
        return name if name in _COMMANDS else None

    def format_params(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help that most people need; with ``--help-all`` every option, in its group."""
        whole = ctx.meta.get(_WHOLE, False)
        sections = [HelpSection(title, rows) for title, rows in ({} if whole else _QUICK).items()]
        if whole:
            other = cloup.OptionGroup("Help")
            other.options = self.get_ungrouped_options(ctx)
            groups = ((group.title, group.get_help_records(ctx)) for group in (*self.option_groups, other))
            sections += [HelpSection(title, rows) for title, rows in groups]
        written = ensure_is_cloup_formatter(formatter)
        written.write_many_sections(sections, aligned=True)
        if not whole:
            written.write("\nMore: rvm-live --help-all. For a command: rvm-live help COMMAND\n")

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        told: dict[str, list[tuple[str, str | Callable[[int], str]]]] = {"Commands": [], "Laboratory": []}
        for name, (_, summary) in sorted(_COMMANDS.items()):
            told["Laboratory" if name in _LABORATORY else "Commands"].append((name, summary))
        sections = [HelpSection(title, rows) for title, rows in told.items()]
        ensure_is_cloup_formatter(formatter).write_many_sections(sections, aligned=True)

    def make_parser(self, ctx: click.Context) -> Any:
        return with_opposites(super().make_parser(ctx), self)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        args = said_in_full(settings_first(args), _COMMANDS)
        if ctx.resilient_parsing:  # completion by the tab key: the line is not complete yet
            with suppress(click.UsageError):
                args = self._with_source(ctx, args)
        else:
            args = self._with_source(ctx, args)
            self._settle(ctx, args)
        try:
            return super().parse_args(ctx, args)
        except click.BadParameter as error:
            source = None if error.param is None else ctx.get_parameter_source(error.param.name or "")
            if source is ParameterSource.ENVIRONMENT and error.param is not None:
                told = f"{error.message} (from the environment variable {error.param.envvar})"
                raise click.BadParameter(told, ctx, error.param) from error
            raise

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete options or commands; files if none of them begins so."""
        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        told = [(name, summary) for name, (_, summary) in sorted(_COMMANDS.items()) if name.startswith(incomplete)]
        return [CompletionItem(name, help=help) for name, help in told] or [CompletionItem(incomplete, type="file")]

    def _settle(self, ctx: click.Context, args: list[str]) -> None:
        """Read the user's settings file, if the command depends on it."""
        given, words, _ = self.make_parser(ctx).parse_args(list(args))
        command = words[0] if words else ""
        asking = self.get_help_option(ctx)
        if {"help_all", "version", asking and asking.name} & set(given) or tuple(words[:2]) in _MENDING:
            return
        if command in _WITHOUT_SETTINGS - {"config"}:
            return
        if command and set(ctx.help_option_names) & set(words[1:]):
            return
        layers = load(ctx, *choose(ctx, given), self.configured(ctx))
        said = {
            option.name for option in self.params if option.name in given or option.value_from_envvar(ctx) is not None
        }
        layers.without("", {name for name in said if name})
        layers.keep(ctx)

    def configured(self, ctx: click.Context) -> Callable[[str], click.Command | None]:
        """The commands whose options may be in a settings file."""
        return lambda name: None if name in _WITHOUT_SETTINGS else self.get_command(ctx, name)

    def _with_source(self, ctx: click.Context, args: list[str]) -> list[str]:
        """A word that is not a command names the source; options may come before and after it."""
        while True:
            given, words, _ = self.make_parser(ctx).parse_args(list(args))
            if not words or (words[0] in _COMMANDS and _WORD not in ctx.meta):
                return args
            word, options = words[0], args[: len(args) - len(words)]
            if word in _COMMANDS:
                raise click.UsageError(f"give a source ({ctx.meta[_WORD]!r}) or the command {word!r}, not both")
            if (command := looks_like_a_command(word, _COMMANDS)) is not None:
                raise click.UsageError(f"unknown command {word!r}: did you mean {command!r}?")
            if "source" in given:
                raise click.UsageError(f"only one source can be used, not both {given['source']!r} and {word!r}")
            ctx.meta[_WORD] = word
            ended = options[-1:] == ["--"]  # all words after it are arguments, even if they look like options
            args = [*options[: len(options) - ended], f"--source={word}", *["--"] * ended, *words[1:]]


def _help_all(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        ctx.meta[_WHOLE] = True
        click.echo(ctx.get_help())
        ctx.exit()


@click.group(
    cls=_LazyGroup,
    subcommand_metavar="[FILE|CAMERA|URL|COMMAND]",
    invoke_without_command=True,
    context_settings=_CONTEXT,
)
@click.version_option(__version__, "-V", "--version", prog_name="rvm-live")
@click.option(
    "--help-all", is_flag=True, is_eager=True, expose_value=False, callback=_help_all, help="Show all options."
)
@live_options
@click.pass_context
def cli(ctx: click.Context, /, **options: object) -> None:
    """Cut a person out of video and put another background behind them."""
    _set_up_logging(str(options["log_level"]), debug=bool(options["debug"]))
    if ctx.invoked_subcommand is not None:
        return
    _keep_log()
    try:
        sys.exit(run_live({**options, "said": _said(ctx)}, Layers.of(ctx)))
    except SettingsError as error:
        raise SettingsError(f"{error}{Layers.of(ctx).blame(ctx, str(error))}") from error
    except SourceUnavailableError as error:
        word = str(ctx.meta.get(_WORD, ""))
        if not word.replace("-", "").isalpha():
            raise
        raise SourceUnavailableError(f"{error}; it is not a command either (rvm-live --help lists them)") from error


name_in_environment(cli)


def _said(ctx: click.Context) -> list[str]:
    """The controls that the command line or the environment sets."""
    sources = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)
    return [CONTROL_OF.get(name, name) for name in ctx.params if ctx.get_parameter_source(name) in sources]


class _OneLine(logging.Formatter):
    """Formats a log record as one line, whatever characters file names contain."""

    def format(self, record: logging.LogRecord) -> str:
        return one_line(super().format(record))


def _set_up_logging(level: str, *, debug: bool) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(logging.BASIC_FORMAT) if debug else _OneLine("%(levelname)s %(message)s"))
    log = logging.getLogger("rvm_live")
    log.handlers[:] = [handler]
    log.propagate = False
    log.setLevel(logging.DEBUG if debug else level.upper())


def _keep_log() -> None:
    """Keep a log of this run for `rvm-live doctor --bundle`, with a little more than the terminal shows."""
    log = logging.getLogger("rvm_live")
    for handler in log.handlers:
        handler.setLevel(log.level)
    log.setLevel(min(log.level, logging.INFO))
    log.addHandler(last_log.LastLog())
    last_log.note(f"rvm-live {__version__}, Python {platform.python_version()}, {platform.platform()}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit. An expected error is one line on standard error and exit code 2.

    Args:
        arguments: words of the command line; None: those of the process, which then ends even if a thread hangs in a
            driver.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    _show_every_name()
    stand_in_for_home()
    set_variables()
    try:
        try:
            _at_ctrl_c(signal.default_int_handler, arguments)
            check_words(given)
            if _COMPLETE in os.environ:
                import_module("rvm_live.cli.completion")  # importing it adds PowerShell to click's shells
            check_environment(os.environ)
            if arguments is None:
                look_in_own_folder()
            code = cli.main(args=given, prog_name="rvm-live", standalone_mode=False)
        finally:
            _at_ctrl_c(signal.SIG_DFL, arguments)  # only one line is left to print, if any
    except click.exceptions.Exit as leaving:
        code = leaving.exit_code
    except SystemExit as leaving:
        code = leaving.code
    except click.ClickException as error:
        code = _fail(error.format_message(), debug=debug)
    except RvmLiveError as error:
        code = _fail(str(error), debug=debug)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        # Otherwise, if Ctrl-C has stopped code run by exec, CPython ends by the signal, whatever the exit code.
        exec("")
        code = 130
    except BrokenPipeError:
        # The reader of our output has gone: keep the interpreter from complaining about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except Exception as error:
        text = " ".join(str(error).split()) or "no message"
        _fail(f"unexpected {type(error).__name__}: {text} (run again with --debug to see the traceback)", debug=debug)
        code = 1
    code = code if isinstance(code, int) else 0
    if arguments is None:
        _leave(code)
    sys.exit(code)


def _at_ctrl_c(handler: Any, arguments: Sequence[str] | None) -> None:
    """What Ctrl-C does from now on, where the process is our own and has not been told to ignore it."""
    if arguments is None and signal.getsignal(signal.SIGINT) in (signal.SIG_DFL, signal.default_int_handler):
        signal.signal(signal.SIGINT, handler)


def _leave(code: int) -> None:
    """End the process here where the interpreter may not be taken down: a stage of the pipeline hangs, for which it
    would wait for ever; or networks have run, whose runtimes' threads and destructors now and then crash on the way."""
    hangs = any(thread.name.startswith("rvm-") and not thread.daemon for thread in threading.enumerate())
    if not hangs and not any(name in sys.modules for name in _RUNTIMES):
        return
    if not hangs:
        threading._shutdown()  # type: ignore[attr-defined]  # what the interpreter does first: it waits for threads
        atexit._run_exitfuncs()
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    with suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit(code)


def _show_every_name() -> None:
    """Write characters that cannot be encoded as escapes: file names need not be valid text."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _fail(message: str, *, debug: bool) -> int:
    last_log.note(f"ended by: {one_line(message)}")
    if debug:
        traceback.print_exc()
    click.echo(f"rvm-live: error: {one_line(message)}", err=True)
    return 2
