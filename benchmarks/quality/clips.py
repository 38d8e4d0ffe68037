"""What quality is measured on: folders in the layout of VideoMatte240K, keyed clips, and clips without truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.keyed.key import key
from benchmarks.keyed.scenes import KINDS, Setting, covering, scene
from rvm_live.core.arrays import Bytes
from rvm_live.core.errors import EndOfSource, SettingsError, SourceUnavailableError
from rvm_live.core.settings import SourceSettings
from rvm_live.sources.factory import open_source

__all__ = [
    "AGREEMENT",
    "KEYED",
    "Clip",
    "agreement_clips",
    "dataset_clips",
    "keyed_clips",
    "keyed_settings",
    "shot_before_a_screen",
]

Pair = tuple[Bytes, "Bytes | None"]

KEYED, AGREEMENT = "keyed", "plain network"
SUFFIXES = (".png", ".jpg", ".jpeg")
UNTRUE = ("webcam/liveportrait_d9.mp4", "webcam/liveportrait_s18.mp4", "webcam/volcomix_Doctor_26732.mp4")
# Places without people. No still of them is used for training (training/clips.py, DEVELOPMENT_BACKGROUNDS).
STILL = ("mam_rw_04.jpg", "dav2_demo05.jpg", "elementary_Viktor_Forgacs.jpg")
MOVING = ("volcomix_architecture-5082700_1280.jpg", "dav2_demo12.jpg", "backscrub_rotating_earth.webm")
BUSY = ("kodak_08.jpg", "kodak_01.jpg", "kodak_24.jpg")


@dataclass(frozen=True)
class Clip:
    """A clip to measure on.

    Attributes:
        name: the clip's name.
        truth: what its truth is: :data:`KEYED`, :data:`AGREEMENT`, or the name of a data set.
        frames: gives picture uint8 (H, W, 3) BGR and alpha uint8 (H, W), or None in alpha's place without truth.
    """

    name: str
    truth: str
    frames: Callable[[], Iterator[Pair]]


def dataset_clips(folder: Path, count: int | None) -> list[Clip]:
    """Every folder below ``folder``, at any depth, that has ``com`` and ``pha`` folders of numbered pictures.

    RVM's authors publish their test set in this layout: ``videomatte_motion/0000/com/0000.png`` and ``…/pha/0000.png``.
    ``fgr`` may lie beside them; it is not needed.

    Raises:
        SettingsError: there is no such clip.
    """
    clips = []
    for alphas in sorted(path for path in folder.rglob("pha") if path.is_dir()):
        home = alphas.parent
        if not (home / "com").is_dir():
            continue
        truth = home.parent.name if home.parent != folder.parent else folder.name
        clips.append(Clip(str(home.relative_to(folder)), truth, _dataset(home, count)))
    if not clips:
        raise SettingsError(
            f"{folder} holds no clip: it must have folders with com/ and pha/ in them, such as 0000/com/0000.png"
        )
    return clips


def _dataset(home: Path, count: int | None) -> Callable[[], Iterator[Pair]]:
    def frames() -> Iterator[Pair]:
        alphas = {path.stem: path for path in _pictures(home / "pha")}
        pictures = [path for path in _pictures(home / "com") if path.stem in alphas][:count]
        if not pictures:
            raise SourceUnavailableError(f"{home} has no picture in com/ with an alpha of its name in pha/")
        for path in pictures:
            yield _read(path, cv2.IMREAD_COLOR), _read(alphas[path.stem], cv2.IMREAD_GRAYSCALE)

    return frames


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)


def _read(path: Path, how: int) -> Bytes:
    picture = cv2.imread(str(path), how)
    if picture is None:
        raise SourceUnavailableError(f"{path} is not a picture that can be read")
    return np.ascontiguousarray(picture, np.uint8)


def shot_before_a_screen(folder: Path) -> list[Path]:
    """The clips in ``folder/webcam`` that were shot in front of a screen.

    Raises:
        SettingsError: there are none.
    """
    shot = sorted(folder.glob("webcam/liveportrait_d0.mp4")) + sorted(folder.glob("webcam/grid_*.mpg"))
    if not shot:
        raise SettingsError(f"{folder} has no clips before a screen: webcam/liveportrait_d0.mp4, webcam/grid_*.mpg")
    return shot


def keyed_settings(folder: Path, *, every_kind: bool) -> Iterator[tuple[Path, Setting]]:
    """The clips in ``folder/webcam`` that were shot in front of a screen, and the setting that each is put into.

    Raises:
        SettingsError: there are none.
    """
    for number, path in enumerate(shot_before_a_screen(folder)):
        for turn in range(len(KINDS) if every_kind else 1):
            kind = (number + turn) % len(KINDS)
            names = (STILL, MOVING, BUSY)[kind]
            background = folder / "backgrounds" / names[number // len(KINDS) % len(names)]
            yield path, Setting(KINDS[kind], background, seed=1000 * number + kind)


def keyed_clips(folder: Path, count: int | None, size: tuple[int, int], *, every_kind: bool) -> list[Clip]:
    """The clips in ``folder/webcam`` that were shot in front of a screen, over backgrounds from ``folder/backgrounds``.

    Args:
        folder: the folder that holds ``webcam`` and ``backgrounds``.
        count: frames of each clip; None for all.
        size: of the pictures, width and height.
        every_kind: put each clip before a still, a moving and a busy background, rather than before one kind in turn.

    Raises:
        SettingsError: there are none.
    """
    return [
        Clip(f"{path.stem}, {setting.kind} ({setting.background.stem})", KEYED, _keyed(path, setting, count, size))
        for path, setting in keyed_settings(folder, every_kind=every_kind)
    ]


def _keyed(path: Path, setting: Setting, count: int | None, size: tuple[int, int]) -> Callable[[], Iterator[Pair]]:
    def frames() -> Iterator[Pair]:
        yield from scene(key(grabbed(path, None), path.name, count), setting, size)

    return frames


def agreement_clips(folder: Path, count: int | None, size: tuple[int, int], *, every: bool) -> list[Clip]:
    """Clips without truth; ``every``: all clips of usual webcam scenes and the difficult ones."""
    paths = [folder / name for name in UNTRUE if (folder / name).is_file()]
    if every:
        kinds = [*folder.glob("webcam/*.mp4"), *folder.glob("hard/*.mkv"), *folder.glob("hard/*.mp4")]
        paths = sorted(path for path in kinds if path.stem != "liveportrait_d0")
    return [Clip(path.stem, AGREEMENT, _plain(path, count, size)) for path in paths]


def _plain(path: Path, count: int | None, size: tuple[int, int]) -> Callable[[], Iterator[Pair]]:
    def frames() -> Iterator[Pair]:
        for image in grabbed(path, count):
            yield covering(image, size), None

    return frames


def grabbed(path: Path, count: int | None) -> list[Bytes]:
    """The first frames of a file."""
    source = open_source(SourceSettings(str(path), realtime=False))
    images: list[Bytes] = []
    try:
        source.open()
        while count is None or len(images) < count:
            images.append(source.read().image)
    except EndOfSource:
        pass
    finally:
        source.release()
    return images
