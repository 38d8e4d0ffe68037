"""A camera of the kernel module v4l2loopback, which every program on Linux can use.

Numbers and structures are those of ``linux/videodev2.h`` on 64-bit machines.
"""

from __future__ import annotations

import ctypes
import errno
import os
from ctypes import c_uint32
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rvm_live.core.errors import SinkError
from rvm_live.sinks.camera.device import CameraDevice, CameraUnavailableError
from rvm_live.sinks.camera.module import missing_module

__all__ = ["LoopbackCamera", "loopback_devices"]

VIDEO = Path("/sys/class/video4linux")
_LIST = "see v4l2-ctl --list-devices"
_DRIVER = b"v4l2 loopback"
_QUERYCAP, _SET_FORMAT, _SET_PARAMETERS = 0x80685600, 0xC0D05605, 0xC0CC5616
_NEXT_EVENT, _SUBSCRIBE = 0x80885659, 0x4020565A
_CAPTURE, _OUTPUT = 0x1, 0x2
_VIDEO_OUTPUT, _PROGRESSIVE = 2, 1
_YUV420 = int.from_bytes(b"YU12", "little")
_MAGIC = 0xFEEDCAFE
_SMPTE170M, _ENC_601, _LIMITED, _CURVE_709 = 1, 1, 2, 1
# Since 0.13: events tell when a program begins or ends to read; the first one tells the present state.
_CLIENT_USAGE, _SEND_INITIAL = 0x08000000 + 0x08E00000 + 1, 1
_AT_ONCE = 8  # at most this many events at once


class Capability(ctypes.Structure):
    """``struct v4l2_capability``."""

    _fields_ = (
        ("driver", ctypes.c_char * 16),
        ("card", ctypes.c_char * 32),
        ("bus_info", ctypes.c_char * 32),
        ("version", c_uint32),
        ("capabilities", c_uint32),
        ("device_caps", c_uint32),
        ("reserved", c_uint32 * 3),
    )


class Format(ctypes.Structure):
    """``struct v4l2_format`` with a ``v4l2_pix_format``."""

    _fields_ = (
        ("type", c_uint32),
        ("padding", c_uint32),
        ("width", c_uint32),
        ("height", c_uint32),
        ("pixelformat", c_uint32),
        ("field", c_uint32),
        ("bytesperline", c_uint32),
        ("sizeimage", c_uint32),
        ("colorspace", c_uint32),
        ("priv", c_uint32),
        ("flags", c_uint32),
        ("ycbcr_enc", c_uint32),
        ("quantization", c_uint32),
        ("xfer_func", c_uint32),
        ("rest", ctypes.c_uint8 * 152),
    )


class Parameters(ctypes.Structure):
    """``struct v4l2_streamparm`` with a ``v4l2_outputparm``."""

    _fields_ = (
        ("type", c_uint32),
        ("capability", c_uint32),
        ("outputmode", c_uint32),
        ("numerator", c_uint32),
        ("denominator", c_uint32),
        ("rest", ctypes.c_uint8 * 184),
    )


class Subscription(ctypes.Structure):
    """``struct v4l2_event_subscription``."""

    _fields_ = (("type", c_uint32), ("id", c_uint32), ("flags", c_uint32), ("reserved", c_uint32 * 5))


class Event(ctypes.Structure):
    """``struct v4l2_event``; of its data the first number."""

    _fields_ = (("type", c_uint32), ("padding", c_uint32), ("count", c_uint32), ("rest", ctypes.c_uint8 * 124))


def _ioctl(fd: int, number: int, argument: Any) -> None:
    import fcntl  # does not exist on Windows

    fcntl.ioctl(fd, number, argument)


def loopback_devices() -> dict[str, str]:
    """Path -> label, of the devices that the module has made."""
    found = {}
    for place in sorted(VIDEO.glob("video*"), key=lambda path: int("0" + path.name[5:])):
        if "/devices/virtual/" in f"{place.resolve()}/":
            try:
                found[f"/dev/{place.name}"] = (place / "name").read_text("utf-8", "replace").strip()
            except OSError:
                continue
    return found


