"""Fixtures that keep tests apart from each other and from the user, and the data that tests share."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from rvm_live.cli import cli
from tests.support.clock import FakeClock

if TYPE_CHECKING:
    from tests.support.display import Display

_CLASS = re.compile(r"tests\.[a-z_.]+:[A-Za-z]+")
_CURRENT = "PYTEST_CURRENT_TEST"
_SIGNALS = [signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGCHLD") if hasattr(signal, name)]
_THREADS = {"cv2": ("getNumThreads", "setNumThreads"), "torch": ("get_num_threads", "set_num_threads")}
ROOT = Path(__file__).resolve().parent.parent

# With another test process beside, more threads than cores would wait for each other and spin.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# A network's threads spin, too, while they wait for each other; on a busy machine that costs several times their work.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Kernels take seconds to compile, again for each cache; tests of the kernels get them from tests/support/fast.py.
os.environ.setdefault("RVM_LIVE_FAST", "0")


def _hear_signals() -> None:
    """Stop ignoring Ctrl-C. A shell makes background jobs ignore it, and every program that a test starts would inherit
    that: those tests would wait for an end that never comes."""
    for number in _SIGNALS:
        if number != getattr(signal, "SIGCHLD", None) and signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL)


_hear_signals()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep ``n`` cases of a test marked ``few(n)``, spread evenly, for `make test`; the other cases become slow.

    Tests that are known to take long get more time before they count as hung, and so do tests that may have to compile
    kernels.
    """
    cases: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("few"):
            cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for several in cases.values():
        (count,) = several[0].get_closest_marker("few").args  # type: ignore[union-attr]
        kept = {round(number * (len(several) - 1) / max(count - 1, 1)) for number in range(count)}
        for number, item in enumerate(several):
            if number not in kept:
                item.add_marker("slow")
    for item in items:
        compiles = isinstance(item, pytest.Function) and vars(item.module).keys() & {"fast", "FastCpu"}
        if compiles or item.get_closest_marker("slow") or item.get_closest_marker("stress"):
            item.add_marker(pytest.mark.timeout(600), append=True)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests marked ``gpu`` where there is no GPU."""
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            missing("no CUDA device", required="RVM_REQUIRE_CUDA")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test printed may not be valid text, like names of files; but reports sent between processes must be."""
    report = yield
    report.sections = [(name, _text(content)) for name, content in report.sections]
    if report.failed and _text(told := str(report.longrepr)) != told:
        report.longrepr = _text(told)
    return report


class _Failures:
    """Reports a failure at once: if the run then hangs, the failure is known all the same."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            words = report.longreprtext.splitlines()[-12:]
            self._terminal.write("\n" + "\n".join([f"{report.nodeid} ({report.when})", *words]) + "\n", red=True)


@pytest.hookimpl(trylast=True)  # after the reporter
def pytest_configure(config: pytest.Config) -> None:
    import hypothesis  # not needed in programs that tests start

    # How fast this machine is at the moment is no property of the program.
    slow = [hypothesis.HealthCheck.too_slow]
    hypothesis.settings.register_profile("suite", deadline=None, suppress_health_check=slow)
    hypothesis.settings.load_profile("suite")
    terminal = config.pluginmanager.getplugin("terminalreporter")
    several = config.getoption("numprocesses", None) and not hasattr(config, "workerinput")
    if os.environ.get("CI") and terminal is not None and several:
        config.pluginmanager.register(_Failures(terminal))


def _text(content: str) -> str:
    return content.encode("utf-8", "backslashreplace").decode()


def missing(reason: str, *, required: str) -> None:
    """Skip the test, or fail it where the environment says that the thing must be there."""
    if os.environ.get(required) == "1":
        pytest.fail(f"{reason} ({required}=1)")
    pytest.skip(reason)


def _options_in_environment() -> set[str]:
    """Environment variables that are set and stand for an option of the program."""
    own = {str(option.envvar) for option in cli.params if isinstance(option, click.Option)} - {"RVM_LIVE_NO_CONFIG"}
    commands = tuple(f"RVM_LIVE_{name.upper()}_" for name in cli.list_commands(click.Context(cli)) if name != "weights")
    return {name for name in os.environ if name in own or name.startswith(commands)}


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder with real weights, reference outputs and clips, or skip."""
    folder = Path(os.environ.get("RVM_LIVE_TEST_DATA", ROOT.parent / "shared"))
    if not (folder / "weights").is_dir():
        missing(
            f"no test data in {folder}: set RVM_LIVE_TEST_DATA to a folder with weights/, reference/ and clips/",
            required="RVM_LIVE_REQUIRE_DATA",
        )
    return folder


