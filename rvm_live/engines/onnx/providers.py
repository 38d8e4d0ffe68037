"""ONNX Runtime's providers: the best that works here, and which of them really ran."""

from __future__ import annotations

import json
import re
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rvm_live.core.errors import UnavailableError
from rvm_live.engines.common.cpu_runtime import onnx_options
from rvm_live.system import folders, gpu
from rvm_live.system.installed import adding
from rvm_live.system.telemetry_off import import_quietly
from rvm_live.weights import cache_dir

__all__ = ["Candidate", "Opened", "candidates", "gist", "open_session", "quiet", "runtime"]

_CPU = "CPUExecutionProvider"
_SILENT, _USUAL = 4, 2  # log severities: fatal, warning
_MISSING = {
    "cuda": "it has no CUDA provider: install onnxruntime-gpu instead of onnxruntime",
    "mps": "it has no Core ML provider: that is only in its build for Macs",
}


@dataclass(frozen=True)
class Candidate:
    """One way to run a file.

    Attributes:
        label: the provider in words.
        providers: names and options for ONNX Runtime, best first; what one cannot do is left to the next.
        device: where the states are kept, ``cpu`` or ``cuda``.
        index: number of that device.
    """

    label: str
    providers: tuple[tuple[str, dict[str, Any]], ...]
    device: str = "cpu"
    index: int = 0

    @property
    def name(self) -> str:
        """What ONNX Runtime calls the provider that is meant to do the work."""
        return self.providers[0][0]


def candidates(asked: str, available: Sequence[str], *, half: bool) -> list[Candidate]:
    """The ways to run a file that ``--device`` permits and this ONNX Runtime was built with, best first.

    Args:
        asked: ``auto``, ``cpu``, ``mps``, ``cuda`` or ``cuda:N``.
        available: names of the providers it was built with.
        half: the file computes in half precision.
    """
    kind, _, number = asked.partition(":")
    index = int(number or 0)
    kept = folders.kept_in(cache_dir() / "tensorrt") if "TensorrtExecutionProvider" in available else None
    caching = {  # building an engine takes minutes
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": kept,
        "trt_timing_cache_enable": True,
        "trt_timing_cache_path": kept,
    }
    cpu: tuple[str, dict[str, Any]] = (_CPU, {})
    cuda = ("CUDAExecutionProvider", {"device_id": index})
    tensorrt = (
        "TensorrtExecutionProvider",
        {
            "device_id": index,
            "trt_fp16_enable": half,
            **(caching if kept else {}),
        },
    )
    ways = {
        "cuda": [
            Candidate("TensorRT", (tensorrt, cuda, cpu), "cuda", index),
            Candidate("CUDA", (cuda, cpu), "cuda", index),
        ],
        "directml": [Candidate("DirectML", (("DmlExecutionProvider", {}), cpu))],
        "mps": [Candidate("Core ML", (("CoreMLExecutionProvider", {}), cpu))],
        "cpu": [Candidate("CPU", (cpu,))],
    }
    wanted = list(ways) if kind == "auto" else [kind]
    return [way for kind in wanted for way in ways.get(kind, ()) if way.name in available]


class Opened:
    """A session, and the provider that took it.

    Args:
        session: ``onnxruntime.InferenceSession``; unless the CPU is in charge, its profiling is on.
        candidate: what runs it.
        notes: one line for each better provider that was passed over.
        scratch: the ``tempfile.TemporaryDirectory`` that the profile goes to.
    """

    def __init__(self, session: Any, candidate: Candidate, notes: tuple[str, ...], scratch: Any) -> None:
        self.session = session
        self.candidate = candidate
        self.notes = notes
        self._scratch = scratch

    def settle(self) -> None:
        """Call it after the first runs: it looks at their profile and notes what did not run where it should."""
        if self._scratch is None:
            return
        with self._scratch:
            self._scratch = None
            if self.candidate.label == "CPU":
                return
            ran = _nodes_by_provider(Path(self.session.end_profiling()))
        elsewhere = ran.total() - ran[self.candidate.name]
        if self.candidate.label == "TensorRT":
            elsewhere = ran[_CPU]  # CUDA beside TensorRT is as intended
        if not ran[self.candidate.name]:
            self.notes += (f"ONNX Runtime's {self.candidate.label} provider ran no part of the model",)
        elif elsewhere:
            self.notes += (f"{elsewhere} of {ran.total()} nodes ran on the CPU instead of {self.candidate.label}",)


