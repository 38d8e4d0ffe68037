"""The whole live program with planned faults: ``python -m tests.support.privacy_app``, on a display.

Reads one JSON line for each run, ``{"faults": [[frame, kind], ...], "background": ..., "folder": ...}``, and answers
with one. The source shows a blue person who moves in a room of magentas that change from frame to frame; the engine
knows the person by that blue. So a matte shown with another frame's picture, or a frame shown without its matte, shows
magenta. Nothing else has magenta: no background, and not the overlay with its white letters.

Every picture that the real window gets is checked, every picture that a virtual camera sends, every picture of two
recordings, and every snapshot. With ``"display": "comparison"`` the window may show the room, and does; nothing else
may.
"""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.backgrounds.parse import parse
from rvm_live.backgrounds.transparent import TransparentBackground
from rvm_live.compositing.composer import Composer
from rvm_live.compositing.cpu import CpuCompositor
from rvm_live.compositing.output import Output
from rvm_live.core.controls import Control, Controls
from rvm_live.core.errors import EngineError, SourceLostError
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.notices import Notices
from rvm_live.core.queues import Overflow
from rvm_live.core.settings import EngineSettings, SourceSettings
from rvm_live.engines.base import Engine
from rvm_live.engines.failover import FailoverEngine
from rvm_live.pipeline.pipeline import Pipeline
from rvm_live.sinks.base import Surroundings
from rvm_live.sinks.camera.sink import VirtualCamera
from rvm_live.sinks.factory import open_recorder
from rvm_live.sinks.recording.snapshot import save_png
from rvm_live.sinks.web.address import Address
from rvm_live.sinks.web.program import WebProgram
from rvm_live.sinks.web.sink import OUTPUT, WebSink
from rvm_live.sinks.window.hotkeys import ViewState, WindowActions
from rvm_live.sinks.window.status import Status
from rvm_live.sinks.window.toolkits.base import Key
from rvm_live.sinks.window.toolkits.sdl import SdlToolkit
from rvm_live.sinks.window.window import WindowSink
from rvm_live.sources.base import Grab, Source, SourceInfo
from rvm_live.sources.reconnecting import ReconnectingSource
from tests.support.cameras import KeptCamera
from tests.support.engines import LateFault, PassThroughEngine
from tests.support.onlookers import Onlookers

WIDTH, HEIGHT = 160, 96
PERSON = (255, 0, 0)

SOURCE_FAULTS = ("lost", "stall", "smaller", "noise", "black", "half", "gap")
ENGINE_FAULTS = ("raise", "nan", "some nan", "beyond", "wrong size", "late", "bug", "unreadable")
OTHER_FAULTS = ("compositor", "delete background", "key b", "key g", "key o", "key r", "key m", "key p")
KINDS = (*SOURCE_FAULTS, *ENGINE_FAULTS, *OTHER_FAULTS)


def room_in(picture: NDArray[np.uint8]) -> float:
    """Share of the pixels that only the camera can have made: much red and much blue, little green.

    Pixels with alpha 0 count, too: they are not visible, but they are in the file.
    """
    blue, green, red = cv2.split(picture[..., :3].astype(np.int16))
    visible = (red - green > 60) & (blue - green > 60)
    return float(visible.mean())


def person_in(picture: NDArray[np.uint8]) -> bool:
    seen = picture[..., :3].astype(np.int16)
    blue = (seen[..., 0] > 180) & (seen[..., 1] < 80) & (seen[..., 2] < 80)
    return bool(blue.mean() > 0.01)


class Plan:
    """The planned faults, by the number of the frame that the camera took."""

    def __init__(self, faults: list[tuple[int, str]]) -> None:
        self.faults = [tuple(each) for each in faults]
        self.number = 0

    def due(self, kinds: tuple[str, ...], number: int) -> list[str]:
        found = [each for each in self.faults if each[0] <= number and each[1] in kinds]
        for each in found:
            self.faults.remove(each)
        return [kind for _, kind in found]


PLAN = Plan([])


