"""The embedded engine: works without any download, on any CPU."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from rvm_live import __version__
from rvm_live.core.arrays import Bytes, Floats
from rvm_live.core.clock import SYSTEM_CLOCK
from rvm_live.core.errors import EngineError, UnavailableError, told_as, words_of
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.base import Engine, EngineInfo, States
from rvm_live.engines.common import cpu_runtime
from rvm_live.engines.common.guided_upsampling import GuidedUpsampler
from rvm_live.engines.common.ladder import LEAST_LINES
from rvm_live.engines.common.openvino_models import keep_if_possible, keep_state, kept, resized, shapes_of_states
from rvm_live.engines.common.prepared import Prepared
from rvm_live.engines.focus.focus import Focus
from rvm_live.engines.lite import learned
from rvm_live.engines.lite.colours import Unmixer, contrast
from rvm_live.engines.lite.inference import STATES, AnySize, OpenVinoRunner, Runner
from rvm_live.finishing import one_pass
from rvm_live.finishing.estimate import Common, Estimate, Found
from rvm_live.system.cpu_info import cpu_name, cpu_words
from rvm_live.system.installed import adding
from rvm_live.system.telemetry_off import import_quietly
from rvm_live.weights import consent
from rvm_live.weights.files import file_bytes

if TYPE_CHECKING:
    from rvm_live.engines.lite.network import LiteNetwork

__all__ = ["SIDE", "LiteEngine", "fit_alpha", "ratio_for", "trained_size"]

SIDE = 320
"""Longer side of the pictures that the network was trained with, pixels."""
STRIDE = 16
"""Stride of the network's deepest level: the sides of its pictures are multiples of this."""
EMBEDDED = Path(__file__).with_name("lite.safetensors")
"""The weights, in half precision."""
_FORMAT = 3
"""Version of the stored converted network; goes up when the conversion changes its meaning."""
_STALE = "another version of lite has learnt this camera, so this is not used: run `rvm-live learn` again"
_WARM_UP_FRAMES = 2
_EPSILON = 1e-5
_KEPT_SIZES = 4

_Key = tuple[tuple[int, int], bool]
"""Width and height the network works at, and whether the frame is larger."""


def ratio_for(width: int, height: int) -> float:
    """The ratio at which the longer side is :data:`SIDE`; a narrow strip keeps enough lines."""
    return min(max(SIDE / max(width, height), LEAST_LINES / min(width, height)), 1.0)


