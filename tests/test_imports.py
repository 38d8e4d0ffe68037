"""What may import what: checked in fresh interpreters and in the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import rvm_live
from tests.conftest import ROOT

PACKAGE = ROOT / "rvm_live"

# Who may import whom: a module may import from rooms further down this list, and from its own.
FLOORS = [
    ("cli", "__main__"),
    (
        "live",
        "live_controls",
        "live_weights",
        "calls",
        "conversion",
        "preflight",
        "batch",
        "hwtest",
        "export",
        "calibrate",
        "tidy",
        "desktop",
        "monitor",
        "stress",
        "soak",
    ),
    ("pipeline", "stages", "stage", "report", "composer", "adaptive", "drawing", "watchdog"),
    ("sinks", "sources", "microphones", "engines", "compositors", "backgrounds", "weights", "gpu"),
    (
        "registry",
        "controls",
        "metrics",
        "notices",
        "pacing",
        "queues",
        "media",
        "buffers",
        "scenes",
        "stillness",
        "threads",
        "stopping",
    ),
    (
        "frames",
        "settings",
        "checking",
        "clock",
        "transfer",
        "errors",
        "installed",
        "libav",
        "pictures",
        "stills",
        "headers",
        "avif",
        "colour",
        "tone",
        "whole",
        "locks",
        "folders",
        "__init__",
    ),
]


def loaded_by(code: str) -> set[str]:
    """Top-level modules in ``sys.modules`` after running ``code`` in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint('\\n'.join(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {line.partition(".")[0] for line in done.stdout.splitlines()}


@pytest.mark.parametrize("module", ["rvm_live", "rvm_live.pipeline", "rvm_live.settings", "rvm_live.registry"])
def test_importing_the_core_loads_nothing_heavy(module: str) -> None:
    assert loaded_by(f"import {module}") & {"click", "cv2", "torch", "av", "pynvml", "rich"} == set()


@pytest.mark.parametrize("command", ["--help", "--version"])
def test_help_answers_without_torch(command: str) -> None:
    code = f"from rvm_live.cli import main\ntry: main(['{command}'])\nexcept SystemExit: pass"
    assert loaded_by(code) & {"torch", "cv2", "av"} == set()


def test_all_is_sorted_and_true() -> None:
    assert list(rvm_live.__all__) == sorted(rvm_live.__all__)
    for name in rvm_live.__all__:
        assert getattr(rvm_live, name) is not None


def sources() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py"))


def imports_of(path: Path) -> set[str]:
    """Full names of everything a file imports, those inside functions included, type checking excluded."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = [ast.Pass()]
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def floor_of(room: str) -> int:
    for number, rooms in enumerate(FLOORS):
        if room in rooms:
            return number
    raise AssertionError(f"{room} has no place in FLOORS: decide where it belongs")


def test_imports_point_downward() -> None:
    upward = []
    for path in sources():
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for name in imports_of(path):
            package, _, inside = name.partition(".")
            other = inside.partition(".")[0]
            ours = package == "rvm_live" and ((PACKAGE / other).is_dir() or (PACKAGE / f"{other}.py").exists())
            if ours and floor_of(other or "__init__") < floor_of(room):
                upward.append(f"{path.relative_to(PACKAGE)} imports {name} from above")
    assert upward == []


@pytest.mark.parametrize(
    ("what", "home"),
    [("click", "cli/"), ("cloup", "cli/"), ("pynvml", "gpu.py"), ("rich", "cli/")],
)
def test_a_library_is_imported_in_its_one_room(what: str, home: str) -> None:
    users = {
        str(path.relative_to(PACKAGE)) for path in sources() if any(n.split(".")[0] == what for n in imports_of(path))
    }
    assert users
    assert all(user.startswith(home) for user in users), users


def calls(*names: str) -> set[str]:
    """Files in which one of ``names`` is called or looked up as an attribute."""
    return {
        str(path.relative_to(PACKAGE))
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Attribute) and node.attr in names) or (isinstance(node, ast.Name) and node.id in names)
    }


def test_windows_are_touched_in_one_module() -> None:
    assert calls("imshow", "waitKey", "pollKey", "namedWindow", "destroyWindow") == {"sinks/toolkits/opencv.py"}


def test_only_the_command_line_prints() -> None:
    assert {name for name in calls("print", "echo") if not name.startswith("cli/")} == set()


def test_modules_stay_short() -> None:
    """Around 300 lines; up to 400 where splitting would make two halves of one thought."""
    long = {str(p.relative_to(PACKAGE)): n for p in sources() if (n := len(p.read_text().splitlines())) > 400}
    assert long == {}