class Room(Source):
    """A person and a room, 60 times a second."""

    def __init__(self, settings: SourceSettings, clock: Any) -> None:
        self._gone = threading.Event()

    def open(self) -> SourceInfo:
        return SourceInfo("room", "camera", WIDTH, HEIGHT, 60.0, live=True)

    def read(self) -> Grab:
        self._gone.wait(1 / 60)
        PLAN.number += 1
        number = PLAN.number
        width, height = WIDTH, HEIGHT
        kinds = PLAN.due(SOURCE_FAULTS, number)
        if "lost" in kinds:
            raise SourceLostError("unplugged on purpose")
        if "stall" in kinds:
            self._gone.wait(0.8)
        if "gap" in kinds:
            self._gone.wait(1.2)
        if "smaller" in kinds:
            width, height = width // 2, height // 2
        rng = np.random.default_rng(number)
        image = np.zeros((height, width, 3), np.uint8)
        image[..., 0] = image[..., 2] = rng.integers(150, 255, (height, width), np.uint8)
        if "noise" in kinds:
            image = rng.integers(0, 255, image.shape, np.uint8)
        if "black" in kinds:
            return Grab(np.zeros_like(image), time.monotonic_ns())
        centre = (int(width * (0.3 + 0.4 * (number % 50) / 50)), int(height * 0.6))
        cv2.ellipse(image, centre, (width // 8, height // 3), 0, 0, 360, PERSON, -1)
        if "half" in kinds:
            image[height // 2 :] = rng.integers(0, 255, (height - height // 2, width, 3), np.uint8)
        return Grab(image, time.monotonic_ns())

    def release(self) -> None:
        self._gone.set()


class Oracle(PassThroughEngine):
    """Finds the person by the colour; fails as planned."""

    def matte(self, frame: Frame) -> Matte:
        matte = super().matte(frame)
        for kind in PLAN.due(ENGINE_FAULTS, PLAN.number):
            matte = self._faulty(kind, matte, frame)
        return matte

    def alpha(self, frame: Frame) -> NDArray[np.uint8]:
        return np.where((frame.image == PERSON).all(axis=2), 255, 0).astype(np.uint8)

    def _faulty(self, kind: str, matte: Matte, frame: Frame) -> Matte:
        as_floats = matte.alpha.astype(np.float32) / 255
        if kind == "raise":
            raise EngineError("failed on purpose")
        if kind == "bug":
            raise IndexError("a bug on purpose")
        if kind == "late":
            time.sleep(0.9)
            return matte
        if kind == "unreadable":
            return replace(matte, alpha=LateFault(frame.height, frame.width))
        if kind == "wrong size":
            return replace(matte, alpha=np.ascontiguousarray(matte.alpha[: frame.height // 2]))
        if kind == "nan":
            as_floats[:] = np.nan
        if kind == "some nan":
            as_floats[::7, ::5] = np.nan
        if kind == "beyond":
            as_floats = as_floats * 5 - 2
        return replace(matte, alpha=as_floats, foreground=frame.image.astype(np.float32) / 255)


class Flaky(CpuCompositor):
    """Fails as planned, and is then replaced."""

    name = "flaky"

    def composite(self, matte: Matte, layer: Any, *, source_foreground: bool) -> NDArray[np.uint8]:
        if PLAN.due(("compositor",), PLAN.number):
            raise RuntimeError("the compositor failed on purpose")
        return super().composite(matte, layer, source_foreground=source_foreground)


class Watch:
    """Stands between the window and SDL, and checks every picture on its way to the screen."""

    def __init__(self) -> None:
        self.room = 0.0
        self.frozen_s = 0.0
        self.persons = 0
        self.alone = 0
        self.shown = 0
        self.last_new = time.monotonic()
        self._show = SdlToolkit.show

    def show(self, toolkit: SdlToolkit, canvas: NDArray[np.uint8]) -> None:
        self.shown += 1
        self.room = max(self.room, room_in(canvas))
        if person_in(canvas):
            self.persons += 1
            self.frozen_s = max(self.frozen_s, time.monotonic() - self.last_new)
        else:
            self.alone += 1
        self._show(toolkit, canvas)


class WatchedCamera(KeptCamera):
    """Checks every picture that a virtual camera sends."""

    def __init__(self) -> None:
        super().__init__()
        self.room = self.frozen_s = self.since = 0.0
        self.persons = 0

    def send(self, picture: NDArray[np.uint8]) -> bool:
        if not self.sent or not np.array_equal(picture, self.sent[0]):  # else it is a repeat
            self.since = time.monotonic()
        self.sent = [picture]
        seen = self.picture()
        self.room = max(self.room, room_in(seen))
        if person_in(seen):
            self.persons += 1
            self.frozen_s = max(self.frozen_s, time.monotonic() - self.since)
        return True


class Watched(WindowSink):
    """The window, with a watch that checks every composite; keys are pressed as planned."""

    watch: Watch

    def write(self, composite: Any) -> None:
        self.watch.last_new = time.monotonic()
        super().write(composite)
        for kind in PLAN.due(OTHER_FAULTS, PLAN.number):
            if kind == "delete background":
                shutil.rmtree(self.files, ignore_errors=True)
            elif kind == "key o":  # the comparison shows the camera on purpose, so it is not checked
                self.view.display = "matte" if self.view.display == "result" else "result"
            elif kind.startswith("key "):
                self._take(Key(kind[4:]))

    files: Path


def run(order: dict[str, Any]) -> dict[str, Any]:
    global PLAN
    PLAN = Plan(order["faults"])
    folder = Path(order["folder"])
    files = folder / "backgrounds"
    shutil.copytree(order["files"], files)
    notices, watch = Notices(), Watch()
    specs = order["background"].format(files=files).split(" ")
    composer = Composer(
        [each for spec in specs for each in parse(spec)],
        compositor="tests.support.privacy_app:Flaky",
        foreground=order["foreground"],
        notices=notices,
        outputs={OUTPUT: Output(TransparentBackground(), wanted=lambda: page.wants_cut_out)},
    )
    source = ReconnectingSource(SourceSettings("0"), Room, notices.again)
    source._wanted = lambda: SourceSettings("0")  # type: ignore[method-assign]
    saved: list[Path] = []
    pipeline: Pipeline

    def save(composite: Any) -> None:
        saved.append(folder / f"snap-{len(saved)}.png")
        save_png(composite, saved[-1])

    view = ViewState(order.get("display", "result"), statistics="table")
    controls = Controls(
        [
            Control(
                "background",
                lambda: composer.background,
                composer.show_background,
                choices=lambda: composer.backgrounds,
            ),
            Control("compositor", lambda: composer.backend, composer.use_compositor, choices=lambda: composer.working),
            Control("mirror", lambda: pipeline.mirror, lambda value: setattr(pipeline, "mirror", value)),
            Control("privacy", lambda: composer.private, composer.hide),
        ]
    )
    window = Watched(
        view,
        size=(WIDTH, HEIGHT),
        status=lambda: Status(phase=source.trouble, messages=notices.fallbacks),
        controls=controls,
        actions=WindowActions(reset=lambda: pipeline.reset(), save=save),
        placeholder=composer.background_only,
    )
    window.watch, window.files = watch, files
    device = WatchedCamera()
    camera = VirtualCamera(size=(WIDTH, HEIGHT), devices=lambda: [device])
    camera.meet(Surroundings(composer.background_only, lambda: composer.private))
    onlookers = Onlookers(room_in, person_in)
    page = WebSink(
        Address.parse("127.0.0.1:0"),
        WebProgram(controls),
        composer.background_only,
        size=(WIDTH, HEIGHT),
        opened=lambda _, source: onlookers.start(source),
    )
    movie = open_recorder(
        str(folder / "movie.mkv"), fps=60, policy=Overflow.DROP_OLDEST, background=composer.background_only
    )
    stills = open_recorder(f"{folder}/stills/", fps=60, policy=Overflow.DROP_OLDEST)
    make: Callable[[EngineSettings], Engine] = Oracle
    engine = FailoverEngine(make, EngineSettings(engine="oracle", foreground=order["foreground"]), notices)
    pipeline = Pipeline(source, engine, composer, [window, movie, stills, camera, page], max_fps=60, notices=notices)
    SdlToolkit.show = lambda toolkit, canvas: watch.show(toolkit, canvas)
    error = ""
    try:
        pipeline.run(duration=order["seconds"])
    except Exception as failure:
        error = f"{type(failure).__name__}: {failure}"
    finally:
        SdlToolkit.show = watch._show
        onlookers.stop()
    return {
        "error": error,
        "room in the window": watch.room,
        "frozen in the window": watch.frozen_s,
        "room in the camera": device.room,
        "frozen in the camera": device.frozen_s,
        "person in the camera at the end": person_in(device.picture()),
        "persons in the camera": device.persons,
        "room on the page": max(onlookers.room.values()),
        "frozen on the page": max(onlookers.frozen_s.values()),
        "seen on the page": min(onlookers.seen.values()),
        "persons": watch.persons,
        "alone": watch.alone,
        "shown": watch.shown,
        "left": [kind for _, kind in PLAN.faults],
        "told": list(notices.fallbacks),
        **recorded(folder, saved),
    }


def recorded(folder: Path, saved: list[Path]) -> dict[str, Any]:
    """What the recordings and snapshots contain."""
    import av

    room, frozen, before = 0.0, 0.0, None
    if (folder / "movie.mkv").exists():
        with av.open(str(folder / "movie.mkv")) as container:
            for frame in container.decode(video=0):
                picture = frame.to_ndarray(format="bgr24")
                room = max(room, room_in(picture))
                if before is not None:
                    frozen = max(frozen, frame.time - before)
                before = frame.time if person_in(picture) else None
    pictures = [*folder.glob("stills/*.png"), *saved]
    loaded = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in pictures]
    return {
        "room in the recording": room,
        "frozen in the recording": frozen,
        "room in pictures": max((room_in(each) for each in loaded), default=0.0),
        "pictures": len(pictures),
    }


def main() -> None:
    for line in sys.stdin:
        sys.stdout.write(json.dumps(run(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    # The compositor is loaded by this module's name: both names must share the same plan.
    from tests.support import privacy_app

    privacy_app.main()
