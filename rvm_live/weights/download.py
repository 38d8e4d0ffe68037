"""Fetches one file over HTTP with retries; gives up within about ten seconds where there is no network.

pooch fetches it. The digest is compared afterwards (``cache.py``), and not by ``pooch.retrieve(known_hash=...)``: a
login page must be named as such, not as a wrong digest, and a file without a known digest must be checked before it
is put into the cache. Nor are pooch's retries used: they also repeat what is certain to fail, such as HTTP 404, a
redirect that is refused, or another file.
"""

from __future__ import annotations

import socket
import time
import urllib.request
from concurrent.futures import TimeoutError as FutureTimeoutError  # a different class until Python 3.11
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urljoin, urlsplit

from rvm_live.core.beside import beside
from rvm_live.core.errors import NoNetworkError, WeightsError, words_of

__all__ = ["Progress", "fetch", "no_way_out"]

_ATTEMPTS = 3
_BACKOFF_SECONDS = 0.5
_CONNECT_SECONDS = 3.0
_READ_SECONDS = 20.0
_LOOKUP_SECONDS = 4.0
_UNREACHABLE_SECONDS = 5.0  # seconds after which a machine that cannot connect stops trying
_CHUNK = 64 * 1024


class Progress(Protocol):
    """Receives the progress of a download. Its ``close()``, if it has one, is called at the end, whether good or
    bad."""

    def __call__(self, done: int, total: int | None) -> None:
        """``done`` bytes have come of ``total`` (None if the server did not say)."""
        ...


class _Bar:
    """What pooch takes for a progress bar; also keeps the size the server announced."""

    def __init__(self, progress: Progress | None) -> None:
        self.total = 0
        self._progress = progress
        self._done = 0

    def update(self, amount: int) -> None:
        self._done += amount
        if self._progress is not None:
            done = min(self._done, self.total) if self.total else self._done
            self._progress(done, self.total or None)

    def reset(self) -> None:
        self._done = 0

    def close(self) -> None:
        pass


def fetch(url: str, target: Path, progress: Progress | None = None) -> None:
    """Download ``url`` to ``target``, overwriting it, over https only, so that the content cannot be changed on the
    way.

    Connection errors, time-outs, short bodies and 5xx answers are tried again, three attempts in all.

    Raises:
        NoNetworkError: no server could be reached.
        WeightsError: the download failed; names other ways.
    """
    try:
        _fetch(url, target, progress)
    finally:
        close = getattr(progress, "close", None)
        if close is not None:
            close()


def _fetch(url: str, target: Path, progress: Progress | None) -> None:
    if not _secure(url):
        raise WeightsError(
            f"weights are only fetched over https, so that nobody on the way can change them, and not from {url}: "
            "set RVM_LIVE_WEIGHTS_URL to an https address, or fetch the file yourself and name it with --weights PATH"
        )
    started = time.monotonic()
    reached, reason = False, ""
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_BACKOFF_SECONDS * 2 ** (attempt - 1))
        again, reached, reason = _attempt(url, target, progress)
        if not reason:
            return
        if not again or (not reached and time.monotonic() - started > _UNREACHABLE_SECONDS):
            break
    raise (WeightsError if reached else NoNetworkError)(
        f"cannot fetch {url} ({reason}): run `rvm-live weights pull` on a machine with internet access and copy the "
        "file here, or name one with --weights PATH or RVM_LIVE_WEIGHTS"
    )


def no_way_out() -> bool:
    """Whether this machine certainly has no network: no route leads out, and there is no proxy. Sends nothing."""
    # Addresses that belong to nobody: RFC 5737, RFC 3849.
    nobodys = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
    for family, address in nobodys:
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.connect((address, 9))  # UDP: nothing is sent, the system only looks up a route
            return False
    return not urllib.request.getproxies()


def _attempt(url: str, target: Path, progress: Progress | None) -> tuple[bool, bool, str]:
    """Try once. Returns whether to try again, whether the server was reached, and why it failed (empty: success)."""
    import pooch
    import requests

    host = _host_to_look_up(url)
    if host is not None and not _resolves(*host):
        return True, False, f"the name {host[0]} cannot be resolved; is there a network connection?"
    bar = _Bar(progress)
    download: Any = pooch.HTTPDownloader(
        progressbar=bar,
        chunk_size=_CHUNK,
        timeout=(_CONNECT_SECONDS, _READ_SECONDS),
        hooks={"response": _stay_secure},
    )
    try:
        download(url=url, output_file=str(target), pooch=None)
    except requests.exceptions.HTTPError as error:
        status = 0 if error.response is None else error.response.status_code
        return status >= 500 or status == 429, True, f"the server answered with HTTP {status}"
    except requests.exceptions.SSLError:
        return False, True, "the secure connection could not be established"
    except requests.exceptions.Timeout as error:
        reached = not isinstance(error, requests.exceptions.ConnectTimeout)
        return True, reached, "the server did not answer in time"
    except requests.exceptions.ChunkedEncodingError:
        return True, True, "the connection was closed too early"
    except requests.exceptions.ConnectionError as error:
        reached = "Read timed out" in str(error)
        return (
            True,
            reached,
            "no connection; is there a network connection?" if not reached else "the connection stalled",
        )
    except (requests.exceptions.RequestException, ValueError) as error:
        return False, True, words_of(error)
    size = target.stat().st_size
    if bar.total and size < bar.total:
        return True, True, f"only {size} of {bar.total} bytes arrived"
    return False, True, ""


def _secure(url: str) -> bool:
    return urlsplit(url).scheme.lower() == "https"


def _stay_secure(response: Any, **_: Any) -> None:
    """Called with each answer, before a redirect is followed.

    Raises:
        ValueError: it leads away from https.
    """
    place = response.headers.get("location") if response.is_redirect else None
    if place is not None and not _secure(urljoin(response.url, place)):
        raise ValueError("the server redirects to an address that is not https")


def _host_to_look_up(url: str) -> tuple[str, int] | None:
    """Host and port that must resolve here; None where a proxy does that."""
    import requests

    parts = urlsplit(url)
    if not parts.hostname or requests.utils.get_environ_proxies(url):
        return None
    return parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def _resolves(host: str, port: int) -> bool:
    """Whether ``host`` resolves within a few seconds.

    The resolver itself may take half a minute to give up and cannot be interrupted, so it runs in a daemon thread.
    """
    found = beside("lookup", lambda: socket.getaddrinfo(host, port), daemon=True)
    try:
        return bool(found.result(_LOOKUP_SECONDS))
    except (OSError, UnicodeError, FutureTimeoutError):
        return False
