"""From a low-resolution estimate to the finished picture, on the processor: in one pass where Numba is there."""
