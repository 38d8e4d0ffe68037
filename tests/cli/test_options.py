"""The options of engines and sources are defined once, whichever command takes them."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from rvm_live.cli import cli
from rvm_live.cli.options import engine_settings, source_settings
from rvm_live.core.errors import SettingsError
from rvm_live.core.settings import EngineSettings, SourceSettings
from tests.conftest import ROOT

OWN_HELP = {
    ("", "fps"): "Most frames per second",  # it limits the display, too
    ("calibrate", "source"): "shows you as in daily use",
    ("calibrate", "width"): "as in daily use",
    ("calibrate", "height"): "as in daily use",
    ("calibrate", "downsample_ratio"): "One ratio",
    ("batch", "downsample_ratio"): "A number above 0, at most 1",  # there ``auto`` means the preset's ratio
    ("export", "downsample_ratio"): "min(512 / longer side, 1)",
    ("learn", "source"): "shows you as in daily use",
    ("learn", "width"): "as in daily use",
    ("learn", "height"): "as in daily use",
    ("hwtest", "source"): "first camera that delivers",
    ("hwtest", "weights"): "to measure with",
    ("hwtest", "device"): "to measure on",
}
"""Command and option -> what its help says otherwise, for a reason."""
COMMANDS = ("", "batch", "calibrate", "check", "export", "hwtest", "learn", "soak", "stress")
FIELDS = {*EngineSettings.__dataclass_fields__, *SourceSettings.__dataclass_fields__}
OTHERS = {("batch", "fps"), ("export", "width"), ("export", "height")}  # of numbered pictures, of the frames


def command(name: str) -> click.Command:
    found = cli if not name else cli.get_command(click.Context(cli), name)
    assert found is not None
    return found


def test_an_option_says_the_same_everywhere() -> None:
    told: dict[str, set[str]] = {}
    own = {}
    for name in COMMANDS:
        for option in command(name).params:
            if isinstance(option, click.Option) and option.name in FIELDS and (name, option.name) not in OTHERS:
                text = re.sub(r"\s*\[default: .*\]$", "", option.help or "")
                if (name, option.name) in OWN_HELP:
                    own[name, option.name] = OWN_HELP[name, option.name] in text
                else:
                    told.setdefault(option.name, set()).add(text)
    assert {field: texts for field, texts in told.items() if len(texts) > 1 or "" in texts} == {}
    assert own == dict.fromkeys(OWN_HELP, True)
    assert {"source", "engine", "weights", "device", "precision", "downsample_ratio", "offline"} <= set(told)


def test_no_command_spells_one_out() -> None:
    spelled = re.compile(r'click\.option\(\s*"--(engine|model|weights|device|precision|steady|offline|source|fourcc)\b')
    files = [path for path in (ROOT / "rvm_live" / "cli").glob("*.py") if path.name != "weights.py"]
    assert [path.name for path in files if spelled.search(path.read_text("utf-8"))] == []


def test_what_was_parsed_becomes_settings() -> None:
    options = {"weights": Path("x.pth"), "downsample_ratio": "0.5", "offline": True, "frames": 3, "fps": 30.0}
    expected = EngineSettings(weights=Path("x.pth"), downsample_ratio=0.5, offline=True)
    assert engine_settings(options) == expected
    assert source_settings({**options, "source": "demo"}, realtime=False) == SourceSettings(
        "demo", fps=30.0, realtime=False
    )
    for wrong in ({"device": "gpu"}, {"downsample_ratio": "2"}, {"precision": "half"}):
        with pytest.raises(SettingsError):
            engine_settings(wrong)
