"""RobustVideoMatting as an engine: torch on CUDA, MPS or the CPU."""

from __future__ import annotations

import torch
from torch import Tensor

from rvm_live import transfer
from rvm_live.clock import SYSTEM_CLOCK
from rvm_live.engines.base import Engine, EngineInfo
from rvm_live.engines.device import Lane, choose_device, choose_precision, device_name, downsample_ratio, one_line
from rvm_live.engines.rvm.folding import fold_batch_norm
from rvm_live.engines.rvm.ladder import low_size, ratios_for, state_shapes
from rvm_live.engines.rvm.network import MattingNetwork, shrink
from rvm_live.errors import EngineError, UnavailableError
from rvm_live.frames import Frame, Matte
from rvm_live.settings import EngineSettings
from rvm_live.weights import load, resolve

__all__ = ["RvmEngine"]

_WARM_UP_FRAMES = 2
_NO_STATES: tuple[None, ...] = (None,) * 4
_TURN = (2, 1, 0, 3)  # red, green, blue, mean <-> blue, green, red, mean


class RvmEngine(Engine):
    """Runs :class:`~rvm_live.engines.rvm.network.MattingNetwork`.

    The full-size picture stays in BGR and in single precision; only its small copy is turned to RGB for the network,
    and the small linear model that comes back is turned to BGR before it is applied. The states belong to one frame
    size: another size starts a new sequence by itself.
    """

    def __init__(self, settings: EngineSettings) -> None:
        super().__init__(settings)
        self._network: MattingNetwork | None = None
        self._info = EngineInfo("rvm", settings.model or "", settings.device, "", settings.precision)
        self._states: tuple[Tensor | None, ...] = _NO_STATES
        self._size: tuple[int, int] | None = None
        self._ratio = 0.0

    def open(self) -> EngineInfo:
        device = choose_device(self.settings.device)
        precision = choose_precision(self.settings.precision, device)
        weights = load(resolve(self.settings))
        network = MattingNetwork(weights.variant, weights.refiner).eval().requires_grad_(False)
        network.load_state_dict(weights.state_dict, strict=True)
        fold_batch_norm(network)
        self._dtype = torch.float16 if precision == "fp16" else torch.float32
        # oneDNN and cuDNN are both at their fastest with the channels innermost.
        self._layout = torch.contiguous_format if device.type == "mps" else torch.channels_last
        try:
            self._lane = Lane(device)
            with self._lane.work():
                network = network.to(device, self._dtype)
                network = network.to(memory_format=self._layout)  # type: ignore[call-overload]
                self._turn = torch.tensor(_TURN, device=device)
                self._lane.finish()
        except RuntimeError as error:
            raise UnavailableError(f"device {device} cannot be used: {one_line(error)}") from error
        self._device = device
        self._network = network
        self._info = EngineInfo("rvm", weights.variant, str(device), device_name(device), precision)
        return self._info

    @property
    def info(self) -> EngineInfo:
        return self._info

    def prepare(self, width: int, height: int) -> None:
        """Warm up for a frame size; leaves the recurrent state empty.

        Raises:
            EngineError: the device cannot do it, e.g. for lack of memory.
        """
        self._require_open()
        try:
            with self._lane.work():
                blank = torch.zeros((height, width, 3), dtype=torch.uint8, device=self._device)
                for _ in range(_WARM_UP_FRAMES):
                    self._estimate(blank)
                self._lane.finish()
        except RuntimeError as error:
            raise self._failed(error) from error
        finally:
            self.reset()

    @property
    def ratios(self) -> tuple[float, ...]:
        if self.settings.downsample_ratio is not None or self._size is None:
            return ()
        return ratios_for(*self._size)

    def use_ratio(self, ratio: float) -> bool:
        if self._size is None or ratio == self._ratio:
            return True
        width, height = low_size(*self._size, ratio)
        with self._lane.work():
            carried: list[Tensor | None] = []
            for state, shape in zip(self._states, state_shapes(self._info.model, width, height), strict=True):
                if state is not None:
                    state = torch.nn.functional.interpolate(state, shape[2:], mode="bilinear", align_corners=False)
                    state = state.contiguous(memory_format=self._layout)
                carried.append(state)
        self._states = tuple(carried)
        self._ratio = ratio
        self._info = self._info.at_ratio(ratio)
        return True

    def reset(self) -> None:
        self._states = _NO_STATES

    def matte(self, frame: Frame) -> Matte:
        started_ns = SYSTEM_CLOCK.now_ns()
        self._require_open()
        try:
            with self._lane.work():
                image = transfer.upload(frame.image, self._device)
                alpha, foreground = self._estimate(image)
                ready = self._lane.finish()
        except RuntimeError as error:
            raise self._failed(error) from error
        return Matte(frame, alpha, foreground, image, ready, started_ns, SYSTEM_CLOCK.now_ns())

    def close(self) -> None:
        self._network = None
        self._states = _NO_STATES
        if self._info.device.startswith("cuda"):
            torch.cuda.empty_cache()

    def _require_open(self) -> MattingNetwork:
        if self._network is None:
            raise EngineError("the engine is not open")
        return self._network

    def _failed(self, error: Exception) -> EngineError:
        self.reset()
        return EngineError(f"matting failed on {self._device}: {one_line(error)}")

    def _fit(self, width: int, height: int) -> None:
        """Get ready for a frame size."""
        if self._size != (width, height):
            self.reset()
            self._ratio = downsample_ratio(self.settings.downsample_ratio, width, height)
            self._size = (width, height)
            self._info = self._info.at_ratio(self._ratio)

    def _estimate(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 (H, W, 3) BGR -> alpha (H, W) and foreground (H, W, 3) BGR, float32 in 0-1; advances the state."""
        network = self._require_open()
        height, width = image.shape[:2]
        self._fit(width, height)
        # Blue, green, red and their mean, one plane each.
        picture = torch.empty((1, 4, height, width), device=image.device)
        colour = picture[:, :3]
        colour.copy_(image.permute(2, 0, 1)[None]).div_(255)
        refined = self._ratio != 1.0
        small = shrink(colour, self._ratio) if refined else colour
        base = small.flip(1)
        r1, r2, r3, r4 = self._states
        small_rgb = base.to(self._dtype, memory_format=self._layout)
        mat, hidden, *states = network.coarse(small_rgb, r1, r2, r3, r4)
        self._states = tuple(states)
        if refined:
            slope, offset = network.refiner.coefficients(base, mat, hidden)
            slope, offset = slope.float(), offset.float()
            # The network estimates foreground minus picture; a slope of one more adds the picture back.
            slope[:, :3] += 1
            model = torch.cat([slope[:, self._turn], offset[:, self._turn]], dim=1).contiguous()
            model = torch.nn.functional.interpolate(model, (height, width), mode="bilinear", align_corners=False)
            torch.mean(colour, dim=1, keepdim=True, out=picture[:, 3:])
            result = model[:, 4:].addcmul_(model[:, :4], picture).clamp_(0, 1)
        else:
            result = mat[:, self._turn].float().contiguous()
            result[:, :3] += colour
            result.clamp_(0, 1)
        return result[0, 3], result[0, :3].permute(1, 2, 0)
