"""A looping video, decoded ahead in a thread of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from rvm_live.backgrounds.base import Background, Plate
from rvm_live.backgrounds.fit import check_fit, fit_image, placed
from rvm_live.core.errors import BackgroundError, QueueClosed, told_as, words_of
from rvm_live.core.queues import Overflow
from rvm_live.core.worker import Worker
from rvm_live.media.colour import bgr_of
from rvm_live.media.facts import NoPicture, UnreadableVideo, facts_of_frame, reshaped
from rvm_live.media.ffmpeg import open_file
from rvm_live.media.reading import Reading
from rvm_live.media.tone_mapping import kind_of

__all__ = ["VideoBackground"]


_AHEAD = 6  # frames; enough for reopening the file at the end of the loop
_PAUSE_NS = 500_000_000
_MOST_SKIPPED = 4
_LEAST_NS = 10_000_000  # the shortest time that a picture is shown


class _Shown(NamedTuple):
    """One decoded picture and the time from which it is shown, nanoseconds on the video's endless clock."""

    start_ns: int
    image: NDArray[np.uint8]


class VideoBackground(Background):
    """A video that plays at its own rate and starts again at its end without a pause.

    Its clock stops while it is not shown, so it continues where it was.

    Args:
        path: any format FFmpeg reads, ``.gif`` included.
        fit: one of :data:`~rvm_live.backgrounds.fit.FITS`.

    Raises:
        SettingsError: unknown ``fit``.
    """

    def __init__(self, path: Path, fit: str = "cover") -> None:
        self.path = Path(path)
        self.fit = check_fit(fit)
        self.label = f"video {self.path.stem}"
        self._first: NDArray[np.uint8] | None = None
        self._player: _Player | None = None
        self._plate: Plate | None = None
        self._pending: _Shown | None = None
        self._started_ns = 0
        self._asked_ns = 0
        self._version = 0

    def check(self) -> None:
        """Check quickly whether it can be shown.

        Raises:
            BackgroundError: it is missing, unreadable, or holds no moving picture.
        """
        with _opened(self.path):
            pass

    def open(self) -> None:
        with _opened(self.path) as reading:
            frame = next(reading.pictures()).frame
            self._first = _converted(frame, None, self.fit, reading.stream, exact=self.exact)
            if (wide := kind_of(frame)) is not None:
                self.told = f"the background video {self.path.name} is {wide}"

    def layer(self, width: int, height: int, now_ns: int) -> Plate:
        plate = self._plate
        again = self.exact and now_ns < self._asked_ns  # the file in front has started over
        if plate is None or plate.image.shape[:2] != (height, width) or again:
            plate = self._start(width, height, now_ns)
        if not self.exact and now_ns - self._asked_ns > _PAUSE_NS:
            self._started_ns += now_ns - self._asked_ns
        self._asked_ns = now_ns
        image = self._due(now_ns - self._started_ns)
        return plate if image is None else self._show(image)

    def close(self) -> None:
        self._stop()
        self._plate = self._first = None

    def _start(self, width: int, height: int, now_ns: int) -> Plate:
        self._stop()
        if self._first is None:
            raise BackgroundError(f"the background video {self.path} is not open")
        self._player = _Player(self.path, (width, height), self.fit, self.pixel, exact=self.exact)
        self._started_ns = 0 if self.exact else now_ns
        self._asked_ns = now_ns
        # The first frame is known already, so that the first call need not wait for the thread.
        return self._show(fit_image(self._first, width, height, self.fit, self.pixel))

    def _stop(self) -> None:
        if self._player is not None:
            self._player.stop()
        self._player = self._pending = None

    def _show(self, image: NDArray[np.uint8]) -> Plate:
        self._version += 1
        self._plate = Plate(image, self._version)
        return self._plate

    def _due(self, position_ns: int) -> NDArray[np.uint8] | None:
        """The newest decoded picture that is due, or None if none has become due since the last call."""
        player = self._player
        if player is None:
            return None
        player.position_ns = position_ns
        image = None
        while True:
            if self._pending is None:
                try:
                    self._pending = player.queue.get(timeout=None if self.exact else 0)
                except TimeoutError:
                    return image
                except QueueClosed as closed:
                    reason = closed.error or "its decoder ended"
                    raise BackgroundError(f"the background video {self.path} failed: {reason}") from closed.error
            if self._pending.start_ns > position_ns:
                return image
            image, self._pending = self._pending.image, None


