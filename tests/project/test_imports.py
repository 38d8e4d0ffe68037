"""Which modules may import which: checked in fresh interpreters and in the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import rvm_live
from tests.conftest import ROOT

PACKAGE = ROOT / "rvm_live"

# The floors: a module may import from rooms further down in this list, and from its own room.
FLOORS = [
    ("cli", "__main__"),
    ("apps",),
    ("pipeline",),
    ("sinks", "sources", "microphones", "engines", "compositing", "backgrounds"),
    ("weights", "media", "finishing"),
    ("network", "system"),
    ("core", "__init__"),
]


def loaded_by(code: str) -> set[str]:
    """Top-level modules in ``sys.modules`` after running ``code`` in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint('\\n'.join(sys.modules))"],
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return {line.partition(".")[0] for line in done.stdout.splitlines()}


@pytest.mark.parametrize(
    "module", ["rvm_live", "rvm_live.pipeline", "rvm_live.core.settings", "rvm_live.core.registry"]
)
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


@dataclass
class Read:
    """What a file imports, looks up and defines, once for each time it does so.

    Attributes:
        imports: full names, including those inside functions, without those for type checking.
        used: names that are looked up, as variables or as attributes.
        defined: classes, and variables that something is assigned to.
    """

    imports: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)
    defined: list[str] = field(default_factory=list)

    def take_in(self, node: ast.AST, *, typing: bool = False) -> None:
        match node:
            case ast.Import() if not typing:
                self.imports.update(alias.name for alias in node.names)
            case ast.ImportFrom(module=str()) if not typing:
                self.imports.update(f"{node.module}.{alias.name}" for alias in node.names)
            case ast.Attribute():
                self.used.add(node.attr)
            case ast.Name():
                self.used.add(node.id)
            case ast.ClassDef():
                self.defined.append(node.name)
            case ast.Assign(targets=[ast.Name(id=name), *_]) | ast.AnnAssign(target=ast.Name(id=name)):
                self.defined.append(name)
            case ast.If() if "TYPE_CHECKING" in ast.unparse(node.test):
                for child in node.body:
                    self.take_in(child, typing=True)
                for child in node.orelse:
                    self.take_in(child, typing=typing)
                return
        for child in ast.iter_child_nodes(node):
            self.take_in(child, typing=typing)


@cache
def read(path: Path) -> Read:
    """A file, parsed only once for all tests."""
    found = Read()
    found.take_in(ast.parse(path.read_text("utf-8")))
    return found


def imports_of(path: Path) -> set[str]:
    """Full names of everything a file imports, including imports inside functions, without those for type checking."""
    return read(path).imports


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


def test_rooms_do_not_import_each_other_in_a_circle() -> None:
    """Not even on the same floor; imports inside functions count, too."""
    rooms: dict[str, set[str]] = {}
    for path in sources():
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for name in imports_of(path):
            other = name.removeprefix("rvm_live.").partition(".")[0]
            if name.startswith("rvm_live.") and other != room and (PACKAGE / other).is_dir():
                rooms.setdefault(room, set()).add(other)
    assert "pipeline" in rooms["apps"]
    TopologicalSorter(rooms).prepare()  # raises CycleError with the circle


@pytest.mark.parametrize(
    ("what", "home"),
    [("aiohttp", "sinks/web/"), ("click", "cli/"), ("cloup", "cli/"), ("pynvml", "system/gpu.py"), ("rich", "cli/")],
)
def test_a_library_is_imported_in_its_one_room(what: str, home: str) -> None:
    users = {
        str(path.relative_to(PACKAGE)) for path in sources() if any(n.split(".")[0] == what for n in imports_of(path))
    }
    assert users
    assert all(user.startswith(home) for user in users), users


def calls(*names: str) -> set[str]:
    """Files that call one of ``names``, or look it up as an attribute."""
    return {str(path.relative_to(PACKAGE)) for path in sources() if read(path).used & set(names)}


def test_windows_are_touched_in_one_module() -> None:
    assert calls("imshow", "waitKey", "pollKey", "namedWindow", "destroyWindow") == {"sinks/window/toolkits/opencv.py"}


def test_only_the_command_line_prints() -> None:
    assert {name for name in calls("print", "echo") if not name.startswith("cli/")} == set()


def test_modules_stay_short() -> None:
    """About 300 lines; up to 400 where a split would tear one subject apart."""
    long = {str(p.relative_to(PACKAGE)): n for p in sources() if (n := len(p.read_text().splitlines())) > 400}
    assert long == {}


@pytest.mark.parametrize("name", ["Step", "Model", "Worker"])
def test_a_name_that_could_be_many_things_means_one(name: str) -> None:
    found = [str(path.relative_to(PACKAGE)) for path in sources() for each in read(path).defined if each == name]
    assert len(found) == 1, found


def test_the_list_of_rooms_in_the_architecture_is_true() -> None:
    listed: list[str] = []
    folders: list[str] = []
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    for line in text[text.index("\nrvm_live/\n") :].splitlines()[2:]:
        if line.startswith("```"):
            break
        depth = (len(line) - len(line.lstrip())) // 2 - 1
        folders[depth:] = [line.split("/")[0].strip()]
        listed.append("/".join(folders))
    there = {str(path.parent.relative_to(PACKAGE)) for path in sources()} - {"."}
    assert sorted(listed) == sorted(there)
