"""Arrays are reused, but never while somebody still uses them."""

from __future__ import annotations

import threading

import numpy as np
import torch
from numpy.typing import NDArray

from rvm_live.system.buffer_pool import BufferPool


def address(array: NDArray[np.uint8]) -> int:
    return int(array.ctypes.data)


def test_an_array_comes_back_when_nobody_holds_it() -> None:
    pool = BufferPool((4, 5, 3))
    first = pool.take()
    assert first.shape == (4, 5, 3) and first.dtype == np.uint8 and first.flags.c_contiguous and first.flags.writeable
    where = address(first)
    del first
    assert address(pool.take()) == where


def test_an_array_in_use_is_not_handed_out_again() -> None:
    pool = BufferPool((64, 64))
    held = [pool.take() for _ in range(12)]
    for number, array in enumerate(held):
        array[:] = number
    assert len({address(array) for array in held}) == 12
    assert [int(array.min()) for array in held] == [int(array.max()) for array in held] == list(range(12))


def test_a_view_a_tensor_and_a_memoryview_hold_it_too() -> None:
    pool = BufferPool((8, 8))
    for keep in (lambda a: a[2:4], lambda a: a.T[::2], torch.from_numpy, memoryview, lambda a: a.data):
        array = pool.take()
        where = address(array)
        kept = keep(array)
        del array
        others = [pool.take() for _ in range(3)]
        assert where not in {address(other) for other in others}
        del kept, others
        assert where in {address(other) for other in [pool.take() for _ in range(8)]}


def test_it_keeps_no_more_than_it_is_told() -> None:
    pool = BufferPool((1 << 16,), most=2)
    held = [pool.take() for _ in range(6)]
    held.clear()
    assert len(pool._free) == 2 and not pool._lent


def test_arrays_may_be_dropped_on_other_threads() -> None:
    pool = BufferPool((32, 32), most=4)
    spoilt: list[int] = []

    def work(number: int) -> None:
        for _ in range(500):
            array = pool.take()
            array[:] = number
            if not (array == number).all():
                spoilt.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not spoilt and len(pool._free) <= 4 and not pool._lent
