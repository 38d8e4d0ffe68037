"""The sink that is a camera for other programs."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from rvm_live.core.arrays import Bytes
from rvm_live.core.clock import SYSTEM_CLOCK, Clock
from rvm_live.core.errors import SinkError
from rvm_live.sinks.base import PictureSink, Shot, Surroundings
from rvm_live.sinks.camera.device import CameraDevice, CameraUnavailableError
from rvm_live.sinks.camera.outputs import devices_for, unseen_because
from rvm_live.sinks.camera.steady_rate import SteadyRate
from rvm_live.sinks.recording.writers import fit_into, over_black

__all__ = ["VirtualCamera"]

FPS = 30.0
_AGAIN_NS = 1_000_000_000
_REMEMBERED = 300
_TAKEN, _TRIES = 3, 60
"""Pictures of the background to be taken by programs at the end, and the most periods to wait for that."""


class VirtualCamera(PictureSink):
    """Feeds the chosen devices at a constant rate; if nothing new comes, the last picture is repeated
    for half a second.

    It sends composites, or only the background: before the first one, when the last one has been shown for too
    long, while nobody may be seen, and at the end. A lost device is opened again, for as long as it takes.

    :meth:`use`, :attr:`on`, :attr:`watched`, :attr:`label` and :attr:`delay_ms` may be used on any thread;
    the rest happens where the sinks live.

    Args:
        words: ``auto``, ``pipewire``, ``v4l2loopback``, ``obs``, or the name of a device, as ``--virtual-camera`` takes
            it.
        size: width and height of the camera, even, pixels; pictures of another size are fitted into it.
        fps: pictures a second.
        on: from the beginning.
        devices: made of ``words`` where None.
        clock: monotonic time.

    Raises:
        SettingsError: there is no such device.
    """

    name = "virtual camera"

    def __init__(
        self,
        words: str = "",
        *,
        size: tuple[int, int] = (1280, 720),
        fps: float = FPS,
        on: bool = True,
        devices: Callable[[], Sequence[CameraDevice]] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.words = words or "auto"
        self.size, self.rate = size, min(fps, FPS)
        self._make = devices or (lambda: devices_for(self.words))
        self._clock = clock
        self._around = Surroundings()
        self._wanted = on
        self._devices: list[CameraDevice] = []
        self._lost: list[CameraDevice] = []
        self._again_ns = 0
        self._watched: bool | None = False
        self._label = ""
        self._steady = SteadyRate(self.rate)
        self._newest: Shot | None = None
        self._made: dict[bool, Bytes] = {}
        self._delays_ms: deque[float] = deque(maxlen=_REMEMBERED)

    def meet(self, around: Surroundings) -> None:
        self._around = around

    @property
    def on(self) -> bool:
        """Whether it is switched on, for other programs."""
        return self._wanted

    def use(self, on: bool) -> None:
        """Switch the camera on or off; takes effect soon."""
        self._wanted = on

    @property
    def watched(self) -> bool | None:
        """Whether any program takes the pictures; None if unknown."""
        return self._watched if self._wanted else False

    @property
    def delay_ms(self) -> float:
        """Age of pictures, from capture, when other programs get them: the median of the last ones,
        milliseconds; 0 before the first one."""
        return statistics.median([*self._delays_ms] or [0.0])

    @property
    def label(self) -> str:
        """Names of the open devices; empty if there are none."""
        return self._label

    # Where the sinks live ------------------------------------------------------------------------------------

    def open(self) -> None:
        if self._wanted:
            self._open()
        self._look()

    def write_picture(self, shot: Shot) -> None:
        self._newest = shot
        self._steady.came(self._clock.now_ns())
        self._made.clear()
        self._turn()

    def idle(self) -> None:
        self._turn()

    def clear(self) -> None:
        self._newest = None
        self._steady.forget()
        self._made.clear()

    def close(self, *, failed: bool) -> None:
        self._shut()
        self._look()

    def _turn(self) -> None:
        wanted = self._wanted
        if wanted != bool(self._devices or self._lost):
            self._follow(wanted)
        for device in [*self._devices]:
            if device.trouble:
                self._lose(device, device.trouble)
        if self._lost:
            self._find_again()
        self._look()
        now_ns = self._clock.now_ns()
        if self._devices and self._steady.due(now_ns):
            new = self._steady.new
            self._steady.sent(now_ns)
            self._send(new)

    def _look(self) -> None:
        """Read the devices' state on their thread, for other threads."""
        seen = [device.watched for device in self._devices]
        self._watched = True if True in seen else None if None in seen else False
        self._label = " and ".join(device.name for device in self._devices)

    def _follow(self, wanted: bool) -> None:
        if not wanted:
            self._shut()
            return
        try:
            self._open()
        except SinkError as error:
            self.use(False)
            self._around.told(str(error))

    def _open(self) -> None:
        """Open all devices that work; a failure only counts if no other one works."""
        refusals = []
        for device in self._make():
            try:
                self._begin(device)
            except CameraUnavailableError as error:
                refusals.append(str(error))
        for device in self._devices:
            if unseen := unseen_because(device):
                self._around.told(str(unseen))
        if not self._devices:
            raise SinkError(f"no virtual camera can be made: {'; '.join(refusals)}")

    def _begin(self, device: CameraDevice) -> None:
        device.open(*self.size, self.rate)
        self._devices.append(device)
        # Some devices become visible to other programs only at the first picture.
        self._attempt(device, self._background(device.clear))

    def _send(self, new: bool) -> None:
        shot = self._newest
        if shot is not None and self._around.private() and not shot.nobody:
            shot = None  # made before privacy was switched on
        for device in [*self._devices]:
            if device.watched is not False:
                self._attempt(
                    device, self._background(device.clear) if shot is None else self._shown(shot, device.clear)
                )
        if shot is not None and new and self.watched is not False:
            self._delays_ms.append((self._clock.now_ns() - shot.captured_ns) / 1e6)

    def _attempt(self, device: CameraDevice, picture: Bytes) -> bool:
        try:
            return device.send(picture)
        except SinkError as error:
            self._lose(device, str(error))
            return False

    def _lose(self, device: CameraDevice, why: str) -> None:
        device.close()
        self._devices.remove(device)
        self._lost.append(device)
        self._again_ns = self._clock.now_ns() + _AGAIN_NS
        self._around.told(f"{why}; trying again until it is back")

    def _find_again(self) -> None:
        if self._clock.now_ns() < self._again_ns:
            return
        self._again_ns = self._clock.now_ns() + _AGAIN_NS
        for device in [*self._lost]:
            try:
                self._begin(device)
            except CameraUnavailableError:
                continue
            self._lost.remove(device)
            if device in self._devices:
                self._around.news(f"the virtual camera is back ({device.name})")

    def _shut(self) -> None:
        """Send the background at the end, with time to take it, so that nobody stays in the last picture."""
        for device in [*self._devices]:
            picture, taken = self._background(device.clear), 0
            for _ in range(_TRIES):
                if taken == _TAKEN or device not in self._devices or device.watched is False:
                    break
                taken += self._attempt(device, picture)
                self._clock.sleep(1 / self.rate)
        for device in self._devices:
            device.close()
        self._devices.clear()
        self._lost.clear()

    # Pictures -------------------------------------------------------------------------------------------------

    def _background(self, clear: bool) -> Bytes:
        return self._formed(self._around.background(*self.size), clear)

    def _shown(self, shot: Shot, clear: bool) -> Bytes:
        if clear not in self._made:
            self._made[clear] = self._formed(shot.image, clear)
        return self._made[clear]

    def _formed(self, image: Bytes, clear: bool) -> Bytes:
        """A picture in the size and pixels of a device."""
        image = fit_into(image, *self.size)
        if clear:
            return image if image.shape[2] == 4 else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2BGRA), np.uint8)
        if image.shape[2] == 4:
            image = over_black(image)
        # Takes the chroma of one pixel in four, not the mean of four (media/colour.py), in less than a tenth of the
        # time (benchmarks/results/outputs.json).
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), np.uint8)
