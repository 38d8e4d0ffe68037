"""What ``--engine auto`` takes, and why: RVM where its weights are or may be fetched, else the embedded ``lite``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from rvm_live import weights
from rvm_live.core.errors import NoNetworkError, WeightsError
from rvm_live.core.registry import ENGINES
from rvm_live.core.settings import MODELS, EngineSettings
from rvm_live.engines.base import EngineInfo
from rvm_live.engines.licences import check_licences, refusal
from rvm_live.system.cpu_info import accelerator_wanted
from rvm_live.weights import consent

__all__ = ["EMBEDDED", "FOR_CPUS", "NO_NETWORK", "Choice", "choose", "embedded_settings", "question_open", "told_once"]

EMBEDDED = "lite"
FOR_CPUS = ("openvino",)
_SIMPLE = "simple cut-out"
NO_NETWORK = "No network: press w later"


@dataclass(frozen=True)
class Choice:
    """What to try.

    Attributes:
        names: engines, best first.
        settings: theirs; ``weights`` is set where they were fetched.
        reason: why it is not RVM, one clause; empty where it is.
        agreed: RVM was to come, and could not be had.
    """

    names: tuple[str, ...]
    settings: EngineSettings
    reason: str = ""
    agreed: bool = False


def choose(settings: EngineSettings, progress: Any = None) -> Choice:
    """Decide, and fetch what may be fetched.

    RVM is taken where its weights are named or lie in the cache, where a ``model`` of it was asked for, and where the
    user once agreed to the download. It falls to ``lite`` where that download fails; bad weights that were named are an
    error, for whoever names some wants those.

    Args:
        settings: those of ``--engine auto``.
        progress: handed on to :func:`rvm_live.weights.resolve`.

    Raises:
        WeightsError: what was named is not there, or the asked-for ``model`` cannot be had.
        SettingsError: no engine's licence is one of those that are allowed.
    """
    if told := refusal("rvm", settings.require_licence):
        named = settings.weights is not None or settings.model is not None
        check_licences("rvm" if named else EMBEDDED, settings.require_licence)
        return _embedded(settings, f"RVM is refused: {told} (--require-licence)")
    if weights.locate(settings) is not None:
        return Choice(_rvm(settings), settings)
    if settings.model is not None:
        return Choice(_rvm(settings), replace(settings, weights=weights.resolve(settings, progress=progress)))
    if settings.offline:
        return _embedded(settings, "RVM's weights are not here, and nothing may be fetched (offline)")
    agreed = consent.remembered()
    if not agreed:
        why = "RVM's weights are not here" + (" and you chose not to fetch them" if agreed is False else "")
        return _embedded(settings, f"{why}: `rvm-live weights pull` fetches them")
    try:
        return Choice(_rvm(settings), replace(settings, weights=weights.resolve(settings, progress=progress)))
    except NoNetworkError:
        return replace(_embedded(settings, "RVM's weights could not be fetched: no network"), agreed=True)
    except WeightsError as error:
        return replace(_embedded(settings, f"RVM's weights could not be fetched: {error}"), agreed=True)


def embedded_settings(asked: EngineSettings) -> EngineSettings:
    """Settings of :data:`EMBEDDED` where it stands in for what was asked for."""
    own = replace(asked, engine=EMBEDDED, device="cpu", precision="auto", weights=None, model=None)
    return replace(own, downsample_ratio=None)


def question_open(settings: EngineSettings) -> bool:
    """Whether the user has yet to say if RVM's weights may be fetched.

    Raises:
        WeightsError: what was named is not there.
    """
    if settings.engine != "auto" or settings.offline or settings.model is not None:
        return False
    if refusal("rvm", settings.require_licence):
        return False
    return weights.locate(settings) is None and consent.remembered() is None


def told_once(ran: EngineInfo, *, window: bool, offline: bool) -> str:
    """The line about a simple cut-out and what would be better: once a machine; empty if there is nothing to say.

    Args:
        ran: what runs.
        window: there is one, whose key ``w`` fetches it.
        offline: nothing may be fetched.
    """
    if ran.engine != EMBEDDED or not ran.remarks or consent.remembered() is not None:
        return ""
    simple = f"Simple cut-out ({EMBEDDED})."
    if window and not offline and weights.no_way_out():  # what is to be had is told once it can be had
        return f"{simple} {NO_NETWORK}" if consent.first_time(f"{_SIMPLE}, no network", of="told") else ""
    if not consent.first_time(_SIMPLE, of="told"):
        return ""
    what = weights.KNOWN[MODELS[0]].terms
    if offline:
        return f"{simple} Better edges need the network once: {what}"
    if window:
        return f"{simple} Press w for better edges: {what}"
    return f"{simple} Better edges: rvm-live weights pull ({what})"


def _rvm(settings: EngineSettings) -> tuple[str, ...]:
    on_gpu = accelerator_wanted(settings.device)
    return tuple(name for name in ENGINES.auto if not (on_gpu and name in FOR_CPUS))


def _embedded(settings: EngineSettings, reason: str) -> Choice:
    return Choice((EMBEDDED,), settings, reason)
