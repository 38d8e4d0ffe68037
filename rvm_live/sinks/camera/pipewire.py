"""A camera of PipeWire: a node of the class Video/Source, without any kernel module."""

from __future__ import annotations

import ctypes
import errno
import os
import time
from ctypes import c_void_p
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rvm_live.core.errors import SinkError, UnavailableError
from rvm_live.sinks.camera import libpipewire, pods
from rvm_live.sinks.camera.device import CameraDevice, CameraUnavailableError

__all__ = ["PipeWireCamera", "socket_path"]

LABEL = "rvm-live"
_I420, _NV12 = 2, 23  # spa/param/video/raw.h
_ANSWER_S = 2.0
_START = "systemctl --user start pipewire wireplumber"
_RESTART = "systemctl --user restart pipewire wireplumber"
_INSTALL = "install the packages pipewire and wireplumber"


def socket_path() -> Path | None:
    """Path of PipeWire's socket; None if the user has no runtime folder."""
    name = os.environ.get("PIPEWIRE_REMOTE") or "pipewire-0"
    if os.path.isabs(name):
        return Path(name)
    folder = next(
        (
            os.environ[each]
            for each in ("PIPEWIRE_RUNTIME_DIR", "XDG_RUNTIME_DIR", "USERPROFILE")
            if os.environ.get(each)
        ),
        None,
    )
    return None if folder is None else Path(folder) / name


