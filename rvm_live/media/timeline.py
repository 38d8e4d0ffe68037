"""One clock for all tracks of a file: it starts at 0 for picture and sound together, and continues where stamps
jump."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

from av.format import Flags

__all__ = ["Stamps", "Timed", "Timeline", "packets", "timed", "timeline_of"]

_PRIMING = Fraction(1, 10)  # seconds; sound that begins this little before the picture is only the encoder's priming
_BACK = Fraction(1, 10)  # further back than this is a jump even in a format without discontinuities
_GUESSED = 17  # or further than this many frames, if times are guessed: the longest reordering is 16
_ORDER_ALONE = frozenset({"avi"})  # containers that store pictures in decoding order, with no other time
_MOST = 1 << 62  # time stamps beyond this are invalid, and ignored
_GAP = 10  # seconds; a longer gap in all tracks is a jump, where time stamps may start anew


@dataclass
class _Track:
    part: int
    period: Fraction
    last: Fraction | None = None
    end: Fraction | None = None


class Timeline:
    """Puts the packets of a file on its clock. Readers that show it the same packets get the same times.

    If time stamps start anew (joined files, a recorder's next chapter), the clock continues where they ended; each
    track jumps at its own time. This is the rule of the ffmpeg program, applied to all tracks alike.

    Args:
        streams: PyAV streams, the picture first, and all sound.
        discontinuous: stamps of such a file may begin anew at any time (broadcasts).
    """

    def __init__(self, streams: Sequence[Any], *, discontinuous: bool = False) -> None:
        starts = [_start(each) for each in streams]
        start = min((each for each in starts if each is not None), default=Fraction(0))
        if starts[0] is not None and starts[0] - start < _PRIMING:
            start = starts[0]
        self._shifts = [-start]  # seconds, one for each part
        self._tracks: dict[int, _Track] = {}
        self._end = Fraction(0)
        self._discontinuous = discontinuous

    def place(self, packet: Any) -> None:
        """Change a PyAV packet's stamps; call it for every packet in the file's order."""
        base = packet.time_base
        if base is None or (packet.dts is None and packet.pts is None):
            return
        track = self._tracks.get(packet.stream_index)
        if track is None:
            rate = getattr(packet.stream, "average_rate", None)
            track = _Track(len(self._shifts) - 1, 1 / Fraction(rate) if rate else Fraction(0))
            self._tracks[packet.stream_index] = track
        if packet.dts is not None:
            moment = packet.dts * base
            self._follow(track, moment, packet.is_keyframe)
            track.last = moment + self._shifts[track.part]
            track.end = track.last + (packet.duration or 0) * base
            self._end = max(self._end, track.end)
        _move(packet, self._shifts[track.part])

    def carry(self, packet: Any) -> None:
        """Change the stamps of a packet of a track that does not count for the clock: subtitles may be hours apart."""
        if packet.time_base is not None:
            _move(packet, self.shift)

    @property
    def shift(self) -> Fraction:
        """Seconds by which times on the clock are later than the newest part's stamps."""
        return self._shifts[-1]

    def _follow(self, track: _Track, moment: Fraction, key: bool) -> None:
        """Go on to another part where the track's stamps have jumped, ``key``: to where decoding can begin."""
        if track.last is None or track.end is None:
            return
        here = moment + self._shifts[track.part]
        if self._discontinuous:
            back = (track.end - track.last) / 2 if key else _BACK
        else:
            back = max(Fraction(1), _GUESSED * track.period)
        if here >= track.last - back and not (self._discontinuous and here > self._end + _GAP):
            return
        for part in range(track.part + 1, len(self._shifts)):  # jumps that another track has already made
            if track.end - 1 <= moment + self._shifts[part] <= track.end + _GAP:
                track.part = part
                return
        self._shifts.append(self._end - moment)
        track.part = len(self._shifts) - 1


def _start(stream: Any) -> Fraction | None:
    if stream.start_time is None or not stream.time_base:
        return None
    return Fraction(stream.start_time * stream.time_base)


def _move(packet: Any, seconds: Fraction) -> None:
    ticks = round(seconds / packet.time_base)
    packet.pts, packet.dts = (
        None if stamp is None or abs(stamp + ticks) > _MOST else stamp + ticks for stamp in (packet.pts, packet.dts)
    )


def timeline_of(container: Any, picture: Any) -> Timeline:
    """The clock of an open PyAV container with this picture track."""
    streams = [picture, *container.streams.audio]
    return Timeline(streams, discontinuous=bool(container.format.flags & Flags.ts_discont.value))


def packets(container: Any, picture: Any, wanted: Iterable[Any]) -> Iterator[Any]:
    """The packets of some tracks of an open file, on the file's clock.

    Args:
        container: open PyAV container, at its beginning.
        picture: its picture track.
        wanted: the streams whose packets are given; picture, sound or subtitles.

    Raises:
        av.error.FFmpegError: the file breaks off.
    """
    line = timeline_of(container, picture)
    counted = {each.index: each for each in (picture, *container.streams.audio)}
    given = {each.index: each for each in wanted}
    bare = container.format.name in _ORDER_ALONE
    for packet in container.demux(list({**counted, **given}.values())):
        if bare and packet.dts is not None:
            packet.pts = packet.dts  # the pts is made up
        if packet.stream_index in counted:
            line.place(packet)
        else:
            line.carry(packet)
        if packet.stream_index in given:
            yield packet


class Stamps:
    """Gives every decoded picture its time, in display order.

    Where only the order of decoding is stored (AVI, and what was taken over from it), pictures come out of the decoder
    with stamps out of order: each takes the earliest that is left. Pictures without stamps are counted.

    Args:
        period: of a picture, seconds, for those without stamps.
        reorders: pictures are decoded in another order than they are shown in.
    """

    def __init__(self, period: Fraction, *, reorders: bool = False) -> None:
        self._period = period
        self._ranked = reorders  # until time stamps are seen that do not follow the decoding order
        self._newest: int | None = None
        self._waiting: list[int] = []  # a heap of time stamps of packets whose pictures have not been seen yet
        self._held: Any = None
        self._last: Fraction | None = None

    def sent(self, packet: Any) -> None:
        """A packet goes into the decoder."""
        stamp = packet.pts if packet.pts is not None else packet.dts
        if packet.size and stamp is not None and not packet.is_discard:
            heapq.heappush(self._waiting, stamp)
            if self._newest is not None and stamp < self._newest:
                self._ranked = False
            self._newest = stamp

    def push(self, frame: Any) -> Iterator[Any]:
        """Take in a picture as it comes out of the decoder; gives the one before, with its time."""
        held, self._held = self._held, frame
        if held is not None:
            if frame.pts is not None and held.pts is not None and frame.pts < held.pts:
                self._ranked = True
            yield self._stamped(held)

    def flush(self) -> Iterator[Any]:
        """The last one."""
        held, self._held = self._held, None
        if held is not None:
            yield self._stamped(held)

    @property
    def lost(self) -> bool:
        """Whether pictures are missing that should have come after the last one."""
        return bool(self._waiting)

    def _stamped(self, frame: Any) -> Any:
        base = frame.time_base
        if (self._ranked or frame.pts is None) and self._waiting:
            frame.pts = heapq.heappop(self._waiting)
        elif frame.pts is None:
            frame.pts = 0 if self._last is None else round((self._last + self._period) / base)
        while self._waiting and self._waiting[0] <= frame.pts and not self._ranked:
            heapq.heappop(self._waiting)
        self._last = frame.pts * base
        return frame


class Timed(NamedTuple):
    """A decoded picture, and from when to when it is to be seen, nanoseconds on the file's clock."""

    frame: Any
    start_ns: int
    end_ns: int


def timed(frames: Iterable[Any], period: Fraction) -> Iterator[Timed]:
    """Pictures with their ends: the next one's start; of the last, after the time that the file gives it.

    Args:
        frames: PyAV frames with stamps.
        period: of a picture, seconds, where the file gives it none.
    """
    held: Timed | None = None
    for frame in frames:
        start = _ns(frame.pts, frame.time_base)
        if held is not None:
            start = max(start, held.start_ns)
            yield held._replace(end_ns=start)
        length = _ns(frame.duration, frame.time_base) or round(period * 1_000_000_000)
        held = Timed(frame, start, start + length)
    if held is not None:
        yield held


def _ns(ticks: int, base: Fraction) -> int:
    return round(ticks * base * 1_000_000_000)