@pytest.fixture(scope="session")
def weights(data: Path) -> Path:
    """A real RVM checkpoint."""
    return data / "weights" / "rvm_mobilenetv3_fgf.pth"


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's own cache of weights and compiled networks out of the tests, and the tests out of that cache."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("RVM_LIVE_CACHE", str(folder))
        # The notice that these stand-ins are not part of the program counts as given already, or every test would show
        # it.
        stand_ins = sorted({name for path in ROOT.glob("tests/**/*.py") for name in _CLASS.findall(path.read_text())})
        (folder / "answers.json").write_text(json.dumps({"own_code": stand_ins}))
        patch.delenv("RVM_LIVE_WEIGHTS", raising=False)
        patch.setenv("RVM_LIVE_NO_CONFIG", "1")  # the settings of whoever runs the tests must not matter
        for name in _options_in_environment():
            patch.delenv(name)
        # The choice of auto depends on how busy the machine is; tests of auto undo this.
        patch.setattr("rvm_live.engines.select.rvm_ms", lambda: None)
        patch.setattr("rvm_live.pipeline.stages.Pressure", lambda: lambda: False)
        patch.setenv("RVM_LIVE_FALLBACK_LITE", "0")
        # A live run opens all backgrounds that it may switch to, which in most tests would take longer than all the
        # rest.
        patch.setattr("rvm_live.backgrounds.cycle._READY_COUNT", 1)
        yield


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(autouse=True)
def process_as_before() -> Iterator[None]:
    """Restore what the command line changes in this process, as if the process were its own.

    Otherwise a test's result would depend on the tests before it: log records would not reach ``caplog``, and OpenCV
    would have one thread less.
    """
    log = logging.getLogger("rvm_live")
    logged = log.handlers[:], log.propagate, log.level
    environment, folder = dict(os.environ), os.getcwd()
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    threads = {name: getattr(sys.modules[name], get)() for name, (get, _) in _THREADS.items() if name in sys.modules}
    yield
    log.handlers[:], log.propagate = logged[:2]
    log.setLevel(logged[2])
    if Path.cwd() != Path(folder):
        os.chdir(folder)
    environment[_CURRENT] = os.environ.get(_CURRENT, "")
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    os.environ.update({name: value for name, value in environment.items() if os.environ.get(name) != value})
    for name, count in threads.items():
        getattr(sys.modules[name], _THREADS[name][1])(count)
    if hasattr(os, "sched_setscheduler") and os.sched_getscheduler(0) != os.SCHED_OTHER:
        # An AV1 encoder that a test used directly sets real-time priority, which every later program would inherit.
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    changed = [number.name for number, handler in handlers.items() if signal.getsignal(number) != handler]
    assert not changed, f"handlers of signals left changed: {changed}"


@pytest.fixture(autouse=True)
def no_leaked_threads() -> Iterator[None]:
    """Fail a test after which one of the program's own threads is still running."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 2
    while True:
        leaked = [t for t in threading.enumerate() if t not in before and t.name.startswith("rvm-")]
        if not leaked or time.monotonic() > deadline:
            break
        time.sleep(0.01)
    assert not leaked, f"threads left running: {[t.name for t in leaked]}"


@pytest.fixture(autouse=True)
def no_error_logs(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test during which the program logged an unexpected ERROR (marker ``expects_errors`` allows it)."""
    yield
    if request.node.get_closest_marker("expects_errors"):
        return
    errors = [r.getMessage() for r in caplog.get_records("call") if r.levelno >= logging.ERROR]
    assert not errors, f"unexpected errors in the log: {errors}"


@pytest.fixture(scope="module")
def display() -> Iterator[Display]:
    """An X display, one for each test module."""
    from tests.support.display import open_display

    with open_display() as opened:
        yield opened
