"""Makes the README's pictures: runs the program on the demo source in a virtual screen and takes screenshots.

RVM_LIVE_WEIGHTS=path/to/weights python docs/make_pictures.py
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import cv2

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.support.display import Display, open_display  # noqa: E402
from tests.support.program import finish, start  # noqa: E402

IMAGES = ROOT / "docs" / "images"
SIZE = ["--source", "demo", "--width", "960", "--height", "540", "--fps", "30"]
BACKGROUNDS = {
    "image": "image:" + str(ROOT / "assets/backgrounds/mountains.jpg"),
    "blur": "blur:25",
    "color": "color:#2a9d8f",
    "video": "video:" + str(ROOT / "assets/backgrounds/aurora.mp4"),
    "transparent": "transparent",
}


def take(display: Display, name: str, seconds: float, width: int = 640) -> None:
    """Let the program run for a moment and save a screenshot of its window."""
    time.sleep(seconds)
    picture = display.screenshot("rvm-live")
    scale = width / picture.shape[1]
    if scale < 1:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(IMAGES / f"{name}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 88])


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with open_display(2000, 1200) as display, tempfile.TemporaryDirectory() as scratch:
        for name, spec in BACKGROUNDS.items():
            with start(*SIZE, "--no-stats", "--background", spec, env=display.env) as process:
                display.window()
                take(display, f"background-{name}", 15)
                display.key("q")
                finish(process)
        studio = ["--background", str(ROOT / "assets/backgrounds/studio.jpg")]
        for view, width in (("comparison", 1280), ("matte", 640)):
            with start(*SIZE, *studio, "--no-stats", "--display", view, env=display.env) as process:
                display.window()
                take(display, view, 15, width)
                display.key("q")
                finish(process)
        with start(*SIZE, *studio, env=display.env, cwd=Path(scratch)) as process:
            place = display.window_geometry()
            take(display, "first-seconds", 6, 960)
            time.sleep(8)
            for step in range(5):
                display.move_mouse(place.x + 300 + 8 * step, place.y + 200)
            take(display, "bar", 0.7, 960)
            display.key("t")
            time.sleep(4)
            take(display, "recording", 2.5, 960)
            display.key("t")
            display.key("h")
            take(display, "help", 3, 960)
            display.key("h")
            display.key("s")
            take(display, "overlay", 3, 960)
            display.key("q")
            finish(process)


if __name__ == "__main__":
    main()
