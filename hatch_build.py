"""What the package says of itself where it is published: addresses, and a long description that leads to them.

The address of the project is taken from ``RVM_LIVE_HOME``, or from the repository that GitHub Actions runs for. Without
one there are no addresses, and what leads into the checkout is left out of the long description.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_PICTURE = re.compile(r"!\[([^\]]*)\]\((?!https?:)([^)\s]+)\)")
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!https?:|#|mailto:)([^)\s]+)\)")
_VERSION = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)


def home() -> str:
    """Where the project lives; empty where that is not known."""
    named = os.environ.get("RVM_LIVE_HOME", "")
    repository = os.environ.get("GITHUB_REPOSITORY")
    if not named and repository:
        named = f"{os.environ.get('GITHUB_SERVER_URL', '')}/{repository}"
    return named.rstrip("/")


def described(readme: str, where: str, version: str) -> str:
    """The README as it can be read anywhere.

    Args:
        readme: Markdown.
        where: the project's address, or nothing.
        version: whose tag pictures and pages are taken from.
    """
    if not where:
        without = re.sub(r"^\|?(?: *!\[[^\]]*\]\((?!https?:)[^)\s]+\) *\|?)+\n", "", readme, flags=re.MULTILINE)
        return _LINK.sub(r"\1", _PICTURE.sub(r"\1", without))
    pictured = _PICTURE.sub(rf"![\1]({where}/raw/v{version}/\2)", readme)
    return _LINK.sub(rf"[\1]({where}/blob/v{version}/\2)", pictured)


class Hook(MetadataHookInterface):
    """Fills in ``readme`` and ``urls``."""

    def update(self, metadata: dict[str, Any]) -> None:
        root = Path(self.root)
        found = _VERSION.search((root / "rvm_live" / "__init__.py").read_text(encoding="utf-8"))
        version = found[1] if found else ""
        where = home()
        text = described((root / "README.md").read_text(encoding="utf-8"), where, version)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
        metadata["urls"] = {
            "Documentation": f"{where}/tree/v{version}/docs",
            "Changelog": f"{where}/blob/v{version}/CHANGELOG.md",
            "Source": where,
            "Issues": f"{where}/issues",
        } if where else {}  # fmt: skip


def get_metadata_hook() -> type[MetadataHookInterface]:
    return Hook
