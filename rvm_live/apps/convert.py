"""One file in, one file out, for programs; built on the batch run."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rvm_live.apps.batch.report import Done
from rvm_live.apps.batch.run import run
from rvm_live.apps.batch.settings import BatchSettings
from rvm_live.apps.report import Ran
from rvm_live.apps.tidy import left_lock
from rvm_live.backgrounds.parse import parse_one
from rvm_live.core import errors
from rvm_live.core.errors import KeptError, RvmLiveError, SettingsError, SinkError, SourceUnavailableError
from rvm_live.core.settings import EngineOptions, EngineSettings
from rvm_live.media.suffixes import CONTAINERS
from rvm_live.system import atomic_write
from rvm_live.system.atomic_write import writing
from rvm_live.system.folders import at_home

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Conversion", "Progress", "convert"]


@dataclass(frozen=True)
class Progress:
    """How far a conversion is; ``str()`` of it is a line for people.

    Attributes:
        frames: done.
        total: frames that the file says it has; None where it says nothing.
        seconds: since the call.
    """

    frames: int
    total: int | None
    seconds: float

    @property
    def fraction(self) -> float | None:
        """Done, 0 to 1; None where the whole is not known."""
        return min(self.frames / self.total, 1.0) if self.total else None

    @property
    def fps(self) -> float:
        """Frames per second so far, the engine's start counted."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0

    def __str__(self) -> str:
        if self.total is None or self.fraction is None or not self.fps:
            return f"{self.frames} frames · {self.fps:.0f} fps"
        left = max(self.total - self.frames, 0) / self.fps
        return f"{100 * self.fraction:.0f} % · {left:.0f} s left · {self.fps:.0f} fps"


@dataclass(frozen=True)
class Conversion:
    """Result of a conversion.

    Attributes:
        output: the file that was written.
        frames: in it.
        seconds: it took.
        notes: one line for each thing that is otherwise than asked, or than in the input.
        ran: what did the work.
    """

    output: Path
    frames: int
    seconds: float
    notes: tuple[str, ...]
    ran: Ran | None


def convert(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    background: str | os.PathLike[str] | None = None,
    *,
    overwrite: bool = False,
    on_progress: Callable[[Progress], object] | None = None,
    codec: str = "auto",
    **options: Unpack[EngineOptions],
) -> Conversion:
    """Cut the people out of a film, with its sound, its subtitles and its time stamps::

        rvm_live.convert("clip.mp4", "cut.mov", on_progress=print)

    Only ``output`` is written, completely or not at all; meanwhile there is a hidden folder beside it. Ctrl-C ends it
    with ``KeyboardInterrupt``, and nothing is left. (What a kill leaves is removed by ``rvm-live tidy``.)

    Args:
        source: a film or anything that is read like one, or a still picture.
        output: its suffix tells the container: ``.mov`` (ProRes 4444), ``.mkv`` (FFV1), ``.webm`` (VP9) or ``.mp4``
            (H.264), of a still ``.png`` or ``.tiff``; its folder must be there.
        background: as ``--background`` takes it. None: transparent; ``.mp4`` keeps no alpha and needs one.
        overwrite: replace a file that is there.
        on_progress: called in this thread, four times a second at most and once at the end.
        codec: one that the container takes with what is in it: ``prores``, ``ffv1``, ``vp9``, ``h264``, ``hevc``,
            ``av1``; ``auto``: as above.
        options: as for :func:`rvm_live.open_engine`.

    Raises:
        SettingsError: an option is out of range or unknown, or the container does not keep what is asked for.
        KeptError: ``output`` is there, and ``overwrite`` was not said, or it is the source itself.
        SourceUnavailableError: the source is not there, or no film that can be read.
        SinkError: the output cannot be written.
        RvmLiveError: whatever else failed.
    """
    began = time.monotonic()
    into, what = _path(output, "the output"), _path(source, "the source")
    backdrop = "transparent" if background is None else os.fspath(background)
    settings = BatchSettings(
        inputs=(str(what),),
        output=into,
        engine=EngineSettings.of(options),
        background=backdrop,
        codec=codec,
        published=True,
    )
    if into.suffix.lower() not in CONTAINERS:
        raise SettingsError(f"the suffix of {into.name} does not name a format: choose from {', '.join(CONTAINERS)}")
    parse_one(backdrop)
    if not what.is_file():
        raise SourceUnavailableError(f"{what} is not a file" if what.exists() else f"there is no file {what}")
    _check_free(what, into, overwrite)

    def tell(frames: int, total: int | None) -> None:
        if on_progress is not None:
            on_progress(Progress(frames, total, time.monotonic() - began))

    with _folder_beside(into) as folder:
        done = _worked_off(replace(settings, output=folder / into.name), tell)
        _check_free(what, into, overwrite)
        with writing(into):
            atomic_write.replace(done.outputs[0], into)
    tell(done.frames, done.frames)
    return Conversion(into, done.frames, time.monotonic() - began, done.notes, done.ran)


def _path(value: object, what: str) -> Path:
    if not isinstance(value, str | os.PathLike) or not os.fspath(value) or "\0" in str(value):
        raise SettingsError(f"{what} {value!r} is not a path")
    return at_home(Path(value))


def _check_free(source: Path, into: Path, overwrite: bool) -> None:
    """Refuse to replace something else.

    Raises:
        KeptError: a file is there.
        SinkError: it cannot be a file.
    """
    if into.is_dir():
        raise SinkError(f"{into} is a folder: name a file in it")
    if not into.parent.is_dir():
        raise SinkError(f"cannot write {into}: there is no folder {into.parent}")
    with writing(into):
        atomic_write.refuse_special(into)
    if into.exists() and into.samefile(source):
        raise KeptError(f"{into} is the source itself: choose another output")
    if os.path.lexists(into) and not overwrite:
        raise KeptError(f"{into} exists: pass overwrite=True to replace it, or choose another output")


@contextmanager
def _folder_beside(path: Path) -> Iterator[Path]:
    """A hidden folder on the same disk, gone with all that is in it when the block ends; ours while it is there."""
    with writing(path):
        folder = tempfile.TemporaryDirectory(prefix=".rvm-live-", suffix=".part", dir=path.parent)
    with folder, left_lock(Path(folder.name)):
        yield Path(folder.name)


def _worked_off(settings: BatchSettings, tell: Callable[[int, int | None], None]) -> Done:
    """The one file of a batch run.

    Raises:
        RvmLiveError: it failed; of the kind that it failed of.
        BaseException: what ``tell`` raised.
    """
    told: list[BaseException] = []

    def hear(event: Mapping[str, Any]) -> None:
        if event["event"] == "progress":
            try:
                tell(event["frames"], event["of"])
            except BaseException as error:
                told.append(error)
                raise

    (done,) = run(settings, tell=hear, signals=False).files
    if told:
        raise told[0]
    if done.state != "done":
        raise getattr(errors, done.kind, RvmLiveError)(done.error)
    return done
