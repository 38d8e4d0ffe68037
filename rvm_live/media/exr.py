"""Pictures for compositing: OpenEXR, linear light in half floats."""

from __future__ import annotations

import os
import tempfile
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rvm_live.core.errors import SettingsError, SinkError, words_of
from rvm_live.system.installed import adding

__all__ = ["check_exr", "encode_exr", "linear"]

_BT709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)
"""Primaries and white of BT.709 and sRGB, x and y of red, green, blue and white."""


def check_exr() -> None:
    """Check whether EXR can be written here.

    Raises:
        SettingsError: it cannot; says what to install.
    """
    from importlib.util import find_spec

    if find_spec("OpenEXR") is None:
        raise SettingsError(f"EXR needs the package OpenEXR: {adding('exr')}; or write tiff, 16 bits")


@lru_cache
def linear() -> NDArray[np.float32]:
    """Linear light of each of the 256 values of sRGB, float32 (256,), [0, 1] (IEC 61966-2-1)."""
    value = np.arange(256, dtype=np.float64) / 255
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return light.astype(np.float32)


def encode_exr(image: NDArray[np.uint8], *, straight: bool = False) -> bytes:
    """A picture as an OpenEXR file: half floats, ZIP, with the primaries of BT.709 in its header.

    Args:
        image: uint8 (H, W, 3) BGR or (H, W, 4) BGRA with straight alpha, becomes ``RGB`` or ``RGBA`` in linear light;
            (H, W) is alpha, which is no light and stays as it is, in the channel ``A``.
        straight: leave colours as they are; else they are multiplied by alpha, as OpenEXR has it. The header tells
            which, in ``alphaPremultiplied``.

    Raises:
        SinkError: it cannot be encoded.
    """
    import OpenEXR

    if image.ndim == 2:
        channels = {"A": (image.astype(np.float32) / 255).astype(np.float16)}
    else:
        colour = linear()[image[..., 2::-1]]
        if image.shape[2] == 4:
            alpha = image[..., 3:].astype(np.float32) / 255
            pixels = np.concatenate((colour if straight else colour * alpha, alpha), 2)
        else:
            pixels = colour
        channels = {"RGBA" if image.shape[2] == 4 else "RGB": np.ascontiguousarray(pixels.astype(np.float16))}
    header = {
        "compression": OpenEXR.ZIP_COMPRESSION,
        "type": OpenEXR.scanlineimage,
        "chromaticities": _BT709,
        "alphaPremultiplied": "false" if straight else "true",
    }
    descriptor, path = tempfile.mkstemp(suffix=".exr")  # the library can only write to files
    os.close(descriptor)
    try:
        with OpenEXR.File(header, channels) as file:
            file.write(path)
        with open(path, "rb") as made:
            return made.read()
    except RuntimeError as error:
        raise SinkError(f"a picture of {image.shape} cannot be encoded as EXR: {words_of(error)}") from error
    finally:
        os.unlink(path)
