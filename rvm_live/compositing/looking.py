"""Applies a look; its parts are loaded when first needed; a part that fails is reported and left out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rvm_live.backgrounds.base import Layer
from rvm_live.core.errors import MatteError, words_of
from rvm_live.core.frames import Matte
from rvm_live.core.look import Look
from rvm_live.core.notices import Notices

if TYPE_CHECKING:
    from rvm_live.compositing.edge import Edges
    from rvm_live.compositing.lighting import Glows, Lighting
    from rvm_live.compositing.matching import Matcher

__all__ = ["Looking"]


class Looking:
    """Edge and light of every frame; for the compositing thread. Imports nothing if no look is set.

    Args:
        notices: told of what fails.
        source_foreground: the camera's own colours are composed.

    Attributes:
        now: the look for this frame.
    """

    def __init__(self, notices: Notices, *, source_foreground: bool) -> None:
        self._notices, self._source_foreground = notices, source_foreground
        self.now = Look()
        self._moment_ns = 0
        self._edges: Edges | None = None
        self._glows: Glows | None = None
        self._matcher: Matcher | None = None

    def begin(self, look: Look, moment_ns: int) -> None:
        """Start a new frame."""
        self.now, self._moment_ns = look, moment_ns

    def edged(self, matte: Matte, *, inside: bool, as_made: bool) -> Matte:
        """The matte with its edge, as for :meth:`~rvm_live.compositing.edge.Edges.matte`.

        Raises:
            MatteError: it cannot be read.
        """
        if not self.now.edge:
            return matte
        if self._edges is None:
            from rvm_live.compositing.edge import Edges

            self._edges = Edges(source_foreground=self._source_foreground)
        try:
            return self._edges.matte(matte, self.now, as_made=as_made, inside=inside)
        except MatteError:
            raise
        except Exception as error:
            self.now = replace(self.now, grow=0.0, shrink=0.0, soften=0.0, despill=False)
            self._notices.fallback(f"the matte's edge failed ({words_of(error)}): it is shown unchanged")
            return matte

    def lighting(self, matte: Matte, layer: Layer, output: str, background: str) -> Lighting:
        """The light of the background on the person.

        Args:
            matte: of this frame, not yet moved.
            layer: what is behind.
            output: which picture it is for.
            background: its name.

        Raises:
            MatteError: the matte cannot be read.
        """
        from rvm_live.compositing.lighting import Glows, Lighting

        if self._glows is None:
            self._glows = Glows()
        table = self._table(matte, layer, output, background) if self.now.match else None
        return Lighting(self.now, self._glows, table)

    def _table(self, matte: Matte, layer: Layer, output: str, background: str) -> NDArray[np.uint8] | None:
        if self._matcher is None:
            from rvm_live.compositing.matching import Matcher

            self._matcher = Matcher()
        try:
            return self._matcher.table(matte, layer, output, background, self._moment_ns, self.now.match / 100)
        except MatteError:
            raise
        except Exception as error:
            self.now = replace(self.now, match=0.0)
            self._notices.fallback(f"matching failed ({words_of(error)}): the person keeps their own light")
            return None
