"""How the first minutes feel: seconds until each thing that a person does is seen, in a real window under Xvfb.

    python -m benchmarks first-minutes [ARGUMENTS OF rvm-live]

Prints a table of two starts: the first with an empty cache, the second with the cache filled. Without arguments it is
the demo with the engine ``lite``.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.support.display import Display, open_display
from tests.support.dragging import drag_onto
from tests.support.program import finish, start

GREEN, RED, BLUE = (0, 255, 0), (60, 20, 200), (200, 60, 20)


def share(picture: NDArray[np.uint8], colour: tuple[int, int, int]) -> float:
    """Share of the picture that has about this colour."""
    return float((np.abs(picture.astype(np.int16) - np.array(colour, np.int16)).max(axis=2) <= 24).mean())


def seconds_until(display: Display, seen: Callable[[NDArray[np.uint8]], bool], since: float) -> float:
    """Seconds until something is seen in the window; NaN where that takes over a minute."""
    while time.monotonic() - since < 60:
        if seen(display.screenshot("rvm-live")):
            return time.monotonic() - since
    return float("nan")


def a_start(display: Display, arguments: list[str], folder: Path) -> list[tuple[str, str, float]]:
    """Start the program, do what people do first, and measure."""
    rows: list[tuple[str, str, float]] = []
    picture = folder / "sea.png"
    cv2.imwrite(str(picture), np.full((90, 160, 3), BLUE, np.uint8))
    env = {**display.env, "RVM_LIVE_CACHE": str(folder / "cache")}
    env.pop("RVM_LIVE_WEIGHTS", None)
    began = time.monotonic()
    with start(*arguments, "-b", "#00ff00", "-b", "#c8143c", env=env, cwd=folder) as process:
        display.window()
        rows.append(("start", "the window: starting …", time.monotonic() - began))
        rows.append(("", "the background", seconds_until(display, lambda p: share(p, GREEN) > 0.1, began)))
        person = seconds_until(display, lambda p: 0.05 < share(p, GREEN) < 0.93, began)
        rows.append(("", "oneself, cut out", person))

        def after(step: str, seen: str, do: Callable[[], object], test: Callable[[NDArray[np.uint8]], bool]) -> None:
            since = time.monotonic()
            do()
            rows.append((step, seen, seconds_until(display, test, since)))

        place = display.window_geometry()
        window = int(display.window())
        corner = (slice(0, 60), slice(place.width - 200, None))
        after("key b", "the next background", lambda: display.key("b"), lambda p: share(p, RED) > 0.1)
        dropped = [picture.as_uri()]
        after(
            "a picture dropped",
            "it behind oneself",
            lambda: drag_onto(display.name, window, (place.x + 60, place.y + 60), dropped),
            lambda p: share(p, BLUE) > 0.1,
        )
        after("key t", "the red dot", lambda: display.key("t"), lambda p: share(p[corner], (95, 95, 255)) > 0.001)
        time.sleep(2)
        since = time.monotonic()
        display.key("t")
        display.wait(lambda: any(folder.glob("rvm-live-*.mp4")), 60)
        rows.append(("key t again", "the recording, whole", time.monotonic() - since))
        still = display.screenshot("rvm-live")[: place.height // 2, -120:]
        after("key h", "the keys", lambda: display.key("h"), lambda p: (p[: len(still), -120:] != still).mean() > 0.5)
        since = time.monotonic()
        display.key("q")
        finish(process)
        rows.append(("key q", "the end", time.monotonic() - since))
    return rows


def run(arguments: list[str]) -> None:
    """Measure two starts and print them side by side."""
    asked = arguments or ["demo", "--size", "1280x720", "--engine", "lite", "--device", "cpu"]
    with open_display(1920, 1080) as display, tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        first = a_start(display, asked, folder)
        for recording in folder.glob("rvm-live-*.mp4"):
            recording.unlink()
        second = a_start(display, asked, folder)
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    lines = [f"{'step':<20}{'what is seen':<26}{'first':>8}{'again':>8}   seconds; load {load:.1f} a core"]
    for (step, seen, cold), (_, _, warm) in zip(first, second, strict=True):
        lines.append(f"{step:<20}{seen:<26}{cold:8.1f}{warm:8.1f}")
    print("\n".join(lines))
