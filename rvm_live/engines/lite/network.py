"""The network of the engine ``lite``: a small recurrent encoder and decoder that finds alpha alone.

The encoder is made of inverted residuals (Sandler et al. 2018, arXiv 1801.04381) with squeeze-and-excitation (Hu et al.
2018, arXiv 1709.01507) in its deeper half, down to a sixteenth of the size. The decoder goes up again over skips; at
1/16, 1/8 and 1/4 half of its channels pass through a convolutional GRU (Ballas et al. 2016, arXiv 1511.06432), whose
gates are depthwise-separable. Nothing is computed at full size but the last few channels: a processor's time goes into
memory there. ``training/`` trains it, MODEL_CARD.md tells from what.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["REACH", "STATE_CHANNELS", "STATE_STRIDES", "LiteNetwork", "state_shapes"]

STATE_CHANNELS = (12, 20, 32)
STATE_STRIDES = (4, 8, 16)
"""Of the recurrent states r1, r2, r3."""

REACH = 1.04
"""The sigmoid is stretched by this much about one half, so that it meets 0 and 1 at finite inputs."""


def state_shapes(width: int, height: int) -> list[tuple[int, int, int, int]]:
    """Shapes of r1, r2, r3 for a picture of this size."""
    shapes = []
    for count, stride in zip(STATE_CHANNELS, STATE_STRIDES, strict=True):
        shapes.append((1, count, -(-height // stride), -(-width // stride)))
    return shapes


def _conv(before: int, after: int, size: int = 1, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """Convolution and batch norm."""
    conv = nn.Conv2d(before, after, size, stride, size // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(after)]


class _Excite(nn.Module):
    """Weighs channels by what the whole picture holds."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, hidden, 1)
        self.excite = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        mean = functional.relu(self.squeeze(x.mean((2, 3), keepdim=True)))
        weight: Tensor = functional.hardsigmoid(self.excite(mean))
        return x * weight


class _Block(nn.Module):
    """Inverted residual: widen, filter each channel, weigh, narrow."""

    def __init__(self, before: int, wide: int, after: int, size: int, stride: int = 1, *, excite: bool = False) -> None:
        super().__init__()
        layers = [*_conv(before, wide), nn.ReLU()] if wide != before else []
        layers += [*_conv(wide, wide, size, stride, groups=wide), nn.ReLU()]
        if excite:
            layers.append(_Excite(wide, max(8, wide // 6)))
        self.layers = nn.Sequential(*layers, *_conv(wide, after))
        self.residual = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.residual else y


class _Separable(nn.Sequential):
    """Depthwise 3x3 and pointwise convolution."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__(nn.Conv2d(before, before, 3, padding=1, groups=before), nn.Conv2d(before, after, 1))


class _Memory(nn.Module):
    """Convolutional GRU over the second half of the channels; the first half passes by."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gates = _Separable(channels, channels)
        self.candidate = _Separable(channels, channels // 2)

    def _step(self, x: Tensor, h: Tensor) -> Tensor:
        reset, update = torch.sigmoid(self.gates(torch.cat([x, h], 1))).chunk(2, dim=1)
        new = torch.tanh(self.candidate(torch.cat([x, reset * h], 1)))
        moved: Tensor = h + update * (new - h)
        return moved

    def forward(self, x: Tensor, state: Tensor | None, time: int) -> tuple[Tensor, Tensor]:
        """x (B * time, C, h, w), state (B, C / 2, h, w) or None for zero; returns likewise."""
        passing, kept = x.chunk(2, dim=1)
        if time == 1:
            h = self._step(kept, torch.zeros_like(kept) if state is None else state)
            return torch.cat([passing, h], 1), h
        moments = kept.reshape(-1, time, *kept.shape[1:])
        h = torch.zeros_like(moments[:, 0]) if state is None else state
        states = []
        for number in range(time):
            h = self._step(moments[:, number], h)
            states.append(h)
        return torch.cat([passing, torch.stack(states, 1).flatten(0, 1)], 1), h


class _Up(nn.Module):
    """Twice the size, joined with the encoder's features of that size."""

    def __init__(self, before: int, skip: int, after: int) -> None:
        super().__init__()
        self.narrow = nn.Sequential(*_conv(before, after), nn.ReLU())
        self.join = nn.Sequential(*_conv(after + skip, after, 3), nn.ReLU())

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        y: Tensor = self.join(torch.cat([_doubled(self.narrow(x), skip), skip], 1))
        return y


def _doubled(x: Tensor, like: Tensor) -> Tensor:
    """Twice the size, cut to the size of ``like``, which an odd side makes one less."""
    x = functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
    return x[:, :, : like.shape[2], : like.shape[3]]


class LiteNetwork(nn.Module):
    """Alpha and recurrent states from pictures and the states before."""

    def __init__(self) -> None:
        super().__init__()
        self.encode2 = nn.Sequential(*_conv(3, 16, 3, 2), nn.ReLU(), _Block(16, 16, 16, 3))
        self.encode4 = nn.Sequential(_Block(16, 64, 24, 3, 2), _Block(24, 72, 24, 3))
        self.encode8 = nn.Sequential(
            _Block(24, 72, 40, 5, 2, excite=True),
            _Block(40, 120, 40, 5, excite=True),
            _Block(40, 120, 40, 3, excite=True),
        )
        self.encode16 = nn.Sequential(
            _Block(40, 160, 64, 5, 2, excite=True),
            _Block(64, 192, 64, 5, excite=True),
            _Block(64, 192, 64, 5, excite=True),
        )
        self.context = nn.Sequential(nn.Conv2d(64, 64, 1), nn.Sigmoid())
        self.deep = nn.Sequential(*_conv(64, 64), nn.ReLU())
        self.memory16 = _Memory(64)
        self.up8 = _Up(64, 40, 40)
        self.memory8 = _Memory(40)
        self.up4 = _Up(40, 24, 24)
        self.memory4 = _Memory(24)
        self.up2 = _Up(24, 16, 16)
        self.tail = nn.Conv2d(16, 16, 3, padding=1)
        self.last = nn.Sequential(nn.Conv2d(4 + 3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 3, padding=1))

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
            picture: (B * time, 3, H, W) RGB in 0-1, time varying fastest; any size.
            r1: state as returned before, (B, 12, ceil(H / 4), ceil(W / 4)), or None for zero.
            r2: likewise, 20 channels at 1/8.
            r3: likewise, 32 channels at 1/16.
            time: moments in ``picture``.

        Returns:
            Alpha (B * time, 1, H, W), in 0-1 when evaluating and up to 0.02 beyond while training, where a clamp would
            leave no gradient; the new states.
        """
        centred = picture - 0.5
        f2 = self.encode2(centred)
        f4 = self.encode4(f2)
        f8 = self.encode8(f4)
        f16 = self.encode16(f8)
        x = self.deep(f16) * self.context(f16.mean((2, 3), keepdim=True))
        x, s3 = self.memory16(x, r3, time)
        x, s2 = self.memory8(self.up8(x, f8), r2, time)
        x, s1 = self.memory4(self.up4(x, f4), r1, time)
        x = functional.pixel_shuffle(self.tail(self.up2(x, f2)), 2)[:, :, : picture.shape[2], : picture.shape[3]]
        raw = x[:, :1] + self.last(torch.cat([x, centred], 1))
        alpha = torch.sigmoid(raw) * REACH - (REACH - 1) / 2
        return (alpha if self.training else alpha.clamp(0.0, 1.0)), s1, s2, s3
