"""The sound of a recording, on the picture's clock, without gaps."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rvm_live.microphones.base import RATE, Sound

__all__ = ["SoundTrack"]

_SECOND_NS = 1_000_000_000
_BITS_PER_SECOND = 96_000
_OUT_OF_STEP_S = 0.03
"""Sound that is off by more than this, seconds, is moved at once: silence is inserted, or the overlap cut."""
_STRETCH = 0.003
"""A smaller offset is corrected by stretching the sound by this share at most: a twentieth of a semitone, which is
inaudible, and many times the error of a poor clock."""
_BEHIND_S, _KEPT_UP_S = 1.0, 0.5
"""If sound is this late, seconds, silence is inserted up to the second value, so that the file stays complete: no
microphone is that late."""


class SoundTrack:
    """One track of one channel, encoded for the container.

    Every piece of sound is placed at the time it was heard, relative to the first picture. A microphone's clock runs a
    little differently from the machine's: libswresample stretches the sound for that, fills gaps with silence and cuts
    overlaps.

    Args:
        container: PyAV's, being written, before its header.
        codec: name of the encoder.
        began_ns: monotonic time at which the first picture was captured.
    """

    def __init__(self, container: Any, codec: str, began_ns: int) -> None:
        self._container = container
        self._stream: Any = container.add_stream(codec, rate=RATE)
        self._stream.layout = "mono"
        self._stream.bit_rate = _BITS_PER_SECOND
        self._began_ns = began_ns
        self._graph = _aligner(self._stream.codec_context.format.name)
        self._end = 0
        self._heard: tuple[int, int] | None = None
        self._count = 0
        self.gaps_s = 0.0

    @property
    def until_ns(self) -> int:
        """Time up to which there is sound, or silence instead."""
        return self._began_ns + self._end * _SECOND_NS // RATE

    @property
    def drift_s(self) -> float:
        """Duration of the sound by the machine's clock minus that by the microphone's clock, without gaps."""
        first, last = self._heard or (0, 0)
        return (last - first - self._count) / RATE - self.gaps_s

    def add(self, sounds: list[Sound]) -> None:
        """Add what was heard, in order."""
        for sound in sounds:
            start, samples = self._place(sound.captured_ns), sound.samples
            if start < 0:
                start, samples = 0, samples[-start:]
            if not len(samples):
                continue
            self._count_in(start, len(samples))
            self._push(start, samples)

    def keep_up(self, now_ns: int) -> None:
        """Fill with silence up to the greatest delay that sound may have."""
        due = self._place(now_ns)
        if self._end < due - _BEHIND_S * RATE:
            self.fill(now_ns - round(_KEPT_UP_S * _SECOND_NS))

    def fill(self, until_ns: int) -> None:
        """Fill with silence up to then where there is no sound."""
        until = self._place(until_ns)
        while (missing := min(until - self._end, RATE)) > 0:
            self._push(self._end, np.zeros(missing, np.int16))

    def finish(self) -> None:
        """Encode the remaining sound."""
        self._graph.push(None)
        self._pull()
        self._container.mux(self._stream.encode(None))

    def _place(self, time_ns: int) -> int:
        return (time_ns - self._began_ns) * RATE // _SECOND_NS

    def _count_in(self, start: int, count: int) -> None:
        first, last = self._heard or (start, start)
        if start - last > _OUT_OF_STEP_S * RATE:
            self.gaps_s += (start - last) / RATE
        self._heard = (first, start + count)
        self._count += count

    def _push(self, start: int, samples: NDArray[np.int16]) -> None:
        from av import AudioFrame

        frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples)[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = RATE, start
        self._graph.push(frame)
        self._end = max(self._end, start + len(samples))
        self._pull()

    def _pull(self) -> None:
        import av.error

        while True:
            try:
                frame = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            self._container.mux(self._stream.encode(frame))


def _aligner(form: str) -> Any:
    """A graph that brings sound to its own time stamps, and to the sample format ``form``."""
    from av.filter import Graph

    graph = Graph()
    steady = {"async": str(round(_STRETCH * RATE)), "min_hard_comp": str(_OUT_OF_STEP_S), "first_pts": "0"}
    nodes = (
        graph.add("abuffer", sample_fmt="s16", channel_layout="mono", sample_rate=str(RATE), time_base=f"1/{RATE}"),
        graph.add("aresample", **steady),
        graph.add("aformat", sample_fmts=form, channel_layouts="mono", sample_rates=str(RATE)),
        graph.add("abuffersink"),
    )
    for one, other in pairwise(nodes):
        one.link_to(other)
    graph.configure()
    return graph
