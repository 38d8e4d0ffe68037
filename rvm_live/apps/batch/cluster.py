"""Many files on many processes and machines, by Ray: one worker for each GPU, or for a share of the cores."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rvm_live import weights
from rvm_live.apps.batch.actor import Actor
from rvm_live.apps.batch.inputs import Job
from rvm_live.apps.batch.matting import Shared
from rvm_live.apps.batch.report import Done
from rvm_live.core.errors import SettingsError, UnavailableError, told_as
from rvm_live.core.registry import looks_in_own_folder
from rvm_live.engines.choice import EMBEDDED
from rvm_live.system.installed import adding

__all__ = ["work_off_all"]

_HERE = (None, "local")
"""The addresses of a cluster of our own."""
_TRIES = 3
_CORES = 4
"""Cores of a worker without a GPU: a network of this size gains little from more."""
_TICK_S = 0.2


@dataclass
class _Task:
    """A file and its history."""

    job: Job
    number: int
    tries: int = 0
    shunned: set[str] = field(default_factory=set)


@dataclass
class _Hand:
    """A worker, and what it is doing."""

    actor: Any
    where: str = ""
    task: _Task | None = None
    events: Any = None


def work_off_all(shared: Shared, jobs: Iterable[Job], finished: Callable[[Done, int], None]) -> None:
    """Process all files. A worker that dies is replaced, and its file continues on another worker, at its last complete
    segment.

    Args:
        shared: what the files of a run share; ``settings.ray`` and ``settings.workers`` say where.
        jobs: the files.
        finished: called with the result of each file when it ends.

    Raises:
        UnavailableError: Ray is not installed, or its cluster cannot be reached.
    """
    _lock_up(shared.settings.ray)
    try:
        import ray
    except ImportError as error:
        raise UnavailableError(f"several processes need Ray: {adding('ray')}") from error
    tasks = deque(_Task(job, number) for number, job in enumerate(jobs))
    if shared.stopped.is_set():
        return
    with _signals_kept():
        _connect(ray, shared)
    try:
        with redirect_stdout(sys.stderr):
            # To standard error, because other programs may read our events from standard output.
            if not shared.stopped.is_set():
                _Crew(ray, shared, len(tasks)).run(tasks, finished)
    finally:
        ray.shutdown()


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Keep our signal handlers: Ray handles SIGTERM itself, in Python and below it, and ends the process at once."""
    ours = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in ours.items():
                signal.signal(number, handler)