def runtime() -> Any:
    """The module ``onnxruntime``.

    Raises:
        UnavailableError: it is not installed.
    """
    try:
        onnxruntime = import_quietly("onnxruntime")
    except ImportError as error:
        raise UnavailableError(
            f"ONNX Runtime is not installed: {adding('onnx')} (with an NVIDIA card onnx-gpu, on Windows with any "
            "other onnx-directml instead)"
        ) from error
    if hasattr(onnxruntime, "disable_telemetry_events"):
        # On Windows it passes events to the system, which sends them over the network.
        onnxruntime.disable_telemetry_events()
    return onnxruntime


def open_session(path: Path, asked: str, *, half: bool) -> Opened:
    """Open a file, known to be sound, with the best provider that works.

    Args:
        path: the file.
        asked: ``--device``.
        half: the file computes in half precision.

    Raises:
        UnavailableError: none of the providers that ``asked`` permits works; says why.
    """
    ort = runtime()
    ways = candidates(asked, ort.get_available_providers(), half=half)
    refusals: list[str] = []
    for way in ways:
        scratch = tempfile.TemporaryDirectory(prefix="rvm-live-", ignore_cleanup_errors=True)
        try:
            session = _attempt(ort, path, way, Path(scratch.name))
        except Exception as error:  # ONNX Runtime's errors have no base class but Exception
            refusals.append(f"{way.label}: {gist(error)}")
            scratch.cleanup()
            continue
        # A provider whose libraries are missing is left out without an error.
        if session.get_providers()[0] == way.name:
            notes = tuple(f"ONNX Runtime's provider was skipped, {reason}" for reason in refusals)
            if asked == "auto" and way.label == "CPU" and not refusals and gpu.read() is not None:
                notes = (f"ONNX Runtime does not use the GPU: {_MISSING['cuda']}",)
            return Opened(session, way, notes, scratch)
        refusals.append(f"{way.label}: it did not start: a library that it needs is missing")
        Opened(session, way, (), scratch).settle()
    why = "; ".join(refusals) or _MISSING.get(asked.partition(":")[0], "it only works with --engine openvino")
    raise UnavailableError(f"device {asked} cannot be used by ONNX Runtime {ort.__version__}: {why}")


def _attempt(ort: Any, path: Path, way: Candidate, scratch: Path) -> Any:
    options = onnx_options(ort)
    options.log_severity_level = _SILENT
    if way.label != "CPU":
        options.enable_profiling = True
        options.profile_file_prefix = str(scratch / "profile")
    if way.label == "DirectML":
        options.enable_mem_pattern = False  # DirectML does not support it
    if way.device == "cuda":
        import torch  # noqa: F401 - brings CUDA's and cuDNN's libraries along
    with quiet(ort):
        # ONNX Runtime's own fallback is off, because it prints.
        return ort.InferenceSession(str(path), options, providers=list(way.providers), enable_fallback=0)


@contextmanager
def quiet(ort: Any) -> Iterator[None]:
    """While a session is made: what goes wrong is told by us, in one line."""
    ort.set_default_logger_severity(_SILENT)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            yield
    finally:
        ort.set_default_logger_severity(_USUAL)


def _nodes_by_provider(profile: Path) -> Counter[str]:
    """Provider -> how many different nodes it ran."""
    events = json.loads(profile.read_text())
    ran = {
        (event["args"]["provider"], event["args"].get("node_index", event["name"]))
        for event in events
        if event.get("cat") == "Node" and event.get("args", {}).get("provider")
    }
    return Counter(provider for provider, _ in ran)


def gist(error: BaseException) -> str:
    """What an error of ONNX Runtime says, without its numbers, its own source files and its line breaks."""
    text = " ".join(str(error).split())
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)
    text = re.sub(r"^Load model from .*? failed: ?", "", text)
    text = re.sub(r"(^|\s)/\S+:\d+ [^)]*\)( const)? ", r"\1", text)
    return text[:300] or type(error).__name__
