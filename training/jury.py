"""The jury: both of MediaPipe's networks, whose opinion of a picture the teacher's labels are checked against."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from training.mediapipe import MODELS, load_start

__all__ = ["Jury"]

_LONGEST, _STRIDE = 256, 16


class Jury:
    """Both models of MediaPipe's selfie segmentation.

    Args:
        wheel: path of the ``mediapipe`` wheel.
    """

    def __init__(self, wheel: Path) -> None:
        self._networks = [load_start(wheel, name).eval().requires_grad_(False) for name in MODELS]

    def opinion(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Mean of their alphas, float32 (h, w) in 0-1, for a picture uint8 (h, w, 3) BGR."""
        height, width = picture.shape[:2]
        scale = _LONGEST / max(width, height) / _STRIDE
        size = tuple(max(1, round(side * scale)) * _STRIDE for side in (width, height))
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        shown = torch.from_numpy(small[None]).permute(0, 3, 1, 2).flip(1).float() / 255
        with torch.inference_mode():
            found = sum(torch.sigmoid(each.logits(shown, None, None, None, 1)[0]) for each in self._networks)
        alpha = np.asarray(found[0, 0].numpy() / len(self._networks))  # type: ignore[index]
        return np.asarray(cv2.resize(alpha, (width, height), interpolation=cv2.INTER_LINEAR))
