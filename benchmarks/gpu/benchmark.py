"""The live path on a GPU without a display, from the frame in host memory to the composite in host memory.

    RVM_LIVE_WEIGHTS=path python -m benchmarks gpu [--device cuda:0] [--frames 600] [--compile] [--only 1080p]

Each row stands beside the plain network of the same run (eager, fp16, compositing on the host) and beside the floor:
the time that the network as one graph, the bus and the memory need by themselves. Throughput is measured with a source
that is always ready and drops nothing; latency with a source of 60 frames a second. Where weights are missing, random
ones take their place; they are as fast. ``--device cpu --quick`` runs the same paths where there is no GPU.

Targets on an H200: 800 fps at 1080p and 400 at 4K with MobileNetV3, 300 at 1080p with ResNet50, three times the speed
of the plain network, 3 ms of added latency at p99.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.gpu.floor import Floor, floor_of, half
from benchmarks.report import publish
from rvm_live.backgrounds.base import Plate
from rvm_live.backgrounds.parse import parse
from rvm_live.compositing.composer import Composer
from rvm_live.compositing.cpu import CpuCompositor
from rvm_live.core.clock import SYSTEM_CLOCK
from rvm_live.core.errors import EndOfSource, RvmLiveError
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.notices import Notices
from rvm_live.core.queues import Overflow
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.common.device import choose_device, device_name
from rvm_live.engines.rvm.torch.engine import RvmEngine
from rvm_live.network.network import MattingNetwork
from rvm_live.pipeline.metrics import Snapshot
from rvm_live.pipeline.pipeline import Pipeline
from rvm_live.sources.base import Grab, Source, SourceInfo
from rvm_live.weights import load, resolve

LATENCY_FPS = 60.0


class Case(NamedTuple):
    """One row's size, and its target."""

    name: str
    model: str
    width: int
    height: int
    ratio: float
    target_fps: float


CASES = (
    Case("720p", "mobilenetv3", 1280, 720, 0.375, 0),
    Case("1080p", "mobilenetv3", 1920, 1080, 0.25, 800),
    Case("4K", "mobilenetv3", 3840, 2160, 0.125, 400),
    Case("1080p", "resnet50", 1920, 1080, 0.25, 300),
)
QUICK = (Case("tiny", "mobilenetv3", 320, 180, 0.5, 0),)


class _Ready(Source):
    """Pictures in host memory, each different from the one before; given as fast as they are taken, or at a steady
    rate."""

    def __init__(self, case: Case, count: int, fps: float | None) -> None:
        rng = np.random.default_rng(0)
        self._case, self._count, self._fps = case, count, fps
        self._pictures = [rng.integers(0, 256, (case.height, case.width, 3), np.uint8) for _ in range(4)]
        self._read = 0
        self._due = 0.0

    def open(self) -> SourceInfo:
        return SourceInfo("benchmark", "benchmark", self._case.width, self._case.height, self._fps or 0.0, live=True)

    def read(self) -> Grab:
        if self._read == self._count:
            raise EndOfSource("that was the last")
        if self._fps is not None:
            now = time.perf_counter()
            self._due = max(self._due + 1 / self._fps, now)
            time.sleep(self._due - now)
        self._read += 1
        return Grab(self._pictures[self._read % 4], SYSTEM_CLOCK.now_ns())

    def release(self) -> None:
        pass


