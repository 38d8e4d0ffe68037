"""Exported files do in their runtimes what the plain network does, and nothing else is written."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from rvm_live import __version__
from rvm_live.apps.export import verify
from rvm_live.apps.export.export import FORMATS, ExportSettings, export
from rvm_live.apps.export.verify import TOLERANCES, Difference, differences, moving_picture
from rvm_live.core.errors import EngineError, SettingsError, SinkError
from rvm_live.core.frames import Frame
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.common import fixed_network
from rvm_live.engines.common.fixed_network import INPUTS, OUTPUTS, Shape, make
from rvm_live.engines.common.ladder import state_shapes
from rvm_live.engines.onnx.providers import runtime
from rvm_live.engines.rvm.torch.engine import RvmEngine
from rvm_live.engines.torchscript import TorchScriptEngine
from rvm_live.network.network import MattingNetwork
from rvm_live.system.installed import adding
from rvm_live.system.telemetry_off import import_quietly
from rvm_live.weights import load
from tests.support.parity import formula_network
from tests.support.program import call
from tests.support.threads import torch_threads  # noqa: F401

WIDTH, HEIGHT, RATIO = 240, 134, 0.5
FACTS = {"made_by": "rvm-live 0", "inputs": "", "outputs": ""}

Run = Callable[[dict[str, NDArray[Any]]], dict[str, NDArray[Any]]]


@pytest.fixture(scope="module")
def video(data: Path) -> NDArray[np.uint8]:
    """Six real frames, uint8 (6, 134, 240, 3) BGR."""
    frames = np.load(data / "reference" / "real_mobilenetv3_fast_guided_filter.npz")["src_u8"]
    return np.ascontiguousarray(frames[:, 2::2, ::2, ::-1])


@pytest.fixture(scope="module")
def exported(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Format -> a file made by the command line."""
    folder = tmp_path_factory.mktemp("exported")
    size = ["--width", str(WIDTH), "--height", str(HEIGHT), "--ratio", str(RATIO)]
    threads = torch.get_num_threads()
    for form in FORMATS:
        torch.set_num_threads(1)  # see tests/support/threads.py
        done = call("export", "--format", form, "--weights", weights, *size, "--output", folder)
        assert (done.code, done.err) == (0, "")
        assert "mobilenetv3, 240x134, ratio 0.5, fp32" in done.out and "alpha" in done.out
    torch.set_num_threads(threads)
    return {form: folder / f"rvm_mobilenetv3_240x134_r0.5_fp32{ends[0]}" for form, ends in FORMATS.items()}


def settings_for(folder: Path, form: str, weights: Path, **options: Any) -> ExportSettings:
    engine = EngineSettings(weights=weights, downsample_ratio=0.5)
    small = {"width": 64, "height": 48, "output": folder, **options}
    return ExportSettings(form, engine, **small)


def run_onnx(path: Path) -> Run:
    session = runtime().InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda inputs: dict(zip(OUTPUTS, session.run(list(OUTPUTS), inputs), strict=True))


def run_openvino(path: Path) -> Run:
    openvino = import_quietly("openvino")
    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        found = compiled(inputs)
        return {name: found[name].copy() for name in OUTPUTS}

    return run


