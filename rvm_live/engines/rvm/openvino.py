"""RobustVideoMatting on a CPU through OpenVINO: the low-resolution network there, the full-size part in OpenCV."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live import __version__
from rvm_live.clock import SYSTEM_CLOCK
from rvm_live.engines.base import Engine, EngineInfo
from rvm_live.engines.host import cpu_name
from rvm_live.engines.rvm.ladder import choose_side, ratio_of
from rvm_live.errors import EngineError, UnavailableError
from rvm_live.frames import Frame, Matte
from rvm_live.settings import EngineSettings
from rvm_live.weights import cache_dir, load, resolve

__all__ = ["OpenVinoEngine"]

_STATES = 4
_PROBE_FRAMES = 12


class OpenVinoEngine(Engine):
    """The same network and weights as the ``rvm`` engine, several times faster on a CPU.

    The picture is shrunk and the guided filter's model brought to full size by OpenCV in 8 and 32 bits; the network in
    between is compiled by OpenVINO for one size, and kept on disk, so that a second start is quick. Without a ratio of
    the user's, the largest size on a ladder that leaves the rest of the program its share of the time is taken, by
    measurement on this machine.
    """

    def __init__(self, settings: EngineSettings) -> None:
        super().__init__(settings)
        self._core: Any = None
        self._request: Any = None
        self._states: list[Any] = []
        self._size: tuple[int, int] | None = None
        self._low = (0, 0)
        self._info = EngineInfo("openvino", settings.model or "", "cpu", "", settings.precision)

    def open(self) -> EngineInfo:
        if self.settings.device not in ("auto", "cpu"):
            raise UnavailableError(f"openvino runs on the cpu, not on {self.settings.device}: use --engine rvm there")
        try:
            import openvino
        except ImportError as error:
            raise UnavailableError(
                "OpenVINO is not installed (pip install 'rvm-live[openvino]'); it is several times faster on a CPU"
            ) from error
        if self.settings.precision == "fp16":
            raise UnavailableError("openvino computes in fp32 on a CPU, not in fp16")
        self._weights = load(resolve(self.settings))
        self._core = openvino.Core()
        self._info = EngineInfo("openvino", self._weights.variant, "cpu", cpu_name(), "fp32")
        return self._info

    @property
    def info(self) -> EngineInfo:
        return self._info

    def prepare(self, width: int, height: int) -> None:
        """Choose the ratio, compile, warm up; leaves the recurrent state empty.

        Raises:
            EngineError: OpenVINO refuses the network.
        """
        self._require_open()
        ratio = self.settings.downsample_ratio
        if ratio is None:
            ratio = ratio_of(choose_side(width, height, self._measured(width, height)), width, height)
        self._fit(width, height, ratio)
        for _ in range(2):
            self._infer(np.zeros((self._low[1], self._low[0], 3), np.uint8))
        self.reset()

    def _require_open(self) -> None:
        if self._core is None:
            raise EngineError("the engine is not open")

    def _measured(self, width: int, height: int) -> Any:
        """side -> milliseconds a frame of the network whose longer side that is, on this machine now."""

        def measure(side: int) -> float:
            self._fit(width, height, ratio_of(side, width, height))
            blank = np.zeros((self._low[1], self._low[0], 3), np.uint8)
            times = []
            for _ in range(_PROBE_FRAMES):
                began_ns = SYSTEM_CLOCK.now_ns()
                self._infer(blank)
                times.append((SYSTEM_CLOCK.now_ns() - began_ns) / 1e6)
            return float(np.median(times[2:]))

        return measure

    def _fit(self, width: int, height: int, ratio: float) -> None:
        from rvm_live.engines.rvm.step import low_size, state_shapes

        low = low_size(width, height, ratio)
        if low == self._low and self._size == (width, height):
            return
        try:
            compiled = self._core.compile_model(
                self._model(low, refined=ratio != 1.0),
                "CPU",
                {
                    "PERFORMANCE_HINT": "LATENCY",
                    "INFERENCE_NUM_THREADS": os.cpu_count() or 1,
                    # bf16 would be quicker where the CPU has it, but moved alpha by 12e-3 on a real clip.
                    "INFERENCE_PRECISION_HINT": "f32",
                    "CACHE_DIR": str(cache_dir() / "openvino"),
                },
            )
        except RuntimeError as error:
            raise EngineError(f"OpenVINO refuses the network: {_one_line(error)}") from error
        self._request = compiled.create_infer_request()
        self._shapes = state_shapes(self._weights.variant, *low)
        self._low, self._size = low, (width, height)
        self._info = self._info.at_ratio(ratio)
        self.reset()

    def _model(self, low: tuple[int, int], *, refined: bool) -> Any:
        """The network for one size, from disk if it was converted before."""
        folder = cache_dir() / "openvino"
        name = f"{self._weights.sha256[:16]}-{low[0]}x{low[1]}{'' if refined else '-whole'}-{__version__}"
        kept = folder / name / "step.xml"
        if kept.is_file():
            try:
                return self._core.read_model(kept)
            except RuntimeError:
                shutil.rmtree(kept.parent, ignore_errors=True)  # of another OpenVINO, or damaged: made anew
        import openvino

        model = self._converted(low, refined=refined)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                openvino.save_model(model, Path(scratch) / "new" / "step.xml", compress_to_fp16=False)
                if not kept.parent.exists():
                    os.replace(Path(scratch) / "new", kept.parent)
        except OSError:
            pass  # a cache that cannot be written only costs time
        return model

    def _converted(self, low: tuple[int, int], *, refined: bool) -> Any:
        import torch
        from openvino.frontend import FrontEndManager
        from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

        from rvm_live.engines.rvm.step import state_shapes, step_of

        width, height = low
        example = (
            torch.zeros((1, height, width, 3), dtype=torch.uint8),
            *(torch.zeros(shape) for shape in state_shapes(self._weights.variant, width, height)),
        )
        with torch.inference_mode(), warnings.catch_warnings():
            # Deprecated in favour of torch.export, which takes several times as long and warns, too.
            warnings.simplefilter("ignore", DeprecationWarning)
            step = step_of(self._weights, refined=refined)
            traced = torch.jit.trace(step, example, check_trace=False)  # type: ignore[no-untyped-call]
        # The frontend itself rather than openvino.convert_model, which reports its use over the network.
        frontend = FrontEndManager().load_by_framework("pytorch")
        decoder = TorchScriptPythonDecoder(traced)  # must outlive the conversion, which does not hold it
        model = frontend.convert(frontend.load(decoder))
        model.reshape({index: list(tensor.shape) for index, tensor in enumerate(example)})
        return model

    def reset(self) -> None:
        self._states = []

    def matte(self, frame: Frame) -> Matte:
        started_ns = SYSTEM_CLOCK.now_ns()
        self._require_open()
        width, height = frame.width, frame.height
        if self._size != (width, height):
            self.prepare(width, height)
        small = frame.image
        if self._low != (width, height):
            small = cv2.resize(frame.image, self._low, interpolation=cv2.INTER_LINEAR)
        try:
            model = self._infer(small)
        except RuntimeError as error:
            self.reset()
            raise EngineError(f"matting failed in OpenVINO: {_one_line(error)}") from error
        alpha, foreground = _applied(frame.image, model)
        return Matte(frame, alpha, foreground, None, None, started_ns, SYSTEM_CLOCK.now_ns())

    def _infer(self, small: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Run the network and advance the state; returns slope and offset of alpha and of the foreground."""
        states = self._states or [np.zeros(shape, np.float32) for shape in self._shapes]
        results = self._request.infer([small[None], *states], share_inputs=True, share_outputs=False)
        values = list(results.values())
        self._states = values[-_STATES:]
        return values[:-_STATES]

    def close(self) -> None:
        self._request = None
        self._core = None
        self._states = []


def _applied(image: NDArray[np.uint8], model: list[NDArray[np.float32]]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Bring a low-resolution linear model to the size of ``image`` and apply it: alpha and foreground, uint8."""
    size = (image.shape[1], image.shape[0])
    slope, offset, colour_slope, colour_offset = (
        part if part.shape[:2] == image.shape[:2] else cv2.resize(part, size, interpolation=cv2.INTER_LINEAR)
        for part in model
    )
    mean = cv2.transform(image, np.full((1, 3), 1 / 3, np.float32))
    alpha: NDArray[np.uint8] = cv2.add(cv2.multiply(slope, mean, dtype=cv2.CV_32F), offset, dtype=cv2.CV_8U)
    foreground: NDArray[np.uint8] = cv2.add(
        cv2.multiply(colour_slope, image, dtype=cv2.CV_32F), colour_offset, dtype=cv2.CV_8U
    )
    return alpha, foreground


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