def trained_size(width: int, height: int, ratio: float) -> tuple[int, int]:
    """Width and height the network works at: ``side * ratio``, to the nearest multiple of :data:`STRIDE` that the side
    holds, and one at least: a side shorter than that is enlarged."""

    def near(side: int) -> int:
        return max(1, min(round(side * ratio / STRIDE), side // STRIDE)) * STRIDE

    return near(width), near(height)


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


class _Fitted:
    """The network with the linear model fitted to what it finds: slope, offset, and alpha itself, (h, w) in 0-1.

    Args:
        runner: the network at one size.
        refined: the frame is larger than the picture it sees.
    """

    def __init__(self, runner: Runner, *, refined: bool) -> None:
        self._runner, self._refined = runner, refined

    def run(self, picture: Bytes) -> list[Floats]:
        found = self._runner.run(picture)
        model = fit_alpha(picture, found) if self._refined else [np.zeros_like(found), found * np.float32(255)]
        return [*model, found]

    def reset(self) -> None:
        self._runner.reset()

    @property
    def states(self) -> list[Floats]:
        return self._runner.states

    @states.setter
    def states(self, values: list[Floats]) -> None:
        self._runner.states = values


class _Reference(GuidedUpsampler):
    """Removes the room's colour from the picture's own colours."""

    def __init__(self, full: tuple[int, int], low: tuple[int, int]) -> None:
        super().__init__(full, low)
        self._unmixer = Unmixer(*full)

    def colour(self, image: Bytes, alpha: Bytes, found: Found) -> Bytes:
        assert found.difference is not None
        return self._unmixer.apply(image, alpha, found.difference)


class LiteEngine(Engine):
    """A small network of this project's own, whose weights lie in the package.

    The network finds alpha alone, at 320 pixels of the longer side unless a ratio is given; a guided filter brings it
    to the frame's size. The foreground is the frame, with the room taken out of the person's edge
    (:mod:`rvm_live.engines.lite.colours`). OpenVINO runs the network where that is installed, else torch.
    """

    def __init__(self, settings: EngineSettings) -> None:
        super().__init__(settings)
        self._network: LiteNetwork | None = None
        self._name = ""
        self._open = False
        self._core: Any = None
        self._now: tuple[Focus, _Reference] | None = None
        self._size: tuple[int, int] | None = None
        self._low = (0, 0)
        self._last: tuple[object, Common] = (None, Common())
        self._model: Any = None
        self._base = ""
        self._learned: learned.Learned | None = None
        self._begins = True
        self._runners: Prepared[_Key, _Fitted] = Prepared(self._made, "compiling", most=_KEPT_SIZES)
        self._bridges: Prepared[str, AnySize] = Prepared(self._bridge, "compiling")
        self._info = EngineInfo("lite", "lite", "cpu", "", settings.precision)

    def open(self) -> EngineInfo:
        if self.settings.device not in ("auto", "cpu"):
            raise UnavailableError(f"lite runs only on the cpu, not on {self.settings.device}: use --engine rvm there")
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
            has_bf16 = cpu_runtime.has_bf16(core)
        if precision == "bf16" and not has_bf16:
            raise UnavailableError(f"lite cannot use bf16 on this CPU ({cpu_words()}): choose --precision auto or fp32")
        if precision == "auto":
            precision = "bf16" if has_bf16 else "fp32"
        if self.settings.weights is None:
            self._base = sha256(file_bytes(EMBEDDED)).hexdigest()
        if core is None or self.settings.weights is not None:
            self._load()
        else:  # without torch, which takes seconds to load and is needed only to convert the weights
            self._name = f"lite-{self._base[:16]}-{__version__}-{_FORMAT}"
        self._core, self._open = core, True
        self._info = EngineInfo("lite", "lite", "cpu", cpu_name(), precision, notes=notes, remarks=remarks)
        return self._info

    @property
    def info(self) -> EngineInfo:
        now = self._now
        return self._info if now is None else replace(self._info, focus=now[0].words)

    def prepare(self, width: int, height: int) -> None:
        """Compile and warm up for a frame size; leaves the recurrent state empty.

        Raises:
            EngineError: OpenVINO refuses the network, or the ratio leaves nothing of the frame.
        """
        focus, _ = self._fitted(width, height)
        blank = np.zeros((*self._low[::-1], 3), np.uint8)
        for _ in range(_WARM_UP_FRAMES):
            focus.run(blank)
        if self._core is not None and self.settings.keep_up and self.settings.box_wanted:
            self._bridges.ready("any size")
        focus.reset()

    def _fitted(self, width: int, height: int) -> tuple[Focus, _Reference]:
        """Focus and upsampler for frames of a size, with an empty state if the size is new."""
        if not self._open:
            raise EngineError("the engine is not open")
        if self._begins:
            self._begins = False
            self._take_learned()
        if self._now is not None and self._size == (width, height):
            return self._now
        if self._model is None:
            self._model = self._for_all_sizes()
        ratio = self.settings.downsample_ratio or ratio_for(width, height)
        if min(width, height) * ratio < 1:
            raise EngineError(
                f"downsample ratio {ratio:g} is too small for a {width}x{height} frame: choose a larger one"
            )
        low = trained_size(width, height, ratio)
        self._now = self._focus(low, refined=low != (width, height)), _Reference((width, height), low)
        self._size, self._low = (width, height), low
        self._info = self._info.at_ratio(ratio)
        return self._now

    def _take_learned(self) -> None:
        """Use what was learnt before the camera whose pictures come now, which may be another than before."""
        camera = self.settings.camera
        if camera is None or not self._base:
            return
        found = learned.find(*camera.now)
        if found is not None and found.base != self._base:
            self._info = replace(self._info, notes=tuple(dict.fromkeys((*self._info.notes, _STALE))))
            found = None
        if found == self._learned:
            return
        model = "lite" if found is None else "lite (learned)"
        self._learned, self._info = found, replace(self._info, model=model)
        self._runners.close()
        self._bridges.close()
        self._runners = Prepared(self._made, "compiling", most=_KEPT_SIZES)
        self._bridges = Prepared(self._bridge, "compiling")
        self._model = self._network = self._now = None

    def _focus(self, low: tuple[int, int], *, refined: bool) -> Focus:
        """The network for small pictures of a size, with an empty state."""
        bridges: dict[tuple[int, int], _Fitted] = {}

        def at(size: tuple[int, int]) -> _Fitted:
            if self._core is None:  # torch runs at any size
                return self._runners.now((low, refined))
            # The network for the whole picture is made at the start, and again if other sizes have displaced it.
            if size == low or not self.settings.keep_up or self._runners.ready((size, refined)):
                bridges.clear()
                return self._runners.now((size, refined))
            if size not in bridges:
                self._bridges.join()
                bridges.clear()
                bridges[size] = _Fitted(self._bridges.now("any size").runner(), refined=refined)
            return bridges[size]

        return Focus(low, at, box=self.settings.box_wanted, gate=self.settings.gate_wanted)

    def _made(self, key: _Key) -> _Fitted:
        """The network at a size. A few are kept: sizes often change back, and OpenVINO frees little of the memory of a
        compiled network."""
        low, refined = key
        if self._core is None:
            from rvm_live.engines.lite.in_torch import TorchRunner

            return _Fitted(TorchRunner(self._load()), refined=refined)
        model = resized(self._model, low, shapes_of_states(self._model, low, STATES))
        keep_state(model, STATES)
        return _Fitted(OpenVinoRunner(self._core, model, self._info.precision), refined=refined)

    def _bridge(self, _: str) -> AnySize:
        return AnySize(self._core, resized(self._model, None), self._info.precision)

    def _for_all_sizes(self) -> Any:
        """The network as OpenVINO has it, from disk or converted now; None without OpenVINO."""
        if self._core is None:
            return None
        name = self._name
        if name and self._learned is not None:
            name += f"-{sha256(file_bytes(self._learned.path)).hexdigest()[:16]}"
        model = kept(self._core, name) if name else None
        if model is None:
            from rvm_live.engines.lite.in_torch import openvino_model

            model = openvino_model(self._load())
            if name:
                model = keep_if_possible(self._core, name, model)
        return model

    def _load(self) -> LiteNetwork:
        """The network in torch.

        Raises:
            WeightsError: the named weights cannot be used.
        """
        from rvm_live.engines.lite.weights import learn, load_network

        if self._network is None:
            self._network = load_network(self.settings.weights)
            if self._learned is not None:
                learn(self._network, self._learned)
        return self._network

    def reset(self) -> None:
        self._begins = True
        if self._now is not None:
            self._now[0].reset()

    def matte(self, frame: Frame) -> Matte:
        started_ns = SYSTEM_CLOCK.now_ns()
        focus, upsampler = self._fitted(frame.width, frame.height)
        small = frame.image
        if self._low != (frame.width, frame.height):
            # An average over all pixels, because fine detail would flicker otherwise.
            made = one_pass.shrunk(frame.image, self._low)
            small = cv2.resize(frame.image, self._low, interpolation=cv2.INTER_AREA) if made is None else made
        try:
            model = focus.run(small)
        except RuntimeError as error:
            focus.reset()
            raise EngineError(f"matting failed: {words_of(error)}") from error
        slope, offset, found = map(np.array, model)  # copied: their memory is overwritten by the next run
        if model is not self._last[0]:
            self._last = model, Common()
        coloured = self.settings.foreground == "model"

        def find() -> Found:
            return Found(slope, offset, difference=contrast(small, found) if coloured else None)

        estimate = Estimate(frame.image, find, upsampler, found, self._last[1])
        stamps = started_ns, SYSTEM_CLOCK.now_ns()
        return Matte(frame, None, None, None, None, *stamps, estimate=estimate, spared=focus.spared)

    def states(self) -> States | None:
        return None if self._now is None else self._now[0].states

    def restore(self, states: States) -> None:
        if self._now is None:
            raise EngineError("the engine is not ready")
        with told_as(EngineError, "the state does not fit this engine", of=(RuntimeError, ValueError)):
            self._now[0].go_on(states)

    def close(self) -> None:
        self._runners.close()
        self._bridges.close()
        self._model = self._network = self._now = self._core = self._size = None
        self._last = None, Common()
        self._open = False