class PipeWireCamera(CameraDevice):
    """Offers I420 and NV12; programs convert to other formats. Pictures are in shared memory.

    The node drives its consumers: a sent picture is seen at once. If no buffer comes back, because a program
    hangs, the picture is dropped.
    """

    def __init__(self) -> None:
        self._loop: int | None = None
        self._stream: int | None = None
        self._state = libpipewire.UNCONNECTED
        self._trouble = ""
        self._answered = Event()
        self._width = self._height = 0
        self._format = _I420
        self._kept: list[Any] = []
        self._number = 0

    @property
    def name(self) -> str:
        return "PipeWire"

    @property
    def trouble(self) -> str:
        return self._trouble and f"PipeWire removed the camera ({self._trouble})"

    @property
    def watched(self) -> bool:
        return self._state == libpipewire.STREAMING

    def open(self, width: int, height: int, fps: float) -> None:
        try:
            self._lib = libpipewire.library()
        except UnavailableError as error:
            raise CameraUnavailableError(str(error), _INSTALL) from error
        self._width, self._height = width, height
        self._trouble, self._state = "", libpipewire.UNCONNECTED
        self._answered.clear()
        path = socket_path()
        if path is None:
            raise CameraUnavailableError("XDG_RUNTIME_DIR is not set", "PipeWire only works in a user's session")
        number = self._connect(fps)
        if number:
            self.close()
            raise _refusal(path, number)
        if not self._answered.wait(_ANSWER_S):
            self.close()
            raise CameraUnavailableError(f"PipeWire at {path} does not answer", _RESTART)
        if self._trouble:
            self.close()
            raise CameraUnavailableError(f"PipeWire refuses the camera ({self._trouble})", _RESTART)

    def _connect(self, fps: float) -> int:
        """Returns 0, or the error number."""
        lib, width, height = self._lib, self._width, self._height
        self._loop = lib.pw_thread_loop_new(b"rvm-camera", None)
        lib.pw_thread_loop_start(self._loop)
        # Callbacks of C code must stay alive as long as the stream.
        self._events = libpipewire.Events(
            version=2,
            state_changed=libpipewire.STATE_CHANGED(self._state_changed),
            param_changed=libpipewire.PARAM_CHANGED(self._param_changed),
        )
        told = (
            f"media.class=Video/Source media.role=Camera node.name={LABEL} node.description={LABEL} node.virtual=true"
        )
        lib.pw_thread_loop_lock(self._loop)
        try:
            self._stream = lib.pw_stream_new_simple(
                lib.pw_thread_loop_get_loop(self._loop),
                LABEL.encode(),
                lib.pw_properties_new_string(told.encode()),
                ctypes.byref(self._events),
                None,
            )
            if not self._stream:
                return ctypes.get_errno() or errno.ENOMEM
            formats = self._pointers(*(pods.raw_video(each, width, height, fps) for each in (_I420, _NV12)))
            flags = libpipewire.MAP_BUFFERS | libpipewire.DRIVER
            done = lib.pw_stream_connect(
                self._stream, libpipewire.OUTPUT, libpipewire.ANY_ID, flags, formats, len(formats)
            )
            return -min(int(done), 0)
        finally:
            lib.pw_thread_loop_unlock(self._loop)

    def send(self, picture: NDArray[np.uint8]) -> bool:
        if self._stream is None or self._trouble:
            raise SinkError(self.trouble or "PipeWire's camera is closed")
        if not self.watched:
            return False
        self._lib.pw_thread_loop_lock(self._loop)
        try:
            taken = self._lib.pw_stream_dequeue_buffer(self._stream)
            if taken:
                self._fill(taken.contents.buffer.contents, picture)
                self._lib.pw_stream_queue_buffer(self._stream, taken)
            self._lib.pw_stream_trigger_process(self._stream)
            return bool(taken)
        finally:
            self._lib.pw_thread_loop_unlock(self._loop)

    def _fill(self, buffer: Any, picture: NDArray[np.uint8]) -> None:
        block, size = buffer.datas[0], picture.nbytes
        chunk = block.chunk.contents
        chunk.offset, chunk.stride, chunk.flags = 0, self._width, 0
        chunk.size = size if block.data and size <= block.maxsize else 0
        if chunk.size:
            if self._format == _NV12:
                picture = _interleaved(picture, self._width, self._height)
            ctypes.memmove(block.data, picture.ctypes.data, size)
        self._number += 1
        for index in range(buffer.n_metas):
            meta = buffer.metas[index]
            if meta.type == libpipewire.META_HEADER and meta.data:
                header = ctypes.cast(meta.data, ctypes.POINTER(libpipewire.Header)).contents
                header.flags, header.pts, header.seq = 0, time.monotonic_ns(), self._number

    def close(self) -> None:
        if self._loop is None:
            return
        lib = self._lib
        if self._stream:
            lib.pw_thread_loop_lock(self._loop)
            lib.pw_stream_destroy(self._stream)
            lib.pw_thread_loop_unlock(self._loop)
        lib.pw_thread_loop_stop(self._loop)
        lib.pw_thread_loop_destroy(self._loop)
        self._loop = self._stream = None
        self._state = libpipewire.UNCONNECTED
        self._kept.clear()

    # Called on the loop's thread -----------------------------------------------------------------------------

    def _state_changed(self, _: Any, old: int, new: int, error: bytes | None) -> None:
        self._state = new
        if new == libpipewire.ERROR or (new == libpipewire.UNCONNECTED and old != libpipewire.UNCONNECTED):
            self._trouble = error.decode("utf-8", "replace") if error else "the connection ended"
        if new not in (libpipewire.UNCONNECTED, libpipewire.CONNECTING):
            self._answered.set()

    def _param_changed(self, _: Any, what: int, param: int | None) -> None:
        if what != pods.FORMAT or not param:
            return
        size = ctypes.c_uint32.from_address(param).value
        self._format = pods.video_format_of(ctypes.string_at(param, 8 + size)) or _I420
        wanted = self._pointers(pods.buffers(self._width * self._height * 3 // 2, self._width), pods.header_meta())
        self._lib.pw_stream_update_params(self._stream, wanted, len(wanted))

    def _pointers(self, *pods: bytes) -> Any:
        self._kept = [ctypes.create_string_buffer(pod, len(pod)) for pod in pods]
        return (c_void_p * len(pods))(*(ctypes.addressof(each) for each in self._kept))


def _interleaved(picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """NV12 of I420."""
    flat, luma = picture.reshape(-1), width * height
    made = np.empty_like(flat)
    made[:luma] = flat[:luma]
    made[luma::2], made[luma + 1 :: 2] = flat[luma : luma * 5 // 4], flat[luma * 5 // 4 :]
    return made


def _refusal(path: Path, error: int) -> CameraUnavailableError:
    if error in (errno.EHOSTDOWN, errno.ENOENT, errno.ECONNREFUSED):
        return CameraUnavailableError(f"PipeWire does not run at {path}", _START)
    if error in (errno.EACCES, errno.EPERM):
        return CameraUnavailableError(
            f"PipeWire at {path} refuses this user", "run rvm-live as the user of that session"
        )
    return CameraUnavailableError(f"PipeWire at {path} cannot be reached ({os.strerror(error)})", _RESTART)
