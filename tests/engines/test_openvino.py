"""The OpenVINO engine: its full-size step, its choice of size, and its cache (for parity see test_parity.py)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rvm_live.apps import live
from rvm_live.backgrounds.base import Plate
from rvm_live.compositing.cpu import CpuCompositor
from rvm_live.core.errors import SettingsError, UnavailableError
from rvm_live.core.frames import Frame
from rvm_live.core.settings import EngineSettings, LiveSettings, SourceSettings
from rvm_live.engines import choice
from rvm_live.engines.common.cpu_runtime import has_bf16
from rvm_live.engines.common.device import downsample_ratio
from rvm_live.engines.common.guided_upsampling import GuidedUpsampler
from rvm_live.engines.common.ladder import (
    BUDGET_MS,
    LEAST_LINES,
    SIDES,
    choose_side,
    low_size,
    ratio_of,
    ratios_for,
)
from rvm_live.engines.common.micro_benchmark import quickest_hint
from rvm_live.engines.lite.engine import LiteEngine
from rvm_live.engines.rvm.openvino import engine as openvino
from rvm_live.engines.rvm.openvino.cache import OpenVinoCache
from rvm_live.engines.rvm.openvino.engine import OpenVinoEngine
from rvm_live.engines.select import AutoEngine
from rvm_live.engines.session import open_engine
from rvm_live.system.installed import adding
from tests.conftest import ROOT
from tests.project.test_imports import imports_of, sources
from tests.support.videos import read_frames


@pytest.fixture(scope="module")
def clip(data: Path) -> list[Frame]:
    """Fourteen real frames, 1280x720."""
    return read_frames(data / "clips" / "webcam" / "liveportrait_s18.mp4", 14)


def run(engine: Any, frames: list[Frame]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Alphas (N, H, W) and foregrounds (N, H, W, 3) of consecutive frames, 0-1."""
    engine.open()
    try:
        engine.prepare(frames[0].width, frames[0].height)
        hosts = [engine.matte(frame).host() for frame in frames]
    finally:
        engine.close()
    alphas = np.stack([host.alpha for host in hosts]).astype(np.float32) / 255
    return alphas, np.stack([host.foreground for host in hosts]).astype(np.float32) / 255


@pytest.mark.slow
@pytest.mark.parametrize("ratio", [0.25, 1.0])
def test_without_the_foreground_the_composite_of_the_cameras_own_pixels_is_the_same(
    weights: Path, clip: list[Frame], ratio: float
) -> None:
    frames = clip[:4]
    if ratio == 1.0:
        frames = [Frame(np.ascontiguousarray(f.image[::3, ::3]), f.seq, f.epoch, f.captured_ns) for f in frames]
    plate = Plate(np.full(frames[0].image.shape, (0, 255, 0), np.uint8), 1)
    compositor = CpuCompositor()
    results = {}
    for foreground in ("model", "source"):
        asked = EngineSettings(weights=weights, downsample_ratio=ratio, precision="fp32", foreground=foreground)
        engine = OpenVinoEngine(asked)
        engine.open()
        engine.prepare(frames[0].width, frames[0].height)
        mattes = [engine.matte(frame) for frame in frames]
        engine.close()
        assert all((matte.foreground is None) == (foreground == "source") for matte in mattes)
        results[foreground] = [compositor.composite(matte, plate, source_foreground=True) for matte in mattes]
    for one, other in zip(results["model"], results["source"], strict=True):
        # Fitting alpha alone rounds a little differently.
        apart = np.abs(one.astype(np.int16) - other)
        assert apart.max() <= 2 and apart.mean() < 0.01


@pytest.mark.slow
def test_a_session_may_ask_for_alpha_alone(weights: Path, clip: list[Frame]) -> None:
    with open_engine("openvino", weights=weights, downsample_ratio=0.2, foreground="source") as session:
        matte = session.matte(clip[0].image)
        assert matte.foreground is None
        assert np.array_equal(matte.host().colour, clip[0].image)
    with pytest.raises(SettingsError, match="foreground"):
        open_engine(foreground="neither")


