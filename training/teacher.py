"""What the teacher's encoder sees in a sample: targets for the student's deepest features (Romero et al. 2015,
*FitNets*, arXiv 1412.6550). It has seen far more people and places than the clips at hand show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from rvm_live import weights
from rvm_live.engines.common.cpu_runtime import openvino_options
from rvm_live.engines.common.openvino_models import converted
from rvm_live.network.network import MattingNetwork
from rvm_live.system.telemetry_off import import_quietly

__all__ = ["CHANNELS", "STRIDE", "Teacher", "feature_loss"]

CHANNELS = 128
STRIDE = 16
_LARGER = 1.5
"""The teacher looks at a picture larger than the student's, nearer to the sizes it was made for."""


class _Seen(nn.Module):
    def __init__(self, network: MattingNetwork, size: tuple[int, int]) -> None:
        super().__init__()
        self.backbone, self.aspp = network.backbone, network.aspp
        self.low = -(-size[1] // STRIDE), -(-size[0] // STRIDE)
        self.large = [round(side * _LARGER / STRIDE) * STRIDE for side in (size[1], size[0])]

    def forward(self, pictures: Tensor) -> Tensor:
        base = functional.interpolate(
            pictures.permute(0, 3, 1, 2).float().flip(1) / 255, self.large, mode="bilinear", align_corners=False
        )
        deep: Tensor = self.aspp(self.backbone(base)[3])
        return functional.adaptive_avg_pool2d(deep, self.low)


class Teacher:
    """The encoder of a checkpoint of RVM (MobileNetV3), compiled for one size of batch; needs OpenVINO.

    Args:
        checkpoint: of the teacher.
        size: of the student's pictures, width and height.
        count: pictures of a batch.
    """

    def __init__(self, checkpoint: Path, size: tuple[int, int], count: int) -> None:
        loaded = weights.load(checkpoint)
        network = MattingNetwork(loaded.variant, loaded.refiner).eval().requires_grad_(False)
        network.load_state_dict(loaded.state_dict, strict=True)
        model = converted(_Seen(network, size).eval(), (torch.zeros((count, size[1], size[0], 3), dtype=torch.uint8),))
        options: dict[str, Any] = {**openvino_options("f32", cached=False), "INFERENCE_NUM_THREADS": 1}
        self._request = import_quietly("openvino").Core().compile_model(model, "CPU", options).create_infer_request()

    def __call__(self, pictures: NDArray[np.uint8]) -> NDArray[np.float16]:
        """Features float16 (N, 128, h / 16, w / 16) of pictures (N, h, w, 3) BGR."""
        self._request.infer([pictures], share_inputs=True)
        return np.asarray(self._request.get_output_tensor(0).data, np.float16)


def feature_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared distance of the student's features from the teacher's, in deviations of each channel in the batch.

    Args:
        student: (N, 128, h, w), already brought to the teacher's channels.
        teacher: likewise.
    """
    with torch.no_grad():
        mean, deviation = teacher.mean((0, 2, 3), keepdim=True), teacher.std((0, 2, 3), keepdim=True)
        wanted = ((teacher - mean) / (deviation + 1e-3)).clamp(-4, 4)
    return (student - wanted).square().mean()
