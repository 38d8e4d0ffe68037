"""The whole probe, in order: cameras, the source, its modes, the machine, the advice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rvm_live.apps.hwtest.report import Advice, Attempt, CameraName, HwTestReport, ModeResult, SourceReport
from rvm_live.core.errors import SettingsError, SourceError
from rvm_live.core.settings import EngineSettings, SourceSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["DEFAULT_SECONDS", "HwTestSettings", "run"]

DEFAULT_SECONDS = 5.0
Tell = Callable[[str], None]


@dataclass(frozen=True)
class HwTestSettings:
    """What to probe.

    Attributes:
        source: which source, and what to ask of a camera. ``auto``: the first camera that delivers, never the demo.
        engine: weights and device for the measuring part.
        seconds: to measure the source; None: 5, or as long as the preview is open.
        preview: show what comes in a window.
        quick: leave out the camera's modes and the timing of the engine.
    """

    source: SourceSettings = field(default_factory=SourceSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)
    seconds: float | None = None
    preview: bool = False
    quick: bool = False

    def __post_init__(self) -> None:
        if self.seconds is not None and not 0.2 <= self.seconds <= 3600:
            raise SettingsError(f"seconds {self.seconds:g} is out of range: it must be between 0.2 and 3600")


def run(settings: HwTestSettings, tell: Tell = lambda _: None) -> HwTestReport:
    """Probe, measure and report. Opens windows only for a preview; downloads nothing.

    Args:
        settings: what to probe.
        tell: is told what is being done, one line at a time.

    Raises:
        SettingsError: no source is called so.
        SourceUnavailableError: the file that was named is missing or holds no picture.
        WeightsError: the weights that were named are not there.
        UnavailableError: the device that was asked for is not there.
        DisplayError: a preview was asked for, and there is no display.
    """
    from rvm_live.apps.hwtest.machine import inspect_machine
    from rvm_live.sources.camera.camera import list_cameras

    _check(settings)
    tell("looking for cameras")
    cameras = tuple(CameraName(camera.index, camera.name, camera.path) for camera in list_cameras())
    attempts, source, pictures = _first_source(settings, cameras, tell)
    modes: tuple[ModeResult, ...] = ()
    if source is not None and source.kind == "camera" and not settings.quick:
        modes = _modes(settings, attempts, cameras, tell)
    machine = inspect_machine(settings.engine, tell)
    advice = Advice(note="not measured: left out with --quick")
    if not settings.quick:
        from rvm_live.apps.hwtest.advice import advise

        fast = any(device.startswith("cuda") for device in machine.torch.devices) and settings.engine.device != "cpu"
        name = settings.source.source
        advice = advise(settings.engine, pictures, source, modes, fast=fast, name=name, tell=tell)
    return HwTestReport(cameras, tuple(attempts), source, modes, machine, advice)


def _check(settings: HwTestSettings) -> None:
    """Refuse what cannot work before anything is opened."""
    from rvm_live.engines.common.device import choose_device
    from rvm_live.weights import locate

    if settings.engine.weights is not None:
        locate(settings.engine)
    choose_device(settings.engine.device)


def _candidates(settings: HwTestSettings, cameras: tuple[CameraName, ...]) -> list[SourceSettings]:
    if settings.source.source != "auto":
        # A file is looped, so that a short one can be measured as long as any.
        return [replace(settings.source, loop=True)]
    from rvm_live.sources.camera.camera import unlisted_cameras

    # The first camera is worth a try even if the system lists none: drivers have been wrong before.
    found = [camera.index for camera in cameras] or [camera.index for camera in unlisted_cameras()] or [0]
    return [replace(settings.source, source=str(index)) for index in found]


def _first_source(
    settings: HwTestSettings, cameras: tuple[CameraName, ...], tell: Tell
) -> tuple[list[Attempt], SourceReport | None, list[NDArray[np.uint8]]]:
    """Measure the first source that delivers."""
    from rvm_live.apps.hwtest.preview import Preview
    from rvm_live.apps.hwtest.probe import Probe
    from rvm_live.sources.camera.camera import CameraSource
    from rvm_live.sources.factory import open_source

    preview = Preview() if settings.preview else None
    seconds = settings.seconds
    if seconds is None and preview is None:
        seconds = DEFAULT_SECONDS
    attempts: list[Attempt] = []
    try:
        for asked in _candidates(settings, cameras):
            source = open_source(asked)
            name = f"camera {asked.source}" if isinstance(source, CameraSource) else asked.source
            tell(f"measuring {name}")
            probe = Probe(source, asked, seconds, watch=preview)
            try:
                return attempts, probe.run(), probe.pictures
            except SourceError as error:
                unknown = isinstance(source, CameraSource) and source.camera is None
                if unknown or source.on_demand:  # no camera of that name, or a bad file: invalid input
                    raise
                attempts.append(Attempt(name, str(error)))
    finally:
        if preview is not None:
            preview.close()
    return attempts, None, []


def _modes(
    settings: HwTestSettings, attempts: list[Attempt], cameras: tuple[CameraName, ...], tell: Tell
) -> tuple[ModeResult, ...]:
    from rvm_live.apps.hwtest.modes import measure_modes
    from rvm_live.sources.factory import open_source

    # The candidate that delivered pictures follows those that failed.
    chosen = _candidates(settings, cameras)[len(attempts)]
    seconds = min(1.0, (settings.seconds or DEFAULT_SECONDS) / 4)
    return measure_modes(chosen, open_source, seconds, tell=tell)
