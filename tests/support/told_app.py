"""The unchanged program, which also prints what its window says: ``python -m tests.support.told_app ARGUMENTS``.

Writes one line of JSON on standard output for each answer, each notice and each message about a download.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from rvm_live.cli import main
from rvm_live.sinks.window.overlay import Overlay
from rvm_live.sinks.window.status import Status


def _tell(**told: str) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def _telling(kind: str) -> None:
    does = getattr(Overlay, kind)

    def told(self: Overlay, words: str) -> Any:
        _tell(**{kind: words})
        return does(self, words)

    setattr(Overlay, kind, told)


def _telling_what_is_drawn() -> None:
    draw, before = Overlay._draw, [""]

    def drawn(self: Overlay, width: int, height: int, status: Status, *more: Any) -> Any:
        if status.fetching != before[0]:
            before[0] = status.fetching
            _tell(fetching=status.fetching)
        known = dict(self._seen)
        panels = draw(self, width, height, status, *more)
        for message, _ in self._seen.keys() - known.keys():
            _tell(notice=message)
        return panels

    Overlay._draw = drawn  # type: ignore[method-assign]


if __name__ == "__main__":
    _telling("toast")
    _telling_what_is_drawn()
    sys.exit(main(sys.argv[1:]))
