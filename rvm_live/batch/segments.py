"""What of a file is done already: segments of some seconds, each whole, in a hidden folder beside the output.

A segment counts when its record is there, which is written last. Beside the newest record lies the engine's recurrent
state after it, so that a run that was killed goes on as if it had never stopped.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from rvm_live.batch.media import count_frames
from rvm_live.engines.base import States
from rvm_live.errors import RvmLiveError, SinkError
from rvm_live.sinks.snapshot import explain, write_whole

__all__ = ["Segments"]

_ABOUT = "about.json"


class Segments:
    """The segments of one input's outputs. Used by the tracks' threads and by the matting thread.

    Args:
        folder: where they lie.
        tracks: names of what is written.
        length: frames of a segment.
        about: what they depend on; segments made of something else are of no use.

    Attributes:
        pts: time stamps of the frames in whole segments, in the units of the input.
        note: why segments that were there are not used; empty otherwise.
    """

    def __init__(self, folder: Path, tracks: Sequence[str], length: int, about: dict[str, Any]) -> None:
        self.folder, self.length = folder, length
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
        """Find what is whole, or clear away what is there.

        Raises:
            SinkError: the folder cannot be made or read.
        """
        try:
            if resume and self.folder.is_dir():
                self._find()
            if not self.pts:
                shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True, exist_ok=True)
            write_whole(self.folder / _ABOUT, json.dumps(self._about).encode())
        except OSError as error:
            raise explain(error, self.folder) from error

    def _find(self) -> None:
        about = self._read(_ABOUT)
        if about is None:
            return
        if about != self._about:
            self.note = "begun anew: what was left of an earlier run was made of another file or with other settings"
            return
        while (record := self._read(_record(len(self.pts)))) is not None:
            stamps = record["pts"]
            # The end of a file may be shorter; whether it was the end is found out by doing it again.
            if len(stamps) != self.length or not self._whole(len(self.pts), len(stamps)):
                break
            self.pts.append(stamps)

    def _read(self, name: str) -> Any:
        try:
            return json.loads((self.folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def _whole(self, number: int, frames: int) -> bool:
        """Whether a segment's files hold what its record says."""
        for track in self._tracks:
            files = sorted(self.folder.glob(f"{track}-{number:05d}.*"))
            if not files:  # pictures: every one is whole
                first = number * self.length
                files = [*(self.folder / track).glob("*.*")]
                names = {int(each.stem) for each in files if each.stem.isdigit()}
                if not names.issuperset(range(first, first + frames)):
                    return False
                continue
            try:
                if count_frames(files[0]) != frames:
                    return False
            except RvmLiveError:
                return False
        return True

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
            write_whole(self.folder / _record(number), json.dumps({"pts": pts}).encode())
            self.pts.append(pts)
            for file in self.folder.glob("state-*.npz"):
                if int(file.stem.removeprefix("state-")) <= number:
                    file.unlink(missing_ok=True)

    def keep(self, number: int, states: States) -> None:
        """Remember the engine's state before the first frame of a segment.

        Raises:
            SinkError: it cannot be written.
        """
        path = self.folder / f"state-{number:05d}.npz"
        part = path.with_suffix(".part")
        try:
            with part.open("wb") as file:
                np.savez(file, *states)
            os.replace(part, path)
        except OSError as error:
            raise explain(error, path) from error

    def states(self) -> States | None:
        """The engine's state before the first frame that is not done; None where nothing is known of it."""
        try:
            with np.load(self.folder / f"state-{len(self.pts):05d}.npz", allow_pickle=False) as file:
                return [file[name] for name in sorted(file.files, key=lambda name: int(name.removeprefix("arr_")))]
        except (OSError, ValueError, KeyError):
            return None

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
