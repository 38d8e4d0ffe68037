"""Breaks the program on purpose, one promise at a time, and shows which test notices: ``python -m tools.mutations``.

``tools/mutations.txt`` lists the changes. Each is applied alone to a copy of the working tree, where the tests named
for it are run. The working tree itself is never touched.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tools.mutation_run import TIMEOUT_S, Outcome, run_tests

__all__ = ["LIST", "Mutation", "MutationsError", "Verdict", "main", "read_list"]

ROOT = Path(__file__).resolve().parent.parent
LIST = Path(__file__).with_suffix(".txt")
_HEAD = re.compile(r"== (?P<name>[a-z0-9-]+) \((?P<promise>[1-9]|1[0-2]|[a-z]+)\)")
_BASELINE_S = 1800.0


class MutationsError(Exception):
    """Wrong usage, or a tree in which the check cannot start; one line."""


@dataclass(frozen=True)
class Mutation:
    """One way to break the program.

    Attributes:
        name: unique.
        promise: ``1`` to ``9``, an invariant of docs/architecture.md; or a word for another promise.
        broken: what is no longer true then, in one sentence.
        file: relative to the root of the tree.
        old: the text to replace; occurs once in the file.
        new: the text put in its place.
        tests: the tests expected to fail, as pytest takes them: ``tests/test_x.py`` or ``tests/test_x.py::test_y``.
    """

    name: str
    promise: str
    broken: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def applied(self, text: str) -> str:
        """The file's text with the mutation applied.

        Raises:
            MutationsError: the file has changed since the mutation was written.
        """
        count = text.count(self.old)
        if count != 1:
            raise MutationsError(f"{self.name} no longer fits {self.file}: its text occurs {count} times, not once")
        return text.replace(self.old, self.new)


@dataclass(frozen=True)
class Verdict:
    """The result of one mutation.

    Attributes:
        mutation: the mutation that was tried.
        state: ``caught``; ``SURVIVED``; ``not run``, where its tests are skipped on this machine; or ``unfit``, where
            it could not be tried.
        told: the test that failed first, or the reason.
        failure: what that test says.
        seconds: how long it took.
    """

    mutation: Mutation
    state: str
    told: str
    failure: str = ""
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        return self.state in ("caught", "not run")


def read_list(path: Path = LIST) -> list[Mutation]:
    """Read the mutations from a file; the file's first lines describe its format.

    Raises:
        MutationsError: the file has another format, or cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise MutationsError(f"the list {path} cannot be read: {error.strerror or error}") from error
    blocks: list[list[str]] = []
    for line in text.splitlines():
        if line.startswith("== "):
            blocks.append([])
        if blocks and line and not line.startswith("#"):
            blocks[-1].append(line)
    return [_parsed(path, block) for block in blocks]


def _parsed(path: Path, block: Sequence[str]) -> Mutation:
    head = _HEAD.fullmatch(block[0])
    words, rest = block[1:3], block[3:]
    old = [line[1:] for line in rest if line.startswith("-")]
    new = [line[1:] for line in rest if line.startswith("+")]
    tests = [line for line in rest if line.startswith("tests/")]
    if head is None or len(words) < 2 or not old or not tests or len(old) + len(new) + len(tests) != len(rest):
        raise MutationsError(f"{path.name}: the entry that begins with {block[0]!r} is not written as the others are")
    return Mutation(head["name"], head["promise"], words[0], words[1], "\n".join(old), "\n".join(new), tuple(tests))


def chosen(mutations: Sequence[Mutation], names: Sequence[str]) -> list[Mutation]:
    """The mutations with these names; all, if no name is given.

    Raises:
        MutationsError: no mutation has one of the names.
    """
    unknown = [name for name in names if name not in {mutation.name for mutation in mutations}]
    if unknown:
        raise MutationsError(f"there is no mutation called {', '.join(unknown)}: --names lists them")
    return [mutation for mutation in mutations if not names or mutation.name in names]


