"""The network compared with the official implementation's outputs, and with itself."""

from __future__ import annotations

import itertools
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from rvm_live.network.network import REFINERS, VARIANTS, MattingNetwork, shrink
from rvm_live.network.refiners import with_mean
from tests.conftest import ROOT
from tests.support.parity import CASES, OUTPUTS, differences, formula_network
from tests.support.threads import exact, torch_threads  # noqa: F401

NETWORKS = list(itertools.product(VARIANTS, REFINERS))
PARAMETERS = {"mobilenetv3": 3_748_633, "resnet50": 26_890_461}


@pytest.fixture(scope="module")
def reference_run(data: Path) -> dict[str, dict[str, list[float]]]:
    """Distances from every reference case, computed with the kernels that made the references."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        pytest.skip("the references' roundings can be repeated on x86 only")
    names = [f"{variant}/{refiner}" for variant, refiner in NETWORKS]
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.parity", str(data), *names],
        env={**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2", "OMP_NUM_THREADS": "2"},
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, dict[str, list[float]]] = json.loads(done.stdout)
    return told


@pytest.fixture(scope="module")
def real(weights: Path) -> MattingNetwork:
    network = MattingNetwork("mobilenetv3", "fast_guided_filter").eval()
    network.load_state_dict(torch.load(weights, weights_only=True), strict=True)
    return network


@pytest.mark.parametrize(("variant", "refiner"), NETWORKS)
def test_names_and_shapes_are_the_official_ones(data: Path, variant: str, refiner: str) -> None:
    keys = json.loads((data / "reference" / f"{variant}_{refiner}_keys.json").read_text())
    ours = {name: list(tensor.shape) for name, tensor in MattingNetwork(variant, refiner).state_dict().items()}
    assert ours == keys


@pytest.mark.parametrize("variant", VARIANTS)
def test_number_of_parameters(variant: str) -> None:
    network = MattingNetwork(variant, "deep_guided_filter")
    assert sum(p.numel() for p in network.parameters()) == PARAMETERS[variant]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("variant", "refiner"), NETWORKS)
@pytest.mark.slow
def test_parity_with_the_official_implementation(
    reference_run: dict[str, dict[str, list[float]]], variant: str, refiner: str, case: str
) -> None:
    distances = reference_run[f"{variant}/{refiner}"]
    for output in OUTPUTS:
        largest, _, half = distances[f"{case}_{output}"]
        assert largest <= (2e-3 if half else 1e-4), f"{output}: {largest}"


@pytest.mark.few(1)
@pytest.mark.parametrize(("variant", "refiner"), [NETWORKS[0], NETWORKS[3]])
def test_parity_in_double_precision_on_any_processor(data: Path, variant: str, refiner: str) -> None:
    """Without our own rounding; the remaining difference is the references', up to 1e-3 in single pixels."""
    for name, (largest, mean, half) in differences(data, variant, refiner, double=True).items():
        assert mean <= (2e-4 if half else 5e-5), f"{name}: mean {mean}"
        assert largest <= 2e-2, f"{name}: {largest}"


@pytest.mark.slow
@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("case", ["full", "half"])
def test_real_weights_on_real_frames(data: Path, real: MattingNetwork, case: str) -> None:
    reference = np.load(data / "reference" / "real_mobilenetv3_fast_guided_filter.npz")
    ratio = float(reference[f"{case}_ratio"])
    states: list[torch.Tensor | None] = [None] * 4
    with torch.inference_mode():
        for index, picture in enumerate(reference["src_u8"]):
            src = torch.from_numpy(picture).permute(2, 0, 1)[None].contiguous().float() / 255
            out = real(src, *states, downsample_ratio=ratio)
            states = list(out[2:])
            pha = reference[f"{case}_pha_u16"][index] / 65535
            assert np.abs(out.pha[0, 0].numpy() - pha).max() <= 1e-4, f"alpha of frame {index}"
    for name in ("fgr", "r1", "r2", "r3", "r4"):
        theirs = reference[f"{case}_{name}_last"].astype(np.float32)
        assert np.abs(getattr(out, name)[0].numpy() - theirs).max() <= 2e-3, name


