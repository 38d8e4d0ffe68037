"""Learns from a camera."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np

from rvm_live.apps.learn.places import places
from rvm_live.apps.learn.watch import watch
from rvm_live.core.errors import SettingsError
from rvm_live.core.settings import EngineSettings, SourceSettings
from rvm_live.engines.lite.engine import EMBEDDED
from rvm_live.engines.lite.learned import Learned, path_for, save
from rvm_live.system import threads
from rvm_live.weights.files import file_bytes

if TYPE_CHECKING:
    from rvm_live.engines.lite.adapt import Verdict

__all__ = ["LEAST_S", "MOST_S", "LearnSettings", "Result", "learn"]

LEAST_S, MOST_S = 5.0, 180.0
_LEAST_MINUTES, _MOST_MINUTES = 0.05, 30.0


@dataclass(frozen=True)
class LearnSettings:
    """What to learn from, and for how long.

    Attributes:
        source: camera, clip or stream with the user in it.
        engine: RVM's weights, and nothing else of it.
        seconds: to look at the user.
        minutes: to learn; of processor time, one core.
    """

    source: SourceSettings
    engine: EngineSettings = field(default_factory=EngineSettings)
    seconds: float = 45.0
    minutes: float = 3.0

    def __post_init__(self) -> None:
        if not LEAST_S <= self.seconds <= MOST_S:
            raise SettingsError(
                f"seconds {self.seconds:g} is out of range: it must be between {LEAST_S:g} and {MOST_S:g}"
            )
        if not _LEAST_MINUTES <= self.minutes <= _MOST_MINUTES:
            raise SettingsError(
                f"minutes {self.minutes:g} is out of range: it must be above 0 and at most {_MOST_MINUTES:g}"
            )


@dataclass(frozen=True)
class Result:
    """The result.

    Attributes:
        verdict: errors before and after.
        learned: the stored result; None if it was not better.
        moments: pictures with labels that were learnt from and judged on.
        empty: pictures of the empty room.
        source: in words.
    """

    verdict: Verdict
    learned: Learned | None
    moments: int
    empty: int
    source: str


def learn(
    settings: LearnSettings,
    *,
    empty_room: Callable[[], object] | None = None,
    told: Callable[[str, float], None] = lambda what, share: None,
) -> Result:
    """Watch the user, learn, judge, and store the result if it is better. If interrupted, the earlier result stays.

    Args:
        settings: from what.
        empty_room: asks the user to leave the picture, and returns when they have; None: that is not asked for.
        told: called with what is done now and the share of it that is over, from any thread.

    Raises:
        RvmLiveError: no weights, no camera, nobody in the picture; the message tells.
    """
    seen = watch(settings.source, settings.engine, settings.seconds, empty_room, told)
    from rvm_live.engines.lite.adapt import Tuning, learnt  # imports torch, which takes seconds: only now
    from rvm_live.engines.lite.weights import load_network

    base = load_network()
    learn_at, guards = places()
    ended = threading.Event()

    def going_on(share: float, loss: float) -> None:
        told("learning", min(share, 1.0))
        if ended.is_set():
            raise _Ended

    tuning = Tuning(seconds=settings.minutes * 60)
    with threads.one_for_torch(), ThreadPoolExecutor(1, "rvm-learn", initializer=threads.give_way) as pool:
        future = pool.submit(learnt, base, seen.recording, learn_at, guards, seen.empty, tuning, told=going_on)
        try:
            tuned, verdict = future.result()
        finally:
            ended.set()
    source = seen.source
    camera = source.identity or source.label
    result = Result(verdict, None, len(seen.recording.alpha), len(seen.empty), source.label)
    if not verdict.better:
        return result
    kept = Learned(
        source.label,
        date.today().isoformat(),
        sha256(file_bytes(EMBEDDED)).hexdigest(),
        round(verdict.before, 2),
        round(verdict.after, 2),
    )
    before, after = base.state_dict(), tuned.state_dict()
    changed = {name: value.numpy().astype(np.float16) for name, value in after.items() if not value.equal(before[name])}
    return replace(result, learned=save(path_for(camera, source.label), kept, changed))


class _Ended(Exception):
    """The caller no longer waits for it."""
