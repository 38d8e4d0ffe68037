"""Access: tokens, sessions, and limits on the number of requests."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections import OrderedDict
from enum import IntEnum

from rvm_live.core.clock import Clock
from rvm_live.core.errors import SettingsError

__all__ = ["VIEW_TOKEN", "Keys", "Rate", "Role"]

VIEW_TOKEN = "RVM_LIVE_VIEW_TOKEN"
"""Environment variable: the viewers' token, the same at each start."""
_TOKEN = re.compile(r"[A-Za-z0-9_-]{20,200}")
_MOST_SESSIONS = 32
_MOST_PEERS = 1024


class Role(IntEnum):
    """Roles; each includes those before it."""

    NOBODY = 0
    VIEW = 1
    STEER = 2


class Keys:
    """The two tokens of a run, and the sessions that browsers got for them.

    Only digests are kept of sessions, and tokens are compared in constant time: how long an answer takes tells nothing.

    Attributes:
        steer: token of those who may change everything.
        view: token of viewers.
    """

    def __init__(self) -> None:
        self.steer = secrets.token_urlsafe(32)
        self.view = os.environ.get(VIEW_TOKEN) or secrets.token_urlsafe(32)
        if not _TOKEN.fullmatch(self.view):
            raise SettingsError(f"{VIEW_TOKEN} must be at least 20 letters, digits, hyphens and underscores")
        self._sessions: OrderedDict[bytes, Role] = OrderedDict()

    def role_of(self, token: str) -> Role:
        """Role of a token."""
        given = token.encode("utf-8", "replace")
        steer = secrets.compare_digest(given, self.steer.encode())
        view = secrets.compare_digest(given, self.view.encode())
        return Role.STEER if steer else Role.VIEW if view else Role.NOBODY

    def admit(self, role: Role) -> str:
        """Start a session; if there are too many, the oldest ends."""
        session = secrets.token_urlsafe(32)
        self._sessions[_digest(session)] = role
        while len(self._sessions) > _MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return session

    def session(self, session: str) -> Role:
        """Role of a session."""
        digest = _digest(session)
        role = self._sessions.get(digest, Role.NOBODY)
        if role:
            self._sessions.move_to_end(digest)
        return role


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()


class Rate:
    """A rate limit per client: a burst, and a number per second.

    Args:
        burst: at once.
        per_s: afterwards.
        clock: monotonic time.
    """

    def __init__(self, burst: float, per_s: float, clock: Clock) -> None:
        self._burst, self._per_s, self._clock = burst, per_s, clock
        self._left: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def allows(self, peer: str) -> bool:
        """Whether ``peer`` may send a request; if so, counts it."""
        left = self._now(peer)
        self._left.pop(peer, None)
        self._left[peer] = (left - (left >= 1), self._clock.now_ns())
        while len(self._left) > _MOST_PEERS:
            self._left.popitem(last=False)
        return left >= 1

    def spent(self, peer: str) -> bool:
        """Whether ``peer`` is over its limit; counts nothing."""
        return self._now(peer) < 1

    def _now(self, peer: str) -> float:
        left, then_ns = self._left.get(peer, (self._burst, self._clock.now_ns()))
        return min(self._burst, left + (self._clock.now_ns() - then_ns) / 1e9 * self._per_s)
