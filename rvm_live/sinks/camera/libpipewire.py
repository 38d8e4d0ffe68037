"""Bindings to ``libpipewire-0.3.so.0`` by ctypes: one stream on its own loop (``pipewire/stream.h``)."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_char_p, c_int, c_int32, c_int64, c_uint32, c_uint64, c_void_p
from functools import lru_cache
from typing import Any

from rvm_live.core.errors import UnavailableError

__all__ = ["DRIVER", "ERROR", "MAP_BUFFERS", "STREAMING", "UNCONNECTED", "Events", "Header", "library"]

LIBRARY = "libpipewire-0.3.so.0"
ERROR, UNCONNECTED, CONNECTING, PAUSED, STREAMING = -1, 0, 1, 2, 3
OUTPUT = 1
ANY_ID = 0xFFFFFFFF
MAP_BUFFERS, DRIVER = 1 << 2, 1 << 3
META_HEADER = 1


class Chunk(ctypes.Structure):
    """The filled part of a block."""

    _fields_ = (("offset", c_uint32), ("size", c_uint32), ("stride", c_int32), ("flags", c_int32))


class Data(ctypes.Structure):
    """One block of a picture."""

    _fields_ = (
        ("type", c_uint32),
        ("flags", c_uint32),
        ("fd", c_int64),
        ("mapoffset", c_uint32),
        ("maxsize", c_uint32),
        ("data", c_void_p),
        ("chunk", POINTER(Chunk)),
    )


class Meta(ctypes.Structure):
    """Metadata of a picture."""

    _fields_ = (("type", c_uint32), ("size", c_uint32), ("data", c_void_p))


class Header(ctypes.Structure):
    """Time and number of a picture."""

    _fields_ = (
        ("flags", c_uint32),
        ("offset", c_uint32),
        ("pts", c_int64),
        ("dts_offset", c_int64),
        ("seq", c_uint64),
    )


class Buffer(ctypes.Structure):
    """``struct spa_buffer``."""

    _fields_ = (("n_metas", c_uint32), ("n_datas", c_uint32), ("metas", POINTER(Meta)), ("datas", POINTER(Data)))


class StreamBuffer(ctypes.Structure):
    """The beginning of ``struct pw_buffer``."""

    _fields_ = (("buffer", POINTER(Buffer)), ("user_data", c_void_p), ("size", c_uint64), ("requested", c_uint64))


STATE_CHANGED = ctypes.CFUNCTYPE(None, c_void_p, c_int, c_int, c_char_p)
PARAM_CHANGED = ctypes.CFUNCTYPE(None, c_void_p, c_uint32, c_void_p)


class Events(ctypes.Structure):
    """``struct pw_stream_events``, version 2."""

    _fields_ = (
        ("version", c_uint32),
        ("destroy", c_void_p),
        ("state_changed", STATE_CHANGED),
        ("control_info", c_void_p),
        ("io_changed", c_void_p),
        ("param_changed", PARAM_CHANGED),
        ("add_buffer", c_void_p),
        ("remove_buffer", c_void_p),
        ("process", c_void_p),
        ("drained", c_void_p),
        ("command", c_void_p),
        ("trigger_done", c_void_p),
    )


_FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "pw_init": (None, (c_void_p, c_void_p)),
    "pw_get_library_version": (c_char_p, ()),
    "pw_thread_loop_new": (c_void_p, (c_char_p, c_void_p)),
    "pw_thread_loop_get_loop": (c_void_p, (c_void_p,)),
    "pw_thread_loop_start": (c_int, (c_void_p,)),
    "pw_thread_loop_stop": (None, (c_void_p,)),
    "pw_thread_loop_lock": (None, (c_void_p,)),
    "pw_thread_loop_unlock": (None, (c_void_p,)),
    "pw_thread_loop_destroy": (None, (c_void_p,)),
    "pw_properties_new_string": (c_void_p, (c_char_p,)),
    "pw_stream_new_simple": (c_void_p, (c_void_p, c_char_p, c_void_p, c_void_p, c_void_p)),
    "pw_stream_connect": (c_int, (c_void_p, c_int, c_uint32, c_int, c_void_p, c_uint32)),
    "pw_stream_update_params": (c_int, (c_void_p, c_void_p, c_uint32)),
    "pw_stream_dequeue_buffer": (POINTER(StreamBuffer), (c_void_p,)),
    "pw_stream_queue_buffer": (c_int, (c_void_p, c_void_p)),
    "pw_stream_trigger_process": (c_int, (c_void_p,)),
    "pw_stream_destroy": (None, (c_void_p,)),
}


@lru_cache(maxsize=1)
def library() -> Any:
    """The library, loaded and ready.

    Raises:
        UnavailableError: it is not installed, or too old.
    """
    try:
        loaded = ctypes.CDLL(LIBRARY)
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(loaded, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise UnavailableError(f"PipeWire's library {LIBRARY} cannot be loaded ({error})") from error
    loaded.pw_init(None, None)
    return loaded
