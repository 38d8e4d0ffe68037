"""Makes pictures of looks.md, backgrounds.md and people-and-things.md: the demo's person without and with each effect.

RVM_LIVE_WEIGHTS=path/to/weights python docs/make_looks.py
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from rvm_live.apps.assembly import failover  # noqa: E402
from rvm_live.backgrounds.base import Background  # noqa: E402
from rvm_live.backgrounds.color import ColorBackground  # noqa: E402
from rvm_live.backgrounds.parse import parse  # noqa: E402
from rvm_live.compositing.composer import Composer  # noqa: E402
from rvm_live.core.frames import Frame, Matte  # noqa: E402
from rvm_live.core.look import Look  # noqa: E402
from rvm_live.core.notices import Notices  # noqa: E402
from rvm_live.core.only_me import OnlyMe  # noqa: E402
from rvm_live.core.settings import EngineSettings, SourceSettings  # noqa: E402
from rvm_live.engines.base import Engine  # noqa: E402
from rvm_live.engines.only_me.engine import OnlyMeEngine  # noqa: E402
from rvm_live.sources.demo.demo import DemoSource  # noqa: E402
from rvm_live.sources.low_light import LowLight  # noqa: E402

Picture = NDArray[np.uint8]

IMAGES = ROOT / "docs" / "images"
ASSETS = ROOT / "assets" / "backgrounds"
SIZE = (1280, 720)
FRAMES = 70
PERIOD_NS = 41_666_667
LARGEST = 150_000
"""Bytes of a picture."""


def demo() -> Iterator[Picture]:
    """The demo's pictures."""
    source = DemoSource(SourceSettings("demo", *SIZE, 24.0, realtime=False))
    source.open()
    for _ in range(FRAMES):
        yield source.read().image
    source.release()


def cut_out(pictures: Iterable[Picture], only: OnlyMe | None = None) -> Matte:
    """The matte of the last picture."""
    engine: Engine = failover(EngineSettings(), Notices(), live=False)
    if only is not None:
        engine = OnlyMeEngine(engine, only)
    engine.open()
    for number, image in enumerate(pictures):
        matte = engine.matte(Frame(image, number, 0, 0, number * PERIOD_NS))
    host = matte.host()
    made = Matte(matte.frame, host.alpha, host.colour)
    engine.close()
    return made


def darkened(pictures: Iterable[Picture]) -> Iterator[Picture]:
    """The pictures at a twelfth of their light, with the noise of dark pictures."""
    noise = np.random.default_rng(1)
    for image in pictures:
        light = (image / 255.0) ** 2.2 / 12
        coded = (light + noise.normal(0, 1, image.shape) * np.sqrt(light / 8000 + 1e-6)).clip(0, 1) ** (1 / 2.2)
        yield (coded * 255).round().astype(np.uint8)


def twice(matte: Matte) -> Picture:
    """The person twice, in front of a wall."""
    made: Picture = cv2.resize(cv2.imread(str(ASSETS / "studio.jpg")), SIZE, interpolation=cv2.INTER_AREA)
    for left in (-80, 560):
        there = np.array([[0.6, 0, left], [0, 0.6, 0.4 * SIZE[1]]])
        alpha, image = (cv2.warpAffine(plane, there, SIZE) for plane in (matte.alpha, matte.frame.image))
        share = alpha[..., None] / 255.0
        made = (share * image + (1 - share) * made).round().astype(np.uint8)
    return made


def picture(name: str) -> Background:
    """One of the program's own backgrounds."""
    return parse(f"image:{ASSETS / name}.jpg")[0]


def composed(matte: Matte, background: Background, look: Look, foreground: str = "model") -> Picture:
    """The composite of a matte over a background."""
    composer = Composer([background], compositor="cpu", look=look, foreground=foreground, from_files=True)
    composer.open(*SIZE, "cpu")
    try:
        return composer.compose(matte).image
    finally:
        composer.close()


