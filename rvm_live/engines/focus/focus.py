"""Runs the network only where the person is, and only when something has moved."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import cv2
import numpy as np

from rvm_live.core.arrays import Bytes, Floats
from rvm_live.core.errors import EngineError
from rvm_live.engines.focus.motion_gate import RECENT, MotionGate, frames_seen
from rvm_live.engines.focus.person_box import PersonBox
from rvm_live.engines.focus.region import Region, moved, placed, whole

__all__ = ["Focus", "Network"]

_MEAN = np.full((1, 3), 1 / 3, np.float32)


class Network(Protocol):
    """A low-resolution network at one size, with its recurrent state."""

    def run(self, picture: Bytes) -> Sequence[Floats]:
        """Advance by a picture (h, w, 3) BGR; returns slope and offset of alpha, float32 (h, w): alpha in grey levels
        is ``slope * mean(picture) + offset``; perhaps those of the foreground, (h, w, 3), or more planes that are 0
        where nobody is."""

    def reset(self) -> None:
        """Forget everything."""

    states: list[Floats]
    """Copies of the recurrent state, each (1, C, h, w) at a power of two of the size; may be set."""


class Focus:
    """Runs a network over pictures of one size, with less work than seeing all of each.

    Args:
        size: width and height of the small pictures.
        at: the network at a width and height, at once; another object for the same size from some time on, where a
            quicker one has been made meanwhile. Its state is set here.
        box: run on a box around the person only (:class:`~rvm_live.engines.focus.person_box.PersonBox`).
        gate: run only when something has moved (:class:`~rvm_live.engines.focus.motion_gate.MotionGate`).
    """

    def __init__(
        self, size: tuple[int, int], at: Callable[[tuple[int, int]], Network], *, box: bool, gate: bool
    ) -> None:
        self.size = size
        self._at = at
        self._box = PersonBox(size) if box else None
        self._gate = MotionGate() if gate else None
        self._region = whole(size)
        self._network = at(size)
        self._ran: deque[bool] = deque(maxlen=RECENT)
        self._last: tuple[Sequence[Floats], list[Floats]] = ([], [])
        self._network.reset()

    def reset(self) -> None:
        """Forget everything: the network sees the next picture as a whole."""
        self._region = whole(self.size)
        self._network = self._at(self.size)
        self._network.reset()
        for part in (self._box, self._gate):
            if part is not None:
                part.reset()
        self._ran.clear()

    def run(self, picture: Bytes) -> list[Floats]:
        """Advance by a picture.

        Args:
            picture: uint8 (h, w, 3) BGR, of the size.

        Returns:
            The linear model of the whole picture (:class:`Network`); its memory is good until the next run. The very
            same list as before where nothing moved.
        """
        if self._box is None and self._gate is None:
            self._use(self._region)
            return list(self._network.run(picture))
        grey = np.asarray(cv2.transform(picture, _MEAN))
        region = self._region if self._box is None else self._box.look(grey)
        part = np.ascontiguousarray(grey[region.slices])
        model: Sequence[Floats] | None = None
        if self._gate is not None and region == self._region:
            model = self._gate.again(part)
        self._ran.append(model is None)
        if model is None:
            self._use(region)
            model = list(self._network.run(np.ascontiguousarray(picture[region.slices])))
        alpha = model[0] * part + model[1]
        if self._gate is not None and not self.spared:
            self._gate.ran(part, model, alpha)
        if self._box is not None:
            self._box.found(alpha)
        if model is not self._last[0]:
            self._last = model, placed(model, region, self.size)
        return self._last[1]

    @property
    def spared(self) -> bool:
        """Whether the network did not run on the last picture."""
        return bool(self._ran) and not self._ran[-1]

    def _use(self, region: Region) -> None:
        """Look at a region from now on, with what is remembered of it."""
        network = self._at(region.size)
        if network is not self._network or region != self._region:
            network.states = moved(self._network.states, self._region, region)
        self._network, self._region = network, region

    @property
    def words(self) -> str:
        """The part that the network sees now, such as ``box 60 %, 1 of 2 frames``; empty if it sees all."""
        told = []
        share = self._region.area / (self.size[0] * self.size[1])
        if share < 1:
            told.append(f"box {share:.0%}".replace("%", " %"))
        return ", ".join(filter(None, (*told, frames_seen(list(self._ran)))))

    @property
    def states(self) -> list[Floats]:
        """Copies of all that is remembered: the network's state, (1, C, h, w) each, as the whole picture has it, then
        what else there is, in fewer dimensions."""
        network = moved(self._network.states, self._region, whole(self.size))
        if self._box is None and self._gate is None:
            return network
        box = [] if self._box is None else self._box.memory
        gate = [] if self._gate is None else self._gate.memory
        return [*network, *box, *gate, np.array([*self._region, len(box), len(gate)], np.float32)]

    def go_on(self, states: Sequence[Floats]) -> None:
        """Restore :attr:`states`. The network's own states are enough: then it sees the whole picture again, until the
        person is found in it.

        Raises:
            EngineError: they come from other options.
        """
        self.reset()
        network, memory = ([each for each in states if (each.ndim == 4) == own] for own in (True, False))
        self._network.states = network
        if not memory or (self._box is None and self._gate is None):
            return
        *region, boxes, gates = (int(each) for each in memory[-1])
        if bool(boxes) != (self._box is not None) or bool(gates) != (self._gate is not None):
            raise EngineError("the state does not fit this engine")
        if self._box is not None:
            self._box.remember(memory[:boxes])
        if self._gate is not None:
            self._gate.remember(memory[boxes:-1])
        self._use(Region(*region))
