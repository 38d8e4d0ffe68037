"""Finds a setting that helps: proposals by rules are tried on the windows that look worst."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from rvm_live import weights
from rvm_live.apps.check.figures import FIGURES
from rvm_live.apps.check.judging import Judged, Summary, judged, summed
from rvm_live.apps.check.subject import OTHER, Subject
from rvm_live.apps.check.windows import Window
from rvm_live.core.errors import RvmLiveError, WeightsError
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.base import EngineInfo
from rvm_live.engines.choice import EMBEDDED
from rvm_live.engines.licences import refusal

__all__ = ["DARK", "Advice", "Proposal", "Sample", "Tried", "advise", "proposals"]

HELPS = 0.9
"""A setting helps if its figure falls to this share of its former value, or less."""
HARMS = 1.1
"""A setting harms if another figure rises to this multiple of its former value, and above the usual."""
DARK = 60.0
"""Grey level, of 255: a person whose mean is darker sits in the dark."""
_LIT = 110.0
_SMALL = 0.25
"""Share of the picture that the box around a small person fills at most."""
_RVM = ("openvino", "rvm")
_AUTO: Mapping[str, Any] = {"engine": "auto", "weights": None, "precision": "auto"}


@dataclass(frozen=True, repr=False)
class Sample:
    """A window whose pictures were kept.

    Attributes:
        window: the pictures.
        alphas: uint8 (H, W), what was made of each.
        frames: those that were judged.
    """

    window: Window
    alphas: tuple[NDArray[np.uint8], ...]
    frames: tuple[Judged, ...]


class Proposal(NamedTuple):
    """A setting that may help.

    Attributes:
        option: as it is written on the command line, or in words.
        figure: name of the figure that is to fall.
        why: a clause.
        changes: fields of the engine's settings -> values.
        gain: factor by which the pictures are brightened; for advice that is not a setting.
    """

    option: str
    figure: str
    why: str
    changes: Mapping[str, Any] = {}
    gain: float = 1.0


@dataclass(frozen=True)
class Tried:
    """Result of a proposal on the windows that look worst.

    Attributes:
        option: as proposed.
        figure: likewise.
        why: likewise.
        before: the figure's mean on those windows.
        after: with the setting; None where it does not work here.
        helps: it falls enough, and nothing else rises.
        instead: why it does not work here, or what rises.
    """

    option: str
    figure: str
    why: str
    before: float
    after: float | None
    helps: bool
    instead: str = ""

    def words(self) -> str:
        """What was found, one line."""
        title, unit = next((each.title, each.unit) for each in FIGURES if each.name == self.figure)
        if self.after is None:
            return f"{self.option}: does not work here: {self.instead}"
        told = f"{self.option}: {title} {self.before:.2f} to {self.after:.2f} {unit}"
        return f"{told}, but {self.instead}" if self.instead else told


@dataclass(frozen=True)
class Advice:
    """The setting that helps, and what else was tried.

    Attributes:
        best: the one that helps most; None where none does.
        tried: all of them.
        hints: what could not be tried.
    """

    best: Tried | None = None
    tried: tuple[Tried, ...] = ()
    hints: tuple[str, ...] = field(default=())

    def words(self) -> Iterator[str]:
        """Lines for people."""
        if self.best is not None:
            yield f"{self.best.option} would help: {self.best.why}."
            yield "Settings tried on the parts that look worst:"
        elif self.tried:
            yield "None of the settings tried on the parts that look worst helps:"
        elif not self.hints:
            yield "No figure is bad enough that a setting would help."
        yield from (each.words() for each in self.tried)
        yield from self.hints

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        best = None if self.best is None else self.best.option
        return {"option": best, "tried": [asdict(each) for each in self.tried], "hints": list(self.hints)}


def advise(
    settings: EngineSettings,
    info: EngineInfo,
    summary: Mapping[str, Summary],
    samples: Sequence[Sample],
    tell: Callable[[str], None] = lambda line: None,
) -> Advice:
    """Try what the rules propose.

    Args:
        settings: of the engine that was judged.
        info: what ran.
        summary: what its figures were.
        samples: windows on which to try.
        tell: called with one line about what is done now.
    """
    before = summed(frame for sample in samples for frame in sample.frames)
    tried = []
    for each in proposals(settings, info, summary, samples):
        if each.figure in before:
            tell(f"trying {each.option}")
            tried.append(_tried(each, settings, before, samples))
    best = max(
        (each for each in tried if each.helps), key=lambda one: one.before / max(one.after or 0, 1e-9), default=None
    )
    hints: tuple[str, ...] = ()
    if info.engine == EMBEDDED and _rvm_here(settings) is False:
        hints = ("Not tried, because RVM's weights are not here: run rvm-live weights pull",)
    return Advice(best, tuple(tried), hints)


def proposals(
    settings: EngineSettings, info: EngineInfo, summary: Mapping[str, Summary], samples: Sequence[Sample]
) -> Iterator[Proposal]:
    """Settings that may help: for each figure that is worse than usual, by its likely cause."""
    ratio = info.downsample_ratio
    usual = {each.name: each.usual for each in FIGURES}
    high = {name for name, found in summary.items() if found.mean > usual[name][0]}
    if info.engine == EMBEDDED and _rvm_here(settings):
        why = "RVM makes finer edges than lite"
        yield Proposal("--engine auto", "disagreement", why, {**_AUTO, "downsample_ratio": None})
    if "disagreement" in high and info.engine in _RVM and 0 < ratio < 1:
        larger = min(1.0, round(ratio * OTHER, 2))
        why = "the network's picture is too small"
        yield Proposal(f"--downsample-ratio {larger:g}", "disagreement", why, {"downsample_ratio": larger})
    if "disagreement" in high and not settings.box and info.mattes_on == "cpu" and _small(samples):
        yield Proposal("--box", "disagreement", "the person is small in the picture", {"box": True})
    steady = info.engine == EMBEDDED if settings.steady is None else settings.steady
    if "flicker" in high and not steady and info.mattes_on == "cpu":
        yield Proposal("--steady", "flicker", "the edge flickers where nothing moves", {"steady": True})
    if "disagreement" in high and (level := _brightness(samples)) < DARK:
        yield Proposal("more light", "disagreement", "the person is too dark", gain=_LIT / max(level, 1.0))


def _rvm_here(settings: EngineSettings) -> bool | None:
    """Whether RVM's weights are on this machine; None where RVM is refused, or what is there is no good."""
    if refusal("rvm", settings.require_licence):
        return None
    try:
        return weights.locate(replace(settings, **_AUTO)) is not None
    except WeightsError:
        return None


