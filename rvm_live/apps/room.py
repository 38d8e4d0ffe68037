"""Takes pictures of a room while nobody is in it, and stores them. Prints nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.errors import EndOfSource, SettingsError, SourceUnavailableError
from rvm_live.core.settings import SourceSettings
from rvm_live.engines.things import rooms
from rvm_live.engines.things.mask import things_in
from rvm_live.engines.things.rooms import Room
from rvm_live.sources.base import Source
from rvm_live.sources.factory import open_source

__all__ = ["MOST_SECONDS", "record"]

MOST_SECONDS = 120.0
_FRAMES = 15
_LEAST_SHARE = 0.0005

EMPTY = "leave the picture, and take with you the chair, the microphone and everything else that is to stay"
THINGS = "now put these things back in their places, and leave the picture again"


def record(
    settings: SourceSettings,
    *,
    props: bool = False,
    seconds: float = 8.0,
    tell: Callable[[str], None] = lambda line: None,
    clock: Clock = SYSTEM_CLOCK,
) -> tuple[Room, float]:
    """Take a picture of the empty room, and one with the things that are to stay.

    Args:
        settings: the camera, as it is used live.
        props: take only the second; the first exists.
        seconds: from the request to the picture, 0 to :data:`MOST_SECONDS`.
        tell: called with what is to be done, and with the seconds that are left.
        clock: counts them.

    Returns:
        What was kept, and the share of the picture that the things take.

    Raises:
        SettingsError: out of range, or there is no picture of the empty room yet.
        SourceUnavailableError: there is no camera, or it gives no pictures.
        SinkError: the pictures cannot be kept.
    """
    if not 0 <= seconds <= MOST_SECONDS:
        raise SettingsError(f"{seconds:g} seconds are out of range: use 0 to {MOST_SECONDS:g}")
    source = open_source(replace(settings, realtime=True))
    try:
        source.prepare()
        info = source.open()
        if info.kind == "demo" and settings.source != "demo":
            raise SourceUnavailableError("there is no camera here: name one with --source")
        label = info.label
        known = rooms.load(label) if props else None
        if props and known is None:
            raise SettingsError(f"there is no picture of the empty room from {label}: leave out --props")
        if known is None:
            known = Room(label, _taken(source, EMPTY, seconds, tell, clock))
        things = _taken(source, THINGS, seconds, tell, clock)
    except EndOfSource as error:
        raise SourceUnavailableError(f"{settings.source} ended before the pictures were taken") from error
    finally:
        source.release()
    if things.shape != known.empty.shape:
        raise SettingsError(
            "the camera's picture has another size than the picture of the empty room: leave out --props to take both"
        )
    share = float(np.count_nonzero(things_in(known.empty, things) > 127)) / things[..., 0].size
    if share < _LEAST_SHARE:
        raise SettingsError(
            "the two pictures show no difference, so nothing was stored: put the things into the second one"
        )
    room = Room(label, known.empty, things)
    rooms.keep(room)
    return room, share


def _taken(source: Source, words: str, seconds: float, tell: Callable[[str], None], clock: Clock) -> NDArray[np.uint8]:
    """A picture of what is seen some seconds later, without the camera's noise: the median of several."""
    tell(words)
    until, told = clock.now_ns() + int(seconds * 1e9), -1
    while (left := (until - clock.now_ns()) / 1e9) > 0:
        source.read()  # reading lets the camera adapt to the light meanwhile
        if int(left) != told and int(left) > 0:
            told = int(left)
            tell(f"{told}")
    pictures = [source.read().image for _ in range(_FRAMES)]
    if len({each.shape for each in pictures}) > 1:
        raise SourceUnavailableError("the pictures change their size: choose a fixed --size, and try again")
    return np.asarray(np.median(np.stack(pictures), axis=0), np.uint8)
