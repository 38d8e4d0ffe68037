"""Licences decide what may run, before any engine is made."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import rvm_live
from rvm_live.core.errors import SettingsError
from rvm_live.core.registry import ENGINES
from rvm_live.core.settings import EngineSettings
from rvm_live.engines import select
from rvm_live.engines.choice import choose, question_open
from rvm_live.engines.licences import NONE, UNKNOWN, _of_package, family, licences_of, refusal
from rvm_live.engines.select import AutoEngine, engine_for
from tests.support.engines import LeftHalfEngine
from tests.support.program import call

OPEN = ("apache", "mit", "bsd")
FRAME = np.zeros((32, 32, 3), np.uint8)


class OpenEngine(LeftHalfEngine):
    """States its licences itself."""

    licence, weights_licence = "MIT", NONE


class OthersWeights(LeftHalfEngine):
    """Its weights have another licence than its code."""

    licence, weights_licence = "MIT", "CC-BY-NC-4.0"


@pytest.mark.parametrize("name", ENGINES.builtin)
def test_every_engine_that_comes_along_tells_its_licences(name: str) -> None:
    found = licences_of(name)
    assert found.code[0] == "Apache-2.0" and found.weights and found.needs
    assert refusal(name, ()) == ""
    expected = {"rvm": "GPL-3.0", "openvino": "GPL-3.0", "onnx": UNKNOWN, "torchscript": UNKNOWN}.get(name, "")
    assert expected.replace(UNKNOWN, "is unknown") in refusal(name, OPEN)
    assert bool(refusal(name, OPEN)) == bool(expected)


@pytest.mark.parametrize(
    ("licence", "of"),
    [
        ("Apache-2.0", "apache"),
        ("BSD-3-Clause", "bsd"),
        ("MIT License", "mit"),
        ("GPL-3.0", "gpl"),
        ("LGPL-2.1-only", "lgpl"),
        ("AGPL-3.0", "agpl"),
        ("CC-BY-NC-4.0", "cc-by-nc-4.0"),
        ("CC-BY-4.0", "cc-by"),
        ("Mitsubishi", "mitsubishi"),
        (UNKNOWN, UNKNOWN),
    ],
)
def test_the_family_of_a_licence(licence: str, of: str) -> None:
    assert family(licence) == of


@pytest.mark.parametrize(
    ("licence", "fits"),
    [("MIT AND GPL-3.0", False), ("MIT OR GPL-3.0", True), ("MIT AND Apache-2.0", True), ("(MIT)", False)],
)
def test_of_several_licences_each_is_to_be_allowed(licence: str, fits: bool) -> None:
    OpenEngine.licence = licence
    try:
        assert (refusal(f"{__name__}:OpenEngine", OPEN) == "") == fits
    finally:
        OpenEngine.licence = "MIT"


def test_what_is_under_another_licence_is_refused_before_it_is_made(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ENGINES, "fitting", lambda *_: pytest.fail("it was made"))
    for settings in (
        EngineSettings(engine="rvm", weights=weights, require_licence=OPEN),
        EngineSettings(weights=weights, require_licence=OPEN),
        EngineSettings(model="resnet50", require_licence=OPEN),
        EngineSettings(engine="lite", require_licence=("mit",)),
        EngineSettings(require_licence=("mit",)),
        EngineSettings(engine=f"{__name__}:OthersWeights", require_licence=OPEN),
        EngineSettings(engine="tests.support.engines:LeftHalfEngine", require_licence=OPEN),
    ):
        with pytest.raises(SettingsError, match=r"is refused: the licence of its .* \(--require-licence\)"):
            engine_for(settings)
        with pytest.raises(SettingsError, match="is refused"):
            AutoEngine(settings).open()
    with pytest.raises(SettingsError, match="weights is GPL"):
        rvm_live.cut_out(FRAME, engine="rvm", weights=weights, require_licence=OPEN)


def test_one_that_is_allowed_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_for(EngineSettings(engine=f"{__name__}:OpenEngine", require_licence=("apache", "mit")))
    assert engine.open().engine
    engine.close()
    assert refusal("rvm", (*OPEN, "gpl")) == ""


def test_auto_takes_the_one_that_is_allowed_and_fetches_nothing(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RVM_LIVE_WEIGHTS", str(weights))
    monkeypatch.setattr(select.weights, "resolve", lambda *_, **__: pytest.fail("something was fetched"))
    asked = EngineSettings(require_licence=OPEN)
    choice = choose(asked)
    assert choice.names == ("lite",) and "GPL-3.0" in choice.reason
    assert not question_open(asked)
    assert choose(EngineSettings()).names != ("lite",)


def test_a_package_is_asked_where_a_class_tells_nothing() -> None:
    assert "BSD" in _of_package("numpy.linalg")
    assert _of_package("tests.support.engines") == UNKNOWN


def test_licences_that_nobody_knows_are_told() -> None:
    assert "unknown licence 'apach'" in call("demo", "--require-licence", "apach").complaint
    with pytest.raises(SettingsError, match="a tuple of text"):
        EngineSettings(require_licence="mit")  # type: ignore[arg-type]


def test_the_programs_refuse_too(weights: Path, tmp_path: Path) -> None:
    named = ("--engine", "rvm", "--weights", weights, "--require-licence", "apache, MIT,bsd")
    done = call("demo", "--headless", "--record", tmp_path / "x.mp4", *named)
    assert done.code == 2 and "GPL-3.0, but only apache, mit, bsd may be used" in done.complaint
    (tmp_path / "x.png").write_bytes(b"")
    done = call("batch", tmp_path / "x.png", "-o", tmp_path / "out", *named)
    assert done.code == 2 and "GPL-3.0" in done.err
    assert sorted(each.name for each in tmp_path.iterdir()) == ["x.png"]


def test_the_command_lists_them_and_whether_they_run(weights: Path) -> None:
    done = call("engines", "--json", "--weights", weights, "--device", "cpu")
    rows = {row["name"]: row for row in json.loads(done.out)}
    assert set(ENGINES.builtin) <= set(rows)
    assert rows["rvm"]["runs"] and rows["rvm"]["weights_licence"] == "GPL-3.0"
    assert rows["chroma"]["runs"] and not rows["onnx"]["runs"] and "not an ONNX file" in rows["onnx"]["detail"]
    told = call("engines", "--require-licence", "apache,bsd").out
    assert "BSD-3-Clause (PyTorch)" in told and "does not run: engine rvm is refused" in told
