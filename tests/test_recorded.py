"""The frame's work in fixed memory, as a GPU replays it: here with a stand-in for the recording that has a CUDA graph's
manners (the same memory each time), and on a real GPU where there is one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from rvm_live.engines.device import Lane
from rvm_live.engines.rvm.engine import RvmEngine
from rvm_live.engines.rvm.folding import fold_batch_norm
from rvm_live.engines.rvm.fullsize import PlainFullSize
from rvm_live.engines.rvm.network import MattingNetwork
from rvm_live.engines.rvm.recorded import Step, Steps
from rvm_live.frames import Frame, Matte
from rvm_live.settings import EngineSettings
from rvm_live.weights import load, resolve
from tests.conftest import missing

WIDTH, HEIGHT = 160, 96


def same_memory(work: Callable[[], None]) -> Callable[[], None]:
    """What a CUDA graph does to its results: every replay writes them where the recording did."""
    step: Step = work.__self__  # type: ignore[attr-defined]
    work()
    held = step._found

    def replay() -> None:
        work()
        for (alpha, colour), (new_alpha, new_colour) in zip(held, step._found, strict=True):
            alpha.copy_(new_alpha)
            if colour is not None and new_colour is not None:
                colour.copy_(new_colour)
        step._found = held

    return replay


@pytest.fixture(scope="module")
def network(data: Path) -> MattingNetwork:
    loaded = load(resolve(EngineSettings(weights=data / "weights")))
    network = MattingNetwork(loaded.variant, loaded.refiner).eval().requires_grad_(False)
    network.load_state_dict(loaded.state_dict)
    fold_batch_norm(network)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def step_of(
    network: MattingNetwork,
    ratio: float,
    *,
    recorded: bool = False,
    foreground: bool = True,
    time: int = 1,
    batch: int = 1,
) -> Step:
    with torch.inference_mode():
        return Step(
            network,
            PlainFullSize(),
            WIDTH,
            HEIGHT,
            ratio,
            foreground=foreground,
            dtype=torch.float32,
            layout=torch.channels_last,
            record=same_memory if recorded else None,
            time=time,
            batch=batch,
        )


def pictures(count: int) -> list[Tensor]:
    rng = np.random.default_rng(5)
    return [torch.from_numpy(rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)) for _ in range(count)]


@pytest.mark.parametrize("ratio", [0.5, 1.0])
@torch.inference_mode()
def test_a_replayed_frame_is_the_frame_worked_out_anew(network: MattingNetwork, ratio: float) -> None:
    plain, replayed = step_of(network, ratio), step_of(network, ratio, recorded=True)
    results = [(plain(image)[0], replayed(image)[0]) for image in pictures(4)]
    # Looked at only now: a later replay must not have touched what an earlier frame was given.
    for (alpha, colour), (other_alpha, other_colour) in results:
        assert torch.equal(alpha, other_alpha)
        assert colour is not None and other_colour is not None and torch.equal(colour, other_colour)
    first, last = results[0][1][0], results[-1][1][0]
    assert not torch.equal(first, last)


@torch.inference_mode()
def test_recording_leaves_no_state_behind_and_reset_forgets(network: MattingNetwork) -> None:
    step = step_of(network, 0.5, recorded=True)
    assert all(float(state.abs().max()) == 0 for state in step.states)
    image = pictures(1)[0]
    fresh = step(image)[0][0]
    assert not torch.equal(step(image)[0][0], fresh), "the second frame knows nothing of the first"
    step.reset()
    assert torch.equal(step(image)[0][0], fresh)


@torch.inference_mode()
def test_the_state_is_carried_to_another_size_and_not_shared(network: MattingNetwork) -> None:
    coarse, fine = step_of(network, 0.4, recorded=True), step_of(network, 0.8, recorded=True)
    same = step_of(network, 0.4)
    for image in pictures(3):
        coarse(image)
    kept = [state.clone() for state in coarse.states]
    same.carry(coarse.states)
    fine.carry(coarse.states)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(same.states, kept, strict=True))
    for mine, theirs in zip(fine.states, kept, strict=True):
        assert mine.shape[2:] != theirs.shape[2:]
        assert torch.allclose(mine.mean(), theirs.mean(), atol=0.05)
    fine(pictures(1)[0])
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(coarse.states, kept, strict=True))


@pytest.mark.parametrize("ratio", [0.5, 1.0])
@torch.inference_mode()
def test_alpha_alone_is_the_same_alpha(network: MattingNetwork, ratio: float) -> None:
    both, alone = step_of(network, ratio), step_of(network, ratio, foreground=False)
    for image in pictures(2):
        alpha, colour = alone(image)[0]
        assert colour is None
        assert (alpha.int() - both(image)[0][0].int()).abs().max() <= 1


def test_the_engine_leaves_the_foreground_out_where_it_is_not_asked_for(weights: Path) -> None:
    engine = RvmEngine(EngineSettings(weights=weights, device="cpu", foreground="source"))
    engine.open()
    image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    matte = engine.matte(Frame(image, 0, 0, 0))
    assert matte.foreground is None
    assert matte.host().foreground is image
    engine.close()


# Several frames at once -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("ratio", [0.5, 1.0])
@torch.inference_mode()
def test_a_chunk_gives_what_its_frames_give(network: MattingNetwork, ratio: float, recorded: bool) -> None:
    single, chunk = step_of(network, ratio), step_of(network, ratio, recorded=recorded, time=3)
    images = pictures(6)
    found = [*chunk(*images[:3]), *chunk(*images[3:])]
    for image, (alpha, colour) in zip(images, found, strict=True):
        expected, expected_colour = single(image)[0]
        assert (alpha.int() - expected.int()).abs().max() <= 1
        assert colour is not None and expected_colour is not None
        assert (colour.int() - expected_colour.int()).abs().max() <= 1
    for mine, theirs in zip(chunk.states, single.states, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-4)


@torch.inference_mode()
def test_videos_side_by_side_do_not_see_each_other(network: MattingNetwork) -> None:
    first, second, both = step_of(network, 0.5), step_of(network, 0.5), step_of(network, 0.5, time=2, batch=2)
    images = pictures(4)
    found = both(*images)
    alone = [first(images[0]), first(images[1]), second(images[2]), second(images[3])]
    for (alpha, _), ((expected, _),) in zip(found, alone, strict=True):
        assert (alpha.int() - expected.int()).abs().max() <= 1


# Steps made beside the running one ------------------------------------------------------------------------------


def test_a_step_is_made_beside_and_told_when_it_is_there() -> None:
    go, made = threading.Event(), []

    def make(key: int) -> Step:
        assert go.wait(5)
        made.append((key, threading.current_thread().name))
        return object()  # type: ignore[return-value]

    steps: Steps[int] = Steps(make, beside=True)
    assert not steps.ready(1)
    assert not steps.ready(2), "one at a time"
    go.set()
    while not steps.ready(1):
        threading.Event().wait(0.001)
    assert made == [(1, "rvm-recording")]
    assert steps.now(1) is steps.now(1)
    steps.keep(lambda key: key != 1)
    assert not steps.ready(1), "freed, hence to be made again"
    steps.close()


def test_a_step_that_cannot_be_made_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    def make(key: int) -> Step:
        raise RuntimeError("CUDA out of memory")

    steps: Steps[int] = Steps(make, beside=True)
    for _ in range(3):
        assert not steps.ready(1)
        steps._join()
    assert [record.getMessage() for record in caplog.records] == [
        "the network stays at its size: another one cannot be made ready: RuntimeError: CUDA out of memory"
    ]
    steps.close()


# Handing over without waiting -----------------------------------------------------------------------------------


def test_the_matting_thread_waits_for_the_frame_before_and_not_for_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[int] = []
    count = 0

    class Event:
        def __init__(self, **_: bool) -> None:
            nonlocal count
            self.number, count = count, count + 1

        def record(self, stream: object) -> None:
            assert stream is lane.stream

        def synchronize(self) -> None:
            waited.append(self.number)

    class Begun:
        def elapsed_time(self, ready: Event) -> float:
            assert waited[-1] == ready.number, "not waited for"
            return 1.5

    lane = Lane(torch.device("cpu"))
    lane.stream = object()
    monkeypatch.setattr(torch.cuda, "Event", Event)
    _, first = lane.hand_over(Begun())
    assert waited == []
    lane.hand_over(Begun())
    assert waited == [0]
    lane.hand_over(Begun())
    assert waited == [0, 1]
    assert first is not None and first() == 1_500_000


def test_a_matte_is_done_when_the_gpu_is() -> None:
    frame = Frame(np.zeros((2, 2, 3), np.uint8), 0, 0, 0)
    alpha = np.zeros((2, 2), np.uint8)
    assert Matte(frame, alpha, started_ns=100, finished_ns=140).done_ns == 140
    asked = []
    matte = Matte(frame, alpha, started_ns=100, finished_ns=140, elapsed_ns=lambda: asked.append(1) or 75)  # type: ignore[func-returns-value]
    assert (matte.done_ns, matte.done_ns, len(asked)) == (175, 175, 1)


# On a GPU -------------------------------------------------------------------------------------------------------


def cuda_engine(weights: Path, *, recording: bool = True, ratio: float | None = 0.5) -> RvmEngine:
    if not torch.cuda.is_available():
        missing("no CUDA device", required="RVM_REQUIRE_CUDA")
    engine = RvmEngine(EngineSettings(weights=weights, device="cuda", downsample_ratio=ratio), recording=recording)
    engine.open()
    engine.prepare(WIDTH, HEIGHT)
    return engine


def frames(count: int) -> list[Frame]:
    return [Frame(image.numpy(), number, 0, number) for number, image in enumerate(pictures(count))]


@pytest.mark.gpu
def test_on_a_gpu_the_graph_gives_what_the_kernels_give(weights: Path) -> None:
    graph, eager = cuda_engine(weights), cuda_engine(weights, recording=False)
    assert graph.recorded and not eager.recorded
    pairs = [(graph.matte(frame), eager.matte(frame)) for frame in frames(6)]
    for ours, theirs in pairs:
        assert np.abs(ours.host().alpha.astype(int) - theirs.host().alpha).mean() < 0.5
        assert np.abs(ours.host().foreground.astype(int) - theirs.host().foreground).mean() < 1
    graph.close()
    eager.close()


@pytest.mark.gpu
def test_on_a_gpu_another_ratio_is_recorded_while_frames_go_on(weights: Path) -> None:
    engine = cuda_engine(weights, ratio=None)
    engine.prepare(640, 360)
    target = engine.ratios[-1]
    picture = np.random.default_rng(1).integers(0, 256, (360, 640, 3), np.uint8)
    number = 0
    while not engine.use_ratio(target):
        engine.matte(Frame(picture, number, 0, number))
        number += 1
        assert number < 20_000
    assert number > 0, "it was made at once, so the stream stood still meanwhile"
    after = engine.matte(Frame(picture, number, 0, number))
    assert engine.info.downsample_ratio == target
    assert engine.recorded
    assert after.host().alpha.shape == (360, 640)
    engine.close()


@pytest.mark.gpu
def test_on_a_gpu_a_steady_stream_asks_for_no_memory(weights: Path) -> None:
    from rvm_live.backgrounds.base import Plate
    from rvm_live.compositors.torch import TorchCompositor

    engine = cuda_engine(weights)
    compositor = TorchCompositor(engine.info.device)
    compositor.open()
    plate = Plate(np.zeros((HEIGHT, WIDTH, 3), np.uint8), 0)
    held = None
    before = 0
    for number, frame in enumerate(frames(4) * 30):
        if number == 60:
            before = torch.cuda.memory_stats()["num_device_alloc"]
        held = compositor.composite(engine.matte(frame), plate)
    assert held is not None
    assert torch.cuda.memory_stats()["num_device_alloc"] == before
    compositor.close()
    engine.close()


@pytest.mark.gpu
def test_on_a_gpu_the_profiler_sees_one_copy_up_and_one_down(weights: Path) -> None:
    from torch.profiler import ProfilerActivity, profile

    from rvm_live.backgrounds.base import Plate
    from rvm_live.compositors.torch import TorchCompositor

    engine = cuda_engine(weights)
    compositor = TorchCompositor(engine.info.device)
    compositor.open()
    plate = Plate(np.zeros((HEIGHT, WIDTH, 3), np.uint8), 0)
    compositor.composite(engine.matte(frames(1)[0]), plate)
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        for frame in frames(8):
            compositor.composite(engine.matte(frame), plate)
    copies = [event.name for event in seen.events() or [] if event.name.startswith("Memcpy")]
    assert sum("HtoD" in name for name in copies) == 8
    assert sum("DtoH" in name for name in copies) == 8
    compositor.close()
    engine.close()


@pytest.mark.gpu
def test_on_a_gpu_the_time_told_is_the_work_and_not_its_launch(weights: Path) -> None:
    engine = cuda_engine(weights)
    for frame in frames(5):
        matte = engine.matte(frame)
        assert matte.elapsed_ns is not None
        assert 0 < matte.done_ns - matte.started_ns < 10_000_000_000
    engine.close()
