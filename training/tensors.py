"""Picture operations on tensors, for many sequences at once: float32 (B, T, C, h, w), in levels of 0-255, on any
device.

``T`` is 1 where all frames are alike. Each function does what OpenCV's function for the same purpose does on bytes,
without rounding unless it says so.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

__all__ = ["filtered", "jpeg", "lit", "placed", "resized", "shaded", "upsampled"]

Tensor = torch.Tensor

_LUMA: tuple[int, ...] = (
    16,
    11,
    10,
    16,
    24,
    40,
    51,
    61,
    12,
    12,
    14,
    19,
    26,
    58,
    60,
    55,
    14,
    13,
    16,
    24,
    40,
    57,
    69,
    56,
    14,
    17,
    22,
)
_LUMA += (29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103)
_LUMA += (121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99)
_CHROMA = (17, 18, 24, 47, 18, 21, 26, 66, 24, 26, 56, 99, 47, 66, 99, 99)
"""Of ITU-T T.81, annex K; of the second table the upper left quarter, as all else is 99."""
_YCC = ((0.114, 0.587, 0.299), (0.5, -0.331264, -0.168736), (-0.081312, -0.418688, 0.5))
"""From BGR to Y, Cb, Cr: JFIF 1.02."""


def placed(pictures: Tensor, matrices: NDArray[np.float64], size: tuple[int, int], border: str) -> Tensor:
    """Pictures (N, C, h, w) warped into a frame, with bilinear interpolation (``cv2.warpPerspective``).

    Args:
        pictures: the pictures to warp.
        matrices: (N, 3, 3), from the frame's pixels (x, y, 1) to the pictures'.
        size: of the frame, height and width.
        border: what is beyond the pictures: ``border``, ``reflection`` or ``zeros``.

    Returns:
        (N, C, height, width).
    """
    (height, width), (tall, wide) = size, pictures.shape[2:]
    unit = np.array([[2 / wide, 0, 1 / wide - 1], [0, 2 / tall, 1 / tall - 1], [0, 0, 1]]) @ matrices
    at = torch.from_numpy(unit.astype(np.float32)).to(pictures.device)[..., None, None]
    x = torch.arange(width, dtype=torch.float32, device=pictures.device)[None]
    y = torch.arange(height, dtype=torch.float32, device=pictures.device)[:, None]
    grid = torch.empty((len(unit), height, width, 2), device=pictures.device)
    for axis in range(2):
        torch.add(at[:, axis, 0] * x, at[:, axis, 1] * y + at[:, axis, 2], out=grid[..., axis])
    if (unit[:, 2] != (0, 0, 1)).any():
        grid /= (at[:, 2, 0] * x + at[:, 2, 1] * y + at[:, 2, 2])[..., None]
    return functional.grid_sample(pictures, grid, padding_mode=border, align_corners=False)


def lit(pictures: Tensor, mix: Tensor, curve: Tensor) -> Tensor:
    """Mix channels by (B, 3, 3) and round, then look up each level in (B, 1 or 3, 256) (``cv2.transform``,
    ``cv2.LUT``)."""
    mixed = torch.matmul(mix[:, None], pictures.flatten(-2)).add_(0.5).clamp_(0, 255.5)
    batch, each, _ = curve.shape
    if batch * each > 1:
        mixed += 256 * torch.arange(batch * each, device=curve.device).view(batch, 1, each, 1)
    return torch.index_select(curve.flatten(), 0, mixed.to(torch.int32).flatten()).view(pictures.shape)


@functools.lru_cache(256)
def _kernel(had: int, wanted: int, how: int) -> NDArray[np.float32]:
    """OpenCV's resampling of a row of pixels to another length, as a matrix: (wanted, had)."""
    return np.asarray(cv2.resize(np.eye(had, dtype=np.float32), (had, wanted), interpolation=how))


