"""How to add packages to this installation: described for the tool that installed it."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rvm_live.core.settings import EngineSettings
from rvm_live.engines.choice import Choice
from rvm_live.engines.lite.engine import LiteEngine
from rvm_live.engines.select import AutoEngine
from rvm_live.system import installed
from rvm_live.system.installed import adding
from tests.conftest import ROOT

REQUIRES = """Metadata-Version: 2.4
Name: rvm-live
Version: 0.1.0
Provides-Extra: int8
Provides-Extra: openvino
Requires-Dist: av<20,>=17
Requires-Dist: openvino>=2024.6; extra == 'openvino'
Requires-Dist: rvm-live[openvino]; extra == 'int8'
Requires-Dist: nncf>=3.0; extra == 'int8'
"""


class Place:
    """An environment in which the program is installed."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.prefix = folder / "env"
        self.about = self.prefix / "lib" / "rvm_live-0.1.0.dist-info"
        self.about.mkdir(parents=True)
        (self.about / "METADATA").write_text(REQUIRES)
        (self.prefix / "bin").mkdir()
        (self.prefix / "pyvenv.cfg").write_text("home = /usr/bin\n")
        monkeypatch.setattr(sys, "prefix", str(self.prefix))
        monkeypatch.setattr(sys, "executable", str(self.prefix / "bin" / "python"))
        monkeypatch.setattr(sys, "path", [str(self.prefix / "lib")])
        monkeypatch.setattr(shutil, "which", lambda name: str(self.prefix / "bin" / name))

    def came_from(self, url: str, **more: object) -> None:
        (self.about / "direct_url.json").write_text(json.dumps({"url": url, **more}))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    installed.adding.cache_clear()
    yield Place(tmp_path, monkeypatch)
    installed.adding.cache_clear()


def test_pip(place: Place) -> None:
    assert adding("openvino") == "pip install 'rvm-live[openvino]'"


def test_pip_of_another_environment_is_named_in_full(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert adding("openvino") == f"{sys.executable} -m pip install 'rvm-live[openvino]'"


def test_a_wheel_and_a_checkout(place: Place) -> None:
    place.came_from("file:///tmp/my%20dist/rvm_live-0.1.0-py3-none-any.whl", archive_info={})
    assert adding("demo") == "pip install '/tmp/my dist/rvm_live-0.1.0-py3-none-any.whl[demo]'"
    installed.adding.cache_clear()
    place.came_from("file:///home/me/rvm-live", dir_info={"editable": True})
    assert adding("demo") == "pip install --editable '/home/me/rvm-live[demo]'"
    installed.adding.cache_clear()
    (place.about / "direct_url.json").write_text("[")
    assert adding("demo") == "pip install 'rvm-live[demo]'"


def test_pipx_takes_the_packages_themselves(place: Place) -> None:
    (place.prefix / "pipx_metadata.json").write_text("{}")
    assert adding("openvino") == "pipx inject rvm-live openvino"
    assert adding("int8") == "pipx inject rvm-live openvino nncf"


def test_uv_tool_keeps_the_extras_that_are_there(place: Place) -> None:
    receipt = place.prefix / "uv-receipt.toml"
    receipt.write_text('[tool]\nrequirements = [{ name = "rvm-live" }]\n')
    assert adding("openvino") == "uv tool install 'rvm-live[openvino]'"
    installed.adding.cache_clear()
    receipt.write_text('[tool]\nrequirements = [{ name = "rvm-live", extras = ["demo", "bench"] }]\n')
    assert adding("openvino") == "uv tool install 'rvm-live[bench,demo,openvino]'"


def test_uvx(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", "/home/me/.cache/uv/archive-v0/x1Y2")
    assert adding("openvino") == "uvx --from 'rvm-live[openvino]' rvm-live"


def test_an_environment_of_uv_has_no_pip(place: Place) -> None:
    (place.prefix / "pyvenv.cfg").write_text("home = /usr/bin\nuv = 0.9.2\n")
    assert adding("openvino") == f"uv pip install --python {place.prefix} 'rvm-live[openvino]'"


def test_windows_has_double_quotes(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert adding("openvino") == 'pip install "rvm-live[openvino]"'


def test_no_hint_names_a_way_of_its_own() -> None:
    """Each hint comes from :func:`adding`."""
    texts = {path.name: path.read_text() for path in (ROOT / "rvm_live").rglob("*.py") if path.name != "installed.py"}
    assert [name for name, text in texts.items() if "pip install" in text] == []


def test_that_openvino_would_be_quicker_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path))
    monkeypatch.setitem(sys.modules, "openvino", None)
    first, second = (LiteEngine(EngineSettings(engine="lite")).open() for _ in range(2))
    assert "several times as fast" in "".join(first.notes) and adding("openvino") in "".join(first.notes)
    assert second.notes == () and second.remarks == first.notes


def test_that_openvino_was_passed_over_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: Path
) -> None:
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path))
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr("rvm_live.engines.select.find_spec", lambda name: None)
    settings = EngineSettings(weights=weights, device="cpu")
    infos = [AutoEngine(settings, Choice(("openvino", "rvm"), settings)).open() for _ in range(2)]
    assert [info.engine for info in infos] == ["rvm", "rvm"]
    assert "OpenVINO is not installed" in "".join(infos[0].notes) and infos[1].notes == ()
    assert "OpenVINO is not installed" in "".join(infos[1].remarks)
