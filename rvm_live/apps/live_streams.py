"""The streams of a live run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rvm_live.core.clock import Clock
from rvm_live.core.settings import LiveSettings
from rvm_live.sinks.stream.stream import StreamSink

if TYPE_CHECKING:
    from rvm_live.sinks.recording.listening import Listener

__all__ = ["streams_for"]


def streams_for(settings: LiveSettings, listener: Callable[[str], Listener], clock: Clock) -> list[StreamSink]:
    """One sink for each address of the settings.

    Args:
        settings: what was asked for.
        listener: a microphone's name -> what hears it, for one stream alone.
        clock: monotonic time.

    Raises:
        SettingsError: an address cannot be meant.
    """
    return [
        StreamSink(
            address,
            fps=settings.source.fps,
            bitrate=None if settings.stream_bitrate is None else 1000 * settings.stream_bitrate,
            listener=None if settings.audio is None else listener(settings.audio),
            clock=clock,
        )
        for address in settings.streams
    ]
