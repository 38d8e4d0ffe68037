"""What a sequence is to show, as a list of steps: all random choices are in it, but no pixel of a frame yet.

``training/sample.py`` draws scenes; ``training/render.py`` carries out their steps, for many scenes at once. During
that each scene has four pictures, with one frame if all frames are alike, else with all: ``below`` (what is visible so
far), ``alpha`` (how much of that is people), ``front`` (what is put in front of it next), and ``mask`` (where).
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.arrays import Bytes
from training.augment import Light, Shade

__all__ = [
    "SHEET",
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

SHEET = (720, 1024)
"""Height and width of the sheets that noise is cut from."""


class View(NamedTuple):
    """How stored pictures appear in a frame.

    Args:
        pictures: for each frame, or once for all: kind in the store, number, and number of the frame; or the picture
            itself, uint8 (h, w, 3) BGR or (h, w, 4) with alpha.
        matrices: float64 (T, 3, 3) or (1, 3, 3), from a frame's pixels (x, y, 1) to the picture's.
        border: what is beyond the picture: ``border``, ``reflection`` or ``zeros``, as torch names them.
        light: change of light, applied before the picture is placed.
        order: order of its channels.
    """

    pictures: tuple[tuple[str, int, int] | Bytes, ...]
    matrices: Numbers
    border: str
    light: Light | None = None
    order: tuple[int, int, int] = (0, 1, 2)


class Sample(NamedTuple):
    """The view is written to ``front``, and its alpha, if any, to ``mask``; or to ``below`` and ``alpha``."""

    view: View
    on: str = "front"


class Put(NamedTuple):
    """A view with alpha is composited over ``below``."""

    view: View


class Fill(NamedTuple):
    """``front`` is filled with one colour, BGR in 0-255."""

    colour: Numbers


class Cut(NamedTuple):
    """``mask`` becomes a filled polygon with corners int32 (N, 2)."""

    shape: NDArray[np.int32]


class Lit(NamedTuple):
    """Change the light on ``front`` (or ``below``)."""

    light: Light
    on: str = "front"


class Shaded(NamedTuple):
    """Light from one side on ``front``."""

    shade: Shade


class Filter(NamedTuple):
    """Filter ``below`` with two kernels of odd length, horizontal and vertical."""

    across: Numbers
    down: Numbers


class Split(NamedTuple):
    """Where cells of a coarse grid, uint8 (rows, columns), are below 128, ``front`` is shown; elsewhere ``below``."""

    cells: Bytes
    smooth: bool


class Over(NamedTuple):
    """Composite ``front`` over ``below`` by ``mask``; a person is added to alpha."""

    person: bool = False


class Dress(NamedTuple):
    """Change the clothes on ``front``: below the shoulders (a share of the height)."""

    light: Light
    pattern: View | None
    shoulders: float


class Hold(NamedTuple):
    """Draw shapes, int32 (N, 2), on ``front`` and in ``mask``, filled with the view's pixels or one colour."""

    shapes: tuple[NDArray[np.int32], ...]
    fill: View | Numbers


class Hide(NamedTuple):
    """Draw a shape, int32 (N, 2), in front of everybody, filled with the view's pixels."""

    shape: NDArray[np.int32]
    fill: View


class Alike(NamedTuple):
    """``below`` is shifted to nearly the colour of the lower half of ``front``, with the given offset."""

    off: Numbers
    share: float


class Shadow(NamedTuple):
    """The mask's shadow on ``below``: its shift (x, y), its blur (standard deviation, pixels) and its darkness."""

    shift: tuple[float, float]
    spread: float
    strength: float


class Beside(NamedTuple):
    """Composite a painted thing over ``below`` and ``alpha``: premultiplied colours uint8 (h, w, 3), opacity (h, w),
    and light that is added to what is behind (h, w, 3)."""

    front: Bytes
    hidden: Bytes
    glow: Bytes


class Portrait(NamedTuple):
    """``front`` becomes another scene, as a framed picture on the wall; ``mask`` is where it hangs.

    Args:
        scene: what the picture shows.
        box: left, top, width and height on the wall, pixels.
        light: change of light on the picture.
        colour: the frame's colour, BGR.
        edge: the frame's width, pixels.
    """

    scene: Scene
    box: tuple[int, int, int, int]
    light: Light
    colour: Numbers
    edge: int


class Coarse(NamedTuple):
    """``below`` as if enlarged from a smaller picture of this width and height."""

    size: tuple[int, int]


class Noise(NamedTuple):
    """Noise on ``below``: for each frame the number of the noise sheet and the offset in it (y, x); standard deviation
    in levels."""

    places: tuple[tuple[int, int, int], ...]
    deviation: float


class Jpeg(NamedTuple):
    """``below`` after JPEG compression at a quality of 1-100."""

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
    """A sequence to be computed: the size at which its steps are carried out, and the size to which it is then shrunk.

    Args:
        steps: in order.
        width: pixels.
        height: pixels.
        time: frames.
        shrunk: width, height and OpenCV's number of the kernel; None: no change of size.
    """

    steps: tuple[Step, ...]
    width: int
    height: int
    time: int
    shrunk: tuple[int, int, int] | None = None


def gaussian(sigma: float) -> Numbers:
    """Weights of a Gaussian blur, as many as OpenCV takes for bytes."""
    return np.asarray(cv2.getGaussianKernel(round(6 * sigma + 1) | 1, sigma)[:, 0])
