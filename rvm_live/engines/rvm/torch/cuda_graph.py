"""A frame of the network with everything in fixed places, so that a GPU can record it once and replay it.

On a GPU the network at low resolution is about 150 small kernels, and launching them one by one from Python takes
longer than running them. A CUDA graph replays them all at one call, but only with the shapes and the memory it was
recorded with: hence one :class:`Step` for each frame size and ratio, with the picture and the recurrent states in
buffers of its own. On other devices a step runs the same function without a recording.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from rvm_live.engines.common.ladder import low_size, state_shapes
from rvm_live.engines.rvm.torch.full_size import FullSize, SlopeAndOffset
from rvm_live.engines.rvm.torch.graph_capture import Record
from rvm_live.network.network import MattingNetwork

__all__ = ["Found", "Step"]

_TRACE, _NEAR = 5 / 255, 9
"""Alpha from which on a pixel may be a person, and the margin around such pixels
(:mod:`rvm_live.engines.focus.motion_gate`)."""
_TURN = (2, 1, 0, 3)  # red, green, blue, alpha <-> blue, green, red, alpha

Found = tuple[Tensor, "Tensor | None"]
"""Alpha uint8 (H, W), and the foreground uint8 (H, W, 3) BGR or None."""


class Step:
    """The network for one frame size and ratio. The states it holds are those after the last frame.

    Args:
        network: with folded batch norm; ``refiner`` in single precision, the rest in ``dtype``.
        full_size: the steps at full size.
        width: of the frames, pixels.
        height: of the frames, pixels.
        ratio: downsample ratio, in (0, 1].
        foreground: estimate the foreground too.
        dtype: of the network.
        layout: memory format of picture and states.
        record: how to record the work, or None to do it anew each time.
        time: consecutive frames that are worked off at once.
        batch: videos that are worked off side by side, each with states of its own.
        kept: what is found may be put :meth:`again` on other frames.

    Attributes:
        finite: bool (), on the device: whether all that was found for the last frames, from which the states come, too,
            is finite. As bytes NaN looks like any value.
    """

    def __init__(
        self,
        network: MattingNetwork,
        full_size: FullSize,
        width: int,
        height: int,
        ratio: float,
        *,
        foreground: bool,
        dtype: torch.dtype,
        layout: torch.memory_format,
        record: Record | None,
        time: int = 1,
        batch: int = 1,
        kept: bool = False,
    ) -> None:
        device = next(network.parameters()).device
        self.ratio = ratio
        self._network = network
        self._full_size = full_size
        self._foreground = foreground
        self._dtype = dtype
        self._layout = layout
        self._turn = torch.tensor(_TURN, device=device)
        self._whole = torch.tensor((1.0, 1.0, 1.0, 0.0), device=device).reshape(1, 4, 1, 1)
        self._time = time
        self._kept = kept
        blank = torch.zeros((time * batch, height, width, 3), dtype=torch.uint8, device=device)
        self._images: Sequence[Tensor] = list(blank)
        self.states = [
            torch.zeros(shape, dtype=dtype, device=device).contiguous(memory_format=layout)
            for shape in state_shapes(network.variant, *low_size(width, height, ratio), batch)
        ]
        self._found: list[Found] = []
        self._model: SlopeAndOffset | None = None
        self.finite = torch.ones((), dtype=torch.bool, device=device)
        self.recorded = False
        self._replay = self._work
        if record is not None:
            self._replay = record(self._work)
            self.recorded = True
            self.reset()

    def __call__(self, *images: Tensor) -> list[Found]:
        """Advance by ``time`` frames.

        Args:
            images: uint8 (H, W, 3) BGR on the network's device: ``batch * time`` of them, time varying fastest.

        Returns:
            The result for each frame, in new tensors.
        """
        if not self.recorded:
            self._images = images
            self._replay()
            found, self._found, self._images = self._found, [], ()
            return found
        # The recording overwrites this memory at the next frame, when this one may still be in use. The copies to give
        # away are allocated first: if memory runs out, the states have not advanced.
        own = [(torch.empty_like(a), None if f is None else torch.empty_like(f)) for a, f in self._found]
        for mine, image in zip(self._images, images, strict=True):
            mine.copy_(image)
        self._replay()
        for (alpha, foreground), (mine, colour) in zip(own, self._found, strict=True):
            alpha.copy_(mine)
            if foreground is not None and colour is not None:
                foreground.copy_(colour)
        return own

    def again(self, image: Tensor) -> Found:
        """What was found for the last frame, put on another of nearly the same picture: the network does not run, and
        the states stay.

        An old slope on a new picture may give alpha anywhere: alpha is 0 except near where it was not 0 before.

        Args:
            image: uint8 (H, W, 3) BGR on the network's device.
        """
        assert self._model is not None
        _, picture = self._full_size.shrunk(image, self.ratio)
        return self._full_size.applied(picture, self._model, foreground=self._foreground)

    def copies(self) -> list[NDArray[np.float32]]:
        """The states in main memory; waits for them."""
        return [np.array(state.float().cpu().contiguous().numpy()) for state in self.states]

    def reset(self) -> None:
        """Forget the states."""
        for state in self.states:
            state.zero_()

    def carry(self, states: list[Tensor]) -> None:
        """Go on from the states of another step, brought to this one's size and precision."""
        for mine, theirs in zip(self.states, states, strict=True):
            if mine.shape != theirs.shape:
                size = list(mine.shape[2:])
                theirs = torch.nn.functional.interpolate(theirs, size, mode="bilinear", align_corners=False)
            mine.copy_(theirs)

    def _work(self) -> None:
        shrunk = [self._full_size.shrunk(image, self.ratio) for image in self._images]
        small = shrunk[0][0] if len(shrunk) == 1 else torch.cat([each for each, _ in shrunk])
        network = self._network
        base = small.to(self._dtype, memory_format=self._layout)
        r1, r2, r3, r4 = self.states
        mat, hidden, *states = network.coarse(base, r1, r2, r3, r4, self._time)
        # The guided filter subtracts nearly equal numbers: single precision, whatever precision the network has.
        mat = mat.float()
        if self.ratio == 1.0:
            slope, offset = self._whole.expand_as(mat), mat
        else:
            slope, offset = network.refiner.coefficients(small, mat, hidden.float())
            # The network estimates foreground minus picture; adding 1 to the slope adds the picture back.
            slope = slope + self._whole
        # A single NaN or infinite value makes the sum NaN or infinite; in single precision nothing else does.
        self.finite = torch.isfinite(slope.sum(dtype=torch.float32) + offset.sum(dtype=torch.float32))
        slope, offset = slope[:, self._turn], offset[:, self._turn]
        if self._kept:
            mean = small.float().mean(1, keepdim=True)
            alpha = slope[:, 3:] * mean + offset[:, 3:]
            near = functional.max_pool2d((alpha > _TRACE).float(), _NEAR, 1, _NEAR // 2)
            # The colours' coefficients stay: where alpha is 0 they cannot be seen.
            both = (torch.cat((part[:, :3], part[:, 3:] * near), 1) for part in (slope, offset))
            self._model = next(both), next(both)
        self._found = [
            self._full_size.applied(
                picture, (slope[index : index + 1], offset[index : index + 1]), foreground=self._foreground
            )
            for index, (_, picture) in enumerate(shrunk)
        ]
        for mine, new in zip(self.states, states, strict=True):
            mine.copy_(new)
