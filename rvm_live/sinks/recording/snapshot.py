"""One composite as a PNG with alpha."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.errors import SinkError
from rvm_live.core.frames import Composite
from rvm_live.system.atomic_write import write_whole, writing

__all__ = ["cut_out", "encode_png", "save_png"]

_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1]
if hasattr(cv2, "IMWRITE_PNG_FILTER"):
    # The fastest row filter, which also gives the smallest file for a person cut out.
    _PNG += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP]


def cut_out(composite: Composite) -> NDArray[np.uint8]:
    """Only the person, uint8 (H, W, 4) BGRA with straight alpha; colour is zero wherever alpha is."""
    if composite.transparent:
        return composite.image
    matte = composite.matte.host()
    image: NDArray[np.uint8] = cv2.merge([*cv2.split(matte.foreground), matte.alpha])
    return image


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """``image`` (uint8 (H, W, 3) BGR or (H, W, 4) BGRA) as the bytes of a PNG file."""
    done, data = cv2.imencode(".png", image, _PNG)
    if not done:
        raise SinkError(f"a picture of {image.shape[1]}x{image.shape[0]} pixels cannot be written as PNG")
    return bytes(data)


def save_png(composite: Composite, path: Path) -> None:
    """Save only the person, with the matte's alpha and the foreground's colour, as a BGRA PNG.

    Args:
        composite: any; also one over an opaque background.
        path: of the file; its folder is made if missing.

    Raises:
        SinkError: it cannot be written.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, encode_png(cut_out(composite)))
