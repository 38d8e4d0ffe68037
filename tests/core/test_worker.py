"""A thread and its queue: taking, giving, and what remains when either end leaves or fails."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from rvm_live.core.errors import QueueClosed
from rvm_live.core.queues import Overflow
from rvm_live.core.worker import Worker


def taker(seen: list[int], fail_at: int | None = None, go: threading.Event | None = None) -> Worker[int]:
    def work() -> None:
        for number in worker.items():
            assert go is None or go.wait(30)
            if number == fail_at:
                raise ValueError("burst")
            seen.append(number)
        seen.append(-1)

    worker: Worker[int] = Worker("test", work, maxsize=4, policy=Overflow.BLOCK)
    return worker


def test_what_waits_is_worked_off_when_its_queue_is_closed() -> None:
    seen: list[int] = []
    worker = taker(seen)
    for number in range(4):
        worker.queue.put(number)
    worker.queue.close()
    worker.start()
    assert worker.join(5)
    assert seen == [0, 1, 2, 3, -1] and worker.error is None


def test_what_waits_is_thrown_away_when_it_is_cancelled() -> None:
    seen: list[int] = []
    worker = taker(seen)
    worker.queue.put(1)
    worker.queue.cancel()
    worker.start()
    assert worker.join(5)
    assert seen == [-1]


def test_an_error_reaches_the_other_end_and_holds_nothing() -> None:
    worker = taker([], fail_at=0)
    for number in range(3):
        worker.queue.put(number)
    worker.start()
    assert worker.join(5)
    assert isinstance(worker.error, ValueError) and len(worker.queue) == 0
    with pytest.raises(QueueClosed) as caught:
        worker.queue.put(3)
    assert caught.value.error is worker.error


def test_a_mailbox_holds_the_newest() -> None:
    seen: list[int] = []
    worker: Worker[int] = Worker("test", lambda: seen.extend(worker.items()))
    for number in range(5):
        worker.queue.put(number)
    worker.queue.close()
    worker.start()
    assert worker.join(5)
    assert seen == [4] and worker.queue.dropped == 4


def giver(numbers: Iterator[int]) -> Worker[int]:
    def work() -> None:
        for number in numbers:
            worker.queue.put(number)

    worker: Worker[int] = Worker("test", work, maxsize=4, policy=Overflow.BLOCK, gives=True)
    return worker


def test_what_was_given_may_be_taken_before_the_error() -> None:
    def numbers() -> Iterator[int]:
        yield from range(3)
        raise ValueError("burst")

    worker = giver(numbers())
    worker.start()
    assert worker.join(5)
    assert [worker.queue.get() for _ in range(3)] == [0, 1, 2]
    with pytest.raises(QueueClosed) as caught:
        worker.queue.get()
    assert isinstance(caught.value.error, ValueError)


def test_a_giver_ends_without_an_error_when_nobody_takes_any_more() -> None:
    worker = giver(iter(range(1000)))
    worker.start()
    worker.queue.get()
    worker.queue.cancel()
    assert worker.join(5)
    assert worker.error is None


def test_while_nothing_comes_it_may_look_around() -> None:
    looked = threading.Event()
    worker: Worker[int] = Worker("test", lambda: list(worker.items(looked.set, 0.001)) and None)
    worker.start()
    assert looked.wait(30)
    worker.queue.close()
    assert worker.join(5)


def test_one_that_never_began_has_ended() -> None:
    assert taker([]).join(0)
