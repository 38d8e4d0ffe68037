"""The delay of the picture, measured with the demo: by this much sound must be delayed."""

from __future__ import annotations

from dataclasses import replace

from rvm_live.apps.assembly import Assembly, failover, reconnecting
from rvm_live.apps.doctor.finding import Delay, Finding
from rvm_live.backgrounds.parse import default_cycle
from rvm_live.core.errors import RvmLiveError
from rvm_live.core.notices import Notices
from rvm_live.core.queues import Overflow
from rvm_live.core.settings import LiveSettings, SourceSettings

__all__ = ["SECONDS", "measure"]

SECONDS = 5.0
"""What it takes on a machine that keeps up."""
_FRAMES = 120
_LIMIT_S = 25.0
_FPS = 30.0
_LEAST_FRAMES = 30


def measure(settings: LiveSettings, frames: int = _FRAMES, limit_s: float = _LIMIT_S) -> tuple[Delay | None, Finding]:
    """Run the demo for a few seconds, without a window, as ``settings`` say otherwise; nothing is fetched.

    The delay runs from the grab of a frame to the finished composite. A virtual camera, which gives pictures at a rate
    of its own, adds half of its period in the mean.

    Returns:
        The delay, None where it could not be measured; and that as a finding.
    """
    source = SourceSettings("demo", settings.source.width, settings.source.height, fps=_FPS)
    notices = Notices()
    try:
        engine = failover(replace(settings.engine, offline=True), notices, live=True)
        parts = Assembly(
            reconnecting(source, notices),
            engine,
            default_cycle(settings.backgrounds),
            overflow=Overflow.DROP_OLDEST,
            notices=notices,
            compositor=settings.compositor,
        )
        pipeline = parts.pipeline(max_fps=_FPS, adaptive_fps=_FPS if settings.adaptive else None)
        snapshot = pipeline.run(frames=frames, duration=limit_s)
    except RvmLiveError as error:
        return None, Finding("delay", "delay", "note", f"not measured: {error}")
    total, ran, seen = snapshot.latency_ms.get("total"), pipeline.engine_info, pipeline.source_info
    if total is None or ran is None or seen is None or snapshot.unique < _LEAST_FRAMES:
        shown = f"{snapshot.unique} pictures in {snapshot.elapsed_s:.0f} s"
        return None, Finding("delay", "speed", "bad", f"too slow: {shown}", "try `--profile saver`")
    size = f"{seen.width}x{seen.height}"
    on = f"the demo, {size}, {ran.engine} on {ran.device}, {snapshot.unique_fps:.0f} fps"
    delay = Delay(round(total.p50, 1), round(total.p95, 1), round(total.p50 + 500.0 / _FPS), on)
    slow = snapshot.unique_fps < _FPS / 2
    return delay, Finding(
        "delay",
        "delay",
        "note" if slow else "good",
        f"{total.p50:.0f} ms from capture to the finished picture (95 % of pictures:  {total.p95:.0f} ms; {on})",
        "slow: try `--profile saver`" if slow else "",
    )
