"""The page's server: pictures, the API, the streams, and what they cost while nobody looks."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from typing import Any

import aiohttp
import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rvm_live.core.errors import SettingsError, SinkError
from rvm_live.sinks.web.address import Address, check_origin
from rvm_live.sinks.web.encoding import carried_outward, jpeg, mask_png
from rvm_live.sinks.web.viewers import HEAD
from tests.support.waiting import until
from tests.support.web import BACKGROUND, PERSON, ROOM, Served, served


@pytest.fixture(scope="module")
def page() -> Iterator[Served]:
    with served() as running:
        yield running


async def watched(page: Served, kind: str, count: int, token: str = "", *, answers: bool = True) -> list[Any]:
    """The first pictures of a kind: their number, age, mask and colour."""
    found: list[Any] = []
    headers = {"Authorization": f"Bearer {token or page.view}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.ws_connect(f"{page.url}/api/v1/watch?kind={kind}") as viewer,
    ):
        while len(found) < count:
            message = await asyncio.wait_for(viewer.receive(), 20)
            assert message.type is aiohttp.WSMsgType.BINARY, message
            is_picture, number, age_ms, masked = HEAD.unpack_from(message.data)
            if not is_picture:
                continue
            mask, colour = message.data[HEAD.size : HEAD.size + masked], message.data[HEAD.size + masked :]
            assert page.sink.watched, "so that camera and engine work"
            found.append((number, age_ms, mask, colour))
            if answers:
                await viewer.send_bytes(number.to_bytes(4, "little"))
    return found


def opened(data: bytes) -> Any:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


def near(picture: Any, colour: tuple[int, int, int]) -> bool:
    return bool(np.abs(picture.reshape(-1, picture.shape[-1])[:, :3].astype(int) - colour).max() < 40)


def left(page: Served) -> None:
    """Wait until the server has noticed that the last viewer left."""
    assert until(lambda: not page.sink.watched, 10)


def test_the_picture_is_what_is_seen(page: Served) -> None:
    pictures = asyncio.run(watched(page, "result", 5))
    numbers = [each[0] for each in pictures]
    assert numbers == sorted(set(numbers))
    shown = opened(pictures[-1][3])
    assert shown.shape == (180, 320, 3)
    assert near(shown[:, 60:140], PERSON) and near(shown[:, 180:], BACKGROUND)
    assert 0 <= pictures[-1][1] < 5000


def test_the_person_alone_has_the_alpha_of_the_matte(page: Served) -> None:
    (_, _, mask, colour), *_ = asyncio.run(watched(page, "cutout", 1))
    alpha = opened(mask)[..., 3]
    assert (alpha[:, :160] == 255).all() and (alpha[:, 160:] == 0).all()
    shown = opened(colour)
    assert near(shown[:, 60:140], PERSON)
    room = np.abs(shown[:, 168:].astype(int) - ROOM).max(axis=2)
    assert room.min() > 60, "no colour of the room lies under the mask either"


def test_the_matte_is_grey(page: Served) -> None:
    ((_, _, mask, colour),) = asyncio.run(watched(page, "matte", 1))
    shown = opened(colour)
    assert mask == b"" and shown.ndim == 2
    assert shown[:, :150].min() > 240 and shown[:, 170:].max() < 15


def test_one_that_does_not_answer_gets_one_picture(page: Served) -> None:
    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(asyncio.wait_for(watched(page, "result", 2, answers=False), 1.5))


def test_colour_is_carried_outward_and_none_of_it_is_the_rooms() -> None:
    image = np.zeros((96, 160, 4), np.uint8)
    image[20:80, 40:90] = (40, 90, 200, 255)
    filled = carried_outward(image)
    assert (filled[20:80, 40:90] == (40, 90, 200)).all(), "what is seen stays"
    assert np.abs(filled[40, 92:98].astype(int) - (40, 90, 200)).max() < 12 and not filled[:, 130:].any()
    shown = opened(jpeg(filled))
    assert np.abs(shown[24:76, 84:90].astype(int) - (40, 90, 200)).max() < 20, "no dark edge"


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40))))
@settings(max_examples=60, deadline=None)
def test_the_index_of_the_mask_is_its_alpha(alpha: Any) -> None:
    shown = opened(mask_png(alpha))
    assert (shown[..., 3] == alpha).all() and not shown[..., :3].any()


def test_mjpeg_is_for_everything_else(page: Served) -> None:
    """A player that knows nothing of tokens uses one as a password."""
    address = f"http://view:{page.view}@{page.host}/stream.mjpg"
    with av.open(address, format="mpjpeg", timeout=20) as stream:
        for number, frame in enumerate(stream.decode(video=0)):
            shown = frame.to_ndarray(format="bgr24")
            if number == 3:
                break
    assert near(shown[:, 60:140], PERSON) and near(shown[:, 180:], BACKGROUND)


def test_nothing_is_made_while_nobody_looks(page: Served) -> None:
    feeds = page.sink._server._feeds
    left(page)
    before = [feed.encoded for feed in feeds.values()]
    time.sleep(0.3)
    assert not page.sink.wants_cut_out and [feed.encoded for feed in feeds.values()] == before
    assert all(feed._picture is None for feed in feeds.values()), "nothing stale is kept for the next one"
    asyncio.run(watched(page, "cutout", 1))
    assert feeds["cutout"].encoded > before[2] and feeds["result"].encoded == before[0]


def test_several_cost_one_encoding(page: Served) -> None:
    async def three() -> list[Any]:
        return await asyncio.gather(*(watched(page, "result", 20) for _ in range(3)))

    before = page.sink._server._feeds["result"].encoded
    found = asyncio.run(three())
    encoded = page.sink._server._feeds["result"].encoded - before
    versions = {number for viewer in found for number, *_ in viewer}
    assert len(versions) <= encoded <= len(versions) + 3


@pytest.mark.parametrize(
    ("text", "host", "port", "fixed"),
    [
        ("", "127.0.0.1", 8870, False),
        ("9000", "127.0.0.1", 9000, True),
        ("0.0.0.0:80", "0.0.0.0", 80, True),
        ("LocalHost", "localhost", 8870, False),
        ("[::1]:9000", "::1", 9000, True),
        ("::1", "::1", 8870, False),
        (":9000", "127.0.0.1", 9000, True),
        ("cam.example.org:1", "cam.example.org", 1, True),
    ],
)
def test_addresses(text: str, host: str, port: int, fixed: bool) -> None:
    assert Address.parse(text) == Address(host, port, fixed)


@pytest.mark.parametrize(
    "text", ["127.0.0.1:", "host:99999", "host:-1", "[::1", "[127.0.0.1]:1", "a b:1", "http://a:1", "a:1:2", "x:٣"]
)
def test_what_is_no_address_is_told(text: str) -> None:
    with pytest.raises(SettingsError, match="--web=HOST:PORT"):
        Address.parse(text)


def test_the_names_that_lead_here() -> None:
    assert Address("127.0.0.1", 9000).hosts == {"127.0.0.1:9000", "localhost:9000", "[::1]:9000"}
    assert "127.0.0.1:9000" in Address("0.0.0.0", 9000).hosts
    assert Address("192.0.2.7", 80).hosts == {"192.0.2.7:80", "192.0.2.7"}
    assert Address("192.0.2.7", 9000).loopback is False and Address("::1", 1).loopback


def test_an_origin_is_written_as_browsers_do() -> None:
    assert check_origin("https://Cam.example.org/") == "https://cam.example.org"
    assert check_origin("http://cam.example.org:8080") == "http://cam.example.org:8080"
    assert check_origin("https://cam.example.org:443") == "https://cam.example.org"
    for wrong in ("cam.example.org", "ftp://a", "https://a/path", "https://u@a", "https://", "*", "null"):
        with pytest.raises(SettingsError):
            check_origin(wrong)


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(SinkError, match=f"cannot be served at 127.0.0.1:{port}"), served(address=str(port)):
            pass
