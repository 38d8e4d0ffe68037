"""Unwanted visitors of the page: wrong names, pages, keys and bodies; many at once, and some that never finish."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import cv2
import numpy as np
import pytest

from rvm_live.backgrounds.own import OwnBackgrounds
from rvm_live.core.errors import SettingsError
from rvm_live.sinks.web import server as server_module
from rvm_live.sinks.web import uploads, viewers
from rvm_live.sinks.web.keys import Keys, Rate, Role
from tests.support.clock import FakeClock
from tests.support.waiting import until
from tests.support.web import Served, served

PICTURE = cv2.imencode(".png", np.full((9, 16, 3), 80, np.uint8))[1].tobytes()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("own")

    def taken(path: Path, name: str) -> str:
        return OwnBackgrounds(running.composer.add_background, [folder]).keep(path, name)

    with served(take=taken) as running:
        running.folder = folder  # type: ignore[attr-defined]
        yield running


@pytest.fixture(autouse=True)
def it_goes_on(page: Served) -> Iterator[None]:
    """Check that afterwards the page still answers, and nothing has changed. Nobody is shut out for what others did."""
    before = dict(page.controls.state())
    page.sink._server.guard._requests._left.clear()
    yield
    page.sink._server.guard._requests._left.clear()
    page.sink._server.guard._wrong._left.clear()
    assert page.ask("/api/v1/state").status == 200
    after = dict(page.controls.state())
    assert {**after, "background": ""} == {**before, "background": ""}


def raw(page: Served, text: str | bytes, seconds: float = 5) -> bytes:
    """Send any bytes; returns all that comes back until the other side closes."""
    data = text if isinstance(text, bytes) else text.replace("\n", "\r\n").encode()
    with socket.create_connection(("127.0.0.1", page.port), timeout=seconds) as talking:
        talking.sendall(data)
        found = b""
        try:
            while piece := talking.recv(65536):
                found += piece
                if b"\r\n\r\n" in found and len(found.partition(b"\r\n\r\n")[2]) >= length(found):
                    break
        except (TimeoutError, ConnectionError):
            pass
        return found


def length(answer: bytes) -> int:
    for line in answer.partition(b"\r\n\r\n")[0].split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 1 << 60


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.evil.example:{port}", ""]
)
def test_by_another_name_nobody_is_here(page: Served, host: str) -> None:
    """A stranger's host name that was made to point here (DNS rebinding)."""
    named = host.format(port=page.port)
    for path in ("/", "/obs", "/api/v1/state", "/stream.mjpg", "/nowhere"):
        answer = raw(page, f"GET {path} HTTP/1.1\nHost: {named}\nAuthorization: Bearer {page.steer}\n\n")
        assert status(answer) == 421, (path, answer)
    assert status(raw(page, f"GET / HTTP/1.1\nHost: {page.host}\nHost: evil.example\n\n")) in (400, 421)
    assert status(raw(page, "GET / HTTP/1.0\n\n")) == 421


def test_by_its_own_names_it_is(page: Served) -> None:
    for name in ("127.0.0.1", "localhost", "LocalHost", "[::1]"):
        assert status(raw(page, f"GET / HTTP/1.1\nHost: {name}:{page.port}\n\n")) == 200


def entered(page: Served, token: str) -> str:
    """The cookie that a browser gets in exchange for a token."""
    answer = page.ask("/api/v1/session", {"token": token}, token="", headers={"Origin": page.url})
    assert answer.status == 200
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Path=/" in cookie and token not in cookie
    return cookie.partition(";")[0]


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "https://127.0.0.1:{port}", "http://127.0.0.1:1", "http://127.0.0.1", None],
)
def test_another_page_steers_nothing(page: Served, origin: str | None) -> None:
    """Whatever cookie its visitor has."""
    cookie = entered(page, page.steer)
    headers = {"Cookie": cookie} | ({} if origin is None else {"Origin": origin.format(port=page.port)})
    changed = page.ask("/api/v1/controls", {"mirror": True}, token="", headers=headers)
    assert changed.status == 403 and page.values["mirror"] is False
    if origin is not None:  # not even with a token that it knows
        assert page.ask("/api/v1/controls", {"mirror": True}, headers=headers).status == 403

    async def connect() -> None:
        async with aiohttp.ClientSession(headers=headers) as session:
            await session.ws_connect(f"{page.url}/api/v1/watch")

    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        asyncio.run(connect())
    assert refused.value.status == 403


