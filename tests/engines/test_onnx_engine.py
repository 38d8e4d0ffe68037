"""The engine `onnx`: which files it runs, how they fit the frames, and which provider runs them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper

from rvm_live.core import transfer
from rvm_live.core.errors import EngineError, SettingsError, UnavailableError, WeightsError
from rvm_live.core.frames import Frame
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.onnx import providers
from rvm_live.engines.onnx.bindings import Fit, HostPictures, TensorPictures
from rvm_live.engines.onnx.engine import OnnxEngine
from rvm_live.engines.onnx.providers import Candidate, Opened, candidates, gist
from rvm_live.engines.rvm.torch.engine import RvmEngine
from rvm_live.engines.select import AutoEngine
from rvm_live.system.installed import adding
from rvm_live.system.telemetry_off import import_quietly
from tests.support.onnx_files import save_fixed, save_flexible
from tests.support.program import call
from tests.support.threads import torch_threads  # noqa: F401

onnxruntime = import_quietly("onnxruntime")

WIDTH, HEIGHT, RATIO = 240, 134, 0.5


@pytest.fixture(scope="module")
def fixed(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file for 240x134 at ratio 0.5."""
    return save_fixed(weights, tmp_path_factory.mktemp("fixed") / "fixed.onnx", WIDTH, HEIGHT, RATIO)