class Weights:
    """The checkpoint of each model: the real one where it is found, else a random one in a scratch folder."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch

    def of(self, model: str) -> Path:
        """A file with weights for ``model``."""
        try:
            return resolve(EngineSettings(model=model, offline=True))
        except RvmLiveError:
            pass  # not found, or the named folder holds another model
        from safetensors.torch import save_file

        path = self._scratch / f"{model}.safetensors"
        if not path.exists():
            torch.manual_seed(0)
            save_file(MattingNetwork(model).eval().state_dict(), path)
        return path


def live(
    case: Case, weights: Path, device: str, compositor: str, count: int, fps: float | None, **how: Any
) -> Snapshot:
    """Run the pipeline over ``count`` frames without a display."""
    settings = EngineSettings(engine="rvm", weights=weights, device=device, downsample_ratio=case.ratio)
    composer = Composer(parse("color:#00ff88"), compositor=compositor, notices=Notices())
    overflow = Overflow.BLOCK if fps is None else Overflow.DROP_OLDEST
    pipeline = Pipeline(_Ready(case, count, fps), RvmEngine(settings, **how), composer, [], overflow=overflow)
    return pipeline.run()


def plain(case: Case, weights: Path, device: torch.device, count: int, *, compiled: bool = False) -> float:
    """Frames per second of the network as a short script runs it: eager, half precision, composited on the host."""
    loaded = load(weights)
    network: Any = MattingNetwork(loaded.variant, loaded.refiner).eval()
    network.load_state_dict(loaded.state_dict)
    network = network.to(device, half(device))
    if compiled:
        network = torch.compile(network, mode="max-autotune-no-cudagraphs")
    source = _Ready(case, count + 10, None)
    compositor = CpuCompositor()
    compositor.open()
    plate = Plate(np.full((case.height, case.width, 3), 90, np.uint8), 0)
    states: list[Any] = [None] * 4
    began = 0.0
    for number in range(count + 10):
        if number == 10:
            began = time.perf_counter()
        frame = Frame(source.read().image, number, 0, 0)
        with torch.inference_mode():
            picture = torch.from_numpy(frame.image).to(device).flip(2).permute(2, 0, 1)[None].to(half(device)) / 255
            fgr, pha, *states[:] = network(picture, *states, downsample_ratio=case.ratio)
            alpha = _host(pha[0, 0])
            foreground = np.ascontiguousarray(_host(fgr[0].permute(1, 2, 0))[..., ::-1])
        compositor.composite(Matte(frame, alpha, foreground), plate)
    return count / (time.perf_counter() - began)


def _host(values: torch.Tensor) -> NDArray[np.uint8]:
    array: NDArray[np.uint8] = values.mul(255).add(0.5).clamp(0, 255).byte().contiguous().cpu().numpy()
    return array


def _rows(case: Case, weights: Path, device: torch.device, options: argparse.Namespace) -> list[tuple[Any, ...]]:
    count, name = options.frames, f"{case.model}, {case.name}, ratio {case.ratio:g}"
    floor = floor_of(case.model, case.width, case.height, case.ratio, device, 5 if options.quick else 100)
    base = plain(case, weights, device, max(count // 4, 5))
    rows: list[tuple[Any, ...]] = [(f"{name}: plain network", base, 1.0, "", "", "", "", "")]
    if options.compile:
        fps = plain(case, weights, device, max(count // 4, 5), compiled=True)
        rows.append((f"{name}: plain network, torch.compile", fps, fps / base, "", "", "", "", ""))
    variants: list[tuple[str, str, dict[str, Any]]] = [("live path", options.compositor, {})]
    if device.type == "cuda":
        variants.append(("live path, no graph", options.compositor, {"recording": False}))
    for label, compositor, how in variants:
        fps = statistics.median(
            live(case, weights, str(device), compositor, count, None, **how).unique_fps for _ in range(options.rounds)
        )
        paced = live(case, weights, str(device), compositor, max(count // 4, 10), LATENCY_FPS, **how)
        total = paced.latency_ms["total"]
        target = f">= {case.target_fps:g} fps" if case.target_fps and label == "live path" else ""
        rows.append((f"{name}: {label}", fps, fps / base, total.p50, total.p99, *_beside(floor), target))
    return rows


def _beside(floor: Floor) -> tuple[float, str]:
    parts = f"{floor.network:.2f} + {floor.up:.2f} + {floor.down:.2f} + {floor.full_size:.2f}"
    return 1000 / floor.overlapped, parts


def run(arguments: list[str]) -> dict[str, Any]:
    """Run the benchmark.

    Raises:
        UnavailableError: there is no such device.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks gpu", description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--frames", type=int, default=600, help="frames of each throughput run")
    parser.add_argument("--rounds", type=int, default=3, help="throughput runs; their median counts")
    parser.add_argument("--compositor", default="auto")
    parser.add_argument("--compile", action="store_true", help="a row for the plain network under torch.compile, too")
    parser.add_argument("--only", default="", help="only rows whose name has this in it")
    parser.add_argument("--quick", action="store_true", help="a tiny size and few frames: does it run at all")
    options = parser.parse_args(arguments)
    device = choose_device(options.device)
    if options.quick:
        options.frames, options.rounds = min(options.frames, 20), 1
    rows: list[tuple[Any, ...]] = []
    with tempfile.TemporaryDirectory() as scratch:
        weights = Weights(Path(scratch))
        for case in QUICK if options.quick else CASES:
            if options.only in f"{case.model}, {case.name}":
                rows += _rows(case, weights.of(case.model), device, options)
    columns = (
        "what", "fps", "times plain", "latency p50 ms", "latency p99 ms", "floor fps",
        "floor: network + up + down + full size ms", "target",
    )  # fmt: skip
    name = "gpu" if device.type == "cuda" and not options.quick else "gpu-quick"
    facts = {"device": device_name(device), "cuda": torch.version.cuda or "", "frames": options.frames}
    return publish(name, columns, rows, **facts)
