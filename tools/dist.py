"""Makes what is published, and checks it: ``python -m tools.dist``; docs/releasing.md says what to do before and after.

The sdist and the wheel go into ``dist``. The wheel built from the sdist must be the same, ``twine check --strict`` must
pass, the long description must not link to anything that only a checkout has, and the wheel must pass the smoke test.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from email import message_from_bytes
from pathlib import Path

from hatch_build import home
from rvm_live import __version__
from tools import smoke
from tools.set_up import ROOT

__all__ = ["contents", "leads_nowhere", "main", "make", "of_sdist", "section", "unready"]

_WHEEL = (
    "rvm_live/py.typed", "rvm_live/__main__.py", "rvm_live/_assets/backgrounds/",
    f"rvm_live-{__version__}.dist-info/licenses/LICENSE",
)  # fmt: skip
_SDIST = ("pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "Makefile", "constraints.txt", "tests/conftest.py")
_NOT_OURS = re.compile(r"(^|/)(\.venv|__pycache__|\.git|\.pytest_cache|.*\.pyc|.*\.pth)($|/)")
_LINK = re.compile(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"")


def make(out: Path) -> tuple[Path, Path]:
    """Build the sdist, and the wheel of this tree.

    Args:
        out: a folder; it is created.

    Returns:
        The sdist and the wheel.
    """
    smoke.build("--sdist", "--wheel", out=out)
    sdist, wheel = (out / f"rvm_live-{__version__}{end}" for end in (".tar.gz", "-py3-none-any.whl"))
    return sdist, wheel


def contents(wheel: Path) -> dict[str, bytes]:
    """The files of a wheel, by name."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def of_sdist(sdist: Path, folder: Path) -> dict[str, bytes]:
    """The files of the wheel that is built from an sdist."""
    with tarfile.open(sdist) as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extractall(folder, filter="data")
        else:  # Python 3.10 before 3.10.12
            archive.extractall(folder)
    (tree,) = folder.iterdir()
    smoke.build("--wheel", out=folder / "again", tree=tree)
    (wheel,) = (folder / "again").glob("*.whl")
    return contents(wheel)


def leads_nowhere(description: str) -> list[str]:
    """Links and pictures in a long description that are paths within the checkout; a package index cannot show them."""
    found = [one or other for one, other in _LINK.findall(description)]
    return [each for each in found if not each.startswith(("https://", "http://", "#", "mailto:"))]


def section(version: str, changelog: str) -> str:
    """The changelog's section on a version; empty where there is none."""
    found = re.search(rf"^## \[?{re.escape(version)}\]?[^\n]*\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    return found[1].strip() if found else ""


def check(sdist: Path, wheel: Path) -> list[str]:
    """Everything that is wrong, one line each."""
    wrong = []
    inside = contents(wheel)
    wrong += [f"{wheel.name} lacks {each}" for each in _WHEEL if not any(name.startswith(each) for name in inside)]
    with tarfile.open(sdist) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    wrong += [f"{sdist.name} lacks {each}" for each in _SDIST if each not in names]
    wrong += [f"{each} is published" for each in (*inside, *names) if _NOT_OURS.search(each)]
    with tempfile.TemporaryDirectory() as folder:
        again = of_sdist(sdist, Path(folder))
    different = sorted(name for name in {*inside, *again} if inside.get(name) != again.get(name))
    wrong += [f"the wheel that {sdist.name} gives has another {name}" for name in different]
    about = message_from_bytes(inside[f"rvm_live-{__version__}.dist-info/METADATA"])
    wrong += [f"the long description leads to {each}" for each in leads_nowhere(str(about.get_payload()))]
    twine = [sys.executable, "-m", "twine", "check", "--strict", str(sdist), str(wheel)]
    done = subprocess.run(twine, capture_output=True, text=True, check=False)
    return wrong + ([f"twine check: {done.stdout}{done.stderr}"] if done.returncode else [])


def unready(tag: str, changelog: str) -> list[str]:
    """What is still missing for a release of this version, one line each."""
    wrong = [] if tag == f"v{__version__}" else [f"the tag {tag} is not that of version {__version__}"]
    wrong += [] if section(__version__, changelog) else [f"CHANGELOG.md has no section {__version__}"]
    return wrong + ([] if home() else ["the project's address is not known: RVM_LIVE_HOME=https://..."])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.dist", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="(default: dist)")
    parser.add_argument("--no-smoke", action="store_true", help="leave out the smoke test")
    parser.add_argument(
        "--release", metavar="TAG", help="fail if this is not the version's tag, or something is missing"
    )
    asked = parser.parse_args(arguments)
    sdist, wheel = make(asked.out)
    wrong = check(sdist, wheel)
    if asked.release:
        wrong += unready(asked.release, (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{sdist}\n{wheel}\nchecked: contents, metadata, links; the sdist gives the same wheel", flush=True)
    if not asked.no_smoke:
        smoke.main(["--wheel", str(wheel)])


if __name__ == "__main__":
    main()
