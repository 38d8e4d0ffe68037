"""What a stress test runs: engine, network, precision, frame size, frames at once."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rvm_live.apps.batch.settings import PRESETS, ratio_for
from rvm_live.core.errors import SettingsError
from rvm_live.core.settings import MODELS

__all__ = ["SIZES", "Config", "defaults", "parse"]

SIZES = {"720p": (1280, 720), "1080p": (1920, 1080), "1440p": (2560, 1440), "2160p": (3840, 2160)}
_ENGINES = ("rvm", "openvino", "lite")
_PRECISIONS = ("fp32", "fp16", "bf16", "auto")
_FORM = "ENGINE/MODEL/PRECISION/SIZE/CHUNK or .../CHUNKxBATCH, such as rvm/mobilenetv3/fp16/1080p/8x2"


@dataclass(frozen=True)
class Config:
    """One load.

    Attributes:
        engine: ``rvm`` (torch), ``openvino`` or ``lite``.
        model: of RVM; ``lite`` with the engine of that name.
        precision: as for the engine.
        width: of the frames, pixels.
        height: likewise.
        chunk: consecutive frames at once.
        batch: videos side by side; with ``rvm`` alone.
    """

    engine: str
    model: str
    precision: str
    width: int
    height: int
    chunk: int = 1
    batch: int = 1

    @property
    def label(self) -> str:
        """As it is written on the command line."""
        size = next((n for n, s in SIZES.items() if s == (self.width, self.height)), f"{self.width}x{self.height}")
        many = f"{self.chunk}x{self.batch}" if self.batch > 1 else f"{self.chunk}"
        return f"{self.engine}/{self.model}/{self.precision}/{size}/{many}"

    @property
    def ratio(self) -> float | None:
        """Downsample ratio: that of the preset ``standard``; ``lite`` knows its own."""
        return None if self.engine == "lite" else ratio_for(PRESETS["standard"], self.width, self.height)

    @property
    def megapixels(self) -> float:
        """Of one frame."""
        return self.width * self.height / 1e6


def parse(text: str) -> tuple[Config, ...]:
    """Configurations separated by commas.

    Raises:
        SettingsError: one of them cannot be read.
    """
    found = tuple(_one(each.strip()) for each in text.split(",") if each.strip())
    if not found:
        raise SettingsError(f"{text!r} contains no configuration: write {_FORM}")
    return found


def _one(text: str) -> Config:
    parts = text.split("/")
    if len(parts) != 5:
        raise SettingsError(f"configuration {text!r} cannot be read: write {_FORM}")
    engine, model, precision, size, many = parts
    for what, value, known in (
        ("engine", engine, _ENGINES),
        ("model", model, ("lite",) if engine == "lite" else MODELS),
        ("precision", precision, _PRECISIONS),
    ):
        if value not in known:
            raise SettingsError(f"configuration {text!r}: unknown {what} {value!r}, choose from {', '.join(known)}")
    pixels = re.fullmatch(r"([0-9]{2,5})x([0-9]{2,5})", size)
    if size not in SIZES and pixels is None:
        raise SettingsError(f"configuration {text!r}: size {size!r} must be one of {', '.join(SIZES)}, or like 800x600")
    width, height = SIZES[size] if size in SIZES else (int(pixels[1]), int(pixels[2])) if pixels else (0, 0)
    count = re.fullmatch(r"([0-9]{1,2})(?:x([0-9]{1,2}))?", many)
    if count is None or int(count[1]) < 1 or int(count[2] or 1) < 1:
        raise SettingsError(f"configuration {text!r}: {many!r} is not a number of frames at once: write {_FORM}")
    batch = int(count[2] or 1)
    if batch > 1 and engine != "rvm":
        raise SettingsError(f"configuration {text!r}: {engine} processes one video at a time: use rvm for several")
    if max(width, height) > 16384 or min(width, height) < 64:
        raise SettingsError(f"configuration {text!r}: {size} is out of range: use 64 to 16384 pixels")
    return Config(engine, model, precision, width, height, int(count[1]), batch)


def defaults(device: str) -> tuple[Config, ...]:
    """What is run where nothing is asked for: ``cuda`` the whole range, else what a CPU may be asked to do."""
    if device.startswith("cuda"):
        made = [
            Config("rvm", model, precision, *SIZES[size], chunk)
            for model in MODELS
            for precision in ("fp32", "fp16")
            for size, chunks in (("720p", (1, 8)), ("1080p", (1, 8)), ("2160p", (1, 6)))
            for chunk in chunks
        ]
        return (*made, *(Config("rvm", model, "fp16", *SIZES["720p"], 4, 4) for model in MODELS))
    made = [Config("lite", "lite", "auto", *SIZES[size]) for size in ("720p", "1080p", "2160p")]
    made += [Config("openvino", "mobilenetv3", "auto", *SIZES[size]) for size in ("720p", "1080p", "2160p")]
    made += [
        Config("rvm", "mobilenetv3", "fp32", *SIZES[size], chunk, batch)
        for size, chunk, batch in (("720p", 1, 1), ("720p", 8, 1), ("720p", 4, 2), ("1080p", 8, 1), ("2160p", 6, 1))
    ]
    made += [Config("openvino", "resnet50", "auto", *SIZES["720p"])]
    made += [Config("rvm", "resnet50", "fp32", *SIZES["720p"], chunk) for chunk in (1, 8)]
    return tuple(made)
