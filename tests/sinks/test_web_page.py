"""The page in a real browser: each control is clicked, and its effect is checked in the picture."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rvm_live.apps.live_controls import profile_control
from rvm_live.backgrounds.own import OwnBackgrounds
from tests.conftest import ROOT
from tests.support.chromium import Browser, Page, open_browser
from tests.support.pictures import share_of
from tests.support.waiting import until as waited
from tests.support.web import BACKGROUND, PERSON, ROOM, Served, served

pytestmark = pytest.mark.window

PAGE = ROOT / "rvm_live" / "sinks" / "web" / "page"
BLUE = (255, 0, 0)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    recorded = tmp_path_factory.mktemp("recorded") / "take 1.mp4"
    recorded.write_bytes(b"a film")
    more = {"follow": False, "virtual_camera": False, "shift": (0.0, 0.0)}

    def taken(path: Path, name: str) -> str:
        return OwnBackgrounds(running.composer.add_background, [recorded.parent / "own"]).keep(path, name)

    with served(recordings=lambda: [recorded], more=more, take=taken) as running:
        yield running


@pytest.fixture(scope="module")
def page(browser: Browser, server: Served) -> Iterator[Page]:
    opened = browser.page(server.sink.page, 1280, 1000)
    opened.wait("window.live?.pictures > 3 && document.querySelectorAll('.tile').length > 4")
    yield opened
    opened.close()


def seen(page: Page) -> NDArray[np.uint8]:
    """The picture on the page, as it is displayed."""
    box = page.evaluate(
        "(() => { const b = document.getElementById('picture').getBoundingClientRect();"
        "return [b.x, b.y, b.width, b.height] })()"
    )
    x, y, width, height = (round(each) for each in box)
    shot = page.screenshot()
    return shot[max(y, 0) : y + height, x : x + width]


def share(picture: NDArray[np.uint8], colour: tuple[int, int, int]) -> float:
    return share_of(picture, colour, 44)


def until(page: Page, wanted: Any, seconds: float = 20) -> NDArray[np.uint8]:
    """Wait until the picture meets a condition."""
    end = time.monotonic() + seconds
    while True:
        picture = seen(page)
        if wanted(picture):
            return picture
        assert time.monotonic() < end, f"never seen; person {share(picture, PERSON)}, {picture.shape}"
        time.sleep(0.05)


def halves(page: Page, left: tuple[int, int, int], right: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Wait until one half of the picture has one colour, and the other half another."""

    def wanted(picture: NDArray[np.uint8]) -> bool:
        middle = picture.shape[1] // 2
        return share(picture[:, : middle - 8], left) > 0.75 and share(picture[:, middle + 8 :], right) > 0.75

    return until(page, wanted)


@pytest.mark.slow
def test_the_token_leaves_the_address_and_no_script_sees_the_cookie(page: Page, server: Served) -> None:
    assert page.evaluate("location.href") == f"{server.url}/"
    assert page.evaluate("document.cookie") == ""
    halves(page, PERSON, BACKGROUND)


@pytest.mark.slow
def test_the_gallery_changes_the_background(page: Page) -> None:
    page.click('.tile[data-name="color #0000ff"]')
    halves(page, PERSON, BLUE)
    page.wait("document.querySelector('.tile[data-name=\"color #0000ff\"]').ariaChecked === 'true'")
    page.click('.tile[data-name="color #00ff00"]')
    halves(page, PERSON, BACKGROUND)


