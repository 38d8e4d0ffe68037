"""How an error's text is written for people."""

from __future__ import annotations

import errno
import re

import pytest

from rvm_live.core.errors import EngineError, words_of
from tests.conftest import ROOT

OPENVINO = """Exception from src/inference/src/cpp/core.cpp:97:
Check 'shape' failed at src/core/src/node.cpp:12:
the shape {1,3} does not fit
"""
TORCHSCRIPT = """The following operation failed in the TorchScript interpreter.
Traceback of TorchScript (most recent call last):
  File "code.py", line 3, in forward
RuntimeError: shape '[7, 7]' is invalid
"""


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/a"), "No space left on device"),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be late"), "CUDA error: out of memory"),
        (RuntimeError(OPENVINO), "the shape {1,3} does not fit"),
        (RuntimeError(TORCHSCRIPT), "shape '[7, 7]' is invalid"),
        (EngineError("two\n lines  of ours:"), "two lines of ours:"),
        (EngineError("ours " * 100), ("ours " * 100).strip()),
        (ValueError("long " * 100), ("long " * 60)),
        (KeyError("height"), "KeyError: 'height'"),
        (ValueError(" \n"), "ValueError"),
        (ValueError(), "ValueError"),
        (ValueError("only a heading of two:"), "only a heading of two:"),
    ],
)
def test_an_error_is_told_in_one_line_for_people(error: Exception, words: str) -> None:
    assert words_of(error) == words


def test_nothing_else_says_it() -> None:
    """A second function would describe the same error in other words."""
    says = re.compile(r"def _?one_line\(error|type\(error\).__name__.*str\(error\)")
    package = ROOT / "rvm_live"
    rest = [path for path in package.rglob("*.py") if path.parent != package / "core"]
    assert [path.name for path in rest if says.search(path.read_text("utf-8"))] == []
