"""The network as a file for another runtime: one size, one ratio, states in and out."""

from __future__ import annotations

import inspect
import io
import json
import math
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from rvm_live import __version__
from rvm_live.core.errors import EngineError, UnavailableError, words_of
from rvm_live.engines.common.ladder import low_size, state_shapes
from rvm_live.engines.common.openvino_models import converted
from rvm_live.network.fuse_batch_norm import fold_batch_norm
from rvm_live.network.network import MattingNetwork, finish
from rvm_live.system.installed import adding
from rvm_live.system.telemetry_off import import_quietly
from rvm_live.weights import LoadedWeights

__all__ = ["INPUTS", "OUTPUTS", "FixedNetwork", "Shape", "facts_of", "make", "require"]

INPUTS = ("src", "r1i", "r2i", "r3i", "r4i")
OUTPUTS = ("fgr", "pha", "r1o", "r2o", "r3o", "r4o")
"""The names in the official ONNX files."""

_OPSET = 17  # ONNX 1.12 of 2022: TensorRT 8.6, OpenVINO 2023, DirectML and Core ML can read it
_PACKAGES = {"onnx": ("onnx", "onnxruntime"), "openvino": ("openvino",), "torchscript": ()}


@dataclass(frozen=True)
class Shape:
    """What a file is made for.

    Attributes:
        width: of the frames, pixels.
        height: of the frames, pixels.
        ratio: downsample ratio, in (0, 1].
        half: computes in half precision; in OpenVINO's files the weights alone are in half precision.
    """

    width: int
    height: int
    ratio: float
    half: bool = False

    @property
    def low(self) -> tuple[int, int]:
        """Width and height the network works at."""
        return low_size(self.width, self.height, self.ratio)


