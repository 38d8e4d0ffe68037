"""Names for people."""

from __future__ import annotations

__all__ = ["network_words"]


def network_words(engine: str, model: str) -> str:
    """An engine and its network: ``openvino mobilenetv3``; one name if both are equal: ``lite (learned)``."""
    same = model == engine or model.startswith(f"{engine} (")
    return model if same else " ".join(filter(None, (engine, model)))
