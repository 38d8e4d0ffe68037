"""An ONNX file as an engine, run by ONNX Runtime: ``rvm-live export --format onnx`` makes such files."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rvm_live.core import transfer
from rvm_live.core.clock import SYSTEM_CLOCK
from rvm_live.core.errors import EngineError, SettingsError, WeightsError
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.base import Engine, EngineInfo
from rvm_live.engines.common.cpu_runtime import onnx_options
from rvm_live.engines.common.device import Lane, downsample_ratio
from rvm_live.engines.common.ladder import choose_side, median_ms, ratio_of
from rvm_live.engines.focus.motion_gate import StillGate
from rvm_live.engines.onnx.bindings import Fit, HostPictures, Pictures, TensorPictures
from rvm_live.engines.onnx.file import OnnxFile, check_file, read_signature
from rvm_live.engines.onnx.providers import Candidate, Opened, gist, open_session, quiet, runtime
from rvm_live.system import gpu
from rvm_live.system.cpu_info import cpu_name
from rvm_live.system.folders import at_home

__all__ = ["OnnxEngine"]

_WARM_UP_FRAMES = 2


class OnnxEngine(Engine):
    """Runs an ONNX file (``settings.weights``) with TensorRT, CUDA, DirectML, Core ML or the CPU, whichever comes first
    in that order, works here and is permitted by ``settings.device``.

    The file: input ``src`` (1, 3, H, W), RGB in 0-1; states, each an input such as ``r1i`` and an output ``r1o``, zeros
    at first; perhaps an input ``downsample_ratio``, float32 (1); outputs ``pha`` (1, 1, H, W) and perhaps ``fgr``
    (1, 3, H, W); all else float32 or all float16. Those of the RVM authors' release are such files, for any size. Into
    a file for one size, frames of another are fitted (:class:`~rvm_live.engines.onnx.bindings.Fit`), and
    ``info.notes`` says so.

    ``info.device`` is where the mattes lie: ``cuda:N`` where torch can use the card, too; with DirectML and Core ML
    they come back to the host. What computes them is in ``info.device_name``.
    """

    def __init__(self, settings: EngineSettings) -> None:
        super().__init__(settings)
        name = "" if settings.weights is None else settings.weights.name
        self._info = EngineInfo("onnx", name, settings.device, "", settings.precision)
        self._opened: Opened | None = None
        self._states: dict[str, Any] = {}
        self._size: tuple[int, int] | None = None
        self._side: int | None = None
        self._notes: tuple[str, ...] = ()
        self._gate = StillGate() if settings.keep_up and settings.gate_wanted else None
        self._last: tuple[Any, Any] | None = None

    def open(self) -> EngineInfo:
        self._ort = runtime()
        if self.settings.weights is None:
            raise WeightsError(
                "--engine onnx needs a model: make one with `rvm-live export --format onnx` and name it with "
                "--weights MODEL.onnx"
            )
        path = at_home(self.settings.weights)
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise WeightsError(f"model {path} is a device or a pipe, not a file: name one with --weights MODEL.onnx")
        check_file(path)
        self._file = file = self._read(path)
        if self.settings.precision not in ("auto", file.precision):
            raise SettingsError(
                f"model {path} computes in {file.precision}, not in {self.settings.precision}: leave --precision out, "
                "or export another file"
            )
        opened = open_session(path, self.settings.device, half=file.precision == "fp16")
        self._opened = opened
        way = opened.candidate
        self._device = torch.device("cpu")
        if way.device == "cuda" and torch.cuda.is_available() and way.index < torch.cuda.device_count():
            self._device = torch.device("cuda", way.index)
        self._lane = Lane(self._device)
        self._notes = opened.notes
        asked = self.settings.downsample_ratio
        if asked is not None and not file.takes_ratio and abs(asked - file.ratio) > 1e-3:
            self._notes += (f"model {path.name} works at ratio {file.ratio:.3g}; {asked:g} was asked for",)
        name = f"{_hardware(way)}, ONNX Runtime's {way.label} provider"
        self._info = EngineInfo("onnx", file.model, str(self._device), name, file.precision, 0.0, self._notes)
        return self._info

    def _read(self, path: Path) -> OnnxFile:
        """Open the file on the CPU and unoptimised, which is quick, to see whether it is sound and what it takes."""
        options = onnx_options(self._ort)
        options.graph_optimization_level = self._ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 4
        try:
            with quiet(self._ort):
                session = self._ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's errors have no base class but Exception
            raise WeightsError(f"model {path} cannot be read by ONNX Runtime: {gist(error)}") from error
        facts = session.get_modelmeta().custom_metadata_map
        return read_signature(path, session.get_inputs(), session.get_outputs(), facts)

    @property
    def info(self) -> EngineInfo:
        return self._info if self._gate is None else replace(self._info, focus=self._gate.words)

    def prepare(self, width: int, height: int) -> None:
        """Run the model on a black picture, which lets its provider get ready, and look who ran it.

        Raises:
            EngineError: the model fails.
        """
        opened = self._require_open()
        blank = np.zeros((height, width, 3), np.uint8)
        try:
            if self._file.takes_ratio and self.settings.keep_up and self.settings.downsample_ratio is None:
                self._side = choose_side(width, height, partial(self._taken_ms, blank))
                self._size = None
            for _ in range(_WARM_UP_FRAMES):
                self._estimate(blank)
            opened.settle()
        finally:
            self.reset()
        self._notes = (*opened.notes, *self._notes[len(opened.notes) :])
        self._tell()

    def _taken_ms(self, picture: NDArray[np.uint8], side: int) -> float:
        """Time of a frame for a longer side of the network's picture, milliseconds."""
        self._side, self._size = side, None
        return median_ms(lambda: self._estimate(picture))

    def reset(self) -> None:
        self._states = {}
        self._last = None
        if self._gate is not None:
            self._gate.reset()

    def matte(self, frame: Frame) -> Matte:
        started_ns = SYSTEM_CLOCK.now_ns()
        self._require_open()
        if self._size != (frame.width, frame.height):
            self.reset()
        found = self._last if self._gate is not None and self._gate.still(frame.image) else None
        picture = frame.image
        image, alpha, foreground, ready = self._estimate(picture) if found is None else self._again(picture, found)
        self._last = alpha, foreground
        stamps = started_ns, SYSTEM_CLOCK.now_ns()
        return Matte(frame, alpha, foreground, image, ready, *stamps, spared=found is not None)

    def _again(self, picture: NDArray[np.uint8], found: tuple[Any, Any]) -> tuple[Any, Any, Any, Any]:
        """As :meth:`_estimate`, of what was found in the frame before: next to nothing has moved since."""
        if self._device.type == "cpu":
            return None, *found, None
        with self._lane.work():
            return transfer.upload(picture, self._device), *found, self._lane.finish()

    def close(self) -> None:
        opened, self._opened = self._opened, None
        self._states, self._last = {}, None
        if opened is not None:
            opened.settle()

    def _require_open(self) -> Opened:
        if self._opened is None:
            raise EngineError("the engine is not open")
        return self._opened

    def _estimate(self, picture: NDArray[np.uint8]) -> tuple[Any, Any, Any, Any]:
        """uint8 (H, W, 3) BGR -> itself on the device or None, alpha, foreground or None, event; advances the state."""
        try:
            self._fit(picture.shape[1], picture.shape[0])
            if isinstance(self._pictures, HostPictures):
                self._pictures.put(picture)
                self._run(self._pictures, "cpu")
                self._look_at(self._pictures)
                return None, *self._pictures.results(picture), None
            with self._lane.work():
                image = transfer.upload(picture, self._device)
                self._pictures.put(image)
                self._lane.finish()  # ONNX Runtime works on its own stream and waits for it to finish
                self._run(self._pictures, self._device.type)
                self._look_at(self._pictures)
                alpha, foreground = self._pictures.results(image)
                return image, alpha, foreground, self._lane.finish()
        except EngineError:
            self.reset()
            raise
        except Exception as error:  # ONNX Runtime's errors have no base class but Exception
            self.reset()
            label = self._require_open().candidate.label
            raise EngineError(f"model {self._info.model} failed with ONNX Runtime's {label}: {gist(error)}") from error

    def _look_at(self, pictures: Pictures) -> None:
        if not pictures.finite:
            raise EngineError(f"model {self._info.model} gives NaN or infinite values with {self._info.device_name}")

    def _fit(self, width: int, height: int) -> None:
        """Get ready for a frame size, with an empty state."""
        if self._size == (width, height):
            return
        self.reset()
        file = self._file
        network = file.size or (width, height)
        fit = Fit.of((width, height), network)
        asked = self.settings.downsample_ratio
        if self._side is not None:
            asked = ratio_of(self._side, *network)
        ratio = downsample_ratio(asked, *network) if file.takes_ratio else file.ratio
        self._ratio = np.array([ratio], np.float32)
        foreground = file.gives_foreground and getattr(self.settings, "foreground", "model") == "model"
        self._pictures = self._memory(fit, foreground=foreground)
        self._size = (width, height)
        self._fitted = fit
        self._info = self._info.at_ratio(ratio)
        self._tell()

    def _memory(self, fit: Fit, *, foreground: bool) -> Pictures:
        if self._device.type == "cpu":
            return HostPictures(fit, self._file.dtype, foreground=foreground)
        return TensorPictures(fit, self._file.dtype, foreground=foreground, device=self._device)

    def _tell(self) -> None:
        note = self._fitted.note()
        self._info = replace(self._info, notes=(*self._notes, note) if note else self._notes)

    def _run(self, pictures: Pictures, device: str) -> None:
        """Run the model from ``src`` to ``pha`` and ``fgr``; the new states stay where they are made."""
        opened = self._require_open()
        way, dtype = opened.candidate, self._file.dtype
        index = 0 if device == "cpu" else way.index
        binding = opened.session.io_binding()
        source = pictures.src
        binding.bind_input("src", device, index, dtype, tuple(source.shape), pictures.address(source))
        for state in self._file.states:
            value = self._states.get(state.taken)
            if value is None:
                value = self._ort.OrtValue.ortvalue_from_numpy(np.zeros(state.shape, dtype), way.device, way.index)
            binding.bind_ortvalue_input(state.taken, value)
        if self._file.takes_ratio:
            binding.bind_cpu_input("downsample_ratio", self._ratio)
        results = {"pha": pictures.pha, "fgr": pictures.fgr}
        for name, memory in results.items():
            if memory is not None:
                binding.bind_output(name, device, index, dtype, tuple(memory.shape), pictures.address(memory))
        for state in self._file.states:
            binding.bind_output(state.given, way.device, way.index)
        opened.session.run_with_iobinding(binding)
        made = binding.get_outputs()[-len(self._file.states) :] if self._file.states else []
        self._states = {state.taken: value for state, value in zip(self._file.states, made, strict=True)}


def _hardware(way: Candidate) -> str:
    """The provider's hardware, in words."""
    if way.label == "CPU":
        return cpu_name()
    if way.device == "cuda":
        reading = gpu.read(gpu.card(f"cuda:{way.index}"))
        return reading.name if reading is not None else "NVIDIA GPU"
    return "GPU" if way.label == "DirectML" else "Apple's accelerators"
