"""A file to send with a bug report: everything that helps, without private data.

It only contains text. Addresses, tokens, names of the user and the machine, and the home folder's path are removed;
rather too much than too little.
"""

from __future__ import annotations

import getpass
import io
import ipaddress
import json
import platform
import re
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import distributions
from pathlib import Path

from rvm_live.apps.doctor.finding import Report
from rvm_live.system import last_log
from rvm_live.system.atomic_write import write_whole

__all__ = ["scrubbed", "write_bundle"]

_ADDRESS, _TOKEN, _NAME = "ADDRESS", "TOKEN", "NAME"
_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<rest>[^\s\"'<>\\,)\]}]+)", re.IGNORECASE)
_HOST = re.compile(r"\b[\w-]+(?:\.[\w-]+)*\.(?:local|localdomain|lan|home|internal|intranet)\b", re.IGNORECASE)
_HOST_AND_PORT = re.compile(r"\b(?!\d)[\w-]+(?:\.[\w-]+)+:\d{2,5}\b")
_MAIL = re.compile(r"[\w.+-]+@(?=[A-Za-z])[\w-]+(?:\.[\w-]+)*")
_MAC = re.compile(r"\b(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}\b", re.IGNORECASE)
_NUMBERS = re.compile(r"(?<![\w.])[0-9a-f:.]*[:.][0-9a-f:.]*(?:%\w+)?(?![\w.])", re.IGNORECASE)
_SECRET = re.compile(
    r"(?P<name>(?:token|secret|passw(?:or)?d|passwd|pwd|passphrase|credential|bearer|authorization|cookie|api[_-]?key|"
    r"stream[_-]?key|access[_-]?key|private[_-]?key)s?)(?P<between>[\"']?\s*[:=\s]\s*[\"']?)(?P<value>[^\s\"',;&]+)",
    re.IGNORECASE,
)
_RANDOM = re.compile(r"(?<![\w/-])(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[\w-]{24,}(?![\w/-])")
_HOMES = re.compile(r"(?:/(?:home|Users|var/home)/|[A-Za-z]:(?:\\\\?|/)Users(?:\\\\?|/))[^/\\\s\"']+")
_COMMON = frozenset({"root", "user", "nobody", "localhost", "admin"})
_PACKAGES = re.compile(
    r"torch|opencv|av$|numpy|numba|openvino|onnx|pygame|click|cloup|platformdirs|pyvirtualcam|aio|nvidia|cv2|psutil|rvm",
    re.IGNORECASE,
)


def write_bundle(path: Path, report: Report, page: str, texts: Mapping[str, str]) -> list[str]:
    """Write the file, whole or not at all.

    Args:
        path: a zip file is written there.
        report: what was found.
        page: the same as people read it.
        texts: more files: name -> what is to stand in it, such as the settings.

    Returns:
        The names in the file.

    Raises:
        SinkError: it cannot be written.
    """
    files = {
        "report.txt": page,
        "report.json": json.dumps(report.to_dict(), indent=2),
        **texts,
        "last.log": last_log.read(),
        "before.log": last_log.read(before=True),
    }
    private = names_here()
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, text in files.items():
            if text:
                zipped.writestr(name, scrubbed(text, private))
        zipped.writestr("packages.txt", _packages())
        names = zipped.namelist()
    write_whole(path, data.getvalue())
    return names


def names_here() -> tuple[str, ...]:
    """Of the user and the machine, as far as they tell anything."""
    names = {platform.node(), platform.node().partition(".")[0]}
    with suppress(OSError, KeyError):
        names.add(getpass.getuser())
    with suppress(RuntimeError):
        names.add(Path.home().name)
    return tuple(name for name in names if len(name) > 2 and name.lower() not in _COMMON)


def scrubbed(text: str, names: tuple[str, ...] = ()) -> str:
    """A text without addresses, tokens, ``names``, and places in a home folder, which become ``~``."""
    with suppress(RuntimeError):
        home = str(Path.home())
        if len(home) > 1:
            for form in {home, home.replace("\\", "\\\\"), home.replace("\\", "/"), str(Path(home).resolve())}:
                text = re.sub(rf"{re.escape(form)}(?![\w.-])", "~", text)
    text = _HOMES.sub("~", text)
    hosts = {_host(found["rest"]) for found in _URL.finditer(text)}
    text = _URL.sub(rf"\g<scheme>://{_ADDRESS}", text)
    text = _MAIL.sub(_ADDRESS, text)
    text = _MAC.sub(_ADDRESS, text)
    text = _HOST_AND_PORT.sub(_ADDRESS, text)
    text = _HOST.sub(_ADDRESS, text)
    text = _NUMBERS.sub(_number, text)
    text = _SECRET.sub(rf"\g<name>\g<between>{_TOKEN}", text)
    text = _RANDOM.sub(_TOKEN, text)
    for host in sorted(filter(None, hosts), key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(host)}(?!\w)", _ADDRESS, text)
    for name in sorted(names, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", _NAME, text, flags=re.IGNORECASE)
    return text


def _host(rest: str) -> str:
    """The host of what stands behind ``://``; empty where it says nothing."""
    host = re.split(r"[/?#]", rest.rpartition("@")[2])[0].rpartition(":")[0] or re.split(r"[/?#:]", rest)[0]
    return host if len(host) > 3 and host.lower() not in _COMMON else ""


def _number(found: re.Match[str]) -> str:
    """Removes an IP address of four numbers or of hexadecimal ones; other text, such as a version or a time of day,
    stays."""
    words = found[0].rstrip(".:")
    bare = re.sub(r"(?<=\d):\d+$", "", words) if words.count(":") == 1 else words
    try:
        ipaddress.ip_address(bare)
    except ValueError:
        return found[0]
    return _ADDRESS + found[0][len(words) :]


def _packages() -> str:
    """The versions of what the program works with."""
    found = {(each.metadata["Name"] or "", each.version) for each in distributions()}
    return "".join(f"{name} {version}\n" for name, version in sorted(found) if _PACKAGES.match(name))
