"""What each room's ``__init__.py`` says: what the room may import, and the shortest example of its use."""

from __future__ import annotations

import ast
import doctest
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from tests.project.test_imports import FLOORS, PACKAGE, floor_of, imports_of, sources

ROOMS = sorted(path.parent for path in PACKAGE.rglob("__init__.py") if path.parent != PACKAGE)
SKIP = doctest.OPTIONFLAGS_BY_NAME["SKIP"]


def told(room: Path) -> str:
    text = ast.get_docstring(ast.parse((room / "__init__.py").read_text("utf-8")))
    assert text is not None
    return text


def name_of(room: Path) -> str:
    return str(room.relative_to(PACKAGE).as_posix())


def neighbours(room: str) -> set[str]:
    """Rooms on the same floor that it imports."""
    inside = [path for path in sources() if path.relative_to(PACKAGE).parts[0] == room]
    imported = {name.split(".")[1] for path in inside for name in imports_of(path) if name.startswith("rvm_live.")}
    return (imported & set(FLOORS[floor_of(room)])) - {room}


@pytest.mark.parametrize("room", ROOMS, ids=name_of)
def test_a_room_says_what_it_may_import(room: Path) -> None:
    (said,) = re.findall(r"^May import (.*?)\.$", told(room), re.MULTILINE | re.DOTALL)
    outer, *inner = name_of(room).split("/")
    if inner:
        assert said == f"what :mod:`rvm_live.{outer}` may"
        return
    below = {other for rooms in FLOORS[floor_of(outer) + 1 :] for other in rooms} - {"__init__"}
    allowed = sorted(below | neighbours(outer))
    assert " ".join(said.split()) == (", ".join(allowed) or "nothing of the program")


@pytest.mark.parametrize("room", ROOMS, ids=name_of)
def test_the_example_of_a_room_works(room: Path) -> None:
    """Examples that need a camera, a window or weights are checked against the signatures of what they call."""
    name = f"rvm_live.{name_of(room).replace('/', '.')}"
    test = doctest.DocTestParser().get_doctest(told(room), {}, name, str(room / "__init__.py"), 0)
    assert any("rvm_live" in example.source for example in test.examples), "there is no example"
    result = doctest.DocTestRunner().run(test, clear_globs=False)
    assert result.failed == 0 and result.attempted
    skipped = [ast.parse(example.source) for example in test.examples if example.options.get(SKIP)]
    for call in (node for tree in skipped for node in ast.walk(tree) if isinstance(node, ast.Call)):
        called = callee(call.func, test.globs)
        if called is not None:
            given = {word.arg: None for word in call.keywords if word.arg is not None}
            inspect.signature(called).bind(*call.args, **given)


def callee(named: ast.expr, names: dict[str, Any]) -> Any:
    """The function that is called, if it is an imported name or an attribute of one; else None."""
    if isinstance(named, ast.Name):
        return names[named.id]
    if isinstance(named, ast.Attribute) and isinstance(named.value, ast.Name):
        return getattr(names[named.value.id], named.attr)
    return None