@pytest.mark.parametrize("ratio", [1.0, 0.5])
@pytest.mark.parametrize(("variant", "refiner"), NETWORKS)
@pytest.mark.few(1)
def test_sequence_equals_frame_by_frame(data: Path, variant: str, refiner: str, ratio: float) -> None:
    network = formula_network(data, variant, refiner).double()
    src = torch.rand(2, 3, 3, 34, 51, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.inference_mode():
        whole = network(src, downsample_ratio=ratio)
        assert whole.fgr.shape == src.shape
        assert whole.pha.shape == (2, 3, 1, 34, 51)
        states: list[torch.Tensor | None] = [None] * 4
        for moment in range(3):
            one = network(src[:, moment], *states, downsample_ratio=ratio)
            states = list(one[2:])
            torch.testing.assert_close(one.fgr, whole.fgr[:, moment], rtol=0, atol=1e-5)
            torch.testing.assert_close(one.pha, whole.pha[:, moment], rtol=0, atol=1e-5)
    for ours, theirs in zip(states, whole[2:], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_single_element_zero_states_start_a_video(real: MattingNetwork) -> None:
    """The official ONNX files start like that: with states of shape [1, 1, 1, 1] that hold zero."""
    src = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        fresh = real(src)
        started = real(src, *[torch.zeros(1, 1, 1, 1)] * 4)
    for ours, theirs in zip(started, fresh, strict=True):
        assert torch.equal(ours, theirs)


def test_state_matters(real: MattingNetwork) -> None:
    src = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        first = real(src)
        second = real(src, *first[2:])
    assert (first.pha - second.pha).abs().max() > 1e-4


@pytest.mark.parametrize("refiner", REFINERS)
def test_coarse_and_refine_make_the_whole(data: Path, refiner: str) -> None:
    network = formula_network(data, "mobilenetv3", refiner)
    src = torch.rand(1, 3, 90, 130, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        whole = network(src, downsample_ratio=0.5)
        base = shrink(src, 0.5)
        assert base.shape == (1, 3, 45, 65)
        mat, hidden, *states = network.coarse(base)
        fgr, pha = network.refine(src, base, mat, hidden)
    assert torch.equal(fgr, whole.fgr)
    assert torch.equal(pha, whole.pha)
    assert all(torch.equal(a, b) for a, b in zip(states, whole[2:], strict=True))


@pytest.mark.parametrize("refiner", REFINERS)
def test_the_linear_model_follows_the_order_of_colours(data: Path, refiner: str) -> None:
    """The engine keeps its full-size picture in BGR, and reorders the low-resolution coefficients instead."""
    from rvm_live.network.refiners import apply_linear

    network = formula_network(data, "mobilenetv3", refiner).double()
    src = torch.rand(1, 3, 60, 80, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    turn = [2, 1, 0, 3]
    with torch.inference_mode():
        base = shrink(src, 0.5)
        mat, hidden, *_ = network.coarse(base)
        a, b = network.refiner.coefficients(base, mat, hidden)
        straight = apply_linear(a, b, src)
        turned = apply_linear(a[:, turn], b[:, turn], src.flip(1))
    torch.testing.assert_close(turned[:, turn], straight, rtol=0, atol=1e-12)
    assert with_mean(src).shape == (1, 4, 60, 80)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated:DeprecationWarning")
@pytest.mark.parametrize(("variant", "refiner"), [NETWORKS[0], NETWORKS[3]])
def test_can_be_scripted(data: Path, variant: str, refiner: str) -> None:
    network = formula_network(data, variant, refiner)
    src = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        eager = network(src, downsample_ratio=0.5)
        scripted = torch.jit.script(network)(src, downsample_ratio=0.5)
    assert (eager.pha - scripted.pha).abs().max() <= 1e-5


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown variant 'vgg'"):
        MattingNetwork("vgg")
    with pytest.raises(ValueError, match="unknown refiner 'none'"):
        MattingNetwork("resnet50", "none")