class _Player:
    """Decodes one pass after the other, resizes, and waits while enough is decoded ahead."""

    def __init__(self, path: Path, size: tuple[int, int], fit: str, pixel: Fraction, *, exact: bool) -> None:
        self._exact = exact
        self._worker: Worker[_Shown] = Worker(
            "background", self._play, maxsize=_AHEAD, policy=Overflow.BLOCK, gives=True
        )
        self.queue = self._worker.queue
        self.position_ns = 0
        self._path, self._size, self._fit, self._pixel = path, size, fit, pixel
        self._worker.start()

    def stop(self) -> None:
        self.queue.cancel()
        self._worker.join()

    def _play(self) -> None:
        offset = 0
        while not self.queue.closed:
            end = skipped = 0
            begin: int | None = None
            with _opened(self._path) as reading:
                for frame, start, stop in reading.pictures():
                    begin = start if begin is None else begin
                    start, end = start - begin, max(stop, start + _LEAST_NS) - begin
                    # A picture whose time is over is not converted, unless that would mean that none is shown at all.
                    if offset + end < self.position_ns and (self._exact or skipped < _MOST_SKIPPED):
                        skipped += 1
                        continue
                    skipped = 0
                    image = _converted(
                        frame, self._size, self._fit, reading.stream, pixel=self._pixel, exact=self._exact
                    )
                    self.queue.put(_Shown(offset + start, fit_image(image, *self._size, self._fit)))
            # Whole passes whose time is over need not be decoded; the last end is the length of a pass.
            offset += end * max(1, (self.position_ns - offset) // end)


@contextmanager
def _opened(path: Path) -> Iterator[Reading]:
    """The open video; every error of FFmpeg becomes a :class:`BackgroundError`."""
    try:
        if not path.exists():
            raise BackgroundError(f"there is no background video {path}")
        if not path.is_file():
            raise BackgroundError(f"the background video {path} is a device or a pipe, not a file")
        # Only two threads: the matting engine needs the other cores more.
        reading = Reading(lambda: open_file(path), str(path), threads=2)
        with closing(reading):
            yield reading
    except NoPicture as error:
        raise BackgroundError(f"{path} contains no moving picture" + ", only sound" * error.sound) from error
    except UnreadableVideo as error:
        raise BackgroundError(f"the background video {path} {error}") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        raise BackgroundError(f"cannot read the background video {path}: {words_of(error)}") from error


def _converted(
    frame: Any,
    size: tuple[int, int] | None,
    fit: str,
    stream: Any = None,
    *,
    pixel: Fraction = Fraction(1),
    exact: bool = True,
) -> NDArray[np.uint8]:
    """The frame as uint8 (h, w, 3) BGR, upright, its pixels square; or scaled (but not cut) to fit into ``size``,
    (width, height), whose pixels have the shape ``pixel``."""
    facts = facts_of_frame(frame, stream)
    upright = reshaped((facts.width, facts.height), facts.pixel)
    width, height = upright if size is None else placed(upright, size, fit, pixel)
    stored = (height, width) if facts.orientation.transposed else (width, height)
    words = "it contains a picture that cannot be converted"
    with told_as(BackgroundError, words, of=(av.FFmpegError, ValueError)):  # ValueError: an unknown pixel format
        return facts.orientation.upright(bgr_of(frame, stored, exact=exact))
