"""What travels between the stages: Frame -> Matte -> Composite.

All three are frozen. Everything carries ``seq`` (counts captured frames from 0), ``epoch`` (changes whenever
the recurrent state must start anew) and ``captured_ns`` (monotonic, taken at grab, before decoding).

Pixel conventions: colour is BGR on the last axis, rows first. ``uint8`` is 0-255, floating point is 0-1.
Colour of a foreground is straight (not premultiplied by alpha).

Everything made from a matte uses its 8-bit form, which is only made here: alpha below :data:`LEAST_ALPHA` is 0 in
it, and so is the foreground there, because such pixels show almost only the room.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rvm_live.core import transfer
from rvm_live.core.deferred import MadeWhenRead, OfTheEstimate
from rvm_live.core.errors import MatteError, SettingsError, words_of

if TYPE_CHECKING:
    import torch

    from rvm_live.finishing.estimate import Estimate

__all__ = ["LEAST_ALPHA", "Composite", "Frame", "HostMatte", "Matte", "Stamps", "TensorMatte", "check_picture"]

LEAST_ALPHA = 8
"""Smallest alpha, of 255, that counts as person."""


@dataclass(frozen=True, repr=False)
class Frame:
    """One captured picture.

    Attributes:
        image: uint8 (H, W, 3) BGR, C-contiguous; read-only by convention.
        seq: number of the frame, counted at capture from 0 without gaps.
        epoch: generation of the recurrent state it belongs to.
        captured_ns: monotonic time of the grab, before decoding.
        media_ns: position in the file, nanoseconds, or None for a live source.
        repeated: the picture is byte for byte that of the frame before, and the same array (a still, a slow camera).
        duration_ns: how long it is shown, nanoseconds, if the file says so.
    """

    image: NDArray[np.uint8]
    seq: int
    epoch: int
    captured_ns: int
    media_ns: int | None = None
    repeated: bool = False
    duration_ns: int | None = None

    @property
    def height(self) -> int:
        return int(self.image.shape[0])

    @property
    def width(self) -> int:
        return int(self.image.shape[1])

    def at(self, x: float, y: float) -> tuple[float, float]:
        """The place in the captured picture of a place in this one, as parts of its width and height."""
        return x, y

    def __repr__(self) -> str:
        return f"Frame(seq={self.seq}, epoch={self.epoch}, {self.width}x{self.height})"


@dataclass(frozen=True, repr=False)
class HostMatte:
    """A matte in host memory, C-contiguous.

    Attributes:
        alpha: uint8 (H, W); 0, or :data:`LEAST_ALPHA` and more.
        colour: uint8 (H, W, 3) BGR; where alpha is 0 it may be the room's. Multiply it with alpha; never give it away.
    """

    alpha: NDArray[np.uint8]
    colour: Any = MadeWhenRead()  # noqa: RUF009 - a descriptor

    def __post_init__(self) -> None:
        import cv2

        floored = cv2.threshold(self.alpha, LEAST_ALPHA - 1, 0, cv2.THRESH_TOZERO)[1]
        object.__setattr__(self, "alpha", floored)

    @cached_property
    def foreground(self) -> NDArray[np.uint8]:
        """The person's colours, uint8 (H, W, 3) BGR: ``colour`` where alpha is not 0, else 0."""
        import cv2

        return np.asarray(cv2.copyTo(self.colour, self.alpha, np.zeros_like(self.colour)))


@dataclass(frozen=True, repr=False)
class TensorMatte:
    """A matte on a device, quantised exactly as :class:`HostMatte`, so that all compositors agree.

    Attributes:
        alpha: uint8 (H, W); 0, or :data:`LEAST_ALPHA` and more.
        colour: uint8 (H, W, 3) BGR; where alpha is 0 it may be the room's. Multiply it with alpha; never give it away.
        image: uint8 (H, W, 3) BGR, the frame's own picture.
    """

    alpha: torch.Tensor
    colour: torch.Tensor
    image: torch.Tensor

    def __post_init__(self) -> None:
        object.__setattr__(self, "alpha", self.alpha * (self.alpha >= LEAST_ALPHA))


