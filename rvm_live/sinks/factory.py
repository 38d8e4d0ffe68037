"""Makes a recorder from a path, and a plug-in's sink from its name."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.errors import SettingsError, SinkError
from rvm_live.core.queues import Overflow
from rvm_live.core.registry import SINKS
from rvm_live.sinks.base import Sink
from rvm_live.sinks.recording.recorder import Recorder
from rvm_live.sinks.recording.unfinished import part_path, place_lock
from rvm_live.sinks.recording.video_file import SUFFIXES, VideoFile
from rvm_live.sinks.recording.writers import PngSequence
from rvm_live.system import atomic_write
from rvm_live.system.atomic_write import explain
from rvm_live.weights import consent

if TYPE_CHECKING:
    from rvm_live.sinks.recording.listening import Listener

__all__ = ["check_recording_path", "open_recorder", "open_sink"]


def _is_folder(path: str | Path) -> bool:
    text = os.fspath(path)
    return text.endswith(("/", os.sep)) or (Path(text).suffix.lower() not in SUFFIXES and Path(text).is_dir())


def check_recording_path(path: str | Path, *, sound: bool = False) -> None:
    """Check, before anything starts, whether a recording can be written; leaves nothing behind.

    Args:
        path: a file with a known suffix, or a folder: one that exists, or a path that ends in a slash.
        sound: there is to be sound in it.

    Raises:
        SettingsError: the suffix is not known.
        SinkError: nothing can be written there, or another run records there; the message says why.
    """
    target = Path(path)
    if isinstance(path, str) and not path.strip():
        raise SettingsError("the recording's path is empty")
    folder = _is_folder(path)
    if folder and sound:
        raise SettingsError("a folder of PNGs cannot store sound: leave out --audio, or record to a .mp4 file")
    if folder:
        place = target
        while not place.exists() and place != place.parent:
            place = place.parent
        if not place.is_dir():
            raise SinkError(f"cannot record into {target}: {place} is not a folder")
        probe = place / ".rvm-live.part"
    else:
        if target.suffix.lower() not in SUFFIXES:
            known = ", ".join(SUFFIXES)
            raise SettingsError(
                f"cannot record {target}: unknown suffix {target.suffix!r}; use {known}, or a folder (ending in /) "
                "for a PNG sequence"
            )
        if target.is_dir():
            raise SinkError(f"cannot record {target}: it is a folder; add a file name, or a / for a PNG sequence")
        if not target.parent.exists():
            raise SinkError(f"cannot record {target}: the folder {target.parent} does not exist")
        if not target.parent.is_dir():
            raise SinkError(f"cannot record {target}: {target.parent} is not a folder")
        probe = part_path(target).with_suffix(".probe")  # the .part file itself may be left over from an earlier run
    try:
        atomic_write.refuse_special(target)
        probe.open("wb").close()
        if not folder or target.is_dir():
            with place_lock(target, folder=folder):
                pass
    except OSError as error:
        raise explain(error, target) from error
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)


def open_recorder(
    path: str,
    *,
    fps: float,
    policy: Overflow,
    background: Callable[[int, int], NDArray[np.uint8]] | None = None,
    on_failure: Callable[[str], None] | None = None,
    listener: Listener | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Recorder:
    """Make a recorder for ``path``; nothing is written before its first composite.

    Args:
        path: ``.mp4``, ``.mkv`` (H.264), ``.mov`` (ProRes 4444) or ``.webm`` (VP9), the last two with alpha where
            the first composite has it; a folder for a PNG sequence.
        fps: nominal frames per second, 0 if unknown.
        policy: what happens when the encoder cannot keep up.
        background: (width, height) -> uint8 (height, width, 3) BGR, the background, used while no picture comes.
        on_failure: called if the recording fails during the run; None: a failure ends the run.
        listener: the microphone to be heard in it, or None; it is opened and closed with the recorder.
        clock: monotonic time.

    Raises:
        SettingsError: the suffix is not known.
        SinkError: nothing can be written there.
    """
    check_recording_path(path, sound=listener is not None)
    target = Path(path)
    writer = PngSequence(target) if _is_folder(path) else VideoFile(target, fps=fps, listener=listener)
    return Recorder(writer, policy=policy, background=background, on_failure=on_failure, listener=listener, clock=clock)


def open_sink(words: str) -> Sink:
    """Make the sink that ``name``, ``package.module:Class``, or either with ``:argument`` behind it names; it stays
    closed.

    Raises:
        SettingsError: there is none, or it cannot be made.
    """
    name, _, argument = words.partition(":")
    if name not in SINKS.builtin:
        name, argument = SINKS.plugged(words) or (words, "")
    sink: Sink = SINKS.make(name, argument)
    if name not in SINKS.builtin:
        consent.warn_of(f"the sink {name}")
    return sink
