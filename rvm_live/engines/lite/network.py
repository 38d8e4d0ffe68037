"""The network of the engine ``lite``: a small recurrent encoder and decoder that finds alpha alone.

Its encoder and decoder are those of MediaPipe's selfie segmentation (Google, Apache-2.0; model card of May 2021), whose
weights training starts from: a MobileNetV3 (Howard et al. 2019, arXiv 1905.02244) down to a sixteenth of the size, and
a decoder that weighs each skip by what the whole picture holds. The parts that this project adds start without any
effect on the result: two more inverted residuals (Sandler et al. 2018, arXiv 1801.04381) at the deepest level; small
convolutional GRUs (Ballas et al. 2016, arXiv 1511.06432) with depthwise-separable gates at 1/16, 1/8 and 1/4; and a
head that looks at the picture's own pixels again. Nothing is computed at full size: there a CPU would spend its time on
memory accesses. There is no batch norm. ``training/`` trains it, MODEL_CARD.md lists the training data.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["REACH", "STATE_CHANNELS", "STATE_STRIDES", "STRIDE", "LiteNetwork", "state_shapes"]

STRIDE = 16
"""Stride of the deepest level: a picture's sides are multiples of it."""
STATE_CHANNELS = (8, 12, 16)
STATE_STRIDES = (4, 8, 16)
"""Channels and strides of the recurrent states r1, r2, r3."""

REACH = 1.04
"""The sigmoid is stretched by this much about one half, so that it meets 0 and 1 at finite inputs."""


