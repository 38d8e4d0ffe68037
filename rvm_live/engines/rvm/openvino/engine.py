"""RobustVideoMatting on a CPU through OpenVINO: the low-resolution network there, the full-size part in OpenCV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.clock import SYSTEM_CLOCK
from rvm_live.core.errors import EngineError, UnavailableError, words_of
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.base import Engine, EngineInfo, Rung, States
from rvm_live.engines.common.device import downsample_ratio
from rvm_live.engines.common.guided_upsampling import GuidedUpsampler
from rvm_live.engines.common.ladder import FACTORS, choose_side, low_size, median_ms, ratio_of, rungs_for, state_shapes
from rvm_live.engines.common.openvino_request import OpenVinoRequest
from rvm_live.engines.common.trial import Trial, choose
from rvm_live.engines.focus.focus import Focus
from rvm_live.engines.rvm.openvino.cache import OpenVinoCache
from rvm_live.engines.rvm.openvino.devices import CPU, devices_for, name_of, pictures
from rvm_live.finishing.estimate import Common, Estimate, Found
from rvm_live.system.cpu_info import cpu_name, cpu_words
from rvm_live.system.installed import adding
from rvm_live.system.telemetry_off import import_quietly
from rvm_live.weights import load, resolve

__all__ = ["INT8_TAKEN", "OpenVinoEngine"]

_PROBE_FRAMES = 10
_TRIED = (256, 144)
INT8_TAKEN = 0.85
"""Share of the time up to which ``auto`` takes 8 bits: a smaller gain is not worth their error."""


class OpenVinoEngine(Engine):
    """The same network and weights as the ``rvm`` engine, for CPUs; ``python -m benchmarks cpu`` compares them.

    The picture is shrunk and the guided filter's model brought to full size by OpenCV in 8 and 32 bits; the network in
    between is compiled by OpenVINO for one size, and kept on disk, so that a second start is quick. Without a ratio of
    the user's it is the published one; where it has to keep up with live video, that of the largest size on a ladder
    that leaves the rest of the program its share of the time, by measurement on this machine.
    """

    def __init__(self, settings: EngineSettings) -> None:
        super().__init__(settings)
        self._cache: OpenVinoCache | None = None
        self._now: tuple[Focus, GuidedUpsampler] | None = None
        self._size: tuple[int, int] | None = None
        self._low = (0, 0)
        self._last: tuple[object, Found, Common] | tuple[None, None, None] = (None, None, None)
        self._on_cpu = True
        self._info = EngineInfo("openvino", settings.model or "", "cpu", "", settings.precision)

    @property
    def phase(self) -> str:
        return "" if self._cache is None else self._cache.phase

    def open(self) -> EngineInfo:
        asked = self.settings.device
        if asked.startswith(("cuda", "mps")):
            raise UnavailableError(
                f"openvino runs on the cpu and on Intel's devices, not on {asked}: use --engine rvm there"
            )
        try:
            openvino = import_quietly("openvino")
        except ImportError as error:
            raise UnavailableError(
                f"OpenVINO is not installed ({adding('openvino')}); it is several times as fast on a CPU"
            ) from error
        if self.settings.precision == "fp16" and asked in ("auto", "cpu"):
            raise UnavailableError("openvino computes in fp32, bf16 or int8 on a CPU, not in fp16")
        core = openvino.Core()
        others = devices_for(asked, core.available_devices)
        self._weights = load(resolve(self.settings))
        if asked == "auto" and not self.settings.keep_up:
            others = []  # only the CPU: results for files must not depend on the machine's other devices
        chosen = choose(asked, others, lambda device: self._attempt(core, device))
        self._cache = self._cache_on(core, chosen.device)
        self._on_cpu = chosen.device == CPU
        half = self._cache.has_bf16
        precision = self.settings.precision
        if precision == "auto":
            precision = self._cache.best
        elif self._on_cpu and precision == "fp16":
            precision = self._cache.best  # fp16 was meant for a GPU, which is not used
        elif precision == "bf16" and not half:
            raise UnavailableError(f"this CPU ({cpu_words()}) has no bf16: choose --precision auto or fp32")
        elif not self._on_cpu and precision in ("bf16", "int8"):
            raise UnavailableError(f"precision {precision} is for the cpu: on {asked} choose auto, fp16 or fp32")
        self._precision = precision
        name = cpu_name() if self._on_cpu else str(core.get_property(chosen.device, "FULL_DEVICE_NAME"))
        self._info = EngineInfo(
            "openvino", self._weights.variant, name_of(chosen.device), name, precision, notes=chosen.notes
        )
        return self._info

    def _cache_on(self, core: Any, device: str) -> OpenVinoCache:
        return OpenVinoCache(core, self._weights, coloured=self.settings.foreground == "model", device=device)

    def _attempt(self, core: Any, device: str) -> Trial:
        """Results of a device for a few pictures at the smallest size: the states in the precision that is compared,
        the time in the one that is taken."""
        cache = self._cache_on(core, device)
        try:
            seen = pictures(_TRIED)
            request = cache.request(_TRIED, "fp32" if device == CPU else cache.best, refined=True)
            request.reset()
            for picture in seen:
                request.run(picture)
            states = request.states
            request = cache.request(_TRIED, cache.best, refined=True)
            return Trial(states, median_ms(lambda: request.run(seen[0]), clock=SYSTEM_CLOCK))
        finally:
            cache.close()

    @property
    def info(self) -> EngineInfo:
        now = self._now
        return self._info if now is None else replace(self._info, focus=now[0].words)

    def prepare(self, width: int, height: int) -> None:
        """Choose the ratio, compile, warm up; leaves the recurrent state empty.

        Raises:
            EngineError: OpenVINO refuses the network.
            UnavailableError: int8 is not calibrated for a size it takes.
        """
        self._compiled()
        if self.settings.downsample_ratio is None and self.settings.keep_up:
            ratio = ratio_of(choose_side(width, height, self._measured(width, height)), width, height)
        else:
            ratio = downsample_ratio(self.settings.downsample_ratio, width, height)
        self._fit(width, height, ratio, quick=self.settings.keep_up)
        for _ in range(2):
            self._blank()
        if self.settings.keep_up and self.settings.box_wanted:
            self._compiled().build_bridge(self._info.precision, refined=ratio != 1.0, within=self._low)
        self.reset()

    def calibrate(self, pictures: Sequence[NDArray[np.uint8]], ratio: float) -> tuple[float, float]:
        """Make and keep the int8 network for the pictures' size and a ratio, and measure what it gives.

        Args:
            pictures: uint8 (H, W, 3) BGR, consecutive, at least 6.
            ratio: downsample ratio.

        Returns:
            Mean absolute difference of alpha from single precision, 0-1, for the worst of some pictures that were not
            calibrated on; and its time over that of what ``auto`` takes without it, which takes it from
            :data:`INT8_TAKEN` down.

        Raises:
            UnavailableError: NNCF is not installed.
            EngineError: it fails.
        """
        height, width = pictures[0].shape[:2]
        low = low_size(width, height, ratio)
        small = [picture if low == (width, height) else _shrunk(picture, low, ratio) for picture in pictures]
        cache, refined = self._compiled(), ratio != 1.0
        return cache.calibrate(low, small, refined=refined), cache.measure_int8(low, small[-1], refined=refined)

    def _compiled(self) -> OpenVinoCache:
        if self._cache is None:
            raise EngineError("the engine is not open")
        return self._cache

    def _measured(self, width: int, height: int) -> Any:
        """side -> milliseconds a frame of the network whose longer side that is, on this machine now."""

        def measure(side: int) -> float:
            self._fit(width, height, ratio_of(side, width, height), quick=True)
            return median_ms(self._blank, runs=_PROBE_FRAMES, clock=SYSTEM_CLOCK)

        return measure

    def _blank(self) -> None:
        """Run the network on a blank picture."""
        info = self._info
        request = self._compiled().request(self._low, info.precision, refined=info.downsample_ratio != 1.0)
        request.run(np.zeros((self._low[1], self._low[0], 3), np.uint8))

    def _ready(self) -> tuple[Focus, GuidedUpsampler]:
        if self._now is None:
            raise EngineError("the engine is not ready")
        return self._now

    def _fit(self, width: int, height: int, ratio: float, *, quick: bool = False) -> None:
        """Get ready for a frame size and ratio, with an empty state; ``quick``: in whatever is quickest there."""
        low = low_size(width, height, ratio)
        precision = [*self._precisions(low, refined=ratio != 1.0)][-1] if quick else self._precision
        self._now = self._focus(low, precision, refined=ratio != 1.0), GuidedUpsampler((width, height), low)
        self._low, self._size = low, (width, height)
        self._info = replace(self._info, downsample_ratio=ratio, precision=precision)

    def _precisions(self, low: tuple[int, int], *, refined: bool) -> dict[str, float]:
        """What may be used at a size, best first, with its time against single precision: what the user fixed, else
        int8 too, once it is calibrated and was seen to pay."""
        if self.settings.precision != "auto":
            return {self._precision: FACTORS[self._precision]}
        names = dict.fromkeys(("fp32", self._precision) if self._on_cpu else (self._precision,))
        found = {name: FACTORS[name] for name in names}
        share = self._compiled().share_of_int8(low, refined=refined)
        if share is not None and share <= INT8_TAKEN:
            found["int8"] = share * FACTORS[self._precision]
        return found

    def _focus(self, low: tuple[int, int], precision: str, *, refined: bool) -> Focus:
        """The network for small pictures of a size, with an empty state."""
        cache, bridges = self._compiled(), dict[tuple[int, int], OpenVinoRequest]()

        def at(size: tuple[int, int]) -> OpenVinoRequest:
            if not self.settings.keep_up or cache.ready(size, precision, refined=refined, within=low):
                bridges.clear()
                return cache.request(size, precision, refined=refined, within=low)
            if size not in bridges:
                bridges.clear()
                bridges[size] = cache.bridge(size, precision, refined=refined, within=low)
            return bridges[size]

        cache.request(low, precision, refined=refined)
        return Focus(low, at, box=self.settings.box_wanted, gate=self.settings.gate_wanted)

    @property
    def rungs(self) -> tuple[Rung, ...]:
        if self.settings.downsample_ratio is not None or self._size is None:
            return ()
        cache, size = self._compiled(), self._size

        def usable(ratio: float) -> dict[str, float]:
            low, refined = low_size(*size, ratio), ratio != 1.0
            found = self._precisions(low, refined=refined)
            return {name: found[name] for name in found if cache.usable(low, name, refined=refined)}

        return rungs_for(*size, usable)

    def use_rung(self, rung: Rung) -> bool:
        if self._size is None:
            return False
        low, refined = low_size(*self._size, rung.ratio), rung.ratio != 1.0
        if not self._compiled().ready(low, rung.precision, refined=refined):
            return False
        focus = self._focus(low, rung.precision, refined=refined)
        focus.go_on(self._fitting(self._ready()[0].states, low))
        self._now = focus, GuidedUpsampler(self._size, low)
        self._low = low
        self._info = self._info.on(rung)
        return True

    def reset(self) -> None:
        if self._now is not None:
            self._now[0].reset()

    def matte(self, frame: Frame) -> Matte:
        started_ns = SYSTEM_CLOCK.now_ns()
        self._compiled()
        width, height = frame.width, frame.height
        if self._size != (width, height):
            self.prepare(width, height)
        small = frame.image
        if self._low != (width, height):
            small = _shrunk(frame.image, self._low, self._info.downsample_ratio)
        focus, upsampler = self._ready()
        try:
            model = focus.run(small)
        except RuntimeError as error:
            self.reset()
            raise EngineError(f"matting failed in OpenVINO: {words_of(error)}") from error
        if self._last[1] is None or model is not self._last[0]:
            # Copied: the runtime's memory is overwritten by the next run.
            self._last = model, Found(*[np.array(part) for part in model]), Common()
        _, found, common = self._last
        estimate = Estimate(frame.image, lambda: found, upsampler, found.offset, common)
        stamps = started_ns, SYSTEM_CLOCK.now_ns()
        return Matte(frame, None, None, None, None, *stamps, estimate=estimate, spared=focus.spared)

    def states(self) -> States | None:
        return None if self._now is None else self._now[0].states

    def restore(self, states: States) -> None:
        if self._size is None:
            raise EngineError("the engine is not ready")
        self._ready()[0].go_on(self._fitting(states, self._low))

    def _fitting(self, states: States, low: tuple[int, int]) -> States:
        """States for another size: those of the network are resized, others are dropped."""
        shapes = state_shapes(self._weights.variant, *low)
        own = [each for each in states if each.ndim == 4]
        if len(own) != len(shapes):
            raise EngineError("the state does not fit this engine")
        if all(each.shape == shape for each, shape in zip(own, shapes, strict=True)):
            return states
        return [_resized(each, shape) for each, shape in zip(own, shapes, strict=True)]

    def close(self) -> None:
        self._now, self._last = None, (None, None, None)
        cache, self._cache = self._cache, None
        if cache is not None:
            cache.close()


def _shrunk(image: NDArray[np.uint8], low: tuple[int, int], ratio: float) -> NDArray[np.uint8]:
    """The picture at the low-resolution size, sampled where the network's own bilinear interpolation does: at exactly
    ``ratio``, also where the size had to be rounded."""
    height, width = image.shape[:2]
    if abs(width * ratio - low[0]) < 1e-3 and abs(height * ratio - low[1]) < 1e-3:
        return cv2.resize(image, low, interpolation=cv2.INTER_LINEAR)  # type: ignore[no-any-return]
    shift = 0.5 / ratio - 0.5  # pixel centres: x' = (x + 0.5) / ratio - 0.5
    inverse = np.array([[1 / ratio, 0, shift], [0, 1 / ratio, shift]])
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, inverse, low, flags=how, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[no-any-return]


def _resized(state: NDArray[np.float32], shape: tuple[int, int, int, int]) -> NDArray[np.float32]:
    """A state (1, C, h, w) brought to another size, so that the person is not lost when the size changes."""
    if state.shape == shape:
        return state
    _, _, height, width = shape
    planes = np.ascontiguousarray(state[0].transpose(1, 2, 0))
    planes = cv2.resize(planes, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(planes.transpose(2, 0, 1))[None]
