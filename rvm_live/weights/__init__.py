"""Where the network's weights come from: a file, a folder, the cache, or the official release.

Importing this loads neither torch nor anything that downloads.

May import core, network, system.

>>> from rvm_live import EngineSettings, weights
>>> path = weights.resolve(EngineSettings(model="mobilenetv3"))  # doctest: +SKIP
"""

from __future__ import annotations

from rvm_live.weights.cache import Status, cache_dir, list_known, pull
from rvm_live.weights.catalog import KNOWN, MODELS_LICENCE, KnownWeights
from rvm_live.weights.download import no_way_out
from rvm_live.weights.files import LoadedWeights, file_bytes, sha256_of
from rvm_live.weights.resolve import Verified, in_force, load, locate, resolve, verify

__all__ = [
    "KNOWN",
    "MODELS_LICENCE",
    "KnownWeights",
    "LoadedWeights",
    "Status",
    "Verified",
    "cache_dir",
    "file_bytes",
    "in_force",
    "list_known",
    "load",
    "locate",
    "no_way_out",
    "pull",
    "resolve",
    "sha256_of",
    "verify",
]
