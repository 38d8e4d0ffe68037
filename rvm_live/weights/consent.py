"""Whether RVM's weights may be fetched: asked once, remembered until the file is deleted."""

from __future__ import annotations

import json
import os
from pathlib import Path

import platformdirs

from rvm_live import whole
from rvm_live.errors import WeightsError

__all__ = ["answer_path", "remember", "remembered"]


def answer_path() -> Path:
    """Where the answer is kept: in ``RVM_LIVE_CACHE``, else in the platform's folder for settings."""
    chosen = os.environ.get("RVM_LIVE_CACHE")
    folder = Path(chosen) if chosen else platformdirs.user_config_path("rvm-live", appauthor=False)
    return folder / "answers.json"


def remembered() -> bool | None:
    """The answer given before; None where nobody was asked, or the answer cannot be read."""
    try:
        answers = json.loads(answer_path().read_text(encoding="utf-8"))
        answer = answers["fetch_weights"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return answer if isinstance(answer, bool) else None


def remember(answer: bool) -> None:
    """Keep an answer.

    Raises:
        WeightsError: it cannot be written.
    """
    path = answer_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        whole.write(path, (json.dumps({"fetch_weights": answer}) + "\n").encode())
    except OSError as error:
        raise WeightsError(f"the answer cannot be kept in {path}: {error.strerror or error}") from error
