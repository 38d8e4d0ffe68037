"""How the stages share the CPU's cores: one plan, made from the number of cores.

``plan`` is arithmetic. ``apply`` changes settings of the whole process, so only the program's entry calls it, once;
an embedded pipeline keeps the host program's settings. ``python -m benchmarks threads`` compares plans.
"""

from __future__ import annotations

import ctypes
import logging
import os
import re
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "Plan",
    "all_cores",
    "apply",
    "give_way",
    "keep_memory",
    "no_real_time",
    "one_for_torch",
    "plan",
    "usable_cores",
]

_log = logging.getLogger("rvm_live")

_CPUS = Path("/sys/devices/system/cpu")
_CGROUPS = Path("/sys/fs/cgroup")
_MOST_FOR_MATTING = 8
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_MMAP_THRESHOLD = 32 << 20


@dataclass(frozen=True)
class Plan:
    """Number of threads for each library that makes its own.

    Attributes:
        matting: of the engine on a CPU, OpenVINO's or torch's.
        opencv: of one call of OpenCV; capture, compositing and display call it side by side.
    """

    matting: int
    opencv: int


def plan(cores: int) -> Plan:
    """Share ``cores`` physical cores among the stages.

    Matting is nearly all of the work, and its threads sleep between frames: on two cores it does best with both. From
    four on, one is left to the other stages. A network of this size gains nothing from more than eight threads, and an
    OpenCV call of the other stages, a millisecond each, nothing from more than two.

    Measured on two cores; for more cores this is reasoning, not measurement.
    """
    cores = max(cores, 1)
    matting = cores if cores < 4 else min(cores - 1, _MOST_FOR_MATTING)
    return Plan(matting=matting, opencv=1 if cores < 4 else 2)


def usable_cores(cpus: Path = _CPUS, cgroups: Path = _CGROUPS) -> int:
    """Physical cores this process may use: of those its affinity allows, no more than its control group's quota.

    Systems other than Linux tell how many there are, not which a process may use. ``RVM_LIVE_CORES`` makes it fewer,
    for a process that shares a machine with others of its kind.

    Args:
        cpus: where Linux describes its processors.
        cgroups: where Linux describes the process's control group (version 2).
    """
    if sys.platform == "linux":
        cores = _physical(os.sched_getaffinity(0), cpus)
    else:
        cores = all_cores()
    share = _share(os.environ.get("RVM_LIVE_CORES", ""))
    return max(1, min(cores, _quota(cgroups) or cores, cores if share is None else share))


def all_cores() -> int:
    """Physical cores of this machine; logical ones where it does not tell which share a core."""
    import psutil  # type: ignore[import-untyped]

    return psutil.cpu_count(logical=False) or os.cpu_count() or 1


def _share(text: str) -> int | None:
    """``RVM_LIVE_CORES`` as a number; None if it is not one, which is logged."""
    if not text.strip():
        return None
    if re.fullmatch(r"\s*[0-9]{1,18}\s*", text) is None:
        _log.warning("RVM_LIVE_CORES is ignored: %r is not a number of cores", text[:40])
        return None
    return int(text)


def _physical(allowed: Iterable[int], cpus: Path) -> int:
    """Physical cores of logical processors; a processor without a description counts as a core."""
    cores = set()
    for number in allowed:
        try:
            cores.add((cpus / f"cpu{number}" / "topology" / "thread_siblings_list").read_text().strip())
        except OSError:
            cores.add(str(number))
    return len(cores)


def _quota(cgroups: Path) -> int | None:
    """The control group's CPU limit in whole processors; None if there is no limit."""
    try:
        limit, period = (cgroups / "cpu.max").read_text().split()
        return max(1, round(int(limit) / int(period)))
    except (OSError, ValueError, ZeroDivisionError):
        return None


def apply(chosen: Plan) -> None:
    """Set the thread counts of OpenCV and torch for the whole process. Only for the program's entry.

    torch, which takes seconds to load and is not always needed, is told by the environment where it is not loaded yet.
    """
    import cv2

    cv2.setNumThreads(chosen.opencv)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(chosen.matting)
    else:
        os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(chosen.matting)


def keep_memory() -> bool:
    """Keep freed memory in the process. Only for the program's entry.

    The GNU C library returns a freed picture to the system, and its next use costs a page fault for every 4 KiB: at
    1280x720 more than compositing itself. What is kept is what the pictures in flight take, tens of megabytes.

    Returns:
        Whether this C library supports it.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # a C library without mallopt
        return False
    told = [mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD), mallopt(_M_TRIM_THRESHOLD, 1 << 30)]
    return all(told)


@contextmanager
def one_for_torch() -> Iterator[None]:
    """Let torch compute on the calling thread only, and leave the other cores free."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def give_way() -> None:
    """Lower the calling thread's priority permanently, so that others run first. Where only whole processes have a
    priority, nothing changes."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


@contextmanager
def no_real_time() -> Iterator[None]:
    """Use this around a library that takes real-time priority if it may. SVT-AV1 does so for root: for its own threads
    and for the one that opens it, and threads started from there inherit it. A busy thread of that kind lets no other
    run.
    """
    before = _real_time()
    try:
        yield
    finally:
        for thread in _real_time() - before:
            with suppress(OSError):  # the thread has ended
                os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))


def _real_time() -> set[int]:
    """Threads of this process that have real-time priority, on Linux."""
    found: set[int] = set()
    with suppress(OSError, AttributeError):  # this system has no such list, or no such call
        for thread in os.listdir("/proc/self/task"):
            with suppress(OSError):
                if os.sched_getscheduler(int(thread)) in (os.SCHED_FIFO, os.SCHED_RR):
                    found.add(int(thread))
    return found
