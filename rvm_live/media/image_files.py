"""Reads still pictures from files, with limits on their size before they are decoded.

OpenCV allocates what a file's header says, up to a gigapixel, and offers no look at the header alone; PyAV decodes the
first picture to tell its size, and takes other parts of a file for the picture than OpenCV does. So the few numbers
are read by ``image_headers.py``, where OpenCV's own decoders read them; a format whose size is not known there is not
decoded. In AVIF alone the size that counts lies inside the coded picture: there FFmpeg's decoder, which obeys a limit,
goes first.
"""

from __future__ import annotations

import io
import stat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rvm_live.media.image_headers import MOST_PIXELS, UnfitPicture, is_avif, is_jpeg2000, size_of

__all__ = ["MOST_BYTES", "MOST_PIXELS", "UnfitPicture", "check_size", "read_encoded", "size_of"]

MOST_BYTES = 256 << 20
"""Largest size of a file, bytes. A photograph of 100 megapixels has 20 to 100 MiB."""

_MOST_JPEG2000_PIXELS = 32_000_000  # its decoder takes eight bytes for each value, so eight times the memory


def read_encoded(path: Path) -> NDArray[np.uint8]:
    """The bytes of a picture file, uint8 (N,) and read-only, small enough to be decoded.

    Raises:
        OSError: it cannot be read.
        UnfitPicture: it is not a regular file, empty, too large, too large once decoded, or of no known format.
    """
    about = path.stat()
    if stat.S_ISDIR(about.st_mode):
        raise UnfitPicture("is a folder")
    if not stat.S_ISREG(about.st_mode):  # it may have no end, or block
        raise UnfitPicture("is a device or a pipe, not a file")
    if about.st_size > MOST_BYTES:
        raise UnfitPicture(f"has {about.st_size >> 20:,} MiB: pictures above {MOST_BYTES >> 20} MiB are not read")
    # Not cv2.imread: on Windows it cannot open a path with letters outside the system's code page.
    with path.open("rb") as file:
        data = file.read(about.st_size)
    if not data:
        raise UnfitPicture("is empty")
    check_size(data)
    return np.frombuffer(data, np.uint8)


def check_size(data: bytes) -> None:
    """Look at the header of a picture file.

    Raises:
        UnfitPicture: decoding it would take too much, or it is of no known format.
    """
    width, height = size_of(data)
    most = _MOST_JPEG2000_PIXELS if is_jpeg2000(data) else MOST_PIXELS
    if width * height > most:
        raise UnfitPicture(
            f"has {width} x {height} pixels: more than {most // 1_000_000} megapixels are not decoded: scale it down"
        )
    if is_avif(data):
        _decode_avif(data)


def _decode_avif(data: bytes) -> None:
    """Decode its parts once with a decoder that obeys a limit."""
    import av

    from rvm_live.media.ffmpeg import opened

    limit = {"max_pixels": str(MOST_PIXELS)}
    try:
        with opened(io.BytesIO(data), options=limit) as container:
            for stream in container.streams.video:
                if stream.codec_context is None:
                    raise UnfitPicture("is damaged, or an unknown kind of AVIF")
                stream.codec_context.options = limit
            for packet in container.demux(video=list(range(len(container.streams.video)))):
                packet.decode()
    except av.FFmpegError as error:
        raise UnfitPicture("is damaged, or larger than its header says") from error
