"""A frame's work in fixed memory, as a GPU replays it: with a stand-in that, like a CUDA graph, uses the same memory
each time, and on a real GPU where there is one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from rvm_live.core import transfer
from rvm_live.core.clock import SYSTEM_CLOCK
from rvm_live.core.errors import EngineError
from rvm_live.core.frames import Frame, Matte
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.base import EngineInfo
from rvm_live.engines.common.device import Lane
from rvm_live.engines.common.prepared import Prepared
from rvm_live.engines.rvm.torch import graph_capture as recording
from rvm_live.engines.rvm.torch.cuda_graph import Step
from rvm_live.engines.rvm.torch.engine import RvmEngine
from rvm_live.engines.rvm.torch.finite_check import FiniteCheck
from rvm_live.engines.rvm.torch.full_size import PlainFullSize
from rvm_live.engines.rvm.torch.graph_capture import record_graph
from rvm_live.network.fuse_batch_norm import fold_batch_norm
from rvm_live.network.network import MattingNetwork
from rvm_live.weights import load, resolve

WIDTH, HEIGHT = 160, 96


def same_memory(work: Callable[[], None]) -> Callable[[], None]:
    """Write results where the recording wrote them, as every replay of a CUDA graph does."""
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
    # Compared only now: a later replay must not have changed what an earlier frame got.
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
    assert matte.host().colour is image
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


# Steps prepared while another one runs ----------------------------------------------------------------------------


def test_a_step_is_made_beside_and_told_when_it_is_there() -> None:
    go, made = threading.Event(), []

    def make(key: int) -> Step:
        assert go.wait(30)
        made.append((key, threading.current_thread().name))
        return object()  # type: ignore[return-value]

    steps: Prepared[int, Step] = Prepared(make, "recording")
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

    steps: Prepared[int, Step] = Prepared(make, "recording")
    for _ in range(3):
        assert not steps.ready(1)
        steps.join()
    assert [record.getMessage() for record in caplog.records] == [
        "the network keeps its size, because another size cannot be prepared: CUDA out of memory"
    ]
    steps.close()


def test_whatever_a_step_fails_of_its_thread_does_not_die_at_every_frame(caplog: pytest.LogCaptureFixture) -> None:
    tried = []

    def make(key: int) -> Step:
        tried.append(key)
        raise ValueError("a compiler's own error")

    steps: Prepared[int, Step] = Prepared(make, "recording")
    for _ in range(3):
        assert not steps.ready(1)
        steps.join()
    assert tried == [1]
    assert len(caplog.records) == 1


@pytest.mark.parametrize("free", ["keep", "close"])
def test_a_step_that_could_not_be_made_is_tried_again_when_others_have_gone(free: str) -> None:
    room = False

    def make(key: int) -> Step:
        if not room:
            raise RuntimeError("CUDA out of memory")
        return object()  # type: ignore[return-value]

    steps: Prepared[int, Step] = Prepared(make, "recording")
    steps.ready(1)
    steps.join()
    room = True
    assert not steps.ready(1), "what failed is not tried at every frame"
    steps.join()
    assert not steps.ready(1)
    if free == "keep":
        steps.keep(lambda key: False)
    else:
        steps.close()
    assert not steps.ready(1)
    steps.join()
    assert steps.ready(1)
    steps.close()


# A recording that fails -----------------------------------------------------------------------------------------


class Cuda:
    """torch's allocator and recordings, as far as they matter when a recording fails: until it is ended, no memory that
    was used on two streams is freed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.recording: list[object] = []
        self.pools: set[object] = set()
        self.streams = 0
        self.flags: list[dict[str, bool]] = []
        self.capturing = ""
        cuda = self

        class Stream:
            def __init__(self, device: torch.device, priority: int = 0) -> None:
                cuda.streams += 1
                self.number, self.priority = cuda.streams, priority

            def wait_stream(self, other: object) -> None:
                assert other != self.number

            def synchronize(self) -> None:
                if cuda.capturing:
                    cuda.capturing = "invalid"
                    raise RuntimeError("CUDA error: operation not permitted when stream is capturing")

        class Graph:
            def capture_begin(self, pool: object, capture_error_mode: str) -> None:
                assert capture_error_mode == "thread_local" and not cuda.capturing
                self.pool, cuda.capturing = pool, "valid"
                cuda.recording.append(pool)
                cuda.pools.add(pool)

            def capture_end(self) -> None:
                state, cuda.capturing = cuda.capturing, ""
                if state != "valid":
                    raise RuntimeError("CUDA error: operation failed due to a previous error during capture")
                cuda.recording.remove(self.pool)

            def replay(self) -> None:
                pass

        @contextmanager
        def flags(**given: bool) -> Iterator[None]:
            self.flags.append(given)
            yield

        monkeypatch.setattr(torch.cuda, "Stream", Stream)
        monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
        monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
        monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: (0, len(self.pools) + 1))
        monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", self.end, raising=False)
        monkeypatch.setattr(torch._C, "_cuda_releasePool", lambda device, pool: self.pools.remove(pool), raising=False)
        monkeypatch.setattr(torch.backends.cudnn, "flags", flags)
        monkeypatch.setattr(recording, "_streams", {})
        monkeypatch.setattr(recording, "_leaking", set())

    def end(self, device: int, pool: object) -> None:
        if pool not in self.recording:
            raise RuntimeError("endAllocatePool: not currently recording to mempool_id")
        self.recording.remove(pool)

    def item(self) -> None:
        """Break the recording, as ``.item()`` does; without a recording it does no harm."""
        recording._streams[CARD].synchronize()


