"""``cv2.VideoCapture`` with stamps taken at the right moment and a release that is safe from any thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live.core.clock import Clock
from rvm_live.core.errors import SourceUnavailableError
from rvm_live.sources.base import Grab
from rvm_live.sources.camera.layouts import UnknownLayoutError, as_bgr
from rvm_live.sources.driver_thread import DriverThread
from rvm_live.sources.release_guard import ReleaseGuard

__all__ = ["OPEN_LIMIT_S", "SILENT_S", "Capture"]

T = TypeVar("T")

OPEN_LIMIT_S = 30.0
"""Seconds that a device or stream may take to open."""
SILENT_S = 5.0
"""Seconds without a picture, or an answer, after which a device counts as lost."""
_MEANWHILE_S = 1.0
_IDLE_NS = 100_000_000
_WAITED_NS = 10_000_000
_SKIP_NS = 1_000_000_000


class Capture:
    """One ``cv2.VideoCapture``, opened and read by one thread, released by any.

    The library is called on a thread of its own (:class:`~rvm_live.sources.driver_thread.DriverThread`), so that a
    release ends a wait at once, however long the driver sleeps; the device is freed when the driver wakes up.

    Args:
        clock: monotonic time, for the frames' stamps.

    Attributes:
        label: its name in messages.
    """

    def __init__(self, clock: Clock) -> None:
        self.label = "the device"
        self._told: tuple[tuple[int, int], str] | None = None
        self._clock = clock
        self._capture = cv2.VideoCapture()
        self._returned_ns: int | None = None
        self._driver = DriverThread("device")
        self.guard = ReleaseGuard(self._free)

    def open(
        self,
        target: int | str,
        backend: int,
        parameters: dict[int, float],
        meanwhile: Callable[[], None] = lambda: None,
    ) -> bool:
        """Open a device or URL; the parameters are set while opening.

        Args:
            target: number of a device, or a URL.
            backend: one of OpenCV's.
            parameters: OpenCV's property -> value.
            meanwhile: called once if that takes longer than a second; what it raises ends the wait.

        Raises:
            EndOfSource: released meanwhile.
            TimeoutError: it takes longer than :data:`OPEN_LIMIT_S`.
        """
        flat = [round(value) for pair in parameters.items() for value in pair]
        began_ns, asked = self._clock.now_ns(), False

        def check() -> None:
            nonlocal asked
            self.guard.check()
            if not asked and (self._clock.now_ns() - began_ns) / 1e9 > _MEANWHILE_S:
                asked = True
                meanwhile()

        def opened() -> bool:
            with self.guard:
                try:
                    return bool(self._capture.open(target, backend, flat))
                except cv2.error:
                    return False

        return self._driver.call(opened, check, OPEN_LIMIT_S)

    def grab(self) -> Grab | None:
        """Wait for the next picture; None if there is none, or no answer in :data:`SILENT_S`.

        After a pause, pictures that piled up in the driver or on the wire meanwhile are thrown away: they would be
        stamped as fresh, but are old.

        Raises:
            EndOfSource: released.
            SourceUnavailableError: its pictures cannot be read.
        """
        try:
            return self._driver.call(self._grabbed, self.guard.check, SILENT_S)
        except TimeoutError:
            return None

    def _grabbed(self) -> Grab | None:
        with self.guard:
            if not self._grab_fresh():
                return None
            # grab() waits for the buffer, retrieve() decodes it: the time between the two is the capture time.
            captured_ns = self._clock.now_ns()
            done, image = self._capture.retrieve()
            self._returned_ns = self._clock.now_ns()
        if not done or image is None or image.size == 0:
            return None
        return Grab(self._picture(image), captured_ns)

    def _picture(self, image: Any) -> NDArray[np.uint8]:
        if image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3:
            return np.ascontiguousarray(image)
        if self._told is None:  # read once: it does not change while pictures come
            wide, high = (self._capture.get(what) for what in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
            self._told = (max(0, round(wide)), max(0, round(high))), _text(self._capture.get(cv2.CAP_PROP_FOURCC))
        try:
            return as_bgr(image, *self._told)
        except UnknownLayoutError as error:
            raise SourceUnavailableError(f"{self.label} {error}") from None

    def _grab_fresh(self) -> bool:
        began_ns = self._clock.now_ns()
        if self._returned_ns is None or began_ns - self._returned_ns < _IDLE_NS:
            return bool(self._capture.grab())
        # A picture that has to be waited for is new; one that is there at once is old.
        now_ns = began_ns
        while True:
            asked_ns = now_ns
            if not self._capture.grab():
                return False
            now_ns = self._clock.now_ns()
            if now_ns - asked_ns >= _WAITED_NS or now_ns - began_ns >= _SKIP_NS:
                return True
            self.guard.check()

    def get(self, what: int) -> float:
        """A property as the library gives it; 0.0 or -1.0 if it does not know."""
        return self._asked(lambda: float(self._capture.get(what)), 0.0)

    def set(self, what: int, value: float) -> bool:
        """Set a property; only the pictures show whether it worked."""
        return self._asked(lambda: bool(self._capture.set(what, value)), False)

    def _asked(self, function: Callable[[], T], silence: T) -> T:
        def call() -> T:
            with self.guard:
                return function()

        try:
            return self._driver.call(call, self.guard.check, SILENT_S)
        except TimeoutError:
            return silence

    @property
    def backend(self) -> str:
        """Name of the library's back end, e.g. ``V4L2``."""
        try:
            return str(self._capture.getBackendName())
        except cv2.error:
            return ""

    def fourcc(self) -> str:
        """The pixel format in use, four characters, or an empty string."""
        return _text(self.get(cv2.CAP_PROP_FOURCC))

    def fps(self) -> float:
        """The library's frame rate; 0.0 if it is not plausible."""
        told = self.get(cv2.CAP_PROP_FPS)
        return told if 0.5 <= told <= 1000 else 0.0

    def release(self) -> None:
        """Free the device, now or when its driver answers, and end every wait."""
        self.guard.release()
        self._driver.end()

    def _free(self) -> Any:
        self._capture.release()


def _text(fourcc: float) -> str:
    code = int(fourcc)
    text = "".join(chr(code >> shift & 0xFF) for shift in (0, 8, 16, 24)) if code > 0 else ""
    return text if text.isascii() and text.isprintable() else ""
