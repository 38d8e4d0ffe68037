"""The web page of a live run: where it is served, what it shows and controls, and how its address is reported."""

from __future__ import annotations

import tempfile
import threading
import webbrowser
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rvm_live.backgrounds.own import OwnBackgrounds
from rvm_live.backgrounds.transparent import TransparentBackground
from rvm_live.compositing.composer import Composer
from rvm_live.compositing.output import Output
from rvm_live.core.clock import Clock
from rvm_live.core.controls import Controls
from rvm_live.core.errors import UnavailableError
from rvm_live.core.settings import LiveSettings
from rvm_live.pipeline.metrics import Snapshot
from rvm_live.sinks.recording.recording_switch import RecordingSwitch
from rvm_live.sinks.window.status import Status
from rvm_live.system.folders import cache_folder, kept_in
from rvm_live.system.installed import adding

if TYPE_CHECKING:
    from rvm_live.sinks.web.sink import WebSink

__all__ = ["LivePage"]


class LivePage:
    """Serves the page of a run. Made before the run's other parts, because it tells what the composer has to make;
    connected to them afterwards.

    Args:
        settings: of the run.
        tell: called with one-line messages.
        clock: monotonic time.

    Raises:
        SettingsError: an address is wrong.
        UnavailableError: the extra is not installed.
    """

    def __init__(self, settings: LiveSettings, tell: Callable[[str], None], clock: Clock) -> None:
        if find_spec("aiohttp") is None:
            raise UnavailableError(f"--web needs aiohttp: {adding('web')}")
        from rvm_live.sinks.web.address import Address, check_origin

        self._address = Address.parse(settings.web or "")
        self._origins = tuple(check_origin(each) for each in settings.web_origins)
        self._settings, self._tell, self._clock = settings, tell, clock
        self._sink: WebSink | None = None
        self._led: Path | None = None

    def outputs(self) -> Mapping[str, Output]:
        """What the composer makes beside the picture, while anybody looks at it."""
        from rvm_live.sinks.web.sink import OUTPUT

        def wanted() -> bool:
            return self._sink is not None and self._sink.wants_cut_out

        return {OUTPUT: Output(TransparentBackground(), wanted=wanted)}

    def sink(
        self,
        *,
        controls: Controls,
        status: Callable[[], Status],
        snapshot: Callable[[], Snapshot],
        composer: Composer,
        own: OwnBackgrounds,
        recording: RecordingSwitch,
        actions: Mapping[str, Callable[[], Any]],
    ) -> WebSink:
        """The output that serves it."""
        from rvm_live.sinks.web.program import WebProgram
        from rvm_live.sinks.web.sink import WebSink

        program = WebProgram(
            controls,
            status,
            lambda: asdict(replace(snapshot(), dropped=dict(status().drops))),
            composer.background_named,
            own.keep,
            lambda: list(recording.saved),
            actions,
        )
        self._sink = WebSink(
            self._address,
            program,
            composer.background_only,
            opened=self._opened,
            size=(self._settings.source.width or 1280, self._settings.source.height or 720),
            origins=self._origins,
            clock=self._clock,
        )
        return self._sink

    def close(self) -> None:
        """Remove the file that leads to the page."""
        if self._led is not None:
            self._led.unlink(missing_ok=True)

    def _opened(self, page: str, source: str) -> None:
        self._tell(f"rvm-live: the page: {page}")
        self._tell(f"rvm-live: for OBS, view only: {source}")
        if self._settings.open_page:
            # The token is on no command line, because everybody on this machine could read it there.
            self._led = _leading_to(page)
            address = self._led.as_uri()
            threading.Thread(target=lambda: webbrowser.open(address), name="browser", daemon=True).start()


def _leading_to(page: str) -> Path:
    """A file that nobody else can read and that leads to the page."""
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", dir=kept_in(cache_folder()), prefix="page-", suffix=".html", delete=False
    ) as file:
        file.write(f'<!doctype html><meta http-equiv="refresh" content="0; url={escape(page)}"><title>rvm-live</title>')
    return Path(file.name)