@pytest.fixture(scope="module")
def flexible(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file for any size and ratio."""

    return save_flexible(weights, tmp_path_factory.mktemp("flexible") / "flexible.onnx")


@pytest.fixture(scope="module")
def video(data: Path) -> NDArray[np.uint8]:
    """Six real frames, uint8 (6, 270, 480, 3) BGR."""
    frames = np.load(data / "reference" / "real_mobilenetv3_fast_guided_filter.npz")["src_u8"]
    return np.ascontiguousarray(frames[..., ::-1])


def frames_of(video: NDArray[np.uint8], width: int = WIDTH, height: int = HEIGHT) -> list[Frame]:
    return [
        Frame(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), number, 0, number)
        for number, picture in enumerate(video)
    ]


@contextmanager
def opened(engine: Any, width: int = WIDTH, height: int = HEIGHT) -> Iterator[Any]:
    try:
        engine.open()
        engine.prepare(width, height)
        yield engine
    finally:
        engine.close()


def onnx_engine(path: Path | None, **options: Any) -> OnnxEngine:
    return OnnxEngine(EngineSettings(weights=path, **{"device": "cpu", **options}))


def rvm_engine(weights: Path, ratio: float | None = RATIO) -> RvmEngine:
    return RvmEngine(EngineSettings(weights=weights, device="cpu", downsample_ratio=ratio))


def apart(a: Any, b: Any) -> float:
    """Mean absolute difference of two host pictures, 0-1."""
    return float(np.abs(a.astype(float) - b).mean() / 255)


# What it computes


def test_it_agrees_with_the_plain_network_on_a_real_clip(fixed: Path, weights: Path, video: NDArray[np.uint8]) -> None:
    with opened(onnx_engine(fixed)) as ours, opened(rvm_engine(weights)) as theirs:
        assert (ours.info.engine, ours.info.model, ours.info.precision) == ("onnx", "mobilenetv3", "fp32")
        assert (ours.info.device, ours.info.downsample_ratio, ours.info.notes) == ("cpu", RATIO, ())
        assert ours.info.device_name.endswith(", ONNX Runtime's CPU provider")
        for frame in frames_of(video):
            a, b = ours.matte(frame).host(), theirs.matte(frame).host()
            assert 0.1 < b.alpha.mean() / 255 < 0.9
            assert apart(a.alpha, b.alpha) < 5e-4
            assert apart(a.foreground, b.foreground) < 1e-3


@pytest.mark.few(1)
@pytest.mark.parametrize(("size", "ratio"), [((240, 134), 0.5), ((140, 240), 0.4)])
def test_a_file_for_any_size_with_a_ratio_for_input(
    flexible: Path, weights: Path, video: NDArray[np.uint8], size: tuple[int, int], ratio: float
) -> None:
    """The interface of the RVM authors' own files: states start at (1, 1, 1, 1), and the ratio is an input."""
    with (
        opened(onnx_engine(flexible, downsample_ratio=ratio), *size) as ours,
        opened(rvm_engine(weights, ratio), *size) as theirs,
    ):
        assert (ours.info.model, ours.info.downsample_ratio) == ("flexible.onnx", ratio)
        assert ours.info.notes == ()
        for frame in frames_of(video, *size)[:3]:
            a, b = ours.matte(frame).host(), theirs.matte(frame).host()
            assert apart(a.alpha, b.alpha) < 5e-4


def test_where_the_ratio_is_left_open_it_follows_the_published_rule(flexible: Path) -> None:
    with opened(onnx_engine(flexible), 1024, 512) as engine:
        assert engine.info.downsample_ratio == 0.5
        engine.matte(Frame(np.zeros((200, 300, 3), np.uint8), 0, 0, 0))
        assert engine.info.downsample_ratio == 1.0


@pytest.mark.slow
def test_half_precision_is_the_files(weights: Path, tmp_path: Path, video: NDArray[np.uint8]) -> None:
    path = save_fixed(weights, tmp_path / "half.onnx", 96, 80, 0.5, half=True)
    with opened(onnx_engine(path), 96, 80) as ours, opened(rvm_engine(weights), 96, 80) as theirs:
        assert ours.info.precision == "fp16"
        for frame in frames_of(video, 96, 80):
            a, b = ours.matte(frame).host(), theirs.matte(frame).host()
            assert apart(a.alpha, b.alpha) < 2e-3
    with pytest.raises(SettingsError, match="computes in fp16, not in fp32: leave --precision out"):
        onnx_engine(path, precision="fp32").open()


def test_alpha_alone(fixed: Path, video: NDArray[np.uint8]) -> None:
    frame = frames_of(video)[0]
    with opened(onnx_engine(fixed)) as both, opened(onnx_engine(fixed, foreground="source")) as alone:
        a, b = both.matte(frame), alone.matte(frame)
    assert a.foreground is not None and b.foreground is None
    assert np.array_equal(a.alpha, b.alpha)


@pytest.mark.parametrize("size", [(WIDTH, HEIGHT), (300, 200)])
def test_on_a_device_the_same_comes_out_and_a_frame_goes_up_once(
    fixed: Path, video: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    """The code path for GPUs, in torch's memory, here with the CPU as the device."""
    frames = frames_of(video, *size)[:3]
    with opened(onnx_engine(fixed), *size) as host:
        expected = [host.matte(frame).host() for frame in frames]

    def memory(self: OnnxEngine, fit: Fit, *, foreground: bool) -> TensorPictures:
        return TensorPictures(fit, np.float32, foreground=foreground, device=torch.device("cpu"))

    monkeypatch.setattr(OnnxEngine, "_memory", memory)
    with opened(onnx_engine(fixed), *size) as engine:
        mattes = []
        for frame in frames:
            before = transfer.counts()
            mattes.append(engine.matte(frame))
            after = transfer.counts()
            assert (after.uploads - before.uploads, after.downloads - before.downloads) == (1, 0)
    for matte, theirs in zip(mattes, expected, strict=True):
        assert isinstance(matte.alpha, torch.Tensor) and np.array_equal(matte.image, matte.frame.image)
        ours = matte.host()
        tolerance = 5e-4 if size == (WIDTH, HEIGHT) else 1e-2  # OpenCV and torch shrink differently
        assert apart(ours.alpha, theirs.alpha) < tolerance
        assert apart(ours.foreground, theirs.foreground) < tolerance


def test_a_failure_is_one_line_and_forgets_the_state(
    fixed: Path, video: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = frames_of(video)
    with opened(onnx_engine(fixed)) as engine:
        first = engine.matte(frames[0]).alpha

        def fail(*_: Any) -> None:
            raise RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : out of\nmemory")

        with monkeypatch.context() as patch:
            patch.setattr(OnnxEngine, "_run", fail)
            with pytest.raises(EngineError) as error:
                engine.matte(frames[1])
        assert str(error.value) == "model mobilenetv3 failed with ONNX Runtime's CPU: out of memory"
        assert np.array_equal(engine.matte(frames[0]).alpha, first)


# Frames of another size


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("size", "inner"),
    [((480, 268), (240, 134)), ((120, 67), (240, 134)), ((300, 100), (240, 80)), ((90, 134), (90, 134))],
)
def test_frames_of_another_size_keep_their_shape_and_it_is_told(
    fixed: Path, weights: Path, video: NDArray[np.uint8], size: tuple[int, int], inner: tuple[int, int]
) -> None:
    """The plain network's alpha for the picture with borders, with the borders cut off again."""
    left, top = (WIDTH - inner[0]) // 2, (HEIGHT - inner[1]) // 2
    window = slice(top, top + inner[1]), slice(left, left + inner[0])
    with opened(onnx_engine(fixed), *size) as ours, opened(rvm_engine(weights)) as theirs:
        (note,) = ours.info.notes
        how = f"{inner[0]}x{inner[1]} with a black border, because the model is for 240x134"
        if inner == (WIDTH, HEIGHT):
            how = "240x134, because the model is for this size"
        assert note == f"frames of {size[0]}x{size[1]} are scaled to {how}"
        for frame in frames_of(video, *size):
            picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
            shrinks = inner[0] < size[0]
            picture[window] = cv2.resize(
                frame.image, inner, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            )
            a, b = ours.matte(frame).host(), theirs.matte(Frame(picture, frame.seq, 0, 0)).host()
            assert 0.05 < b.alpha[window].mean() / 255 < 0.95
            assert apart(a.alpha, cv2.resize(b.alpha[window], size)) < 2e-3
            change = b.colour[window].astype(np.float32) - picture[window]
            expected = np.clip(frame.image + cv2.resize(change, size), 0, 255)
            assert apart(a.colour, expected) < 4e-3


def test_a_size_that_changes_on_the_way_is_told_too(fixed: Path, video: NDArray[np.uint8]) -> None:
    with opened(onnx_engine(fixed)) as engine:
        engine.matte(frames_of(video)[0])
        assert engine.info.notes == ()
        engine.matte(frames_of(video, 96, 80)[0])
        assert "frames of 96x80 are scaled to" in engine.info.notes[0]
        engine.matte(frames_of(video)[0])
        assert engine.info.notes == ()


@given(*(st.integers(1, 4000) for _ in range(4)))
def test_a_frame_lies_inside_the_picture_in_its_own_shape(
    width: int, height: int, to_width: int, to_height: int
) -> None:
    fit = Fit.of((width, height), (to_width, to_height))
    above, below, left, right = fit.borders
    assert min(fit.borders) >= 0 and abs(above - below) <= 1 and abs(left - right) <= 1
    assert above + fit.inner[1] + below == to_height and left + fit.inner[0] + right == to_width
    assert fit.inner[0] == to_width or fit.inner[1] == to_height
    across, down = to_height * width / height, to_width * height / width
    assert abs(fit.inner[0] - max(1, min(across, to_width))) <= 0.51
    assert abs(fit.inner[1] - max(1, min(down, to_height))) <= 0.51
    assert bool(fit.note()) == ((width, height) != (to_width, to_height))


def test_what_goes_in_comes_out() -> None:
    """Results equal the input: alpha is its first plane, and the foreground is the picture."""
    picture = np.random.default_rng(3).integers(0, 256, (60, 90, 3), np.uint8)
    for fit in (Fit.of((90, 60), (90, 60)), Fit.of((90, 60), (100, 100)), Fit.of((90, 60), (40, 40))):
        host = HostPictures(fit, np.float32, foreground=True)
        host.put(picture)
        host.fgr[:], host.pha[:] = host.src, host.src[:, :1]
        alpha, foreground = host.results(picture)
        assert np.array_equal(foreground, picture)
        assert alpha.shape == (60, 90)
        tensor = TensorPictures(fit, np.float32, foreground=True, device=torch.device("cpu"))
        image = torch.from_numpy(picture)
        tensor.put(image)
        assert tensor.src.shape == host.src.shape
        tensor.fgr.copy_(tensor.src)
        tensor.pha.copy_(tensor.src[:, :1])
        alpha_there, foreground_there = tensor.results(image)
        assert np.abs(foreground_there.numpy() * 255 - picture).max() < 1e-3
        if not fit.scaled:
            assert np.abs(host.src - tensor.src.numpy()).max() < 1e-6
            assert np.array_equal(alpha, picture[..., 2])
            assert np.abs(alpha_there.numpy() * 255 - alpha).max() < 1e-3


# Who runs it


def test_the_order_of_the_providers() -> None:
    gpu_build = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    every = [*gpu_build, "DmlExecutionProvider", "CoreMLExecutionProvider", "AzureExecutionProvider"]

    def labels(asked: str, available: list[str]) -> list[str]:
        return [way.label for way in candidates(asked, available, half=False)]

    assert labels("auto", every) == ["TensorRT", "CUDA", "DirectML", "Core ML", "CPU"]
    assert labels("auto", gpu_build) == ["TensorRT", "CUDA", "CPU"]
    assert labels("cpu", every) == ["CPU"]
    assert labels("cuda:1", every) == ["TensorRT", "CUDA"]
    assert labels("mps", every) == ["Core ML"]
    assert labels("cuda", ["CPUExecutionProvider"]) == []
    first = candidates("cuda:1", every, half=True)[0]
    assert [name for name, _ in first.providers] == gpu_build and (first.device, first.index) == ("cuda", 1)
    assert first.providers[0][1]["device_id"] == first.providers[1][1]["device_id"] == 1
    assert first.providers[0][1]["trt_fp16_enable"] is True
    assert candidates("auto", every, half=False)[0].providers[0][1]["trt_fp16_enable"] is False


def test_a_provider_that_does_not_start_is_passed_over_and_told(
    fixed: Path, video: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """ONNX Runtime leaves it out and continues on the CPU, so ask the session which provider runs."""
    claimed = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: claimed)
    with opened(onnx_engine(fixed, device="auto")) as engine:
        assert engine.info.device == "cpu" and "CPU provider" in engine.info.device_name
        assert engine.info.notes == (
            "ONNX Runtime's provider was skipped, CUDA: it did not start: a library that it needs is missing",
        )
        assert engine.matte(frames_of(video)[0]).alpha.shape == (HEIGHT, WIDTH)
    assert capfd.readouterr() == ("", "")
    with pytest.raises(UnavailableError, match=r"device cuda cannot be used by ONNX Runtime .*: CUDA: it did not"):
        onnx_engine(fixed, device="cuda").open()


@pytest.mark.parametrize(("device", "expected"), [("cuda", "install onnxruntime-gpu instead"), ("mps", "for Macs")])
def test_a_device_this_build_knows_nothing_of(
    fixed: Path, monkeypatch: pytest.MonkeyPatch, device: str, expected: str
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(UnavailableError, match=f"device {device} cannot be used by ONNX Runtime .*{expected}"):
        onnx_engine(fixed, device=device).open()


def test_a_gpu_that_lies_idle_is_told(fixed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rvm_live.system.gpu import GpuReading

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr(providers.gpu, "read", lambda: GpuReading("NVIDIA Imaginary"))
    with opened(onnx_engine(fixed, device="auto")) as engine:
        (note,) = engine.info.notes
    assert "does not use the GPU" in note and "onnxruntime-gpu" in note
    with opened(onnx_engine(fixed, device="cpu")) as engine:
        assert engine.info.notes == ()


def profiled(path: Path, folder: Path, candidate: Candidate) -> Opened:
    """A session on the CPU under the name in ``candidate``, with a real profile of one run."""
    import tempfile

    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    session.run(None, {each.name: np.zeros(each.shape, np.float32) for each in session.get_inputs()})
    return Opened(session, candidate, ("before",), tempfile.TemporaryDirectory(dir=folder))


def test_the_profile_tells_who_ran_the_nodes(fixed: Path, tmp_path: Path) -> None:
    honest = profiled(fixed, tmp_path, Candidate("CPU", (("CPUExecutionProvider", {}),)))
    honest.settle()
    honest.settle()
    assert honest.notes == ("before",)
    boastful = profiled(fixed, tmp_path, Candidate("Core ML", (("CoreMLExecutionProvider", {}),)))
    boastful.settle()
    assert boastful.notes[1:] == ("ONNX Runtime's Core ML provider ran no part of the model",)


def test_nodes_left_to_the_cpu_are_counted(tmp_path: Path) -> None:
    def event(name: str, provider: str, index: int) -> dict[str, Any]:
        return {"cat": "Node", "name": name, "args": {"provider": provider, "node_index": str(index)}}

    class Session:
        def end_profiling(self) -> str:
            (tmp_path / "profile.json").write_text(json.dumps(events))
            return str(tmp_path / "profile.json")

    import tempfile

    events = [{"cat": "Session", "name": "run", "args": {}}]
    for _run in range(2):
        events += [event("a", "CUDAExecutionProvider", n) for n in range(6)]
        events += [event("b", "CPUExecutionProvider", n) for n in range(6, 8)]
    for label, name in (("CUDA", "CUDAExecutionProvider"), ("TensorRT", "TensorrtExecutionProvider")):
        session = Opened(Session(), Candidate(label, ((name, {}),), "cuda"), (), tempfile.TemporaryDirectory())
        session.settle()
        if label == "CUDA":
            assert session.notes == ("2 of 8 nodes ran on the CPU instead of CUDA",)
        else:
            assert "ran no part of the model" in session.notes[0]
    events += [event("c", "TensorrtExecutionProvider", 9)]
    session = Opened(
        Session(), Candidate("TensorRT", (("TensorrtExecutionProvider", {}),)), (), tempfile.TemporaryDirectory()
    )
    session.settle()
    assert session.notes == ("2 of 9 nodes ran on the CPU instead of TensorRT",)


def test_auto_does_not_try_it(weights: Path) -> None:
    engine = AutoEngine(EngineSettings(weights=weights, device="cpu"))
    engine.open()
    assert engine.info.engine != "onnx" and not any("onnx" in note for note in engine.info.notes)
    engine.close()


def test_a_ratio_the_file_does_not_have_is_told(fixed: Path) -> None:
    with opened(onnx_engine(fixed, downsample_ratio=0.25)) as engine:
        assert engine.info.notes == ("model fixed.onnx works at ratio 0.5; 0.25 was asked for",)
        assert engine.info.downsample_ratio == 0.5
    with opened(onnx_engine(fixed, downsample_ratio=0.5)) as engine:
        assert engine.info.notes == ()


# Files that do not fit


def complaint(path: Path | None, **options: Any) -> str:
    with pytest.raises(WeightsError) as caught:
        onnx_engine(path, **options).open()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_files_that_are_none(fixed: Path, weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    assert "rvm-live export --format onnx" in complaint(None)
    assert "does not exist" in complaint(path)
    assert "is a folder" in complaint(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "a device or a pipe" in complaint(tmp_path / "pipe")
    assert "a checkpoint or TorchScript, not an ONNX file" in complaint(weights)
    path.write_bytes(b"")
    assert "is empty" in complaint(path)
    path.write_text("<html>")
    assert "cannot be read by ONNX Runtime: " in complaint(path)
    whole = fixed.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "cannot be read by ONNX Runtime: " in complaint(path)
    model = onnx.load(fixed)
    model.opset_import[0].version = 99
    onnx.save(model, path)
    told = complaint(path)
    assert "Opset 99" in told and "model_load_utils" not in told
    assert len(told) < 500


def graph(inputs: dict[str, tuple[int, list[Any]]], outputs: dict[str, tuple[int, list[Any]]], path: Path) -> Path:
    """A model whose outputs are all the mean of ``src`` over its channels, whatever their names."""
    first = next(iter(inputs))
    nodes = [helper.make_node("ReduceMean", [first], [name], axes=[1], keepdims=1) for name in outputs]
    made = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in outputs.items()],
    )
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


F, D = TensorProto.FLOAT, TensorProto.DOUBLE
PICTURE, ALPHA = (F, [1, 3, "h", "w"]), (F, [1, 1, "h", "w"])


@pytest.mark.parametrize(
    ("inputs", "outputs", "expected"),
    [
        ({"image": PICTURE}, {"pha": ALPHA}, "it takes image and gives pha; expected src, states such as r1i"),
        ({"src": PICTURE}, {"alpha": ALPHA}, "it takes src and gives alpha; expected"),
        ({"src": PICTURE, "r1i": ALPHA}, {"pha": ALPHA}, "it takes src, r1i and gives pha; expected"),
        ({"src": PICTURE, "mask": ALPHA}, {"pha": ALPHA}, "it takes src, mask and gives pha; expected"),
        ({"src": (D, [1, 3, "h", "w"])}, {"pha": (D, [1, 1, "h", "w"])}, "computes in tensor(double)"),
        ({"src": (F, [1, 4, 8, 8])}, {"pha": (F, [1, 1, 8, 8])}, "takes pictures of shape [1, 4, 8, 8]"),
        ({"src": (F, [1, 3, 8, "w"])}, {"pha": (F, [1, 1, 8, "w"])}, "takes pictures of shape [1, 3, 8, 'w']"),
        (
            {"src": PICTURE, "downsample_ratio": (D, [1])},
            {"pha": ALPHA},
            "takes downsample_ratio as tensor(double)",
        ),
    ],
)
def test_files_of_something_else(
    tmp_path: Path, inputs: dict[str, Any], outputs: dict[str, Any], expected: str
) -> None:
    assert expected in complaint(graph(inputs, outputs, tmp_path / "model.onnx"))


def test_a_file_of_ones_own_that_gives_alpha_alone(tmp_path: Path, video: NDArray[np.uint8]) -> None:
    frame = frames_of(video)[0]
    with opened(onnx_engine(graph({"src": PICTURE}, {"pha": ALPHA}, tmp_path / "mean.onnx"))) as engine:
        assert engine.info.model == "mean.onnx"
        matte = engine.matte(frame)
    assert matte.foreground is None
    assert np.abs(matte.alpha - frame.image.mean(2)).max() <= 0.51


def test_without_onnx_runtime(fixed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UnavailableError, match=re.escape(f"ONNX Runtime is not installed: {adding('onnx')}")):
        onnx_engine(fixed).open()


@pytest.mark.slow
def test_it_leaves_no_trace_and_reports_to_nobody(fixed: Path, tmp_path: Path) -> None:
    """By default ONNX Runtime from 1.29 on writes an identifier and a queue of events to the user's cache."""
    code = (
        "import sys; from pathlib import Path; from rvm_live.engines.onnx.engine import OnnxEngine\n"
        "from rvm_live.core.settings import EngineSettings\n"
        "engine = OnnxEngine(EngineSettings(weights=Path(sys.argv[1]), device='cpu'))\n"
        "engine.open(); engine.prepare(240, 134); engine.close()"
    )
    # Under CI it is silent by itself, which is not what is tested.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CI", "ORT_"))}
    homes = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "RVM_LIVE_CACHE", "LOCALAPPDATA"), str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", code, str(fixed)],
        env={**kept, **homes},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []


def test_the_gist_of_an_error() -> None:
    assert gist(RuntimeError("[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Failed to\nload")) == "Failed to load"
    long = "[ONNXRuntimeError] : 1 : FAIL : /a/b.cc:46 void f(const std::map<int>&, bool) Opset 99 is too new.\n"
    assert gist(RuntimeError(long)) == "Opset 99 is too new."
    assert gist(RuntimeError()) == "RuntimeError"


# The program


def test_the_program_runs_it_and_names_what_ran(fixed: Path, data: Path, tmp_path: Path) -> None:
    clip = data / "clips" / "webcam" / "volcomix_Doctor_26732.mp4"
    options = ["--headless", "--no-realtime", "--frames", "4", "--width", "320", "--height", "180"]
    record = f"{tmp_path}/out/"
    report = tmp_path / "report.json"
    extra = ["--background", "transparent", "--record", record, "--stats-json", report, "--report"]
    done = call("--engine", "onnx", "--weights", fixed, "--source", clip, *options, *extra)
    assert done.code == 0, done.err
    assert "onnx mobilenetv3 on cpu" in done.out and "ONNX Runtime's CPU provider), fp32, ratio 0.5" in done.out
    assert any("for 240x134" in line for line in json.loads(report.read_text())["fallbacks"])
    alpha = cv2.imread(f"{record}000003.png", cv2.IMREAD_UNCHANGED)[..., 3]
    assert 0.05 < (alpha > 128).mean() < 0.95


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--weights", "none.onnx"], "model none.onnx does not exist"),
        ([], "--engine onnx needs a model"),
        (["--weights", "{weights}"], "a checkpoint or TorchScript, not an ONNX file"),
        (["--weights", "{fixed}", "--precision", "fp16"], "computes in fp32, not in fp16"),
        (["--weights", "{fixed}", "--device", "mps"], "device mps cannot be used by ONNX Runtime"),
    ],
)
def test_bad_input_is_one_line(
    fixed: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [each.format(weights=weights, fixed=fixed) for each in arguments]
    done = call("--engine", "onnx", "--source", "demo", "--headless", "--frames", "1", *given)
    assert done.code == 2
    assert expected in done.complaint