def test_the_own_page_does(page: Served) -> None:
    headers = {"Cookie": entered(page, page.steer), "Origin": page.url}
    assert page.ask("/api/v1/controls", {"mirror": True}, token="", headers=headers).json["mirror"] is True
    assert page.ask("/api/v1/controls", {"mirror": False}, token="", headers=headers).status == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_page_on_this_machine_shows_no_picture_either(page: Served, site: str) -> None:
    """A browser treats other ports as the same site, so it sends the cookie."""
    headers = {"Cookie": entered(page, page.view), "Sec-Fetch-Site": site}
    for path in ("/stream.mjpg", "/api/v1/snapshot", "/metrics", "/api/v1/state", "/page/app.js"):
        assert page.ask(path, token="", headers=headers).status == 403, path
    assert page.ask("/", token="", headers=headers).status == 200, "it may be linked to"


def test_nothing_is_told_to_other_origins_and_no_frame_holds_it(page: Served) -> None:
    for path in ("/", "/obs", "/page/app.js", "/api/v1/state", "/api/v1/session", "/nowhere"):
        answer = page.ask(path, token="" if path != "/api/v1/state" else None, headers={"Origin": page.url})
        told = {name.lower(): value for name, value in answer.headers.items()}
        assert not any(name.startswith("access-control") for name in told)
        assert told["content-security-policy"].startswith("default-src 'self'; frame-ancestors 'none'")
        assert told["x-content-type-options"] == "nosniff" and told["referrer-policy"] == "no-referrer"
        assert told["cross-origin-resource-policy"] == "same-origin"
    assert page.ask("/api/v1/controls", method="OPTIONS").status == 405


GUARDED = {
    Role.VIEW: ("/stream.mjpg", "/metrics", "/api/v1/snapshot", "/api/v1/statistics", "/api/v1/watch"),
    Role.STEER: ("/api/v1/state", "/api/v1/events", "/api/v1/backgrounds/x/thumbnail", "/api/v1/recordings/x"),
}


@pytest.mark.parametrize("path", GUARDED[Role.VIEW] + GUARDED[Role.STEER])
def test_without_a_key_there_is_nothing(page: Served, path: str) -> None:
    for token in ("", "nonsense", page.steer[:-1], page.steer + "x", page.view.swapcase()):
        page.sink._server.guard._wrong._left.clear()
        assert page.ask(path, token=token).status == 401, token
    assert page.ask(f"{path}?token={page.steer}", token="").status == 401, "nothing in an address counts"
    if path in GUARDED[Role.STEER]:
        assert page.ask(path, token=page.view).status == 403


def test_a_password_that_browsers_send_by_themselves_only_looks_on(page: Served) -> None:
    def basic(password: str) -> dict[str, str]:
        return {"Authorization": "Basic " + base64.b64encode(f"me:{password}".encode()).decode()}

    assert page.ask("/api/v1/statistics", token="", headers=basic(page.steer)).status == 200
    assert page.ask("/api/v1/state", token="", headers=basic(page.steer)).status == 403
    assert page.ask("/api/v1/controls", {"mirror": True}, token="", headers=basic(page.steer)).status in (401, 403)
    for junk in ("Basic", "Basic ????", "Basic " + "A" * 3000, "Bearer", "Digest x", "\x80"):
        assert page.ask("/api/v1/state", token="", headers={"Authorization": junk}).status in (400, 401)


def test_guessing_is_slow(page: Served) -> None:
    said = [page.ask("/api/v1/state", token=f"guess{n}").status for n in range(30)]
    assert set(said) == {401, 429} and said.count(401) <= 12
    assert page.ask("/api/v1/state", token="", headers={"Cookie": "rvm-live-steer-1=x"}).status == 401
    session = page.ask("/api/v1/session", {"token": page.steer}, token="", headers={"Origin": page.url})
    assert session.status == 429


