"""Address of the page, and the host names that it answers to."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from rvm_live.core.errors import SettingsError

__all__ = ["DEFAULT_HOST", "DEFAULT_PORT", "Address", "check_origin"]

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8870
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,62})(\.[a-z0-9]([a-z0-9-]{0,62}))*", re.IGNORECASE)
_EVERYWHERE = ("0.0.0.0", "::")


@dataclass(frozen=True)
class Address:
    """The address that the server listens on.

    Attributes:
        host: a name or a number, without brackets.
        port: 0: any that is free.
        fixed: this port was asked for: if it is in use, no other is taken.
    """

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    fixed: bool = False

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read ``HOST:PORT``, ``HOST``, ``PORT``, ``[::1]:PORT``; empty: loopback.

        Raises:
            SettingsError: it is none of these.
        """
        words = text.strip()
        if not words:
            return cls()
        if words.isascii() and words.isdigit():
            return cls(port=_port(words, text), fixed=True)
        if words.startswith("["):
            host, closed, rest = words[1:].partition("]")
            if not closed or (rest and not rest.startswith(":")) or not _is_number(host, 6):
                raise _no_address(text)
            port = rest[1:] if rest else None
        elif _is_number(words, 6):
            host, port = words, None
        else:
            host, colon, after = words.partition(":")
            host, port = host or DEFAULT_HOST, after if colon else None
            if not _NAME.fullmatch(host):
                raise _no_address(text)
        if port is None:
            return cls(host=host.lower())
        return cls(host.lower(), _port(port, text), fixed=True)

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def url(self) -> str:
        """Its URL for a browser on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://{_bracketed(host)}:{self.port}"

    @property
    def hosts(self) -> frozenset[str]:
        """What a browser may write into ``Host``: the address, and where that means several, each; nothing else, so
        that a stranger's name that is made to lead here does not (DNS rebinding)."""
        names = {self.host}
        if self.loopback:
            names |= {"127.0.0.1", "localhost", "::1"}
        elif self.host in _EVERYWHERE:
            names = {"127.0.0.1", "localhost", "::1", socket.gethostname().lower(), *_own_numbers()}
        return frozenset(f"{_bracketed(name)}:{self.port}" for name in names) | (
            frozenset(_bracketed(name) for name in names) if self.port == 80 else frozenset()
        )

    def at(self, port: int) -> Address:
        """The same at another port."""
        return replace(self, port=port)

    def __str__(self) -> str:
        return f"{_bracketed(self.host)}:{self.port}"


def check_origin(text: str) -> str:
    """The origin of a proxy in front, ``https://cam.example.org``, as browsers write it.

    Raises:
        SettingsError: it is not one.
    """
    try:
        parts = urlsplit(text.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    bare = not (parts.path.strip("/") or parts.query or parts.fragment or parts.username)
    if parts.scheme not in ("http", "https") or not bare or not (_NAME.fullmatch(host) or _is_number(host)):
        raise SettingsError(f"{text!r} is not an origin: write it like https://cam.example.org")
    usual = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{_bracketed(host)}" + ("" if port in (None, usual) else f":{port}")


def _own_numbers() -> set[str]:
    import psutil  # type: ignore[import-untyped]

    kinds = (socket.AF_INET, socket.AF_INET6)
    cards = psutil.net_if_addrs().values()
    return {each.address.partition("%")[0] for card in cards for each in card if each.family in kinds}


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _is_number(host: str, version: int | None = None) -> bool:
    try:
        return version in (None, ipaddress.ip_address(host).version)
    except ValueError:
        return False


def _port(text: str, whole: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535):
        raise _no_address(whole)
    return int(text)


def _no_address(text: str) -> SettingsError:
    return SettingsError(
        f"{text!r} is not an address for the page: write --web=HOST:PORT, such as --web=127.0.0.1:8870"
    )
