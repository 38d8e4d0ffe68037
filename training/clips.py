"""What the network learns from, and what is kept out of training to measure on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import cv2

from rvm_live.core.arrays import Bytes

__all__ = [
    "DEVELOPMENT",
    "DEVELOPMENT_BACKGROUNDS",
    "HELD_OUT",
    "MISLABELLED",
    "NO_CUT_OUTS",
    "TRUTH",
    "decoded",
    "moving",
    "people",
    "split_of",
]

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
    "congress/G",
    "echomimic_v2/man_0010",
    "echomimic_v2/woman_0048",
    "facechain/Gentleman",
    "human/person-christina",
    "human/stock-models-12",
    "openpeople/P006",
    "openpeople_sheets/P006",
)
"""Never trained on: progress is measured on these (beginnings of names). Three of them show one and the same man."""

HELD_OUT = (
    "congress/K",
    "echomimic_v2/demo_0047",
    "echomimic_v2/demo_0222",
    "echomimic_v2/man_0154",
    "echomimic_v2/man_0177",
    "echomimic_v2/man_0252",
    "echomimic_v2/woman_0140",
    "echomimic_v2/woman_0269",
    "facechain/Hiphop",
    "human/group-",
    "human/person-celeste",
    "human/person-nicole",
    "human/person-tasia",
    "human/person-tetiana",
    "human/stock-emotions-b",
    "lhm/04",
    "lhm/13",
    "openpeople/P003",
    "openpeople/P007",
    "openpeople_sheets/P003",
    "openpeople_sheets/P007",
    "video/mimicmotion_sample_hb_3",
    "video/aniportrait_pose",
)
"""Neither trained nor chosen on (beginnings of names, all pictures of a person together): ``benchmarks quality`` and
``benchmarks people`` measure on them."""

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
_PEOPLE = ("congress", "echomimic_v2", "facechain", "human", "lhm", "openpeople", "openpeople_sheets", "video")
_STILLS = (".jpg", ".png")
_MOVING = (".mp4", ".mpg", ".avi", ".mkv", ".gif")


def people(data: Path | None, more: Path | None = None) -> list[tuple[str, Path]]:
    """Name and path of every clip, still and folder of stills that shows people.

    Args:
        data: folder with ``webcam/`` and the like.
        more: folder with ``congress/`` and the like.
    """
    found = []
    for home, names in ((data, _FOLDERS), (more, _PEOPLE)):
        if home is None:
            continue
        for folder in names:
            for path in sorted((home / folder).iterdir()):
                if path.is_dir() or path.suffix in (*_STILLS, *_MOVING):
                    found.append((f"{folder}/{path.stem}", path))
    return found


def split_of(name: str) -> str:
    """``truth``, ``held-out``, ``development`` or ``training``."""
    for split, beginnings in (("truth", TRUTH), ("held-out", HELD_OUT), ("development", DEVELOPMENT)):
        if name.startswith(beginnings):
            return split
    return "training"


def moving(path: Path) -> bool:
    """Whether a path has more than one moment in time."""
    return path.is_dir() or path.suffix in _MOVING


def decoded(path: Path) -> Iterator[Bytes]:
    """The pictures of a clip, a still or a folder of stills: uint8 (H, W, 3) BGR."""
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
