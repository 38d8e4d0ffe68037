"""Controls: set by name to absolute values, checked first, and reported to all listeners."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from rvm_live.core import controls
from rvm_live.core.controls import Control, Controls, number, one_of, trigger, truth
from rvm_live.core.errors import SettingsError

PLACES = ["beach", "blur", "office"]


@pytest.fixture
def desk() -> Controls:
    values: dict[str, Any] = {"background": "beach", "mirror": False}

    def control(name: str, **more: Any) -> Control:
        return Control(name, lambda: values[name], lambda value: values.__setitem__(name, value), **more)

    return Controls(
        [
            control("background", check=one_of("background", lambda: PLACES), choices=lambda: PLACES),
            control("mirror", check=truth("mirror")),
        ]
    )


def test_a_change_is_in_force_at_once_and_told(desk: Controls) -> None:
    told: list[Mapping[str, Any]] = []
    desk.subscribe(told.append)
    desk.background = "office"
    assert desk.background == "office"
    assert desk.set(mirror="on") == {"background": "office", "mirror": True}
    assert told == [{"background": "office"}, {"mirror": True}]
    desk.mirror = True  # no change, so nothing to report
    assert len(told) == 2


def test_one_wish_that_cannot_be_granted_changes_nothing(desk: Controls) -> None:
    with pytest.raises(SettingsError, match="there is no background 'offce': did you mean 'office'"):
        desk.set(mirror=True, background="offce")
    assert dict(desk.state()) == {"background": "beach", "mirror": False}
    with pytest.raises(SettingsError, match="mirror must be on or off, not 3"):
        desk.mirror = 3


def test_a_name_that_is_none_is_one_clear_line(desk: Controls) -> None:
    with pytest.raises(SettingsError, match="there is no control 'backgroud': did you mean background"):
        desk.set(backgroud="beach")
    with pytest.raises(AttributeError, match="there is no control 'volume': choose one of background, mirror"):
        _ = desk.volume


def test_stepping_goes_round_both_ways(desk: Controls) -> None:
    assert [desk.step("background") for _ in range(3)] == ["blur", "office", "beach"]
    assert desk.step("background", -1) == "office"
    with pytest.raises(SettingsError, match="mirror has no list of choices"):
        desk.step("mirror")


@pytest.mark.expects_errors
def test_a_subscriber_that_fails_stops_nobody_and_one_that_left_is_not_told(desk: Controls) -> None:
    told: list[Mapping[str, Any]] = []

    def broken(_: Mapping[str, Any]) -> None:
        raise ValueError

    desk.subscribe(broken)
    leave = desk.subscribe(told.append)
    desk.mirror = True
    leave()
    leave()
    desk.mirror = False
    assert told == [{"mirror": True}]
    desk.changed("mirror")


def test_changes_from_many_threads_are_told_in_the_order_in_which_they_came_into_force(desk: Controls) -> None:
    told: list[str] = []
    desk.subscribe(lambda changes: told.append(changes["background"]))
    threads = [threading.Thread(target=lambda: [desk.step("background") for _ in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 800
    places = [PLACES.index(each) for each in told]
    assert all((after - before) % 3 == 1 for before, after in itertools.pairwise(places))
    assert desk.background == told[-1]


def test_what_changed_by_itself_is_told_once(desk: Controls) -> None:
    values = {"engine": "rvm"}
    desk = Controls([Control("engine", lambda: values["engine"], lambda value: values.update(engine=value))])
    told: list[Mapping[str, Any]] = []
    desk.subscribe(told.append)
    desk.look("engine")
    desk.engine = "lite"
    desk.look("engine")
    values["engine"] = "rvm"
    desk.look("engine")
    desk.look("engine")
    assert [dict(each) for each in told] == [{"engine": "lite"}, {"engine": "rvm"}]


def test_a_page_is_told_everything_in_what_json_holds() -> None:
    done: list[str] = []
    desk = Controls(
        [
            Control("zoom", lambda: 1.0, lambda _: None, check=number("zoom", 0.5, 4), kind="number", limits=(0.5, 4)),
            trigger("reset", lambda: done.append("reset"), "begins anew"),
        ]
    )
    assert json.loads(json.dumps(desk.describe())) == [
        {"name": "zoom", "kind": "number", "value": 1.0, "choices": [], "limits": [0.5, 4], "text": ""},
        {
            "name": "reset",
            "kind": "trigger",
            "value": False,
            "choices": [],
            "limits": None,
            "text": "begins anew",
        },
    ]
    desk.set(reset=True)
    desk.reset = False
    assert done == ["reset"] and desk.reset is False


@pytest.mark.parametrize("wish", [0.4, 5, "two", None, True, "nan", "inf"])
def test_a_number_has_limits(wish: Any) -> None:
    with pytest.raises(SettingsError, match=r"zoom must be a number from 0\.5 to 4, not"):
        number("zoom", 0.5, 4)(wish)
    assert number("zoom", 0.5, 4)("1.5") == 1.5


def test_the_module_is_light() -> None:
    assert "cv2" not in vars(controls)
