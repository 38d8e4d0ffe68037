"""The HTTP API agrees with its description file and its documentation page."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rvm_live.backgrounds.own import OwnBackgrounds
from rvm_live.sinks.web.costs import Costs
from rvm_live.sinks.web.guard import Route
from rvm_live.sinks.web.keys import Role
from tests.conftest import ROOT
from tests.support.clock import FakeClock
from tests.support.web import Served, served

DESCRIBED = json.loads((ROOT / "rvm_live/sinks/web/page/openapi.json").read_text("utf-8"))
PAGE = (ROOT / "docs" / "web.md").read_text("utf-8")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("own")
    recorded = folder / "take.mp4"
    recorded.write_bytes(b"a film")

    def taken(path: Path, name: str) -> str:
        return OwnBackgrounds(running.composer.add_background, [folder / "backgrounds"]).keep(path, name)

    with served(take=taken, recordings=lambda: [recorded]) as running:
        yield running


def routes(page: Served) -> list[Route]:
    return [route for route in page.sink._server.guard.routes.values() if not route.path.startswith("/page/")]


def test_the_file_describes_every_route_and_nothing_else(page: Served) -> None:
    told = {(method.upper(), path): each for path, ways in DESCRIBED["paths"].items() for method, each in ways.items()}
    served_ones = {(route.method, route.path): route for route in routes(page) if route.path not in ("/", "/obs")}
    assert told.keys() == served_ones.keys()
    for key, route in served_ones.items():
        assert told[key]["x-role"] == route.role.name.lower(), key
        assert list(told[key].get("requestBody", {}).get("content", {})) == ([route.takes] if route.takes else []), key
        in_path = re.findall(r"{(\w+)}", route.path)
        assert [each["name"] for each in told[key].get("parameters", ()) if each["in"] == "path"] == in_path
        assert ("security" in told[key]) == (route.role is not Role.NOBODY)


def fits(value: Any, schema: Any) -> bool:
    """Whether a value matches a schema, with the rules that this file uses."""
    if "$ref" in schema:
        schema = DESCRIBED["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if "enum" in schema and value not in schema["enum"]:
        return False
    kinds = {"object": dict, "array": list, "string": str, "number": (int, float), "integer": int, "boolean": bool,
             "null": type(None)}  # fmt: skip
    named = schema.get("type", list(kinds))
    if not any(isinstance(value, kinds[kind]) for kind in ([named] if isinstance(named, str) else named)):
        return False
    if isinstance(value, list):
        return all(fits(each, schema.get("items", {})) for each in value)
    if isinstance(value, dict):
        properties, rest = schema.get("properties", {}), schema.get("additionalProperties", {})
        known = all(fits(each, properties.get(name, rest)) for name, each in value.items())
        return known and set(schema.get("required", ())) <= value.keys()
    return True


@pytest.mark.parametrize("path", ["/api/v1/state", "/api/v1/statistics", "/api/v1/openapi.json"])
def test_answers_are_as_the_file_says(page: Served, path: str) -> None:
    schema = DESCRIBED["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    answer = page.ask(path).json
    assert fits(answer, schema), answer
    if path.endswith("state"):
        assert set(answer) == set(DESCRIBED["components"]["schemas"]["State"]["properties"])
    assert not fits({"error": 1}, {"$ref": "#/components/schemas/Error"}), "the check can fail"


def test_errors_are_as_the_file_says(page: Served) -> None:
    for answer in (
        page.ask("/api/v1/state", token=""),
        page.ask("/api/v1/controls", {"nothing": 1}),
        page.ask("/nowhere"),
        page.ask("/api/v1/actions/nothing", {}),
        page.ask("/api/v1/recordings/nothing"),
    ):
        assert answer.status >= 400 and fits(answer.json, {"$ref": "#/components/schemas/Error"})


def test_events_tell_the_state_and_then_every_change(page: Served) -> None:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=20)
    connection.request("GET", "/api/v1/events", headers={"Authorization": f"Bearer {page.steer}"})
    stream = connection.getresponse()

    def event() -> tuple[str, Any]:
        name = stream.readline().decode().strip().removeprefix("event: ")
        data = json.loads(stream.readline().decode().removeprefix("data: "))
        stream.readline()
        return name, data

    name, state = event()
    assert name == "state" and state["controls"]["mirror"] is False
    page.ask("/api/v1/controls", {"mirror": True})
    seen = set()
    while (found := event())[0] != "controls":
        seen.add(found[0])
    assert found[1] == {"mirror": True}
    page.ask("/api/v1/controls", {"mirror": False})
    while "status" not in seen:
        seen.add(event()[0])
    connection.close()


def test_actions(page: Served) -> None:
    assert page.ask("/api/v1/actions/fetch", {}).json == {"told": "fetch it is"}
    assert page.ask("/api/v1/controls", {"stop": True}).status == 200
    assert page.done[-2:] == ["fetch", "stop"]


def test_costs_are_kept_of_a_ratio_without_a_name_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The name of its quality has two words."""
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path))
    clock = FakeClock()
    costs = Costs(clock)
    status = {"size": (640, 360), "device": "cpu", "matting_ms": 12.34, "phase": ""}
    for _ in range(3):
        found = costs.seen(status, {"engine": "rvm", "quality": "ratio 0.3"})
        clock.advance(20)
    assert found == {"engine": {"rvm": 12.3}, "quality": {"ratio 0.3": 12.3}}
    assert Costs(clock).seen(status, {"engine": "rvm", "quality": "auto"}) == found


