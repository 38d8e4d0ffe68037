"""One place for an output that comes and goes."""

from __future__ import annotations

from typing import Any

import pytest

from rvm_live.apps.output_switch import OutputSwitch
from rvm_live.core.errors import SettingsError
from rvm_live.pipeline.pipeline import Pipeline
from tests.pipeline.test_fan_out import Late, pipeline_of
from tests.support.composers import ListSink


def test_one_takes_the_place_of_the_other_and_what_fails_is_none_any_more() -> None:
    made: dict[str, Any] = {}

    def make(words: str) -> Late:
        if words == "nonsense":
            raise SettingsError("there is no such camera")
        made[words] = Late("write" if words == "broken" else "")
        return made[words]

    pipeline: Pipeline = pipeline_of(ListSink())
    switch = OutputSwitch(make, lambda: pipeline)
    run = iter(pipeline.composites())
    next(run)
    assert switch.words is None
    with pytest.raises(SettingsError, match="no such camera"):
        switch.check("nonsense")
    for words, before in (("one", None), ("other", "one"), ("broken", "other")):
        switch.use(switch.check(words))
        assert switch.words == words
        while not made[words].composites:
            next(run)
        while before and "close(failed=False)" not in made[before].calls:
            next(run)
    while switch.words:
        next(run)
    switch.use(None)
    run.close()  # type: ignore[attr-defined]
    assert sorted(made) == ["broken", "one", "other"], "each was made once"