def run_torchscript(path: Path) -> Run:
    module = load_torchscript(path)[0]

    def run(inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        with torch.inference_mode():
            found = module(**{name: torch.from_numpy(value) for name, value in inputs.items()})
        return dict(zip(OUTPUTS, (each.numpy() for each in found), strict=True))

    return run


def load_torchscript(path: Path) -> tuple[Any, dict[str, str]]:
    import warnings

    told = {"rvm_live.json": ""}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module = torch.jit.load(path, _extra_files=told)
    return module, json.loads(told["rvm_live.json"])


RUNNERS = {"onnx": run_onnx, "openvino": run_openvino, "torchscript": run_torchscript}


# What is written


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_a_file_does_what_the_network_does_on_a_real_clip(
    exported: dict[str, Path], weights: Path, video: NDArray[np.uint8], form: str
) -> None:
    network = MattingNetwork("mobilenetv3", "fast_guided_filter").eval()
    network.load_state_dict(torch.load(weights, weights_only=True))
    run = RUNNERS[form](exported[form])
    shapes = state_shapes("mobilenetv3", 120, 67)
    theirs = {name: np.zeros(shape, np.float32) for name, shape in zip(INPUTS[1:], shapes, strict=True)}
    ours: Sequence[torch.Tensor | None] = (None,) * 4
    for picture in video:
        src = np.ascontiguousarray(picture[..., ::-1].transpose(2, 0, 1)[None], np.float32) / 255
        with torch.inference_mode():
            out = network(torch.from_numpy(src), *ours, downsample_ratio=RATIO)
        ours = out[2:]
        found = run({"src": src, **theirs})
        theirs = {name: found[name.replace("i", "o")] for name in theirs}
        assert 0.05 < float(out.pha.mean()) < 0.95, "somebody is in the picture"
        for name, expected in zip(OUTPUTS, out, strict=True):
            assert found[name].shape == tuple(expected.shape) and found[name].dtype == np.float32
            assert np.abs(found[name] - expected.numpy()).mean() < 1e-5, name


def facts_in(path: Path) -> dict[str, str]:
    match path.suffix:
        case ".onnx":
            import onnx

            model = onnx.load(path)
            assert (model.producer_name, model.producer_version) == ("rvm-live", __version__)
            return {each.key: each.value for each in model.metadata_props}
        case ".xml":
            openvino = import_quietly("openvino")
            model = openvino.Core().read_model(path)
            return {name: value.astype(str) for name, value in model.get_rt_info(["rvm_live"]).astype(dict).items()}
    return load_torchscript(path)[1]


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_a_file_says_what_it_is(exported: dict[str, Path], weights: Path, form: str) -> None:
    told = facts_in(exported[form])
    assert {name: told[name] for name in told if name not in ("inputs", "outputs")} == {
        "made_by": f"rvm-live {__version__}",
        "model": "mobilenetv3",
        "refiner": "fast_guided_filter",
        "width": "240",
        "height": "134",
        "downsample_ratio": "0.5",
        "precision": "fp32",
        "weights_sha256": load(weights).sha256,
    }
    assert "float32 1x3x134x240, RGB in 0-1" in told["inputs"] and "1x16x34x60" in told["inputs"]
    assert "alpha" in told["outputs"]


def test_an_onnx_file_is_one_file_of_fixed_shapes(exported: dict[str, Path]) -> None:
    import onnx

    model = onnx.load(exported["onnx"], load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    assert not any(each.external_data for each in model.graph.initializer)
    ports = {
        each.name: [side.dim_value for side in each.type.tensor_type.shape.dim]
        for each in (*model.graph.input, *model.graph.output)
    }
    assert tuple(ports) == (*INPUTS, *OUTPUTS)
    assert ports["src"] == ports["fgr"] == [1, 3, 134, 240] and ports["r1i"] == ports["r1o"] == [1, 16, 34, 60]
    assert {each.domain for each in model.opset_import} == {""}


def test_nothing_but_the_files_is_left(exported: dict[str, Path]) -> None:
    folder = exported["onnx"].parent
    assert {path.suffix for path in folder.iterdir()} == {".onnx", ".xml", ".bin", ".torchscript"}
    assert len(list(folder.iterdir())) == 4


@pytest.mark.few(1)
@pytest.mark.parametrize("size", [(240, 134), (134, 100)])
def test_the_torchscript_engine_runs_it_at_any_size(
    exported: dict[str, Path], weights: Path, video: NDArray[np.uint8], size: tuple[int, int]
) -> None:
    width, height = size
    theirs = TorchScriptEngine(EngineSettings(weights=exported["torchscript"], device="cpu"))
    ours = RvmEngine(EngineSettings(weights=weights, device="cpu", downsample_ratio=RATIO))
    for engine in (theirs, ours):
        engine.open()
        engine.prepare(width, height)
    for number, picture in enumerate(video[:3]):
        frame = Frame(np.ascontiguousarray(picture[:height, -width:]), number, 0, 0)
        a, b = theirs.matte(frame).host(), ours.matte(frame).host()
        assert np.abs(a.alpha.astype(int) - b.alpha).mean() < 0.02
        assert np.abs(a.foreground.astype(int) - b.foreground).mean() < 0.02
    theirs.close()
    ours.close()


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_half_precision(weights: Path, tmp_path: Path, form: str) -> None:
    settings = settings_for(tmp_path, form, weights, half=True)
    report = export(settings)
    whole = make(form, load(weights), Shape(64, 48, 0.5), FACTS)
    assert report.facts["precision"] == "fp16" and "_fp16" in report.files[0].name
    written = sum(path.stat().st_size for path in report.files)
    assert written < 0.62 * sum(map(len, whole.values()))
    assert report.difference.within(TOLERANCES[True])
    assert not report.difference.within(Difference(0, 0, 0))
    if form == "onnx":
        session = runtime().InferenceSession(str(report.files[0]), providers=["CPUExecutionProvider"])
        kinds = {each.type for each in (*session.get_inputs(), *session.get_outputs())}
        assert kinds == {"tensor(float16)"} and "float16" in report.facts["inputs"]
    if form == "torchscript":
        engine = TorchScriptEngine(EngineSettings(weights=report.files[0], device="cpu"))
        engine.open()
        assert engine.info.precision == "fp16"
        engine.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "refiner", "forms"),
    [
        ("mobilenetv3", "deep_guided_filter", ("onnx", "torchscript")),
        ("resnet50", "fast_guided_filter", ("onnx",)),
        ("resnet50", "deep_guided_filter", tuple(FORMATS)),
    ],
)
def test_every_network(data: Path, tmp_path: Path, variant: str, refiner: str, forms: tuple[str, ...]) -> None:
    save_file(formula_network(data, variant, refiner).state_dict(), tmp_path / "w.safetensors")
    weights = load(tmp_path / "w.safetensors")
    shape = Shape(64, 48, 0.5)
    for form in forms:
        found = differences(form, make(form, weights, shape, FACTS), weights, shape, frames=2)
        assert found.within(TOLERANCES[False]), f"{form}: {found}"


