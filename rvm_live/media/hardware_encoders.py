"""Whether an encoder of a GPU works here."""

from __future__ import annotations

import tempfile
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
from av.codec.codec import UnknownCodecError

from rvm_live.core.errors import words_of
from rvm_live.media.encoder import Encoder, Recipe

__all__ = ["why_not"]


@lru_cache(maxsize=32)
def why_not(
    codec: str, form: str, options: tuple[tuple[str, str], ...], size: tuple[int, int], *, clear: bool = False
) -> str | None:
    """Encode three pictures, ``clear``: with alpha: None if that works, else why it does not."""
    recipe = Recipe("matroska", codec, form, form, grey=form, even=True, options=dict(options))
    picture = np.full((size[1], size[0], 4 if clear else 3), 90, np.uint8)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "trial.mkv"
            encoder = Encoder(path, recipe, picture.shape, rate=Fraction(30), time_base=Fraction(1, 30))
            try:
                for number in range(3):
                    encoder.add(picture, number)
                encoder.flush()
            finally:
                encoder.close()
    except UnknownCodecError:
        return "not in this build of FFmpeg"
    except Exception as error:  # missing driver libraries fail in many ways
        return words_of(error)
    return None