@dataclass(frozen=True, repr=False)
class Matte:
    """The alpha and foreground estimated for one frame; both belong to exactly that frame.

    They are as the engine gave them; :meth:`host` and :meth:`tensor` make the pixels that may be shown. If it gave
    an ``estimate``, they are computed when they are first read, on the thread that reads them.

    Attributes:
        frame: the frame they were computed from.
        alpha: (H, W), uint8 or floating point; a host array, or a torch tensor on the engine's device.
        foreground: (H, W, 3) BGR, uint8 or floating point, same kind as ``alpha``; None when the engine
            estimates alpha only (the frame's own pixels then serve).
        image: the frame's picture on the engine's device, uint8 (H, W, 3) BGR, or None if it stayed on the
            host. Saves the compositor a second upload.
        ready: CUDA event recorded after the last kernel that wrote the above, or None. Whoever reads the
            tensors on another stream waits for this event, not for the device.
        started_ns: monotonic time when the engine took the frame.
        finished_ns: monotonic time when the engine gave the matte back.
        elapsed_ns: if the GPU was still working then: waits for it, and returns how many nanoseconds after
            ``started_ns`` it was done. None if ``finished_ns`` is enough.
        estimate: what alpha and foreground are computed from if they are None.
        spared: the network did not run on the frame: its result for an earlier one was used.
        lasting: whether a later frame of the same picture would get the same matte; None: yes.
    """

    frame: Frame
    alpha: Any = OfTheEstimate()  # noqa: RUF009 - a descriptor
    foreground: Any = OfTheEstimate()  # noqa: RUF009 - a descriptor
    image: Any = None
    ready: Any = None
    started_ns: int = 0
    finished_ns: int = 0
    elapsed_ns: Callable[[], int] | None = None
    estimate: Estimate | None = None
    spared: bool = False
    lasting: Callable[[], bool] | None = None

    @property
    def deferred(self) -> Estimate | None:
        """The estimate, if alpha can only be computed from it."""
        return self.estimate if self.__dict__["alpha"] is None else None

    def same_as(self, other: Matte) -> bool:
        """Whether it has the very same arrays, for a frame of the same picture; computes nothing."""
        ours, theirs = self._arrays, other._arrays
        return ours[0] is theirs[0] and ours[1] is theirs[1] and self.frame.image is other.frame.image

    @property
    def _arrays(self) -> tuple[Any, Any]:
        return (self.estimate, None) if self.deferred is not None else (self.alpha, self.foreground)

    def again(self, frame: Frame) -> Matte:
        """The same matte for another frame of the same picture; nothing is computed or converted again."""
        known = self.__dict__
        twin = Matte(frame, known["alpha"], known["foreground"], self.image, self.ready, frame.captured_ns,
                     frame.captured_ns, None, self.estimate)  # fmt: skip
        twin.__dict__.update({name: known[name] for name in ("_host", "_tensors") if name in known})
        return twin

    def but(self, **changes: Any) -> Matte:
        """A copy with other values of some attributes; nothing is computed."""
        return Matte(**{each.name: self.__dict__[each.name] for each in fields(self)} | changes)

    @cached_property
    def done_ns(self) -> int:
        """Monotonic time when the work on the matte was done; waits for that, and raises MatteError if it failed."""
        if self.elapsed_ns is None:
            return self.finished_ns
        try:
            return self.started_ns + self.elapsed_ns()
        except Exception as error:
            raise _unreadable(error) from error

    def check(self) -> None:
        """Refuse a matte that does not fit its frame; each matte is checked only once.

        :meth:`host` and :meth:`tensor` call it, and so everything that uses a matte.

        Raises:
            MatteError: alpha or the foreground is not of the frame's size.
        """
        _ = self._fits

    @cached_property
    def _fits(self) -> bool:
        size = (self.frame.height, self.frame.width)
        if self.deferred is not None and self.deferred.image is not self.frame.image:
            raise MatteError("the engine's estimate belongs to another picture than the frame")
        if self.deferred is not None:
            return True
        if tuple(self.alpha.shape) != size:
            raise MatteError(
                f"the engine's alpha has the shape {tuple(self.alpha.shape)}, the frame has {size}: they must be equal"
            )
        if self.foreground is not None and tuple(self.foreground.shape) != (*size, 3):
            raise MatteError(
                f"the engine's foreground has the shape {tuple(self.foreground.shape)}, it must be {(*size, 3)}"
            )
        return True

    @cached_property
    def _host(self) -> HostMatte:
        if (estimate := self.deferred) is not None:
            # Nothing here may refer to the matte: a reference cycle would keep its picture until the garbage collector
            # runs.
            return HostMatte(estimate.alpha, lambda: estimate.image if estimate.colour is None else estimate.colour)
        if isinstance(self.alpha, np.ndarray):
            colour = self.frame.image if self.foreground is None else transfer.array_u8(self.foreground)
            return HostMatte(transfer.array_u8(self.alpha), colour)
        import torch

        self._wait(self.alpha)
        if self.foreground is None:
            return HostMatte(transfer.download(transfer.tensor_u8(self.alpha)), self.frame.image)
        if self.alpha.device.type == "cpu":
            # On the CPU there are no transfers to save: two views cost less than packing both into one block.
            alpha, foreground = (transfer.download(transfer.tensor_u8(each)) for each in (self.alpha, self.foreground))
            return HostMatte(alpha, foreground)
        packed = torch.cat((transfer.tensor_u8(self.foreground).flatten(), transfer.tensor_u8(self.alpha).flatten()))
        block = transfer.download(packed)
        height, width = self.alpha.shape
        colour = height * width * 3
        return HostMatte(block[colour:].reshape(height, width), block[:colour].reshape(height, width, 3))

    @cached_property
    def _tensors(self) -> dict[str, TensorMatte]:
        return {}

    def host(self) -> HostMatte:
        """The matte in host memory; converted once and remembered.

        Raises:
            MatteError: it does not fit its frame, or cannot be read, for example because its device has failed, which
                is often seen only here.
        """
        self.check()
        try:
            return self._host
        except Exception as error:
            raise _unreadable(error) from error

    def tensor(self, device: torch.device | str) -> TensorMatte:
        """The matte on ``device``, ordered after its ``ready`` event; converted once per device.

        Raises:
            MatteError: it does not fit its frame.
        """
        import torch

        self.check()

        target = torch.device(device)
        known = self._tensors.get(str(target))
        if known is None:
            known = self._tensors[str(target)] = self._to(target)
        return known

    def _to(self, target: torch.device) -> TensorMatte:
        def place(value: Any) -> torch.Tensor:
            if isinstance(value, np.ndarray):
                return transfer.upload(value, target)
            self._wait(value)
            tensor = transfer.tensor_u8(value)
            return tensor if tensor.device == target else tensor.to(target)

        image = place(self.frame.image if self.image is None else self.image)
        alpha = place(self.alpha if not isinstance(self.alpha, np.ndarray) else transfer.array_u8(self.alpha))
        if self.foreground is None:
            return TensorMatte(alpha, image, image)
        foreground = self.foreground
        if isinstance(foreground, np.ndarray):
            foreground = transfer.array_u8(foreground)
        return TensorMatte(alpha, place(foreground), image)

    def alpha_here(self) -> Any:
        """Alpha, a tensor, in the order of the current CUDA stream's work."""
        self._wait(self.alpha)
        return self.alpha

    def _wait(self, tensor: Any) -> None:
        """Order the current CUDA stream after the engine's work, and keep its memory from early reuse."""
        if tensor.device.type != "cuda":
            return
        import torch

        stream = torch.cuda.current_stream(tensor.device)
        if self.ready is not None:
            stream.wait_event(self.ready)
        tensor.record_stream(stream)

    def __repr__(self) -> str:
        alpha = "to come" if self.deferred is not None else f"{tuple(self.alpha.shape)} {self.alpha.dtype}"
        return f"Matte({self.frame!r}, alpha={alpha})"


