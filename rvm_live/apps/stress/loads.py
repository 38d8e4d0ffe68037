"""One configuration as something that can be called again and again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from rvm_live import weights
from rvm_live.apps.stress.configs import Config
from rvm_live.core.errors import RvmLiveError, WeightsError
from rvm_live.core.frames import Frame
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.select import AutoEngine

__all__ = ["Work", "load", "weights_for"]

Work = Callable[[], None]
"""Mattes ``chunk * batch`` frames; done when it returns."""


def weights_for(model: str, scratch: Path) -> tuple[Path, bool]:
    """Weights of a network: the installed ones, else random ones, which take the same time.

    Args:
        model: ``mobilenetv3`` or ``resnet50``.
        scratch: folder for random ones.

    Returns:
        The file, and whether it is real.
    """
    try:
        found = weights.locate(EngineSettings(model=model))
        if found is not None:
            path = weights.resolve(EngineSettings(model=model, offline=True))
            if weights.verify(path).variant == model:
                return path, True
    except WeightsError:
        pass
    import torch

    from rvm_live.network.network import MattingNetwork

    made = scratch / f"random_{model}.pth"
    if not made.exists():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(7)
            torch.save(MattingNetwork(model).state_dict(), made)
    return made, False


@contextmanager
def load(config: Config, device: str, path: Path | None) -> Iterator[Work]:
    """Get a configuration ready, and free its memory afterwards.

    Args:
        config: what to run.
        device: torch device string.
        path: of the weights; None for ``lite``.

    Raises:
        RvmLiveError: it cannot run here, for lack of memory or of a library.
    """
    settings = EngineSettings(
        engine=config.engine,
        model=None if config.engine == "lite" else config.model,
        weights=path,
        device=device if config.engine == "rvm" else "cpu",
        precision=config.precision,
        downsample_ratio=config.ratio,
        steady=False,
    )
    count = config.chunk * config.batch
    rng = np.random.default_rng(3)
    noise = rng.integers(0, 256, (config.height // 8 + 1, config.width // 8 + 1, 3), np.uint8)
    whole = noise.repeat(8, 0).repeat(8, 1)[: config.height, : config.width]
    frames = [Frame(np.ascontiguousarray(np.roll(whole, 8 * n, 1)), n, 0, 0) for n in range(count)]
    if config.engine == "rvm":
        with _torch_step(config, settings, frames) as work:
            yield work
        return
    engine = AutoEngine(settings)
    try:
        engine.open()
        engine.prepare(config.width, config.height)
        yield lambda: [matte.host() for matte in engine.matte_chunk(frames)].clear()
    finally:
        engine.close()


@contextmanager
def _torch_step(config: Config, settings: EngineSettings, frames: list[Frame]) -> Iterator[Work]:
    from rvm_live.core.errors import NoMemoryError
    from rvm_live.engines.common.device_errors import is_out_of_memory
    from rvm_live.engines.rvm.torch.engine import RvmEngine

    engine = RvmEngine(settings)
    try:
        engine.open()
        lane = engine.lane
        with lane.work():
            step = engine.step_for(config.width, config.height, time=config.chunk, batch=config.batch)

        def work() -> None:
            try:
                with lane.work():
                    step(*(lane.upload(frame.image) for frame in frames))
                    lane.finish()
            except RuntimeError as error:
                if is_out_of_memory(error):
                    raise NoMemoryError("out of memory") from error
                raise RvmLiveError(" ".join(str(error).split())[:200]) from error

        yield work
    finally:
        engine.close()
