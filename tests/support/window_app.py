"""A real WindowSink in a process of its own, controlled from outside: ``python -m tests.support.window_app '{...}'``.

Prints one JSON line for everything the window asks for, and for every change of its view.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from pathlib import Path

from rvm_live.core.controls import Control, Controls
from rvm_live.core.errors import SinkError
from rvm_live.core.frames import Composite
from rvm_live.sinks.recording.snapshot import save_png
from rvm_live.sinks.window import panel, text
from rvm_live.sinks.window.hotkeys import ViewState, WindowActions, view_controls
from rvm_live.sinks.window.status import Status
from rvm_live.sinks.window.text import shorten
from rvm_live.sinks.window.toolkits import TOOLKITS
from rvm_live.sinks.window.window import WindowSink
from rvm_live.system.gpu import GpuReading
from tests.support.engines import LateFault
from tests.support.pictures import BACKGROUND, make_composite

STATUS = Status(
    unique_fps=29.97,
    matting_ms=23.4,
    compositing_ms=2.1,
    total_ms=41.2,
    total_p95_ms=55.7,
    device="cpu",
    device_name="a processor",
    backend="cpu",
    engine="rvm",
    model="mobilenetv3",
    precision="fp32",
    ratio=0.4,
    source="demo",
    size=(320, 180),
    drops={"captured": 3, "matted": 0},
    repeats=2,
    background="color",
    gpu=GpuReading("Card", "555", 37, 3 << 30, 8 << 30, 61, 123.4, 1980),
    phase="loading the model",
)


def tell(**event: object) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def main(options: dict) -> None:
    running = True

    def end(reason: str) -> None:
        nonlocal running
        running = False
        tell(action="quit", reason=reason)

    def save(composite: Composite) -> None:
        if "save" not in options:
            raise SinkError("cannot save here")
        save_png(composite, Path(options["save"]))
        tell(action="save", seq=composite.seq)

    def placeholder(width: int, height: int):
        import numpy as np

        return np.full((height, width, 3), BACKGROUND, np.uint8)

    view = ViewState(
        display=options.get("display", "result"),
        statistics=options.get("statistics", "off"),
        fullscreen=options.get("fullscreen", False),
    )
    values = {"background": "beach", "compositor": "cpu", "recording": None, "paused": False, "privacy": False}
    choices = {"background": ["beach", "blur 25", "office"], "compositor": ["cpu", "torch"]}
    if options.get("cameras", False):
        values |= {"camera": "Front", "quality": "auto"}
        choices |= {"camera": ["Front", "Side"], "quality": ["auto", "high"]}

    def control(name: str) -> Control:
        return Control(
            name,
            lambda: values[name],
            lambda value: values.__setitem__(name, value),
            choices=lambda: choices.get(name, ()),
        )

    controls = Controls([*map(control, values), *view_controls(view)])
    controls.subscribe(lambda changes: [tell(action=name, value=value) for name, value in changes.items()])
    sink = WindowSink(
        view,
        size=tuple(options.get("size", (320, 180))),
        toolkits=options.get("toolkits", TOOLKITS),
        hint=options.get("hint", False),
        status=lambda: dataclasses.replace(
            STATUS,
            messages=tuple(options.get("messages", ())),
            recording=values["recording"] and "take.mp4",
            recorded_s=75.0,
            recorded_bytes=11_000_000,
        ),
        controls=controls,
        actions=WindowActions(
            reset=lambda: tell(action="reset"),
            save=save,
            ask_background=lambda: tell(action="add background"),
            quit=end,
        ),
        placeholder=placeholder,
    )
    seen: dict = {}
    seq = 0
    width, height = options.get("frame", (320, 180))
    sink.open()
    tell(action="opened")
    started = time.monotonic()
    still, drawn, draw = None, 0, sink._draw

    cut: list[str] = []
    placed: dict = {}

    def shortened(words: str, *more: int) -> str:
        short = shorten(words, *more)
        cut.extend([words] if short != words else [])
        return short

    text.shorten = panel.shorten = shortened

    def count() -> None:
        nonlocal drawn, placed
        drawn += 1
        draw()
        bar = sink._bar if sink._bar.visible else None
        buttons = [(each.button.action, each.x, each.y, each.width, each.height) for each in bar._placed] if bar else []
        choices = (
            [(each.button.action, each.x, each.y, each.width, each.height) for each in bar._choices] if bar else []
        )
        panels = [(x, y, panel.width, panel.height) for panel, x, y in sink._overlay._panels]
        now = {"bar": buttons, "menu": choices, "panels": panels, "cut": [*cut], "of": list(sink.size)}
        if now != placed:
            tell(layout=now)
            placed = now

    sink._draw = count
    try:
        while running and time.monotonic() - started < options.get("limit", 600):
            if time.monotonic() - started >= options.get("silent", 0):
                composite = make_composite(width, height, seq=seq, transparent=options.get("transparent", False))
                if options.get("unreadable", False):
                    matte = dataclasses.replace(composite.matte, alpha=LateFault(height, width))
                    composite = dataclasses.replace(composite, matte=matte)
                still = composite if still is None or not options.get("still") else still
                sink.write(still)
                seq += 1
                if seq % 20 == 0 and options.get("count"):
                    tell(action="goes on")
            for _ in range(2):
                sink.idle()
                time.sleep(0.01)
            now = {**dataclasses.asdict(view), "size": list(sink.size)}
            if now != seen:
                tell(view=now)
                seen = now
    finally:
        sink.close(failed=False)
    tell(action="ended", written=seq, drawn=drawn)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
