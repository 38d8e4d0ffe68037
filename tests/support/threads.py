"""How many threads torch uses during a test. Import both fixtures into the test module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

__all__ = ["exact", "torch_threads"]


@pytest.fixture
def exact() -> None:
    """Get the rounding of the reference outputs: they were computed on more than one thread.

    On one thread oneDNN sums in another order; the guided filter, which divides by variances near zero, then differs by
    up to 1.2e-4 instead of 5e-5.
    """


@pytest.fixture(autouse=True)
def torch_threads(request: pytest.FixtureRequest) -> Iterator[None]:
    """One thread: tiny kernels on several threads become very slow when another program needs a core."""
    before = torch.get_num_threads()
    torch.set_num_threads(2 if "exact" in request.fixturenames else 1)
    yield
    torch.set_num_threads(before)
