"""The kernels of the one pass over the full picture, for tests; compiled once per user, not for each run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import platformdirs
import pytest

from rvm_live.compositing.cpu import CpuCompositor
from rvm_live.finishing import compiled
from rvm_live.finishing.compiled import kernels
from tests.conftest import missing

__all__ = ["FastCpu", "fast"]


@lru_cache
def _module() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RVM_LIVE_CACHE", str(platformdirs.user_cache_path("rvm-live-tests", appauthor=False)))
        return compiled._compiled(compiled._home())


@contextmanager
def fast() -> Iterator[Any]:
    """Use the kernels, whatever the environment says; skip the test where Numba is missing."""
    try:
        module = _module()
    except ImportError:
        missing("Numba is not installed", required="RVM_LIVE_REQUIRE_NUMBA")
    before = vars(kernels).copy()
    kernels._module, kernels._why, kernels.failed = module, "", False
    kernels._done.set()
    try:
        yield module
    finally:
        vars(kernels).update(before)


class FastCpu(CpuCompositor):
    """Composites with the kernels, while the code around it does without."""

    def composite(self, *args: Any, **kwargs: Any) -> Any:
        with fast():
            made = super().composite(*args, **kwargs)
            assert kernels.module is not None, kernels.why_not
            return made
