"""Decides whether the network has to run on a frame, or its last result, moved with the picture, is enough."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from fractions import Fraction

import cv2
import numpy as np

from rvm_live.core.arrays import Bytes, Floats
from rvm_live.engines.focus.person_box import SETTLE

__all__ = ["MOST_SKIPPED", "MOST_STILL", "MOVED", "RECENT", "STILL", "MotionGate", "StillGate", "frames_seen"]

MOVED = 0.03
"""Share of the person that must have moved since the network last ran before it runs again."""
STILL = 0.002
"""The same as a share of the picture, if the person's size is unknown: 1 % of a person who fills a fifth of it."""
MOST_SKIPPED = 2
"""Consecutive frames for which the network may be skipped."""
MOST_STILL = 30
"""The same while no pixel has changed by more than noise since it ran."""
_SIDE = 320
"""Longer side of the picture on which a :class:`StillGate` looks for motion."""
RECENT = MOST_STILL + 1
"""Number of recent frames for the statistics of how often it ran."""
_NOISE = 6
"""Grey levels by which a smoothed pixel may differ without having moved."""
_CALM = 3
"""The same when no pixel may have moved: a person hardly brighter than the room changes pixels by only a few levels."""
_PERSON, _TRACE = 20, 5
"""Grey levels of alpha from which on a pixel counts as person, and from which on it may be person at all."""
_NEAR = np.ones((9, 9), np.uint8)


class MotionGate:
    """Keeps the network's last result, and uses it for the next frames as long as almost nothing moves.

    Alpha is a linear model of the picture, so that the edge follows the picture's own; the model itself is moved with
    the picture by optical flow (DIS, Kroeger et al., ECCV 2016). Where an old model meets a new picture, a bright pixel
    far away may come out as person: alpha is 0 wherever it was not near the person before.

    The network always sees the first frames, because its memory has to fill. All motion in the box counts, also that of
    pixels which are not person yet: somebody may come in.

    Motion is measured against the picture that the network saw last, not the previous frame: so slow movements add up.
    """

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self.reset()

    def reset(self) -> None:
        """Run the network on the next frame."""
        self._seen: Bytes | None = None
        self._model: list[Floats] = []
        self._near: Floats = np.zeros((0, 0), np.float32)
        self._size = 0
        self._skipped = self._runs = 0
        self._masked: list[Floats] | None = None

    def again(self, grey: Bytes) -> list[Floats] | None:
        """The model for a frame that the network need not see, the very same as long as nothing moves; None where it
        must.

        Args:
            grey: brightness of the box, uint8 (h, w).
        """
        seen = self._seen
        if self._runs < SETTLE or seen is None or seen.shape != grey.shape or self._size == 0:
            return None
        calm = cv2.GaussianBlur(grey, (5, 5), 0)
        moved = _moved(calm, seen, self._skipped)
        if moved is None or moved >= MOVED * self._size:
            return None
        self._skipped += 1
        if moved:
            return self._near_the_person(self._taken_along(calm, seen))
        if self._masked is None:
            self._masked = self._near_the_person(self._model)
        return self._masked

    def ran(self, grey: Bytes, model: Sequence[Floats], alpha: Floats) -> None:
        """Store what the network found.

        Args:
            grey: as for :meth:`again`.
            model: slope and offset of alpha (h, w), perhaps of the foreground (h, w, 3), or more planes of what is near
                the person; copied.
            alpha: float32 (h, w), grey levels 0-255; may be beyond.
        """
        self._seen = cv2.GaussianBlur(grey, (5, 5), 0)
        self._model = [np.array(part) for part in model]
        self._near = cv2.dilate(np.asarray(alpha > _TRACE, np.uint8), _NEAR).astype(np.float32)
        self._size = cv2.countNonZero(cv2.dilate(np.asarray(alpha > _PERSON, np.uint8), _NEAR))
        self._skipped = 0
        self._runs += 1
        self._masked = None

    def _near_the_person(self, model: Sequence[Floats]) -> list[Floats]:
        return [part * self._near if part.ndim == 2 else part for part in model]

    def _taken_along(self, now: Bytes, seen: Bytes) -> list[Floats]:
        """The model, with each pixel moved along from where it was when the network saw it."""
        flow = self._flow.calc(now, seen, None)
        flow[..., 0] += np.arange(now.shape[1], dtype=np.float32)
        flow[..., 1] += np.arange(now.shape[0], dtype=np.float32)[:, None]
        how = {"interpolation": cv2.INTER_LINEAR, "borderMode": cv2.BORDER_REPLICATE}
        return [np.asarray(cv2.remap(part, flow, None, **how)) for part in self._model]

    @property
    def memory(self) -> list[Floats]:
        """The whole remembered state."""
        seen = np.zeros((0, 0), np.float32) if self._seen is None else self._seen.astype(np.float32)
        return [np.array([self._size, self._skipped, self._runs], np.float32), seen, self._near, *self._model]

    def remember(self, memory: Sequence[Floats]) -> None:
        """Restore a state from :attr:`memory`."""
        self._size, self._skipped, self._runs = (int(each) for each in memory[0])
        self._seen = memory[1].astype(np.uint8) if memory[1].size else None
        self._near, self._model, self._masked = memory[2], list(memory[3:]), None


