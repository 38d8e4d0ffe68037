"""A still picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from rvm_live.backgrounds.base import Background, Plate
from rvm_live.backgrounds.fit import check_fit, fit_image
from rvm_live.core.errors import BackgroundError
from rvm_live.media.image_files import UnfitPicture, read_encoded
from rvm_live.media.stills import check, decode

__all__ = ["ImageBackground"]


class ImageBackground(Background):
    """A still picture, rotated as its EXIF says, without its transparency; of an animation the first picture.

    Args:
        path: of a format in :mod:`rvm_live.media.image_files`, at most 256 MiB and 128 megapixels.
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
        """Check quickly whether it can be shown.

        Raises:
            BackgroundError: it is missing, unreadable or not a picture.
        """
        with _told(self.path):
            check(read_encoded(self.path))

    def open(self) -> None:
        # The file's bytes are kept, so that a new frame size does not need the file again.
        with _told(self.path):
            self._encoded = read_encoded(self.path)

    def layer(self, width: int, height: int, now_ns: int) -> Plate:
        plate = self._plate
        if plate is None or plate.image.shape[:2] != (height, width):
            with _told(self.path):
                still = decode(self._encoded)
            self.told = f"the background image {self.path.name} {still.told}" if still.told else ""
            self._version += 1
            plate = self._plate = Plate(fit_image(still.image, width, height, self.fit, self.pixel), self._version)
        return plate

    def close(self) -> None:
        self._plate = None
        self._encoded = np.empty(0, np.uint8)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What is wrong with the file, in the words of a :class:`BackgroundError`."""
    try:
        yield
    except FileNotFoundError:
        raise BackgroundError(f"there is no background image {path}") from None
    except OSError as error:
        raise BackgroundError(f"cannot read the background image {path}: {error.strerror or error}") from error
    except UnfitPicture as error:
        raise BackgroundError(f"the background image {path} {error}") from error
