"""What things are called for people."""

from __future__ import annotations

__all__ = ["network_words"]


def network_words(engine: str, model: str) -> str:
    """An engine and its network: ``openvino mobilenetv3``; once where they are called alike: ``lite (learned)``."""
    same = model == engine or model.startswith(f"{engine} (")
    return model if same else " ".join(filter(None, (engine, model)))
