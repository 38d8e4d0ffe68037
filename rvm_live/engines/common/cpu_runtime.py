"""Options of the runtimes on a CPU: as many threads as planned, not tied to cores.

Both would tie their threads to cores, OpenVINO by default and ONNX Runtime where it chooses their number: to the first
ones, in every process. Two workers with a core each then share core 0 and leave the other idle, and a thread beside
another busy program waits for it, however idle its neighbours are.
"""

from __future__ import annotations

from typing import Any

from rvm_live.system import folders, threads
from rvm_live.system.cpu_info import held_to
from rvm_live.weights import cache_dir

__all__ = ["has_bf16", "onnx_options", "openvino_elsewhere", "openvino_options"]

_BEFORE_BF16 = ("sse41", "avx", "avx2", "avx2_vnni", "avx2_vnni_2", "avx512_core", "avx512_core_vnni")


def has_bf16(core: Any) -> bool:
    """Whether OpenVINO computes in bfloat16 natively here. OpenVINO reports what the processor can do, even if its
    kernels are limited to older instructions.

    Args:
        core: ``openvino.Core``.
    """
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") and held_to().lower() not in _BEFORE_BF16


def openvino_options(hint: str, *, cached: bool = True) -> dict[str, Any]:
    """How OpenVINO compiles for the CPU.

    Args:
        hint: a precision in its own words: ``f32`` or ``bf16``.
        cached: keep what was compiled on disk.
    """
    return {
        **openvino_elsewhere(hint, cached=cached),
        "INFERENCE_NUM_THREADS": threads.plan(threads.usable_cores()).matting,
        "ENABLE_CPU_PINNING": False,
    }


def openvino_elsewhere(hint: str, *, cached: bool = True) -> dict[str, Any]:
    """How OpenVINO compiles for a GPU or NPU.

    Args:
        hint: a precision in its own words: ``f32`` or ``f16``.
        cached: as for :func:`openvino_options`.
    """
    options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint}
    kept = folders.kept_in(cache_dir() / "openvino") if cached else None
    return {**options, "CACHE_DIR": kept} if kept else options


def onnx_options(ort: Any) -> Any:
    """``onnxruntime.SessionOptions`` for the CPU, also for what another provider leaves to it.

    Args:
        ort: the module ``onnxruntime``.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads.plan(threads.usable_cores()).matting
    # Spinning idle threads would take cores that capture, compositing and display need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
