"""The choice of ``--engine auto``: RVM if its weights are here or may be fetched, else the embedded ``lite``."""

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
    """The engines to try.

    Attributes:
        names: engines, best first.
        settings: their settings; ``weights`` is set if they were fetched.
        reason: why it is not RVM, one clause; empty if it is.
        agreed: the user agreed to RVM, but it could not be fetched.
    """

    names: tuple[str, ...]
    settings: EngineSettings
    reason: str = ""
    agreed: bool = False


def choose(settings: EngineSettings, progress: Any = None) -> Choice:
    """Choose, and fetch weights if that is allowed.

    RVM is taken if its weights are named or in the cache, if one of its models was asked for, or if the
    user once agreed to the download. If that download fails, ``lite`` is taken; bad weights that were named are an
    error, because the user wants those.

    Args:
        settings: those of ``--engine auto``.
        progress: handed on to :func:`rvm_live.weights.resolve`.

    Raises:
        WeightsError: the named weights do not exist, or the wanted ``model`` cannot be fetched.
        SettingsError: no engine has an allowed licence.
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
        return _embedded(settings, "RVM's weights are not here, and nothing may be fetched (--offline)")
    agreed = consent.remembered()
    if not agreed:
        why = "RVM's weights are not here" + (" and you chose not to fetch them" if agreed is False else "")
        return _embedded(settings, f"{why}: fetch them with `rvm-live weights pull`")
    try:
        return Choice(_rvm(settings), replace(settings, weights=weights.resolve(settings, progress=progress)))
    except NoNetworkError:
        return replace(_embedded(settings, "RVM's weights could not be fetched: no network"), agreed=True)
    except WeightsError as error:
        return replace(_embedded(settings, f"RVM's weights could not be fetched: {error}"), agreed=True)


def embedded_settings(asked: EngineSettings) -> EngineSettings:
    """Settings for :data:`EMBEDDED` when it replaces the engine that was asked for."""
    own = replace(asked, engine=EMBEDDED, device="cpu", precision="auto", weights=None, model=None)
    return replace(own, downsample_ratio=None)


def question_open(settings: EngineSettings) -> bool:
    """Whether the user has not yet answered if RVM's weights may be fetched.

    Raises:
        WeightsError: the named weights do not exist.
    """
    if settings.engine != "auto" or settings.offline or settings.model is not None:
        return False
    if refusal("rvm", settings.require_licence):
        return False
    return weights.locate(settings) is None and consent.remembered() is None


def told_once(ran: EngineInfo, *, window: bool, offline: bool) -> str:
    """The line about the simple cut-out and what would be better, shown once per machine; empty if not needed.

    Args:
        ran: what runs.
        window: there is a window, whose key ``w`` fetches the better engine.
        offline: nothing may be fetched.
    """
    if ran.engine != EMBEDDED or not ran.remarks or consent.remembered() is not None:
        return ""
    simple = f"Simple cut-out ({EMBEDDED})."
    if window and not offline and weights.no_way_out():
        # Without a network, the better engine is offered later, once it can be downloaded.
        return f"{simple} {NO_NETWORK}" if consent.first_time(f"{_SIMPLE}, no network", of="told") else ""
    if not consent.first_time(_SIMPLE, of="told"):
        return ""
    what = weights.KNOWN[MODELS[0]].terms
    if offline:
        return f"{simple} For better edges a network connection is needed once: {what}"
    if window:
        return f"{simple} Press w for better edges: {what}"
    return f"{simple} Better edges: rvm-live weights pull ({what})"


def _rvm(settings: EngineSettings) -> tuple[str, ...]:
    on_gpu = accelerator_wanted(settings.device)
    return tuple(name for name in ENGINES.auto if not (on_gpu and name in FOR_CPUS))


def _embedded(settings: EngineSettings, reason: str) -> Choice:
    return Choice((EMBEDDED,), settings, reason)
