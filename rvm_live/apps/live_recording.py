"""The recording of a live run, with sound where a microphone was asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rvm_live.compositing.composer import Composer
from rvm_live.core.clock import Clock
from rvm_live.core.notices import Notices
from rvm_live.core.queues import Overflow
from rvm_live.core.settings import LiveSettings
from rvm_live.sinks.factory import open_recorder
from rvm_live.sinks.recording.recording_switch import RecordingSwitch
from rvm_live.sources.switched import SwitchedSource

if TYPE_CHECKING:
    from rvm_live.sinks.recording.listening import Listener
    from rvm_live.sinks.recording.recorder import Recorder

__all__ = ["hearing", "recording_for"]


def hearing(composer: Composer, source: SwitchedSource, notices: Notices) -> Callable[[str], Listener]:
    """Makes listeners for a microphone; they record nothing while the camera is released or nobody may be seen."""

    def listener(device: str) -> Listener:
        from rvm_live.microphones.factory import open_microphone
        from rvm_live.sinks.recording.listening import Listener

        return Listener(
            lambda: open_microphone(device), muted=lambda: source.paused or composer.private, told=notices.fallback
        )

    return listener


def recording_for(
    settings: LiveSettings,
    composer: Composer,
    listener: Callable[[str], Listener],
    notices: Notices,
    overflow: Overflow,
    clock: Clock,
    *,
    needed: bool,
) -> RecordingSwitch:
    """The place where recordings go, one after the other; the first begins with the run where one was asked for.

    Args:
        settings: what was asked for.
        composer: what is seen while nothing comes.
        listener: hears a microphone.
        notices: told of recordings and microphones that fail.
        overflow: what happens when the encoder cannot keep up.
        clock: monotonic time.
        needed: the run ends where the recording fails.
    """

    def make(path: str) -> Recorder:
        return open_recorder(
            path,
            fps=settings.source.fps,
            policy=overflow,
            background=composer.background_only,
            on_failure=None if needed else notices.fallback,
            listener=None if settings.audio is None else listener(settings.audio),
        )

    return RecordingSwitch(make, settings.record, notices.fallback, clock, with_sound=settings.audio is not None)
