"""Runs all checks, one after the other; an error in one becomes a finding."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence

from rvm_live import __version__
from rvm_live.apps.doctor import cameras, delay, effects, machine, outputs
from rvm_live.apps.doctor.finding import Delay, Finding, Report
from rvm_live.core.errors import words_of
from rvm_live.core.settings import LiveSettings

__all__ = ["examine"]


def examine(
    settings: LiveSettings | None = None,
    *,
    before: Sequence[Finding] = (),
    quick: bool = False,
    tell: Callable[[str], None] = lambda line: None,
) -> Report:
    """Examine this machine. No camera is opened, nothing is fetched, nothing leaves the machine.

    Args:
        settings: those of a live run; None: the program's own.
        before: what was found before, such as how the settings file is.
        quick: leave out what takes seconds: opening the engine, and measuring the delay.
        tell: is told what is being done.
    """
    settings = LiveSettings() if settings is None else settings
    parts: list[tuple[str, Callable[[], list[Finding]]]] = [
        ("this machine", machine.processor),
        ("the GPU", machine.graphics),
        ("weights", machine.checkpoints),
        ("what lite has learnt", machine.learned),
        *([] if quick else [("the engine", lambda: machine.engine(settings.engine))]),
        ("cameras", cameras.cameras),
        ("effects of the system", effects.effects),
        ("microphones", cameras.microphones),
        ("outputs", outputs.outputs),
    ]
    found = list(before)
    for what, look in parts:
        tell(f"looking at {what}")
        found += _looked(what, look)
    late: list[Delay | None] = [None]

    def measured() -> list[Finding]:
        late[0], finding = delay.measure(settings)
        return [finding]

    if not quick:
        tell(f"measuring the delay, {delay.SECONDS:.0f} s")
        found += _looked("delay", measured)
    system = f"{platform.system()} {platform.release()} {platform.machine()}, Python {platform.python_version()}"
    return Report(__version__, system, tuple(found), late[0])


def _looked(what: str, look: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return look()
    except Exception as error:  # drivers and system libraries may raise anything
        return [Finding(what, what, "bad", f"it could not be checked: {type(error).__name__}: {words_of(error)}")]
