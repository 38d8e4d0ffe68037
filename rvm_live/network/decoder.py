"""LR-ASPP, the recurrent decoder and the projection (Lin et al. 2021, arXiv 2108.11515, section 3).

Everything works on frames flattened to (B*T, C, H, W); only the recurrent cell sees the time axis.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["LRASPP", "ConvGRU", "Projection", "RecurrentDecoder"]


class LRASPP(nn.Module):
    """Lite reduced atrous spatial pyramid pooling (MobileNetV3 paper, section 6.4)."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.aspp1 = nn.Sequential(nn.Conv2d(channels, out, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True))
        self.aspp2 = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, out, 1, bias=False), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, out, H, W)."""
        result: Tensor = self.aspp1(x) * self.aspp2(x)
        return result


class ConvGRU(nn.Module):
    """Convolutional gated recurrent unit (Ballas et al. 2015, arXiv 1511.06432).

    ``r, z = sigmoid(conv[x, h])``, ``c = tanh(conv[x, r h])``, ``h' = (1 - z) h + z c``; its output is its state.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.ih = nn.Sequential(nn.Conv2d(channels * 2, channels * 2, 3, padding=1), nn.Sigmoid())
        self.hh = nn.Sequential(nn.Conv2d(channels * 2, channels, 3, padding=1), nn.Tanh())

    def step(self, x: Tensor, h: Tensor) -> Tensor:
        """One moment: (B, C, H, W) and the state of the moment before, same shape -> the new state."""
        r, z = torch.chunk(self.ih(torch.cat([x, h], dim=1)), 2, dim=1)
        c: Tensor = self.hh(torch.cat([x, r * h], dim=1))
        return (1 - z) * h + z * c

    def forward(self, x: Tensor, h: Tensor | None, time: int) -> tuple[Tensor, Tensor]:
        """Run over ``time`` moments.

        Args:
            x: (B * time, C, H, W), time varying fastest.
            h: state (B, C, H, W), or anything that expands to it; None starts from zero.
            time: moments in ``x``, at least 1.

        Returns:
            The outputs of all moments (B * time, C, H, W), and the last state (B, C, H, W).
        """
        if time == 1:
            state = torch.zeros_like(x) if h is None else h.expand_as(x)
            state = self.step(x, state)
            return state, state
        moments = x.reshape(-1, time, x.shape[1], x.shape[2], x.shape[3]).unbind(1)
        state = torch.zeros_like(moments[0]) if h is None else h.expand_as(moments[0])
        states: list[Tensor] = []
        for moment in moments:
            state = self.step(moment, state)
            states.append(state)
        return torch.stack(states, dim=1).flatten(0, 1), state


class _BottleneckBlock(nn.Module):
    """Coarsest level: a recurrent cell over half of the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gru = ConvGRU(channels // 2)

    def forward(self, x: Tensor, h: Tensor | None, time: int) -> tuple[Tensor, Tensor]:
        a, b = torch.chunk(x, 2, dim=1)
        b, state = self.gru(b, h, time)
        return torch.cat([a, b], dim=1), state


class _UpsamplingBlock(nn.Module):
    """Middle levels: double the size, merge the skip and the small picture, recur over half of the channels."""

    def __init__(self, channels: int, skip: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(channels + skip + 3, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True)
        )
        self.gru = ConvGRU(out // 2)

    def forward(self, x: Tensor, skip: Tensor, rgb: Tensor, h: Tensor | None, time: int) -> tuple[Tensor, Tensor]:
        x = _doubled(x, rgb)
        x = self.conv(torch.cat([x, skip, rgb], dim=1))
        a, b = torch.chunk(x, 2, dim=1)
        b, state = self.gru(b, h, time)
        return torch.cat([a, b], dim=1), state


class _OutputBlock(nn.Module):
    """Finest level: double the size, merge the picture, two convolutions, no recurrence."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(channels + 3, out, 3, padding=1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(inplace=True),
            nn.Conv2d(out, out, 3, padding=1, bias=False),
            nn.BatchNorm2d(out),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor, rgb: Tensor) -> Tensor:
        result: Tensor = self.conv(torch.cat([_doubled(x, rgb), rgb], dim=1))
        return result


def _doubled(x: Tensor, like: Tensor) -> Tensor:
    """``x`` at twice its size, cropped to ``like``'s: levels round odd sizes up."""
    x = functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
    return x[:, :, : like.shape[2], : like.shape[3]]


class RecurrentDecoder(nn.Module):
    """From feature maps at 1/2 to 1/16 back to the size of the picture, with a recurrent cell on four levels.

    Args:
        skips: channels of the feature maps at 1/2, 1/4 and 1/8 and of LR-ASPP's output at 1/16.
        outs: channels of the levels at 1/8, 1/4, 1/2 and 1.
    """

    def __init__(self, skips: tuple[int, int, int, int], outs: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.avgpool = nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False)
        self.decode4 = _BottleneckBlock(skips[3])
        self.decode3 = _UpsamplingBlock(skips[3], skips[2], outs[0])
        self.decode2 = _UpsamplingBlock(outs[0], skips[1], outs[1])
        self.decode1 = _UpsamplingBlock(outs[1], skips[0], outs[2])
        self.decode0 = _OutputBlock(outs[2], outs[3])

    def forward(
        self,
        rgb: Tensor,
        f1: Tensor,
        f2: Tensor,
        f3: Tensor,
        f4: Tensor,
        r1: Tensor | None,
        r2: Tensor | None,
        r3: Tensor | None,
        r4: Tensor | None,
        time: int,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Decode.

        Args:
            rgb: the picture (B * time, 3, H, W) in 0-1.
            f1: feature map at 1/2; f2, f3, f4 likewise at 1/4, 1/8, 1/16.
            r1: state at 1/2, or None for zero; r2, r3, r4 likewise.
            time: moments in the leading axis.

        Returns:
            Hidden features (B * time, outs[3], H, W) and the new states r1 to r4.
        """
        rgb1 = self.avgpool(rgb)
        rgb2 = self.avgpool(rgb1)
        rgb3 = self.avgpool(rgb2)
        x, s4 = self.decode4(f4, r4, time)
        x, s3 = self.decode3(x, f3, rgb3, r3, time)
        x, s2 = self.decode2(x, f2, rgb2, r2, time)
        x, s1 = self.decode1(x, f1, rgb1, r1, time)
        return self.decode0(x, rgb), s1, s2, s3, s4


class Projection(nn.Module):
    """A 1x1 convolution under the name the checkpoints give it."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.conv(x)
        return result
