"""The simplest calls for programs: one picture, one stream."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rvm_live.apps.assembly import Assembly, failover, reconnecting
from rvm_live.backgrounds.parse import parse_one
from rvm_live.core.errors import SettingsError, SourceUnavailableError
from rvm_live.core.frames import Composite
from rvm_live.core.notices import Notices
from rvm_live.core.queues import Overflow
from rvm_live.core.settings import EngineOptions, EngineSettings, SourceSettings
from rvm_live.core.validation import check_has
from rvm_live.engines.session import open_engine
from rvm_live.media.image_files import UnfitPicture, read_encoded
from rvm_live.media.stills import decode
from rvm_live.sources.base import Source
from rvm_live.system.folders import at_home

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["cut_out", "read_picture", "stream"]


def cut_out(image: NDArray[Any] | str | os.PathLike[str], **options: Unpack[EngineOptions]) -> NDArray[np.uint8]:
    """Cut the people out of one still picture.

    It opens an engine and closes it again, which takes seconds: for many pictures open one with
    :func:`rvm_live.open_engine`, and call ``composite()`` and ``reset()`` for each.

    Args:
        image: uint8 (H, W, 3) BGR, or the path of a picture, which is rotated as its EXIF says.
        options: as for :func:`rvm_live.open_engine`.

    Returns:
        uint8 (H, W, 4) BGRA with straight alpha (colour not multiplied by it); colour is 0 where alpha is 0.

    Raises:
        SettingsError: the picture or an option is not as described.
        SourceUnavailableError: the file is not there, or no picture that can be read.
        WeightsError: the weights are missing or unusable.
        UnavailableError: the device is not there, or no engine works here.
        EngineError: the estimate failed.
    """
    picture = image if isinstance(image, np.ndarray) else read_picture(image)
    with open_engine(**options) as session:
        return session.composite(picture)


def stream(
    source: int | str | os.PathLike[str] | Source = "auto",
    background: str | os.PathLike[str] = "transparent",
    *,
    width: int | None = None,
    height: int | None = None,
    fps: float = 60.0,
    mirror: bool = False,
    notices: Notices | None = None,
    **options: Unpack[EngineOptions],
) -> Iterator[Composite]:
    """Cut the people out of a camera, a stream or a file, frame after frame::

        for frame in rvm_live.stream(0, background="beach.jpg"):
            frame.image, frame.alpha

    Capturing, matting and compositing run beside the loop, each in its own thread. A camera or a URL gives
    the newest frame, and frames that a slow loop does not take are dropped; a lost source is opened again. Of a file
    all frames come, as fast as they are taken. Nothing is opened before the first frame is asked for; everything is
    closed when the loop ends, also by ``break`` or an error in it. (If you keep the iterator, call its ``close()``.)

    Args:
        source: as ``--source`` takes it: a camera's number or name, a file, an address, ``demo``, ``auto`` (the first
            camera, else the demo); or a :class:`~rvm_live.sources.base.Source`, whose ``on_demand`` tells whether it
            waits like a file.
        background: as ``--background`` takes it: a picture or film, ``blur``, ``color:#00ff88``, ``transparent``, ...
        width: pixels that a camera is asked for; a file is scaled to fit inside. None: 1280 for a camera, a file's own
            width.
        height: likewise; None: 720.
        fps: frames per second that a camera is asked for.
        mirror: flip left and right.
        notices: list for everything that runs differently from what was asked; None: only the log ``rvm_live``.
        options: as for :func:`rvm_live.open_engine`; without a ratio a live source gets what the machine has time for.

    Yields:
        :class:`~rvm_live.core.frames.Composite`: ``image`` uint8 (H, W, 3) BGR, or (H, W, 4) BGRA with straight
        alpha over a transparent background; ``alpha`` uint8 (H, W); ``foreground`` uint8 (H, W, 3) BGR;
        ``frame.image`` as captured.

    Raises:
        SettingsError: at once: something is out of range or unknown.
        SourceUnavailableError, BackgroundError, WeightsError: at once where a file is not there; else in the loop.
        RvmLiveError: in the loop: the source, the engine or the background failed.
    """
    told = Notices() if notices is None else notices
    found = _source(source, width, height, fps, told)
    overflow = Overflow.BLOCK if found.on_demand else Overflow.DROP_OLDEST
    live = overflow is Overflow.DROP_OLDEST
    asked = EngineSettings.of(options)
    backdrop = parse_one(_text(background, "the background"))
    parts = Assembly(found, failover(asked, told, live=live), [backdrop], overflow=overflow, notices=told)
    return parts.pipeline(adaptive_fps=fps, mirror=mirror).composites()


def read_picture(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """A picture as it is to be seen: uint8 (H, W, 3) BGR.

    Raises:
        SettingsError: ``path`` is not a path.
        SourceUnavailableError: it is not there, or no picture that can be read.
    """
    file = at_home(Path(_text(path, "the picture")))
    try:
        return decode(read_encoded(file)).image
    except FileNotFoundError:
        raise SourceUnavailableError(f"there is no picture {file}") from None
    except (OSError, ValueError) as error:
        raise SourceUnavailableError(f"cannot read {file}: {getattr(error, 'strerror', None) or error}") from error
    except UnfitPicture as error:
        raise SourceUnavailableError(f"the picture {file} {error}") from error


def _source(source: object, width: int | None, height: int | None, fps: float, notices: Notices) -> Source:
    if isinstance(source, int) and not isinstance(source, bool):
        source = str(source)
    if not isinstance(source, str | os.PathLike):
        check_has(source, "the source", "a camera's number, a name, or an rvm_live.Source", ("open", "read", "release"))
        return source  # type: ignore[return-value]
    wanted = SourceSettings(_text(source, "the source"), width, height, fps, realtime=False)
    return reconnecting(wanted, notices)


def _text(value: object, what: str) -> str:
    if not isinstance(value, str | os.PathLike):
        raise SettingsError(f"{what} is of type {type(value).__name__}: it must be a name or a path")
    return os.fspath(value)
