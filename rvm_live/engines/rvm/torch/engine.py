"""RobustVideoMatting as an engine: torch on CUDA, MPS or the CPU."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import torch

from rvm_live.core.clock import SYSTEM_CLOCK
from rvm_live.core.errors import EngineError, NoMemoryError, UnavailableError, told_as, words_of
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.base import Engine, EngineInfo, Rung, States
from rvm_live.engines.common.device import (
    Lane,
    choose_device,
    choose_precision,
    device_name,
    downsample_ratio,
    free_cache,
)
from rvm_live.engines.common.device_errors import is_out_of_memory, memory_wanted
from rvm_live.engines.common.ladder import choose_side, median_ms, ratio_of, rungs_for
from rvm_live.engines.common.prepared import Prepared
from rvm_live.engines.focus.motion_gate import StillGate
from rvm_live.engines.rvm.torch.cuda_graph import Step
from rvm_live.engines.rvm.torch.finite_check import FiniteCheck
from rvm_live.engines.rvm.torch.full_size import FullSize, PlainFullSize
from rvm_live.engines.rvm.torch.graph_capture import Record, record_graph, recorded_if_possible
from rvm_live.network.fuse_batch_norm import fold_batch_norm
from rvm_live.network.network import MattingNetwork
from rvm_live.weights import load, resolve

__all__ = ["RvmEngine", "best_for"]

_log = logging.getLogger("rvm_live")

_WARM_UP_FRAMES = 2


class _Key(NamedTuple):
    """The key of a step."""

    width: int
    height: int
    ratio: float
    time: int = 1
    batch: int = 1


class RvmEngine(Engine):
    """Runs :class:`~rvm_live.network.network.MattingNetwork`.

    The full-size picture stays in BGR, and in 8 bits where ``fused.py`` works; only its small copy is turned to RGB for
    the network, and the small linear model that comes back is turned to BGR before it is applied. On CUDA the frame's
    whole work is one recorded graph, made anew for every size and ratio. The states belong to one frame size: another
    size starts a new sequence by itself.

    Args:
        settings: see :class:`~rvm_live.core.settings.EngineSettings`.
        recording: replay CUDA graphs; False launches every kernel, as ``python -m benchmarks gpu`` does to compare.
    """

    def __init__(self, settings: EngineSettings, *, recording: bool = True) -> None:
        super().__init__(settings)
        self._recording = recording
        self._network: MattingNetwork | None = None
        self._info = EngineInfo("rvm", settings.model or "", settings.device, "", settings.precision)
        self._full_size: FullSize = PlainFullSize()
        self._steps: Prepared[_Key, Step] = Prepared(self._made, "recording", beside=False)
        self._step: Step | None = None
        self._key: _Key | None = None
        self._kept: tuple[tuple[int, ...], States] | None = None
        self._soundness = FiniteCheck()
        # Files are processed in chunks, and their result must not depend on where a run was stopped.
        self._gate = StillGate() if settings.keep_up and settings.gate_wanted else None

    def open(self) -> EngineInfo:
        device = choose_device(self.settings.device)
        precision = choose_precision(self.settings.precision, device)
        weights = load(resolve(self.settings))
        network = MattingNetwork(weights.variant, weights.refiner).eval().requires_grad_(False)
        network.load_state_dict(weights.state_dict, strict=True)
        fold_batch_norm(network)
        self._dtype = torch.float16 if precision == "fp16" else torch.float32
        # oneDNN and cuDNN are fastest with the channels innermost.
        self._layout = torch.contiguous_format if device.type == "mps" else torch.channels_last
        with told_as(UnavailableError, f"device {device} cannot be used", of=RuntimeError):
            self._lane = Lane(device)
            with self._lane.work():
                network = network.to(device, self._dtype)
                network = network.to(memory_format=self._layout)  # type: ignore[call-overload]
                network.refiner.float()
                if device.type == "cuda":
                    self._full_size = best_for(device)
                self._lane.finish()
        self._device = device
        self._network = network
        self._steps = Prepared(self._made, "recording", beside=device.type == "cuda")
        self._info = EngineInfo("rvm", weights.variant, str(device), device_name(device), precision)
        return self._info

    @property
    def info(self) -> EngineInfo:
        return self._info if self._gate is None else replace(self._info, focus=self._gate.words)

    @property
    def full_size(self) -> str:
        """How the full-size steps are computed: ``triton`` kernels or ``torch`` operations. Valid after ``open``."""
        return "torch" if isinstance(self._full_size, PlainFullSize) else "triton"

    @property
    def recorded(self) -> bool:
        """Whether frames replay a CUDA graph. Valid after ``prepare``."""
        return self._step is not None and self._step.recorded

    def prepare(self, width: int, height: int) -> None:
        """Record the graph and warm up for a frame size; leaves the recurrent state empty.

        Raises:
            EngineError: the device cannot do it, e.g. for lack of memory.
        """
        self._require_open()
        try:
            with self._lane.work():
                step = self._fitted(width, height)
                blank = torch.zeros((height, width, 3), dtype=torch.uint8, device=self._device)
                for _ in range(_WARM_UP_FRAMES):
                    step(blank)
                step.reset()
                self._lane.finish()
        except RuntimeError as error:
            raise self._failed(error) from error

    def step_for(self, width: int, height: int, *, time: int = 1, batch: int = 1) -> Step:
        """A step of any number of frames at once, beside those the engine works with; call it inside ``lane.work()``.

        Raises:
            EngineError: the device cannot do it, e.g. for lack of memory.
        """
        ratio = downsample_ratio(self.settings.downsample_ratio, width, height)
        try:
            return self._made(_Key(width, height, ratio, time, batch))
        except RuntimeError as error:
            raise self._failed(error) from error

    @property
    def lane(self) -> Lane:
        """The CUDA streams of the engine's kernels. Valid after ``open``."""
        return self._lane

    @property
    def rungs(self) -> tuple[Rung, ...]:
        if self.settings.downsample_ratio is not None or self._key is None:
            return ()
        return rungs_for(self._key.width, self._key.height, (self._info.precision,))

    def use_rung(self, rung: Rung) -> bool:
        if self._key is None or self._step is None or rung.ratio == self._key.ratio:
            return True
        key = self._key._replace(ratio=rung.ratio)
        with self._lane.work():
            if not self._steps.ready(key):
                return False
            step = self._steps.now(key)
            step.carry(self._step.states)
        self._use(key, step)
        return True

    def reset(self) -> None:
        self._kept = None
        self._soundness.forget()
        if self._gate is not None:
            self._gate.reset()
        if self._step is not None:
            with self._lane.work():
                self._step.reset()

    def matte(self, frame: Frame) -> Matte:
        return self.matte_chunk((frame,))[0]

    def matte_chunk(self, frames: Sequence[Frame]) -> list[Matte]:
        started_ns = SYSTEM_CLOCK.now_ns()
        self._require_open()
        try:
            with self._lane.work():
                step = self._fitted(frames[0].width, frames[0].height, len(frames))
                begun = self._lane.begin()
                images = [self._lane.upload(frame.image) for frame in frames]
                still = self._gate is not None and len(frames) == 1 and self._gate.still(frames[0].image)
                found = [step.again(*images)] if still else step(*images)
                told = self._lane.told(step.finite)
                ready, elapsed_ns = self._lane.hand_over(begun)
                self._soundness.look(told, ready)
                stamps = (started_ns, SYSTEM_CLOCK.now_ns(), elapsed_ns)
                mattes = [
                    Matte(frame, alpha, foreground, image, ready, *stamps, spared=still)
                    for frame, image, (alpha, foreground) in zip(frames, images, found, strict=True)
                ]
                return self._lane.landed(mattes)
        except RuntimeError as error:
            raise self._failed(error) from error
        except EngineError:
            self.reset()
            raise

    @property
    def chunked(self) -> bool:
        # One frame keeps a CPU busy: a chunk gains nothing there and takes memory (`rvm-live stress` shows it).
        return self._device.type != "cpu"

    def states(self) -> States | None:
        if self._step is None:
            return self._kept[1] if self._kept is not None else None
        with self._lane.work():
            copies = self._step.copies()
        self._soundness.settle()
        return copies

    def restore(self, states: States) -> None:
        if self._step is None or len(states) != len(self._step.states):
            raise EngineError("the state does not fit this engine")
        try:
            with self._lane.work():
                self._step.carry([torch.from_numpy(each).to(self._device) for each in states])
                self._lane.finish()
            self._soundness.forget()
            if self._gate is not None:
                self._gate.reset()
        except RuntimeError as error:
            raise self._failed(error) from error

    def close(self) -> None:
        self._steps.close()
        self._network = self._step = self._key = self._kept = None
        free_cache(self._info.device)

    def _require_open(self) -> MattingNetwork:
        if self._network is None:
            raise EngineError("the engine is not open")
        return self._network

    def _failed(self, error: Exception) -> EngineError:
        if is_out_of_memory(error):  # no state has changed yet: a retry with less may work
            self._put_by()
            return NoMemoryError(f"out of memory on {self._device}{memory_wanted(error)}")
        # Neither the states nor the device can be trusted any more: the next frame makes its step anew.
        self._step = self._key = None
        self._steps.close()
        return EngineError(f"matting failed on {self._device}: {words_of(error)}")

    def _put_by(self) -> None:
        """Save the states, and free everything else."""
        if self._step is not None and self._key is not None:
            try:
                with self._lane.work():
                    self._kept = (self._key[:2], self._step.copies())
            except RuntimeError:
                self._kept = None
        self._step = self._key = None
        self._steps.close()
        free_cache(self._info.device)

    def _fitted(self, width: int, height: int, time: int = 1) -> Step:
        """The step for a frame size and a number of frames: with the present state, or an empty one for another
        size."""
        if self._step is None or self._key is None or self._key[:2] != (width, height):
            self._steps.keep(lambda other: other[:2] == (width, height))
            key = _Key(width, height, self._ratio(width, height), time)
            step = self._steps.now(key)
            kept, self._kept = self._kept, None
            step.reset()
            if kept is not None and kept[0] == key[:2]:
                step.carry([torch.from_numpy(each).to(self._device) for each in kept[1]])
            self._use(key, step)
        elif self._key.time != time:
            key = self._key._replace(time=time)
            step = self._steps.now(key)
            step.carry(self._step.states)
            self._use(key, step)
        else:
            step = self._step
        return step

    def _ratio(self, width: int, height: int) -> float:
        """The ratio to begin with: for live video one that this machine has time for."""
        if self.settings.downsample_ratio is None and self.settings.keep_up:
            measure = partial(self._taken_ms, width, height)
            return ratio_of(choose_side(width, height, measure), width, height)
        return downsample_ratio(self.settings.downsample_ratio, width, height)

    def _taken_ms(self, width: int, height: int, side: int) -> float:
        """Time of a frame for a longer side of the network's picture, milliseconds."""
        step = self._steps.now(_Key(width, height, ratio_of(side, width, height)))
        blank = torch.zeros((height, width, 3), dtype=torch.uint8, device=self._device)

        def run() -> None:
            step(blank)
            self._lane.finish()

        return median_ms(run)

    def _use(self, key: _Key, step: Step) -> None:
        self._key, self._step = key, step
        if self._gate is not None:
            self._gate.reset()
        self._info = self._info.at_ratio(key.ratio)

    def _made(self, key: _Key) -> Step:
        """A step, recorded where that is possible; may run on a thread of its own."""
        graph = partial(record_graph, device=self._device, after=self._lane.stream, repeatable=self.settings.repeatable)
        record = graph if self._device.type == "cuda" and self._recording else None
        with self._lane.work():
            return recorded_if_possible(partial(self._step_for, key), record)

    def _step_for(self, key: _Key, record: Record | None) -> Step:
        return Step(
            self._require_open(),
            self._full_size,
            *key[:3],
            foreground=self.settings.foreground == "model",
            dtype=self._dtype,
            layout=self._layout,
            record=record,
            time=key.time,
            batch=key.batch,
            kept=self._gate is not None,
        )


def best_for(device: torch.device) -> FullSize:
    """The fastest correct implementation of the full-size steps on a GPU."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Triton warns here about defaults of its next version
            from rvm_live.engines.rvm.torch.triton_kernels import FusedFullSize, why_wrong

            reason = why_wrong(device)
    except Exception as error:  # a compiler, its cache or a driver may fail in any way: no reason to stop
        reason = words_of(error)
    if reason is None:
        return FusedFullSize()
    _log.info("the full-size steps run without Triton: %s", reason)
    return PlainFullSize()
