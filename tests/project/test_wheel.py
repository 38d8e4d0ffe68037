"""The wheel, installed into a fresh environment, starts and contains its backgrounds."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support.parts import ALL_FIVE, write_parts


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a fresh environment with the wheel built from this tree, and nothing else of the tree."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
        timeout=200,
    )
    (wheel,) = folder.glob("*.whl")
    place = folder / "env"
    # The heavy libraries come from the environment of the tests: only our own wheel is tested here.
    venv.create(place, with_pip=False)
    # On some systems lib64 is a link to lib.
    (library,) = place.glob("Lib/site-packages" if sys.platform == "win32" else "lib/python*/site-packages")
    outer = next(Path(p) for p in sys.path if p.endswith("site-packages"))
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(library), str(wheel)],
        check=True,
        capture_output=True,
        timeout=200,
    )
    (library / "libraries.pth").write_text(f"{outer}\n")
    return place / ("Scripts" if sys.platform == "win32" else "bin")


def run(installed: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(installed / "python"), "-I", *arguments], cwd=cwd, capture_output=True, encoding="utf-8", timeout=120
    )


@pytest.mark.slow
def test_it_is_the_wheel_that_runs(installed: Path, tmp_path: Path) -> None:
    done = run(installed, "-c", "import rvm_live; print(rvm_live.__file__)", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert str(installed.parent) in done.stdout


@pytest.mark.slow
def test_the_command_starts(installed: Path, tmp_path: Path) -> None:
    done = run(installed, "-m", "rvm_live", "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "--background" in done.stdout


@pytest.mark.slow
def test_the_backgrounds_travel_along(installed: Path, tmp_path: Path) -> None:
    code = "from rvm_live.backgrounds.builtin import builtin\nfor b in builtin(): print(b.label)"
    done = run(installed, "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "image" in done.stdout and "video" in done.stdout


@pytest.mark.slow
def test_the_program_mattes_from_the_wheel(installed: Path, tmp_path: Path, weights: Path) -> None:
    arguments = [
        "--source",
        "demo",
        "--headless",
        "--frames",
        "3",
        "--width",
        "320",
        "--height",
        "180",
        "--no-realtime",
    ]
    done = run(installed, "-m", "rvm_live", *arguments, "--weights", str(weights), "--record", "out/", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out").glob("*.png"))) == 3


@pytest.mark.slow
def test_parts_of_another_package_are_found_by_name(installed: Path, tmp_path: Path) -> None:
    """The example package of docs/plugins.md, built and installed beside the wheel."""
    folder = write_parts(tmp_path / "package")
    (library,) = installed.parent.glob("Lib/site-packages" if sys.platform == "win32" else "lib/python*/site-packages")
    offline = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--target", str(library)]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *offline, str(folder)], check=True, capture_output=True, timeout=200
    )
    done = run(installed, "-m", "rvm_live", *ALL_FIVE, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "means.txt").read_text().splitlines()) == 5
