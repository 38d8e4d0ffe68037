"""The run's numbers as Prometheus reads them (text exposition format 0.0.4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["exposed"]


def exposed(statistics: Mapping[str, Any], viewers: Sequence[Mapping[str, Any]]) -> str:
    """The statistics of the run, and the number of viewers, as text."""
    lines: list[str] = []
    for name, kind, told, samples in _metrics(statistics, viewers):
        lines += [f"# HELP rvm_live_{name} {told}", f"# TYPE rvm_live_{name} {kind}"]
        lines += [f"rvm_live_{name}{labels} {value}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def _metrics(
    statistics: Mapping[str, Any], viewers: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, str, str, list[tuple[str, float]]]]:
    def plain(name: str) -> list[tuple[str, float]]:
        return [("", statistics.get(name, 0))]

    yield "frames_captured_total", "counter", "Frames that the source delivered.", plain("captured")
    yield "frames_shown_total", "counter", "Different frames shown.", plain("unique")
    yield (
        "frames_repeated_total",
        "counter",
        "Frames shown again because nothing new came.",
        plain("repeated"),
    )
    dropped = [(_labels(queue=name), count) for name, count in statistics.get("dropped", {}).items()]
    yield "frames_dropped_total", "counter", "Frames dropped, by queue.", dropped
    yield "unique_fps", "gauge", "Different frames per second in the last two seconds.", plain("recent_fps")
    yield "uptime_seconds", "gauge", "Seconds since the first frame.", plain("elapsed_s")
    latencies = [
        (_labels(stage=stage, quantile=f"0.{quantile[1:]}"), value / 1000)
        for stage, quantiles in statistics.get("recent_ms", {}).items()
        for quantile, value in quantiles.items()
    ]
    yield "latency_seconds", "gauge", "Latency of the last frames, by stage.", latencies
    kinds = sorted({each["kind"] for each in viewers})
    counted = [(_labels(kind=kind), sum(each["kind"] == kind for each in viewers)) for kind in kinds]
    yield "viewers", "gauge", "Number of viewers.", [("", len(viewers))] if not kinds else counted


def _labels(**labels: str) -> str:
    def escaped(text: str) -> str:
        return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")

    return "{" + ",".join(f'{name}="{escaped(value)}"' for name, value in labels.items()) + "}"