@functools.lru_cache(256)
def _taps(had: int, wanted: int, how: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """For each new pixel the old pixels that contribute, and their weights: both (K, wanted)."""
    kernel = _kernel(had, wanted, how)
    first = (kernel != 0).argmax(1)
    most = had - (kernel[:, ::-1] != 0).argmax(1) - first
    index = np.minimum(first + np.arange(most.max())[:, None], had - 1)
    weights = np.take_along_axis(kernel, index.T, 1).T * (np.arange(most.max())[:, None] < most)
    return torch.from_numpy(index).to(device), torch.from_numpy(weights.astype(np.float32)).to(device)


def resized(pictures: Tensor, size: tuple[int, int], how: int) -> Tensor:
    """Pictures (..., h, w) resized to a height and width, with one of OpenCV's kernels (``cv2.resize``)."""
    for dim, wanted in ((-2, size[0]), (-1, size[1])):
        index, weights = _taps(pictures.shape[dim], wanted, how, pictures.device)
        made = torch.zeros((), device=pictures.device)
        for number in range(len(index)):
            weight = weights[number] if dim == -1 else weights[number, :, None]
            made = torch.addcmul(made, pictures.index_select(dim, index[number]), weight)
        pictures = made
    return pictures


def upsampled(cells: Tensor, size: tuple[int, int], how: int) -> Tensor:
    """Coarse pictures (B, rows, columns) enlarged to a size: (B, 1, 1, height, width), rounded (``cv2.resize``)."""
    down, across = (_kernel(had, wanted, how) for had, wanted in zip(cells.shape[1:], size, strict=True))
    rows, columns = (torch.from_numpy(each).to(cells.device) for each in (down, across))
    return (rows @ cells @ columns.T)[:, None, None].round_().clamp_(0, 255)


def shaded(pictures: Tensor, fields: Tensor, lift: Tensor) -> Tensor:
    """Pictures multiplied by coarse fields (B, rows, columns) in 0-255 and their lift (B,)."""
    field = upsampled(fields, (pictures.shape[-2], pictures.shape[-1]), cv2.INTER_CUBIC)
    return (pictures * field.mul_(lift.view(-1, 1, 1, 1, 1) / 255)).clamp_(max=255)


def filtered(pictures: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """Filter with kernels (B, odd length), horizontal and vertical, mirrored at the edges (``cv2.sepFilter2D``)."""
    for dim, weights in ((-1, across), (-2, down)):
        reach = weights.shape[1] // 2
        spare = max(0, reach - pictures.shape[dim] + 1)  # torch can mirror only once
        if spare:
            weights = weights[:, spare:-spare] / weights[:, spare:-spare].sum(1, keepdim=True)
            reach -= spare
        if not reach:
            continue
        edges = (reach, reach, 0, 0) if dim == -1 else (0, 0, reach, reach)
        wide = functional.pad(pictures.flatten(0, 1), edges, mode="reflect")
        wide = wide.view(*pictures.shape[:3], *wide.shape[-2:])
        pictures = torch.zeros_like(pictures, memory_format=torch.contiguous_format)
        for number, weight in enumerate(weights.T):
            pictures.addcmul_(wide.narrow(dim, number, pictures.shape[dim]), weight.view(-1, 1, 1, 1, 1))
    return pictures


@functools.cache
def _waves(device: torch.device) -> Tensor:
    """The 64 patterns of the discrete cosine transform, orthonormal: (64, 64)."""
    at = np.arange(8)
    rows = np.cos((2 * at + 1) * at[:, None] * np.pi / 16) * np.where(at == 0, np.sqrt(1 / 8), 0.5)[:, None]
    return torch.from_numpy(np.einsum("ux,vy->uvxy", rows, rows).reshape(64, 64).astype(np.float32)).to(device)


def _tables(quality: int) -> NDArray[np.float64]:
    """Quantisation steps of brightness and of colour for a quality of 1-100, scaled as in libjpeg: (2, 64)."""
    chroma = np.full((8, 8), 99)
    chroma[:4, :4] = np.reshape(_CHROMA, (4, 4))
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return np.asarray(np.clip((np.stack([np.array(_LUMA), chroma.ravel()]) * scale + 50) // 100, 1, 255), np.float64)


def jpeg(pictures: Tensor, qualities: list[int]) -> Tensor:
    """BGR pictures (B, T, 3, h, w) after JPEG compression with colours at half size; each of B has a quality of 1-100
    (``cv2.imencode``)."""
    batch, time, _, height, width = pictures.shape
    waves = _waves(pictures.device)
    tables = torch.from_numpy(np.stack([_tables(each) for each in qualities]).astype(np.float32)).to(pictures.device)
    mix = torch.tensor(_YCC, device=pictures.device)
    wide = functional.pad(pictures.flatten(0, 1), (0, -width % 16, 0, -height % 16), mode="replicate")
    planes = torch.matmul(mix, wide.flatten(-2)).view(wide.shape)
    planes[:, 0] -= 128
    rows = planes[:, 1:, ::2] + planes[:, 1:, 1::2]
    quarter = (rows[..., ::2] + rows[..., 1::2]) / 4
    kept = []
    for number, plane in enumerate((planes[:, :1], quarter)):
        tall, broad = plane.shape[2] // 8, plane.shape[3] // 8
        blocks = plane.round().view(batch, -1, tall, 8, broad, 8).transpose(3, 4).reshape(batch, -1, 64)
        steps = tables[:, number, None]
        waved = torch.matmul(blocks, waves.T).div_(steps).round_().mul_(steps)
        back = torch.matmul(waved, waves).round_().clamp_(-128, 127)
        kept.append(back.view(-1, tall, broad, 8, 8).transpose(2, 3).reshape(plane.shape))
    colour = functional.interpolate(kept[1], scale_factor=2, mode="bilinear", align_corners=False)
    whole = torch.cat([kept[0] + 128, colour], 1)[..., :height, :width]
    back = torch.matmul(torch.linalg.inv(mix), whole.flatten(-2)).round_().clamp_(0, 255)
    return back.view(batch, time, 3, height, width)
