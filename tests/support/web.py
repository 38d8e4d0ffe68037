"""The page served from this process: a real server, fed with pictures of a made-up person, and a real client."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np

from rvm_live.backgrounds.base import Background
from rvm_live.backgrounds.parse import parse
from rvm_live.backgrounds.transparent import TransparentBackground
from rvm_live.compositing.composer import Composer
from rvm_live.compositing.output import Output
from rvm_live.core.clock import SYSTEM_CLOCK
from rvm_live.core.controls import Control, Controls, one_of, trigger, truth
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.framing import parse_shift
from rvm_live.core.queues import Overflow
from rvm_live.pipeline.fan_out import SinkThread
from rvm_live.pipeline.stage import Epoch
from rvm_live.sinks.web.address import Address
from rvm_live.sinks.web.program import WebProgram
from rvm_live.sinks.web.sink import OUTPUT, WebSink
from rvm_live.sinks.window.status import Status

__all__ = ["Answer", "Served", "served"]

WIDTH, HEIGHT = 320, 180
PERSON = (200, 120, 40)  # blue, green, red
ROOM = (200, 0, 200)
BACKGROUND = (0, 255, 0)


@dataclass(frozen=True)
class Answer:
    """A server's answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Served:
    """A page that is being served, and everything behind it."""

    sink: WebSink
    controls: Controls
    values: dict[str, Any]
    composer: Composer
    done: list[str] = field(default_factory=list)
    failed: list[BaseException] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.sink.page.partition("/#")[0]

    @property
    def host(self) -> str:
        return self.url.partition("//")[2]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def steer(self) -> str:
        return self.sink.page.partition("#")[2]

    @property
    def view(self) -> str:
        return self.sink.source.partition("#")[2]

    def ask(
        self,
        path: str,
        body: bytes | Mapping[str, Any] | None = None,
        *,
        token: str | None = None,
        method: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request; if no token is given, with the one that allows steering."""
        data = json.dumps(body).encode() if isinstance(body, Mapping) else body
        sent = {"Authorization": f"Bearer {self.steer if token is None else token}"} if token != "" else {}
        sent |= {"Content-Type": "application/json"} if data is not None else {}
        request = Request(self.url + path, data, {**sent, **(headers or {})}, method=method)
        try:
            with urlopen(request, timeout=20) as answer:
                return Answer(answer.status, dict(answer.headers), answer.read())
        except HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), error.read())


def picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> Matte:
    """A person on the left half, in front of a room; a white bar moves over the person."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, : width // 2] = PERSON
    image[:, width // 2 :] = ROOM
    row = 10 + number * 3 % (height - 30)
    image[row : row + 8, 20:40] = 255
    alpha = np.zeros((height, width), np.uint8)
    alpha[:, : width // 2] = 255
    now_ns = time.perf_counter_ns()
    return Matte(Frame(image, number, 0, now_ns), alpha, started_ns=now_ns, finished_ns=now_ns)


@contextmanager
def served(
    *,
    fps: float = 30,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    address: str = "127.0.0.1:0",
    origins: tuple[str, ...] = (),
    recordings: Callable[[], list[Path]] = list,
    take: Callable[[Path, str], str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Iterator[Served]:
    """Serve a page whose controls change a composer and a few values."""
    backgrounds = [parse(each)[0] for each in ("color:#00ff00", "color:#0000ff", "blur:20", "transparent")]
    alone = Output(TransparentBackground(), wanted=lambda: sink.wants_cut_out)
    composer = Composer(backgrounds, outputs={OUTPUT: alone})
    values: dict[str, Any] = {
        "recording": None, "paused": False, "mirror": False, "engine": "lite", "quality": "auto",
        "camera": "Front", **(more or {}),
    }  # fmt: skip
    choices: dict[str, list[str]] = {
        "engine": ["lite", "rvm"], "quality": ["auto", "quick", "high"], "camera": ["Front", "Side"],
        **{name: [] for name in more or {}},
    }  # fmt: skip

    def control(name: str) -> Control:
        check: Callable[[Any], Any] = lambda wish: wish  # noqa: E731
        if choices.get(name):
            check = one_of(name, lambda: choices[name])
        elif isinstance(values[name], bool):
            check = truth(name)
        elif isinstance(values[name], tuple):
            check = parse_shift
        return Control(
            name,
            lambda: values[name],
            lambda value: values.__setitem__(name, value),
            check=check,
            choices=lambda: choices.get(name, ()),
            kind={bool: "switch", tuple: "number"}.get(type(values[name]), "choice"),
            limits=(-1, 1) if isinstance(values[name], tuple) else None,
        )

    def wished(wish: Any) -> str:
        if wish in composer.backgrounds:
            return str(wish)
        return composer.add_background(parse(wish)[0])

    background = Control(
        "background",
        lambda: composer.background,
        composer.show_background,
        check=wished,
        choices=lambda: composer.backgrounds,
    )
    privacy = Control("privacy", lambda: composer.private, composer.hide, check=truth("privacy"), kind="switch")
    done: list[str] = []
    stop = trigger("stop", lambda: done.append("stop"), "it ends")
    controls = Controls([background, privacy, stop, *map(control, values)])

    def find(name: str) -> Background | None:
        return composer.background_named(name)

    def status() -> Status:
        return Status(
            unique_fps=fps, matting_ms=12.5, compositing_ms=1.5, total_ms=40, device="cpu", engine="lite",
            source="demo", size=size, drops={"captured": 3}, messages=("told",),
            recording="/home/somebody/take.mp4" if values["recording"] else None, recorded_s=75.0,
        )  # fmt: skip

    program = WebProgram(
        controls,
        status,
        lambda: {
            "captured": 100, "unique": 90, "repeated": 2, "dropped": {"captured": 3}, "recent_fps": 29.5,
            "elapsed_s": 3.5, "recent_ms": {"total": {"p50": 40.0, "p95": 50.0, "p99": 60.0}},
        },
        find,
        take or WebProgram.take_background,
        recordings,
        {name: lambda name=name: done.append(name) or f"{name} it is" for name in ("fetch", "reset")},
    )  # fmt: skip
    sink = WebSink(Address.parse(address), program, composer.background_only, size=size, origins=origins)
    over = threading.Event()
    failed: list[BaseException] = []
    output = SinkThread(sink, "web", policy=Overflow.DROP_OLDEST, epoch=Epoch(), fps=None, clock=SYSTEM_CLOCK)
    output.open()

    def feed() -> None:
        composer.open(*size, "cpu")
        try:
            number = 0
            while not over.wait(1 / fps):
                if not values["paused"]:
                    number += 1
                    output.put(composer.compose(picture(number, *size)))
        except BaseException as error:
            failed.append(error)
        finally:
            composer.close()

    feeding = threading.Thread(target=feed, name="feeding")
    feeding.start()
    try:
        yield Served(sink, controls, values, composer, done, failed)
    finally:
        over.set()
        feeding.join()
        output.end(failed=False)
        assert output.join(20)
        assert not failed and output.error is None, (failed, output.error)
