"""The statistics, notices and help that lie over the picture, drawn at the window's own pixel size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from rvm_live.clock import SYSTEM_CLOCK, Clock
from rvm_live.gpu import GpuReading
from rvm_live.sinks import text
from rvm_live.sinks.hotkeys import HOTKEYS
from rvm_live.sinks.panel import AMBER, RED, TEXT, Panel, Row, blend, fit_rows, lay_out, panel_height, text_size

__all__ = ["MESSAGE_SECONDS", "REFRESH_SECONDS", "Overlay", "Status", "statistics_rows"]

REFRESH_SECONDS = 0.2
"""The panels are drawn anew at most this often; in between they are only blended."""
MESSAGE_SECONDS = 10.0
"""How long a notice stays."""
_MESSAGE_LINES = 4


@dataclass(frozen=True)
class Status:
    """What the overlay tells; all of it about what really runs. Zero, empty or None: not known, not shown.

    Attributes:
        unique_fps: different frames shown per second, over the last seconds.
        matting_ms: median time of one frame in the matting engine, milliseconds, over the last seconds.
        compositing_ms: likewise in the compositor.
        total_ms: likewise from grab to display.
        total_p95_ms: its 95th percentile.
        device: torch device that does the matting, e.g. ``cuda:0``.
        device_name: the device in words.
        backend: compositing back end that made the last picture.
        engine: name of the engine.
        model: name of the network.
        precision: ``fp32``, ``bf16``, ``fp16`` or ``int8``, of this moment.
        ratio: downsample ratio the network works at, (0, 1].
        source: one line.
        size: width and height of the frames, pixels.
        drops: queue -> frames dropped so far.
        repeats: frames shown again because nothing new came.
        background: short name.
        recording: path that is being written, or None.
        gpu: newest reading, or None.
        phase: what is being waited for before the first picture, e.g. ``opening the camera``.
        messages: newest notices, fallbacks above all; each is shown for :data:`MESSAGE_SECONDS`.
    """

    unique_fps: float = 0.0
    matting_ms: float = 0.0
    compositing_ms: float = 0.0
    total_ms: float = 0.0
    total_p95_ms: float = 0.0
    device: str = ""
    device_name: str = ""
    backend: str = ""
    engine: str = ""
    model: str = ""
    precision: str = ""
    ratio: float = 0.0
    source: str = ""
    size: tuple[int, int] = (0, 0)
    drops: Mapping[str, int] = field(default_factory=dict)
    repeats: int = 0
    background: str = ""
    recording: str | None = None
    gpu: GpuReading | None = None
    phase: str = ""
    messages: tuple[str, ...] = ()


def _joined(*parts: str) -> str:
    return " · ".join(part for part in parts if part)


def _gpu_text(gpu: GpuReading) -> str:
    memory = ""
    if gpu.memory_used is not None:
        total = "" if gpu.memory_total is None else f"/{gpu.memory_total / 2**30:.1f}"
        memory = f"{gpu.memory_used / 2**30:.1f}{total} GiB"
    return _joined(
        "" if gpu.utilisation is None else f"{gpu.utilisation} %",
        memory,
        "" if gpu.temperature is None else f"{gpu.temperature} °C",
        "" if gpu.power is None else f"{gpu.power:.0f} W",
        "" if gpu.clock is None else f"{gpu.clock} MHz",
    )


def statistics_rows(status: Status, display: str) -> list[Row]:
    """The lines of the statistics panel, in order; what is unknown is left out."""
    width, height = status.size
    drops = _joined(*(f"{name} {count}" for name, count in status.drops.items() if count)) or "none"
    repeats = f"{status.repeats} repeated" if status.repeats else ""
    ratio = f"ratio {status.ratio:.3f}".rstrip("0").rstrip(".") if status.ratio else ""
    model = " ".join(part for part in (status.engine, status.model, status.precision) if part)
    device = _joined(status.device, status.device_name)
    gpu = _gpu_text(status.gpu) if status.gpu is not None else ""
    p95 = f"p95 {status.total_p95_ms:.1f}" if status.total_p95_ms else ""
    rows = [
        Row("", "fps", f"{status.unique_fps:.1f}", rank=0, scale=1.5),
        _latency("AI", status.matting_ms, rank=2),
        _latency("Compositing", status.compositing_ms, rank=3),
        _latency("Total", status.total_ms, p95, rank=1),
        Row("Device", device, rank=4) if device else None,
        Row("Backend", status.backend, rank=5) if status.backend else None,
        Row("Model", _joined(model, ratio), rank=6) if model else None,
        Row("Drops", _joined(drops, repeats), rank=7),
        Row("GPU", gpu, rank=8) if gpu else None,
        Row("Background", status.background, rank=10) if status.background else None,
        Row("Source", _joined(f"{width}x{height}" if width else "", status.source), rank=11)
        if width or status.source
        else None,
        Row("View", display, rank=12),
        Row("Recording", PurePath(status.recording).name, colour=RED, rank=9) if status.recording else None,
    ]
    return [row for row in rows if row is not None]


def _latency(label: str, milliseconds: float, more: str = "", *, rank: int) -> Row:
    if not milliseconds:
        return Row(label, "-", rank=rank)
    return Row(label, _joined("ms", more), f"{milliseconds:.1f}", rank=rank)


class Overlay:
    """Keeps the drawn panels and blends them into pictures.

    Args:
        clock: decides when panels are drawn anew and notices go.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._key: tuple[object, ...] | None = None
        self._drawn_ns = 0
        self._panels: list[tuple[Panel, int, int]] = []
        self._seen: dict[str, int] = {}
        self._own: dict[str, int] = {}
        self._width = 0
        self._began = False
        self.redraws = 0

    @property
    def due(self) -> bool:
        """Whether the panels are old enough to be drawn anew."""
        return self._clock.now_ns() - self._drawn_ns >= REFRESH_SECONDS * 1e9

    def tell(self, message: str) -> None:
        """Show a notice of one's own, beside the status's."""
        self._own[message] = self._clock.now_ns()
        self._seen.pop(message, None)

    def restart_messages(self) -> None:
        """Show the present notices for their full time from now on."""
        self._seen.clear()

    def draw(
        self,
        canvas: NDArray[np.uint8],
        status: Callable[[], Status],
        *,
        display: str,
        statistics: bool,
        help: bool,
        starting: bool = False,
    ) -> None:
        """Lay the panels over ``canvas`` (uint8 (H, W, 3) BGR, the window's size), in place.

        Args:
            canvas: the picture.
            status: asked for what to tell whenever the panels are drawn anew.
            display: name of the view.
            statistics: show the statistics.
            help: show the keys.
            starting: there is no picture, yet or any more; tell what is being waited for.
        """
        self._began = self._began or not starting
        height, width = canvas.shape[:2]
        key = (width, height, display, statistics, help, starting)
        if key != self._key or self.due:
            if self._key is None or key[:2] != self._key[:2]:
                self._width = 0
            self._key = key
            self._drawn_ns = self._clock.now_ns()
            self._panels = self._draw(width, height, status(), display, statistics, help, starting)
            self.redraws += 1
        for panel, x, y in self._panels:
            blend(canvas, panel, x, y)

    def _draw(
        self, width: int, height: int, status: Status, display: str, statistics: bool, help: bool, starting: bool
    ) -> list[tuple[Panel, int, int]]:
        size = text_size(width, height)
        margin = max(4, size // 2)
        placed: list[tuple[Panel, int, int]] = []
        if starting:
            messages = self._fresh(status.messages) if self._began else list(status.messages[-3:])
            title = "no picture …" if self._began else "starting …"
            panel = _waiting_panel(title, status.phase, messages, size, width - 2 * margin, height - 2 * margin)
            placed.append((panel, (width - panel.width) // 2, (height - panel.height) // 2))
        keys = _help_panel(size, width - 2 * margin, height - 2 * margin) if help else None
        bottom = height - margin
        messages = [] if starting else self._fresh(status.messages)
        notice = _message_panel(messages, size, width - 2 * margin) if messages else None
        if notice is not None and (keys is None or keys.height + notice.height + 3 * margin <= height):
            bottom -= notice.height
            placed.append((notice, margin, bottom))
            bottom -= margin
        if statistics and not starting:
            rows = fit_rows(statistics_rows(status, display), bottom - margin, size)
            limit = min(width - 2 * margin, max(31 * size, round(width * 0.42)))
            if rows:
                panel = lay_out(rows, size, limit, min_width=min(self._width, limit))
                self._width = max(self._width, panel.width)  # a panel that breathes with its numbers is restless
                if keys is None or panel.width + keys.width + 3 * margin <= width:
                    placed.append((panel, margin, margin))
        if keys is not None:
            placed.append((keys, width - margin - keys.width, margin))
        return placed

    def _fresh(self, messages: tuple[str, ...]) -> list[str]:
        now = self._clock.now_ns()
        self._own = {text: since for text, since in self._own.items() if now - since < MESSAGE_SECONDS * 1e9}
        messages += tuple(self._own)
        self._seen = {message: self._seen.get(message, now) for message in messages}
        return [message for message in messages if now - self._seen[message] < MESSAGE_SECONDS * 1e9]


def _message_panel(messages: list[str], size: int, max_width: int) -> Panel:
    lines: list[str] = []
    for message in reversed(messages):  # the newest is kept whole
        broken = text.wrap(message, max_width - 2 * size, size, 3)
        if len(lines) + len(broken) > _MESSAGE_LINES and lines:
            break
        lines = broken + lines
    return lay_out([Row("", line, colour=AMBER) for line in lines], size, max_width)


def _waiting_panel(title: str, phase: str, messages: list[str], size: int, max_width: int, max_height: int) -> Panel:
    rows = [Row("", title, scale=1.5)]
    if phase:
        rows.append(Row("", phase, rank=1))
    for message in messages:
        if phase and message.startswith(phase):
            continue  # said already
        rows += [Row("", line, colour=AMBER, rank=2) for line in text.wrap(message, max_width - 2 * size, size, 2)]
    return lay_out(fit_rows(rows, max_height, size) or rows[:1], size, max_width)


def _help_panel(size: int, max_width: int, max_height: int) -> Panel:
    rows = [Row(key.label, key.text, label_colour=TEXT, label_weight=text.SEMIBOLD) for key in HOTKEYS]
    while size > 8 and panel_height(rows, size) > max_height:
        size -= 1
    return lay_out(rows, size, max_width)
