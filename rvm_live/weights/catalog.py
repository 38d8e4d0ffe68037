"""The official checkpoints."""

from __future__ import annotations

import os
from dataclasses import dataclass

from rvm_live.core.validation import check_choice

__all__ = ["DEFAULT_MODEL", "KNOWN", "MODELS_LICENCE", "PINNED", "RELEASE", "KnownWeights", "known"]

RELEASE = "https://github.com/PeterL1n/RobustVideoMatting/releases/download/v1.0.0/"
"""Base of the official files; ``RVM_LIVE_WEIGHTS_URL`` names a mirror instead."""

PINNED = {
    "rvm_mobilenetv3_fp32.onnx": "88d4531297118f595bf2fd60f6f566aec2e559393802d1f436c380f0cbbd2828",
    "rvm_resnet50_fp32.onnx": "25db300fcb6ee27f941a1b52c97856e8d1f13c7f35817f81a612f89af0e8a85c",
}
"""SHA-256 of official files, where published. For the checkpoints none is published: the digest of the first download
is remembered (``cache.py``)."""

MODELS_LICENCE = "GPL-3.0"
"""Of the official release."""

DEFAULT_MODEL = "mobilenetv3"


@dataclass(frozen=True)
class KnownWeights:
    """One official checkpoint.

    Attributes:
        model: the network's variant.
        file: name of the file in the release and in the cache.
        parameters: number of trainable values.
    """

    model: str
    file: str
    parameters: int

    @property
    def url(self) -> str:
        """Where it is fetched from; reads ``RVM_LIVE_WEIGHTS_URL``."""
        base = os.environ.get("RVM_LIVE_WEIGHTS_URL") or RELEASE
        return base.rstrip("/") + "/" + self.file

    @property
    def least_bytes(self) -> int:
        """Smallest size of a complete file: four bytes for each parameter."""
        return 4 * self.parameters

    @property
    def terms(self) -> str:
        """Size and licence in words, such as ``15 MB, GPL-3.0``."""
        return f"{self.least_bytes / 1e6:.0f} MB, {MODELS_LICENCE}"


KNOWN = {
    "mobilenetv3": KnownWeights("mobilenetv3", "rvm_mobilenetv3.pth", 3_748_633),
    "resnet50": KnownWeights("resnet50", "rvm_resnet50.pth", 26_890_461),
}


def known(model: str | None) -> KnownWeights:
    """The checkpoint of ``model`` (None: the default).

    Raises:
        SettingsError: there is no such model.
    """
    name = model or DEFAULT_MODEL
    check_choice("model", name, KNOWN)
    return KNOWN[name]