def test_rates_and_keys() -> None:
    clock = FakeClock()
    rate = Rate(3, 1, clock)
    assert [rate.allows("a") for _ in range(4)] == [True, True, True, False]
    assert rate.allows("b") and rate.spent("a")
    clock.advance(1.1)
    assert rate.allows("a") and not rate.allows("a")
    for number in range(5000):
        rate.allows(f"peer {number}")
    assert len(rate._left) <= 1024
    keys = Keys()
    assert keys.steer != keys.view and len(keys.steer) > 40
    first = keys.admit(Role.STEER)
    assert keys.session(first) is Role.STEER and keys.session(first + "x") is Role.NOBODY
    for _ in range(40):
        keys.admit(Role.VIEW)
    assert keys.session(first) is Role.NOBODY and len(keys._sessions) <= 32


def test_a_token_of_ones_own_for_those_who_look_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RVM_LIVE_VIEW_TOKEN", "the-same-each-time-12")
    assert Keys().view == "the-same-each-time-12"
    for weak in ("short", "with spaces in between it", "ümlaut-ümlaut-ümlaut-ümlaut"):
        monkeypatch.setenv("RVM_LIVE_VIEW_TOKEN", weak)
        with pytest.raises(SettingsError, match="RVM_LIVE_VIEW_TOKEN"):
            Keys()


JUNK = (
    b"", b"{", b"[1]", b'"mirror"', b"{}", b'{"nothing": 1}', b'{"__class__": 1}', b'{"mirror": {"a": 1}}',
    b'{"mirror": [true]}', b'{"engine": "os:system"}', b'{"engine": "' + b"x" * 5000 + b'"}', b"\xff\xfe\x00",
    b"[" * 30000,
)  # fmt: skip


@pytest.mark.parametrize(
    ("body", "kind", "expected"),
    [
        (b'{"mirror": true}', "text/plain", 415),
        (b"mirror=true", "application/x-www-form-urlencoded", 415),
        (b'{"mirror": true}', "multipart/form-data; boundary=x", 415),
        (b'{"mirror": true}', "application/json; charset=nonsense", 400),
        (b'{"a": "' + b"x" * 100000 + b'"}', "application/json", 413),
        *((body, "application/json", 400) for body in JUNK),
    ],
)
def test_only_json_that_is_meant(page: Served, body: bytes, kind: str, expected: int) -> None:
    answer = page.ask("/api/v1/controls", body, headers={"Content-Type": kind})
    assert answer.status == expected, answer.body[:200]
    assert set(answer.json) == {"error"}


@pytest.mark.parametrize(
    "wish",
    [
        "/etc/passwd", "image:/etc/hostname.png", "../../x.png", "video:/dev/video0", "file:///x.png", "~/x.png", ".",
        "a\0b", "os:system", "http://evil.example/x.png", "blur:0", "blur:-1", "blur:9e9", "\\\\evil\\x.png",
    ],
)  # fmt: skip
def test_a_background_is_never_a_path(page: Served, wish: str) -> None:
    assert page.ask("/api/v1/controls", {"background": wish}).status == 400
    assert page.ask("/api/v1/controls", {"recording": wish}).status == 400


@pytest.mark.parametrize(
    "path",
    [
        "/page/../api.py", "/page/..%2fapi.py", "/page/%2e%2e/api.py", "/page//etc/passwd", "/page/openapi.json",
        "/../../etc/passwd", "/api/v1/recordings/..%2f..%2fetc%2fpasswd", "/api/v1/backgrounds/%2fx/thumbnail",
        "/api/v1/recordings/", "/page/", "/page/app.js/", "/page/app.js%00.html", "/__pycache__",
    ],
)  # fmt: skip
def test_paths_lead_nowhere(page: Served, path: str) -> None:
    answer = raw(page, f"GET {path} HTTP/1.1\nHost: {page.host}\nAuthorization: Bearer {page.steer}\n\n")
    assert status(answer) in (400, 404), answer[:300]
    assert b"root:" not in answer and b"import" not in answer