class StillGate:
    """For a network whose model stays on its device: tells whether next to nothing has moved since it ran.

    What it found is then put on the next frame as it is, so the picture has to be stiller than for a
    :class:`MotionGate`. Nothing of the frame goes to the device for it, and nothing comes back.
    """

    def __init__(self) -> None:
        self._ran: deque[bool] = deque(maxlen=RECENT)
        self.reset()

    def reset(self) -> None:
        """Run the network on the next frame."""
        self._seen: Bytes | None = None
        self._skipped = self._runs = 0
        self._ran.clear()

    def still(self, image: Bytes) -> bool:
        """Whether the network need not see a frame, uint8 (H, W, 3) BGR; if not, it is taken to see it."""
        scale = min(1.0, _SIDE / max(image.shape[:2]))
        size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
        grey = cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), cv2.COLOR_BGR2GRAY)
        calm = cv2.GaussianBlur(grey, (5, 5), 0)
        seen = self._seen
        still = False
        if self._runs >= SETTLE and seen is not None and seen.shape == calm.shape:
            moved = _moved(calm, seen, self._skipped)
            still = moved is not None and moved < STILL * calm.size
        if still:
            self._skipped += 1
        else:
            self._seen, self._skipped, self._runs = calm, 0, self._runs + 1
        self._ran.append(not still)
        return still

    @property
    def words(self) -> str:
        """As ``1 of 2 frames``; empty while that is all."""
        return frames_seen(self._ran)


def _moved(now: Bytes, seen: Bytes, skipped: int) -> int | None:
    """How many pixels of a smoothed picture have moved since the network ran, ``skipped`` frames ago; None where it has
    to run whatever has."""
    apart = cv2.absdiff(now, seen)
    if skipped >= MOST_SKIPPED and (skipped >= MOST_STILL or cv2.minMaxLoc(apart)[1] > _CALM):
        return None
    return int(cv2.countNonZero(cv2.threshold(apart, _NOISE, 1, cv2.THRESH_BINARY)[1]))


def frames_seen(ran: Collection[bool]) -> str:
    """Of the last frames, each seen or not, in how many: ``1 of 2 frames``; empty if it sees all."""
    if not ran or all(ran):
        return ""
    part = Fraction(sum(ran), len(ran))
    part = part.limit_denominator(MOST_SKIPPED + 1) if part * (MOST_SKIPPED + 1) >= 1 else Fraction(1, round(1 / part))
    return f"{part.numerator} of {part.denominator} frames" if part < 1 else ""
