"""An output that comes and goes while the run goes on."""

from __future__ import annotations

from collections.abc import Callable

from rvm_live.pipeline.pipeline import Pipeline
from rvm_live.sinks.base import Sink

__all__ = ["OutputSwitch"]


class OutputSwitch:
    """One place for a sink, made from words such as a device's name.

    Args:
        make: words -> a sink, not open yet; raises :class:`~rvm_live.core.errors.SettingsError` for those that mean
            none.
        pipeline: the run that it is an output of; asked when something changes.
        first: words of a sink that the run had from its beginning, and that sink.
    """

    def __init__(
        self, make: Callable[[str], Sink], pipeline: Callable[[], Pipeline], first: tuple[str, Sink] | None = None
    ) -> None:
        self._make, self._pipeline = make, pipeline
        self._words: str = "" if first is None else first[0]
        self._sink: Sink | None = None if first is None else first[1]
        self._ready: tuple[str, Sink] | None = None

    @property
    def words(self) -> str | None:
        """Of the sink that works, or is about to; None where there is none, or where it has failed."""
        return self._words if self._sink is not None and self._pipeline().outputs.has(self._sink) else None

    def check(self, words: str) -> str:
        """Find out whether they mean a sink.

        Raises:
            SettingsError: they do not.
        """
        if words != self.words:
            self._ready = words, self._make(words)
        return words

    def use(self, words: str | None) -> None:
        """Have that sink in the place of the one before, or none; what fails when it is opened is told."""
        if words == self.words:
            return
        ready, self._ready = self._ready, None
        outputs, before = self._pipeline().outputs, self._sink
        if before is not None:
            outputs.remove(before)
        self._words, self._sink = "", None
        if words is not None:
            sink = ready[1] if ready is not None and ready[0] == words else self._make(words)
            outputs.add(sink)
            self._words, self._sink = words, sink
