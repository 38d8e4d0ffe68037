"""Questions and hints shown once: whether RVM's weights may be fetched, and whose code runs."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from rvm_live.system import atomic_write, folders

__all__ = ["NO_OPENVINO", "answer_path", "first_time", "remember", "remembered", "warn_of", "whose_code"]

NO_OPENVINO = "no OpenVINO"
"""A hint shown once: what would be faster with OpenVINO."""
_MOST_TOLD = 200
_log = logging.getLogger("rvm_live")

_unkept: dict[Path, dict[str, Any]] = {}
"""Answers that hold for this run only, because they cannot be stored."""


def answer_path() -> Path:
    """File of the answers: in ``RVM_LIVE_CACHE``, else in the platform's folder for settings."""
    return folders.settings_folder() / "answers.json"


def remembered() -> bool | None:
    """The stored answer; None if nobody was asked, or it cannot be read."""
    answer = _read().get("fetch_weights")
    return answer if isinstance(answer, bool) else None


def remember(answer: bool) -> None:
    """Store an answer permanently; only for this run, with a message, if it cannot be written."""
    _write({**_read(), "fetch_weights": answer})


def first_time(what: str, *, of: str = "own_code") -> bool:
    """Whether this is shown for the first time; from now on it is not.

    Args:
        what: the hint, such as whose code runs.
        of: the list that it belongs to. If ``own_code`` cannot be stored, this is reported, too.
    """
    answers = _read()
    told = answers.get(of)
    known = [each for each in told if isinstance(each, str)] if isinstance(told, list) else []
    if what in known:
        return False
    _write({**answers, of: [*known, what][-_MOST_TOLD:]}, quiet=of != "own_code")
    return True


def whose_code(what: str, identity: str) -> str:
    """The warning to show once before another author's code runs; empty if it has been shown.

    Args:
        what: such as ``the engine mymatte:MyEngine``.
        identity: of the code.
    """
    if not first_time(identity):
        return ""
    return (
        f"{what} is another author's program that runs with your rights: use it only if you trust its author (this "
        "is shown once)"
    )


def warn_of(what: str) -> None:
    """Log :func:`whose_code`."""
    if told := whose_code(what, what):
        _log.warning(told)


def _read() -> dict[str, Any]:
    path = answer_path()
    if path in _unkept:
        return _unkept[path]
    try:
        answers = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return answers if isinstance(answers, dict) else {}


def _write(answers: dict[str, Any], *, quiet: bool = False) -> None:
    path = answer_path()
    _unkept.pop(path, None)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write.write(path, (json.dumps(answers) + "\n").encode())
    except OSError as error:
        _unkept[path] = answers
        if quiet:
            return
        folders.tell_once(
            f"answers cannot be stored in {path} ({error.strerror or error}): questions and hints will be shown again"
        )
