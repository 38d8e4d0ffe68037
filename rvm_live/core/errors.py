"""Every error this package raises on purpose.

::

    RvmLiveError
    ├── SettingsError            a setting or option is out of range, unknown or contradictory
    ├── UnavailableError         a back end cannot work on this machine; says why
    ├── SourceError
    │   ├── SourceUnavailableError   cannot be opened, or holds no picture
    │   └── SourceLostError          stopped delivering after it had delivered
    ├── WeightsError             missing, unreadable, foreign or altered weights
    │   └── NoNetworkError       they could not be fetched, for no server could be reached
    ├── EngineError              the matting engine failed
    │   ├── MatteError               a matte cannot be read, or does not fit its frame
    │   └── NoMemoryError            the device has no memory left; the recurrent state is as before
    ├── CompositorError          a compositing back end failed
    ├── BackgroundError          a background cannot be read or drawn
    ├── MonitorError             samples cannot be taken, written or read
    ├── TidyError                files cannot be renamed, or their names not taken back
    └── SinkError
        ├── DisplayError             no display, or it went away
        └── KeptError                something else is there, and is left alone

    EndOfSource                  control flow: the source has no more frames (not an error)
    QueueClosed                  control flow: the queue is closed and empty (not an error)

The message of an ``RvmLiveError`` is one line that says what is wrong and what to do; the command line prints
it as it is and exits with 2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

__all__ = [
    "BackgroundError",
    "CompositorError",
    "DisplayError",
    "EndOfSource",
    "EngineError",
    "KeptError",
    "MatteError",
    "MonitorError",
    "NoMemoryError",
    "NoNetworkError",
    "QueueClosed",
    "RvmLiveError",
    "SettingsError",
    "SinkError",
    "SourceError",
    "SourceLostError",
    "SourceUnavailableError",
    "TidyError",
    "UnavailableError",
    "WeightsError",
    "told_as",
    "words_of",
]


class RvmLiveError(Exception):
    """Base of all errors raised on purpose; the message is meant for a person."""


class SettingsError(RvmLiveError):
    """A setting or option is out of range, unknown or contradictory."""


class UnavailableError(RvmLiveError):
    """A back end cannot work on this machine.

    Attributes:
        reasons: name of each back end that was tried -> why it cannot work (empty if only one was).
    """

    def __init__(self, message: str, reasons: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.reasons = dict(reasons or {})


class SourceError(RvmLiveError):
    """A source of frames failed."""


class SourceUnavailableError(SourceError):
    """A source cannot be opened, or holds no picture."""


class SourceLostError(SourceError):
    """A source stopped delivering after it had delivered."""


class WeightsError(RvmLiveError):
    """Weights are missing, unreadable, of another network, or not what was recorded."""


class NoNetworkError(WeightsError):
    """Weights could not be fetched, for no server could be reached."""


class EngineError(RvmLiveError):
    """The matting engine failed."""


class MatteError(EngineError):
    """A matte cannot be read, or does not fit its frame; the next one may be good."""


class NoMemoryError(EngineError):
    """The device has too little memory for the call; the engine's recurrent state is as before the call."""


class CompositorError(RvmLiveError):
    """A compositing back end failed."""


class BackgroundError(RvmLiveError):
    """A background cannot be read or drawn."""


class MonitorError(RvmLiveError):
    """Samples cannot be taken, written or read."""


class TidyError(RvmLiveError):
    """Files cannot be renamed, or their names not taken back."""


class SinkError(RvmLiveError):
    """Frames cannot be shown or written."""


class KeptError(SinkError):
    """A file to be written would replace something else, which stays."""


class DisplayError(SinkError):
    """There is no display, or it went away."""


class EndOfSource(Exception):
    """The source has no more frames."""


class QueueClosed(Exception):
    """The queue is closed and empty.

    Attributes:
        error: what closed it, or None at an ordinary end.
    """

    def __init__(self, name: str, error: BaseException | None = None) -> None:
        super().__init__(f"queue {name!r} is closed")
        self.error = error


def words_of(error: BaseException) -> str:
    """The message of an error on one line, for people.

    It is the system's own text if there is one. Of a library's many lines it is the first that is not a heading, or the
    last of a traceback it quotes, at most 300 characters. The error's class is put before a single word or an empty
    message.
    """
    kind = type(error).__name__
    text = str(getattr(error, "strerror", None) or error)
    if isinstance(error, RvmLiveError):
        return " ".join(text.split()) or kind
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()] or [""]
    telling = [line for line in lines if not line.endswith(":")] or lines
    said = telling[-1 if "Traceback" in text else 0].removeprefix(f"{kind}: ")[:300]
    return said if " " in said else f"{kind}: {said}".removesuffix(": ")


@contextmanager
def told_as(
    kind: type[RvmLiveError],
    words: str,
    after: str = "",
    *,
    of: type[Exception] | tuple[type[Exception], ...] = OSError,
) -> Iterator[None]:
    """Raise what the system or a library refuses in the block as ``kind``, on one line: ``words: No such file``.

    Args:
        kind: of the error.
        words: what cannot be done.
        after: added at the end, such as what to do about it.
        of: what is raised in the block.
    """
    try:
        yield
    except of as error:
        raise kind(f"{words}: {words_of(error)}{after}") from error
