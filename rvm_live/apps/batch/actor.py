"""A worker process of a Ray cluster: processes one file after another, with its share of cores and GPUs."""

from __future__ import annotations

import os
import platform
import queue
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from rvm_live.apps.batch.inputs import Job
from rvm_live.apps.batch.matting import Shared
from rvm_live.apps.batch.report import Done
from rvm_live.apps.batch.settings import BatchSettings
from rvm_live.core.registry import look_in_own_folder
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.choice import EMBEDDED, Choice, choose

__all__ = ["Actor"]


class Actor:
    """Works on the files that it is given.

    Args:
        settings: of the run.
        engine: of the run.
        choice: what the run's first process chose, or None.
        weights: name and bytes of the file with the network's weights; None where it needs none.
        cores: this process's share of its machine.
        folder: the folder that the run was started in; relative names refer to it.
        modules: whether engines are looked for there, too.
    """

    def __init__(
        self,
        settings: BatchSettings,
        engine: EngineSettings,
        choice: Choice | None,
        weights: tuple[str, bytes] | None,
        cores: int,
        folder: str,
        modules: bool,
    ) -> None:
        os.environ["RVM_LIVE_CORES"] = str(cores)
        with suppress(OSError):  # missing files are reported one by one later
            os.chdir(folder)
            if modules:
                look_in_own_folder()
        from rvm_live.sources.camera.opencv_logging import silence_backends
        from rvm_live.system import threads

        silence_backends()
        threads.keep_memory()
        threads.apply(threads.plan(threads.usable_cores()))
        if weights is not None:
            name, content = weights
            self._folder = tempfile.TemporaryDirectory(prefix="rvm-live-")
            path = Path(self._folder.name) / name
            path.write_bytes(content)
            engine = replace(engine, weights=path)
            if choice is not None:
                choice = replace(choice, settings=replace(choice.settings, weights=path))
        if choice is not None and EMBEDDED not in choice.names:
            choice = choose(choice.settings)  # this machine may have a GPU where the first one has none
        if settings.memory_limit is not None:
            from rvm_live.engines.common.device import limit_memory

            limit_memory(settings.memory_limit, engine.device)
        self._events: queue.SimpleQueue[dict[str, Any] | Done] = queue.SimpleQueue()
        self._shared = Shared(settings, engine, choice, self._events.put)

    def where(self) -> str:
        """Machine and process."""
        return f"{platform.node()}, process {os.getpid()}"

    def stop(self) -> None:
        """End the present file in order."""
        self._shared.stop("interrupted")

    def work(self, job: Job, number: int, resume: bool) -> Iterator[dict[str, Any] | Done]:
        """Process one file: yields its events, and at the end its result."""
        if not job.source.exists():
            told = f"{job.source} does not exist on {platform.node()}: all machines must share the same folders"
            yield Done(job, "failed", error=told, elsewhere=True)
            return
        job.folder.mkdir(parents=True, exist_ok=True)
        from rvm_live.apps.batch.file import work_off

        shared = replace(
            self._shared, settings=replace(self._shared.settings, resume=resume or self._shared.settings.resume)
        )
        self._shared = shared
        thread = threading.Thread(target=lambda: self._events.put(work_off(shared, job, number)), name="rvm-file")
        thread.start()
        while not isinstance(event := self._events.get(), Done):
            yield event
        thread.join()
        yield event
