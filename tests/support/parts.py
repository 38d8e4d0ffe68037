"""The example package of ``docs/plugins.md``, exactly as the page shows it."""

from __future__ import annotations

import re
from pathlib import Path

from tests.conftest import ROOT

__all__ = ["ALL_FIVE", "write_parts"]

_PAGE = (ROOT / "docs" / "plugins.md").read_text("utf-8")
ALL_FIVE = (
    *("--engine", "bright", "--compositor", "plain", "--source", "bars:5", "--background", "gradient:200"),
    *("--sink", "means:means.txt", "--headless", "--no-realtime", "--no-scene-reset", "--stats-json", "stats.json"),
)
"""Options that choose one part of every kind."""


def write_parts(folder: Path) -> Path:
    """Write the package into the folder; returns the folder."""
    (folder / "parts").mkdir(parents=True)
    (folder / "parts" / "__init__.py").touch()
    (toml,) = re.findall(r"^```toml\n(.*?)^```", _PAGE, re.DOTALL | re.MULTILINE)
    (folder / "pyproject.toml").write_text(toml)
    examples = re.findall(r"`(parts/\w+\.py)`.*?^```python\n(.*?)^```", _PAGE, re.DOTALL | re.MULTILINE)
    for path, text in examples:
        (folder / path).write_text(text)
    assert len(examples) == 5
    return folder
