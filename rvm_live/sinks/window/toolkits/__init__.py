"""Window toolkits: SDL, or OpenCV's own if SDL cannot open a window.

May import what :mod:`rvm_live.sinks` may.

>>> from rvm_live.sinks.window.toolkits import open_window
>>> toolkit, told = open_window("rvm-live", lambda screen: (1280, 720))  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rvm_live.core.errors import DisplayError
from rvm_live.sinks.window.display import Screen
from rvm_live.sinks.window.toolkits.base import Toolkit

__all__ = ["TOOLKITS", "open_window"]

TOOLKITS = ("sdl", "opencv")
"""In the order in which they are tried."""


def open_window(
    title: str, fit: Callable[[Screen], tuple[int, int]], names: Sequence[str] = TOOLKITS
) -> tuple[Toolkit, str]:
    """Open a window with the first toolkit that can.

    Args:
        title: of the window.
        fit: the screen -> width and height of the picture, pixels.
        names: of :data:`TOOLKITS`.

    Returns:
        The toolkit with its window open, and a one-line note if it is not the first one, else an empty text.

    Raises:
        DisplayError: none can; the message has every reason, one line.
    """
    reasons: dict[str, str] = {}
    for name in names:
        toolkit = _made(name)
        try:
            toolkit.open(title, fit(toolkit.screen))
        except DisplayError as error:
            toolkit.close()
            reasons[toolkit.name] = str(error)
            continue
        if not reasons:
            return toolkit, ""
        missing = f", without {' and '.join(toolkit.lacks)}" if toolkit.lacks else ""
        return toolkit, f"{_told(reasons)}: using a {toolkit.name} window instead{missing}"
    raise DisplayError(f"no window can be opened: {_told(reasons)}")


def _told(reasons: Mapping[str, str]) -> str:
    if len(set(reasons.values())) == 1 and len(reasons) > 1:
        return next(iter(reasons.values()))
    return "; ".join(f"{name}: {reason}" for name, reason in reasons.items())


def _made(name: str) -> Toolkit:
    if name == "sdl":
        from rvm_live.sinks.window.toolkits.sdl import SdlToolkit

        return SdlToolkit()
    from rvm_live.sinks.window.toolkits.opencv import OpenCvToolkit

    return OpenCvToolkit()
