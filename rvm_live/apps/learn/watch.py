"""Records the camera's pictures, labelled by RVM."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from rvm_live import weights
from rvm_live.core.arrays import Bytes
from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.errors import EndOfSource, SettingsError, SourceUnavailableError, UnavailableError, WeightsError
from rvm_live.core.settings import EngineSettings, SourceSettings
from rvm_live.engines.lite.engine import ratio_for, trained_size
from rvm_live.engines.lite.lessons import Recorder, Recording
from rvm_live.engines.select import AutoEngine
from rvm_live.engines.session import EngineSession
from rvm_live.sources.base import Source, SourceInfo
from rvm_live.sources.factory import open_source

__all__ = ["LEAST_MOMENTS", "Watched", "watch"]

LEAST_MOMENTS = 60
"""Least number of pictures with a person."""
_MOST_MOMENTS, _MOST_EMPTY = 800, 40
_PERSON, _NOBODY = 0.03, 0.002
"""Least share of the picture that a person covers, and the most that counts as empty."""
_EMPTY_S, _SETTLE_S = 10.0, 1.0


@dataclass(frozen=True)
class Watched:
    """The labelled pictures.

    Attributes:
        source: where it came from.
        recording: labelled moments.
        empty: pictures of the room with nobody in it, at the same size.
    """

    source: SourceInfo
    recording: Recording
    empty: list[Bytes]


def watch(
    source: SourceSettings,
    engine: EngineSettings,
    seconds: float,
    empty_room: Callable[[], object] | None,
    told: Callable[[str, float], None],
    clock: Clock = SYSTEM_CLOCK,
) -> Watched:
    """Record a person in front of a camera for a while; the camera is released at the end.

    Args:
        source: camera, clip or stream with the user in it.
        engine: RVM's weights.
        seconds: how long; of a file as much of it.
        empty_room: asks the user to leave the picture, and returns when they have; None: it is not asked for.
        told: called with what is done and the share of it that is over.
        clock: monotonic time.

    Raises:
        WeightsError: RVM's weights are not here.
        SettingsError: a person was seen for too short a time.
        SourceError: there is no camera, or it is lost.
    """
    if weights.locate(engine) is None:
        raise WeightsError(
            "learning needs RVM's weights, which label the pictures: fetch them with `rvm-live weights pull`"
        )
    teacher = EngineSession(AutoEngine(replace(engine, engine="auto", fallback_lite=False, steady=False, gate=False)))
    try:
        if teacher.info.engine == "lite":
            raise UnavailableError("learning needs RVM, which does not run here: `rvm-live doctor` tells why")
        camera = open_source(source, clock)
        try:
            camera.prepare()
            return _watched(camera, source, teacher, seconds, empty_room, told, clock)
        finally:
            camera.release()
    finally:
        teacher.close()


def _watched(
    camera: Source,
    asked: SourceSettings,
    teacher: EngineSession,
    seconds: float,
    empty_room: Callable[[], object] | None,
    told: Callable[[str, float], None],
    clock: Clock,
) -> Watched:
    told("looking at you", 0.0)
    info = camera.open()
    if info.kind == "demo" and asked.source == "auto":
        raise SourceUnavailableError(f"nobody was found to learn from: {'; '.join(info.notes)}")
    recorder = Recorder(trained_size(info.width, info.height, ratio_for(info.width, info.height)))
    shape = (info.height, info.width)
    somebody = 0
    for share, picture in _pictures(camera, seconds, info.live, clock):
        if picture.shape[:2] != shape:
            raise SettingsError("the pictures change their size: learn from another source")
        matte = teacher.matte(picture).host()
        somebody += bool((matte.alpha > 127).mean() > _PERSON)
        recorder.add(picture, matte.foreground, matte.alpha)
        told("looking at you", share)
        if len(recorder) >= _MOST_MOMENTS:
            break
    if somebody < max(LEAST_MOMENTS, len(recorder) // 2):
        raise SettingsError(
            f"you were seen in only {somebody} of {len(recorder)} pictures ({LEAST_MOMENTS} are needed): "
            "sit in front of the camera as in a call, for longer (--seconds)"
        )
    empty: list[Bytes] = []
    if empty_room is not None:
        empty_room()
        teacher.reset()
        for share, picture in _pictures(camera, _EMPTY_S, info.live, clock):
            told("looking at the empty room", max(share, len(empty) / _MOST_EMPTY))
            if (teacher.matte(picture).host().alpha > 127).mean() < _NOBODY:
                empty.append(recorder.shrunk(picture))
            if len(empty) >= _MOST_EMPTY:
                break
    return Watched(info, recorder.recording(), empty)


def _pictures(camera: Source, seconds: float, live: bool, clock: Clock) -> Iterator[tuple[float, Bytes]]:
    """Pictures of a number of seconds, and the finished share of that time; a camera's first pictures are skipped while
    it adapts its exposure."""
    began: int | None = None
    while True:
        try:
            grab = camera.read()
        except EndOfSource:
            return
        now = clock.now_ns() if live or grab.media_ns is None else grab.media_ns
        began = now + (round(_SETTLE_S * 1e9) if live else 0) if began is None else began
        share = (now - began) / 1e9 / seconds
        if share >= 1:
            return
        if share >= 0:
            yield share, grab.image
