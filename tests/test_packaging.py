"""What an installation brings: its requirements, on every system."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from packaging.requirements import Requirement

from tests.conftest import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SYSTEMS = {"linux": "x86_64", "darwin": "arm64", "win32": "AMD64"}


@pytest.fixture(scope="module")
def project() -> Any:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("extra", ["onnx", "onnx-gpu", "onnx-directml"])
@pytest.mark.parametrize("system", SYSTEMS)
def test_each_onnx_extra_brings_one_runtime_everywhere(project: Any, system: str, extra: str) -> None:
    here = {"sys_platform": system, "platform_machine": SYSTEMS[system]}
    wanted = map(Requirement, project["optional-dependencies"][extra])
    brought = [each.name for each in wanted if each.marker is None or each.marker.evaluate(here)]
    assert len([name for name in brought if name.startswith("onnxruntime")]) == 1, brought


def test_what_broke_us_is_capped(project: Any) -> None:
    (av,) = (each for each in map(Requirement, project["dependencies"]) if each.name == "av")
    assert av.specifier.contains("19.0.2") and not av.specifier.contains("20.0.0")