@pytest.mark.parametrize(
    ("name", "body", "expected"),
    [
        ("x.txt", PICTURE, 415),
        ("", PICTURE, 415),
        ("x", PICTURE, 415),
        ("x.png", b"no picture", 400),
        ("x.png", b"", 400),
        ("x.png", PICTURE[: len(PICTURE) // 2], 400),
        ("x.mp4", b"no film", 400),
        ("x.svg", b"<svg/>", 415),
        ("x.html", b"<script>", 415),
        ("x.png", b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", 60000, 60000, 8, 2, 0, 0, 0), 400),
    ],
)
def test_what_is_no_picture_is_not_taken(page: Served, name: str, body: bytes, expected: int) -> None:
    before = sorted(page.folder.iterdir())  # type: ignore[attr-defined]
    answer = page.ask(f"/api/v1/backgrounds?name={name}", body, headers={"Content-Type": "application/octet-stream"})
    assert answer.status == expected, answer.body
    assert sorted(page.folder.iterdir()) == before, "and nothing is left of it"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("..%2F..%2F..%2Fetc%2Fcron.png", "cron.png"),
        ("%5C%5Cevil%5Cshare%5Cwindows.png", "windows.png"),
        ("C%3A%5Cx%3Ay.png", "x_y.png"),
        (".hidden.png", "hidden.png"),
        ("con.png", "_con.png"),
        ("a%00b%0Ac.png", "a_b_c.png"),
        ("%E2%80%AEgnp.exe.png", "gnp.exe.png"),
        ("%3Cscript%3E.png", "script.png"),
        ("x" * 300 + ".png", "x" * 60 + ".png"),
    ],
)
def test_a_name_is_no_place(page: Served, name: str, kept: str) -> None:
    answer = page.ask(f"/api/v1/backgrounds?name={name}", PICTURE, headers={"Content-Type": "application/octet-stream"})
    assert answer.status == 201, answer.body
    newest = max(page.folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)  # type: ignore[attr-defined]
    assert newest.name == kept and newest.parent == page.folder  # type: ignore[attr-defined]


def test_too_much_is_not_read(page: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    head = (
        f"POST /api/v1/backgrounds?name=x.png HTTP/1.1\nHost: {page.host}\nAuthorization: Bearer {page.steer}\n"
        "Content-Type: application/octet-stream\n"
    )
    assert status(raw(page, f"{head}Content-Length: {uploads.MOST_BYTES + 1}\n\n")) == 413
    monkeypatch.setattr(uploads, "MOST_BYTES", 1000)
    chunk = b"%x\r\n" % 600 + b"x" * 600 + b"\r\n"
    answer = raw(page, head.replace("\n", "\r\n").encode() + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 3)
    assert status(answer) == 413


def test_one_who_sends_slowly_is_let_go(page: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "_CHUNK_S", 0.3)
    monkeypatch.setattr("rvm_live.sinks.web.api._BODY_S", 0.3)
    for path, kind in (("backgrounds?name=x.png", "application/octet-stream"), ("controls", "application/json")):
        head = f"POST /api/v1/{path} HTTP/1.1\nHost: {page.host}\nAuthorization: Bearer {page.steer}\n"
        began = time.monotonic()
        answer = raw(page, f"{head}Content-Type: {kind}\nContent-Length: 1000\n\nslow", 20)
        assert status(answer) == 408 and time.monotonic() - began < 10


def test_one_who_asks_for_nothing_is_let_go(page: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_FIRST_REQUEST_S", 0.3)
    for words in (b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\nX-A: "):
        with socket.create_connection(("127.0.0.1", page.port), timeout=20) as talking:
            talking.sendall(words)
            began = time.monotonic()
            with contextlib.suppress(ConnectionError):
                assert talking.recv(10) == b""
            assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    "junk",
    [
        b"\x00" * 100 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(200),
        b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET " + b"/" * 20000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nzzz",
    ],
)
def test_what_is_no_request_is_refused(page: Served, junk: bytes) -> None:
    answer = raw(page, junk, 2)
    assert answer == b"" or status(answer) in (400, 404, 405, 421, 505)


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "frame",
    [
        b"\x82\x80" + b"abcd",  # an acknowledgement of nothing
        b"\x82\xfe\xff\xff" + b"abcd" + b"x" * 100,  # claims 65535 bytes
        b"\x82\xff" + b"\x7f" + b"\xff" * 7 + b"abcd",  # claims 2**63 bytes
        b"\x81\x84abcd\xff\xff\xff\xff",  # text that is not valid
        b"\x83\x80abcd",  # a reserved kind
        b"\xf2\x84abcd1234",  # reserved bits
        b"\x82\x04abcd",  # not masked
        b"\x80\x84abcd1234",  # continues a message that never began
        b"\x89\xfe\x01\x00abcd" + b"x" * 256,  # a ping that is too long
        (b"\x82\x84" + bytes(4) + b"\xff\xff\xff\xff") * 50,  # many that acknowledge nothing
    ],
)
def test_malformed_frames_end_the_connection(page: Served, frame: bytes) -> None:
    key = base64.b64encode(os.urandom(16)).decode()
    head = (
        f"GET /api/v1/watch HTTP/1.1\r\nHost: {page.host}\r\nAuthorization: Bearer {page.view}\r\n"
        f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", page.port), timeout=20) as talking:
        talking.sendall(head.encode())
        assert talking.recv(20).startswith(b"HTTP/1.1 101")
        talking.sendall(frame)
        end = time.monotonic() + 15
        try:
            while talking.recv(65536):
                assert time.monotonic() < end
        except ConnectionError:
            pass


def gone(talking: socket.socket) -> bool:
    """Whether the other side has closed the connection."""
    talking.settimeout(0.01)
    try:
        return talking.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


@pytest.mark.slow
def test_two_hundred_connections(page: Served) -> None:
    """Those beyond the limit are refused at once; when others leave, new ones are accepted again."""
    open_ones: list[socket.socket] = []
    try:
        for _ in range(200):
            open_ones.append(socket.create_connection(("127.0.0.1", page.port), timeout=10))
        left, end = list(open_ones), time.monotonic() + 20
        while len(open_ones) - len(left) < 200 - server_module._MOST_CONNECTIONS:
            assert time.monotonic() < end, len(left)
            left = [talking for talking in left if not gone(talking)]
    finally:
        for talking in open_ones:
            talking.close()
    end = time.monotonic() + 10
    while True:
        try:
            assert page.ask("/api/v1/statistics").status == 200
            break
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.05)


def test_more_than_a_few_viewers_are_turned_away(page: Served) -> None:
    async def many() -> list[Any]:
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {page.view}"}) as session:
            joined = [await session.ws_connect(f"{page.url}/api/v1/watch") for _ in range(viewers._MOST)]
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(f"{page.url}/api/v1/watch")
            for each in joined:
                await each.close()
            return [refused.value.status]

    assert asyncio.run(many()) == [503]
    assert until(lambda: not page.sink._server.wants("result"), 10)


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/stream.mjpg", "/api/v1/watch", "/api/v1/events"])
def test_one_that_never_reads_is_let_go(page: Served, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nobody else waits for it."""
    monkeypatch.setattr(viewers, "_STALLED_S", 0.5)
    monkeypatch.setattr("rvm_live.sinks.web.hub._STALLED_S", 0.5)
    key = base64.b64encode(os.urandom(16)).decode()
    upgrade = f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
    with socket.socket() as talking:
        talking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        talking.connect(("127.0.0.1", page.port))
        head = f"GET {path} HTTP/1.1\r\nHost: {page.host}\r\nAuthorization: Bearer {page.steer}\r\n"
        talking.sendall(f"{head}{upgrade if 'watch' in path else ''}\r\n".encode())
        if path == "/api/v1/events":
            time.sleep(0.2)
            assert page.ask("/api/v1/statistics").status == 200
            return  # what waits for it is limited and small, so it may stay
        assert until(lambda: page.sink._server.wants("result"), 10)
        assert page.ask("/api/v1/snapshot?kind=result").status == 200
        assert until(lambda: not page.sink._server.wants("result"), 40)


def test_a_flood_of_requests_is_slowed_down(page: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page.sink._server.guard._requests, "_burst", 50)
    monkeypatch.setattr(page.sink._server.guard._requests, "_per_s", 0.1)

    async def flood() -> list[int]:
        async with aiohttp.ClientSession() as session:
            found = []
            for _ in range(80):
                async with session.get(f"{page.url}/page/icon.svg") as answer:
                    found.append(answer.status)
            return found

    said = asyncio.run(flood())
    assert 429 in said and said.count(200) == 50


def test_the_page_behind_a_proxy() -> None:
    with served(origins=("https://cam.example.org",)) as running:
        headers = {"Host": "cam.example.org", "Origin": "https://cam.example.org"}
        answer = running.ask("/api/v1/session", {"token": running.steer}, token="", headers=headers)
        assert answer.status == 200 and "Secure" in answer.headers["Set-Cookie"]
        assert running.ask("/", token="", headers={"Host": "other.example.org"}).status == 421


def test_no_answer_names_a_path(page: Served) -> None:
    page.controls.recording = "/home/somebody/take.mp4"
    try:
        assert "/home" not in json.dumps(page.ask("/api/v1/state").json)
    finally:
        page.controls.recording = None
