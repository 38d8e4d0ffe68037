"""What is asked or told once: whether RVM's weights may be fetched, and whose code runs."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import platformdirs

from rvm_live import whole
from rvm_live.errors import WeightsError

__all__ = ["answer_path", "first_time", "remember", "remembered"]

_MOST_TOLD = 200


def answer_path() -> Path:
    """Where the answer is kept: in ``RVM_LIVE_CACHE``, else in the platform's folder for settings."""
    chosen = os.environ.get("RVM_LIVE_CACHE")
    folder = Path(chosen) if chosen else platformdirs.user_config_path("rvm-live", appauthor=False)
    return folder / "answers.json"


def remembered() -> bool | None:
    """The answer given before; None where nobody was asked, or the answer cannot be read."""
    answer = _read().get("fetch_weights")
    return answer if isinstance(answer, bool) else None


def remember(answer: bool) -> None:
    """Keep an answer.

    Raises:
        WeightsError: it cannot be written.
    """
    _write({**_read(), "fetch_weights": answer})


def first_time(code: str) -> bool:
    """Whether it has not been told yet that ``code`` is the user's own; it has from now on.

    Where that cannot be written down it is told again next time.
    """
    answers = _read()
    told = answers.get("own_code")
    known = [each for each in told if isinstance(each, str)] if isinstance(told, list) else []
    if code in known:
        return False
    with suppress(WeightsError):
        _write({**answers, "own_code": [*known, code][-_MOST_TOLD:]})
    return True


def _read() -> dict[str, Any]:
    try:
        answers = json.loads(answer_path().read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return answers if isinstance(answers, dict) else {}


def _write(answers: dict[str, Any]) -> None:
    path = answer_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        whole.write(path, (json.dumps(answers) + "\n").encode())
    except OSError as error:
        raise WeightsError(f"the answer cannot be kept in {path}: {error.strerror or error}") from error