def state_shapes(width: int, height: int) -> list[tuple[int, int, int, int]]:
    """Shapes of r1, r2, r3 for a picture of this size."""
    sides = zip(STATE_CHANNELS, STATE_STRIDES, strict=True)
    return [(1, count, height // stride, width // stride) for count, stride in sides]


def _silence(conv: nn.Conv2d) -> None:
    """Initialise a convolution to give zeros until it is trained."""
    for value in conv.parameters():
        nn.init.zeros_(value)


def _hard_swish(x: Tensor) -> Tensor:
    """Made of operations with a fast backward pass: torch's own takes three times as long on a CPU."""
    return x * functional.hardsigmoid(x)


class _Conv(nn.Module):
    """Convolution, padded as TensorFlow's SAME pads even sides: more behind than before where the stride is 2."""

    def __init__(self, before: int, after: int, size: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, size, stride, size // 2 if stride == 1 else 0, groups=groups)
        self.pad = (size - 2) // 2 if stride == 2 else None

    def forward(self, x: Tensor) -> Tensor:
        if self.pad is not None:
            x = functional.pad(x, (self.pad, self.pad + 1) * 2)
        y: Tensor = self.conv(x)
        return y


class _Weights(nn.Module):
    """How much each channel counts, by what the whole picture holds (Hu et al. 2018, arXiv 1709.01507)."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, hidden, 1)
        self.excite = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.excite(functional.relu(self.squeeze(x.mean((2, 3), keepdim=True)))))


class _Block(nn.Module):
    """Inverted residual: widen, filter each channel, weigh, narrow."""

    def __init__(self, before: int, wide: int, after: int, size: int, stride: int, excite: int, *, hard: bool) -> None:
        super().__init__()
        self.widen = _Conv(before, wide)
        self.filter = _Conv(wide, wide, size, stride, groups=wide)
        self.weights = _Weights(wide, excite) if excite else None
        self.narrow = _Conv(wide, after)
        self.act = _hard_swish if hard else functional.relu
        self.residual = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.act(self.filter(self.act(self.widen(x))))
        if self.weights is not None:
            y = y * self.weights(y)
        y = self.narrow(y)
        return x + y if self.residual else y


class _Memory(nn.Module):
    """Adds what a convolutional GRU of a few channels remembers: nothing before it has learnt.

    Its convolutions are depthwise 3x3 and pointwise ones, and new and kept values are summed: joining and splitting
    channels would copy them in memory.
    """

    def __init__(self, channels: int, kept: int) -> None:
        super().__init__()
        self.take = nn.Conv2d(channels, kept, 1)
        self.near, self.near_kept, self.near_reset = (_Conv(kept, kept, 3, groups=kept) for _ in range(3))
        self.reset, self.update, self.candidate = (nn.Conv2d(kept, kept, 1) for _ in range(3))
        self.reset_kept, self.update_kept, self.candidate_kept = (
            nn.Conv2d(kept, kept, 1, bias=False) for _ in range(3)
        )
        self.give = nn.Conv2d(kept, channels, 1)
        _silence(self.give)

    def _step(self, x: Tensor, h: Tensor) -> Tensor:
        new, old = self.near(x), self.near_kept(h)
        reset = torch.sigmoid(self.reset(new) + self.reset_kept(old))
        update = torch.sigmoid(self.update(new) + self.update_kept(old))
        candidate = torch.tanh(self.candidate(new) + self.candidate_kept(self.near_reset(reset * h)))
        moved: Tensor = h + update * (candidate - h)
        return moved

    def forward(self, x: Tensor, state: Tensor | None, time: int) -> tuple[Tensor, Tensor]:
        """x (B * time, C, h, w), state (B, kept, h, w) or None for zero; returns likewise."""
        taken = self.take(x)
        if time == 1:
            h = self._step(taken, torch.zeros_like(taken) if state is None else state)
            return x + self.give(h), h
        moments = taken.reshape(-1, time, *taken.shape[1:])
        h = torch.zeros_like(moments[:, 0]) if state is None else state
        states = []
        for number in range(time):
            h = self._step(moments[:, number], h)
            states.append(h)
        return x + self.give(torch.stack(states, 1).flatten(0, 1)), h


class _Up(nn.Module):
    """Twice the size, joined with the encoder's features of that size."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.narrow = _Conv(before, after)
        self.weights = _Weights(after, after)
        self.mix = _Conv(after, after)
        self.filter = _Conv(after, after, 3, groups=after)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = functional.interpolate(self.narrow(x), scale_factor=2.0, mode="bilinear", align_corners=False)
        x = functional.relu(self.mix(skip * self.weights(skip + x) + x))
        return x + functional.relu(self.filter(x))


class _Fine(nn.Module):
    """What the picture's own pixels add to the four logits of each pixel of half the size."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.features = nn.Conv2d(channels, hidden, 1)
        self.pixels = nn.Conv2d(3, hidden, 2, 2, bias=False)
        self.filter = _Conv(hidden, hidden, 3, groups=hidden)
        self.last = nn.Conv2d(hidden, 4, 1)
        _silence(self.last)

    def forward(self, x: Tensor, picture: Tensor) -> Tensor:
        x = functional.relu(self.features(x) + self.pixels(picture))
        y: Tensor = self.last(x + functional.relu(self.filter(x)))
        return y


class LiteNetwork(nn.Module):
    """Alpha and recurrent states from pictures and the states before."""

    def __init__(self) -> None:
        super().__init__()
        self.encode2 = _Conv(3, 16, 3, 2)
        self.encode4 = _Block(16, 16, 16, 3, 2, 8, hard=False)
        self.encode8 = nn.Sequential(_Block(16, 72, 24, 3, 2, 0, hard=False), _Block(24, 88, 24, 3, 1, 0, hard=False))
        self.encode16 = nn.Sequential(
            _Block(24, 96, 32, 5, 2, 24, hard=True),
            _Block(32, 128, 32, 5, 1, 32, hard=True),
            _Block(32, 128, 32, 5, 1, 32, hard=True),
            _Block(32, 96, 32, 5, 1, 24, hard=True),
            _Block(32, 96, 32, 5, 1, 24, hard=True),
        )
        self.deeper = nn.Sequential(*(_Block(32, 128, 32, 5, 1, 0, hard=True) for _ in range(2)))
        for block in self.deeper:
            assert isinstance(block, _Block)
            _silence(block.narrow.conv)
        self.memory16 = _Memory(32, STATE_CHANNELS[2])
        self.deep = _Conv(32, 128)
        self.context = nn.Conv2d(32, 128, 1)
        self.up8 = _Up(128, 24)
        self.memory8 = _Memory(24, STATE_CHANNELS[1])
        self.up4 = _Up(24, 16)
        self.memory4 = _Memory(16, STATE_CHANNELS[0])
        self.up2 = _Up(16, 16)
        self.last = nn.Conv2d(16, 4, 1)
        self.fine = _Fine(16, 24)

    def logits(
        self, picture: Tensor, r1: Tensor | None, r2: Tensor | None, r3: Tensor | None, time: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The input of the sigmoid, (B * time, 1, H, W), and the new states; see :meth:`forward`."""
        f2 = _hard_swish(self.encode2(picture))
        f4 = self.encode4(f2)
        f8 = self.encode8(f4)
        x, s3 = self.memory16(self.deeper(self.encode16(f8)), r3, time)
        x = functional.relu(self.deep(x)) * torch.sigmoid(self.context(x.mean((2, 3), keepdim=True)))
        x, s2 = self.memory8(self.up8(x, f8), r2, time)
        x, s1 = self.memory4(self.up4(x, f4), r1, time)
        x = self.up2(x, f2)
        return functional.pixel_shuffle(self.last(x) + self.fine(x, picture), 2), s1, s2, s3

    def forward(
        self,
        picture: Tensor,
        r1: Tensor | None = None,
        r2: Tensor | None = None,
        r3: Tensor | None = None,
        time: int = 1,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Find alpha.

        Args:
            picture: (B * time, 3, H, W) RGB in 0-1, time varying fastest; H and W multiples of 16.
            r1: state as returned before, (B, 8, H / 4, W / 4), or None for zero.
            r2: likewise, 12 channels at 1/8.
            r3: likewise, 16 channels at 1/16.
            time: moments in ``picture``.

        Returns:
            Alpha (B * time, 1, H, W), in 0-1 when evaluating and up to 0.02 beyond while training, where a clamp would
            leave no gradient; the new states.
        """
        found, s1, s2, s3 = self.logits(picture, r1, r2, r3, time)
        alpha = torch.sigmoid(found) * REACH - (REACH - 1) / 2
        return (alpha if self.training else alpha.clamp(0.0, 1.0)), s1, s2, s3
