"""The camera of PipeWire, with a real PipeWire, WirePlumber and reader; skipped where they are not installed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rvm_live.cli import main
from rvm_live.core.clock import SYSTEM_CLOCK
from rvm_live.core.errors import SinkError, UnavailableError
from rvm_live.sinks.base import Shot, Surroundings
from rvm_live.sinks.camera.outputs import outputs_here
from rvm_live.sinks.camera.pipewire import PipeWireCamera
from rvm_live.sinks.camera.sink import VirtualCamera
from tests.support.pipewire import Session, open_session
from tests.support.waiting import until

SIZE = (640, 360)
PERSON, BACKGROUND = (40, 200, 60), (190, 90, 30)
CODES = {"I420": cv2.COLOR_YUV2BGR_I420, "NV12": cv2.COLOR_YUV2BGR_NV12}


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with open_session() as opened:
        yield opened


@pytest.fixture
def inside(session: Session, monkeypatch: pytest.MonkeyPatch) -> Session:
    """Make this process use the session, too."""
    for name in ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"):
        monkeypatch.setenv(name, session.env[name])
    monkeypatch.delenv("PIPEWIRE_REMOTE", raising=False)
    if session.pipewire is None:
        session.begin()
    return session


def plain(colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    return np.full((*SIZE[::-1], 3), colour, np.uint8)


def shown(picture: NDArray[np.uint8], kind: str = "I420") -> list[int]:
    """The colour in the middle of the picture."""
    return [int(value) for value in cv2.cvtColor(picture, CODES[kind])[SIZE[1] // 2, SIZE[0] // 2]]


def near(one: Any, other: Any) -> bool:
    return bool(np.abs(np.subtract(one, other, dtype=int)).max() <= 3)


class Fed:
    """A camera fed from a thread like a sink's: a picture when there is one, and idle calls between."""

    def __init__(self, words: str = "pipewire") -> None:
        self.told: list[str] = []
        self.picture: NDArray[np.uint8] | None = None
        self.turns = 0
        self.camera = VirtualCamera(words, size=SIZE)
        self.camera.meet(
            Surroundings(lambda width, height: plain(BACKGROUND), told=self.told.append, news=self.told.append)
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.camera.open()
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(0.01):
            self.turns += 1
            if self.picture is not None and self.turns % 3 == 0:
                self.camera.write_picture(Shot(self.picture, self.turns, SYSTEM_CLOCK.now_ns(), None))
            self.camera.idle()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self.camera.close(failed=False)


@contextmanager
def fed() -> Iterator[Fed]:
    made = Fed()
    try:
        yield made
    finally:
        made.close()


@pytest.mark.parametrize("kind", ["I420", "NV12"])
def test_a_reader_gets_the_pictures_and_before_them_the_background(inside: Session, kind: str) -> None:
    with fed() as feed:
        reader = inside.read(kind, SIZE)
        try:
            first = reader.wait(5)
            assert all(near(shown(each, kind), BACKGROUND) for each in first)
            feed.picture = plain(PERSON)
            count = len(reader.pictures())
            last = reader.wait(count + 20)[-1]
            assert near(shown(last, kind), PERSON)
            assert 0 < feed.camera.delay_ms < 1000
        finally:
            reader.close()
    assert feed.told == []


def test_the_camera_tells_its_colours_its_size_and_that_it_is_a_camera(inside: Session) -> None:
    with fed():
        assert until(lambda: '"colorMatrix"' in inside.dump())
        nodes = [each["info"] for each in json.loads(inside.dump()) if each["type"] == "PipeWire:Interface:Node"]
        (node,) = [each for each in nodes if each["props"].get("media.class") == "Video/Source"]
        assert (node["props"]["node.name"], node["props"]["media.role"]) == ("rvm-live", "Camera")
        formats = node["params"]["EnumFormat"]
        assert [each["format"] for each in formats] == ["I420", "NV12"]
        for each in formats:
            assert each["size"] == {"width": 640, "height": 360}
            assert each["framerate"] == {"num": 30, "denom": 1}
            # pw-dump has its own names for these: 16 to 235, BT.601, BT.709's curve and primaries.
            assert {"colorRange", "colorMatrix", "transferFunction", "colorPrimaries"} <= each.keys()


def test_it_is_seen_whether_anybody_watches(inside: Session) -> None:
    with fed() as feed:
        assert feed.camera.watched is False
        reader = inside.read(size=SIZE)
        assert until(lambda: feed.camera.watched)
        reader.wait(1)
        reader.close()
        assert until(lambda: feed.camera.watched is False)


def test_what_is_seen_last_is_the_background(inside: Session) -> None:
    with fed() as feed:
        feed.picture = plain(PERSON)
        reader = inside.read(size=SIZE)
        assert until(lambda: len(reader.pictures()) > 5 and near(shown(reader.pictures()[-1]), PERSON))
    assert until(lambda: near(shown(reader.pictures()[-1]), BACKGROUND))
    reader.close()


def test_a_reader_that_hangs_holds_up_nobody(inside: Session) -> None:
    with fed() as feed:
        feed.picture = plain(PERSON)
        hanging = inside.read(size=SIZE)
        hanging.wait(3)
        hanging.freeze()
        turns = feed.turns
        assert until(lambda: feed.turns > turns + 100), "the sink's thread goes on"
        other = inside.read(size=SIZE)
        hanging.close()
        assert near(shown(other.wait(5)[-1]), PERSON)
        other.close()


@pytest.mark.slow
def test_pipewire_dies_and_comes_back(inside: Session) -> None:
    with fed() as feed:
        feed.picture = plain(PERSON)
        reader = inside.read(size=SIZE)
        reader.wait(3)
        inside.die()
        assert until(lambda: feed.told)
        reader.close()
        (told,) = feed.told
        assert told.startswith("PipeWire removed the camera (") and told.endswith("; trying again until it is back")
        turns = feed.turns
        assert until(lambda: feed.turns > turns + 50)
        inside.begin()
        assert until(lambda: len(feed.told) == 2)
        assert feed.told[1] == "the virtual camera is back (PipeWire)"
        again = inside.read(size=SIZE)
        assert near(shown(again.wait(5)[-1]), PERSON)
        again.close()


def test_it_can_go_and_come_while_the_run_goes_on(inside: Session) -> None:
    with fed() as feed:
        assert until(lambda: "Video/Source" in inside.dump())
        feed.camera.use(False)
        assert until(lambda: "Video/Source" not in inside.dump())
        assert feed.camera.watched is False and feed.camera.label == ""
        feed.camera.use(True)
        assert near(shown(inside.read(size=SIZE).wait(3)[-1]), BACKGROUND)


def test_what_works_here_is_told(inside: Session) -> None:
    pipewire = next(each for each in outputs_here() if each.name == "pipewire")
    assert (pipewire.works, pipewire.mend) == (True, "")
    assert "WebRtcPipeWireCamera" in pipewire.seen_by["Chromium, Chrome"]


# Without PipeWire ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        (None, "XDG_RUNTIME_DIR is not set: PipeWire only works in a user's session"),
        ("{empty}", "PipeWire does not run at {empty}/pipewire-0: systemctl --user start pipewire wireplumber"),
    ],
)
def test_no_pipewire_is_one_line(
    folder: str | None, message: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    for name in ("PIPEWIRE_REMOTE", "PIPEWIRE_RUNTIME_DIR", "XDG_RUNTIME_DIR", "USERPROFILE"):
        monkeypatch.delenv(name, raising=False)
    if folder is not None:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with pytest.raises(UnavailableError, match=message.format(empty=tmp_path)):
        PipeWireCamera().open(*SIZE, 30)
    with pytest.raises(SystemExit) as left:
        main(["--source", "demo", "--headless", "--engine", "lite", "--virtual-camera=pipewire", "--duration", "5"])
    assert left.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message.format(empty=tmp_path) in line
    camera = VirtualCamera("pipewire", size=SIZE)
    with pytest.raises(SinkError, match="no virtual camera can be made"):
        camera.open()


def test_without_a_session_manager_it_is_told_that_nobody_will_find_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with open_session(begun=False) as session:
        session.begin(manager=False)
        monkeypatch.setenv("XDG_RUNTIME_DIR", session.env["XDG_RUNTIME_DIR"])
        monkeypatch.setattr("rvm_live.sinks.camera.outputs._session_manager", lambda: False)
        pipewire = next(each for each in outputs_here() if each.name == "pipewire")
        assert not pipewire.works and "session manager" in pipewire.why and "wireplumber" in pipewire.mend
        with fed() as feed:
            assert [line for line in feed.told if "session manager" in line]
