"""Guided upsampling of the low-resolution matte (He et al. 2010; Wu et al. 2018, arXiv 1803.05619).

Both refiners fit, at low resolution and per channel, the linear model ``y = A x + b`` between the picture x (RGB and
its mean) and the matte y (foreground residual and alpha), then apply it to the full picture. They are split at that
seam: ``coefficients`` runs at low resolution, :func:`apply_linear` at full resolution.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["DeepGuidedFilter", "FastGuidedFilter", "apply_linear", "with_mean"]


def with_mean(rgb: Tensor) -> Tensor:
    """Append the channels' mean: (N, 3, H, W) -> (N, 4, H, W)."""
    return torch.cat([rgb, rgb.mean(1, keepdim=True)], dim=1)


def apply_linear(a: Tensor, b: Tensor, src: Tensor) -> Tensor:
    """Apply a low-resolution linear model to a full-size picture.

    Args:
        a: slope (N, 4, h, w) for red, green, blue and their mean (or any other order of colours, as in ``src``).
        b: offset, same shape.
        src: (N, 3, H, W) in 0-1.

    Returns:
        (N, 4, H, W): foreground residual and alpha, not yet clamped.
    """
    size = [src.shape[2], src.shape[3]]
    a = functional.interpolate(a, size, mode="bilinear", align_corners=False)
    b = functional.interpolate(b, size, mode="bilinear", align_corners=False)
    return torch.addcmul(b, a, with_mean(src))


def _box(x: Tensor, channels: int) -> Tensor:
    """Mean over 3x3, zero outside: (N, channels, h, w) -> the same.

    Two passes of convolution rather than one average pooling: where the picture is flat the variance is a
    difference of near-equal numbers, and only the same roundings give the official network's result to 1e-4.
    """
    rows = torch.full([channels, 1, 1, 3], 1.0 / 3.0, dtype=x.dtype, device=x.device)
    x = functional.conv2d(x, rows, padding=[0, 1], groups=channels)
    return functional.conv2d(x, rows.transpose(2, 3), padding=[1, 0], groups=channels)


class DeepGuidedFilter(nn.Module):
    """Guided filter whose slope comes from a small network over local statistics and hidden features."""

    def __init__(self, hidden: int = 16) -> None:
        super().__init__()
        self.box_filter = nn.Conv2d(4, 4, 3, padding=1, bias=False, groups=4)
        nn.init.constant_(self.box_filter.weight, 1 / 9)
        self.conv = nn.Sequential(
            nn.Conv2d(4 * 2 + hidden, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, 4, 1),
        )

    def coefficients(self, base: Tensor, mat: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Fit the model.

        Args:
            base: low-resolution picture (N, 3, h, w) RGB in 0-1.
            mat: foreground residual and alpha (N, 4, h, w).
            hidden: the decoder's features (N, 16, h, w).

        Returns:
            Slope and offset, both (N, 4, h, w).
        """
        x = with_mean(base.to(mat.dtype))
        mean_x = self.box_filter(x)
        mean_y = self.box_filter(mat)
        cov_xy = self.box_filter(x * mat) - mean_x * mean_y
        var_x = self.box_filter(x * x) - mean_x * mean_x
        a = self.conv(torch.cat([cov_xy, var_x, hidden], dim=1))
        return a, mean_y - a * mean_x

    def forward(self, src: Tensor, base: Tensor, mat: Tensor, hidden: Tensor) -> Tensor:
        """Fit at low resolution, apply to ``src`` (N, 3, H, W); returns (N, 4, H, W)."""
        a, b = self.coefficients(base, mat, hidden)
        return apply_linear(a, b, src)


class FastGuidedFilter(nn.Module):
    """Guided filter without weights: ``A = cov(x, y) / (var(x) + eps)`` over a 3x3 window (He and Sun 2015)."""

    def __init__(self, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps

    def coefficients(self, base: Tensor, mat: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Fit the model; arguments as in :meth:`DeepGuidedFilter.coefficients` (``hidden`` is unused).

        Returns:
            Slope and offset, both (N, 4, h, w), never in less than single precision.
        """
        # In half precision, rounding of the difference of two nearly equal moments would exceed eps.
        exact = torch.float64 if mat.dtype == torch.float64 else torch.float32
        x = with_mean(base.to(exact))
        return self.fit(x, mat.to(exact), 4)

    def fit(self, x: Tensor, y: Tensor, channels: int) -> tuple[Tensor, Tensor]:
        """Slope and offset of ``y`` over ``x``, channel by channel; all (N, channels, h, w)."""
        moments = _box(torch.cat([x, y, x * y, x * x], dim=1), 4 * channels)
        mean_x, mean_y, mean_xy, mean_xx = torch.chunk(moments, 4, dim=1)
        cov_xy = mean_xy - mean_x * mean_y
        var_x = mean_xx - mean_x * mean_x
        a = cov_xy / (var_x + self.eps)
        b = mean_y - a * mean_x
        return a, b

    def forward(self, src: Tensor, base: Tensor, mat: Tensor, hidden: Tensor) -> Tensor:
        """Fit at low resolution, apply to ``src`` (N, 3, H, W); returns (N, 4, H, W)."""
        a, b = self.coefficients(base, mat, hidden)
        return apply_linear(a.to(src.dtype), b.to(src.dtype), src)