@given(
    st.tuples(st.integers(17, 200), st.integers(17, 300)),
    st.sampled_from([1.0, 0.5, 0.4, 0.375, 0.25, 0.3337]),
    st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_bands_have_no_seams(size: tuple[int, int], ratio: float, coloured: bool) -> None:
    """In bands or as a whole, the result equals the formula."""
    full, low = (size[0], size[1] * 2), low_size(size[0], size[1] * 2, ratio)
    rng = np.random.default_rng(size[0])
    image = rng.integers(0, 256, (full[1], full[0], 3), np.uint8)
    model = [rng.normal(0, 1, (low[1], low[0])).astype(np.float32) for _ in range(2)]
    model += [rng.normal(1, 1, (low[1], low[0], 3)).astype(np.float32) for _ in range(2)]
    alpha, foreground = GuidedUpsampler(full, low).apply(image, model if coloured else model[:2])
    slope, offset, colour_slope, colour_offset = (cv2.resize(part, full) for part in model)
    exact = slope * image.mean(axis=2) + offset
    assert np.abs(alpha - np.clip(exact, 0, 255)).max() <= 0.51
    assert (foreground is not None) == coloured
    if foreground is not None:
        assert np.abs(foreground - np.clip(colour_slope * image + colour_offset, 0, 255)).max() <= 0.51


def test_what_was_handed_out_is_not_written_again(weights: Path, clip: list[Frame]) -> None:
    with open_engine("openvino", weights=weights, downsample_ratio=0.2) as session:
        mattes = [session.matte(frame.image) for frame in clip[:6]]
        before = [(matte.alpha.copy(), matte.foreground.copy()) for matte in mattes]
        for frame in clip[6:12]:
            session.matte(frame.image)
    for matte, (alpha, foreground) in zip(mattes, before, strict=True):
        assert np.array_equal(matte.alpha, alpha) and np.array_equal(matte.foreground, foreground)


class HurriedClock:
    """A clock that advances each time it is read, as on a busy machine."""

    def __init__(self, step_ms: float) -> None:
        self.now, self.step_ns = 0, round(step_ms * 1e6)

    def now_ns(self) -> int:
        self.now += self.step_ns
        return self.now


def live_ratio(weights: Path, source: str, *, realtime: bool) -> float:
    settings = LiveSettings(
        SourceSettings(source, realtime=realtime),
        EngineSettings("openvino", weights=weights),
        backgrounds=("color:navy",),
        adaptive=False,
        headless=True,
        frames=1,
    )
    return live.run(settings).ran.downsample_ratio


@pytest.mark.parametrize("milliseconds", [0.01, 12.0, 900.0], ids=["idle", "busy", "swamped"])
@pytest.mark.parametrize("size", [(640, 360), (1280, 720), (720, 1280), (320, 240), (900, 20)])
@pytest.mark.few(1)
def test_the_same_call_takes_the_same_ratio_whatever_the_machine_does(
    weights: Path, monkeypatch: pytest.MonkeyPatch, milliseconds: float, size: tuple[int, int]
) -> None:
    monkeypatch.setattr(openvino, "SYSTEM_CLOCK", HurriedClock(milliseconds))
    with open_engine("openvino", weights=weights) as session:
        session.matte(np.zeros((size[1], size[0], 3), np.uint8))
        assert session.info.downsample_ratio == downsample_ratio(None, *size)


@pytest.mark.few(1)
@pytest.mark.parametrize("milliseconds", [0.01, 900.0], ids=["idle", "swamped"])
def test_files_are_never_made_in_a_hurry(
    weights: Path, data: Path, monkeypatch: pytest.MonkeyPatch, milliseconds: float
) -> None:
    monkeypatch.setattr(openvino, "SYSTEM_CLOCK", HurriedClock(milliseconds))
    clip = str(data / "clips" / "webcam" / "liveportrait_s18.mp4")
    assert live_ratio(weights, clip, realtime=False) == 0.4


@pytest.mark.slow
def test_live_video_takes_what_the_machine_has_time_for_and_says_which(
    weights: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = str(data / "clips" / "webcam" / "liveportrait_s18.mp4")
    found = []
    for milliseconds in (0.01, 900.0):
        monkeypatch.setattr(openvino, "SYSTEM_CLOCK", HurriedClock(milliseconds))
        found.append(live_ratio(weights, clip, realtime=True))
    assert found == pytest.approx([SIDES[0] / 1280, SIDES[-1] / 1280])


def test_a_second_start_converts_nothing(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = EngineSettings(weights=weights, downsample_ratio=0.5)
    frames = [Frame(np.random.default_rng(n).integers(0, 256, (80, 96, 3), np.uint8), n, 0, n) for n in range(3)]
    first, _ = run(OpenVinoEngine(asked), frames)

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("converted again")

    monkeypatch.setattr(OpenVinoCache, "converted", forbidden)
    second, _ = run(OpenVinoEngine(asked), frames)
    assert np.array_equal(first, second)


@pytest.mark.slow
def test_a_first_start_says_that_it_converts_and_how_long_it_took(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path))
    asked = EngineSettings(weights=weights, downsample_ratio=0.5)
    engine, told = OpenVinoEngine(asked), list[str]()
    convert = OpenVinoCache.converted

    def watched(self: OpenVinoCache, **options: Any) -> Any:
        told.append(engine.phase)
        return convert(self, **options)

    monkeypatch.setattr(OpenVinoCache, "converted", watched)
    with caplog.at_level("INFO", "rvm_live"):
        run(engine, [Frame(np.full((80, 96, 3), 90, np.uint8), 0, 0, 0)])
    assert told == ["converting the network, once for all sizes"] and engine.phase == ""
    assert sum("converted the network in" in line for line in caplog.messages) == 1


@pytest.mark.slow
def test_every_start_computes_the_same_and_a_damaged_cache_is_made_anew(
    weights: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path))
    asked = EngineSettings(weights=weights, downsample_ratio=0.4)
    frames = read_frames(data / "clips" / "webcam" / "liveportrait_s18.mp4", 4)
    first, _ = run(OpenVinoEngine(asked), frames)
    second, _ = run(OpenVinoEngine(asked), frames)
    assert np.array_equal(first, second), "what was converted rounds otherwise than what is read"
    kept = list(tmp_path.rglob("*.xml"))
    assert kept
    for path in kept:
        path.write_text("<net")
    anew, _ = run(OpenVinoEngine(asked), frames)
    assert np.array_equal(first, anew)


@given(st.integers(16, 8000), st.integers(16, 8000), st.floats(0.1, 500))
def test_the_chosen_side_keeps_the_budget_where_any_does(width: int, height: int, shortest_ms: float) -> None:
    asked: list[int] = []

    def measure(side: int) -> float:
        asked.append(side)
        return shortest_ms

    side = choose_side(width, height, measure)
    longer = max(width, height)
    assert side <= longer and 0 < ratio_of(side, width, height) <= 1
    assert side <= SIDES[0]
    if asked:
        (shortest,) = asked
        predicted = shortest_ms * (side / shortest) ** 2
        assert predicted <= BUDGET_MS or side == shortest
        larger = [s for s in (*SIDES, longer) if side < s <= min(longer, SIDES[0])]
        assert all(shortest_ms * (s / shortest) ** 2 > BUDGET_MS for s in larger)


def test_without_openvino_auto_goes_on_with_torch_and_tells(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path))  # an empty cache: the notice was never shown
    monkeypatch.setitem(sys.modules, "openvino", None)
    engine = AutoEngine(EngineSettings(weights=weights))
    engine.open()
    assert engine.info.engine == "rvm"
    assert any(adding("openvino") in note for note in engine.info.notes)
    engine.close()