def _lock_up(address: str | None) -> None:
    """Set Ray's environment before it is imported: anybody who can connect to Ray can run any code.

    Our own cluster only listens on this machine, and needs a token that is made for this run. A cluster
    that is joined is talked to with its own token (``RAY_AUTH_TOKEN``, or the file that Ray keeps it in).
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent over the network that nobody asked for
    if address in _HERE:
        # Makes Ray listen on this machine only; on Windows and macOS that is the default.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
    else:
        os.environ.setdefault("RAY_AUTH_MODE", "token")


def _connect(ray: Any, shared: Shared) -> None:
    """Start a cluster of our own, or join one."""
    address = shared.settings.ray
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error", "configure_logging": False}
    hint = ""
    try:
        if address in _HERE:
            ray.init(address="local", include_dashboard=False, **options)
        else:
            _knock(address)
            hint = "; it needs its token: set RAY_AUTH_TOKEN to what `ray get-auth-token` prints there"
            ray.init(address=address, **options)
    except Exception as error:  # Ray may raise anything
        where = "here" if address in _HERE else f"at {address}"
        why = " ".join(str(error).split()).partition(". ")[0][:200]
        raise UnavailableError(f"Ray cannot be used {where}: {why}{hint}") from error


def _knock(address: str | None) -> None:
    """Check quickly whether a server listens; Ray itself tries for minutes.

    Raises:
        OSError: none does.
    """
    host, _, port = (address or "").rpartition("://")[2].rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=5).close()


class _Crew:
    """The workers of a run."""

    def __init__(self, ray: Any, shared: Shared, files: int) -> None:
        self._ray, self._shared = ray, shared
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        gpus = int(sum(node.get("GPU", 0) for node in nodes))
        cpus = [int(node.get("CPU", 0)) for node in nodes if node.get("CPU", 0) >= 1]
        settings = shared.settings
        if not cpus:
            raise UnavailableError("the Ray cluster has no free CPU: add a machine, or wait")
        if gpus and not settings.engine.device.startswith("cpu"):
            self._cores, most = max(1, min(_CORES, sum(cpus) // gpus)), gpus
            self._resources: dict[str, float] = {"num_gpus": 1, "num_cpus": self._cores}
        elif settings.workers > 1 and settings.ray in _HERE:
            self._cores, most = max(1, cpus[0] // settings.workers), settings.workers
            self._resources = {"num_cpus": min(self._cores, cpus[0] / settings.workers)}
        else:
            self._cores = min(_CORES, *cpus)
            most = sum(each // self._cores for each in cpus)
            self._resources = {"num_cpus": self._cores}
        if settings.workers > 1:
            most = min(most, settings.workers)
        self._count = max(1, min(most, files))
        # Put once into the cluster's memory, from where every machine takes it once.
        self._weights = ray.put(_weights(shared))
        self._actor = ray.remote(max_concurrency=2, max_restarts=0, **self._resources)(Actor)
        self._hands: list[_Hand] = []

    def run(self, tasks: deque[_Task], finished: Callable[[Done, int], None]) -> None:
        shared = self._shared
        told_to_stop = False
        self._hands = [self._hired() for _ in range(self._count)]
        while tasks or any(hand.task for hand in self._hands):
            if shared.stopped.is_set():
                tasks.clear()
                if not told_to_stop:
                    told_to_stop = True
                    for hand in self._hands:
                        hand.actor.stop.remote()
            self._hand_out(tasks)
            for hand in self._ready():
                self._take(hand, tasks, finished)

    def _hired(self) -> _Hand:
        shared = self._shared
        run = (shared.settings, shared.engine, shared.choice)
        return _Hand(self._actor.remote(*run, self._weights, self._cores, str(Path.cwd()), looks_in_own_folder()))

    def _hand_out(self, tasks: deque[_Task]) -> None:
        for hand in self._hands:
            if hand.task is not None or not tasks:
                continue
            others = len({each.where for each in self._hands}) > 1
            fitting = next((t for t in tasks if not others or hand.where not in t.shunned), None)
            if fitting is None:
                if any(each.task for each in self._hands):
                    continue
                fitting = tasks[0]  # no other worker is left to try it
            tasks.remove(fitting)
            fitting.tries += 1
            hand.task = fitting
            hand.events = hand.actor.work.options(num_returns="streaming").remote(
                fitting.job, fitting.number, fitting.tries > 1
            )

    def _ready(self) -> list[_Hand]:
        """The workers that have an event."""
        busy = {hand.events: hand for hand in self._hands if hand.task is not None}
        if not busy:
            return []
        ready, _ = self._ray.wait(list(busy), num_returns=1, timeout=_TICK_S)
        return [busy[each] for each in ready]

    def _take(self, hand: _Hand, tasks: deque[_Task], finished: Callable[[Done, int], None]) -> None:
        task = hand.task
        assert task is not None
        try:
            event = self._ray.get(next(hand.events))
        except StopIteration:
            hand.task = None
            return
        except self._ray.exceptions.RayError as error:
            self._lost(hand, task, tasks, finished, f"a worker process died ({_gist(error)})")
            return
        if not isinstance(event, Done):
            self._shared.tell(event)
            return
        if event.lost:
            # On a failed GPU nothing would work any more; ending it also frees its GPU memory.
            self._ray.kill(hand.actor)
            self._lost(hand, task, tasks, finished, f"a worker's GPU failed ({event.error})")
            return
        hand.task = None
        hand.where = hand.where or self._ray.get(hand.actor.where.remote())
        if event.state == "failed" and event.elsewhere and task.tries < _TRIES and not self._shared.stopped.is_set():
            task.shunned.add(hand.where)
            if len(self._hands) > 1:
                self._note(f"{task.job.source.name}: {event.error}; trying on another worker")
                tasks.append(task)
                return
        finished(event, task.number)

    def _lost(
        self,
        hand: _Hand,
        task: _Task,
        tasks: deque[_Task],
        finished: Callable[[Done, int], None],
        reason: str,
    ) -> None:
        """Replace a worker that has died or failed; another one continues with its file."""
        hand.task = None
        self._hands.remove(hand)
        if self._shared.stopped.is_set():
            finished(Done(task.job, "interrupted"), task.number)
            return
        self._hands.append(self._hired())
        if task.tries >= _TRIES:
            finished(
                Done(task.job, "failed", error=f"three workers failed on it; the last error: {reason}"), task.number
            )
            return
        self._note(f"{task.job.source.name}: {reason}; another worker continues with it")
        tasks.appendleft(task)

    def _note(self, text: str) -> None:
        self._shared.tell({"event": "note", "text": text})


def _gist(error: Exception) -> str:
    """The first useful line of a long message of Ray."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:160].rstrip(".: ")


def _weights(shared: Shared) -> tuple[str, bytes] | None:
    """Name and bytes of the file that the workers will need."""
    engine = shared.engine if shared.choice is None else shared.choice.settings
    if engine.engine in (EMBEDDED,) or (shared.choice is not None and EMBEDDED in shared.choice.names):
        return None
    if ":" in engine.engine and engine.weights is None:
        return None  # an engine of the user's own
    path: Path = weights.resolve(engine)
    with told_as(SettingsError, f"weights {path} cannot be read"):
        return path.name, path.read_bytes()
