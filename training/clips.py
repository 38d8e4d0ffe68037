"""What the network learns from and what is kept from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = [
    "DEVELOPMENT",
    "DEVELOPMENT_BACKGROUNDS",
    "MISLABELLED",
    "NO_CUT_OUTS",
    "TRUTH",
    "decoded",
    "fitted",
    "people",
    "split_of",
]

Bytes = NDArray[np.uint8]

TRUTH = ("webcam/liveportrait_d0", "webcam/grid_")
"""Never seen, never looked at while training: the truth made by chroma key comes from these."""

DEVELOPMENT = (
    "webcam/liveportrait_d9",
    "webcam/liveportrait_s18",
    "webcam/retalking_1",
    "hard/intel_asl_again",
    "hard/intel_asl_no",
    "hard/intel_asl_yes",
    "images/uniface_src_portrait1",
    "images/volcomix_woman-5883428_1280",
)
"""Never trained on: progress is measured on these. Three of them show one and the same man."""

DEVELOPMENT_BACKGROUNDS = (
    "dav2_demo05",
    "dav2_demo12",
    "elementary_Viktor_Forgacs",
    "kodak_01",
    "kodak_08",
    "kodak_24",
    "mam_rw_04",
    "volcomix_architecture-5082700_1280",
)
"""Never trained on, either: what people are put before when progress is measured."""

MISLABELLED = ("hard/sam2_04_coffee", "images/uniface_test", "hard/mmaction2_test_video_structuralize")
"""The teacher fails there (torso and hands alone, a crowd, a whip pan): left out altogether."""

NO_CUT_OUTS = (
    "images/uniface_src_friends",
    "images/p3m_p_07141906",
    "images/p3m_p_71bcce3a",
    "multi/intel_classroom",
    "multi/mmaction2_demo",
)
"""Mattes good enough to learn from in their own place, but with holes or ghosts."""

_FOLDERS = ("webcam", "body", "multi", "hard", "images")
_STILLS = (".jpg", ".png")
_MOVING = (".mp4", ".mpg", ".avi", ".mkv", ".gif")


def people(data: Path) -> list[tuple[str, Path]]:
    """Name and path of every clip, still and folder of stills that shows people."""
    found = []
    for folder in _FOLDERS:
        for path in sorted((data / folder).iterdir()):
            if path.is_dir() or path.suffix in (*_STILLS, *_MOVING):
                found.append((f"{folder}/{path.stem}", path))
    return found


def split_of(name: str) -> str:
    """``truth``, ``development`` or ``training``."""
    if name.startswith(TRUTH):
        return "truth"
    return "development" if name in DEVELOPMENT else "training"


def decoded(path: Path) -> Iterator[Bytes]:
    """Pictures of a clip, a still or a folder of stills: uint8 (H, W, 3) BGR."""
    if path.is_dir():
        for each in sorted(path.iterdir()):
            yield from decoded(each)
    elif path.suffix in _STILLS:
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if picture is None:
            raise ValueError(f"{path} cannot be read")
        yield picture
    else:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                yield frame.to_ndarray(format="bgr24")


def fitted(picture: Bytes, longest: int) -> Bytes:
    """The picture with its longer side at most ``longest`` and both sides even."""
    height, width = picture.shape[:2]
    ratio = min(longest / max(height, width), 1.0)
    size = (max(2, round(width * ratio / 2) * 2), max(2, round(height * ratio / 2) * 2))
    how = cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR
    return np.ascontiguousarray(cv2.resize(picture, size, interpolation=how))
