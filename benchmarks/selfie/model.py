"""MediaPipe's selfie segmentation, which webcam programs use on CPUs today, as a subject to compare with.

It runs in a process of its own, if need be with another Python: 0.10.21, the last version that contains the models,
needs an older NumPy than this program, and does not exist for Python 3.13. That version opens no connection (newer
versions have code that reports usage, and no model in the package).
"""

from __future__ import annotations

import json
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rvm_live.core.errors import EngineError, UnavailableError
from rvm_live.core.frames import Frame

__all__ = ["HOW", "Selfie"]

HOW = "pip install mediapipe==0.10.21 in an environment of its own, Python 3.9 to 3.12; name it: --mediapipe-python"
_WORKER = Path(__file__).with_name("worker.py")


class Selfie:
    """One of the two models, running in its process.

    Args:
        python: a Python interpreter that has MediaPipe.
        landscape: use the model for wide pictures, else the general one.
        width: of the frames, pixels.
        height: of the frames, pixels.

    Attributes:
        name: version and model that run.

    Raises:
        UnavailableError: MediaPipe is not installed there, or has no model.
    """

    def __init__(self, python: str, *, landscape: bool, width: int, height: int) -> None:
        command = [python, str(_WORKER), str(int(landscape)), str(width), str(height)]
        self._size = (height, width)
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except OSError as error:
            raise UnavailableError(f"cannot start {python}: {error.strerror or error}") from error
        line = self._pipe("stdout").readline()
        told: dict[str, str] = json.loads(line) if line else {"error": "ended before it began"}
        if "error" in told:
            self.close()
            raise UnavailableError(f"{told['error']} ({HOW})")
        self.name = f"MediaPipe {told['version']} ({told['model']})"

    def matte(self, frame: Frame) -> tuple[float, NDArray[np.uint8]]:
        """Milliseconds from the BGR picture to 8-bit alpha at full size, and that alpha, uint8 (H, W).

        Raises:
            EngineError: its process died.
        """
        height, width = self._size
        try:
            self._pipe("stdin").write(frame.image.tobytes())
            self._pipe("stdin").flush()
            block = self._pipe("stdout").read(8 + height * width)
        except OSError as error:
            raise EngineError(f"MediaPipe's process ended: {error}") from error
        if len(block) < 8 + height * width:
            raise EngineError("MediaPipe's process ended in the middle of a frame")
        alpha = np.frombuffer(block, np.uint8, offset=8).reshape(height, width)
        return int.from_bytes(block[:8], "little") / 1e6, alpha

    def _pipe(self, which: str) -> Any:
        return getattr(self._process, which)

    def close(self) -> None:
        """End its process."""
        for which in ("stdin", "stdout"):
            with suppress(BrokenPipeError):  # it died before all was written
                self._pipe(which).close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
