"""The sink of a batch run: one queue, thread and writer for each output, so that encoders work in parallel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.apps.batch.settings import KEYED
from rvm_live.core.errors import QueueClosed, SinkError
from rvm_live.core.frames import Composite
from rvm_live.core.queues import Overflow
from rvm_live.core.worker import Worker
from rvm_live.media.alpha_bleed import bleed
from rvm_live.sinks.base import Sink
from rvm_live.sinks.recording.writers import Shot, Writer, fit_into

__all__ = ["CUT_OUT", "PICTURE_OF", "BatchSink", "Track"]

CUT_OUT = "cut-out"
"""Name of the composite's output with the person alone, from which fill and key are made if the composite is opaque."""
_WAITING = 4


def _composite(composite: Composite) -> NDArray[np.uint8]:
    return composite.image


def _alpha(composite: Composite) -> NDArray[np.uint8]:
    return composite.matte.host().alpha


def _foreground(composite: Composite) -> NDArray[np.uint8]:
    """The person's colours where there is a person, black elsewhere."""
    return composite.matte.host().foreground


def _cut_out(composite: Composite) -> NDArray[np.uint8]:
    return composite.image if composite.transparent else composite.outputs[CUT_OUT]


def _key(cut_out: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The key: how much of each pixel the fill covers."""
    return np.ascontiguousarray(cut_out[..., 3])


def _fill(cut_out: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The person's colours multiplied by the key, black elsewhere: what a mixer adds to the rest of the background."""
    colour, key = np.ascontiguousarray(cut_out[..., :3]), _key(cut_out)
    return np.asarray(cv2.multiply(colour, cv2.merge((key, key, key)), scale=1 / 255), np.uint8)


def _straight_fill(cut_out: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The person's colours as they are, continued beyond the edge, so that a mixer that multiplies by the key finds no
    black."""
    return np.ascontiguousarray(bleed(cut_out)[..., :3])


def _fill_and_key(cut_out: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return _side_by_side(_fill(cut_out), _key(cut_out))


def _straight_fill_and_key(cut_out: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return _side_by_side(_straight_fill(cut_out), _key(cut_out))


def _side_by_side(fill: NDArray[np.uint8], key: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.hconcat([fill, cv2.merge((key, key, key))]), np.uint8)


PICTURE_OF: dict[str, Callable[[Composite], NDArray[np.uint8]]] = {
    "composite": _composite,
    "alpha": _alpha,
    "foreground": _foreground,
    **dict.fromkeys(KEYED, _cut_out),
}
"""What is read from a composite, on the thread of the run."""
_MADE = {"fill": _fill, "key": _key, "fill-key": _fill_and_key}
"""Slower steps that are computed from it, on the track's own thread."""
_STRAIGHT = {**_MADE, "fill": _straight_fill, "fill-key": _straight_fill_and_key}


class Track:
    """One output, written on a thread of its own, ``rvm-writing``.

    Args:
        what: a name in :data:`PICTURE_OF`.
        writer: where it goes; used on the track's thread alone.
        size: width and height of the film; pictures of others are fitted into it, on black or transparent.
            None: they stay as they are.
        straight: fills are not multiplied by the key.

    Attributes:
        notes: whether there were such.
    """

    def __init__(
        self, what: str, writer: Writer, size: tuple[int, int] | None = None, *, straight: bool = False
    ) -> None:
        self.what, self.writer = what, writer
        self._make = (_STRAIGHT if straight else _MADE).get(what)
        self.notes: list[str] = []
        self._size = (2 * size[0], size[1]) if size is not None and what == "fill-key" else size
        self.saved = False
        self._keep = True
        self._worker: Worker[Shot] = Worker("writing", self._work, maxsize=_WAITING, policy=Overflow.BLOCK)

    def start(self) -> None:
        self._worker.start()

    def put(self, composite: Composite, number: int) -> None:
        """Hand one picture on, with its number in the file; waits while the encoder is behind.

        Raises:
            SinkError: the writer failed.
        """
        try:
            self._worker.queue.put(replace(Shot.of(composite), image=PICTURE_OF[self.what](composite), seq=number))
        except QueueClosed:
            self.check()
            raise SinkError(f"{self.writer.path} is closed") from None

    def end(self, *, keep: bool) -> None:
        """End the pictures; the output is completed, or discarded."""
        self._keep = keep
        if keep:
            self._worker.queue.close()
        else:
            self._worker.queue.cancel()

    def join(self) -> None:
        self._worker.join()  # joining a long file takes time

    def check(self) -> None:
        """Raise what went wrong, once it has."""
        error = self._worker.error
        if isinstance(error, SinkError):
            raise error
        if error is not None:
            raise SinkError(f"cannot write {self.writer.path}: {error}") from error

    def _made(self, shot: Shot) -> Shot:
        return shot if self._make is None else replace(shot, image=self._make(shot.image))

    def _fitted(self, shot: Shot) -> Shot:
        height, width = shot.image.shape[:2]
        if self._size is None or (width, height) == self._size:
            return shot
        if not self.notes:
            wanted = "x".join(map(str, self._size))
            self.notes.append(f"the size changes to {width}x{height} at frame {shot.seq}; scaled to fit into {wanted}")
        return replace(shot, image=fit_into(shot.image, *self._size))

    def _work(self) -> None:
        try:
            for shot in self._worker.items():
                self.writer.write(self._fitted(self._made(shot)))
            if self._keep:
                self.saved = self.writer.finish()
            else:
                self.writer.rescue()
        except BaseException:  # put or check raises it again
            self.writer.rescue()
            raise


class BatchSink(Sink):
    """Writes every composite into all tracks. All of them become complete, or none exists.

    Args:
        tracks: what is written.
        wanted: tells at the end whether the run came to the end of its input; if not, nothing is kept.
        seen: told how many frames of the file are done, after each.
        all_seen: told when these are all.
        waiting: called now and then while none comes.
        first: number in the file of the frame that comes first.
        start: number of the first that is wanted.
    """

    runs_on = "run"  # each track has a thread of its own

    def __init__(
        self,
        tracks: Sequence[Track],
        wanted: Callable[[], bool],
        seen: Callable[[int], None],
        *,
        all_seen: Callable[[int], None] = lambda frames: None,
        waiting: Callable[[], None] = lambda: None,
        first: int = 0,
        start: int = 0,
    ) -> None:
        self.tracks = list(tracks)
        self.frames = start
        self._wanted, self._seen = wanted, seen
        self._all_seen, self._waiting = all_seen, waiting
        self._first, self._start = first, start

    def open(self) -> None:
        for track in self.tracks:
            track.start()

    def write(self, composite: Composite) -> None:
        number = self._first + composite.seq
        if number < self._start:
            return
        for track in self.tracks:
            track.put(composite, number)
        self.frames = number + 1
        self._seen(self.frames)

    def idle(self) -> None:
        self._waiting()

    def close(self, *, failed: bool) -> None:
        keep = not failed and self._wanted()
        try:
            if keep:
                self._all_seen(self.frames)
        except BaseException:
            keep = False
            raise
        finally:
            for track in self.tracks:
                track.end(keep=keep)
            for track in self.tracks:
                track.join()
        for track in self.tracks:
            track.check()
