"""Checks every request before it is answered.

In this order: how often (429), by which name (421), from which page (403), with which key (401, 403), with what in its
body (415). Other origins get no answer: there is no CORS, and what browsers might do with an answer is forbidden
in its headers.
"""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from rvm_live.core.clock import Clock
from rvm_live.core.errors import RvmLiveError
from rvm_live.sinks.web.keys import Keys, Rate, Role

__all__ = ["JSON", "OCTETS", "Guard", "Refused", "Route"]

_log = logging.getLogger("rvm_live")

JSON, OCTETS = "application/json", "application/octet-stream"
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
    "Server": "rvm-live",
}
_OWN_PAGES = ("same-origin", "none")  # values of Sec-Fetch-Site: "none" means that the user typed the address


class Refused(Exception):
    """A request that is refused.

    Args:
        status: of HTTP.
        reason: for people.
    """

    def __init__(self, status: int, reason: str, **headers: str) -> None:
        super().__init__(reason)
        self.status, self.reason, self.headers = status, reason, headers


@dataclass(frozen=True)
class Route:
    """One route of the server.

    Attributes:
        method: of HTTP.
        path: as aiohttp writes it, with ``{id}`` for what changes.
        role: the role that it needs.
        handler: answers.
        takes: the only type of a body; empty: it has none.
        stranger: may be opened from another page, such as a link to the page itself.
    """

    method: str
    path: str
    role: Role
    handler: Callable[[Any], Awaitable[Any]]
    takes: str = ""
    stranger: bool = False


class Guard:
    """Middleware that checks requests, and the headers of every answer.

    Args:
        keys: tokens and sessions.
        hosts: the names that the server answers to, with their port.
        origins: addresses of a proxy that are allowed like the page's own.
        clock: monotonic time.
    """

    def __init__(self, keys: Keys, hosts: Iterable[str], origins: Iterable[str], clock: Clock) -> None:
        self.keys = keys
        self.hosts = {*hosts, *(origin.partition("://")[2] for origin in origins)}
        self.origins = {*(f"http://{host}" for host in hosts), *origins}
        self.routes: dict[Any, Route] = {}
        self._requests = Rate(400, 80, clock)
        self._wrong = Rate(10, 0.2, clock)

    async def middleware(self, request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        """Let a request through, or refuse it; an expected error is one line of JSON."""
        try:
            self._look_at(request)
            return await handler(request)
        except Refused as refused:
            return _error(refused.status, refused.reason, refused.headers)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            return _error(error.status, error.reason)
        except RvmLiveError as error:
            return _error(400, str(error))
        except ConnectionError:
            raise
        except Exception:
            _log.exception("the page could not answer %s", request.path)
            return _error(500, "an error in rvm-live: see its log")

    async def headers(self, request: Any, response: Any) -> None:
        """Add the headers of every answer (a signal of aiohttp)."""
        response.headers.update(_HEADERS)

    def admit(self, request: Any, token: str) -> tuple[Role, str]:
        """A session for a token.

        Raises:
            Refused: the token is wrong, or too many wrong ones came.
        """
        role = self._checked(token, request)
        if not role:
            raise Refused(401, "this token is not valid, or no longer: open the address that rvm-live printed")
        return role, self.keys.admit(role)

    def _checked(self, token: str, request: Any) -> Role:
        peer = request.remote or ""
        if self._wrong.spent(peer):
            raise Refused(429, "too many wrong tokens: wait a minute", **{"Retry-After": "60"})
        role = self.keys.role_of(token)
        if not role:
            self._wrong.allows(peer)
        return role

    def cookie(self, role: Role, request: Any) -> str:
        """Name of the cookie; cookies ignore ports, so each server needs its own."""
        port = request.transport.get_extra_info("sockname")[1] if request.transport else 0
        return f"rvm-live-{role.name.lower()}-{port}"

    def _look_at(self, request: Any) -> None:
        if not self._requests.allows(request.remote or ""):
            raise Refused(429, "too many requests: slow down", **{"Retry-After": "1"})
        named = request.headers.getall("Host", [])
        if len(named) != 1 or named[0].lower() not in self.hosts:
            raise Refused(421, "this server does not have that name: use the printed address, or --web-origin")
        route = self.routes.get(request.match_info.route)
        if route is None:
            return  # answered with 404 or 405 later
        unsafe = route.method != "GET" or request.headers.get("Upgrade") is not None
        role, by_cookie = self._role(request, basic=route.method == "GET")
        self._look_at_origin(request, route, unsafe=unsafe, by_cookie=by_cookie)
        if role < route.role:
            if role:
                raise Refused(403, "this token may only view, not change anything")
            told = {"WWW-Authenticate": 'Basic realm="rvm-live"'} if route.path == "/stream.mjpg" else {}
            raise Refused(401, "no token: open the address that rvm-live printed", **told)
        if route.takes and request.content_type != route.takes:
            raise Refused(415, f"send {route.takes}")
        if not route.takes and request.can_read_body:
            raise Refused(415, "this request must have no body")

    def _look_at_origin(self, request: Any, route: Route, *, unsafe: bool, by_cookie: bool) -> None:
        site = request.headers.get("Sec-Fetch-Site")
        if not route.stranger and site is not None and site not in _OWN_PAGES:
            raise Refused(403, "the request comes from another page")
        origins = request.headers.getall("Origin", [])
        if origins and (len(origins) > 1 or origins[0] not in self.origins):
            raise Refused(403, "the request comes from another page")
        # Browsers send a cookie by themselves: it proves nothing unless the page that made the request is known.
        if unsafe and by_cookie and not origins:
            raise Refused(403, "the request does not say which page it comes from")

    def _role(self, request: Any, *, basic: bool) -> tuple[Role, bool]:
        """Role of the request, and whether only a cookie proves it."""
        kind, _, value = request.headers.get("Authorization", "").partition(" ")
        token = value.strip() if kind.lower() == "bearer" else _password(value) if kind.lower() == "basic" else ""
        if token:
            role = self._checked(token, request)
            # Browsers store a password and send it by themselves: it never allows control.
            return (role if kind.lower() == "bearer" else min(role, Role.VIEW) if basic else Role.NOBODY), False
        sessions = (request.cookies.get(self.cookie(role, request)) for role in (Role.STEER, Role.VIEW))
        return max((self.keys.session(each) for each in sessions if each), default=Role.NOBODY), True


def _password(value: str) -> str:
    try:
        return base64.b64decode(value.strip(), validate=True).decode("ascii").partition(":")[2]
    except (binascii.Error, ValueError):
        return ""


def _error(status: int, reason: str, headers: dict[str, str] | None = None) -> Any:
    return web.json_response({"error": reason}, status=status, headers=headers)
