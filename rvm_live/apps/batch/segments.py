"""The finished part of a file: complete segments of some seconds, in a hidden folder beside the output.

A segment is complete if it has a record, which is written last, once the segment is on the disk. The engine's recurrent
state is stored beside the newest two records, so that a killed run continues as if it had never stopped; if the newer
state is damaged, from the older one.
"""

from __future__ import annotations

import io
import json
import shutil
import threading
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rvm_live.apps.batch.media import count_frames
from rvm_live.core.errors import RvmLiveError, SinkError
from rvm_live.system import atomic_write
from rvm_live.system.atomic_write import write_whole, writing

__all__ = ["Segments"]

_ABOUT = "about.json"
_ENGINE = "state"


class Segments:
    """The segments of one input's outputs. Used by the tracks' threads and by the matting thread.

    Args:
        folder: where they lie.
        tracks: names of what is written.
        length: frames of a segment.
        about: what they depend on; other segments cannot be used.
        needs: kinds of state that resuming needs; that of an engine, ``state``, may be missing.

    Attributes:
        pts: time stamps of the frames in whole segments, in the units of the input.
        note: why segments that were there are not used; empty otherwise.
    """

    def __init__(
        self, folder: Path, tracks: Sequence[str], length: int, about: dict[str, Any], needs: Sequence[str] = ()
    ) -> None:
        self.folder, self.length = folder, length
        self._needs = tuple(needs)
        self.pts: list[list[int]] = []
        self.note = ""
        self._tracks = tuple(tracks)
        self._about = json.loads(json.dumps(about))
        self._waiting: dict[int, set[str]] = {}
        self._lock = threading.Lock()

    @property
    def start(self) -> int:
        """The first frame that is not in a whole segment."""
        return sum(map(len, self.pts))

    def begin(self, *, resume: bool) -> None:
        """Find the complete segments, or remove unusable ones.

        Raises:
            SinkError: the folder cannot be made or read.
        """
        with writing(self.folder):
            if resume and self.folder.is_dir():
                self._find()
            if self.pts:
                for path in self.folder.glob("*.json"):  # states of segments that are made again
                    if path.stem.isdigit() and int(path.stem) >= len(self.pts):
                        path.unlink()
            else:
                shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True, exist_ok=True)
            write_whole(self.folder / _ABOUT, json.dumps(self._about).encode(), durable=True)

    @property
    def ours(self) -> bool:
        """Whether an earlier run's segments were made from the same file with the same settings."""
        return bool(self._read(_ABOUT) == self._about)

    def _find(self) -> None:
        if not self.ours:
            if (self.folder / _ABOUT).exists():
                known = self._read(_ABOUT) is not None
                why = "was made from another file or with other settings" if known else "is damaged"
                self.note = f"started again: the rest of an earlier run {why}"
            return
        while (stamps := self._stamps(len(self.pts))) is not None:
            # The last segment may be shorter; whether this was the last one is found out by making it again.
            if len(stamps) != self.length:
                break
            if not self._whole(len(self.pts), len(stamps)):
                self._tell("pictures are")
                break
            self.pts.append(stamps)
        engine = self._state_path(_ENGINE, len(self.pts)).exists()  # otherwise the engine stores no state
        kinds = (*self._needs, *([_ENGINE] if engine else []))
        while self.pts and any(self.states(kind) is None for kind in kinds):
            self.pts.pop()
            self._tell("recurrent state is")

    def _tell(self, what: str) -> None:
        self.note = f"segment {len(self.pts) + 1} of an earlier run is made again: its {what} damaged"

    def _stamps(self, number: int) -> list[int] | None:
        """A segment's time stamps, increasing; None where it has no record that can be used."""
        record = self._read(_record(number))
        stamps = record.get("pts") if isinstance(record, dict) else None
        if (
            isinstance(stamps, list)
            and all(type(each) is int for each in stamps)
            and all(one < other for one, other in pairwise(stamps))
        ):
            return stamps
        if (self.folder / _record(number)).exists():
            self._tell("record is")
        return None

    def _read(self, name: str) -> Any:
        try:
            return json.loads((self.folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None

    def _whole(self, number: int, frames: int) -> bool:
        """Whether a segment's files hold what its record says."""
        for track in self._tracks:
            files = self._files(track, number, frames)
            if files[0].parent == self.folder:
                try:
                    if count_frames(files[0]) != frames:
                        return False
                except RvmLiveError:
                    return False
            elif not all(path.is_file() and path.stat().st_size for path in files):
                return False
        return True

    def _files(self, track: str, number: int, frames: int) -> list[Path]:
        """The files of a segment of a track: one film, or its pictures."""
        films = sorted(self.folder.glob(f"{track}-{number:05d}.*"))
        if films:
            return films[:1]
        suffix = next((path.suffix for path in (self.folder / track).glob("*.*")), "")
        first = number * self.length
        return [self.folder / track / f"{each:06d}{suffix}" for each in range(first, first + frames)]

    def path(self, track: str, number: int, suffix: str) -> Path:
        """Where a segment of a track is written."""
        return self.folder / f"{track}-{number:05d}{suffix}"

    def done(self, track: str, number: int, pts: list[int]) -> None:
        """A track has completed a segment; when all have, it is whole.

        Raises:
            SinkError: the record cannot be written.
        """
        with self._lock:
            there = self._waiting.setdefault(number, set())
            there.add(track)
            if len(there) < len(self._tracks):
                return
            del self._waiting[number]
            with writing(self.folder):
                for each in self._tracks:
                    files = self._files(each, number, len(pts))
                    for path in filter(Path.exists, (*files, files[0].parent)):
                        atomic_write.flush(path)
            write_whole(self.folder / _record(number), json.dumps({"pts": pts}).encode(), durable=True)
            self.pts.append(pts)
            for kind in (_ENGINE, *self._needs):
                for file in self.folder.glob(f"{kind}-*.npz"):
                    if int(file.stem.removeprefix(f"{kind}-")) < number:
                        file.unlink(missing_ok=True)

    def keep(self, number: int, states: Sequence[NDArray[Any]], kind: str = _ENGINE) -> None:
        """Remember a state before the first frame of a segment, or the frames that lead there.

        Raises:
            SinkError: it cannot be written.
        """
        data = io.BytesIO()
        np.savez(data, *states)
        write_whole(self._state_path(kind, number), data.getvalue(), durable=True)

    def states(self, kind: str = _ENGINE) -> list[NDArray[Any]] | None:
        """The state before the first frame that is not done; None if it is unknown."""
        try:
            data = io.BytesIO(self._state_path(kind, len(self.pts)).read_bytes())
            with np.load(data, allow_pickle=False) as file:
                return [file[name] for name in sorted(file.files, key=lambda name: int(name.removeprefix("arr_")))]
        except Exception:  # a damaged archive may make its readers raise anything
            return None

    def _state_path(self, kind: str, number: int) -> Path:
        return self.folder / f"{kind}-{number:05d}.npz"

    def end(self, *, keep: bool) -> None:
        """Remove the folder, unless there is something in it worth keeping."""
        if keep and self.pts:
            with suppress(OSError, SinkError):
                for number in self._waiting:
                    for track in self._tracks:
                        for file in self.folder.glob(f"{track}-{number:05d}.*"):
                            file.unlink(missing_ok=True)
            return
        shutil.rmtree(self.folder, ignore_errors=True)


def _record(number: int) -> str:
    return f"{number:05d}.json"
