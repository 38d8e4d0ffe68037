"""Things that stand in rooms and are not people, each with its alpha: furniture, plants, lamps, clothes on hooks.

They are the small pictures of Sweet Home 3D's libraries (``.sh3f``, zip files; Debian has them in the package
``sweethome3d-furniture``), licensed CC0 and CC BY. ``python -m training.things --libraries FOLDER [--cache FOLDER]``
writes them into ``things.npy``, uint8 (N, 128, 128, 4) BGR and alpha. It leaves out dolls, mannequins and what the
catalogues call characters.
"""

from __future__ import annotations

import argparse
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from rvm_live.core.arrays import Bytes
from training.augment import Light
from training.cache import DEFAULT_CACHE
from training.scene import View

__all__ = ["SIDE", "Things", "icons", "main"]

Random = np.random.Generator

SIDE = 128
_CATALOGUE = "PluginFurnitureCatalog.properties"
_PEOPLE = re.compile(r"character|mannequin|doll\b|statue|snowman", re.IGNORECASE)
_ENTRY = re.compile(r"^(name|category|icon)#(\d+)=(.*?)\s*$", re.MULTILINE)


def icons(library: Path) -> Iterator[tuple[str, Bytes]]:
    """Name and picture, uint8 (128, 128, 4), of everything in a library that is not a person."""
    with zipfile.ZipFile(library) as archive:
        entries: dict[str, dict[str, str]] = {}
        for key, number, value in _ENTRY.findall(archive.read(_CATALOGUE).decode("latin-1")):
            entries.setdefault(number, {})[key] = value
        inside = set(archive.namelist())
        for entry in entries.values():
            name, path = entry.get("name", ""), entry.get("icon", "").lstrip("/")
            if _PEOPLE.search(name + " " + entry.get("category", "")) or path not in inside:
                continue
            picture = cv2.imdecode(np.frombuffer(archive.read(path), np.uint8), cv2.IMREAD_UNCHANGED)
            if picture is None or picture.ndim != 3 or picture.shape[2] != 4:
                continue
            if 0.03 < (picture[..., 3] > 128).mean() < 0.97:
                yield name, np.asarray(cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA))


class Things:
    """Things that can be put into places.

    Args:
        path: ``things.npy``; if it does not exist, there are no things.
    """

    def __init__(self, path: Path) -> None:
        self._pictures: Bytes = np.load(path) if path.is_file() else np.zeros((0, SIDE, SIDE, 4), np.uint8)

    def __len__(self) -> int:
        return len(self._pictures)

    def picture(self, number: int) -> Bytes:
        """One thing, uint8 (128, 128, 4)."""
        return np.asarray(self._pictures[number])

    def draw(self, random: Random, width: int, height: int, largest: float) -> View:
        """A random thing somewhere in a frame.

        Args:
            random: random generator.
            width: of the frame, pixels.
            height: of the frame, pixels.
            largest: greatest size, as a share of the frame's longer side.
        """
        number, light = int(random.integers(len(self))), Light.drawn(random, 1.5)
        size = random.uniform(0.15, 1.0) * largest * max(width, height) / SIDE
        stretch, turn = 2 ** random.uniform(-0.5, 0.5), np.deg2rad(random.uniform(-12, 12))
        across, down = size * stretch * (-1 if random.random() < 0.5 else 1), size / stretch
        turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ np.diag([across, down])
        where = np.array([random.uniform(0, 1) * width, random.uniform(0.2, 1.1) * height])
        matrix = np.vstack([np.column_stack([turned, where - turned @ np.array([SIDE / 2, SIDE / 2])]), (0, 0, 1)])
        return View((("thing", number, 0),), np.linalg.inv(matrix)[None], "zeros", light)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--libraries", type=Path, required=True, help="a folder with .sh3f files")
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE)
    chosen = parser.parse_args(arguments)
    found = [picture for library in sorted(chosen.libraries.glob("*.sh3f")) for _, picture in icons(library)]
    cache = chosen.cache.expanduser()
    cache.mkdir(parents=True, exist_ok=True)
    np.save(cache / "things.npy", np.stack(found))
    print(len(found), "things")


if __name__ == "__main__":
    main()
