"""A still picture."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.backgrounds.base import Background, Plate
from rvm_live.backgrounds.fit import check_fit, fit_image
from rvm_live.errors import BackgroundError
from rvm_live.pictures import UnfitPicture, read_encoded

__all__ = ["IMAGE_SUFFIXES", "ImageBackground"]

IMAGE_SUFFIXES = frozenset({".avif", ".bmp", ".jfif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


class ImageBackground(Background):
    """A still picture; turned as its EXIF says, its own transparency ignored.

    Args:
        path: of a format in :mod:`rvm_live.pictures`, at most 256 MiB and 128 megapixels.
        fit: one of :data:`~rvm_live.backgrounds.fit.FITS`.

    Raises:
        SettingsError: unknown ``fit``.
    """

    def __init__(self, path: Path, fit: str = "cover") -> None:
        self.path = Path(path)
        self.fit = check_fit(fit)
        self.label = f"image {self.path.stem}"
        self._encoded = np.empty(0, np.uint8)
        self._plate: Plate | None = None
        self._version = 0

    def check(self) -> None:
        """Find out cheaply whether it can be shown.

        Raises:
            BackgroundError: it is missing, unreadable or not a picture.
        """
        _decoded(self.path, _read(self.path), cv2.IMREAD_REDUCED_GRAYSCALE_8)

    def open(self) -> None:
        # The file's bytes are kept, so that a change of the frame's size does not need the file again.
        self._encoded = _read(self.path)

    def layer(self, width: int, height: int, now_ns: int) -> Plate:
        plate = self._plate
        if plate is None or plate.image.shape[:2] != (height, width):
            image = _decoded(self.path, self._encoded, cv2.IMREAD_COLOR)
            self._version += 1
            plate = self._plate = Plate(fit_image(image, width, height, self.fit, self.pixel), self._version)
        return plate

    def close(self) -> None:
        self._plate = None
        self._encoded = np.empty(0, np.uint8)


def _read(path: Path) -> NDArray[np.uint8]:
    try:
        return read_encoded(path)
    except FileNotFoundError:
        raise BackgroundError(f"there is no background image {path}") from None
    except OSError as error:
        raise BackgroundError(f"cannot read the background image {path}: {error.strerror or error}") from error
    except UnfitPicture as error:
        raise BackgroundError(f"the background image {path} {error}") from error


def _decoded(path: Path, encoded: NDArray[np.uint8], flags: int) -> NDArray[np.uint8]:
    try:
        image = cv2.imdecode(encoded, flags)
    except cv2.error as error:
        raise BackgroundError(f"cannot decode the background image {path}: {' '.join(str(error).split())}") from error
    if image is None:
        raise BackgroundError(f"{path} is not a picture that OpenCV can read, or it is damaged")
    decoded: NDArray[np.uint8] = image
    return decoded
