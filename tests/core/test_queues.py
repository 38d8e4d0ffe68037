"""The queue between two stages, with each policy."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rvm_live.core.errors import QueueClosed
from rvm_live.core.queues import FrameQueue, Overflow


def in_thread(action: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    """Run ``action`` in a thread that keeps what it returned or raised."""
    results: list[object] = []

    def body() -> None:
        try:
            results.append(action())
        except Exception as error:
            results.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    return thread, results


@pytest.fixture(params=list(Overflow))
def queue(request: pytest.FixtureRequest) -> FrameQueue[int]:
    return FrameQueue("q", 2, request.param)


def test_keeps_the_order(queue: FrameQueue[int]) -> None:
    queue.put(1)
    queue.put(2)
    assert [queue.get(), queue.get()] == [1, 2]


def test_an_empty_queue_times_out(queue: FrameQueue[int]) -> None:
    with pytest.raises(TimeoutError):
        queue.get(timeout=0.001)


def test_close_hands_out_what_is_held_then_the_error(queue: FrameQueue[int]) -> None:
    error = ValueError("broken")
    queue.put(1)
    queue.close(error)
    assert queue.get() == 1
    with pytest.raises(QueueClosed) as caught:
        queue.get()
    assert caught.value.error is error


def test_cancel_throws_away_what_is_held(queue: FrameQueue[int]) -> None:
    queue.put(1)
    queue.cancel()
    with pytest.raises(QueueClosed):
        queue.get()
    assert queue.dropped == 0


def test_a_closed_queue_takes_nothing(queue: FrameQueue[int]) -> None:
    queue.close()
    with pytest.raises(QueueClosed):
        queue.put(1)
    assert len(queue) == 0


def test_the_first_close_decides_the_error(queue: FrameQueue[int]) -> None:
    first = ValueError("first")
    queue.close(first)
    queue.cancel(ValueError("second"))
    queue.close()
    assert queue.error is first


def test_close_wakes_a_waiting_reader(queue: FrameQueue[int]) -> None:
    thread, results = in_thread(queue.get)
    queue.close()
    thread.join(5)
    assert isinstance(results[0], QueueClosed)


def test_closing_wakes_a_writer_that_waits_for_room() -> None:
    queue: FrameQueue[int] = FrameQueue("q", 1, Overflow.BLOCK)
    queue.put(1)
    thread, results = in_thread(lambda: queue.put(2))
    queue.cancel()
    thread.join(5)
    assert isinstance(results[0], QueueClosed)


def test_a_blocking_writer_goes_on_when_there_is_room() -> None:
    queue: FrameQueue[int] = FrameQueue("q", 1, Overflow.BLOCK)
    queue.put(1)
    thread, results = in_thread(lambda: queue.put(2))
    assert queue.get() == 1
    thread.join(5)
    assert results == [None]
    assert queue.get() == 2


def test_maxsize_must_hold_something() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        FrameQueue("q", 0, Overflow.BLOCK)


@given(st.lists(st.integers(), max_size=30), st.integers(1, 5))
def test_the_newest_win_and_the_rest_is_counted(items: list[int], size: int) -> None:
    queue: FrameQueue[int] = FrameQueue("q", size, Overflow.DROP_OLDEST)
    for item in items:
        queue.put(item)
    queue.close()
    kept = [queue.get() for _ in range(len(queue))]
    assert kept == items[-size:]
    assert queue.dropped == max(0, len(items) - size)


def test_blocking_drops_nothing() -> None:
    queue: FrameQueue[int] = FrameQueue("q", 2, Overflow.BLOCK)
    thread, _ = in_thread(lambda: [queue.put(n) for n in range(1000)] and queue.close())
    seen = []
    with pytest.raises(QueueClosed):
        while True:
            seen.append(queue.get(timeout=5))
    thread.join(5)
    assert seen == list(range(1000))
    assert queue.dropped == 0