def test_metrics_are_what_prometheus_reads(page: Served) -> None:
    text = page.ask("/metrics", token=page.view).body.decode()
    line = re.compile(r'(# (HELP|TYPE) rvm_live_\w+ .+|rvm_live_\w+({\w+="[^"]*"(,\w+="[^"]*")*})? -?[\d.e+-]+)')
    assert all(line.fullmatch(each) for each in text.splitlines()), text
    assert "rvm_live_frames_shown_total 90" in text and 'rvm_live_frames_dropped_total{queue="captured"} 3' in text
    assert 'rvm_live_latency_seconds{stage="total",quantile="0.95"} 0.05' in text


def test_a_thumbnail_and_a_recording(page: Served) -> None:
    picture = cv2.imencode(".png", np.full((90, 160, 3), (10, 200, 30), np.uint8))[1].tobytes()
    brought = page.ask(
        "/api/v1/backgrounds?name=mine.png", picture, headers={"Content-Type": "application/octet-stream"}
    )
    assert brought.json == {"name": "mine"}
    (mine,) = (each for each in page.ask("/api/v1/state").json["backgrounds"] if each["name"] == "mine")
    shown = page.ask(f"/api/v1/backgrounds/{mine['id']}/thumbnail")
    small = cv2.imdecode(np.frombuffer(shown.body, np.uint8), cv2.IMREAD_COLOR)
    assert small.shape == (162, 288, 3) and np.abs(small.astype(int) - (10, 200, 30)).max() < 12
    (take,) = page.ask("/api/v1/state").json["recordings"]
    assert page.ask(f"/api/v1/recordings/{take['id']}").body == b"a film"


COMMANDS = [line for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
            for line in block.replace("\\\n", " ").splitlines() if line.startswith("curl ")]  # fmt: skip


@pytest.mark.few(3)
@pytest.mark.parametrize("command", COMMANDS)
def test_the_lines_of_the_documentation_work(page: Served, command: str, tmp_path: Path) -> None:
    (tmp_path / "beach.jpg").write_bytes(
        cv2.imencode(".jpg", np.full((90, 160, 3), 90 + hash(command) % 9, np.uint8))[1].tobytes()
    )
    (take,) = page.ask("/api/v1/state").json["recordings"]
    line = command.replace("http://127.0.0.1:8870", page.url).replace("$RECORDING", take["id"])
    line = line.replace("$TOKEN", page.steer).replace("$VIEW", page.view)
    words = [*shlex.split(line), "--max-time", "4", "--silent", "--show-error", "--fail-with-body"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, timeout=60, check=False)
    endless = "events" in command or "stream.mjpg" in command
    assert done.returncode == (28 if endless else 0), done.stderr + done.stdout[:300]
    written = [path for path in tmp_path.iterdir() if path.name != "beach.jpg"]
    assert len(done.stdout) > 10 or (written and written[0].stat().st_size > 5)


def test_there_are_lines_to_try() -> None:
    assert len(COMMANDS) >= 8
