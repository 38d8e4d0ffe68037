"""Draws the backgrounds that come with rvm-live: five pictures and one looping video, from nothing but mathematics.

    python assets/make_backgrounds.py [NAME ...]

writes them into ``assets/backgrounds``. Seeded: the same script draws the same pixels. Colours are RGB from 0 to 1;
light is added up linearly and turned into sRGB at the end, with noise below the visible against banding.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from painting import (
    HEIGHT,
    WIDTH,
    Array,
    disc,
    frond,
    grid,
    mix,
    noise,
    ramp,
    rgb,
    ridge,
    soften,
    srgb,
    step,
    vignette,
    waves,
)

OUT = Path(__file__).resolve().parent / "backgrounds"
VIDEO_WIDTH, VIDEO_HEIGHT, RATE, SECONDS = 1280, 720, 30, 8


def studio() -> Array:
    """A pale studio wall, and the low sun falling on it through a window and the twigs before it."""
    rng = np.random.default_rng(11)
    x, y = grid()
    wall = ramp(0.35 * x + 0.75 * y, [(0.0, "c3c6c4"), (0.6, "adb1b1"), (1.4, "8b9094")])
    wall *= (1 + 0.020 * noise(rng, 3, 6) + 0.015 * noise(rng, 70, 3))[..., None]
    # Three by four panes, sheared by the low sun, sharper on the side where the window is nearer.
    u = (x - 0.72) + (y - 0.45) * 0.20
    v = (y - 0.38) - (x - 0.72) * 0.30
    panes = ((np.abs(u) < 0.43) & (np.abs(v) < 0.50)).astype(np.float32)
    for place in (-0.43 / 3, 0.43 / 3):
        panes *= np.abs(u - place) > 0.010
    for place in (-0.25, 0.0, 0.25):
        panes *= np.abs(v - place) > 0.012
    light = mix(soften(panes, 6)[..., None], soften(panes, 17)[..., None], step(0.2, 1.2, x))[..., 0]
    twigs = np.zeros((HEIGHT, WIDTH), np.uint8)
    for height, angle, length in ((-120, 2.15, 820), (60, 2.45, 700), (420, 2.9, 520)):
        frond(twigs, rng, 1400 + rng.uniform(-40, 40), height, angle, length, 0.075)
    shade = soften(twigs.astype(np.float32) / 255, 10)
    light *= (1 - 0.62 * shade) * (0.45 + 0.55 * step(1.45, 0.35, x))
    bounce = soften(panes, 170)
    sun = rgb("ffe3bd") * 1.0
    lit = wall * (rgb("dfe2e6") * (0.60 + 0.20 * bounce)[..., None] + sun * light[..., None])
    return lit * vignette(x, y, 0.42)[..., None]


def bokeh() -> Array:
    """A street at night, far out of focus."""
    rng = np.random.default_rng(29)
    x, y = grid()
    base = ramp(y, [(0.0, "070b18"), (0.45, "141a33"), (0.62, "2a2038"), (0.80, "171427"), (1.0, "0a0a14")])
    base *= (1 + 0.25 * noise(rng, 2, 3))[..., None]
    glow = np.zeros_like(base)
    lights = np.zeros_like(base)
    warm, cool = ["ffb45e", "ff9540", "ffd08a", "ff7a45", "ffe3b0"], ["58b7ff", "7de3e0", "b38bff", "ff6aa0", "6f8dff"]
    for count, (small, large), power, spread in (
        (70, (16, 30), 0.55, 0.10),
        (60, (34, 62), 0.30, 0.16),
        (26, (75, 130), 0.11, 0.22),
    ):
        for _ in range(count):
            cx, cy = rng.uniform(-0.03, 1.03) * WIDTH, np.clip(rng.normal(0.57, spread), 0.26, 0.92) * HEIGHT
            colour = rgb(str(rng.choice(warm if rng.random() < 0.68 else cool)))
            radius = rng.uniform(small, large)
            strength = power * rng.uniform(0.35, 1.0)
            disc(lights, cx, cy, radius, colour * strength, 0.32, squeeze=0.42)
            disc(glow, cx, cy, radius * 1.2, colour * strength * 0.8, 0.0)
            if rng.random() < 0.30:  # its reflection on the wet road
                disc(
                    lights,
                    cx,
                    1.62 * HEIGHT - cy * 0.98 + rng.uniform(-30, 30),
                    radius * 1.1,
                    colour * strength * 0.22,
                    0.2,
                )
    image = base + lights + soften(glow, 60) * 0.9
    return image * vignette(x, y, 0.55)[..., None]


def mountains() -> Array:
    """Ridge behind ridge in the haze of dusk."""
    rng = np.random.default_rng(8)
    x, y = grid()
    sky = [(0.0, "2f4468"), (0.22, "5f6f95"), (0.40, "b08fa0"), (0.52, "eab08c"), (0.60, "f7d2a2"), (1.0, "f7d2a2")]
    image = ramp(y, sky)
    sun = np.hypot((x - 1.18), (y - 0.545) * 1.2)
    image += rgb("ffb36b") * (0.55 * np.exp(-((sun / 0.30) ** 2)) + 0.35 * np.exp(-((sun / 0.09) ** 2)))[..., None]
    clouds = noise(rng, 9, 5, stretch=9)
    image = mix(image, rgb("f3b9a0")[None, None], 0.40 * step(-0.1, 1.1, clouds) * step(0.22, 0.02, np.abs(y - 0.33)))
    layers = [
        (0.560, 0.030, 3, "c9a3a0"),
        (0.600, 0.040, 3, "a3899a"),
        (0.650, 0.045, 4, "7d7490"),
        (0.710, 0.050, 4, "585a7d"),
        (0.790, 0.050, 5, "383f60"),
        (0.900, 0.034, 4, "1e2440"),
    ]
    for depth, (level, size, cells, code) in enumerate(layers):
        line = level - size * ridge(rng, WIDTH, 0.46, 7, cells)
        trees = np.zeros(WIDTH, np.float32)
        if depth >= 4:  # firs, as a fringe of spikes
            trees = np.abs(ridge(rng, WIDTH, 0.85, 3, 150 - 45 * (depth - 4))) * (0.006 + 0.005 * (depth - 4))
        below = y - line[None, :]
        mask = np.clip((below + trees) * HEIGHT / (1.3 + 0.5 * (5 - depth)) + 0.5, 0, 1)
        # Mist gathers in the valleys: the deeper below the whole ridge's usual height, the more of it.
        mist = step(-0.01, 0.13, below) * step(level - 0.05, level + 0.10, y) * (0.66 - 0.10 * depth)
        mist *= 1 + 0.30 * noise(rng, 3, 4, stretch=4)
        warm = rgb("f2c3a0") * (1 - 0.11 * depth)
        colour = mix(np.broadcast_to(rgb(code), image.shape), warm[None, None], np.clip(mist, 0, 0.85))
        colour += (rgb("ff9a55") * 0.10 * np.exp(-((x - 1.18) ** 2) / 0.12)[..., None]) / (1 + depth)
        image = mix(image, colour, mask)
    return image * vignette(x, y, 0.30)[..., None]


def leaves() -> Array:
    """Warm plaster in the afternoon sun, with the shadows of a palm."""
    rng = np.random.default_rng(17)
    x, y = grid()
    wall = ramp(0.55 * x + 0.5 * y, [(0.0, "ead8c2"), (0.7, "dfc8ae"), (1.5, "c4a88c")])
    trowel = noise(rng, 4, 6, stretch=1.8)
    wall *= (1 + 0.045 * trowel)[..., None]
    relief = noise(rng, 24, 5, stretch=1.5)
    wall *= (
        1
        + 0.9
        * (
            relief
            - cv2.warpAffine(
                relief, np.float32([[1, 0, 2], [0, 1, 2]]), (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE
            )
        )
        * 0.16
    )[..., None]
    shadow = np.ones_like(x)
    for plants, blur, depth in ((3, 22, 0.36), (4, 8, 0.52)):
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        for _ in range(plants):
            frond(
                mask,
                rng,
                rng.uniform(1350, 2050),
                rng.uniform(-140, 40),
                rng.uniform(1.75, 2.75),
                rng.uniform(760, 1080),
                0.038,
            )
        near = mask.astype(np.float32) / 255
        # The farther from the plant, the softer its shadow.
        soft = mix(soften(near, blur)[..., None], soften(near, blur * 2.4)[..., None], step(1.3, 0.5, x))[..., 0]
        shadow *= 1 - depth * soft
    beam = step(-0.35, 0.45, (x - 0.2) * 0.75 - (y - 0.9) * 0.75) * 0.5 + 0.5
    lit = wall * (rgb("ffedd6") * 1.10 * (shadow * beam)[..., None] + rgb("8a90a8") * 0.16)
    return lit * vignette(x, y, 0.32)[..., None]


def ribbons() -> Array:
    """Layers of silk, flowing."""
    rng = np.random.default_rng(31)
    x, y = grid()
    colours = ["f6d9c6", "f2b8a0", "e38d86", "b76a86", "7c5586", "4d4a80", "2f4272", "1f3a5f", "16304d"]
    image = ramp(y + 0.15 * x, [(0.0, "fbeee2"), (1.2, "f4d8c4")])
    phase = rng.uniform(0, 2 * np.pi, 4)
    for index, code in enumerate(colours):
        level = 0.13 + 0.105 * index
        drift = index * 0.42
        line = level + 0.16 * (1 - 0.045 * index) * np.sin(1.55 * x + phase[0] + drift)
        line += 0.055 * np.sin(3.3 * x + phase[1] - 1.35 * drift) + 0.02 * np.sin(6.1 * x + phase[2] + 2 * drift)
        line += 0.06 * (x - 0.9)
        slope = 1.55 * 0.16 * np.cos(1.55 * x + phase[0] + drift) + 0.18 * np.cos(3.3 * x + phase[1] - 1.35 * drift)
        below = (y - line) / np.sqrt(1 + slope**2)
        mask = np.clip(below * HEIGHT / 1.6 + 0.5, 0, 1)
        image *= (1 - 0.42 * np.exp(-np.maximum(-below, 0) / 0.045) * (1 - mask))[..., None]  # the shadow it casts
        tone = rgb(code)
        fold = 0.5 + 0.5 * np.sin(9.0 * below + 1.3 * slope + phase[3])
        sheen = np.exp(-np.maximum(below, 0) / 0.016) * 0.30 + 0.10 * fold
        shade = 1 - 0.38 * step(0.0, 0.16, below) * (0.6 + 0.4 * np.cos(2.1 * x + drift))
        image = mix(image, tone * shade[..., None] + sheen[..., None] * (0.4 * tone + 0.25 * rgb("fff1e2")), mask)
    return image * vignette(x, y, 0.25)[..., None]


def aurora() -> Iterator[NDArray[np.uint8]]:
    """Northern lights over a dark ridge: the frames of the loop, uint8 BGR."""
    x, y = grid(VIDEO_WIDTH, VIDEO_HEIGHT)
    rng = np.random.default_rng(3)
    sky = ramp(y, [(0.0, "060a1a"), (0.5, "0c1c36"), (0.85, "1d3a4c"), (1.0, "27495a")])
    stars = np.zeros_like(sky)
    for _ in range(300):
        brightness = rng.uniform(0.1, 1.0) ** 5
        cx, cy = rng.uniform(0, VIDEO_WIDTH), rng.uniform(0, 0.75) * VIDEO_HEIGHT
        disc(stars, cx, cy, rng.uniform(0.6, 1.2), rgb("dfe8ff") * brightness, 0.0)
    still = sky + soften(stars, 0.6) * 1.3
    ground = []
    for level, size, cells, code, spikes in ((0.845, 0.035, 3, "10202e", 0.0), (0.930, 0.026, 4, "060d16", 0.012)):
        line = level - size * ridge(rng, VIDEO_WIDTH, 0.48, 6, cells)
        line -= np.abs(ridge(rng, VIDEO_WIDTH, 0.85, 3, 90)) * spikes
        ground.append((np.clip((y - line[None, :]) * VIDEO_HEIGHT / 1.6 + 0.5, 0, 1), rgb(code)))
    grain = rng.uniform(-0.6, 0.6, (VIDEO_HEIGHT, VIDEO_WIDTH, 1)).astype(np.float32)  # the same in every frame
    for index in range(RATE * SECONDS):
        phase = index / (RATE * SECONDS)
        light = np.zeros_like(sky)
        for curtain, (level, reach, power) in enumerate(((0.50, 0.30, 0.50), (0.62, 0.22, 0.75), (0.72, 0.14, 0.35))):
            seed = np.random.default_rng(40 + curtain)
            lean = x + 0.10 * (y - level) * (1 if curtain % 2 else -1)
            row = lean[:: VIDEO_HEIGHT - 1][0][None, :]
            edge = level + 0.055 * waves(seed, row, phase, 1.2, 4.5, 4) + 0.016 * waves(seed, row, phase, 6, 12, 3)
            patches = step(-0.9, 1.3, waves(seed, row, phase, 1.0, 4.0, 4))
            rays = np.exp(0.42 * waves(seed, lean, phase, 14, 60, 9) * step(0.02, 0.30, edge - y))
            above = edge - y
            profile = np.where(above > 0, np.exp(-above / (reach * (0.55 + 0.6 * patches))), np.exp(above / 0.022))
            profile *= step(-0.06, 0.03, above)
            tint = ramp(
                np.clip(above / reach, -0.2, 2.2),
                [(-0.2, "7dffb0"), (0.35, "3ff0a8"), (1.0, "2fa5b8"), (2.2, "8a4fd0")],
            )
            light += tint * (profile * rays * patches * power)[..., None]
        small = cv2.resize(light, (VIDEO_WIDTH // 8, VIDEO_HEIGHT // 8), interpolation=cv2.INTER_AREA)
        image = still + light + cv2.resize(soften(small, 5), (VIDEO_WIDTH, VIDEO_HEIGHT)) * 0.35
        for mask, tone in ground:
            image = mix(image, tone[None, None] + small.mean() * rgb("2f6f66") * 0.6, mask)
        shown = srgb(image * vignette(x, y, 0.35)[..., None]) * 255 + grain
        yield np.clip(np.rint(shown), 0, 255).astype(np.uint8)[..., ::-1]


def write_video(path: Path, frames: Iterator[NDArray[np.uint8]]) -> None:
    """H.264 that every decoder reads, tagged BT.709."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = VIDEO_WIDTH, VIDEO_HEIGHT, "yuv420p"
        stream.time_base = Fraction(1, RATE)
        stream.options = {"crf": "19", "preset": "slower", "tune": "film", "aq-mode": "3", "threads": "1"}
        stream.options |= {"colorprim": "bt709", "transfer": "bt709", "colormatrix": "bt709"}
        stream.codec_context.colorspace = stream.codec_context.color_primaries = stream.codec_context.color_trc = 1
        for image in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgr24")
            container.mux(stream.encode(frame.reformat(format="yuv420p", dst_colorspace="ITU709")))
        container.mux(stream.encode())


def write_image(path: Path, linear: Array) -> None:
    """A JPEG, dithered by a little noise."""
    rng = np.random.default_rng(1)
    levels = srgb(linear) * 255 + rng.uniform(-0.8, 0.8, linear.shape[:2])[..., None].astype(np.float32)
    image = np.clip(np.rint(levels), 0, 255).astype(np.uint8)[..., ::-1]
    quality = [cv2.IMWRITE_JPEG_QUALITY, 88, cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    path.write_bytes(cv2.imencode(".jpg", image, quality)[1].tobytes())


IMAGES: dict[str, Callable[[], Array]] = {
    "studio": studio,
    "leaves": leaves,
    "mountains": mountains,
    "bokeh": bokeh,
    "ribbons": ribbons,
}


def main(names: list[str]) -> None:
    """Draw what is named, or everything."""
    OUT.mkdir(exist_ok=True)
    for name in names or [*IMAGES, "aurora"]:
        path = OUT / (f"{name}.mp4" if name == "aurora" else f"{name}.jpg")
        if name == "aurora":
            write_video(path, aurora())
        else:
            write_image(path, IMAGES[name]())
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