@dataclass(frozen=True)
class Stamps:
    """Monotonic nanoseconds at which a frame passed each station."""

    captured_ns: int
    matting_started_ns: int
    matting_finished_ns: int
    compositing_started_ns: int
    compositing_finished_ns: int


@dataclass(frozen=True, repr=False)
class Composite:
    """A finished picture in host memory.

    Attributes:
        image: uint8 (H, W, 3) BGR; or (H, W, 4) BGRA with straight alpha where the background is transparent,
            whose alpha and colour are zero wherever the matte's alpha is (no camera pixel hides under a transparent
            one).
        matte: the matte it was made from, and through it the frame.
        stamps: when it passed each station.
        backend: the compositor that made it.
        background: short name of the background in it.
        outputs: the other pictures that were made of the matte, by the names the composer was given
            (:class:`rvm_live.compositing.output.Output`).
        nobody: it was made while nobody may be seen, and contains no camera pixel.
    """

    image: NDArray[np.uint8]
    matte: Matte
    stamps: Stamps
    backend: str = ""
    background: str = ""
    outputs: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    nobody: bool = False

    @property
    def frame(self) -> Frame:
        return self.matte.frame

    @property
    def seq(self) -> int:
        return self.matte.frame.seq

    @property
    def epoch(self) -> int:
        return self.matte.frame.epoch

    @property
    def alpha(self) -> NDArray[np.uint8]:
        """How much of each pixel is the person's, uint8 (H, W), 0 to 255; the matte's ``host().alpha``."""
        return self.matte.host().alpha

    @property
    def foreground(self) -> NDArray[np.uint8]:
        """The person's colours, uint8 (H, W, 3) BGR, black where alpha is 0; the matte's ``host().foreground``."""
        return self.matte.host().foreground

    @property
    def transparent(self) -> bool:
        return bool(self.image.shape[2] == 4)

    def __repr__(self) -> str:
        height, width, channels = self.image.shape
        return f"Composite(seq={self.seq}, epoch={self.epoch}, {width}x{height}x{channels}, {self.backend})"


def check_picture(image: object, what: str = "the picture") -> NDArray[np.uint8]:
    """A C-contiguous copy of a picture, which must be uint8 (H, W, 3) BGR.

    Raises:
        SettingsError: it is something else.
    """
    if not isinstance(image, np.ndarray):
        raise SettingsError(f"{what} is of type {type(image).__name__}: it must be a numpy array")
    if image.dtype != np.uint8:
        raise SettingsError(f"{what} is {image.dtype}: it must be uint8, 0 to 255")
    if image.ndim != 3 or image.shape[2] != 3:
        raise SettingsError(f"{what} has shape {image.shape}: it must be (height, width, 3), BGR")
    if image.size == 0:
        raise SettingsError(f"{what} has shape {image.shape}: it is empty")
    return np.array(image, dtype=np.uint8, order="C", copy=True)


def _unreadable(error: Exception) -> MatteError:
    return MatteError(f"the matte cannot be read ({words_of(error)})")
