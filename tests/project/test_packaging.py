"""What an installation contains: its requirements, on every system."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from hatch_build import described
from rvm_live import __version__
from rvm_live.backgrounds import builtin
from rvm_live.backgrounds.image import ImageBackground
from rvm_live.backgrounds.video import VideoBackground
from tests.conftest import ROOT
from tools.dist import contents, leads_nowhere, make, of_sdist, unready
from tools.smoke import matting

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


ROWS = {
    "Linux x86-64": "x86_64-manylinux_2_28",
    "Linux aarch64": "aarch64-manylinux_2_35",
    "Windows x64": "x86_64-pc-windows-msvc",
    "macOS 14, Apple silicon": "aarch64-apple-darwin",
}
"""The systems that the README names, as uv calls them."""


@pytest.fixture(scope="module")
def resolve(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """The packages that would be installed, wheels only, since nobody should have to compile."""
    if importlib.util.find_spec("uv") is None:
        pytest.skip("uv is not installed")
    kept = tmp_path_factory.mktemp("uv")

    def asked(platform: str, python: str, *options: str) -> str:
        command = ("-m", "uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--only-binary", ":all:")
        command += ("--cache-dir", str(kept), "--extra", "demo", "--extra", "openvino", "pyproject.toml")
        done = subprocess.run(
            [sys.executable, *command, "--python-platform", platform, "--python-version", python, *options],
            cwd=ROOT,
            env={**os.environ, "MACOSX_DEPLOYMENT_TARGET": "14.0", "UV_HTTP_RETRIES": "1"},
            capture_output=True,
            encoding="utf-8",
            timeout=250,
            check=False,
        )
        if any(each in done.stderr for each in ("Failed to fetch", "error sending request", "dns error")):
            pytest.skip(f"no registry can be reached: {done.stderr.strip().splitlines()[0]}")
        assert done.returncode == 0, done.stderr
        return done.stdout

    return asked


@pytest.mark.slow
@pytest.mark.parametrize("python", ["3.10", "3.14"])
@pytest.mark.parametrize("system", ROWS)
def test_everything_has_wheels_where_the_readme_says_it_runs(
    resolve: Callable[..., str], system: str, python: str
) -> None:
    for options in (("--constraint", "constraints.txt"), ()):
        found = resolve(ROWS[system], python, *options)
        assert "\nopenvino==" in found and "\nscikit-image==" in found and "\ntorch==" in found


def test_the_pins_leave_no_package_out_on_any_python() -> None:
    """A pin for some Python versions needs one for the others, except for packages that only some versions need."""
    pins: dict[str, list[Requirement]] = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            pins.setdefault(Requirement(line).name.lower(), []).append(Requirement(line))
    for name, lines in pins.items():
        for python in ("3.10", "3.11", "3.14") if "python_version" in str(lines[0].marker) else ():
            held = [each for each in lines if each.marker is None or each.marker.evaluate({"python_version": python})]
            assert len(held) == (0 if name == "atheris" and python != "3.11" else 1), (name, python)


def test_the_long_description_leads_into_no_checkout() -> None:
    readme = (ROOT / "README.md").read_text()
    assert leads_nowhere(readme)
    assert leads_nowhere(described(readme, "", "1.0")) == []
    told = described(readme, "https://example.org/us", "1.0")
    assert leads_nowhere(told) == []
    assert "](https://example.org/us/raw/v1.0/docs/images/comparison.jpg)" in told
    assert "](https://example.org/us/blob/v1.0/CHANGELOG.md)" in told


@pytest.mark.parametrize(
    ("tag", "changelog", "where", "missing"),
    [
        (f"v{__version__}", f"## [{__version__}] - 2026-01-01\n\n### Added\n\n- All.\n", "https://example.org/us", 0),
        ("v99.0", f"## [{__version__}]\n- All.\n", "https://example.org/us", 1),
        (f"v{__version__}", f"## [Unreleased]\n- All.\n\n## [{__version__}]\n\n## [0.0.1]\n- Old.\n", "", 2),
    ],
)
def test_a_release_needs_tag_changelog_and_address(
    monkeypatch: pytest.MonkeyPatch, tag: str, changelog: str, where: str, missing: int
) -> None:
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    monkeypatch.setenv("RVM_LIVE_HOME", where)
    assert len(unready(tag, changelog)) == missing


def test_the_backgrounds_lie_in_the_wheel_where_the_program_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    for source, place in built["force-include"].items():
        shutil.copytree(ROOT / source, tmp_path / place)
    monkeypatch.setattr(builtin, "files", lambda package: tmp_path / package)
    assert builtin.assets() == tmp_path / "rvm_live" / "_assets" / "backgrounds"
    assert {type(each) for each in builtin.builtin()} >= {ImageBackground, VideoBackground}


@pytest.mark.slow
def test_what_is_published_is_whole(tmp_path: Path) -> None:
    sdist, wheel = make(tmp_path / "dist")
    inside = contents(wheel)
    assert inside == of_sdist(sdist, tmp_path / "tree")
    assert sum("_assets/backgrounds/" in name for name in inside) >= 6
    assert not [name for name in inside if name.startswith(("tests", "tools", "hatch_build"))]


def steps() -> list[tuple[str, str]]:
    """The Dockerfile's instructions."""
    lines = (ROOT / "Dockerfile").read_text().replace("\\\n", "").splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines if line[:1].isupper())]


def test_the_container_runs_as_a_user_without_rights_and_holds_no_weights() -> None:
    told = steps()
    assert [rest for word, rest in told if word == "USER"][-1] not in ("root", "0")
    assert "/weights" in dict(told)["VOLUME"]
    assert "*.pth" in (ROOT / ".dockerignore").read_text().split()
    assert all("pull" not in rest for word, rest in told if word == "RUN")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform == "win32", reason="the container is a Linux one")
def test_the_container_s_steps_make_an_environment_that_mattes(tmp_path: Path) -> None:
    """There is no container builder here: the installing step runs in a virtual environment, on this Python."""
    (step,) = (rest for word, rest in steps() if word == "RUN" and "set_up.py" in rest)
    command = step.split(" && ")[1]
    tree = tmp_path / "src"
    ignored = shutil.ignore_patterns(".git", ".venv*", "__pycache__", "dist", "build", "*.pth", ".hypothesis")
    shutil.copytree(ROOT, tree, ignore=ignored)
    words = command.replace("/opt/rvm-live", str(tmp_path / "env")).replace("$TORCH", "auto").split()
    done = subprocess.run(
        [sys.executable, *words[1:]], cwd=tree, capture_output=True, encoding="utf-8", timeout=600, check=False
    )
    if done.returncode and "No matching distribution" in done.stderr + done.stdout:
        pytest.skip("no registry can be reached")
    assert done.returncode == 0, done.stderr
    shutil.rmtree(tree)
    matting(tmp_path / "env" / "bin" / "python", tmp_path)
