"""The whole network (Lin et al. 2021, *Robust High-Resolution Video Matting with Temporal Guidance*, arXiv
2108.11515), in two parts that can be called on their own: ``coarse`` at low resolution, ``refine`` at full."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from rvm_live.network.decoder import LRASPP, Projection, RecurrentDecoder
from rvm_live.network.encoders import MobileNetV3LargeEncoder, ResNet50Encoder
from rvm_live.network.refiners import DeepGuidedFilter, FastGuidedFilter

__all__ = ["REFINERS", "VARIANTS", "MattingNetwork", "MattingOutput"]

VARIANTS = ("mobilenetv3", "resnet50")
REFINERS = ("deep_guided_filter", "fast_guided_filter")


class MattingOutput(NamedTuple):
    """What :class:`MattingNetwork` returns.

    Attributes:
        fgr: foreground colour RGB in 0-1, (B, 3, H, W) or (B, T, 3, H, W).
        pha: alpha in 0-1, (B, 1, H, W) or (B, T, 1, H, W).
        r1: state at 1/2 of the low resolution, (B, C, h, w); r2, r3, r4 likewise at 1/4, 1/8, 1/16.
    """

    fgr: Tensor
    pha: Tensor
    r1: Tensor
    r2: Tensor
    r3: Tensor
    r4: Tensor


class MattingNetwork(nn.Module):
    """RobustVideoMatting. Its parameters carry the names of the official checkpoints.

    Args:
        variant: encoder, ``mobilenetv3`` or ``resnet50``.
        refiner: ``deep_guided_filter`` or ``fast_guided_filter``; used only below full resolution.

    Raises:
        ValueError: unknown variant or refiner.
    """

    def __init__(self, variant: str = "mobilenetv3", refiner: str = "deep_guided_filter") -> None:
        super().__init__()
        if variant not in VARIANTS:
            raise ValueError(f"unknown variant {variant!r}: choose one of {', '.join(VARIANTS)}")
        if refiner not in REFINERS:
            raise ValueError(f"unknown refiner {refiner!r}: choose one of {', '.join(REFINERS)}")
        self.variant = variant
        self.refiner_name = refiner
        if variant == "mobilenetv3":
            self.backbone: nn.Module = MobileNetV3LargeEncoder()
            self.aspp = LRASPP(960, 128)
            self.decoder = RecurrentDecoder((16, 24, 40, 128), (80, 40, 32, 16))
        else:
            self.backbone = ResNet50Encoder()
            self.aspp = LRASPP(2048, 256)
            self.decoder = RecurrentDecoder((64, 256, 512, 256), (128, 64, 32, 16))
        self.project_mat = Projection(16, 4)
        self.project_seg = Projection(16, 1)  # used in training only; here so that checkpoints load strictly
        self.refiner = DeepGuidedFilter() if refiner == "deep_guided_filter" else FastGuidedFilter()

    def coarse(
        self,
        base: Tensor,
        r1: Tensor | None = None,
        r2: Tensor | None = None,
        r3: Tensor | None = None,
        r4: Tensor | None = None,
        time: int = 1,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """The low-resolution network.

        Args:
            base: picture (B * time, 3, h, w) RGB in 0-1, time varying fastest.
            r1: state (B, C, ...) as returned before, or None for zero; r2, r3, r4 likewise.
            time: moments in ``base``.

        Returns:
            ``mat`` (B * time, 4, h, w), the foreground residual and alpha, not clamped; the hidden features
            (B * time, 16, h, w); the new states r1 to r4.
        """
        f1, f2, f3, f4 = self.backbone(base)
        f4 = self.aspp(f4)
        hidden, s1, s2, s3, s4 = self.decoder(base, f1, f2, f3, f4, r1, r2, r3, r4, time)
        return self.project_mat(hidden), hidden, s1, s2, s3, s4

    def refine(self, src: Tensor, base: Tensor, mat: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Bring a low-resolution result to the size of the picture.

        Args:
            src: picture (N, 3, H, W) RGB in 0-1.
            base: the same at low resolution, (N, 3, h, w).
            mat: from :meth:`coarse`.
            hidden: from :meth:`coarse`.

        Returns:
            Foreground (N, 3, H, W) and alpha (N, 1, H, W), both in 0-1.
        """
        return finish(self.refiner(src, base, mat, hidden), src)

    def forward(
        self,
        src: Tensor,
        r1: Tensor | None = None,
        r2: Tensor | None = None,
        r3: Tensor | None = None,
        r4: Tensor | None = None,
        downsample_ratio: float = 1.0,
    ) -> MattingOutput:
        """Estimate foreground and alpha of a frame or a sequence.

        Args:
            src: (B, 3, H, W) or (B, T, 3, H, W), RGB in 0-1.
            r1: state after the frame before, or None at the start of a video; r2, r3, r4 likewise.
            downsample_ratio: size the network works at relative to ``src``, in (0, 1]; 1 leaves the refiner out.

        Returns:
            See :class:`MattingOutput`.
        """
        time = 1
        frames = src
        if src.dim() == 5:
            time = src.shape[1]
            frames = src.flatten(0, 1)
        base = shrink(frames, downsample_ratio) if downsample_ratio != 1.0 else frames
        mat, hidden, s1, s2, s3, s4 = self.coarse(base, r1, r2, r3, r4, time)
        if downsample_ratio != 1.0:
            fgr, pha = self.refine(frames, base, mat, hidden)
        else:
            fgr, pha = finish(mat, frames)
        if src.dim() == 5:
            fgr = fgr.reshape(-1, time, 3, src.shape[3], src.shape[4])
            pha = pha.reshape(-1, time, 1, src.shape[3], src.shape[4])
        return MattingOutput(fgr, pha, s1, s2, s3, s4)


def shrink(src: Tensor, ratio: float) -> Tensor:
    """``src`` (N, C, H, W) at ``floor(H * ratio) x floor(W * ratio)``, sampled at exactly ``ratio``."""
    return functional.interpolate(
        src, scale_factor=ratio, mode="bilinear", align_corners=False, recompute_scale_factor=False
    )


def finish(mat: Tensor, src: Tensor) -> tuple[Tensor, Tensor]:
    """Residual and alpha (N, 4, H, W) over the picture (N, 3, H, W) -> foreground and alpha, clamped to 0-1."""
    return torch.clamp(mat[:, :3] + src, 0.0, 1.0), torch.clamp(mat[:, 3:], 0.0, 1.0)