def test_a_colour_and_a_blur_of_ones_own(page: Page, server: Served) -> None:
    page.evaluate("(() => { const c = document.getElementById('colour'); c.value = '#ff8000';"
                  "c.dispatchEvent(new Event('change')) })()")  # fmt: skip
    halves(page, PERSON, (0, 128, 255))
    page.click(".tile.blur")
    page.wait("!document.getElementById('blur-row').hidden")
    picture = until(page, lambda p: share(p, (0, 128, 255)) < 0.05)
    assert share(picture[:, picture.shape[1] // 2 + 40 :], ROOM) > 0.5, "a flat room stays flat, blurred"
    page.click("#blur", 0.9)
    page.wait("document.getElementById('blur-value').textContent > 80")
    assert waited(
        lambda: server.controls.background.removeprefix("blur ") not in ("20", server.controls.background), 10
    )
    page.click('.tile[data-name="color #00ff00"]')
    halves(page, PERSON, BACKGROUND)


def test_transparency_is_seen_as_a_checkerboard(page: Page) -> None:
    page.click(".tile.transparent")
    picture = until(page, lambda p: share(p[:, p.shape[1] // 2 + 8 :], (204, 204, 204)) > 0.3)
    assert share(picture[:, picture.shape[1] // 2 + 8 :], (153, 153, 153)) > 0.3
    page.click('.tile[data-name="color #00ff00"]')
    halves(page, PERSON, BACKGROUND)


@pytest.mark.slow
def test_mirror_privacy_pause(page: Page, server: Served) -> None:
    page.click("#mirror")
    halves(page, BACKGROUND, PERSON)
    page.click("#mirror")
    halves(page, PERSON, BACKGROUND)
    page.click("#privacy")
    picture = until(page, lambda p: share(p, PERSON) == 0)
    assert share(picture, BACKGROUND) > 0.8
    page.wait("!document.getElementById('hidden-badge').hidden")
    page.click("#privacy")
    halves(page, PERSON, BACKGROUND)
    page.click("#paused")
    until(page, lambda p: share(p, PERSON) == 0 and share(p, BACKGROUND) > 0.8)
    page.click("#paused")
    halves(page, PERSON, BACKGROUND)


@pytest.mark.slow
def test_the_matte(page: Page) -> None:
    page.click("#view-matte")
    halves(page, (255, 255, 255), (0, 0, 0))
    page.click("#view-result")
    halves(page, PERSON, BACKGROUND)


def test_recording_has_a_clock_and_what_was_recorded_can_be_fetched(page: Page, server: Served) -> None:
    page.click("#record")
    page.wait("!document.getElementById('on-air').hidden")
    assert server.values["recording"] is True
    page.wait("document.getElementById('clock').textContent === '01:15'")
    page.click("#record")
    page.wait("document.getElementById('on-air').hidden")
    assert server.values["recording"] is False
    page.wait("document.querySelectorAll('#recordings a').length")
    told = page.evaluate(
        "(async () => { const link = document.querySelector('#recordings a'); const answer = await fetch(link.href);"
        "return [link.textContent, await answer.text(), answer.headers.get('content-disposition')] })()"
    )
    assert "take 1.mp4" in told[0] and told[1] == "a film" and 'filename="take 1.mp4"' in told[2]


def test_a_snapshot_has_the_person_and_nothing_else(page: Page, server: Served) -> None:
    page.evaluate(
        "window.saved = [];"
        "URL.createObjectURL = (blob) => { window.blob = blob; return 'blob:it' };"
        "HTMLAnchorElement.prototype.click = function () { saved.push([this.href, this.download]) }; 1"
    )
    page.click("#snapshot")
    page.wait("saved.length")
    data = page.evaluate("blob.arrayBuffer().then(b => [...new Uint8Array(b)])")
    picture = cv2.imdecode(np.array(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture.shape == (180, 320, 4)
    assert (picture[:, :160, 3] == 255).all() and not picture[:, 160:].any()
    assert page.evaluate("saved[0][1]").endswith(".png")


@pytest.mark.parametrize(("name", "value"), [("engine", "rvm"), ("quality", "high"), ("camera", "Side")])
def test_lists(page: Page, server: Served, name: str, value: str) -> None:
    page.evaluate(
        f"(() => {{ const s = document.getElementById('control-{name}'); s.value = {json.dumps(value)};"
        "s.dispatchEvent(new Event('change')) })()"
    )
    page.wait(f"document.getElementById('control-{name}').value === {json.dumps(value)}")
    assert waited(lambda: server.values[name] == value, 10)


@pytest.mark.parametrize("name", ["follow", "virtual_camera"])
def test_switches_come_by_themselves(page: Page, server: Served, name: str) -> None:
    """For a control that the page does not know."""
    page.click(f"#control-{name}")
    page.wait(f"document.getElementById('control-{name}').ariaChecked === 'true'")
    assert server.values[name] is True


@pytest.mark.slow
def test_two_numbers_have_two_sliders(page: Page, server: Served) -> None:
    page.evaluate("document.getElementById('more').open = true")
    page.click("#control-shift-1", 0.75)
    page.click("#control-shift-0", 0.25)
    assert waited(lambda: 0 not in server.values["shift"])
    right, down = server.values["shift"]
    assert -0.7 < right < -0.3 and 0.3 < down < 0.7
    page.evaluate("document.activeElement.blur()")
    server.controls.shift = (0.8, -0.2)
    page.wait("[0, 1].map((each) => document.getElementById(`control-shift-${each}`).value).join() === '0.8,-0.2'")
    page.evaluate("document.getElementById('more').open = false")


def test_a_profile_changes_several_at_once(page: Page, server: Served) -> None:
    blue, green = ({"background": f"color {colour}", "mirror": mirror} for colour, mirror in
                   (("#0000ff", True), ("#00ff00", False)))  # fmt: skip
    server.controls.add(profile_control({"blue": blue, "green": green}, "", server.controls))
    page.wait("document.querySelectorAll('#profiles .chip').length === 2")
    page.click("#profiles .chip:nth-child(1)")
    halves(page, BLUE, PERSON)
    page.wait("document.querySelector('#profiles .chip:nth-child(1)').ariaPressed === 'true'")
    page.click("#profiles .chip:nth-child(2)")
    halves(page, PERSON, BACKGROUND)


def test_costs_are_told_beside_each_choice(page: Page) -> None:
    page.wait("/· 13 ms|not measured/.test(document.getElementById('control-engine').textContent)")


def test_what_is_told_and_how_fast_it_is(page: Page) -> None:
    assert page.wait("document.getElementById('messages').textContent") == "told"
    assert page.wait("document.querySelector('[data-stage=matting] b').textContent").startswith("13 ms")
    assert "captured 3" in page.wait("document.getElementById('facts').textContent")
    page.wait("/^30.0/.test(document.getElementById('fps').textContent)")
    drawn = "(() => { const c = document.querySelector('[data-stage=matting] canvas');"
    drawn += "return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(each => each) })()"
    page.wait(drawn)


@pytest.mark.slow
def test_two_pages_see_each_others_changes(browser: Browser, page: Page, server: Served) -> None:
    other = browser.page(f"{server.url}/", 1280, 1000)
    try:
        other.wait("window.live?.pictures > 1")
        page.click('.tile[data-name="color #0000ff"]')
        other.wait("document.querySelector('.tile[data-name=\"color #0000ff\"]').ariaChecked === 'true'")
        other.click('.tile[data-name="color #00ff00"]')
        page.wait("document.querySelector('.tile[data-name=\"color #00ff00\"]').ariaChecked === 'true'")
        server.controls.mirror = True  # as a key would do
        for each in (page, other):
            each.wait("document.getElementById('mirror').ariaPressed === 'true'")
    finally:
        server.controls.mirror = False
        other.close()


def test_a_picture_that_is_dropped_becomes_the_background(page: Page, server: Served, tmp_path: Path) -> None:
    picture = np.full((90, 160, 3), (30, 220, 240), np.uint8)
    data = list(cv2.imencode(".png", picture)[1].tobytes())
    page.evaluate(
        f"(() => {{ const file = new File([new Uint8Array({data})], 'sunny.png', {{type: 'image/png'}});"
        "const all = new DataTransfer(); all.items.add(file);"
        "document.body.dispatchEvent(new DragEvent('drop', {dataTransfer: all, bubbles: true, cancelable: true})) })()"
    )
    halves(page, PERSON, (30, 220, 240))
    page.wait("document.querySelector('.tile[aria-checked=true] img')?.naturalWidth > 100")
    page.click('.tile[data-name="color #00ff00"]')
    halves(page, PERSON, BACKGROUND)


def test_what_is_no_picture_is_told(page: Page) -> None:
    page.evaluate(
        "(() => { const file = new File(['no picture'], 'sunny.png', {type: 'image/png'});"
        "const all = new DataTransfer(); all.items.add(file);"
        "document.body.dispatchEvent(new DragEvent('drop', {dataTransfer: all, bubbles: true, cancelable: true})) })()"
    )
    page.wait("document.querySelector('.toast.wrong')?.textContent.includes('picture')")


def test_by_keyboard_alone(page: Page) -> None:
    """Tab reaches every button, each has a name, arrow keys move within a group, and Enter chooses."""
    nameless = page.evaluate(
        "[...document.querySelectorAll('button, select, input')].filter(e => e.offsetParent && !(e.ariaLabel ||"
        "e.textContent.trim() || e.labels?.length)).map(e => e.outerHTML)"
    )
    assert nameless == []
    page.evaluate("document.activeElement?.blur(); document.querySelector('.skip').focus()")
    reached = set()
    for _ in range(30):
        page.key("Tab")
        reached.add(page.evaluate("document.activeElement.id"))
    assert {"record", "snapshot", "privacy", "mirror", "fullscreen", "view-result"} <= reached
    page.evaluate("document.querySelector('.tile[aria-checked=true]').focus()")
    page.key("ArrowRight")
    page.wait("document.querySelector('.tile[aria-checked=true]').dataset.name === 'color #0000ff'")
    page.key("ArrowLeft")
    page.wait("document.querySelector('.tile[aria-checked=true]').dataset.name === 'color #00ff00'")


def test_all_words_are_in_one_file_in_both_languages(page: Page) -> None:
    words = json.loads((PAGE / "strings.json").read_text("utf-8"))
    assert words["en"].keys() == words["ko"].keys()
    page.evaluate("(() => { const s = document.getElementById('language'); s.value = 'ko';"
                  "s.dispatchEvent(new Event('change')) })()")  # fmt: skip
    page.wait(f"document.getElementById('backgrounds-title').textContent === {json.dumps(words['ko']['backgrounds'])}")
    assert page.evaluate("document.documentElement.lang") == "ko"
    assert page.wait("document.getElementById('record').ariaLabel") == words["ko"]["record"]
    left = page.evaluate(
        "[...document.querySelectorAll('h2, label, .plain')].filter(e => e.offsetParent).map(e => e.textContent)"
    )
    known = set(words["ko"].values())
    assert [each for each in left if each.isascii() and each not in known and not each.startswith("color")] == []
    page.evaluate("(() => { const s = document.getElementById('language'); s.value = 'en';"
                  "s.dispatchEvent(new Event('change')) })()")  # fmt: skip
    page.wait("document.documentElement.lang === 'en'")


@pytest.mark.parametrize(("width", "height"), [(360, 740), (820, 1180), (3840, 2160)])
def test_it_fits_any_screen(page: Page, width: int, height: int) -> None:
    page.size(width, height)
    try:
        page.wait(f"innerWidth === {width}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        out = page.evaluate(
            "[...document.querySelectorAll('button, select, .panel')].filter(e => {"
            "const b = e.getBoundingClientRect();"
            "return b.width && (b.left < -1 || b.right > innerWidth + 1) }).map(e => e.outerHTML.slice(0, 80))"
        )
        assert out == []
    finally:
        page.size(1280, 1000)


def test_the_person_alone_is_truly_transparent(browser: Browser, server: Served) -> None:
    source = browser.page(server.sink.source, 640, 360)
    try:
        source.wait("window.live?.pictures > 3")
        shot = source.screenshot(transparent=True)
        assert shot[0, -1].tolist() == [0, 0, 0, 0] and (shot[:, 330:, 3] == 0).all()
        assert (shot[20:340, 20:310, 3] == 255).all()
        assert share(shot[150:330, 150:300, :3], PERSON) > 0.9
        assert source.evaluate("fetch('/api/v1/state').then(a => a.status)") == 200, "the other cookie steers"
    finally:
        source.close()


def test_those_who_look_on_cannot_steer(server: Served) -> None:
    with open_browser() as stranger:
        source = stranger.page(server.sink.source, 640, 360)
        source.wait("window.live?.pictures > 3")
        assert source.evaluate("fetch('/api/v1/state').then(a => a.status)") == 403
        asked = "fetch('/api/v1/controls', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: '{}'})"
        assert source.evaluate(f"{asked}.then(a => a.status)") == 403
        with_wrong = stranger.page(f"{server.url}/#nonsense", 800, 600)
        with_wrong.wait("document.getElementById('door').open")
        assert "valid" in with_wrong.evaluate("document.getElementById('door-wrong').textContent")
        with_wrong.evaluate(f"document.getElementById('token').value = {json.dumps(server.steer)}")
        with_wrong.click("#door button")
        with_wrong.wait("window.live?.pictures > 1 && !document.getElementById('door').open")


def test_nobody_stays_on_the_page_when_the_server_goes(browser: Browser) -> None:
    with served() as running:
        source = browser.page(running.sink.source, 320, 180)
        result = browser.page(running.sink.page, 1280, 900)
        source.wait("window.live?.pictures > 3")
        result.wait("window.live?.pictures > 3")
    for each in (source, result):
        each.wait("live.empty", 5)
    assert not source.screenshot(transparent=True).any()
    assert result.evaluate(
        "(() => { const c = document.getElementById('picture');"
        "return !c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(each => each) })()"
    )
    source.close()
    result.close()
    browser.events.clear()  # refused connections are intended here


def test_the_browser_has_nothing_to_complain_of(browser: Browser, page: Page) -> None:
    """No script failed and the policy forbade nothing, except what tests provoke."""
    page.evaluate("1")
    meant = ("401", "403", "400 (Bad Request)", "404 (Not Found)", "ERR_CONNECTION", "ERR_INCOMPLETE")
    assert [each for each in browser.complaints() if not any(code in each for code in meant)] == []