@pytest.mark.few(1)
@pytest.mark.parametrize("ratio", [0.7, 0.29, 512 / 1920, 1.0])
def test_ratios_that_single_precision_would_round_to_another_size(weights: Path, ratio: float) -> None:
    """0.7 of 100 is 70 in double precision, but 69.99999 in ONNX's single precision."""
    shape = Shape(100, 90, ratio)
    loaded = load(weights)
    files = make("onnx", loaded, shape, FACTS)
    assert differences("onnx", files, loaded, shape, frames=2).within(TOLERANCES[False])


@pytest.mark.parametrize("side", [100, 700, 720, 1000, 1080, 1280, 1920])
def test_the_scale_in_a_file_leads_to_the_networks_own_size(side: int) -> None:
    for ratio in (0.7, 0.29, 0.3, 0.6, 0.58, 0.07, 512 / 1920, 512 / 1000, 0.4, 1 / 3):
        low = int(side * ratio)
        scale = fixed_network._scale(side, low, ratio)
        assert int(np.floor(np.float32(side) * np.float32(scale))) == low
        assert abs(scale - ratio) < 1e-6


# The check


def spoil_a_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    real = fixed_network.fold_batch_norm

    def spoiled(network: MattingNetwork) -> None:
        real(network)
        network.decoder.decode1.gru.hh[0].weight[0, 0, 1, 1] += 0.5

    monkeypatch.setattr(fixed_network, "fold_batch_norm", spoiled)


