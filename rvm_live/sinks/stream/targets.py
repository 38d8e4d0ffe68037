"""Reads the addresses of ``--stream``."""

from __future__ import annotations

import ntpath
import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from rvm_live.core.errors import SettingsError

__all__ = ["Target", "target_of"]

_PLAYLIST = "stream.m3u8"
_TS_PACKETS = 1316  # seven packets of 188 bytes: the most that fits into one datagram on an ordinary network
_HLS = {"hls_time": "2", "hls_list_size": "6", "hls_flags": "delete_segments+independent_segments+temp_file"}
_ELSEWHERE = (
    "send MPEG-TS to a program that supports it, for example: ffmpeg -i udp://127.0.0.1:5004 -c copy -f mpegts {url}, "
    "with --stream udp://127.0.0.1:5004"
)
_WAYS = "rtmp://, rtmps://, udp://, tcp://, whip+https://, or a folder for HLS as hls:FOLDER"


@dataclass(frozen=True)
class Target:
    """Where a stream goes.

    Attributes:
        url: what libav opens, or the address of a WHIP endpoint.
        muxer: libavformat's name of the container; ``whip`` for WebRTC.
        label: for people and logs: without the path, which often holds a secret key, and without a password.
        options: of the muxer.
    """

    url: str = field(repr=False)
    muxer: str
    label: str
    options: dict[str, str] = field(default_factory=dict)


def target_of(words: str) -> Target:
    """Read an address; nothing is connected to.

    Args:
        words: ``rtmp://``, ``rtmps://``, ``udp://HOST:PORT``, ``tcp://HOST:PORT``, ``whip+https://``, ``hls:FOLDER``,
            or the path of an ``.m3u8``.

    Raises:
        SettingsError: it cannot be read, or is not supported here.
    """
    text = words.strip()
    if text.startswith("hls:"):
        folder = Path(text[4:]).expanduser()
        if not text[4:]:
            raise SettingsError("hls: needs a folder after it, such as hls:/var/www/live")
        return _hls(folder / _PLAYLIST)
    if "://" not in text or ntpath.splitdrive(text)[0]:
        if text.lower().endswith(".m3u8"):
            return _hls(Path(text).expanduser())
        raise SettingsError(f"--stream {_shown(text)!r} is not an address: use {_WAYS}")
    scheme = text.split("://", 1)[0].lower()
    if scheme in ("srt", "rtsp", "rtsps", "rist"):
        raise SettingsError(f"--stream cannot send {scheme}://: " + _ELSEWHERE.format(url=_shown(text)))
    if scheme not in ("rtmp", "rtmps", "udp", "tcp", "whip+https", "whip+http"):
        raise SettingsError(f"--stream cannot send {scheme}://: use {_WAYS}")
    parts = urlsplit(text)
    try:
        port = parts.port
    except ValueError as error:
        raise SettingsError(f"--stream {_shown(text)}: the port must be a number from 1 to 65535") from error
    if not parts.hostname:
        raise SettingsError(f"--stream {scheme}:// needs a host after it")
    label = _shown(text)
    if scheme in ("udp", "tcp"):
        if port is None:
            raise SettingsError(f"--stream {label} needs a port, such as {scheme}://{parts.hostname}:5004")
        if scheme == "udp" and "pkt_size" not in parse_qs(parts.query):
            text += ("&" if parts.query else "?") + f"pkt_size={_TS_PACKETS}"
        return Target(text, "mpegts", label)
    if scheme.startswith("whip+"):
        return Target(text[len("whip+") :], "whip", label)
    if len(parts.path.strip("/")) == 0:
        raise SettingsError(f"--stream {label} needs the application and stream key after the host: {label}/app/key")
    return Target(text, "flv", label, {"flvflags": "no_duration_filesize"})


def _hls(playlist: Path) -> Target:
    place = playlist.parent
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise SettingsError(f"--stream: {playlist.parent} cannot be used as a folder, because {place} is a file")
    if not os.access(place, os.W_OK):
        raise SettingsError(f"--stream: {place} cannot be written to")
    return Target(os.fspath(playlist), "hls", f"HLS in {playlist.parent}", _HLS)


def _shown(text: str) -> str:
    """An address without its secret parts."""
    scheme, found, rest = text.partition("://")
    if not found:
        return text
    host = rest.split("/", 1)[0].split("?", 1)[0].rsplit("@", 1)[-1]
    return f"{scheme}://{host}"