class LoopbackCamera(CameraDevice):
    """Takes I420 by ``write``, which never waits.

    Args:
        path: of the device; empty: the module's first one that no other program uses.
    """

    def __init__(self, path: str = "") -> None:
        self._wanted, self._path = path, path
        self._label = ""
        self._fd: int | None = None
        self._watched: bool | None = None
        self.exclusive = True

    @property
    def name(self) -> str:
        return f"{self._path} ({self._label})" if self._label else self._path or "v4l2loopback"

    @property
    def path(self) -> str:
        """Path of the device that is open or to be opened."""
        return self._path

    @property
    def watched(self) -> bool | None:
        self._hear()
        return self._watched

    def open(self, width: int, height: int, fps: float) -> None:
        paths = [self._wanted] if self._wanted else list(loopback_devices())
        if not paths:
            raise missing_module()
        refusals: list[CameraUnavailableError] = []
        for path in paths:
            try:
                self._open(path, width, height, fps)
                return
            except CameraUnavailableError as error:
                self.close()
                refusals.append(error)
        raise CameraUnavailableError("; ".join(each.why for each in refusals), refusals[-1].mend)

    def _open(self, path: str, width: int, height: int, fps: float) -> None:
        self._path = path
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
            told = Capability()
            _ioctl(self._fd, _QUERYCAP, told)
        except OSError as error:
            raise _refusal(path, error) from error
        caps = told.device_caps or told.capabilities
        if told.driver != _DRIVER:
            label = told.card.decode("utf-8", "replace")
            raise CameraUnavailableError(f"{path} is {label!r}, not a v4l2loopback device", _LIST)
        if not caps & _OUTPUT:
            raise _taken(path)
        self._label = told.card.decode("utf-8", "replace")
        self.exclusive = not caps & _CAPTURE
        shape = Format(
            type=_VIDEO_OUTPUT,
            width=width,
            height=height,
            pixelformat=_YUV420,
            field=_PROGRESSIVE,
            bytesperline=width,
            sizeimage=width * height * 3 // 2,
            colorspace=_SMPTE170M,
            priv=_MAGIC,
            ycbcr_enc=_ENC_601,
            quantization=_LIMITED,
            xfer_func=_CURVE_709,
        )
        rate = Parameters(type=_VIDEO_OUTPUT, numerator=1000, denominator=round(fps * 1000))
        try:
            _ioctl(self._fd, _SET_FORMAT, shape)
            _ioctl(self._fd, _SET_PARAMETERS, rate)
        except OSError as error:
            raise _refusal(path, error) from error
        if (shape.width, shape.height, shape.pixelformat) != (width, height, _YUV420):
            kind = shape.pixelformat.to_bytes(4, "little").decode("latin-1")
            raise CameraUnavailableError(
                f"{path} refuses {width}x{height} YU12 and stays at {shape.width}x{shape.height} {kind}",
                f"end the program that reads from it, or unlock it with v4l2loopback-ctl set-caps {path} any",
            )
        self._watched = None
        try:
            _ioctl(self._fd, _SUBSCRIBE, Subscription(type=_CLIENT_USAGE, flags=_SEND_INITIAL))
        except OSError:  # an older kernel module
            return
        self._hear()

    def _hear(self) -> None:
        """Read the module's new events."""
        event = Event()
        for _ in range(_AT_ONCE):
            if self._fd is None:
                return
            try:
                _ioctl(self._fd, _NEXT_EVENT, event)
            except OSError:  # no more events, or the module does not know this kind
                return
            if event.type == _CLIENT_USAGE:
                self._watched = event.count > 0

    def send(self, picture: NDArray[np.uint8]) -> bool:
        if self._fd is None:
            raise SinkError(f"the camera {self.name} is closed")
        try:
            os.write(self._fd, np.ascontiguousarray(picture).data.cast("B"))
        except BlockingIOError:
            return False
        except OSError as error:
            raise SinkError(f"the camera {self.name} was removed ({os.strerror(error.errno or 0)})") from error
        return True

    def close(self) -> None:
        fd, self._fd = self._fd, None
        self._watched = None
        if fd is not None:
            os.close(fd)


def _taken(path: str) -> CameraUnavailableError:
    return CameraUnavailableError(f"{path} is used by another program", "close that program, or name another device")


def _refusal(path: str, error: OSError) -> CameraUnavailableError:
    if error.errno == errno.EBUSY:
        return _taken(path)
    if error.errno in (errno.EACCES, errno.EPERM):
        why = f"this user has no permission to open {path}"
        return CameraUnavailableError(why, "sudo usermod -aG video $USER, then log in again")
    if error.errno in (errno.ENOENT, errno.ENXIO, errno.ENODEV):
        return CameraUnavailableError(f"there is no camera {path}", _LIST)
    if error.errno == errno.ENOTTY:
        return CameraUnavailableError(f"{path} is not a video device", _LIST)
    return CameraUnavailableError(f"{path} cannot be used as a camera ({os.strerror(error.errno or 0)})", _LIST)