CARD = torch.device("cuda", 0)


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Cuda:
    return Cuda(monkeypatch)


def test_a_recording_that_fails_is_ended_and_the_next_works(cuda: Cuda) -> None:
    for _ in range(3):
        with pytest.raises(RuntimeError, match="not permitted when stream is capturing"):
            record_graph(cuda.item, CARD, after=None)
        assert not cuda.recording, "what is used on two streams would never come back"
        assert not cuda.pools
    record_graph(lambda: None, CARD, after=None)()
    assert not cuda.recording


def test_so_is_one_whose_body_fails_by_itself(cuda: Cuda) -> None:
    calls = []

    def body() -> None:
        calls.append(1)
        if len(calls) > 3:
            raise KeyError("the body's own")

    with pytest.raises(KeyError, match="the body's own"):
        record_graph(body, CARD, after=None)
    assert not cuda.recording and not cuda.capturing
    record_graph(lambda: None, CARD, after=None)


def test_where_it_cannot_be_ended_nothing_more_is_recorded(
    cuda: Cuda, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delattr(torch._C, "_cuda_endAllocateToPool")
    with pytest.raises(RuntimeError, match="not permitted"):
        record_graph(cuda.item, CARD, after=None)
    calls: list[int] = []
    with pytest.raises(RuntimeError, match="did not end properly"):
        record_graph(lambda: calls.append(1), CARD, after=None)
    assert not calls
    assert "no more CUDA graphs are captured on cuda:0" in caplog.text


def test_a_torch_that_ends_it_by_itself_is_none_of_those(cuda: Cuda, monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(device: int, pool: object) -> None:
        cuda.recording.clear()
        raise RuntimeError("endAllocatePool: not currently recording to mempool_id")

    monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", ended)
    with pytest.raises(RuntimeError, match="not permitted"):
        record_graph(cuda.item, CARD, after=None)
    record_graph(lambda: None, CARD, after=None)


def test_all_recordings_of_a_gpu_share_a_stream_that_nobody_else_gets(cuda: Cuda) -> None:
    for _ in range(40):
        record_graph(lambda: None, CARD, after=None)
    assert cuda.streams == 1
    assert recording._streams[CARD].priority == -1, "streams of the usual priority are handed out in turn"


def test_recordings_of_two_threads_take_turns(cuda: Cuda) -> None:
    inside: list[int] = []
    most = []

    def body() -> None:
        inside.append(1)
        most.append(len(inside))
        threading.Event().wait(0.005)
        inside.pop()

    threads = [threading.Thread(target=record_graph, args=(body, CARD, None)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1 and len(most) == 12


@pytest.mark.parametrize("repeatable", [False, True])
def test_algorithms_are_measured_for_live_video_alone(cuda: Cuda, repeatable: bool) -> None:
    record_graph(lambda: None, CARD, after=None, repeatable=repeatable)
    assert cuda.flags == [
        {"enabled": True, "benchmark": not repeatable, "deterministic": repeatable, "allow_tf32": False}
    ]


# NaN or infinite values ------------------------------------------------------------------------------------------


def test_numbers_that_are_none_are_noticed_and_the_next_sequence_is_sound(weights: Path) -> None:
    engine = RvmEngine(EngineSettings(weights=weights, device="cpu", downsample_ratio=0.5))
    engine.open()
    fresh = engine.matte(frames(1)[0]).host().alpha
    assert engine._step is not None
    with torch.inference_mode():
        engine._step.states[3][0, 0, 0, 0] = float("nan")  # one number in one place
    with pytest.raises(EngineError, match="NaN or infinite values"):
        engine.matte(frames(1)[0])
    np.testing.assert_array_equal(engine.matte(frames(1)[0]).host().alpha, fresh)
    engine.close()


def test_on_a_gpu_they_are_noticed_with_the_frame_after_and_no_frame_is_waited_for() -> None:
    check = FiniteCheck()
    waited: list[str] = []

    class Ready:
        def synchronize(self) -> None:
            waited.append("this frame")

    good, bad = torch.tensor(True), torch.tensor(False)
    check.look(good, Ready())
    assert waited == ["this frame"], "the first of a sequence is looked at itself"
    check.look(bad, Ready())  # not there yet
    with pytest.raises(EngineError, match="NaN or infinite values"):
        check.look(good, Ready())
    assert waited == ["this frame"]
    check.forget()
    with pytest.raises(EngineError):
        check.look(bad, Ready())  # a file of one frame
    with pytest.raises(EngineError):
        check.look(bad, None)  # without a lane the result is there at once


def test_states_that_hold_no_numbers_are_not_kept(weights: Path) -> None:
    engine = RvmEngine(EngineSettings(weights=weights, device="cpu", downsample_ratio=0.5))
    engine.open()
    engine.matte(frames(1)[0])
    engine._soundness._told = torch.tensor(False)
    with pytest.raises(EngineError, match="NaN or infinite values"):
        engine.states()
    engine.close()


# On MPS ---------------------------------------------------------------------------------------------------------


def test_on_mps_a_matte_is_down_before_the_matting_thread_lets_it_go(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only one thread may use MPS, and before the download nothing has waited for the work."""
    engine = RvmEngine(EngineSettings(weights=weights, device="cpu", downsample_ratio=0.5))
    engine.open()
    expected = engine.matte(frames(1)[0]).host()
    engine.reset()
    engine.lane.lands = True
    landed: list[int] = []
    download = transfer.download

    def slowly(tensor: Tensor) -> NDArray[Any]:
        array = download(tensor)
        landed.append(SYSTEM_CLOCK.now_ns())
        return array

    monkeypatch.setattr(transfer, "download", slowly)
    matte = engine.matte(frames(1)[0])
    count = len(landed)
    assert count and isinstance(matte.alpha, np.ndarray) and isinstance(matte.foreground, np.ndarray)
    assert matte.image is None, "nothing of it is left for others on the device"
    assert matte.finished_ns >= max(landed), "its time is the work's, not the launch's"
    np.testing.assert_array_equal(matte.host().alpha, expected.alpha)
    np.testing.assert_array_equal(matte.host().colour, expected.colour)
    assert len(landed) == count
    engine.close()


@pytest.mark.parametrize(("device", "lies_on"), [("mps", "cpu"), ("cpu", "cpu"), ("cuda:1", "cuda:1")])
def test_compositing_is_done_where_mattes_lie(device: str, lies_on: str) -> None:
    assert EngineInfo("rvm", "", device, "", "fp32").mattes_on == lies_on
    assert Lane(torch.device("mps")).lands and not Lane(torch.device("cpu")).lands


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
    target = engine.rungs[-1]
    picture = np.random.default_rng(1).integers(0, 256, (360, 640, 3), np.uint8)
    number = 0
    while not engine.use_rung(target):
        engine.matte(Frame(picture, number, 0, number))
        number += 1
        assert number < 20_000
    assert number > 0, "it was made at once, so the stream stood still meanwhile"
    after = engine.matte(Frame(picture, number, 0, number))
    assert engine.info.downsample_ratio == target.ratio
    assert engine.recorded
    assert after.host().alpha.shape == (360, 640)
    engine.close()


@pytest.mark.gpu
def test_on_a_gpu_a_steady_stream_asks_for_no_memory(weights: Path) -> None:
    from rvm_live.backgrounds.base import Plate
    from rvm_live.compositing.torch import TorchCompositor

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
    from rvm_live.compositing.torch import TorchCompositor

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
    # Each picture, and for each frame the byte that says whether its values are finite; nobody waits for that byte.
    assert sum("DtoH" in name for name in copies) == 8 + 8
    compositor.close()
    engine.close()


@pytest.mark.gpu
def test_on_a_gpu_a_recording_that_fails_leaves_no_leak() -> None:
    """A body that asks for a number cannot be recorded; memory used on two streams must be freed nevertheless."""
    device = torch.device("cuda", torch.cuda.current_device())
    lane, other = torch.cuda.Stream(device), torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    number = torch.ones((), device=device)
    with pytest.raises(RuntimeError):
        record_graph(lambda: number.add_(1).item(), device, after=lane)  # type: ignore[arg-type,return-value]
    held = []
    for _ in range(40):
        with torch.cuda.stream(lane):
            block = torch.empty(6 << 20, dtype=torch.uint8, device=device)
        block.record_stream(other)
        del block
        torch.cuda.synchronize()
        held.append(torch.cuda.memory_allocated(device))
    assert held[-1] <= held[3], held
    record_graph(lambda: number.add_(1), device, after=lane)()  # type: ignore[arg-type,return-value]


@pytest.mark.gpu
@pytest.mark.parametrize("recording", [False, True])
def test_on_a_gpu_numbers_that_are_none_are_noticed_a_frame_later(weights: Path, recording: bool) -> None:
    engine = cuda_engine(weights, recording=recording)
    for frame in frames(3):
        engine.matte(frame)
    assert engine._step is not None
    with engine.lane.work():
        engine._step.states[3][0, 0, 0, 0] = float("nan")
        engine.lane.finish()
    engine.matte(frames(1)[0])
    with pytest.raises(EngineError, match="NaN or infinite values"):
        engine.matte(frames(1)[0])
    engine.matte(frames(1)[0])
    engine.close()


@pytest.mark.gpu
def test_on_a_gpu_the_time_told_is_the_work_and_not_its_launch(weights: Path) -> None:
    engine = cuda_engine(weights)
    for frame in frames(5):
        matte = engine.matte(frame)
        assert matte.elapsed_ns is not None
        assert 0 < matte.done_ns - matte.started_ns < 10_000_000_000
    engine.close()
