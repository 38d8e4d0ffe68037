"""Where the person is in the picture: followed, or moved and scaled by hand.

All positions are parts of the picture's width and height, from the upper left. A :class:`Placement` says
which point of the frame lies in the middle of the picture, and how much larger the frame is than the picture.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.framing import LARGEST, SMALLEST, Framing

__all__ = ["WHOLE", "Box", "Follower", "Placement", "coarse", "people_in", "placed", "within"]

TALL, WIDE = 0.8, 0.9
"""Shares of the picture that all people together take at zoom 1: of its height, or of its width if that is less."""
DEAD = 0.06
"""A centre that is off by less than this share of the picture stays where it is; so does a size that is off by less
than twice that."""
SPEED, GROWTH = 0.5, 0.5
"""Maximum speed of the centre, in pictures per second, and of the logarithm of the scale, per second."""
SMOOTH_S = 0.45
"""Time that a move takes, about, seconds."""
PATIENCE_NS = 2_000_000_000
"""How long nobody must be seen before the whole frame is shown again."""
_LONGEST_S = 0.1
_THERE = 2e-4
_SEEN = 96
_SPECK = 0.04


class Placement(NamedTuple):
    """Where the frame lies under the picture.

    Attributes:
        scale: of the frame; 1: as large as the picture.
        x: point of the frame, from its left, that lies in the middle of the picture.
        y: likewise, from its top.
    """

    scale: float
    x: float
    y: float


WHOLE = Placement(1.0, 0.5, 0.5)


class Box(NamedTuple):
    """The box around all people in the frame."""

    left: float
    top: float
    right: float
    bottom: float


def people_in(alpha: NDArray[np.uint8]) -> Box | None:
    """The box around all people; None if nobody is seen. Small specks do not count.

    Args:
        alpha: uint8 (h, w), coarse: some tens of pixels each way will do.
    """
    mask = cv2.threshold(alpha, 95, 255, cv2.THRESH_BINARY)[1]
    count, _, found, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count < 2:
        return None
    areas = found[1:, cv2.CC_STAT_AREA]
    people = found[1:][areas >= max(2, _SPECK * areas.max())]
    if not len(people):
        return None
    height, width = alpha.shape
    left, top = people[:, cv2.CC_STAT_LEFT], people[:, cv2.CC_STAT_TOP]
    return Box(
        float(left.min()) / width,
        float(top.min()) / height,
        float((left + people[:, cv2.CC_STAT_WIDTH]).max()) / width,
        float((top + people[:, cv2.CC_STAT_HEIGHT]).max()) / height,
    )


def coarse(alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Alpha at a size that is enough to find people, uint8 (h, w)."""
    height, width = alpha.shape
    share = min(1.0, _SEEN / max(height, width))
    size = max(1, round(width * share)), max(1, round(height * share))
    step = max(1, int(0.25 / share))  # sampled: a mean over every pixel takes twenty times as long
    return np.asarray(cv2.resize(np.array(alpha[::step, ::step]), size, interpolation=cv2.INTER_AREA), np.uint8)


def placed(framing: Framing, box: Box | None) -> Placement:
    """The placement that the framing asks for, without smoothing.

    A person cut off by the frame's edge stays at the picture's edge, so that nobody floats.

    Args:
        framing: the wanted framing.
        box: of all people, if they are followed; None: the whole frame counts.
    """
    right, down = framing.shift
    if not framing.follow or box is None:
        return Placement(framing.zoom, 0.5 - right / framing.zoom, 0.5 - down / framing.zoom)
    cut = box.left <= 0, box.top <= 0, box.right >= 1, box.bottom >= 1
    scale = framing.zoom * min(TALL / (box.bottom - box.top), WIDE / (box.right - box.left))
    least = 1.0 if (cut[0] and cut[2]) or (cut[1] and cut[3]) else SMALLEST
    scale = min(max(scale, least), LARGEST)
    x = (box.left + box.right) / 2 - right / scale
    y = (box.top + box.bottom) / 2 - down / scale
    return Placement(scale, _held(x, scale, cut[0], cut[2]), _held(y, scale, cut[1], cut[3]))


