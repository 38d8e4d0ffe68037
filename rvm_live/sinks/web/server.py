"""The web server: an event loop on a thread of its own, which knows nothing of the pipeline but newest pictures."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from aiohttp import web

from rvm_live.core.clock import Clock
from rvm_live.core.errors import SinkError
from rvm_live.sinks.web.address import Address
from rvm_live.sinks.web.api import Api
from rvm_live.sinks.web.feed import KINDS, Feed, Picture
from rvm_live.sinks.web.guard import Guard
from rvm_live.sinks.web.hub import Hub
from rvm_live.sinks.web.keys import Keys
from rvm_live.sinks.web.program import WebProgram
from rvm_live.sinks.web.viewers import Viewers
from rvm_live.sinks.web.wishes import shown

__all__ = ["Server"]

_log = logging.getLogger("rvm_live")
_strangers = logging.getLogger("rvm_live.web")  # keeps malformed requests from strangers out of the log
_strangers.setLevel(logging.CRITICAL + 1)

_MOST_CONNECTIONS = 128
_FIRST_REQUEST_S = 10.0
_BODY = 64 << 10
_STATUS_S, _CHOICES_S = 0.5, 5.0
_END_S = 2.0


class Server:
    """Serves the page from :meth:`start` to :meth:`stop`, which are called on one thread; :meth:`offer` on any.

    Args:
        address: address to listen on.
        program: the program that is shown and controlled.
        keys: tokens and sessions.
        origins: addresses under which a proxy serves the page.
        clock: monotonic time.

    Attributes:
        address: address that it listens on, with its port, once it has started.
        guard: checks every request, once it has started.
    """

    def __init__(self, address: Address, program: WebProgram, keys: Keys, origins: Iterable[str], clock: Clock) -> None:
        self.address = address
        self._program, self._keys, self._origins, self._clock = program, keys, tuple(origins), clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._feeds: Mapping[str, Feed] = {}
        self._leave: Callable[[], None] = lambda: None
        self._silent: set[Any] = set()
        self.guard: Guard | None = None

    def wants(self, kind: str) -> bool:
        """Whether a viewer wants pictures of that kind; for any thread."""
        feed = self._feeds.get(kind)
        return feed is not None and feed.wanted > 0

    def offer(self, kind: str, picture: Picture) -> None:
        """A newer picture; for any thread."""
        loop, feed = self._loop, self._feeds.get(kind)
        if loop is not None and feed is not None:
            with suppress(RuntimeError):  # the loop is ending
                loop.call_soon_threadsafe(feed.offer, picture)

    def start(self) -> None:
        """Start listening and answering.

        Raises:
            SinkError: the address cannot be used.
        """
        listening = self._listening()
        started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(listening, started), name="rvm-web-server", daemon=True)
        self._thread.start()
        started.result()

    def stop(self) -> None:
        """Disconnect all, and stop."""
        loop, thread = self._loop, self._thread
        if loop is not None and thread is not None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._leave)
            thread.join(3 * _END_S)

    def _listening(self) -> socket.socket:
        """The open socket; another port where the usual one is taken."""
        ports = [self.address.port] if self.address.fixed else [self.address.port, 0]
        error: OSError = OSError()
        for port in ports:
            try:
                found = socket.getaddrinfo(self.address.host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
                family, kind, protocol, _, place = found[0]
                listening = socket.socket(family, kind, protocol)
            except OSError as failed:
                error = failed
                continue
            try:
                if hasattr(socket, "SO_REUSEADDR") and not _on_windows():
                    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listening.bind(place)
                listening.listen(_MOST_CONNECTIONS)
                self.address = self.address.at(listening.getsockname()[1])
                return listening
            except OSError as failed:
                error = failed
                listening.close()
        reason = error.strerror or str(error)
        raise SinkError(f"the page cannot be served at {self.address}: {reason}; name another with --web=HOST:PORT")

    def _run(self, listening: socket.socket, started: Future[None]) -> None:
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(self._serve(listening, started))
        except BaseException as error:
            if not started.done():
                started.set_exception(error)
            else:
                _log.exception("the page's server failed")
        finally:
            self._loop = None
            with suppress(Exception):
                loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
            listening.close()

    async def _serve(self, listening: socket.socket, started: Future[None]) -> None:
        loop = asyncio.get_running_loop()
        over = asyncio.Event()
        with _pool("encoder") as encoders, _pool("worker") as workers:
            for pool in (encoders, workers):
                await loop.run_in_executor(pool, int)  # starts their threads now
            feeds = {kind: Feed(kind, encoders) for kind in KINDS}
            guard = self.guard = Guard(self._keys, self.address.hosts, self._origins, self._clock)
            viewers, hub = Viewers(feeds, self._clock), Hub()
            self._look = asyncio.Event()
            api = Api(self._program, guard, feeds, viewers, hub, workers)

            async def door(request: Any, handler: Any) -> Any:
                self._silent.discard(request.protocol)
                return await guard.middleware(request, handler)

            app = web.Application(middlewares=[web.middleware(door)], client_max_size=_BODY)
            app.on_response_prepare.append(guard.headers)
            for route in api.routes():
                guard.routes[app.router.add_route(route.method, route.path, route.handler)] = route
            runner = web.AppRunner(
                app,
                access_log=None,
                logger=_strangers,
                handle_signals=False,
                keepalive_timeout=20,
                lingering_time=1,
                shutdown_timeout=0.5,
                max_field_size=4096,
                max_line_size=4096,
            )
            await runner.setup()
            server = await loop.create_server(lambda: self._connected(runner.server), sock=listening)
            self._feeds, self._loop, self._leave = feeds, loop, over.set
            telling = asyncio.ensure_future(self._tell(api, hub, workers))

            def told(changes: Mapping[str, Any]) -> None:
                loop.call_soon_threadsafe(self._changed, hub, dict(changes))

            unsubscribe = self._program.controls.subscribe(told)
            started.set_result(None)
            try:
                await over.wait()
            finally:
                unsubscribe()
                self._feeds = {}
                telling.cancel()
                server.close()
                hub.leave()
                await viewers.leave()
                await runner.cleanup()
                await asyncio.gather(telling, return_exceptions=True)

    def _connected(self, server: Any) -> Any:
        """A new client's handler; too many are refused, and one that sends no request is disconnected."""
        if len(server.connections) >= _MOST_CONNECTIONS:
            return _TurnedAway()
        talking = server()
        self._silent.add(talking)
        asyncio.get_running_loop().call_later(_FIRST_REQUEST_S, self._let_go, talking)
        return talking

    def _let_go(self, talking: Any) -> None:
        if talking in self._silent:
            self._silent.discard(talking)
            if talking.transport is not None:
                talking.transport.abort()

    def _changed(self, hub: Hub, changes: Mapping[str, Any]) -> None:
        hub.tell("controls", shown(changes))
        self._look.set()

    async def _tell(self, api: Api, hub: Hub, pool: ThreadPoolExecutor) -> None:
        """Keep the open pages up to date."""
        loop = asyncio.get_running_loop()
        last: dict[str, Any] = {}
        looked = 0.0
        while True:
            await asyncio.sleep(_STATUS_S)
            if not hub.wanted:
                last = {}
                continue
            try:
                hub.tell("status", await loop.run_in_executor(pool, api.status))
                if not self._look.is_set() and loop.time() - looked < _CHOICES_S:
                    continue
                self._look.clear()
                looked = loop.time()
                for event, ask in api.parts().items():
                    found = await loop.run_in_executor(pool, ask)
                    if last.get(event) != found:
                        last[event] = found
                        hub.tell(event, found)
            except RuntimeError:  # the pool has ended: end this task too
                raise
            except Exception:  # one part of the program failed: the page still shows the others
                _log.exception("the page cannot show the program's state")


class _TurnedAway(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        transport.abort()


def _pool(name: str) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, f"rvm-web-{name}")


def _on_windows() -> bool:
    return sys.platform == "win32"  # there reuse_address would let two programs use the same port
