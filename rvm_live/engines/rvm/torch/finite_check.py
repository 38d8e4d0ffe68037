"""Checks that a network's results are finite, without waiting for the device."""

from __future__ import annotations

from typing import Any

import torch

from rvm_live.core.errors import EngineError

__all__ = ["FiniteCheck"]


class FiniteCheck:
    """Looks at the flag of each frame (:attr:`rvm_live.engines.rvm.torch.cuda_graph.Step.finite`): on CUDA with the
    frame after, since that is when its end is waited for; at once elsewhere, and for the first frame of a sequence,
    which may be the only one."""

    def __init__(self) -> None:
        self._told: torch.Tensor | None = None

    def look(self, told: torch.Tensor, ready: Any) -> None:
        """Look at the flag that is there.

        Args:
            told: bool (), in main memory or on its way there.
            ready: CUDA event after which it is there; None: it is. That of the frame before has been waited for.

        Raises:
            EngineError: the results of these frames, or of those before, contain NaN or infinite values; the states
                cannot be used.
        """
        before, self._told = self._told, told
        if ready is not None and before is None:
            ready.synchronize()
        _check(told if ready is None or before is None else before)

    def settle(self) -> None:
        """Look at the last flag, once the device has been waited for; raises as :meth:`look`."""
        if self._told is not None:
            _check(self._told)

    def forget(self) -> None:
        """A new sequence begins."""
        self._told = None


def _check(flag: torch.Tensor) -> None:
    if not flag:
        raise EngineError("matting failed: the network gave NaN or infinite values")