class FixedNetwork(nn.Module):
    """The whole network for frames of one size, one at a time; scripted, it takes any size at the same ratio.

    Args:
        network: with folded batch norm, in the precision of the file.
        shape: what the file is made for.
    """

    def __init__(self, network: MattingNetwork, shape: Shape) -> None:
        super().__init__()
        self.network = network
        self.refined = shape.ratio != 1.0
        self.ratio = shape.ratio
        self.scales = [
            _scale(shape.height, shape.low[1], shape.ratio),
            _scale(shape.width, shape.low[0], shape.ratio),
        ]
        self.size = [shape.height, shape.width]
        self.thirds: Tensor
        # Weights for the mean of the channels: runtimes are slow at means and fast at matrix products.
        self.register_buffer("thirds", torch.full((1, 3), 1 / 3), persistent=False)

    def forward(
        self,
        src: Tensor,
        r1i: Tensor | None = None,
        r2i: Tensor | None = None,
        r3i: Tensor | None = None,
        r4i: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Advance by one frame.

        Args:
            src: (1, 3, H, W), RGB in 0-1.
            r1i: state that came with the frame before; None or zeros at the start of a video. r2i, r3i, r4i likewise.

        Returns:
            Foreground (1, 3, H, W) and alpha (1, 1, H, W), both in 0-1, and the new states.
        """
        if not self.refined:
            mat, _, r1o, r2o, r3o, r4o = self.network.coarse(src, r1i, r2i, r3i, r4i)
            fgr, pha = finish(mat, src)
            return fgr, pha, r1o, r2o, r3o, r4o
        scales, size = self.scales, self.size
        if torch.jit.is_scripting():  # type: ignore[attr-defined]
            scales, size = [self.ratio, self.ratio], [src.shape[2], src.shape[3]]
        base = functional.interpolate(
            src, scale_factor=scales, mode="bilinear", align_corners=False, recompute_scale_factor=False
        )
        mat, hidden, r1o, r2o, r3o, r4o = self.network.coarse(base, r1i, r2i, r3i, r4i)
        slope, offset = self.network.refiner.coefficients(base, mat, hidden)
        # Split while small. The residual is foreground minus picture: adding 1 to the slope adds the picture back.
        parts = [slope[:, :3] + 1, offset[:, :3], slope[:, 3:], offset[:, 3:]]
        a, b, c, d = [
            functional.interpolate(part.to(src.dtype), size, mode="bilinear", align_corners=False) for part in parts
        ]
        fgr = torch.clamp(a * src + b, 0.0, 1.0)
        mean = torch.matmul(self.thirds, src.flatten(2)).reshape(1, 1, size[0], size[1])
        pha = torch.clamp(c * mean + d, 0.0, 1.0)
        return fgr, pha, r1o, r2o, r3o, r4o


def _scale(side: int, low: int, ratio: float) -> float:
    """The number nearest to ``ratio`` with which ``side`` becomes ``low`` also in the runtimes' single precision."""
    scale = np.float32(ratio)
    for towards in (np.float32(2), np.float32(0)):
        near = scale
        for _ in range(4):
            if math.floor(np.float32(side) * near) == low and math.floor(side * float(near)) == low:
                return float(near)
            near = np.nextafter(near, towards)
    return low / side


def require(form: str) -> None:
    """Check that what makes and runs a format is installed.

    Raises:
        UnavailableError: it is not; names the extra.
    """
    for package in _PACKAGES[form]:
        try:
            import_quietly(package)
        except ImportError as error:
            raise UnavailableError(f"--format {form} needs {package}: {adding(form)}") from error


def facts_of(weights: LoadedWeights, shape: Shape, form: str) -> dict[str, str]:
    """The metadata of a file."""
    kind = "float16" if shape.half and form != "openvino" else "float32"
    states = ", ".join("x".join(map(str, each)) for each in state_shapes(weights.variant, *shape.low))
    picture = f"{shape.height}x{shape.width}"
    return {
        "made_by": f"rvm-live {__version__}",
        "model": weights.variant,
        "refiner": weights.refiner,
        "width": str(shape.width),
        "height": str(shape.height),
        "downsample_ratio": repr(shape.ratio),
        "precision": "fp16" if shape.half else "fp32",
        "weights_sha256": weights.sha256,
        "inputs": f"src: a frame, {kind} 1x3x{picture}, RGB in 0-1; r1i to r4i: recurrent states, {kind} {states}, "
        "zeros for the first frame of a video, then r1o to r4o of the frame before.",
        "outputs": f"fgr: foreground, {kind} 1x3x{picture}, straight RGB in 0-1; pha: alpha, {kind} 1x1x{picture}, in "
        "0-1; r1o to r4o: the new states.",
    }


def make(form: str, weights: LoadedWeights, shape: Shape, facts: Mapping[str, str]) -> dict[str, bytes]:
    """Make a file, or two that belong together.

    Args:
        form: ``onnx``, ``openvino`` or ``torchscript``.
        weights: the checkpoint.
        shape: what the file is made for.
        facts: written into the file.

    Returns:
        Suffix -> content: ``.onnx``, ``.torchscript``, or ``.xml`` and ``.bin``.

    Raises:
        EngineError: the format's own tools refuse the network.
    """
    network = MattingNetwork(weights.variant, weights.refiner).eval().requires_grad_(False)
    network.load_state_dict(weights.state_dict, strict=True)
    fold_batch_norm(network)
    # OpenVINO chooses the precision that it computes in by the device; only the stored weights are in half precision.
    half = shape.half and form != "openvino"
    dtype = torch.float16 if half else torch.float32
    module = FixedNetwork(network, shape).to(dtype).eval()
    example = (
        torch.zeros((1, 3, shape.height, shape.width), dtype=dtype),
        *(torch.zeros(each, dtype=dtype) for each in state_shapes(weights.variant, *shape.low)),
    )
    makers = {"onnx": _onnx, "openvino": _openvino, "torchscript": _torchscript}
    try:
        with torch.inference_mode(), warnings.catch_warnings():
            # TorchScript is deprecated in favour of torch.export, whose ONNX exporter needs one more package and
            # leaves the shapes of the states to be guessed; see docs/architecture.md.
            warnings.simplefilter("ignore")
            return makers[form](module, example, shape, facts)
    except (RuntimeError, ValueError, TypeError, MemoryError) as error:
        raise EngineError(f"the network cannot be written as a file for {form}: {words_of(error)}") from error


def _onnx(module: nn.Module, example: tuple[Tensor, ...], shape: Shape, facts: Mapping[str, str]) -> dict[str, bytes]:
    import onnx

    options: dict[str, Any] = {}
    if "dynamo" in inspect.signature(torch.onnx.export).parameters:
        options["dynamo"] = False
    made = io.BytesIO()
    torch.onnx.export(
        module,
        example,
        made,  # type: ignore[arg-type]
        input_names=list(INPUTS),
        output_names=list(OUTPUTS),
        opset_version=_OPSET,
        **options,
    )
    model = onnx.load_model_from_string(made.getvalue())
    onnx.helper.set_model_props(model, dict(facts))
    model.producer_name, _, model.producer_version = facts["made_by"].partition(" ")
    model.doc_string = f"RobustVideoMatting. {facts['inputs']} {facts['outputs']}"
    onnx.checker.check_model(model, full_check=True)
    return {".onnx": model.SerializeToString()}


def _openvino(
    module: nn.Module, example: tuple[Tensor, ...], shape: Shape, facts: Mapping[str, str]
) -> dict[str, bytes]:
    openvino = import_quietly("openvino")

    model = converted(module, example)
    for port, name in zip((*model.inputs, *model.outputs), (*INPUTS, *OUTPUTS), strict=True):
        port.get_tensor().set_names({name})
    for name, value in facts.items():
        model.set_rt_info(value, ["rvm_live", name])
    with tempfile.TemporaryDirectory(prefix="rvm-live-") as scratch:
        path = Path(scratch) / "model.xml"
        openvino.save_model(model, path, compress_to_fp16=shape.half)
        return {suffix: path.with_suffix(suffix).read_bytes() for suffix in (".xml", ".bin")}


def _torchscript(
    module: nn.Module, example: tuple[Tensor, ...], shape: Shape, facts: Mapping[str, str]
) -> dict[str, bytes]:
    # Scripted, not traced: a trace would keep the device it was made on.
    made = io.BytesIO()
    torch.jit.save(torch.jit.script(module), made, _extra_files={"rvm_live.json": json.dumps(dict(facts))})
    return {".torchscript": made.getvalue()}
