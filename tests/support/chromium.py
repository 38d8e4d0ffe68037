"""A real browser without a screen: Chromium, driven over the Chrome DevTools Protocol.

Each page is an object, and its methods block until they are done, since tests run line after line.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import cv2
import numpy as np
from numpy.typing import NDArray

from tests.conftest import missing

__all__ = ["Browser", "Page", "open_browser"]

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_ARGUMENTS = (
    "--headless=new",
    "--remote-debugging-port=0",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-gpu",
    "--disable-sync",
    "--hide-scrollbars",
    "--mute-audio",
    "--password-store=basic",
    "about:blank",
)
_WAIT_S = 30.0


class Page:
    """One tab.

    Args:
        browser: the browser it belongs to.
        session: its session in the protocol.
    """

    def __init__(self, browser: Browser, session: str, target: str) -> None:
        self._browser, self._session, self.target = browser, session, target

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one command of the protocol and return its result."""
        return self._browser.send(method, self._session, **params)

    def go(self, url: str) -> None:
        """Open an address, and wait until the page is loaded."""
        self.send("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def evaluate(self, expression: str) -> Any:
        """The value of an expression; promises are awaited."""
        done = self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in done:
            details = done["exceptionDetails"]
            raise AssertionError(details.get("exception", {}).get("description") or details["text"])
        return done["result"].get("value")

    def wait(self, expression: str, seconds: float = _WAIT_S) -> Any:
        """Wait until an expression is true, and return its value."""
        end = time.monotonic() + seconds
        while True:
            with suppress(AssertionError):
                value = self.evaluate(expression)
                if value:
                    return value
            if time.monotonic() > end:
                raise AssertionError(f"never true on the page: {expression}")
            time.sleep(0.05)

    def click(self, selector: str, x: float = 0.5, y: float = 0.5) -> None:
        """Click an element in the middle of its visible part, or at the given share of it."""
        found = self.wait(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            " if (!e) return null; e.scrollIntoView({block: 'center', behavior: 'instant'});"
            " const b = e.getBoundingClientRect(); return b.width ? [b.x, b.y, b.width, b.height] : null; })()"
        )
        place = {"x": found[0] + found[2] * x, "y": found[1] + found[3] * y}
        self.send("Input.dispatchMouseEvent", type="mouseMoved", **place)
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place)

    def key(self, key: str, code: str = "", modifiers: int = 0) -> None:
        """Press a key: ``Tab``, ``Enter`` or a letter."""
        text = {"Enter": "\r", " ": " "}.get(key, key if len(key) == 1 else "")
        virtual = {"Enter": 13, "Tab": 9, " ": 32, "Escape": 27, "ArrowRight": 39, "ArrowLeft": 37}.get(key, 0)
        same = {"key": key, "code": code or key, "modifiers": modifiers, "windowsVirtualKeyCode": virtual}
        self.send("Input.dispatchKeyEvent", type="keyDown", text=text, **same)
        self.send("Input.dispatchKeyEvent", type="keyUp", **same)

    def screenshot(self, *, transparent: bool = False, whole: bool = False) -> NDArray[np.uint8]:
        """What is visible, uint8 (H, W, 3) BGR, or (H, W, 4) BGRA with a transparent page."""
        if transparent:
            self.send("Emulation.setDefaultBackgroundColorOverride", color={"r": 0, "g": 0, "b": 0, "a": 0})
        data = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        kind = cv2.IMREAD_UNCHANGED if transparent else cv2.IMREAD_COLOR
        return cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), kind)

    def size(self, width: int, height: int, *, scale: float = 1, mobile: bool = False) -> None:
        """Set the size of the visible part, CSS pixels."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=mobile
        )

    def media(self, **features: str) -> None:
        """Set what the user's system prefers, such as ``prefers_color_scheme="dark"``."""
        told = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.send("Emulation.setEmulatedMedia", features=told)

    def close(self) -> None:
        """Close the tab."""
        self._browser.send("Target.closeTarget", targetId=self.target)


class Browser:
    """A running browser; :func:`open_browser` makes one."""

    def __init__(self, address: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._numbers = itertools.count(1)
        self.events: list[dict[str, Any]] = []
        self._http = self._run(self._session())
        self._socket = self._run(self._http.ws_connect(address, max_msg_size=0))

    def page(self, url: str = "", width: int = 1280, height: int = 800) -> Page:
        """A new tab of that size, with cookies that it shares with no other."""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session, target)
        for each in ("Page.enable", "Runtime.enable", "Log.enable"):
            page.send(each)
        page.size(width, height)
        if url:
            page.go(url)
        return page

    def send(self, method: str, session: str = "", **params: Any) -> dict[str, Any]:
        """Send one command of the protocol and return its result; events that arrive meanwhile are kept in
        :attr:`events`."""
        return self._run(asyncio.wait_for(self._send(method, session, params), 60))

    def complaints(self) -> list[str]:
        """The browser's complaints about its pages: failed scripts, and what its policies forbid."""
        told = []
        for event in self.events:
            if event["method"] == "Runtime.exceptionThrown":
                details = event["params"]["exceptionDetails"]
                told.append(details.get("exception", {}).get("description") or details["text"])
            if event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
                told.append(event["params"]["entry"]["text"])
        return told

    def close(self) -> None:
        self._run(self._socket.close())
        self._run(self._http.close())
        self._loop.close()

    async def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession()

    async def _send(self, method: str, session: str, params: dict[str, Any]) -> dict[str, Any]:
        number = next(self._numbers)
        command = {"id": number, "method": method, "params": params, **({"sessionId": session} if session else {})}
        await self._socket.send_json(command)
        while True:
            answer = await self._socket.receive_json()
            if answer.get("id") == number:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            if "method" in answer:
                self.events.append(answer)

    def _run(self, work: Any) -> Any:
        return self._loop.run_until_complete(work)


@contextmanager
def open_browser(*arguments: str) -> Iterator[Browser]:
    """Start Chromium; skips the test where there is none."""
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        missing("no Chromium here: `make display` installs it", required="RVM_LIVE_REQUIRE_DISPLAY")
    sandbox = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as folder:
        command = [program, f"--user-data-dir={folder}", *sandbox, *arguments, *_ARGUMENTS]
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "HOME": folder},
            start_new_session=True,
        )  # fmt: skip
        try:
            browser = Browser(_address(process, Path(folder) / "DevToolsActivePort"))
            try:
                yield browser
            finally:
                browser.close()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _address(process: subprocess.Popen[bytes], told: Path) -> str:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert process.poll() is None, f"Chromium ended with {process.returncode}"
        lines = told.read_text().splitlines() if told.exists() else []
        if len(lines) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        time.sleep(0.05)
    raise AssertionError("Chromium did not start")
