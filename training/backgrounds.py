"""Collects places: ``python -m training.backgrounds --data CLIPS [--cache FOLDER] [--seed 0] [--painted 900]``.

Writes ``backgrounds/training.npy`` and ``backgrounds/development.npy`` into the cache, uint8 (N, 288, 448, 3) BGR. They
hold stills and crops of them, clips without people, the clips' own places with the person painted out (run
``training.cache`` first), public-domain pictures that come with scikit-image, the project's own backgrounds, and
painted places (``training/painting.py``), some of which are made of pieces of the others.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from rvm_live.core.arrays import Bytes
from training.cache import DEFAULT_CACHE
from training.clips import DEVELOPMENT_BACKGROUNDS, decoded
from training.painting import paint

__all__ = ["HEIGHT", "WIDTH", "collage", "main", "without_people"]

WIDTH, HEIGHT = 448, 288
_PUBLIC: tuple[str, ...] = (
    "brick",
    "chelsea",
    "clock_motion",
    "coffee",
    "coins",
    "grass",
    "gravel",
    "hubble_deep_field",
    "ihc",
)
_PUBLIC += ("moon", "page", "retina", "rocket", "text")
"""In the public domain or CC0 by scikit-image's documentation; those that show people are left out."""
_CROPS = 6


def _crops(random: np.random.Generator, picture: Bytes, count: int) -> Iterator[Bytes]:
    """The whole picture, and crops of it."""
    height, width = picture.shape[:2]
    for number in range(count):
        part = 1.0 if number == 0 else random.uniform(0.35, 0.9)
        w = min(width, height * WIDTH / HEIGHT) * part
        h = w * HEIGHT / WIDTH
        x, y = random.uniform(0, width - w), random.uniform(0, height - h)
        cut = picture[int(y) : max(int(y + h), int(y) + 2), int(x) : max(int(x + w), int(x) + 2)]
        yield cv2.resize(cut, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA if w > WIDTH else cv2.INTER_LINEAR)


def without_people(frames: Bytes) -> Bytes | None:
    """A clip's place with the people painted out; None where they hide nearly all of it.

    Args:
        frames: uint8 (N, h, w, 7): source, foreground, alpha.
    """
    free = frames[..., 6] < 8
    kernel = np.ones((9, 9), np.uint8)
    free = np.stack([cv2.erode(each.astype(np.uint8), kernel) for each in free]).astype(bool)
    seen = free.any(0)
    if seen.mean() < 0.3:
        return None
    source = np.ma.masked_array(frames[..., :3], mask=np.repeat(~free[..., None], 3, -1))
    place = np.ma.median(source, axis=0).filled(0).astype(np.uint8)  # type: ignore[no-untyped-call]
    return np.asarray(cv2.inpaint(place, (~seen).astype(np.uint8) * 255, 5, cv2.INPAINT_TELEA))


def collage(random: np.random.Generator, pictures: list[Bytes]) -> Bytes:
    """One place with pieces of others stuck into it: edges and corners of real rooms in a new arrangement."""
    canvas = pictures[int(random.integers(len(pictures)))].copy()
    for _ in range(int(random.integers(1, 8))):
        other = pictures[int(random.integers(len(pictures)))]
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        x, y = random.uniform(0, WIDTH), random.uniform(0, HEIGHT)
        w, h = random.uniform(20, WIDTH * 0.4), random.uniform(20, HEIGHT * 0.5)
        kind = random.integers(3)
        if kind == 0:
            cv2.rectangle(mask, (int(x - w / 2), int(y - h / 2)), (int(x + w / 2), int(y + h / 2)), 255, -1)
        elif kind == 1:
            cv2.ellipse(mask, (int(x), int(y)), (int(w / 2), int(h / 2)), random.uniform(0, 180), 0, 360, 255, -1)
        else:
            angles = np.sort(random.uniform(0, 2 * np.pi, 7))
            corners = np.stack([x + w / 2 * np.cos(angles), y + h / 2 * np.sin(angles)], -1).astype(np.int32)
            cv2.fillPoly(mask, [corners], 255)
        shift = np.array([[1, 0, random.uniform(-80, 80)], [0, 1, random.uniform(-60, 60)]])
        piece = cv2.warpAffine(other, shift, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
        weight = cv2.GaussianBlur(mask, (0, 0), random.uniform(0.4, 2))[..., None].astype(np.float32) / 255
        canvas = np.asarray(canvas * (1 - weight) + piece * weight, np.uint8)
    return np.asarray(canvas)


def _public() -> Iterator[tuple[str, Bytes]]:
    try:
        import skimage
    except ImportError:
        return
    for name in _PUBLIC:
        for path in (Path(skimage.__file__).parent / "data").glob(f"{name}.*"):
            yield name, next(decoded(path))


def _sources(data: Path, assets: Path, more: list[Path]) -> Iterator[tuple[str, Bytes]]:
    for path in sorted((data / "backgrounds").iterdir()):
        if path.suffix in (".mp4", ".webm"):
            frames = np.stack([f for n, f in enumerate(decoded(path)) if n % 60 == 0])
            if "bottle" in path.stem:  # hands come and go: keep only what stays
                yield path.stem, np.median(frames, axis=0).astype(np.uint8)
            else:
                yield from ((path.stem, frame) for frame in frames[::2])
        else:
            yield path.stem, next(decoded(path))
    for path in sorted(assets.glob("*.jpg")):
        yield path.stem, next(decoded(path))
    for folder in more:
        for path in sorted(folder.glob("*.jpg")):
            yield path.stem, next(decoded(path))
    yield from _public()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE)
    parser.add_argument(
        "--more", type=Path, action="append", default=[], help="a folder of .jpg places; may be repeated"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--painted", type=int, default=900)
    chosen = parser.parse_args(arguments)
    random = np.random.default_rng(chosen.seed)
    cache = chosen.cache.expanduser()
    kept: dict[str, list[Bytes]] = {"training": [], "development": []}
    for name, picture in _sources(chosen.data, Path("assets/backgrounds"), chosen.more):
        split = "development" if name in DEVELOPMENT_BACKGROUNDS else "training"
        kept[split] += _crops(random, picture, 2 if split == "development" else _CROPS)
    print({split: len(pictures) for split, pictures in kept.items()}, "stills", flush=True)
    for folder in sorted((cache / "people" / "training").glob("*")):
        place = None
        if folder.suffix != ".part" and "images-" not in folder.name:
            place = without_people(np.load(folder / "frames.npy", mmap_mode="r")[::6])
        if place is not None:
            kept["training"] += _crops(random, place, 2)
    real = list(kept["training"])
    print(len(real), "with the clips' own places", flush=True)
    kept["training"] += [collage(random, real) for _ in range(chosen.painted // 2)]
    kept["training"] += [paint(random, WIDTH, HEIGHT) for _ in range(chosen.painted)]
    (cache / "backgrounds").mkdir(parents=True, exist_ok=True)
    for split, pictures in kept.items():
        np.save(cache / "backgrounds" / f"{split}.npy", np.stack(pictures))
        print(split, len(pictures), flush=True)


if __name__ == "__main__":
    main()
