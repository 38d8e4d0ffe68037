"""The compositor that works where the matte lies: CUDA, MPS or the CPU, through torch."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from rvm_live.backgrounds.base import Blur, Clear, Layer, Plate
from rvm_live.compositing.base import Compositor
from rvm_live.compositing.common import GREY, PRIOR, ROUND_UP, BlurPlan, Plates, check_layer, plan_blur
from rvm_live.compositing.lens import LEVEL_STEPS, LEVELS, LIGHT, STRETCH
from rvm_live.core import transfer
from rvm_live.core.errors import CompositorError, UnavailableError, told_as, words_of
from rvm_live.core.frames import Matte, TensorMatte

if TYPE_CHECKING:
    from rvm_live.compositing.lighting import Lighting
    from rvm_live.compositing.lighting_torch import TorchLight

__all__ = ["TorchCompositor", "usable_device"]

_log = logging.getLogger("rvm_live")


class TorchCompositor(Compositor):
    """Composites on the matte's own device; a frame comes down to the host once, as the finished picture.

    On CUDA it has its own stream, which waits for the matte's ``ready`` event and for nothing else.
    """

    name = "torch"

    def __init__(self, device: str = "cpu") -> None:
        super().__init__(device)
        self._device = torch.device("cpu")
        self._stream: Any = None
        self._blend: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor] | None = None
        self._plates: Plates[torch.Tensor] = Plates()
        self._smoothing: tuple[BlurPlan, torch.Tensor, torch.Tensor] | None = None
        self._lens: tuple[BlurPlan, list[torch.Tensor]] | None = None
        self._light: TorchLight | None = None

    @property
    def lights(self) -> bool:
        """Whether it supports light wrap, matching and linear blending: only for mattes in a device's memory. In main
        memory the CPU's back end is faster."""
        return self._device.type != "cpu"

    def open(self) -> None:
        self._device = usable_device(self.device)
        if self._device.type == "cuda":
            self._stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
            with torch.inference_mode(), self._on_stream():
                self._blend = _quick_blend(self._device)

    def composite(
        self, matte: Matte, layer: Layer, *, source_foreground: bool = False, lighting: Lighting | None = None
    ) -> NDArray[np.uint8]:
        """As for every compositor; ``lighting`` is the background's light, if a look asks for it."""
        check_layer(layer, matte.frame)
        failed = told_as(CompositorError, f"torch failed on {self._device}", of=RuntimeError)
        with failed, torch.inference_mode(), self._on_stream():
            result = self._composite(matte.tensor(self._device), layer, source_foreground, lighting)
            return transfer.download(result)

    def close(self) -> None:
        self._plates.clear()
        self._smoothing = self._lens = self._stream = self._blend = self._light = None

    def _on_stream(self) -> AbstractContextManager[Any]:
        return nullcontext() if self._stream is None else torch.cuda.stream(self._stream)

    def _composite(
        self, matte: TensorMatte, layer: Layer, source_foreground: bool, lighting: Lighting | None
    ) -> torch.Tensor:
        colour = matte.image if source_foreground else matte.colour
        alpha = matte.alpha.unsqueeze(-1)
        if isinstance(layer, Clear):
            return torch.cat((colour * (alpha > 0), alpha), dim=-1)
        plate = self._blurred(matte, layer) if isinstance(layer, Blur) else self._uploaded(layer)
        if lighting is not None:
            light = self._lighting()
            colour = light.coloured(colour, matte.alpha, plate, layer, lighting)
            if lighting.look.blend == "linear":
                return light.over(colour, matte.alpha, plate)
        if self._blend is not None:
            return self._blend(colour, matte.alpha, plate)
        share = alpha.float().div_(255)
        # Each product is rounded by itself, as in the CPU reference. Exact halves cannot occur: 255 is odd.
        result = (colour * share).round_()
        return result.add_((plate * (1 - share)).round_()).to(torch.uint8)

    def _lighting(self) -> TorchLight:
        if self._light is None:
            from rvm_live.compositing.lighting_torch import TorchLight

            self._light = TorchLight(self._device)
        return self._light

    def _uploaded(self, plate: Plate) -> torch.Tensor:
        return self._plates.get(plate, lambda gone: transfer.upload(plate.image, self._device))

    def _blurred(self, matte: TensorMatte, layer: Blur) -> torch.Tensor:
        """The frame's surroundings without the person, float (H, W, 3), as :mod:`rvm_live.compositing.common` says."""
        height, width = matte.alpha.shape
        plan = plan_blur(width, height, layer.strength, layer.lens)
        values = _weighted(matte, plan)
        for _ in range(plan.coarse):
            values = (values[0::2, 0::2] + values[1::2, 0::2] + values[0::2, 1::2] + values[1::2, 1::2] + 2) >> 2
        if plan.disc is not None:
            return _enlarged(self._through_lens(values, plan), plan)[:height, :width]
        weighted = values.float()
        rows, columns = self._smoothers(plan)
        # The Gaussian as two matrix products: unlike a convolution, they keep full precision on every device.
        flat = rows @ weighted.reshape(plan.height, -1)
        sums = torch.einsum("xw,ywc->yxc", columns, flat.reshape(plan.height, plan.width, 4))
        prior = torch.full((4,), PRIOR * GREY, device=sums.device)
        prior[3:] = PRIOR
        sums = sums + prior
        small = (sums[..., :3] / sums[..., 3:] * 255 + ROUND_UP).clamp_(max=255).floor_()
        return _enlarged(small, plan)[:height, :width]

    def _through_lens(self, values: torch.Tensor, plan: BlurPlan) -> torch.Tensor:
        """The blur of :mod:`rvm_live.compositing.lens`, float (h, w, 3) with whole values."""
        known = self._lens
        if known is None or known[0] is not plan:
            known = self._lens = (plan, [each.to(self._device) for each in _lens_of(plan)])
        rows, columns, light, levels = known[1]
        weight = values[..., 3:].float()
        level = (values[..., :3].float() * (255 / weight.clamp(min=1))).round_().clamp_(max=255).long()
        weighted = torch.cat((light[level] * weight, weight), dim=-1)
        for _ in range(plan.levels - plan.coarse):
            weighted = (weighted[0::2, 0::2] + weighted[1::2, 0::2] + weighted[0::2, 1::2] + weighted[1::2, 1::2]) / 4
        # The disc line by line, each line as two matrix products, like the Gaussian.
        lines = torch.einsum("kxw,ywc->kyxc", columns, weighted)
        sums = torch.einsum("kvy,kyxc->vxc", rows, lines)
        mean = (sums[..., :3] + light[128] * PRIOR) / (sums[..., 3:] + PRIOR)
        mean = (mean * LEVEL_STEPS / (1 + STRETCH * mean) + 0.5).clamp_(0, LEVEL_STEPS)
        return levels[mean.long()].float()

    def _smoothers(self, plan: BlurPlan) -> tuple[torch.Tensor, torch.Tensor]:
        known = self._smoothing
        if known is None or known[0] is not plan:
            rows = torch.from_numpy(_band(plan.kernel, plan.height)).to(self._device)
            columns = torch.from_numpy(_band(plan.kernel, plan.width)).to(self._device)
            known = self._smoothing = (plan, rows, columns)
        return known[1], known[2]


