"""Whole pictures out of interlaced ones, by FFmpeg's yadif; frames that are whole already pass by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import av
import av.error
import av.filter

__all__ = ["Deinterlacer"]


class Deinterlacer:
    """One picture out for each that goes in, with its time stamp; a frame later from the first interlaced one on."""

    def __init__(self) -> None:
        self._graph: Any = None

    def push(self, frame: Any) -> Iterator[Any]:
        """Take in a decoded frame; gives those that are ready."""
        if self._graph is None:
            if not frame.interlaced_frame:
                yield frame
                return
            self._graph = _graph(frame)
        self._graph.push(frame)
        yield from self._ready()

    def flush(self) -> Iterator[Any]:
        """What is still held back at the end."""
        graph, self._graph = self._graph, None
        if graph is not None:
            graph.push(None)
            yield from _pulled(graph)

    def _ready(self) -> Iterator[Any]:
        yield from _pulled(self._graph)


def _pulled(graph: Any) -> Iterator[Any]:
    while True:
        try:
            yield graph.pull()
        except (BlockingIOError, EOFError, av.error.EOFError):
            return


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
