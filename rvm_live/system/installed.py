"""How this copy was installed, and so how to add packages to it."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from functools import lru_cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from packaging.requirements import Requirement

__all__ = ["adding"]

_NAME = "rvm-live"
_EXTRAS = re.compile(rf'name = "{_NAME}"[^}}]*?extras = \[([^\]]*)\]')


@lru_cache
def adding(extra: str) -> str:
    """The command that adds an extra to this installation, such as ``pip install 'rvm-live[openvino]'``.

    pipx and ``uv tool`` keep each program in its own environment, where pip should not install.

    Args:
        extra: one of pyproject.toml's.
    """
    prefix = Path(sys.prefix)
    try:
        own = distribution(_NAME)
    except PackageNotFoundError:  # a source checkout that is not installed
        return f"pip install '{_NAME}[{extra}]'"
    if (prefix / "pipx_metadata.json").exists():
        return f"pipx inject {_NAME} {_quoted(_packages(own, extra))}"
    whole = f"{_origin(own)}[{extra}]"
    if (prefix / "uv-receipt.toml").exists():
        # The new command replaces the extras that were installed before: repeat them.
        before = re.findall(r'"([\w-]+)"', _first(_EXTRAS, (prefix / "uv-receipt.toml").read_text(encoding="utf-8")))
        extras = ",".join(sorted({*before, extra}))
        return f"uv tool install {_quoted([f'{_origin(own)}[{extras}]'])}"
    if "archive-v0" in prefix.parts or "environments-v2" in prefix.parts:
        # An environment in uv's cache, for a single run.
        return f"uvx --from {_quoted([whole])} {_NAME}"
    way = "--editable " if _editable(own) else ""
    if not (prefix / "conda-meta").exists() and _made_by_uv(prefix):
        return f"uv pip install --python {_quoted([str(prefix)])} {way}{_quoted([whole])}"
    return f"{_pip()} install {way}{_quoted([whole])}"


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1] if found else ""


def _packages(own: Distribution, extra: str) -> list[str]:
    """The packages of an extra, including those of the extras in it, without the program itself."""
    found: list[str] = []
    for each in map(Requirement, own.requires or ()):
        if each.marker is None or not each.marker.evaluate({"extra": extra}) or each.marker.evaluate({"extra": ""}):
            continue
        if each.name == _NAME:
            found += [name for other in sorted(each.extras) for name in _packages(own, other)]
        else:
            found.append(each.name)
    return list(dict.fromkeys(found))


def _origin(own: Distribution) -> str:
    """The package's name, or where it came from if not from an index: a folder, a wheel, a URL."""
    url = str(_direct(own).get("url", ""))
    if url.startswith("file:"):
        return url2pathname(urlsplit(url).path)
    return f"{_NAME} @ {url}" if url else _NAME


def _editable(own: Distribution) -> bool:
    about = _direct(own).get("dir_info")
    return isinstance(about, dict) and about.get("editable") is True


def _direct(own: Distribution) -> dict[str, object]:
    """PEP 610's record of an installation that is not from an index; empty if there is none."""
    try:
        told = json.loads(own.read_text("direct_url.json") or "{}")
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _made_by_uv(prefix: Path) -> bool:
    """Whether uv made the environment, which then has no pip."""
    try:
        about = (prefix / "pyvenv.cfg").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    return any(line.partition("=")[0].strip() == "uv" for line in about.splitlines())


def _pip() -> str:
    """The pip command of this Python, in its short form if that is the same."""
    short = shutil.which("pip")
    if short is not None and Path(short).parent == Path(sys.executable).parent:
        return "pip"
    return f"{_quoted([sys.executable])} -m pip"


def _quoted(words: list[str]) -> str:
    """Quote words for a shell; Windows' shell only knows double quotes."""
    if sys.platform == "win32":
        return " ".join(f'"{word}"' if set(word) & set(" []@") else word for word in words)
    return shlex.join(words)
