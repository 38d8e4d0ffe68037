"""Licences of engines' code and weights, and whether they are allowed.

The licences of the built-in engines are listed here. Other classes give theirs in ``licence`` and
``weights_licence`` (SPDX identifiers, ``none`` for an engine without weights); else its package's metadata is asked.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata, packages_distributions

from rvm_live.core.errors import SettingsError
from rvm_live.core.registry import ENGINES
from rvm_live.core.settings import LICENCES
from rvm_live.weights import MODELS_LICENCE

__all__ = ["NONE", "UNKNOWN", "Licences", "check_licences", "licences_of", "refusal"]

UNKNOWN, NONE = "unknown", "none"
_OWN = "Apache-2.0"
_RUNTIMES = {"BSD-3-Clause": "PyTorch", "Apache-2.0": "OpenVINO", "MIT": "ONNX Runtime"}


@dataclass(frozen=True)
class Licences:
    """Of one engine.

    Attributes:
        code: of what computes: the engine's own and its runtime's, SPDX identifiers.
        weights: of what was learnt; :data:`NONE` where nothing was, :data:`UNKNOWN` where the user brings a file.
        needs: what it does not work without, a few words.
    """

    code: tuple[str, ...]
    weights: str
    needs: str

    @property
    def code_text(self) -> str:
        """In words: which is whose."""
        first, *others = self.code
        return ", ".join([first, *(f"{each} ({_RUNTIMES.get(each, 'runtime')})" for each in others)])


_BUILT_IN = {
    "chroma": Licences((_OWN,), NONE, "a green or blue screen"),
    "lite": Licences((_OWN, "BSD-3-Clause"), _OWN, "nothing: its weights are included"),
    "onnx": Licences((_OWN, "MIT"), UNKNOWN, "ONNX Runtime, and a file (--weights)"),
    "openvino": Licences((_OWN, "Apache-2.0"), MODELS_LICENCE, "OpenVINO, and RVM's weights"),
    "rvm": Licences((_OWN, "BSD-3-Clause"), MODELS_LICENCE, "RVM's weights; a GPU is recommended"),
    "torchscript": Licences((_OWN, "BSD-3-Clause"), UNKNOWN, "a file (--weights)"),
}


def licences_of(name: str) -> Licences:
    """The licences of an engine.

    Args:
        name: of the registry, or ``package.module:Class``.

    Raises:
        SettingsError: there is no such engine.
    """
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    made = ENGINES.load(name)
    code = str(getattr(made, "licence", "") or _of_package(str(getattr(made, "__module__", ""))))
    return Licences((code,), str(getattr(made, "weights_licence", "") or UNKNOWN), "see its package")


def refusal(name: str, allowed: Collection[str]) -> str:
    """Why an engine may not run, one clause; empty if it may.

    Args:
        name: of the engine.
        allowed: families of licences, as in :data:`~rvm_live.core.settings.LICENCES`; empty: all of them.
    """
    if not allowed:
        return ""
    found = licences_of(name)
    for what, licence in (*(("code", each) for each in found.code), ("weights", found.weights)):
        if licence != NONE and not _fits(licence, allowed):
            told = "unknown" if licence == UNKNOWN else licence
            return f"the licence of its {what} is {told}, but only {', '.join(allowed)} may be used"
    return ""


def check_licences(name: str, allowed: Collection[str]) -> None:
    """Refuse an engine before it is made.

    Raises:
        SettingsError: its licence, or that of its weights, is not allowed.
    """
    if told := refusal(name, allowed):
        raise SettingsError(f"engine {name} is refused: {told} (--require-licence)")


def _fits(licence: str, allowed: Collection[str]) -> bool:
    """Of an SPDX expression: each part, and of alternatives one, is allowed; brackets are beyond this."""
    parts = re.split(r"\s+and\s+", licence, flags=re.IGNORECASE)
    return all(
        any(family(each) in allowed for each in re.split(r"\s+or\s+", part, flags=re.IGNORECASE)) for part in parts
    )


def family(licence: str) -> str:
    """The family of an SPDX identifier or of a name in words: ``BSD-3-Clause`` is of ``bsd``; else it itself."""
    words = licence.casefold()
    for each in LICENCES:
        if re.match(rf"{each}\b(?!-(nc|nd))", words):
            return each
    return words


def _of_package(module: str) -> str:
    top = module.partition(".")[0]
    try:
        about = metadata(packages_distributions().get(top, [top])[0]).json
    except (PackageNotFoundError, IndexError):
        return UNKNOWN
    told = str(about.get("license_expression") or about.get("license") or "").strip()
    return told.splitlines()[0] if told else UNKNOWN  # some packages put the whole text there
