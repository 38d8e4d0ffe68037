"""What a sequence shall show, as a list of steps: all that is left to chance is in it, and no frame's pixel yet.

``training/sample.py`` draws scenes, ``training/render.py`` carries their steps out, for many scenes at once. While it
does, each scene has four pictures, of one frame where all frames are alike, else of all: ``below`` (what is seen so
far) and ``alpha`` (how much of that is people); ``front`` and ``mask``: what comes before it next, and where.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.arrays import Bytes
from training.augment import Light, Shade

__all__ = [
    "Alike",
    "Beside",
    "Coarse",
    "Cut",
    "Dress",
    "Fill",
    "Filter",
    "Hide",
    "Hold",
    "Jpeg",
    "Lit",
    "Noise",
    "Over",
    "Portrait",
    "Put",
    "Sample",
    "Scene",
    "Shaded",
    "Shadow",
    "Split",
    "Step",
    "View",
    "gaussian",
]

Numbers = NDArray[np.float64]


class View(NamedTuple):
    """Stored pictures as they are seen in a frame.

    Args:
        pictures: for each frame, or once for all: the kind in the store, its number, and the number of its frame; or
            the picture itself, uint8 (h, w, 3) BGR or (h, w, 4) with alpha.
        matrices: float64 (T, 3, 3) or (1, 3, 3), from a frame's pixels (x, y, 1) to the picture's.
        border: what lies beyond the picture: ``border``, ``reflection`` or ``zeros``, as torch names them.
        light: falls on the picture before it is placed.
        order: of its channels.
    """

    pictures: tuple[tuple[str, int, int] | Bytes, ...]
    matrices: Numbers
    border: str
    light: Light | None = None
    order: tuple[int, int, int] = (0, 1, 2)


class Sample(NamedTuple):
    """``front`` becomes the view, and ``mask`` its alpha, if it has any; or ``below`` and ``alpha`` do."""

    view: View
    on: str = "front"


class Put(NamedTuple):
    """A view with alpha comes before ``below``."""

    view: View


class Fill(NamedTuple):
    """``front`` becomes one colour, BGR in 0-255."""

    colour: Numbers


class Cut(NamedTuple):
    """``mask`` becomes what is inside of corners, int32 (N, 2)."""

    shape: NDArray[np.int32]


class Lit(NamedTuple):
    """Other light on ``front`` (or ``below``)."""

    light: Light
    on: str = "front"


class Shaded(NamedTuple):
    """Light from one side on ``front``."""

    shade: Shade


class Filter(NamedTuple):
    """Weights of neighbours across and down, of odd length, on ``below``."""

    across: Numbers
    down: Numbers


class Split(NamedTuple):
    """``front`` shows where cells of a coarse grid, uint8 (rows, columns), are below 128; ``below`` elsewhere."""

    cells: Bytes
    smooth: bool


class Over(NamedTuple):
    """``front`` comes before ``below``, as far as ``mask`` says; a person counts as alpha."""

    person: bool = False


class Dress(NamedTuple):
    """Other clothes on ``front``, below the shoulders (a share of the height)."""

    light: Light
    pattern: View | None
    shoulders: float


class Hold(NamedTuple):
    """Shapes, int32 (N, 2), in the view's or one colour's pixels on ``front`` and in ``mask``."""

    shapes: tuple[NDArray[np.int32], ...]
    fill: View | Numbers


class Hide(NamedTuple):
    """A shape, int32 (N, 2), before everybody, with the view's pixels."""

    shape: NDArray[np.int32]
    fill: View


class Alike(NamedTuple):
    """``below`` becomes nearly of the colour that the lower half of ``front`` has, and that much off."""

    off: Numbers
    share: float


class Shadow(NamedTuple):
    """The mask's shadow on ``below``: shifted (x, y), so wide (deviation of its blur, pixels), and so dark."""

    shift: tuple[float, float]
    spread: float
    strength: float


class Beside(NamedTuple):
    """A painted thing before ``below`` and ``alpha``: uint8 colours (h, w, 3), weighed, how far they hide (h, w), and
    light that is added to what is behind (h, w, 3)."""

    front: Bytes
    hidden: Bytes
    glow: Bytes


class Portrait(NamedTuple):
    """``front`` becomes a scene of its own on the wall, in a frame, and ``mask`` where that hangs.

    Args:
        scene: what is in the picture.
        box: left, top, width and height on the wall, pixels.
        light: on the picture.
        colour: of the frame, BGR.
        edge: of the frame: its width, pixels.
    """

    scene: Scene
    box: tuple[int, int, int, int]
    light: Light
    colour: Numbers
    edge: int


class Coarse(NamedTuple):
    """``below`` as from a smaller picture: its width and height."""

    size: tuple[int, int]


class Noise(NamedTuple):
    """Noise on ``below``: for each frame number of the sheet and where on it (y, x); deviation in levels."""

    places: tuple[tuple[int, int, int], ...]
    deviation: float


class Jpeg(NamedTuple):
    """What JPEG of a quality (1-100) leaves of ``below``."""

    quality: int


Step = (
    Sample
    | Fill
    | Cut
    | Lit
    | Shaded
    | Filter
    | Split
    | Over
    | Dress
    | Hold
    | Hide
    | Alike
    | Shadow
    | Beside
    | Portrait
    | Put
    | Coarse
    | Noise
    | Jpeg
)


class Scene(NamedTuple):
    """A sequence to be: the size at which its steps are carried out, and that to which it is shrunk then.

    Args:
        steps: in their order.
        width: pixels.
        height: pixels.
        time: frames.
        shrunk: width, height and OpenCV's number of the kernel; None: it stays as it is.
    """

    steps: tuple[Step, ...]
    width: int
    height: int
    time: int
    shrunk: tuple[int, int, int] | None = None


def gaussian(sigma: float) -> Numbers:
    """Weights of a blur, as many as OpenCV takes for bytes."""
    return np.asarray(cv2.getGaussianKernel(round(6 * sigma + 1) | 1, sigma)[:, 0])
