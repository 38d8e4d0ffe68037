"""The low-resolution result of an engine on the CPU, and its full-size form, computed when it is first needed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np

from rvm_live.core.arrays import Bytes, Floats
from rvm_live.finishing import one_pass
from rvm_live.finishing.compiled import kernels
from rvm_live.finishing.light import NO_LIGHT, Light

__all__ = ["Common", "Estimate", "Found", "Reference", "Steadier"]


class Found(NamedTuple):
    """The linear model, float32 of a size of its own, grey levels: alpha is ``slope * mean(picture) + offset``.

    Attributes:
        slope: (h, w).
        offset: (h, w).
        colour_slope: the person's colours are ``colour_slope * picture + colour_offset``, (h, w, 3) BGR, or None.
        colour_offset: likewise.
        difference: the person's colour minus the room's, (h', w', 3) BGR, or None: the person's colours are then
            ``picture + (1 - alpha) * difference``.
    """

    slope: Floats
    offset: Floats
    colour_slope: Floats | None = None
    colour_offset: Floats | None = None
    difference: Floats | None = None


class Common:
    """Results shared by frames between which nothing moved, once they are computed for one of them.

    Attributes:
        found: the model.
        alpha: uint8 (H, W), averaged over time; without the camera's noise.
    """

    def __init__(self, found: Found | None = None) -> None:
        self.found = found
        self.alpha: Bytes | None = None


class Reference(Protocol):
    """Brings a model to full size with OpenCV; may be asked on any thread."""

    def alpha(self, image: Bytes, found: Found) -> Bytes:
        """Alpha, uint8 (H, W), a new array."""

    def colour(self, image: Bytes, alpha: Bytes, found: Found) -> Bytes:
        """uint8 (H, W, 3) BGR, a new array; called only if the model has colours."""


class Steadier(Protocol):
    """Mixes alpha with that of the frame before. It alone remembers that, and takes frames in their order.

    Its lock is held around ``before``, ``settled`` and what lies between them.
    """

    lock: threading.RLock

    def before(self, turn: Any, shape: tuple[int, int]) -> tuple[Bytes, Floats] | None:
        """The alpha before, uint8 (H, W), and how much of it is kept, float32 (h', w'); None: nothing of it."""

    def mixed(self, alpha: Bytes, before: Bytes, kept: Floats) -> Bytes:
        """Alpha mixed with that share of the previous one, by OpenCV."""

    def settled(self, turn: Any, alpha: Bytes) -> None:
        """Take the mixed alpha, for the next frame."""


class Estimate:
    """Alpha and colours that are worked out when they are first asked for, once, on the thread that asks.

    Args:
        image: the frame's, uint8 (H, W, 3) BGR.
        find: returns the model; called once. The arrays that it uses must not change until then.
        reference: computes it without the kernels.
        raw: the network's own result, in which NaN and infinity can be found.
        common: shared with earlier frames if nothing has moved since; None: nothing is shared.
    """

    def __init__(
        self,
        image: Bytes,
        find: Callable[[], Found],
        reference: Reference,
        raw: Floats,
        common: Common | None = None,
    ) -> None:
        self.image = image
        self._common = Common() if common is None else common
        self._turn: Any = None
        self._find, self._reference, self._raw = find, reference, raw
        self._steadier: Steadier | None = None
        self._lock = threading.RLock()
        self._colour: Bytes | None = None

    @property
    def shape(self) -> tuple[int, int]:
        return self.image.shape[0], self.image.shape[1]

    @property
    def finite(self) -> bool:
        """Whether all values of the network's result are finite."""
        return bool(np.isfinite(self._raw).all())

    def steadied_by(self, steadier: Steadier, turn: Any) -> None:
        """Mix alpha with that of the previous frame; to be called before alpha is first read.

        Args:
            steadier: does it.
            turn: what it knows the frame by.
        """
        self._steadier, self._turn, self._lock = steadier, turn, steadier.lock

    @property
    def found(self) -> Found:
        """The model.

        Raises:
            ValueError: its parts do not fit each other.
        """
        with self._lock:
            if self._common.found is None:
                self._common.found = _fitting(self._find())
            return self._common.found

    def weigh(self, weights: Floats) -> None:
        """Multiply alpha by these weights; to be called before alpha is first read.

        Args:
            weights: float32 (h', w'), 0 to 1.
        """
        with self._lock:
            found = self.found
            share = cv2.resize(weights, found.slope.shape[::-1], interpolation=cv2.INTER_LINEAR)
            self._common = Common(found._replace(slope=found.slope * share, offset=found.offset * share))

    @property
    def alpha(self) -> Bytes:
        """Alpha, uint8 (H, W); values below the least alpha are kept."""
        with self._lock:
            if self._common.alpha is None:
                before = self._before()
                made = one_pass.alpha_of(self.image, self.found, before)
                if made is None:
                    made = self._reference.alpha(self.image, self.found)
                    if before is not None and self._steadier is not None:
                        made = self._steadier.mixed(made, *before)
                self._settle(made)
                return made
            return self._common.alpha

    @property
    def colour(self) -> Bytes | None:
        """The person's colours, uint8 (H, W, 3) BGR; where alpha is 0 they have no meaning. None: the picture's own."""
        with self._lock:
            if self._colour is None and self.coloured:
                alpha, found = self.alpha, self.found
                made = one_pass.made_of(self.image, alpha, one_pass.COLOURS, None, found)
                self._colour = self._reference.colour(self.image, alpha, found) if made is None else made
            return self._colour

    @property
    def coloured(self) -> bool:
        return self.found.colour_slope is not None or self.found.difference is not None

    def made(
        self,
        kind: int,
        plate: Bytes | None,
        workers: one_pass.Workers,
        *,
        source: bool,
        light: Light = NO_LIGHT,
    ) -> Bytes | None:
        """The finished picture, and alpha with it, made by the kernels; None without them.

        Args:
            kind: ``OVER`` or ``STRAIGHT``, of :mod:`~rvm_live.finishing.one_pass`.
            plate: what is behind, uint8 (H, W, 3) BGR, for ``OVER``.
            workers: threads that share the work.
            source: the picture's own colours.
            light: of the background, for ``OVER``.
        """
        if kernels.module is None:
            return None
        with self._lock:
            found = self.found
            known, own = self._common.alpha, None if source else found
            if known is not None:
                return one_pass.made_of(self.image, known, kind, plate, own, workers, light)
            made = one_pass.all_of(self.image, found, self._before(), kind, plate, workers, source=source, light=light)
            if made is not None:
                self._settle(made[0])
            return None if made is None else made[1]

    def _before(self) -> tuple[Bytes, Floats] | None:
        return None if self._steadier is None else self._steadier.before(self._turn, self.shape)

    def _settle(self, alpha: Bytes) -> None:
        self._common.alpha = alpha
        if self._steadier is not None:
            self._steadier.settled(self._turn, alpha)


def _fitting(found: Found) -> Found:
    parts = [None if part is None else np.ascontiguousarray(part, np.float32) for part in found]
    shapes = [None if part is None else part.shape for part in parts]
    low = found.slope.shape
    own = shapes[4] is None or (len(shapes[4]) == 3 and shapes[4][2] == 3)
    if len(low) != 2 or shapes[1] != low or {*shapes[2:4]} not in ({None}, {(*low, 3)}) or not own:
        raise ValueError(f"the parts of the model do not fit together: {shapes}")
    return Found(*parts)  # type: ignore[arg-type]
