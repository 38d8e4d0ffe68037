"""The HTTP API ``/api/v1``, described in ``page/openapi.json``."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import asdict
from functools import partial
from importlib.resources import files
from pathlib import Path, PurePath
from typing import Any

import cv2
from aiohttp import web

from rvm_live import __version__
from rvm_live.sinks.recording.snapshot import encode_png
from rvm_live.sinks.web.costs import Costs
from rvm_live.sinks.web.exposition import exposed
from rvm_live.sinks.web.feed import Feed
from rvm_live.sinks.web.gallery import Gallery, drawn
from rvm_live.sinks.web.guard import JSON, OCTETS, Guard, Refused, Route
from rvm_live.sinks.web.hub import Hub
from rvm_live.sinks.web.keys import Role
from rvm_live.sinks.web.program import WebProgram
from rvm_live.sinks.web.uploads import received
from rvm_live.sinks.web.viewers import Viewers
from rvm_live.sinks.web.wishes import checked, shown

__all__ = ["Api"]

_PAGE = files("rvm_live.sinks.web") / "page"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".json": JSON, ".svg": "image/svg+xml"}
_BODY_S = 5.0
_SNAPSHOT_S = 5.0


class Api:
    """Answers requests.

    Args:
        program: the program that is shown and controlled.
        guard: who may ask.
        feeds: pictures, by kind.
        viewers: the connected viewers.
        hub: sends events to the open pages.
        pool: runs slow work, one item at a time.
    """

    def __init__(
        self,
        program: WebProgram,
        guard: Guard,
        feeds: Mapping[str, Feed],
        viewers: Viewers,
        hub: Hub,
        pool: Executor,
    ) -> None:
        self._program, self._guard, self._feeds, self._viewers = program, guard, feeds, viewers
        self._hub, self._pool = hub, pool
        self._gallery = Gallery(program)
        self._costs = Costs()
        self._recordings: dict[str, Path] = {}
        self._uploading = asyncio.Lock()

    def routes(self) -> list[Route]:
        """All routes."""
        api = "/api/v1"
        return [
            *(
                Route("GET", path, Role.NOBODY, partial(self._static, name), stranger=name.endswith(".html"))
                for path, name in _statics()
            ),
            Route("GET", "/stream.mjpg", Role.VIEW, self._viewers.mjpeg),
            Route("GET", "/metrics", Role.VIEW, self._metrics),
            Route("GET", f"{api}/openapi.json", Role.NOBODY, partial(self._static, "openapi.json")),
            Route("POST", f"{api}/session", Role.NOBODY, self._session, JSON),
            Route("GET", f"{api}/watch", Role.VIEW, self._viewers.watch),
            Route("GET", f"{api}/snapshot", Role.VIEW, self._snapshot),
            Route("GET", f"{api}/statistics", Role.VIEW, self._statistics),
            Route("GET", f"{api}/state", Role.STEER, self._state),
            Route("GET", f"{api}/events", Role.STEER, self._events),
            Route("POST", f"{api}/controls", Role.STEER, self._controls, JSON),
            Route("POST", f"{api}/actions/{{name}}", Role.STEER, self._act, JSON),
            Route("POST", f"{api}/backgrounds", Role.STEER, self._bring, OCTETS),
            Route("GET", f"{api}/backgrounds/{{id}}/thumbnail", Role.STEER, self._thumbnail),
            Route("GET", f"{api}/recordings/{{id}}", Role.STEER, self._recording),
        ]

    # What the pages are told -----------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything the page shows beside the picture."""
        return {
            "version": __version__,
            "controls": shown(self._program.controls.state()),
            "about": self.about(),
            "choices": self.choices(),
            "backgrounds": self.backgrounds(),
            "actions": sorted(self._program.actions),
            "recordings": self.recordings(),
            "status": self.status(),
            "view_token": self._guard.keys.view,
        }

    def parts(self) -> Mapping[str, Callable[[], Any]]:
        """Parts of it that are checked for changes: name of an event -> the part now."""
        return {"choices": self.choices, "backgrounds": self.backgrounds, "recordings": self.recordings}

    def about(self) -> dict[str, Any]:
        """Kind, limits and text of every control."""
        return {
            each["name"]: {"kind": each["kind"], "limits": each["limits"], "text": each["text"]}
            for each in self._program.controls.describe()
        }

    def choices(self) -> dict[str, list[Any]]:
        """The values to choose from now, of every control that has some."""
        controls = self._program.controls
        found = {name: list(controls.choices(name)) for name in controls.state()}
        return {name: choices for name, choices in found.items() if choices}

    def backgrounds(self) -> list[Mapping[str, Any]]:
        """The gallery's list."""
        controls = self._program.controls
        return self._gallery.listed(list(controls.choices("background"))) if "background" in controls.state() else []

    def status(self) -> dict[str, Any]:
        """What runs now."""
        status = asdict(self._program.status())
        status["recording"] = None if status["recording"] is None else PurePath(status["recording"]).name
        status["messages"] = [str(each) for each in status["messages"]]
        status["viewers"] = list(self._viewers.told())
        status["costs"] = self._costs.seen(status, self._program.controls.state())
        return status

    def recordings(self) -> list[Mapping[str, Any]]:
        """Finished recordings, each with an id."""
        known = {path: id for id, path in self._recordings.items()}
        told: list[Mapping[str, Any]] = []
        for path in self._program.recordings():
            if not path.is_file():
                continue
            id = known.get(path) or secrets.token_hex(8)
            self._recordings[id] = path
            told.append({"id": id, "name": path.name, "bytes": path.stat().st_size})
        return told

    # Answers ---------------------------------------------------------------------------------------------------

    async def _static(self, name: str, request: Any) -> Any:
        kind = _TYPES[PurePath(name).suffix]
        return web.Response(body=(_PAGE / name).read_bytes(), content_type=kind, charset="utf-8")

    async def _session(self, request: Any) -> Any:
        body = await self._body(request)
        token = body.get("token") if isinstance(body, dict) else None
        if not isinstance(token, str):
            raise Refused(400, 'send {"token": "..."}')
        role, session = self._guard.admit(request, token)
        response = web.json_response({"role": role.name.lower()})
        secure = request.headers.get("Origin", "").startswith("https:")
        name = self._guard.cookie(role, request)
        response.set_cookie(name, session, httponly=True, samesite="Strict", path="/", secure=secure)
        return response

    async def _state(self, request: Any) -> Any:
        return web.json_response(await self._run(self.state))

    async def _events(self, request: Any) -> Any:
        return await self._hub.listen(request, {"state": await self._run(self.state)})

    async def _statistics(self, request: Any) -> Any:
        return web.json_response({**self._program.statistics(), "viewers": self._viewers.told()})

    async def _metrics(self, request: Any) -> Any:
        text = exposed(self._program.statistics(), self._viewers.told())
        return web.Response(text=text, content_type="text/plain")

    async def _controls(self, request: Any) -> Any:
        wishes = await self._body(request)

        def change() -> Mapping[str, Any]:
            return self._program.controls.set(**checked(self._program.controls, wishes))

        return web.json_response(shown(await self._run(change)))

    async def _act(self, request: Any) -> Any:
        action = self._program.actions.get(request.match_info["name"])
        if action is None:
            raise Refused(404, f"there is no action of that name: choose one of {', '.join(self._program.actions)}")
        await self._body(request)
        return web.json_response({"told": str(await self._run(action) or "")})

    async def _snapshot(self, request: Any) -> Any:
        feed = self._feeds.get(kind := request.query.get("kind", "cutout"))
        if feed is None:
            raise Refused(400, f"there is no kind {kind[:40]!r}: choose one of {', '.join(self._feeds)}")
        with feed.looked_at():
            try:
                image = (await asyncio.wait_for(feed.newest(), _SNAPSHOT_S)).image
            except asyncio.TimeoutError:
                raise Refused(503, "there is no picture yet") from None
        if kind == "matte" and image.ndim == 3:
            image = cv2.extractChannel(image, 3) if image.shape[2] == 4 else image[..., 0] * 0
        data = await self._run(encode_png, image)
        return web.Response(body=data, content_type="image/png")

    async def _thumbnail(self, request: Any) -> Any:
        picture = await self._run(self._gallery.thumbnail, request.match_info["id"])
        if picture is None:
            raise Refused(404, "there is no thumbnail of that background")
        return web.Response(body=picture, content_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})

    async def _bring(self, request: Any) -> Any:
        if self._uploading.locked():
            raise Refused(429, "another upload is running: wait for it", **{"Retry-After": "5"})
        async with self._uploading:
            name = await received(request, self._take, self._run)
        self._hub.tell("backgrounds", await self._run(self.backgrounds))
        return web.json_response({"name": name}, status=201)

    def _take(self, path: Path, name: str) -> str:
        from rvm_live.backgrounds.parse import from_path

        for background in from_path(path):
            drawn(background)  # draw the first picture: an upload is checked more strictly than the user's own files
        return self._program.take_background(path, name)

    async def _recording(self, request: Any) -> Any:
        path = self._recordings.get(request.match_info["id"])
        if path is None or not path.is_file():
            raise Refused(404, "there is no recording of that id")
        quoted = path.name.encode("ascii", "replace").decode().replace('"', "'").replace("\\", "_")
        return web.FileResponse(path, headers={"Content-Disposition": f'attachment; filename="{quoted}"'})

    async def _body(self, request: Any) -> Any:
        try:
            return json.loads(await asyncio.wait_for(request.text(), _BODY_S))
        except asyncio.TimeoutError:
            raise Refused(408, "too slow") from None
        except (ValueError, LookupError, RecursionError):
            raise Refused(400, "this is not JSON") from None

    async def _run(self, work: Callable[..., Any], *args: Any) -> Any:
        """Run slow work outside the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *args)


def _statics() -> list[tuple[str, str]]:
    """Path and file of everything that makes the pages."""
    names = sorted(each.name for each in _PAGE.iterdir() if PurePath(each.name).suffix in _TYPES)
    pages = {"index.html": "/", "obs.html": "/obs"}
    return [(pages.get(name, f"/page/{name}"), name) for name in names if name != "openapi.json"]
