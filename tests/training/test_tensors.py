"""Picture operations on tensors compared with OpenCV's on bytes, on random pictures; levels of 0-255."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rvm_live.core.arrays import Bytes
from tests.support.threads import torch_threads  # noqa: F401
from training import tensors
from training.augment import Light, Shade
from training.scene import gaussian

SIZE = 90, 150


def pictures(count: int, channels: int = 3, size: tuple[int, int] = SIZE) -> list[Bytes]:
    """Smooth pictures with some grain, like a camera's: uint8 (h, w, channels)."""
    random = np.random.default_rng(count)
    made = []
    for _ in range(count):
        coarse = random.integers(0, 256, (9, 15, channels)).astype(np.float32)
        smooth = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC).reshape(*size, channels)
        made.append(np.clip(smooth + random.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8))
    return made


def tensor(found: list[Bytes]) -> torch.Tensor:
    """The pictures as one frame each: float32 (B, 1, C, h, w)."""
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2)[:, None].float()


def off(found: torch.Tensor, wanted: list[Bytes]) -> NDArray[np.float64]:
    """How far each value is from OpenCV's."""
    ours = found[:, 0].permute(0, 2, 3, 1).numpy().astype(np.float64)
    return np.asarray(np.abs(ours - np.stack([each.reshape(ours.shape[1:]) for each in wanted])))


MATRICES = {
    "turned": [[0.7, 0.1, 8.3], [-0.1, 0.8, 12.6], [0, 0, 1]],
    "flipped, larger": [[-0.31, 0.0, 120.2], [0.0, 0.29, 20.0], [0, 0, 1]],
    "beyond the edge": [[1.1, 0.0, -11.5], [0.0, 1.2, -8.25], [0, 0, 1]],
    "in perspective": [[0.8, 0.1, 3.0], [0.05, 0.9, 4.0], [0.0007, 0.0011, 1]],
}
BORDERS = {"border": cv2.BORDER_REPLICATE, "reflection": cv2.BORDER_REFLECT, "zeros": cv2.BORDER_CONSTANT}


@pytest.mark.parametrize("border", list(BORDERS))
@pytest.mark.parametrize("name", list(MATRICES))
def test_pictures_are_placed_as_opencv_does(name: str, border: str) -> None:
    """Within OpenCV's 32nds of a pixel."""
    found, matrix = pictures(2, 4), np.array(MATRICES[name])
    ours = tensors.placed(tensor(found)[:, 0], np.stack([matrix] * 2), (70, 120), border)[:, None]
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    theirs = [
        np.asarray(cv2.warpPerspective(each, matrix, (120, 70), flags=how, borderMode=BORDERS[border]))
        for each in found
    ]
    apart = off(ours, theirs)
    assert apart.mean() < 0.6
    assert np.quantile(apart, 0.999) < 6


@pytest.mark.parametrize("count", [1, 3])
def test_light_is_the_same_but_for_rounding(count: int) -> None:
    random, found = np.random.default_rng(1), pictures(count)
    lights = [Light.drawn(random, 1.5) for _ in found]
    if count > 1:  # among others one whose channels differ
        lights[1] = lights[1]._replace(curve=np.stack([each.curve for each in lights], 1))
    curves = [np.broadcast_to(each.curve.T, (3 if count > 1 else 1, 256)) for each in lights]
    mix, curve = (torch.from_numpy(np.stack(each)).float() for each in ([light.mix for light in lights], curves))
    apart = off(
        tensors.lit(tensor(found), mix, curve), [light(each) for light, each in zip(lights, found, strict=True)]
    )
    assert (apart > 0).mean() < 0.05  # OpenCV computes with integers: near a half it may round to the other side
    assert apart.max() <= 8  # a level before the curve
    shades = [Shade.drawn(random) for _ in found]
    fields, lift = (
        torch.tensor(np.stack([each.field for each in shades])).float(),
        torch.tensor([s.lift for s in shades]),
    )
    shaded = tensors.shaded(tensor(found), fields, lift)
    assert off(shaded, [shade(each) for shade, each in zip(shades, found, strict=True)]).max() <= 2


@pytest.mark.parametrize("sigma", [0.3, 0.8, 1.2, 3.0, 5.0, 12.0])
def test_blurs_weigh_their_neighbours_as_opencv_does(sigma: float) -> None:
    found, weights = pictures(2), torch.from_numpy(gaussian(sigma)[None]).float().expand(2, -1)
    ours = tensors.filtered(tensor(found), weights, weights)
    assert off(ours, [cv2.GaussianBlur(each, (0, 0), sigma) for each in found]).max() <= 1.5


def test_a_blur_wider_than_the_picture_is_cut() -> None:
    found, weights = pictures(1, size=(20, 30)), torch.from_numpy(gaussian(12.0)[None]).float()
    ours = tensors.filtered(tensor(found), weights, weights)
    assert ours.shape == (1, 1, 3, 20, 30)
    assert abs(float(ours.mean()) - found[0].mean()) < 8


@pytest.mark.parametrize("how", [cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_NEAREST])
@pytest.mark.parametrize("size", [(66, 117), (59, 93), (45, 75), (90, 150), (133, 201)])
def test_pictures_are_resized_by_opencvs_kernels(how: int, size: tuple[int, int]) -> None:
    found = pictures(2)
    ours = tensors.resized(tensor(found), size, how).clamp(0, 255)
    assert off(ours, [cv2.resize(each, size[::-1], interpolation=how) for each in found]).max() <= 1.1


def test_cells_become_a_field_of_any_size() -> None:
    cells = np.random.default_rng(0).integers(0, 256, (2, 4, 6)).astype(np.uint8)
    for how in (cv2.INTER_CUBIC, cv2.INTER_NEAREST):
        ours = tensors.upsampled(torch.from_numpy(cells).float(), SIZE, how)
        assert off(ours, [cv2.resize(each, SIZE[::-1], interpolation=how) for each in cells]).max() <= 1


@pytest.mark.parametrize("size", [(90, 150), (176, 320), (37, 51)])
def test_jpeg_loses_what_libjpeg_loses(size: tuple[int, int]) -> None:
    """Coefficients near a half are rounded either way, so single blocks may differ."""
    qualities, found = [25, 60, 94], pictures(3, size=size)
    ours = tensors.jpeg(tensor(found), qualities)
    for number, quality in enumerate(qualities):
        data = cv2.imencode(".jpg", found[number], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        theirs = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))
        apart = off(ours[number : number + 1], [theirs]).mean()
        lost = np.abs(theirs.astype(float) - found[number]).mean()
        assert apart < 0.3 * lost
        assert apart < 2