def within(placement: Placement) -> Placement:
    """The nearest placement at which the frame covers the whole picture: used when the room is visible."""
    scale = max(placement.scale, 1.0)
    return Placement(scale, _held(placement.x, scale, True, True), _held(placement.y, scale, True, True))


def _held(middle: float, scale: float, from_first: bool, to_last: bool) -> float:
    """The middle, moved so that the frame's edges are not inside the picture."""
    reach = 0.5 / scale
    if from_first and to_last and reach > 0.5:
        return 0.5
    middle = max(middle, reach) if from_first else middle
    return min(middle, 1 - reach) if to_last else middle


class Follower:
    """Moves the placement as a calm camera operator would: not for small changes, smoothly, and with limited speed.

    Args:
        framing: the wanted framing.
    """

    def __init__(self, framing: Framing) -> None:
        self.framing = framing
        self._now: list[float] | None = None  # log of the scale, x, y
        self._speed = [0.0, 0.0, 0.0]
        self._goal = WHOLE
        self._epoch = -1
        self._moment_ns = self._seen_ns = 0
        self._asked: Framing | None = None

    def placement(self, box: Box | None, epoch: int, moment_ns: int) -> Placement:
        """Where the frame lies now.

        Args:
            box: of all people in it; None where nobody is seen, or where nobody is followed.
            epoch: of the frame; another one may be another scene.
            moment_ns: nanoseconds; those of later frames are later.
        """
        framing = Framing(self.framing.follow, self.framing.zoom, self.framing.shift)
        passed_s = min(max(moment_ns - self._moment_ns, 0) / 1e9, _LONGEST_S)
        self._moment_ns = moment_ns
        if box is not None or not framing.follow:
            self._seen_ns = moment_ns
        wanted = placed(framing, box)
        if box is None and framing.follow and moment_ns - self._seen_ns < PATIENCE_NS and self._now is not None:
            wanted = self._goal  # the person is hidden for a moment, behind a chair perhaps: keep the goal
        changed = framing != self._asked
        if changed or _apart(wanted, self._goal):
            self._goal = wanted
            # A new scene begins at its goal at once; but when following has just been switched on, the view moves there
            # smoothly.
            if self._now is None or (epoch != self._epoch and not changed):
                self._now, self._speed = [math.log(wanted.scale), wanted.x, wanted.y], [0.0] * 3
        self._epoch, self._asked = epoch, framing
        assert self._now is not None
        goal = math.log(self._goal.scale), self._goal.x, self._goal.y
        limits = GROWTH, SPEED / self._goal.scale, SPEED / self._goal.scale
        for which in range(3):
            self._now[which], self._speed[which] = _nearer(
                self._now[which], goal[which], self._speed[which], limits[which], passed_s
            )
        return Placement(math.exp(self._now[0]), self._now[1], self._now[2])


def _apart(one: Placement, other: Placement) -> bool:
    """Whether the distance is large enough to move."""
    off = max(abs(one.x - other.x), abs(one.y - other.y)) * other.scale
    return off > DEAD or abs(math.log(one.scale / other.scale)) > 2 * DEAD


def _nearer(now: float, goal: float, speed: float, limit: float, passed_s: float) -> tuple[float, float]:
    """A critically damped spring whose speed is limited (Lowe, Game Programming Gems 4, 2004, chapter 1.10).

    Returns:
        Where it is ``passed_s`` later, and how fast.
    """
    if passed_s <= 0:
        return now, speed
    omega = 2 / SMOOTH_S
    step = omega * passed_s
    decay = 1 / (1 + step + 0.48 * step**2 + 0.235 * step**3)
    apart = min(max(now - goal, -limit * SMOOTH_S), limit * SMOOTH_S)
    aim = now - apart
    change = (speed + omega * apart) * passed_s
    later = aim + (apart + change) * decay
    if (goal > now) == (later > goal):  # it must not overshoot
        return goal, 0.0
    return (goal, 0.0) if abs(later - goal) < _THERE else (later, (speed - omega * change) * decay)
