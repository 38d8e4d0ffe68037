"""The GPU's kernels: interpreted on the CPU and compared with torch's operations; compiled for real GPUs without one;
and run on a GPU where there is one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from typing import Any

import pytest
import torch

from tests.conftest import ROOT

pytest.importorskip("triton", reason="Triton is not installed: it comes with torch's CUDA builds for Linux")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def told() -> Any:
    command = [sys.executable, "-W", "ignore", "-m", "tests.support.interpreted"]
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_the_kernels_pass_their_own_checks(told: Any) -> None:
    assert told["checks"] == [None, None]


def test_the_steps_at_full_size_are_those_of_torch(told: Any) -> None:
    for case in told["full size"]:
        assert case["shrunk"] < 1e-5
        assert case["levels"] <= 1
        assert case["unequal"] < 1e-3


def test_the_blend_is_exact(told: Any) -> None:
    assert told["blend"] == 0


def test_a_kernel_that_is_wrong_is_found_out(told: Any) -> None:
    shrunk, matte, blend = told["broken"]
    assert shrunk.startswith("the shrunken picture differs by ")
    assert matte.startswith("the matte differs by ")
    assert blend.startswith("the blend differs by ")


@pytest.mark.few(1)
@pytest.mark.parametrize("capability", [75, 86, 90])
def test_the_kernels_compile_for(capability: int) -> None:
    """Down to the GPU's machine code, which needs no GPU."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from rvm_live.compositing.fused import blend_kernel
    from rvm_live.engines.rvm.torch.triton_kernels import apply_kernel, shrink_kernel

    sizes = dict.fromkeys(("width", "height", "low_width", "low_height"), "i32")
    shrink = {"image": "*u8", "small": "*fp32", **sizes, "step": "fp32", "BLOCK": "constexpr"}
    apply = {"image": "*u8", "slope": "*fp32", "offset": "*fp32", "alpha": "*u8", "foreground": "*u8", **sizes}
    apply |= {"step_x": "fp32", "step_y": "fp32", "FOREGROUND": "constexpr", "BLOCK": "constexpr"}
    blend = {"colour": "*u8", "alpha": "*u8", "plate": "*u8", "result": "*u8", "size": "i32", "BLOCK": "constexpr"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kernel, signature, constants in (
            (shrink_kernel, shrink, {"BLOCK": 512}),
            (apply_kernel, apply, {"BLOCK": 512, "FOREGROUND": True}),
            (apply_kernel, apply, {"BLOCK": 512, "FOREGROUND": False}),
            (blend_kernel, blend, {"BLOCK": 1024}),
            (blend_kernel, {**blend, "plate": "*fp32"}, {"BLOCK": 1024}),
        ):
            target = GPUTarget("cuda", capability, 32)
            made = triton.compile(ASTSource(kernel, signature, constants), target=target)
            assert len(made.asm["cubin"]) > 1000


@pytest.mark.gpu
def test_on_a_gpu_the_kernels_are_right_and_used() -> None:
    from rvm_live.compositing.torch import _quick_blend
    from rvm_live.engines.rvm.torch.engine import best_for
    from rvm_live.engines.rvm.torch.triton_kernels import FusedFullSize

    assert isinstance(best_for(torch.device("cuda")), FusedFullSize)
    assert _quick_blend(torch.device("cuda")) is not None