def test_on_a_gpu_auto_does_not_even_mention_it(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "accelerator_wanted", lambda asked: True)
    engine = AutoEngine(EngineSettings(weights=weights))
    engine.open()
    assert engine.info.engine == "rvm" and engine.info.notes == ()
    engine.close()


@pytest.mark.parametrize("options", [{"device": "cuda"}, {"device": "mps"}, {"precision": "fp16"}])
def test_what_it_cannot_do_is_a_reason(weights: Path, options: dict[str, str]) -> None:
    with pytest.raises(UnavailableError, match="openvino"):
        OpenVinoEngine(EngineSettings(weights=weights, **options)).open()  # type: ignore[arg-type]


def test_bf16_is_not_named_where_the_processor_has_none(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    openvino = pytest.importorskip("openvino")

    class OldCore(openvino.Core):  # type: ignore[misc, name-defined]
        def get_property(self, *arguments: Any) -> Any:
            return ["FP32"] if arguments[-1] == "OPTIMIZATION_CAPABILITIES" else super().get_property(*arguments)

    monkeypatch.setattr(openvino, "Core", OldCore)
    with pytest.raises(UnavailableError, match="has no bf16"):
        OpenVinoEngine(EngineSettings(weights=weights, precision="bf16")).open()
    engine = OpenVinoEngine(EngineSettings(weights=weights))
    assert engine.open().precision == "fp32"
    engine.close()


@pytest.mark.parametrize(
    ("variable", "named", "native"),
    [
        ("ONEDNN_MAX_CPU_ISA", "", True),
        ("ONEDNN_MAX_CPU_ISA", "DEFAULT", True),
        ("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16", True),
        ("ONEDNN_MAX_CPU_ISA", "AVX10_1_512_AMX", True),
        ("ONEDNN_MAX_CPU_ISA", "a name that oneDNN does not know, and so ignores", True),
        ("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_VNNI", False),
        ("ONEDNN_MAX_CPU_ISA", "AVX2_VNNI_2", False),
        ("ONEDNN_MAX_CPU_ISA", "avx2", False),
        ("DNNL_MAX_CPU_ISA", "AVX2", False),
    ],
)
def test_what_holds_the_kernels_to_older_instructions_holds_the_choice_of_precision(
    variable: str, named: str, native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenVINO's own list of the processor's features ignores the variable."""

    class Core:
        def get_property(self, *_: str) -> list[str]:
            return ["FP32", "BF16"]

    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.setenv(variable, named)
    assert has_bf16(Core()) is native
    assert quickest_hint(Core()) == ("bf16" if native else "f32")  # type: ignore[arg-type]


def test_an_engine_held_to_older_instructions_takes_what_they_have(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    for make in (OpenVinoEngine, LiteEngine):
        named = weights if make is OpenVinoEngine else None
        engine = make(EngineSettings(weights=named))
        assert engine.open().precision == "fp32"
        engine.close()
        with pytest.raises(UnavailableError, match="held to AVX2"):
            make(EngineSettings(weights=named, precision="bf16")).open()


ALONE = """
import socket, sys

def forbidden(*arguments, **options):
    sys.stderr.write("THE NETWORK WAS USED")
    raise OSError("the network was used")

socket.socket.connect = socket.getaddrinfo = socket.create_connection = forbidden
from rvm_live.cli import main
main(sys.argv[1:])
"""


@pytest.mark.slow
def test_a_run_reports_to_nobody(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenVINO's import and its converter send an event to its maker; here they must not. Runs in a process that has
    not imported it before, with nothing converted yet."""
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path))
    options = ["--source", "demo", "--width", "320", "--height", "180", "--engine", "openvino", "--headless"]
    options += ["--frames", "3", "--weights", str(weights), "--downsample-ratio", "0.5", "--report"]
    done = subprocess.run(
        [sys.executable, "-c", ALONE, *options], capture_output=True, encoding="utf-8", cwd=ROOT, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "openvino" in done.stdout and "THE NETWORK WAS USED" not in done.stderr


LOUD = {"openvino", "nncf", "onnxruntime"}


@pytest.mark.slow
def test_what_reports_its_use_is_imported_quietly() -> None:
    loud = {path.name for path in sources() if {n.split(".")[0] for n in imports_of(path)} & LOUD}
    assert loud == set(), "import it with rvm_live.system.telemetry_off.import_quietly"


TWO_THREADS = """
import sys, threading
from rvm_live.system.telemetry_off import import_quietly
sys.modules["openvino_telemetry"] = kept = type(sys)("openvino_telemetry")  # the host program's own
import_quietly("openvino")
sys.setswitchinterval(1e-5)
failed = []

def work():
    for _ in range(3000):
        try:
            import_quietly("openvino")
        except BaseException as error:
            failed.append(repr(error))

threads = [threading.Thread(target=work) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(sorted(set(failed)), sys.modules["openvino_telemetry"] is kept)
"""


def test_two_threads_import_quietly_at_once() -> None:
    command = [sys.executable, "-c", TWO_THREADS]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", cwd=ROOT, timeout=120)
    assert done.stdout.strip() == "[] True", done.stderr


@pytest.mark.parametrize("size", [(1280, 720), (640, 480), (200, 100), (8000, 100), (100, 8000), (16, 16)])
def test_every_rung_leaves_the_network_enough_lines(size: tuple[int, int]) -> None:
    ratios = ratios_for(*size)
    assert list(ratios) == sorted(ratios, reverse=True)
    assert all(min(size) * ratio >= LEAST_LINES and ratio <= 1 for ratio in ratios)
    assert ratios or max(size) / min(size) > 16