@pytest.mark.few(1)
@pytest.mark.parametrize("form", FORMATS)
def test_a_file_that_is_something_else_is_not_written(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    spoil_a_weight(monkeypatch)
    options = ["--weights", weights, "--width", "64", "--height", "48", "--ratio", "0.5", "-o", tmp_path]
    done = call("export", "--format", form, *options)
    assert done.code == 2 and done.out == ""
    assert "differs too much from the network, so it was not written" in done.complaint
    assert "states" in done.complaint and "allowed alpha 1.0e-04" in done.complaint
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_forgets_its_state_is_not_written(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fixed_network.FixedNetwork.forward

    def forgetful(self: Any, src: Any, *states: Any) -> Any:
        return real(self, src, *(state * 0 for state in states))

    monkeypatch.setattr(fixed_network.FixedNetwork, "forward", forgetful)
    with pytest.raises(EngineError, match="differs too much from the network"):
        export(settings_for(tmp_path, "onnx", weights))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_does_not_run_is_not_written(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fixed_network, "make", lambda *_: {".onnx": b"\x08\x08nonsense"})
    with pytest.raises(EngineError, match="does not run, so it was not written") as caught:
        export(settings_for(tmp_path, "onnx", weights))
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_number_is_out_of_tolerance() -> None:
    limit = TOLERANCES[False]
    assert Difference(0, 0, 0).within(limit)
    for name in ("alpha", "foreground", "states"):
        assert not replace(Difference(0, 0, 0), **{name: float("nan")}).within(limit)
        assert not replace(Difference(0, 0, 0), **{name: 2e-4}).within(limit)


def test_the_check_sees_numbers_that_are_none(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(src: NDArray[Any], states: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        return [src, src[:, :1] * np.nan, *states]

    monkeypatch.setattr(verify, "_onnx", lambda files: run)
    found = differences("onnx", {}, load(weights), Shape(64, 48, 0.5), frames=2)
    assert np.isnan(found.alpha) and not found.within(TOLERANCES[True])


def test_the_moving_picture_moves_and_shows_a_person(weights: Path) -> None:
    pictures = list(moving_picture(320, 180, 4))
    assert all(picture.shape == (180, 320, 3) and picture.dtype == np.uint8 for picture in pictures)
    assert np.array_equal(pictures[2], list(moving_picture(320, 180, 3))[2])
    engine = RvmEngine(EngineSettings(weights=weights, device="cpu"))
    engine.open()
    frames = [Frame(np.ascontiguousarray(picture[..., ::-1]), n, 0, 0) for n, picture in enumerate(pictures)]
    alphas = [engine.matte(frame).host().alpha / 255 for frame in frames]
    engine.close()
    assert 0.1 < alphas[-1].mean() < 0.5
    assert np.abs(alphas[0] - alphas[-1]).mean() > 0.02
    for size in ((16, 16), (16, 300), (300, 16)):
        assert next(moving_picture(*size, 1)).shape == (size[1], size[0], 3)


# Bad input, and what it leaves behind


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of writing: the content does not come from a network."""
    made = {"onnx": [".onnx"], "openvino": [".xml", ".bin"]}
    monkeypatch.setattr(fixed_network, "make", lambda form, *_: {suffix: suffix.encode() for suffix in made[form]})
    monkeypatch.setattr(verify, "differences", lambda *_: Difference(0, 0, 0))


BAD = {
    "format": (["--format", "tflite"], "'tflite' is not one of"),
    "no format": ([], "--format"),
    "width": (["--format", "onnx", "--width", "0"], "width 0 is out of range: it must be between 16 and 8192"),
    "height": (["--format", "onnx", "--height", "100000"], "height 100000 is out of range"),
    "ratio": (["--format", "onnx", "--ratio", "1.5"], "ratio 1.5 is out of range"),
    "ratio word": (["--format", "onnx", "--ratio", "half"], "is not a number: write 'auto'"),
    "tiny ratio": (["--format", "onnx", "--ratio", "0.01"], "the network needs 16: choose a larger ratio"),
    "suffix": (["--format", "onnx", "-o", "model.xml"], "output model.xml must end in .onnx for format onnx"),
    "checkpoint": (["--format", "torchscript", "-o", "rvm.pth"], "must end in .torchscript or .pt or .ts"),
    "weights": (["--format", "onnx", "--weights", "none.pth"], "weights none.pth does not exist"),
    "folder": (["--format", "onnx", "-o", "none/model.onnx"], "there is no folder none"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(case: str, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RVM_LIVE_WEIGHTS", str(weights))
    arguments, expected = BAD[case]
    done = call("export", *arguments)
    assert done.code == 2
    assert expected in done.complaint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("form", "package"),
    [("onnx", "onnx"), ("onnx", "onnxruntime"), ("openvino", "openvino")],
)
def test_a_missing_package_names_the_extra(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    done = call("export", "--format", form, "--weights", weights, "-o", tmp_path)
    assert done.code == 2
    assert done.complaint == f"--format {form} needs {package}: {adding(form)}"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("quick")
def test_a_file_that_is_there_is_replaced_on_demand_alone(weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_text("mine")
    with pytest.raises(SettingsError, match="exists: overwrite it with --force"):
        export(settings_for(path, "onnx", weights))
    assert path.read_text() == "mine"
    export(settings_for(path, "onnx", weights, replace=True))
    assert path.read_text() == ".onnx"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.usefixtures("quick")
def test_either_half_of_an_openvino_model_counts_as_there(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_text("mine")
    with pytest.raises(SettingsError, match=r"model\.bin exists"):
        export(settings_for(tmp_path / "model.xml", "openvino", weights))
    (tmp_path / "model.xml").write_text("old")
    report = export(settings_for(tmp_path / "model.xml", "openvino", weights, replace=True))
    assert report.files == (tmp_path / "model.xml", tmp_path / "model.bin")
    assert [path.read_text() for path in report.files] == [".xml", ".bin"]
    assert len(list(tmp_path.iterdir())) == 2


def test_an_output_that_is_a_folder_by_that_name(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "rvm_mobilenetv3_64x48_r0.5_fp32.onnx").mkdir()
    with pytest.raises(SinkError, match="it is a folder"):
        export(settings_for(tmp_path, "onnx", weights))


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("failing", [0, 1])
def test_of_two_files_both_are_there_or_none(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    real = os.replace
    calls: list[Path] = []

    def refuse(source: Any, target: Any) -> None:
        calls.append(Path(target))
        if len(calls) == failing + 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr("rvm_live.system.atomic_write.os.replace", refuse)
        with pytest.raises(SinkError, match="disk full"):
            export(settings_for(tmp_path, "openvino", weights))
    assert [path.suffix for path in calls] == [".bin", ".xml"][: failing + 1], "the one that is opened comes last"
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_told_before_the_work(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.EACCES, "Permission denied")

    def forbidden(*_: Any) -> None:
        raise AssertionError("the work was begun")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    monkeypatch.setattr(fixed_network, "make", forbidden)
    with pytest.raises(SinkError, match=r"cannot write .*\.onnx: Permission denied"):
        export(settings_for(tmp_path, "onnx", weights))
    assert list(tmp_path.iterdir()) == []


def test_the_usual_size_and_ratio() -> None:
    settings = ExportSettings("onnx")
    assert (settings.width, settings.height, settings.half) == (1280, 720, False)
    assert settings.engine.downsample_ratio is None
    with pytest.raises(SettingsError, match="unknown format 'coreml': choose one of onnx, openvino, torchscript"):
        ExportSettings("coreml")


@pytest.mark.slow
def test_making_a_file_reports_to_nobody(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenVINO's converter reports its use to its maker; the calls used here do not."""
    import socket

    def forbidden(*arguments: object) -> None:
        raise AssertionError(f"the network was used: {arguments}")

    monkeypatch.setattr(socket.socket, "connect", forbidden)
    monkeypatch.setattr(socket, "getaddrinfo", forbidden)
    assert set(make("openvino", load(weights), Shape(64, 48, 0.5), FACTS)) == {".xml", ".bin"}
