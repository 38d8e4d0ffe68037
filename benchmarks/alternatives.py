"""Speed of full-size alpha from a low-resolution model, and of the blend over a background: OpenCV, Numba and C++.

    ONEDNN_MAX_CPU_ISA=AVX2 OPENCV_CPU_DISABLE=AVX512-SKX NUMBA_CPU_NAME=haswell python -m benchmarks alternatives
        [--rounds 60] [--sizes 1280x720,3840x2160] [--march haswell]

The three ways take turns. Times are processor time, summed over all threads. Needs a C++ compiler, ``c++``.
"""

from __future__ import annotations

import argparse
import ctypes
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.report import publish
from rvm_live.backgrounds.base import Plate
from rvm_live.compositing.cpu import CpuCompositor
from rvm_live.core.errors import UnavailableError
from rvm_live.core.frames import Frame, Matte
from rvm_live.engines.common.guided_upsampling import GuidedUpsampler
from rvm_live.finishing import one_pass
from rvm_live.finishing.compiled import kernels
from rvm_live.finishing.estimate import Found

COLUMNS = ("how", "size", "least ms", "median ms", "differs by")
_LOW = (320, 180)


def run(arguments: list[str]) -> dict[str, Any]:
    """Run the benchmark."""
    parser = argparse.ArgumentParser("python -m benchmarks alternatives", description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--sizes", default="1280x720,3840x2160")
    parser.add_argument("--march", default="native", help="what the compiler may use")
    options = parser.parse_args(arguments)
    if kernels.wait() is None:
        raise UnavailableError(kernels.why_not)
    before, rows = cv2.getNumThreads(), list[tuple[Any, ...]]()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as pool:
        library = _compiled(Path(folder) / "one_pass.so", options.march)
        try:
            for size in options.sizes.split(","):
                width, height = map(int, size.split("x"))
                rows += [(how, size, *told) for how, told in _measured(width, height, library, pool, options).items()]
        finally:
            cv2.setNumThreads(before)
    return publish("alternatives", COLUMNS, rows, march=options.march)


def _compiled(path: Path, march: str) -> Any:
    compiler = shutil.which("c++")
    if compiler is None:
        raise UnavailableError("there is no C++ compiler here: install one that is called c++")
    source = Path(__file__).with_name("one_pass.cpp")
    command = [compiler, "-O3", f"-march={march}", "-ffast-math", "-shared", "-fPIC", "-pthread", str(source)]
    subprocess.run([*command, "-o", str(path)], check=True)
    return ctypes.CDLL(str(path))


def _measured(
    width: int, height: int, library: Any, pool: ThreadPoolExecutor, options: argparse.Namespace
) -> dict[str, tuple[Any, ...]]:
    rng = np.random.default_rng(0)
    image: NDArray[np.uint8] = cv2.GaussianBlur(rng.integers(0, 256, (height, width, 3), np.uint8), (0, 0), 4)
    plate = np.ascontiguousarray(image[::-1])
    ys, xs = np.mgrid[0 : _LOW[1], 0 : _LOW[0]]
    body = np.clip(10 * (1 - ((xs - 160) / 70) ** 2 - ((ys - 110) / 80) ** 2), -1, 1) / 2 + 0.5
    slope = (0.6 * np.exp(-((4 * body - 2) ** 2))).astype(np.float32)
    found = Found(slope, (255 * body - 110 * slope).astype(np.float32))
    upsampler, compositor, module = GuidedUpsampler((width, height), _LOW), CpuCompositor(), kernels.module

    def opencv(threads: int) -> NDArray[np.uint8]:
        cv2.setNumThreads(threads)
        kernels._module = None
        try:
            matte = Matte(Frame(image, 0, 0, 0), upsampler.alpha(image, found))
            return compositor.composite(matte, Plate(plate, version=1), source_foreground=True)
        finally:
            kernels._module = module

    def numba(threads: int) -> NDArray[np.uint8]:
        made = one_pass.all_of(image, found, None, one_pass.OVER, plate, one_pass.Workers(pool, threads), source=True)
        assert made is not None, kernels.why_not
        return made[1]

    def compiled(threads: int) -> NDArray[np.uint8]:
        alpha = np.empty((height, width), np.uint8)
        out: NDArray[np.uint8] = np.empty((height, width, 3), np.uint8)
        grid = one_pass._grid((_LOW[1], _LOW[0]), (height, width))
        arrays = [each.ctypes.data_as(ctypes.c_void_p) for each in (image, *found[:2], *grid, plate, alpha, out)]
        library.finish(threads, width, height, *arrays[:3], *_LOW, *arrays[3:])
        return out

    kinds = {"OpenCV": opencv, "Numba": numba, "C++": compiled}
    ways: dict[str, Callable[[], NDArray[np.uint8]]] = {
        f"{kind}, {threads} thread{'s'[: threads - 1]}": lambda make=make, threads=threads: make(threads)  # type: ignore[misc]
        for kind, make in kinds.items()
        for threads in (1, 2)
    }
    expected = opencv(1).astype(np.int16)
    apart = {how: int(np.abs(make() - expected).max()) for how, make in ways.items()}
    spent: dict[str, list[float]] = {how: [] for how in ways}
    for _ in range(options.rounds):
        for how, make in ways.items():
            began = time.process_time()
            make()
            spent[how].append((time.process_time() - began) * 1e3)
    return {how: (min(times), statistics.median(times), apart[how]) for how, times in spent.items()}


__all__ = ["run"]