def _quick_blend(device: torch.device) -> Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor] | None:
    """The blend as one kernel, if Triton is installed and its result is right; else None."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Triton warns here about defaults of its next version
            from rvm_live.compositing.fused import blended, why_wrong

            reason = why_wrong(device)
    except Exception as error:  # a compiler, its cache or a driver may fail in any way: no reason to stop
        reason = words_of(error)
    if reason is None:
        return blended
    _log.info("blending runs without Triton: %s", reason)
    return None


def usable_device(name: str) -> torch.device:
    """The torch device called ``name``, with its number, after a test that it can allocate memory.

    Raises:
        UnavailableError: there is no such device here.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UnavailableError(f"torch knows no device {name!r}") from None
    if device.type == "cuda":
        if not torch.cuda.is_available():
            built = "finds no CUDA device" if torch.version.cuda else "is built without CUDA"
            raise UnavailableError(f"this torch ({torch.__version__}) {built}")
        device = torch.device("cuda", torch.cuda.current_device() if device.index is None else device.index)
    with told_as(UnavailableError, f"torch cannot use {name}", of=(RuntimeError, AssertionError, NotImplementedError)):
        torch.empty(1, device=device)
    return device


def _weighted(matte: TensorMatte, plan: BlurPlan) -> torch.Tensor:
    """int32 (h, w, 4): colour and weight times 255 - alpha, padded with zeros to a multiple of the plan's factor."""
    height, width = matte.alpha.shape
    rest = 255 - matte.alpha.to(torch.int32).unsqueeze(-1)
    values = torch.zeros(plan.padded_height, plan.padded_width, 4, dtype=torch.int32, device=rest.device)
    torch.mul(matte.image.to(torch.int32), rest, out=values[:height, :width, :3])
    values[:height, :width, 3:] = rest * 255
    return values


def _enlarged(small: torch.Tensor, plan: BlurPlan) -> torch.Tensor:
    """Bilinear enlargement by the plan's factor, rounded half up; exact, since all weights are powers of two."""
    if not plan.levels:
        return small
    planes = small.permute(2, 0, 1).unsqueeze(0)
    size = (plan.padded_height, plan.padded_width)
    large = torch.nn.functional.interpolate(planes, size=size, mode="bilinear", align_corners=False)
    return large[0].permute(1, 2, 0).add_(0.5).floor_()


def _lens_of(plan: BlurPlan) -> tuple[torch.Tensor, ...]:
    """Rows float32 (k, h, h) and columns (k, w, w) whose products are the disc, light of levels, levels of light."""
    assert plan.disc is not None
    reach = len(plan.disc) // 2
    columns, rows = [], []
    for line in range(reach + 1):  # the lines on the other side are the same
        columns.append(_band(plan.disc[reach + line], plan.width))
        where = np.zeros(2 * reach + 1, np.float32)
        where[[reach - line, reach + line]] = 1
        rows.append(_band(where, plan.height))
    tables = (LIGHT, LEVELS.astype(np.float32))
    return tuple(torch.from_numpy(each) for each in (np.stack(rows), np.stack(columns), *tables))


def _band(kernel: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """The (length, length) matrix that convolves with ``kernel``, zeros beyond both ends."""
    radius = len(kernel) // 2
    matrix = np.zeros((length, length), np.float32)
    for offset in range(-min(radius, length - 1), min(radius, length - 1) + 1):
        matrix += np.eye(length, k=offset, dtype=np.float32) * kernel[radius + offset]
    return matrix