def tile(image: Picture, words: str, width: int) -> Picture:
    """A picture with a caption below."""
    height = round(image.shape[0] * width / image.shape[1])
    how = cv2.INTER_AREA if width < image.shape[1] else cv2.INTER_NEAREST
    bar = np.full((24, width, 3), 245, np.uint8)
    cv2.putText(bar, words, (8, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (40, 40, 40), 1, cv2.LINE_AA)
    return np.vstack([cv2.resize(image, (width, height), interpolation=how), bar])


def save(name: str, rows: list[list[tuple[Picture, str]]], width: int) -> None:
    """Write rows of tiles as one picture, small enough to commit."""
    sheet = np.vstack([np.hstack([tile(image, words, width) for image, words in row]) for row in rows])
    for quality in range(90, 40, -4):
        data = cv2.imencode(".jpg", sheet, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        if len(data) < LARGEST:
            break
    (IMAGES / f"looks-{name}.jpg").write_bytes(data)


def main() -> None:
    matte = cut_out(demo())
    x, y, wide, _ = cv2.boundingRect(np.where(matte.alpha > 127, 255, 0).astype(np.uint8))
    head = np.s_[max(y - 30, 0) : y + 210, x + wide // 2 - 160 : x + wide // 2 + 160]
    rim = np.s_[max(y - 8, 0) : y + 112, x + wide // 2 - 120 : x + wide // 2 + 40]

    def part(background: Background, look: Look, where: tuple[slice, slice], foreground: str = "model") -> Picture:
        return np.ascontiguousarray(composed(matte, background, look, foreground)[where])

    whole = np.s_[:, :]
    save("match", [
        [(part(picture(name), Look(match=match), whole), f"{name}, --match {match}") for match in (0, 60, 100)]
        for name in ("mountains", "leaves", "bokeh")
    ], 426)  # fmt: skip
    save("blend", [
        [(part(ColorBackground(colour), Look(blend=blend), rim), f"{colour}, --blend {blend}")
         for blend in ("gamma", "linear")]
        for colour in ("#ffffff", "#101010")
    ], 480)  # fmt: skip
    save("wrap", [
        [(part(background, Look(light_wrap=wrap), head), f"--light-wrap {wrap}") for wrap in (0, 50, 100)]
        for background in (ColorBackground("#ffe8c0"), picture("studio"))
    ], 400)  # fmt: skip
    green = ColorBackground("#2a9d8f")
    save("edge", [
        [(part(green, look, rim), words) for look, words in row]
        for row in (
            [(Look(), "as it is"), (Look(shrink=3), "--shrink 3"), (Look(grow=3), "--grow 3")],
            [(Look(soften=4), "--soften 4"), (Look(shrink=2, soften=3), "--shrink 2 --soften 3"),
             (Look(grow=12), "--grow 12")],
        )
    ], 400)  # fmt: skip
    save("blur", [[
        (composed(matte, parse(words)[0], Look()), f"--background {words}") for words in ("blur:20", "blur:lens:20")
    ]], 640)  # fmt: skip
    dark = list(darkened(demo()))
    lit = LowLight(on=True)
    bright = [lit(image, number * PERIOD_NS) for number, image in enumerate(dark)]
    save("dark", [[
        (dark[-1], "a twelfth of the light"),
        (composed(cut_out(dark), picture("studio"), Look()), "--low-light off"),
        (composed(cut_out(bright), picture("studio"), Look()), "--low-light auto"),
    ]], 426)  # fmt: skip
    two = [twice(matte)] * FRAMES
    save("only-me", [[
        (two[-1], "two people"),
        (composed(cut_out(two), picture("mountains"), Look()), "as it is"),
        (composed(cut_out(two, OnlyMe(True, "left")), picture("mountains"), Look()), "--only-me --person left"),
    ]], 426)  # fmt: skip
    screen = composed(matte, ColorBackground("#30b050"), Look())
    matte = Matte(Frame(screen, 0, 0, 0), matte.alpha)
    save("despill", [[
        (screen[rim], "before a green wall"),
        *((part(ColorBackground("#e0e0e0"), Look(despill=on), rim, "source"), f"--foreground source{' --despill' * on}")
          for on in (False, True)),
    ]], 400)  # fmt: skip


if __name__ == "__main__":
    main()
