"""The two encoders: MobileNetV3-Large (Howard et al. 2019, arXiv 1905.02244) and ResNet-50 (He et al. 2015, arXiv
1512.03385), both without a classifier and with a dilated last stage, so that they stop at 1/16 of the input.

Module names follow the official checkpoints, hence the bare ``features``, ``block``, ``layer1``.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["MobileNetV3LargeEncoder", "ResNet50Encoder"]

_MOBILENET_BN_EPS = 1e-3


class _Plan(NamedTuple):
    """One inverted-residual block of MobileNetV3-Large."""

    kernel: int
    expanded: int
    out: int
    squeeze: int  # channels inside squeeze-and-excitation; 0 if there is none
    hardswish: bool
    stride: int
    dilation: int = 1


# Table 1 of the MobileNetV3 paper; the last three blocks use dilation instead of stride.
_MOBILENET_PLAN = (
    _Plan(3, 16, 16, 0, False, 1),
    _Plan(3, 64, 24, 0, False, 2),
    _Plan(3, 72, 24, 0, False, 1),
    _Plan(5, 72, 40, 24, False, 2),
    _Plan(5, 120, 40, 32, False, 1),
    _Plan(5, 120, 40, 32, False, 1),
    _Plan(3, 240, 80, 0, True, 2),
    _Plan(3, 200, 80, 0, True, 1),
    _Plan(3, 184, 80, 0, True, 1),
    _Plan(3, 184, 80, 0, True, 1),
    _Plan(3, 480, 112, 120, True, 1),
    _Plan(3, 672, 112, 168, True, 1),
    _Plan(5, 672, 160, 168, True, 1, 2),
    _Plan(5, 960, 160, 240, True, 1, 2),
    _Plan(5, 960, 160, 240, True, 1, 2),
)


def _unit(
    channels: int, out: int, kernel: int, *, stride: int = 1, dilation: int = 1, groups: int = 1, act: nn.Module | None
) -> nn.Sequential:
    """Convolution, batch normalisation and, unless it is None, an activation."""
    padding = (kernel - 1) // 2 * dilation
    layers: list[nn.Module] = [
        nn.Conv2d(channels, out, kernel, stride, padding, dilation, groups, bias=False),
        nn.BatchNorm2d(out, eps=_MOBILENET_BN_EPS, momentum=0.01),
    ]
    if act is not None:
        layers.append(act)
    return nn.Sequential(*layers)


class _SqueezeExcitation(nn.Module):
    """Channel attention (Hu et al. 2017, arXiv 1709.01507) with a hard sigmoid."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.activation = nn.ReLU()
        self.scale_activation = nn.Hardsigmoid()

    def forward(self, x: Tensor) -> Tensor:
        scale = self.fc2(self.activation(self.fc1(self.avgpool(x))))
        result: Tensor = self.scale_activation(scale) * x
        return result


class _InvertedResidual(nn.Module):
    def __init__(self, channels: int, plan: _Plan, *, residual: bool) -> None:
        super().__init__()
        self.residual = residual

        def act() -> nn.Module:
            return nn.Hardswish(inplace=True) if plan.hardswish else nn.ReLU(inplace=True)

        layers: list[nn.Module] = []
        if plan.expanded != channels:
            layers.append(_unit(channels, plan.expanded, 1, act=act()))
        layers.append(
            _unit(
                plan.expanded,
                plan.expanded,
                plan.kernel,
                stride=plan.stride,
                dilation=plan.dilation,
                groups=plan.expanded,
                act=act(),
            )
        )
        if plan.squeeze:
            layers.append(_SqueezeExcitation(plan.expanded, plan.squeeze))
        layers.append(_unit(plan.expanded, plan.out, 1, act=None))
        self.block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.block(x)
        return out + x if self.residual else out


class MobileNetV3LargeEncoder(nn.Module):
    """MobileNetV3-Large; normalises its input with ImageNet's mean and deviation itself.

    Attributes:
        channels: of the four feature maps it returns, at 1/2, 1/4, 1/8 and 1/16 of the input.
    """

    channels = (16, 24, 40, 960)

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [_unit(3, 16, 3, stride=2, act=nn.Hardswish(inplace=True))]
        channels = 16
        for plan in _MOBILENET_PLAN:
            residual = plan.stride == 1 and channels == plan.out
            layers.append(_InvertedResidual(channels, plan, residual=residual))
            channels = plan.out
        layers.append(_unit(channels, 960, 1, act=nn.Hardswish(inplace=True)))
        self.features = nn.Sequential(*layers)
        self._mean: Tensor
        self._std: Tensor
        self.register_buffer("_mean", torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), persistent=False)
        self.register_buffer("_std", torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Encode (N, 3, H, W) RGB in 0-1 into feature maps at 1/2, 1/4, 1/8 and 1/16 (sizes rounded up)."""
        x = (x - self._mean) / self._std
        taps: list[Tensor] = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index == 1 or index == 3 or index == 6 or index == 16:
                taps.append(x)
        return taps[0], taps[1], taps[2], taps[3]


class _Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 with a shortcut; the stride sits on the 3x3 (as in torchvision's checkpoints)."""

    def __init__(self, channels: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        out = width * 4
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        out: Tensor = self.relu(self.bn3(self.conv3(x)) + shortcut)
        return out


def _stage(channels: int, width: int, blocks: int, *, stride: int, dilation: int = 1) -> nn.Sequential:
    """One ResNet stage. The first block of a dilated stage still works undilated, as in torchvision."""
    first = _Bottleneck(channels, width, stride, 1)
    return nn.Sequential(first, *(_Bottleneck(width * 4, width, 1, dilation) for _ in range(blocks - 1)))


class ResNet50Encoder(nn.Module):
    """ResNet-50. Takes RGB in 0-1 as it is: the official network does not normalise on this path.

    Attributes:
        channels: of the four feature maps it returns, at 1/2, 1/4, 1/8 and 1/16 of the input.
    """

    channels = (64, 256, 512, 2048)

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = _stage(64, 64, 3, stride=1)
        self.layer2 = _stage(256, 128, 4, stride=2)
        self.layer3 = _stage(512, 256, 6, stride=2)
        self.layer4 = _stage(1024, 512, 3, stride=1, dilation=2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Encode (N, 3, H, W) RGB in 0-1 into feature maps at 1/2, 1/4, 1/8 and 1/16 (sizes rounded up)."""
        f1 = self.relu(self.bn1(self.conv1(x)))
        f2 = self.layer1(self.maxpool(f1))
        f3 = self.layer2(f2)
        f4 = self.layer4(self.layer3(f3))
        return f1, f2, f3, f4
