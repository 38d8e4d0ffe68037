"""The embedded engine: works without any download, on any CPU."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live import __version__
from rvm_live.core.clock import SYSTEM_CLOCK
from rvm_live.core.errors import EngineError, UnavailableError, words_of
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.base import Engine, EngineInfo, States
from rvm_live.engines.common.guided_upsampling import GuidedUpsampler
from rvm_live.engines.common.ladder import LEAST_LINES
from rvm_live.engines.common.openvino_models import keep_if_possible, kept
from rvm_live.engines.lite.colours import Unmixer, contrast
from rvm_live.engines.lite.inference import OpenVinoRunner, Runner
from rvm_live.system.cpu_info import cpu_name
from rvm_live.system.installed import adding
from rvm_live.system.telemetry_off import import_quietly
from rvm_live.weights import consent
from rvm_live.weights.files import file_bytes

if TYPE_CHECKING:
    from rvm_live.engines.lite.network import LiteNetwork

__all__ = ["SIDE", "LiteEngine", "fit_alpha", "ratio_for", "trained_size"]

SIDE = 256
"""Of the longer side, which the network was trained at."""
STRIDE = 16
"""Of the network's deepest level: it was trained at multiples of this alone, and is worse at sizes between them."""
EMBEDDED = Path(__file__).with_name("lite.safetensors")
"""The weights, in half precision."""
_FORMAT = 1
"""Of the converted network that is kept; goes up when what is converted changes its meaning."""
_WARM_UP_FRAMES = 2
_EPSILON = 1e-5
_KEPT_SIZES = 4

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


def ratio_for(width: int, height: int) -> float:
    """The ratio at which the longer side is :data:`SIDE`; a narrow strip keeps enough lines."""
    return min(max(SIDE / max(width, height), LEAST_LINES / min(width, height)), 1.0)


