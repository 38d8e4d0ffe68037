"""An engine that keeps things of the room in its mattes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from rvm_live.core import transfer
from rvm_live.core.arrays import Bytes
from rvm_live.core.clock import SYSTEM_CLOCK
from rvm_live.core.errors import EngineError
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.notices import Notices
from rvm_live.core.things import Things
from rvm_live.engines.base import Engine, States
from rvm_live.engines.delegating import DelegatingEngine
from rvm_live.engines.things import rooms
from rvm_live.engines.things.mask import RoomWatch, things_in

__all__ = ["ThingsEngine"]


class ThingsEngine(DelegatingEngine):
    """Gives the mattes of another engine with the things in them, where that is asked for; else as they are.

    Alpha is that of the person or of the things, whichever is more; the colours of things are the frame's own. Where
    the camera has moved, or the things have, they are left out until they are back, and both is told.

    Args:
        inner: any engine.
        asked: may be changed at any time.
        label: of the camera in use, as its source names it; empty while that is not known.
        notices: told what is missing and what has moved.
    """

    def __init__(self, inner: Engine, asked: Things, label: Callable[[], str], notices: Notices) -> None:
        super().__init__(inner)
        self._asked, self._label, self._notices = asked, label, notices
        self._for: tuple[str, int, int] | None = None
        self._mask: Bytes | None = None
        self._watch: RoomWatch | None = None
        self._on_device: Any = None
        self._memory: States | None = None

    def reset(self) -> None:
        self._inner.reset()
        if self._watch is not None:  # the new scene may be another room
            self._watch.begin()

    def states(self) -> States | None:
        own = self._inner.states()
        return None if own is None else [*own, np.zeros(0, np.float32) if self._watch is None else self._watch.memory]

    def restore(self, states: States) -> None:
        if not states or states[-1].ndim != 1:
            raise EngineError("the state does not fit this engine")
        self._inner.restore(states[:-1])
        self._memory, self._for = states[-1:], None

    def matte(self, frame: Frame) -> Matte:
        return self._with(self._inner.matte(frame))

    def matte_chunk(self, frames: Sequence[Frame]) -> list[Matte]:
        return [self._with(matte) for matte in self._inner.matte_chunk(frames)]

    def _with(self, matte: Matte) -> Matte:
        asked, chair, before = self._asked, self._asked.chair, matte.lasting
        if chair != "keep":
            self._for = None
            return matte.but(lasting=lambda: (before is None or before()) and asked.chair == chair)
        matte.check()
        frame = matte.frame
        if self._for != (wanted := (self._label(), frame.width, frame.height)):
            self._for = wanted
            self._begin(*wanted)
        made = matte
        if self._watch is not None and self._mask is not None:
            trouble = self._watch.trouble
            self._watch.look(frame.image, self._alpha_of(matte))
            if self._watch.trouble != trouble:
                self._tell(self._watch.trouble)
            if not self._watch.trouble:
                made = self._joined(matte, self._mask)
        # The watch must see every frame, even while the picture stands still.
        return made.but(lasting=lambda: False)

    def _begin(self, label: str, width: int, height: int) -> None:
        self._watch = self._mask = self._on_device = None
        if not label:
            self._for = None
            return
        room = rooms.load(label)
        if room is None or room.things is None:
            self._notices.again(
                f"no things of the room are kept, because there are no pictures of it from {label}: {_HOW}"
            )
            return
        if abs(room.empty.shape[1] * height - room.empty.shape[0] * width) > 0.01 * room.empty.shape[1] * height:
            self._notices.again(
                "no things of the room are kept, because its pictures have another aspect ratio than the "
                f"frames: {_HOW}"
            )
            return
        empty, things = (cv2.resize(each, (width, height), interpolation=cv2.INTER_AREA) for each in _both(room))
        if self._asked.mirrored:
            empty, things = cv2.flip(empty, 1), cv2.flip(things, 1)
        self._mask = things_in(empty, things)
        self._watch = RoomWatch(empty, things, self._mask)
        if self._memory is not None:
            self._watch.remember(self._memory[0])
            self._memory = None

    def _tell(self, trouble: str) -> None:
        if trouble:
            self._notices.again(f"{trouble}: no things of the room are kept until the picture is as before; or {_HOW}")
        else:
            self._notices.news("the room is as in its pictures again: its things are kept")

    def _alpha_of(self, matte: Matte) -> Bytes:
        """The person's alpha on the host, small where it lies on a device."""
        if matte.deferred is not None or isinstance(matte.alpha, np.ndarray) or matte.alpha.device.type == "cpu":
            return matte.host().alpha
        alpha = matte.tensor(matte.alpha.device).alpha
        return transfer.download(alpha[::8, ::8].contiguous())

    def _joined(self, matte: Matte, mask: Bytes) -> Matte:
        """The matte with what the mask adds."""
        if matte.deferred is None and not isinstance(matte.alpha, np.ndarray) and matte.alpha.device.type != "cpu":
            return self._joined_on_device(matte, mask)
        host = matte.host()
        colour = np.array(host.colour)
        cv2.copyTo(matte.frame.image, cv2.compare(mask, host.alpha, cv2.CMP_GT), colour)
        return Matte(
            matte.frame,
            cv2.max(host.alpha, mask),
            colour,
            started_ns=matte.started_ns,
            finished_ns=SYSTEM_CLOCK.now_ns(),
            spared=matte.spared,
        )

    def _joined_on_device(self, matte: Matte, mask: Bytes) -> Matte:
        import torch

        device = matte.alpha.device
        if self._on_device is None:
            self._on_device = transfer.upload(mask, device)
        known = matte.tensor(device)
        more = self._on_device > known.alpha
        alpha = torch.maximum(known.alpha, self._on_device)
        colour = torch.where(more[..., None], known.image, known.colour)
        return matte.but(alpha=alpha, foreground=colour, image=known.image, ready=transfer.mark(device))


_HOW = "take them with `rvm-live room --record`"


def _both(room: rooms.Room) -> tuple[Bytes, Bytes]:
    assert room.things is not None
    return room.empty, room.things