def _tried(
    proposal: Proposal, settings: EngineSettings, before: Mapping[str, Summary], samples: Sequence[Sample]
) -> Tried:
    was = before[proposal.figure].mean

    def told(after: float | None, helps: bool, instead: str = "") -> Tried:
        return Tried(proposal.option, proposal.figure, proposal.why, was, after, helps, instead)

    try:
        after = summed(_judged_with(replace(settings, **proposal.changes), proposal.gain, samples))
    except RvmLiveError as error:
        return told(None, False, str(error))
    if proposal.figure not in after:
        return told(None, False, "there is no second estimate to compare with")
    now = after[proposal.figure].mean
    worse = [
        f"{each.title} rises to {after[each.name].mean:.2f}"
        for each in FIGURES
        if each.name in before
        and each.name in after
        and after[each.name].mean > max(before[each.name].mean * HARMS, each.usual[0])
    ]
    return told(now, now <= was * HELPS and not worse, ", ".join(worse))


def _judged_with(settings: EngineSettings, gain: float, samples: Sequence[Sample]) -> list[Judged]:
    found: list[Judged] = []
    subject = Subject(settings)
    other: Subject | None = None
    try:
        for number, sample in enumerate(samples):
            window = _brightened(sample.window, gain)
            alphas = subject.alphas(window)
            if number == 0:
                other = subject.other()
            found += [each for _, each in judged(window, alphas, None if other is None else other.alphas(window))]
    finally:
        subject.close()
        if other is not None:
            other.close()
    return found


def _brightened(window: Window, gain: float) -> Window:
    if gain == 1.0:
        return window
    return replace(window, images=tuple(cv2.convertScaleAbs(image, alpha=gain) for image in window.images))


def _brightness(samples: Sequence[Sample]) -> float:
    """Mean grey level of the person, 0-255; 255 where there is none."""
    levels = []
    for sample in samples:
        image, alpha = sample.window.images[-1], sample.alphas[-1]
        solid = (alpha >= 128).astype(np.uint8)
        if solid.any():
            levels.append(cv2.mean(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), solid)[0])
    return float(np.mean(levels)) if levels else 255.0


def _small(samples: Sequence[Sample]) -> bool:
    """Whether the box around the person fills little of every picture."""
    shares = []
    for sample in samples:
        alpha = sample.alphas[-1]
        _, _, width, height = cv2.boundingRect((alpha >= 128).astype(np.uint8))
        shares.append(width * height / alpha.size)
    return 0 < max(shares, default=0.0) <= _SMALL
