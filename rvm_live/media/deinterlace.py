"""Deinterlaces pictures with FFmpeg's yadif; progressive frames pass unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import av.error
import av.filter

__all__ = ["Deinterlacer"]


class Deinterlacer:
    """One picture out for each that goes in, with its time stamp and duration; a frame later from the first interlaced
    one on. Pictures of another size or kind begin anew."""

    def __init__(self) -> None:
        self._graph: Any = None
        self._kind: tuple[int, int, str] | None = None
        self._durations: list[Fraction] = []

    def push(self, frame: Any) -> Iterator[Any]:
        """Add a decoded frame; yields those that are ready.

        Raises:
            av.error.FFmpegError: they cannot be deinterlaced.
        """
        kind = (frame.width, frame.height, frame.format.name)
        if self._graph is not None and kind != self._kind:
            yield from self.flush()
        if self._graph is None:
            if not frame.interlaced_frame:
                yield frame
                return
            self._graph, self._kind = _graph(frame), kind
        self._durations.append(frame.duration * frame.time_base)
        self._graph.push(frame)
        yield from self._pulled(self._graph)

    def flush(self) -> Iterator[Any]:
        """Yield the remaining frames at the end.

        Raises:
            av.error.FFmpegError: likewise.
        """
        graph, self._graph = self._graph, None
        if graph is not None:
            graph.push(None)
            yield from self._pulled(graph)
        self._durations.clear()

    def _pulled(self, graph: Any) -> Iterator[Any]:
        while True:
            try:
                frame = graph.pull()
            except (BlockingIOError, EOFError, av.error.EOFError):
                return
            if self._durations:  # the filter counts in fields, and loses the durations
                frame.duration = round(self._durations.pop(0) / frame.time_base)
            yield frame


def _graph(frame: Any) -> Any:
    graph: Any = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format.name, time_base=frame.time_base
    )
    filtered = graph.add("yadif", "mode=send_frame:deint=interlaced")
    sink = graph.add("buffersink")
    source.link_to(filtered)
    filtered.link_to(sink)
    graph.configure()
    return graph
