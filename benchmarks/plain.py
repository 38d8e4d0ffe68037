"""The plain network that every engine is measured against: as its paper describes it, without any optimisation."""

from __future__ import annotations

import torch

from rvm_live.core.clock import SYSTEM_CLOCK
from rvm_live.core.errors import EngineError
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.base import Engine, EngineInfo
from rvm_live.engines.common.device import choose_device, device_name, downsample_ratio
from rvm_live.network.network import MattingNetwork
from rvm_live.weights import load, resolve

__all__ = ["PlainEngine"]


class PlainEngine(Engine):
    """:class:`~rvm_live.network.network.MattingNetwork` called frame by frame, as a short script would do it: eager
    PyTorch in ``fp32`` (or ``fp16``, if the settings say so), with the picture passed in at full size."""

    def __init__(self, settings: EngineSettings) -> None:
        super().__init__(settings)
        self._network: MattingNetwork | None = None
        self._states: tuple[torch.Tensor | None, ...] = (None,) * 4
        self._info = EngineInfo("plain", settings.model or "", settings.device, "", settings.precision)

    def open(self) -> EngineInfo:
        device = choose_device(self.settings.device)
        half = self.settings.precision == "fp16"
        weights = load(resolve(self.settings))
        network = MattingNetwork(weights.variant, weights.refiner).eval()
        network.load_state_dict(weights.state_dict, strict=True)
        self._device, self._dtype = device, torch.float16 if half else torch.float32
        self._network = network.to(device, self._dtype)
        precision = "fp16" if half else "fp32"
        self._info = EngineInfo("plain", weights.variant, str(device), device_name(device), precision)
        return self._info

    @property
    def info(self) -> EngineInfo:
        return self._info

    def prepare(self, width: int, height: int) -> None:
        self._info = self._info.at_ratio(downsample_ratio(self.settings.downsample_ratio, width, height))

    def reset(self) -> None:
        self._states = (None,) * 4

    def matte(self, frame: Frame) -> Matte:
        started_ns = SYSTEM_CLOCK.now_ns()
        if self._network is None:
            raise EngineError("the engine is not open")
        with torch.inference_mode():
            picture = torch.from_numpy(frame.image[..., ::-1].copy()).to(self._device)
            src = picture.permute(2, 0, 1)[None].to(self._dtype) / 255
            found = self._network(src, *self._states, downsample_ratio=self._info.downsample_ratio)
            self._states = tuple(found[2:])
            foreground = found[0][0].flip(0).permute(1, 2, 0)
        return Matte(frame, found[1][0, 0], foreground, None, None, started_ns, SYSTEM_CLOCK.now_ns())

    def close(self) -> None:
        self._network = None
        self.reset()
