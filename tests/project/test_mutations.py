"""The mutation check itself: every entry fits the code, and caught and missed mutations are told apart."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections import Counter
from functools import lru_cache
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tools.mutation_run import Outcome
from tools.mutations import Mutation, MutationsError, Verdict, chosen, main, read_list, table

MUTATIONS = read_list()
INVARIANTS = (*range(1, 10), 12)

cloned = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="copies what git knows of")

HEAD = "== {name} (3)\nWhat is broken.\nrvm_live/core/queues.py\n"
HARMLESS = HEAD.format(name="harmless") + (
    "-the first ``close``/``cancel`` decides\n+the very first ``close``/``cancel`` decides\ntests/core/test_queues.py\n"
)


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools.mutations", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", timeout=240)


def unfit(mutation: Mutation) -> str:
    """What is wrong with an entry; empty if nothing is."""
    before, program = read(ROOT / mutation.file)
    try:
        if ast.dump(ast.parse(mutation.applied(before))) == program:
            return "it changes nothing"
    except (MutationsError, SyntaxError) as error:
        return str(error)
    if not mutation.broken.endswith("."):
        return "what it breaks is not told in a sentence"
    for test in mutation.tests:
        path, _, name = test.partition("[")[0].partition("::")
        if name and f"FunctionDef(name='{name}'" not in read(ROOT / path)[1]:
            return f"there is no {test}"
    return ""


@lru_cache
def read(path: Path) -> tuple[str, str]:
    """A file's text, and its syntax tree."""
    text = path.read_text(encoding="utf-8")
    return text, ast.dump(ast.parse(text))


def test_every_mutation_fits_and_leaves_a_program() -> None:
    assert MUTATIONS
    assert {mutation.name: why for mutation in MUTATIONS if (why := unfit(mutation))} == {}


def test_every_invariant_is_broken_in_three_places_and_names_are_unique() -> None:
    promises = Counter(mutation.promise for mutation in MUTATIONS)
    assert all(promises[str(number)] >= 3 for number in INVARIANTS), promises
    for number in INVARIANTS:
        places = {(each.file, each.old) for each in MUTATIONS if each.promise == str(number)}
        assert len(places) >= 3, f"invariant {number}"
    assert max(Counter(mutation.name for mutation in MUTATIONS).values()) == 1


@pytest.mark.slow
@cloned
def test_it_catches_what_is_caught_and_leaves_the_tree_alone(tmp_path: Path) -> None:
    before = (ROOT / "rvm_live" / "core" / "queues.py").read_bytes()
    done = run("newest-is-dropped", "--json", tmp_path / "told.json")
    assert done.returncode == 0, done.stderr
    (told,) = json.loads((tmp_path / "told.json").read_text())
    assert told["state"] == "caught"
    assert told["told"] == "tests/core/test_queues.py::test_the_newest_win_and_the_rest_is_counted"
    assert told["told"] in done.stdout
    assert (ROOT / "rvm_live" / "core" / "queues.py").read_bytes() == before


@pytest.mark.slow
@cloned
def test_what_nobody_notices_and_what_no_longer_fits_is_told(tmp_path: Path) -> None:
    gone = HEAD.format(name="gone") + "-a line that was there once\n+pass\ntests/core/test_queues.py\n"
    twice = HEAD.format(name="twice") + "-self._dropped\n+self._gone\ntests/core/test_queues.py\n"
    (tmp_path / "list.txt").write_text(f"# of this test\n\n{HARMLESS}\n{gone}\n{twice}")
    done = run("--list", tmp_path / "list.txt", "--markdown")
    assert done.returncode == 1, done.stderr
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines()]
    assert rows[2][0] == "harmless" and rows[2][3].startswith("SURVIVED")
    assert "its text occurs 0 times" in rows[3][3] and rows[3][3].startswith("unfit")
    assert "times, not once" in rows[4][3] and rows[4][3].startswith("unfit")


@pytest.mark.slow
@cloned
def test_tests_that_fail_with_nothing_broken_end_it(tmp_path: Path) -> None:
    path = "tests/core/test_queues.py"
    (tmp_path / "list.txt").write_text(HARMLESS.replace(path, f"{path}::test_none"))
    done = run("--list", tmp_path / "list.txt")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("mutations: error: with nothing broken the tests do not pass: ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD.format(name="half"), "not written as the others are"),
        (HARMLESS.replace("(3)", "3"), "not written as the others are"),
        (HARMLESS + "what is this?\n", "not written as the others are"),
        (None, "cannot be read"),
    ],
)
def test_a_list_that_is_none_is_one_clear_line(
    text: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "list.txt"
    if text is not None:
        path.write_text(text)
    assert main(["--list", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_a_name_that_is_none_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["newest-is-drooped"]) == 2
    assert "no mutation called newest-is-drooped" in capsys.readouterr().err
    with pytest.raises(MutationsError):
        chosen(MUTATIONS, [MUTATIONS[0].name, "another"])
    assert chosen(MUTATIONS, [MUTATIONS[0].name]) == [MUTATIONS[0]]


def test_pytests_output_is_understood() -> None:
    outcome = Outcome()
    for line in (
        "tests/test_a.py::test_one PASSED                         [ 10%]",
        "tests/test_a.py::test_two[a b-Overflow.BLOCK] SKIPPED (why)  [ 20%]",
        "tests/test_a.py::test_three PASSED                       [ 30%]",
        "tests/test_a.py::test_three ERROR                        [ 30%]",
        "E   assert 1 == 2",
        "tests/test_a.py::test_four FAILED                        [ 40%]",
        "E   assert 3 == 4",
    ):
        outcome.see(line)
    assert outcome.failed == "tests/test_a.py::test_three", "in its clearing up"
    assert outcome.reason == "assert 1 == 2"
    assert outcome.passed == ["tests/test_a.py::test_one", "tests/test_a.py::test_three"]
    hung = Outcome()
    hung.see("tests/test_a.py::test_five ")
    assert (hung.failed, hung.last) == ("", "tests/test_a.py::test_five")


def test_only_what_was_caught_or_cannot_run_here_is_good() -> None:
    verdicts = [Verdict(MUTATIONS[0], state, "why") for state in ("caught", "not run", "SURVIVED", "unfit")]
    assert [verdict.good for verdict in verdicts] == [True, True, False, False]
    plain = table(verdicts, markdown=False).splitlines()
    assert [line.split("  ")[-1] for line in plain[1:]] == ["why", "not run: why", "SURVIVED: why", "unfit: why"]
