"""Pictures for browsers: JPEG, and next to it a mask whose values are alpha."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np

from rvm_live.core.arrays import Bytes
from rvm_live.core.errors import SinkError
from rvm_live.media.scaling import Box, fit, scale_to

__all__ = ["carried_outward", "jpeg", "mask_png", "reduced"]

_QUALITY = 85
_MOST = Box(0, 0, 1920, 1080)
_REDUCE = 8
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RAMP = bytes(range(256))


def reduced(image: Bytes) -> Bytes:
    """The picture, or where it is larger than 1920 x 1080 one that fits."""
    height, width = image.shape[:2]
    if width <= _MOST.width and height <= _MOST.height:
        return image
    box = fit(width, height, _MOST)
    return scale_to(image, box.width, box.height)


def jpeg(image: Bytes, quality: int = _QUALITY) -> bytes:
    """uint8 (H, W, 3) BGR or (H, W) grey as the bytes of a JPEG file."""
    done, data = cv2.imencode(".jpeg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise SinkError(f"a picture of {image.shape[1]}x{image.shape[0]} pixels cannot be written as JPEG")
    return bytes(data)


def carried_outward(image: Bytes) -> Bytes:
    """The colour of a cut-out for JPEG, which would otherwise mix the black around the person into their edge.

    As :func:`rvm_live.media.alpha_bleed.bleed`, for what is looked at live: in whole numbers at an eighth of the size,
    each visible pixel weighing alike.

    Args:
        image: uint8 (H, W, 4) BGRA; colour is zero where alpha is.

    Returns:
        uint8 (H, W, 3) BGR, the person's own colour around them, zero farther away.
    """
    height, width = image.shape[:2]
    colour = cv2.cvtColor(image, cv2.COLOR_BGRA2BGR)
    alpha = cv2.extractChannel(image, 3)
    hidden = cv2.threshold(alpha, 0, 255, cv2.THRESH_BINARY_INV)[1]
    size = (max(1, width // _REDUCE), max(1, height // _REDUCE))
    top = cv2.blur(cv2.resize(colour, size, interpolation=cv2.INTER_AREA).astype(np.float32), (3, 3))
    weight = 255 - cv2.blur(cv2.resize(hidden, size, interpolation=cv2.INTER_AREA).astype(np.float32), (3, 3))
    around = np.where(weight[..., None] < 1, 0, top * (255 / np.maximum(weight, 1))[..., None])
    small = np.clip(around, 0, 255).astype(np.uint8)
    filled: Bytes = cv2.copyTo(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), hidden, colour)
    return filled


def mask_png(alpha: Bytes) -> bytes:
    """uint8 (H, W) as a PNG of one byte a pixel whose palette is black all over and as opaque as its index.

    So browsers make of it a picture whose alpha is exactly ``alpha``, at a quarter of the bytes of RGBA (PNG, third
    edition, 11.3.1.1: ``tRNS`` of colour type 3).
    """
    height, width = alpha.shape
    rows = np.zeros((height, width + 1), np.uint8)  # each row begins with its filter type: 0, no filter
    rows[:, 1:] = alpha
    packer = zlib.compressobj(1, zlib.DEFLATED, 15, 9, zlib.Z_RLE)  # alpha consists mostly of runs
    pixels = packer.compress(rows.data) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"PLTE", bytes(768)), (b"tRNS", _RAMP), (b"IDAT", pixels), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))