def copy_tree(target: Path) -> None:
    """Copy all files of the project as they are now, committed or not.

    Raises:
        MutationsError: git cannot list the files.
    """
    ask = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        told = subprocess.run(ask, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise MutationsError(f"git cannot list the files of {ROOT}, of which a copy is made: {error}") from error
    for name in filter(None, told.decode().split("\0")):
        if (ROOT / name).is_file():  # deleted files are still listed
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def environment(tree: Path) -> dict[str, str]:
    """Environment variables for tests in the copy: its own modules come first, and data is found where the real tree
    has it."""
    data = Path(os.environ.get("RVM_LIVE_TEST_DATA", ROOT.parent / "shared")).resolve()
    # No bytecode: a stale file of the same size and second would hide a mutation.
    own = {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1", "RVM_LIVE_TEST_DATA": str(data)}
    return {**os.environ, **own}


def check_import(tree: Path) -> None:
    """Make sure that the tests import the copy.

    Raises:
        MutationsError: they import another rvm_live.
    """
    code = "import rvm_live, tests; print(rvm_live.__file__); print(tests.__file__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tree, env=environment(tree), capture_output=True, text=True)
    places = [Path(line).resolve() for line in done.stdout.splitlines()]
    if len(places) != 2 or not all(place.is_relative_to(tree.resolve()) for place in places):
        raise MutationsError(f"in the copy {tree} Python imports {done.stdout.strip() or done.stderr.strip()}")


def baseline(tree: Path, mutations: Sequence[Mutation]) -> Outcome:
    """Run every named test with nothing broken.

    Raises:
        MutationsError: a test fails, or does not exist.
    """
    tests = sorted({test for mutation in mutations for test in mutation.tests})
    outcome = run_tests(tests, tree, environment(tree), timeout_s=_BASELINE_S)
    if outcome.failed or outcome.code != 0:
        told = f"{outcome.failed}: {outcome.reason}" if outcome.failed else outcome.tail
        raise MutationsError(f"with nothing broken the tests do not pass: {told}")
    return outcome


def try_one(mutation: Mutation, tree: Path, skipped: Callable[[Mutation], bool]) -> Verdict:
    """Apply the mutation to the copy, run the tests, and undo it."""
    path = tree / mutation.file
    before = path.read_bytes() if path.is_file() else b""
    try:
        broken = mutation.applied(before.decode())
        compile(broken, mutation.file, "exec")
    except MutationsError as error:
        return Verdict(mutation, "unfit", str(error))
    except SyntaxError as error:
        return Verdict(mutation, "unfit", f"what it leaves does not compile: {error}")
    if skipped(mutation):
        return Verdict(mutation, "not run", "its tests are skipped on this machine")
    path.write_bytes(broken.encode())
    try:
        outcome = run_tests(mutation.tests, tree, environment(tree), timeout_s=TIMEOUT_S)
    finally:
        path.write_bytes(before)
    return _judged(mutation, outcome)


def _judged(mutation: Mutation, outcome: Outcome) -> Verdict:
    verdict = Verdict(mutation, "caught", outcome.failed, outcome.reason, round(outcome.seconds, 1))
    if outcome.failed:
        return verdict
    if outcome.code is None:
        return replace(verdict, told=f"timeout in {outcome.last}")
    if outcome.code < 0 or outcome.code > 5:  # killed by a signal, or another exit code that is not pytest's
        return replace(verdict, told=f"crash in {outcome.last}")
    if outcome.code == 0:
        return replace(verdict, state="SURVIVED", told="every test passed")
    return replace(verdict, state="unfit", told=f"the tests do not even begin: {outcome.tail}")


def check(mutations: Sequence[Mutation], tell: Callable[[str], None] = lambda line: None) -> list[Verdict]:
    """Try every mutation in a copy of the tree.

    Args:
        mutations: the mutations to try.
        tell: called with one line for each when it is done.

    Raises:
        MutationsError: the tests do not pass with nothing broken, or a copy cannot be made.
    """
    with tempfile.TemporaryDirectory(prefix="rvm-live-mutations-", ignore_cleanup_errors=True) as folder:
        tree = Path(folder) / "tree"
        copy_tree(tree)
        check_import(tree)
        tell("with nothing broken ...")
        ran = baseline(tree, mutations).passed

        def skipped(mutation: Mutation) -> bool:
            return not any(_selects(test, name) for test in mutation.tests for name in ran)

        verdicts = []
        for number, mutation in enumerate(mutations, 1):
            verdict = try_one(mutation, tree, skipped)
            tell(f"{number}/{len(mutations)} {mutation.name}: {verdict.state}, {verdict.told} ({verdict.seconds} s)")
            verdicts.append(verdict)
    return verdicts


def _selects(test: str, name: str) -> bool:
    """Whether pytest's argument ``test`` covers the test case ``name``."""
    return name == test or name.startswith((f"{test}::", f"{test}["))


def table(verdicts: Iterable[Verdict], *, markdown: bool) -> str:
    """One line for each mutation: what was broken, the promise it belongs to, and the test that noticed."""
    rows = [("mutation", "promise", "what is broken", "caught by")]
    for verdict in verdicts:
        mutation = verdict.mutation
        told = verdict.told if verdict.state == "caught" else f"{verdict.state}: {verdict.told}"
        rows.append((mutation.name, mutation.promise, mutation.broken, told))
    if markdown:
        lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
        return "\n".join([lines[0], "|---|---|---|---|", *lines[1:]])
    shown = [(name, promise, told) for name, promise, _, told in rows]
    widths = [max(len(row[column]) for row in shown) for column in range(2)]
    return "\n".join(f"{row[0]:{widths[0]}}  {row[1]:{widths[1]}}  {row[2]}" for row in shown)


def main(arguments: Sequence[str] | None = None) -> int:
    """Try mutations and print the result of each.

    Returns:
        0: all were caught; 1: one was not, or no longer fits; 2: the check could not start.
    """
    parser = argparse.ArgumentParser(prog="python -m tools.mutations", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="of a mutation; all if none is given")
    parser.add_argument("--names", dest="show", action="store_true", help="list the names and end")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the verdicts there, too")
    parser.add_argument("--markdown", action="store_true", help="print the table as markdown")
    parser.add_argument("--list", type=Path, default=LIST, metavar="FILE", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    try:
        mutations = chosen(read_list(asked.list), asked.names)
        if asked.show:
            print("\n".join(f"{each.name} ({each.promise}): {each.broken}" for each in mutations))
            return 0
        verdicts = check(mutations, lambda line: print(line, file=sys.stderr, flush=True))
        if asked.json is not None:
            asked.json.write_text(json.dumps([asdict(verdict) for verdict in verdicts], indent=1) + "\n")
    except (MutationsError, OSError) as error:
        print(f"mutations: error: {error}", file=sys.stderr)
        return 2
    print(table(verdicts, markdown=asked.markdown))
    caught = sum(verdict.state == "caught" for verdict in verdicts)
    print(f"{caught} of {len(verdicts)} caught", file=sys.stderr)
    return 0 if all(verdict.good for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
