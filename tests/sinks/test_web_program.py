"""The whole program with its page: how it begins and ends, and what viewers cost it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from rvm_live.sinks.web.viewers import HEAD
from tests.support.chromium import open_browser
from tests.support.program import call, finish, start

DEMO = ("demo", "--headless", "--engine", "lite", "--size", "640x360")
_ADDRESS = re.compile(r"http://\S+#\S+")


@contextmanager
def running(*options: str | Path, cwd: Path, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """The program, the address of its page, and the address for OBS."""
    with start(*options, env={**os.environ, **environment}, cwd=cwd) as process:
        assert process.stderr is not None
        found: list[str] = []
        while len(found) < 2:
            line = process.stderr.readline()
            assert line, "it ended"
            found += _ADDRESS.findall(line)
        yield process, found[0], found[1]


async def get(address: str, path: str) -> Any:
    base, _, token = address.partition("#")
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
        session.get(base.removesuffix("/").removesuffix("/obs") + path) as answer,
    ):
        return await answer.json()


@pytest.mark.slow
def test_the_page_is_the_whole_interface(tmp_path: Path) -> None:
    """Controlled and ended only from the page, in a real browser: the background changes, and the program ends
    cleanly."""
    with (
        running(*DEMO, "--web=127.0.0.1:0", "-b", "color:#00ff00", cwd=tmp_path) as (process, page, _),
        open_browser() as browser,
    ):
        tab = browser.page(page, 1280, 900)
        tab.wait("window.live?.pictures > 3 && document.querySelectorAll('.tile').length > 4", 120)
        corner = (
            "(() => { const c = document.getElementById('picture');"
            "return [...c.getContext('2d').getImageData(4, 4, 1, 1).data] })()"
        )
        tab.wait(f"(([r, g, b]) => g > 200 && r < 60 && b < 60)({corner})")
        tab.evaluate(
            "(() => { const c = document.getElementById('colour'); c.value = '#0000ff';"
            "c.dispatchEvent(new Event('change')) })()"
        )
        tab.wait(f"(([r, g, b]) => b > 200 && r < 60 && g < 60)({corner})")
        tab.wait(
            "parseFloat(document.getElementById('fps').textContent) > 0", 120
        )  # a recording contains what is composed
        tab.click("#record")
        tab.wait("document.getElementById('clock').textContent >= '00:01'")
        tab.click("#record")
        tab.wait("document.querySelectorAll('#recordings a').length", 100)
        size = tab.evaluate(
            "fetch(document.querySelector('#recordings a').href).then(a => a.arrayBuffer()).then(b => b.byteLength)"
        )
        assert size == next(tmp_path.glob("rvm-live-*.mp4")).stat().st_size
        tab.evaluate("document.getElementById('more').open = true")
        tab.click("[data-action=stop]")
        tab.wait("document.querySelector('[data-action=stop]').dataset.sure")
        tab.click("[data-action=stop]")
        ended = finish(process)
        assert ended.code == 0 and " fps" in ended.out


@pytest.mark.slow
def test_ctrl_c_ends_it_while_somebody_looks_on(tmp_path: Path) -> None:
    async def look(address: str, process: subprocess.Popen[str]) -> int:
        base, _, token = address.partition("/obs#")
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
            session.ws_connect(f"{base}/api/v1/watch") as talking,
        ):
            await talking.receive()
            process.send_signal(signal.SIGINT)
            while (message := await asyncio.wait_for(talking.receive(), 60)).type is aiohttp.WSMsgType.BINARY:
                pass
            return int(message.data or 0)

    with running(*DEMO, "--web=127.0.0.1:0", cwd=tmp_path) as (process, _, source):
        assert asyncio.run(look(source, process)) == 1001
        assert finish(process).code == 130


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--web=nonsense:1:2",), "--web=HOST:PORT"),
        (("--web=192.0.2.77:8870",), "cannot be served at 192.0.2.77:8870"),
        (("--open",), "add --web"),
        (("--web", "--web-origin", "cam.example.org"), "https://cam.example.org"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(options: tuple[str, ...], told: str) -> None:
    outcome = call(*DEMO, "--duration", "1", *options)
    assert outcome.code == 2 and told in outcome.complaint


@pytest.mark.slow
def test_unique_pictures_a_second_and_their_age_on_the_page(tmp_path: Path) -> None:
    """As the page itself counts them: all that are made, each once, and hardly older than when they were sent."""
    with (
        running(*DEMO, "--web=127.0.0.1:0", "--fps", "15", cwd=tmp_path) as (_, page, _),
        open_browser() as browser,
    ):
        tab = browser.page(page, 1280, 900)
        tab.wait("window.live?.pictures > 10", 120)
        before = tab.evaluate("live.pictures")
        shown = asyncio.run(get(page, "/api/v1/statistics"))["unique"]
        time.sleep(6)
        drawn = tab.evaluate("live.pictures") - before
        told = asyncio.run(get(page, "/api/v1/statistics"))
        made = told["unique"] - shown
        assert drawn >= 0.7 * made and drawn <= made + 5
        (viewer,) = told["viewers"]
        assert viewer["kind"] == "result" and viewer["latency_ms"]["p50"] > 0


async def _read(address: str, kind: str, until: float, *, stalls: bool) -> int:
    base, _, token = address.partition("/obs#")
    count = 0
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
        session.ws_connect(f"{base}/api/v1/watch?kind={kind}") as talking,
    ):
        while time.monotonic() < until:
            if stalls and count:
                await asyncio.sleep(0.5)
                continue
            message = await talking.receive(30)
            if message.type is not aiohttp.WSMsgType.BINARY:
                break
            is_picture, number, *_ = HEAD.unpack_from(message.data)
            if is_picture:
                count += 1
                await talking.send_bytes(number.to_bytes(4, "little"))
    return count


async def _viewers(address: str, seconds: float) -> list[int]:
    until = time.monotonic() + seconds
    plan = (("result", False), ("cutout", False), ("result", True))
    return await asyncio.gather(*(_read(address, kind, until, stalls=stalls) for kind, stalls in plan))


def _rate(address: str, seconds: float, *, viewers: bool) -> tuple[float, list[int]]:
    """Pictures made per second meanwhile, and the pictures that each viewer got."""
    before, began = asyncio.run(get(address, "/api/v1/statistics"))["unique"], time.monotonic()
    if viewers:
        got = asyncio.run(_viewers(address, seconds))
    else:
        got = []
        time.sleep(seconds)
    after = asyncio.run(get(address, "/api/v1/statistics"))["unique"]
    return (after - before) / (time.monotonic() - began), got


def three_viewers(tmp_path: Path, seconds: float) -> None:
    with running(*DEMO, "--web=127.0.0.1:0", "--fps", "15", cwd=tmp_path) as (process, _, source):
        asyncio.run(_viewers(source, 5))
        memory = psutil.Process(process.pid)
        used = 0
        rates: dict[bool, list[float]] = {False: [], True: []}
        for turn in range(6):
            rate, got = _rate(source, seconds / 6, viewers=bool(turn % 2))
            rates[bool(turn % 2)].append(rate)
            used = memory.memory_info().rss if turn < 2 else used  # by then all buffers have been used once
            if got:
                assert min(got[:2]) > seconds / 6 and got[2] == 1
        alone, watched = statistics.median(rates[False]), statistics.median(rates[True])
        grown = memory.memory_info().rss - used
        told = f"{alone:.2f} made a second alone, {watched:.2f} with three viewers; {grown / 2**20:+.0f} MiB"
        assert watched >= 0.95 * alone, told
        assert grown < 32 << 20, told


@pytest.mark.slow
def test_three_viewers_of_whom_one_stalls_cost_matting_nothing(tmp_path: Path) -> None:
    three_viewers(tmp_path, 36)


@pytest.mark.stress
@pytest.mark.timeout(2400)
def test_half_an_hour_with_three_viewers_of_whom_one_stalls(tmp_path: Path) -> None:
    three_viewers(tmp_path, 1800)