def trained_size(width: int, height: int, ratio: float) -> tuple[int, int]:
    """Width and height the network works at: ``side * ratio``, up to the next multiple of :data:`STRIDE` that the side
    holds; a side shorter than one stays as it is."""

    def up(side: int) -> int:
        return min(-(-int(side * ratio) // STRIDE), side // STRIDE) * STRIDE or side

    return up(width), up(height)


def fit_alpha(picture: Bytes, alpha: Floats) -> list[Floats]:
    """The linear model of the guided filter (He and Sun 2015), over 3x3 pixels and the picture's mean.

    Args:
        picture: uint8 (h, w, 3) BGR.
        alpha: (h, w) in 0-1.

    Returns:
        Slope and offset, float32 (h, w): alpha in grey levels is ``slope * mean(picture) + offset``.
    """
    grey = np.asarray(cv2.transform(picture.astype(np.float32), np.full((1, 3), 1 / (3 * 255), np.float32)))

    def box(values: Floats) -> Floats:
        return np.asarray(cv2.blur(values, (3, 3), borderType=cv2.BORDER_REFLECT))

    mean_x, mean_y = box(grey), box(alpha)
    slope = (box(grey * alpha) - mean_x * mean_y) / (box(grey * grey) - mean_x * mean_x + np.float32(_EPSILON))
    return [slope, (mean_y - slope * mean_x) * np.float32(255)]


class LiteEngine(Engine):
    """A small network of this project's own, whose weights lie in the package.

    The network finds alpha alone, at 256 pixels of the longer side unless a ratio is given; a guided filter brings it
    to the frame's size. The foreground is the frame, with the room taken out of the person's edge
    (:mod:`rvm_live.engines.lite.colours`). OpenVINO runs the network where that is installed, else torch.
    """

    def __init__(self, settings: EngineSettings) -> None:
        super().__init__(settings)
        self._network: LiteNetwork | None = None
        self._name = ""
        self._open = False
        self._core: Any = None
        self._now: tuple[Runner, GuidedUpsampler | None] | None = None
        self._unmixer: Unmixer | None = None
        self._size: tuple[int, int] | None = None
        self._low = (0, 0)
        self._runners: dict[tuple[int, int], Runner] = {}
        self._info = EngineInfo("lite", "lite", "cpu", "", settings.precision)

    def open(self) -> EngineInfo:
        if self.settings.device not in ("auto", "cpu"):
            raise UnavailableError(f"lite runs on the cpu, not on {self.settings.device}: use --engine rvm there")
        precision = self.settings.precision
        if precision not in ("auto", "fp32", "bf16"):
            raise UnavailableError(f"lite computes in fp32 or bf16, not in {precision}: choose --precision auto")
        notes: tuple[str, ...] = ()
        remarks: tuple[str, ...] = ()
        try:
            openvino = import_quietly("openvino")
        except ImportError:
            core, has_bf16 = None, False
            slow = f"lite runs in torch; with OpenVINO it is several times as fast: {adding('openvino')}"
            if consent.first_time(consent.NO_OPENVINO, of="told"):
                notes = (slow,)
            else:
                remarks = (slow,)
        else:
            core = openvino.Core()
            has_bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if precision == "bf16" and not has_bf16:
            raise UnavailableError(f"no bf16 for lite on this CPU ({cpu_name()}): choose --precision auto or fp32")
        if precision == "auto":
            precision = "bf16" if has_bf16 else "fp32"
        if core is None or self.settings.weights is not None:
            self._load()
        else:  # torch, which takes seconds to load, is needed only to convert them
            self._name = f"lite-{sha256(file_bytes(EMBEDDED)).hexdigest()[:16]}-{__version__}-{_FORMAT}"
        self._core, self._open = core, True
        self._info = EngineInfo("lite", "lite", "cpu", cpu_name(), precision, notes=notes, remarks=remarks)
        return self._info

    @property
    def info(self) -> EngineInfo:
        return self._info

    def prepare(self, width: int, height: int) -> None:
        """Compile and warm up for a frame size; leaves the recurrent state empty.

        Raises:
            EngineError: OpenVINO refuses the network, or the ratio leaves nothing of the frame.
        """
        runner, _ = self._fitted(width, height)
        for _ in range(_WARM_UP_FRAMES):
            runner.run(np.zeros((self._low[1], self._low[0], 3), np.uint8))
        runner.reset()

    def _fitted(self, width: int, height: int) -> tuple[Runner, GuidedUpsampler | None]:
        """What works on frames of a size, with an empty state if that is new."""
        if not self._open:
            raise EngineError("the engine is not open")
        if self._now is not None and self._size == (width, height):
            return self._now
        ratio = self.settings.downsample_ratio or ratio_for(width, height)
        if min(width, height) * ratio < 1:
            raise EngineError(
                f"downsample ratio {ratio:g} leaves nothing of a {width}x{height} frame: choose a larger one"
            )
        low = trained_size(width, height, ratio)
        self._now = self._runner(low), None if low == (width, height) else GuidedUpsampler((width, height), low)
        self._unmixer = Unmixer(width, height) if self.settings.foreground == "model" else None
        self._size, self._low = (width, height), low
        self._info = self._info.at_ratio(ratio)
        return self._now

    def _runner(self, low: tuple[int, int]) -> Runner:
        """The network at a size, with an empty state. A few are kept: what changes its size changes it back, and
        OpenVINO gives back little of what a network took that it compiled."""
        runner = self._runners.pop(low, None) or self._made(low)
        runner.reset()
        self._runners[low] = runner
        while len(self._runners) > _KEPT_SIZES:
            del self._runners[next(iter(self._runners))]
        return runner

    def _made(self, low: tuple[int, int]) -> Runner:
        if self._core is None:
            from rvm_live.engines.lite.in_torch import TorchRunner

            return TorchRunner(self._load())
        name = self._name and f"{self._name}-{low[0]}x{low[1]}"
        model = kept(self._core, name) if name else None
        if model is None:
            from rvm_live.engines.lite.in_torch import openvino_model

            model = openvino_model(self._load(), low)
            if name:
                keep_if_possible(name, model)
        return OpenVinoRunner(self._core, model, self._info.precision)

    def _load(self) -> LiteNetwork:
        """The network in torch.

        Raises:
            WeightsError: those that were named are no good.
        """
        from rvm_live.engines.lite.in_torch import folded
        from rvm_live.engines.lite.weights import load_network

        if self._network is None:
            self._network = folded(load_network(self.settings.weights))
        return self._network

    def reset(self) -> None:
        if self._now is not None:
            self._now[0].reset()

    def matte(self, frame: Frame) -> Matte:
        started_ns = SYSTEM_CLOCK.now_ns()
        runner, upsampler = self._fitted(frame.width, frame.height)
        small = frame.image
        if upsampler is not None:  # every pixel counts, or what is fine would flicker in the small picture
            small = cv2.resize(frame.image, self._low, interpolation=cv2.INTER_AREA)
        try:
            found = runner.run(small)
        except RuntimeError as error:
            runner.reset()
            raise EngineError(f"matting failed: {words_of(error)}") from error
        if upsampler is None:
            alpha = (found * 255 + 0.5).astype(np.uint8)
        else:
            alpha, _ = upsampler.apply(frame.image, fit_alpha(small, found))
        foreground = None
        if self._unmixer is not None:
            foreground = self._unmixer.apply(frame.image, alpha, contrast(small, found))
        return Matte(frame, alpha, foreground, None, None, started_ns, SYSTEM_CLOCK.now_ns())

    def states(self) -> States | None:
        return None if self._now is None else self._now[0].states

    def restore(self, states: States) -> None:
        if self._now is None:
            raise EngineError("the engine is not ready")
        try:
            self._now[0].states = states
        except (RuntimeError, ValueError) as error:
            raise EngineError(f"the state does not fit the engine: {words_of(error)}") from error

    def close(self) -> None:
        self._runners = {}
        self._network = self._now = self._core = self._size = self._unmixer = None
        self._open = False
