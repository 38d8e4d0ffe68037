"""A GPU that fails: what its errors mean, which one is reported, and what a run does without it."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from rvm_live.core.errors import CompositorError, EngineError, NoMemoryError
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.queues import Overflow
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.base import EngineInfo
from rvm_live.engines.common import device_errors
from rvm_live.engines.common.device import free_cache
from rvm_live.engines.common.device_errors import is_out_of_memory, lost_device, memory_wanted
from rvm_live.engines.select import AutoEngine
from rvm_live.engines.session import EngineSession
from rvm_live.pipeline.pipeline import Pipeline
from tests.support.composers import DirectComposer
from tests.support.engines import LeftHalfEngine
from tests.support.movies import inside, make_movie
from tests.support.program import finish, start
from tests.support.sources import PatternSource

ILLEGAL = "CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be asynchronously reported"

# Out of memory ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(
            "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported at some other call"
        ),
        RuntimeError("CUDA out of memory. Tried to allocate 2.50 GiB."),
        RuntimeError("CUDA driver error: out of memory"),
        RuntimeError("CUDA failure 2: out of memory ; GPU=0 ; hostname=here"),
        RuntimeError("Triton Error [CUDA]: out of memory"),
        RuntimeError("cudaErrorMemoryAllocation"),
        RuntimeError("HIP out of memory. Tried to allocate 20.00 MiB."),
        RuntimeError("HIP error: out of memory"),
        RuntimeError(
            "MPS backend out of memory (MPS allocated: 8.00 GB). Tried to allocate 200.00 MB on private pool."
        ),
        RuntimeError("Invalid buffer size: 12.00 GiB"),
        RuntimeError("Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("CUDA error: HIPBLAS_STATUS_ALLOC_FAILED when calling `hipblasCreate(handle)`"),
        RuntimeError("miopenStatusAllocFailed"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 512000000 bytes."),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 512000000 bytes."),
        RuntimeError("could not create a primitive"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("bad allocation"),
        RuntimeError("Failed to allocate memory for requested buffer of size 1048576"),
        RuntimeError("OpenCV(4.12.0) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate 8 bytes"),
        MemoryError(),
        torch.OutOfMemoryError("words of no kind"),
    ],
    ids=str,
)
def test_want_of_memory_is_known_by_whatever_words(error: Exception) -> None:
    assert is_out_of_memory(error)
    assert not lost_device(error)


@pytest.mark.parametrize(
    "words",
    [
        ILLEGAL,
        "CUDA error: invalid configuration argument",
        "out of resource: shared memory, Required: 262144, Hardware limit: 101376",
        "mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)",
        "CUDA error: too many resources requested for launch",
    ],
)
def test_other_errors_are_no_want_of_memory(words: str) -> None:
    assert not is_out_of_memory(RuntimeError(words))


def test_what_memory_was_wanted_is_told_in_words() -> None:
    error = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 512000000 bytes.")
    assert memory_wanted(error) == " (512 MB more were needed)"
    assert memory_wanted(RuntimeError("CUDA out of memory. Tried to allocate 2.50 GiB.")) == " (2.50 GiB more)"
    assert memory_wanted(RuntimeError("out of memory")) == ""


# A lost device ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ILLEGAL,
        "CUDA error: device-side assert triggered",
        "CUDA error: unspecified launch failure",
        "CUDA error: the launch timed out and was terminated",
        "CUDA error: misaligned address",
        "CUDA error: an illegal instruction was encountered",
        "CUDA error: uncorrectable ECC error encountered",
        "CUDA error: unknown error",
        "HIP error: an illegal memory access was encountered",
        "Triton Error [CUDA]: an illegal memory access was encountered",
        "CUDA failure 700: an illegal memory access was encountered ; GPU=0 ; hostname=here",
        "OpenCV(4.12.0) gpu_mat.cu:116: error: (-217:Gpu API call) an illegal memory access was encountered",
    ],
)
def test_a_lost_device_is_known_through_whatever_was_raised_from_it(words: str) -> None:
    try:
        try:
            raise RuntimeError(words)
        except RuntimeError as error:
            raise EngineError("matting failed") from error
    except EngineError as error:
        try:
            raise CompositorError("no back end can do this matte")
        except CompositorError as late:
            assert lost_device(RuntimeError(words)) and lost_device(error) and lost_device(late)


@pytest.mark.parametrize(
    "error",
    [
        EngineError("the network is of another kind"),
        ValueError("unknown error"),
        OSError("illegal instruction"),
        RuntimeError("CUDA error: invalid configuration argument"),
        NoMemoryError("out of memory on cuda:0"),
    ],
    ids=str,
)
def test_a_device_that_still_answers_is_not_lost(error: Exception) -> None:
    assert not lost_device(error)


def test_where_the_words_say_too_little_the_device_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def ones(count: int, device: str) -> torch.Tensor:
        asked.append(device)
        raise RuntimeError(said)

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch, "ones", ones)
    vague = RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED")
    said = ILLEGAL
    assert lost_device(vague)
    vague.__cause__ = EngineError("matting failed on cuda:1")
    assert lost_device(vague)
    said = "CUDA out of memory"
    assert not lost_device(vague), "full, not lost"
    assert asked == ["cuda", "cuda:1", "cuda:1"]
    assert not lost_device(EngineError("nothing about a GPU"))
    assert len(asked) == 3


def test_looking_at_an_error_imports_no_torch() -> None:
    assert "torch" not in vars(device_errors)


@pytest.mark.slow
def test_files_after_the_one_that_lost_the_gpu_are_left_for_another_process(tmp_path: Path) -> None:
    for name in "abcd":
        make_movie(tmp_path / f"{name}.mp4", frames=6, sound=())
    engine = ("--engine", "tests.support.engines:LosesItsDeviceEngine", "-b", "red")
    arguments = ("batch", *engine, *sorted(tmp_path.glob("*.mp4")), "-o", tmp_path / "out", "--segment", "1")
    with start(*arguments) as first:
        done = finish(first, 60)
    assert done.code == 1
    assert done.out.splitlines()[-1] == "1 done, 1 failed, 2 untouched", done.out
    assert "b.mp4: failed: matting failed on cuda:0" in done.out
    assert done.err.strip() == (
        "the GPU failed at b.mp4, and this process cannot use it any more; 2 more files were not started: run "
        "again with "
        "--resume (without this file, if it happens again)"
    )
    with start(*arguments, "--resume") as second:
        done = finish(second, 60)
    # A new process has another nine frames: enough for b, and for half of c.
    assert done.out.splitlines()[-1] == "1 done, 1 failed, 1 untouched, 1 kept (--force overwrites it)", done.out
    assert {len(inside(tmp_path / "out" / f"output_{name}.mp4").times) for name in "ab"} == {6}


# The first error is reported -------------------------------------------------------------------------------------


class FailsTwiceEngine(LeftHalfEngine):
    """Fails where ``fails`` says, and again while it is closed."""

    fails = "matte"

    def open(self) -> EngineInfo:
        if self.fails == "open":
            raise EngineError("the clear reason")
        return super().open()

    def matte(self, frame: Frame) -> Matte:
        if self.fails == "matte":
            raise EngineError("the clear reason")
        return super().matte(frame)

    def close(self) -> None:
        raise RuntimeError(ILLEGAL)


@pytest.mark.parametrize("fails", ["open", "matte"])
def test_an_engine_that_cannot_be_closed_either_does_not_hide_why_it_failed(
    monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    monkeypatch.setattr(FailsTwiceEngine, "fails", fails)
    pipeline = Pipeline(PatternSource(frames=5), FailsTwiceEngine(), DirectComposer(), [], overflow=Overflow.BLOCK)
    with pytest.raises(EngineError, match="the clear reason"):
        pipeline.run()


def test_what_closing_alone_fails_of_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FailsTwiceEngine, "fails", "")
    pipeline = Pipeline(PatternSource(frames=5), FailsTwiceEngine(), DirectComposer(), [], overflow=Overflow.BLOCK)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        pipeline.run()


def test_nor_does_one_that_is_passed_over_or_used_by_another_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FailsTwiceEngine, "fails", "open")
    with pytest.raises(EngineError, match="the clear reason"):
        AutoEngine(EngineSettings(engine="tests.engines.test_gpu_faults:FailsTwiceEngine")).open()
    with pytest.raises(EngineError, match="the clear reason"):
        EngineSession(FailsTwiceEngine())
    monkeypatch.setattr(FailsTwiceEngine, "fails", "")
    with pytest.raises(ValueError, match="the program's own"), EngineSession(FailsTwiceEngine()):
        raise ValueError("the program's own")


@pytest.mark.parametrize("device", ["cuda:0", "mps"])
def test_memory_that_cannot_be_freed_is_left(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, device: str
) -> None:
    def fail() -> None:
        raise RuntimeError(ILLEGAL)

    monkeypatch.setattr(torch.cuda, "empty_cache", fail)
    monkeypatch.setattr(torch.mps, "empty_cache", fail)
    with caplog.at_level(logging.DEBUG, "rvm_live"):
        free_cache(device)
    assert "illegal memory access" in caplog.text
    free_cache("cpu")
