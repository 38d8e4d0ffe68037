"""What a batch run is asked for; the presets."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from rvm_live.errors import SettingsError
from rvm_live.settings import MODELS, EngineSettings

__all__ = [
    "CODEC_NAMES",
    "CONTAINERS",
    "PRESETS",
    "WRITABLE",
    "BatchSettings",
    "Preset",
    "chunk_for",
    "parse_memory",
    "ratio_for",
]

WRITABLE = ("composite", "alpha", "foreground")
CONTAINERS = ("auto", "mp4", "mov", "mkv", "webm", "png", "tiff")
CODEC_NAMES = ("auto", "h264", "hevc", "av1", "prores", "ffv1", "vp9")
_LARGE = 2160
"""Lines from which a frame counts as 4K."""


@dataclass(frozen=True)
class Preset:
    """One quality.

    Attributes:
        model: of RVM.
        ratio: downsample ratio below 4K.
        large_ratio: from 2160 lines on.
        prefix: of the output's name.
    """

    model: str
    ratio: float
    large_ratio: float
    prefix: str


PRESETS = {
    "standard": Preset("mobilenetv3", 0.25, 0.125, "output_"),
    "high-performance": Preset("resnet50", 0.25, 0.125, "hq_output_"),
    "high": Preset("mobilenetv3", 0.5, 0.5, "hq_output_"),
    "ultra": Preset("mobilenetv3", 1.0, 1.0, "ultra_output_"),
}


def ratio_for(preset: Preset, width: int, height: int) -> float:
    """The preset's downsample ratio for a frame size."""
    return preset.large_ratio if min(width, height) >= _LARGE else preset.ratio


def chunk_for(wanted: int | None, width: int, height: int) -> int:
    """Frames that are matted at once: what was asked for, else 8, and 6 from 2160 lines on."""
    return wanted or (6 if min(width, height) >= _LARGE else 8)


def parse_memory(text: str) -> int:
    """Bytes in words such as ``10GB``, ``512MiB`` or ``1.5 G``.

    Raises:
        SettingsError: it is no such thing, or less than 64 MB.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt])(i?)b?\s*", text, re.IGNORECASE)
    if found is None:
        raise SettingsError(f"memory {text!r} cannot be read: write it like 10GB or 512MB")
    number, unit, binary = found.groups()
    count = int(float(number) * (1024 if binary else 1000) ** (" kmgt".index(unit.lower())))
    if count < 64_000_000:
        raise SettingsError(f"memory {text!r} is out of range: at least 64MB")
    return count


@dataclass(frozen=True)
class BatchSettings:
    """Everything ``rvm-live batch`` takes.

    Attributes:
        inputs: files, folders (searched recursively) and glob patterns.
        output: folder; made where it is missing.
        quality: a name in :data:`PRESETS`.
        engine: how mattes are estimated; model and ratio that are set here go before the preset's.
        write: of :data:`WRITABLE`, one or several.
        background: as for the live application.
        foreground: ``model`` or ``source``.
        container: one of :data:`CONTAINERS`; ``auto``: ``mov`` over a transparent background, else ``mp4``.
        name_template: of the output's stem, with ``{prefix}``, ``{name}`` (tidied) and ``{stem}`` (as it was).
        max_name: characters of the tidied name at most.
        resume: skip what is whole already.
        monitor: GPU and processor over time, ``gpu_<name>.csv`` and ``.png`` beside each output.
        codec: one of :data:`CODEC_NAMES`; ``auto``: the container's usual one.
        hardware: decode and encode on a GPU where one can.
        seq_chunk: frames that are matted at once; None: see :func:`chunk_for`.
        segment_seconds: of a segment, after which a run that was stopped goes on.
        memory_limit: bytes of a GPU's memory that this process may take, or None.
        workers: processes on this machine, each with its share of it; 1: this one alone.
        ray: address of a Ray cluster, ``local`` for one of its own, or None: no Ray.
    """

    inputs: tuple[str, ...]
    output: Path
    quality: str = "standard"
    engine: EngineSettings = field(default_factory=EngineSettings)
    write: tuple[str, ...] = ("composite",)
    background: str = ""
    foreground: str = "model"
    container: str = "auto"
    name_template: str = "{prefix}{name}"
    max_name: int = 20
    resume: bool = False
    monitor: bool = False
    codec: str = "auto"
    hardware: bool = False
    seq_chunk: int | None = None
    segment_seconds: float = 20.0
    memory_limit: int | None = None
    workers: int = 1
    ray: str | None = None

    def __post_init__(self) -> None:
        def require(condition: bool, message: str) -> None:
            if not condition:
                raise SettingsError(message)

        require(bool(self.inputs), "there is nothing to work on: name files, folders or patterns")
        require(self.quality in PRESETS, f"unknown quality {self.quality!r}: choose one of {', '.join(PRESETS)}")
        require(bool(self.write), "there is nothing to write: name at least one of " + ", ".join(WRITABLE))
        for name in self.write:
            require(name in WRITABLE, f"cannot write {name!r}: choose of {', '.join(WRITABLE)}")
        require(
            self.container in CONTAINERS,
            f"unknown container {self.container!r}: choose one of {', '.join(CONTAINERS)}",
        )
        require(self.codec in CODEC_NAMES, f"unknown codec {self.codec!r}: choose one of {', '.join(CODEC_NAMES)}")
        require(
            self.seq_chunk is None or 1 <= self.seq_chunk <= 64,
            f"seq chunk {self.seq_chunk} is out of range: from 1 to 64 frames",
        )
        require(
            1 <= self.segment_seconds <= 3600,
            f"segments of {self.segment_seconds:g} s are out of range: from 1 to 3600 s",
        )
        require(1 <= self.workers <= 256, f"{self.workers} workers are out of range: from 1 to 256")
        require(self.foreground in ("model", "source"), f"unknown foreground {self.foreground!r}")
        require(8 <= self.max_name <= 200, f"max name {self.max_name} is out of range: from 8 to 200 characters")
        try:
            made = self.name_template.format(prefix="p", name="n", stem="s")
        except (KeyError, IndexError, ValueError) as error:
            raise SettingsError(
                f"name template {self.name_template!r} cannot be filled in ({error}): "
                "it may hold {prefix}, {name} and {stem}"
            ) from error
        require(
            Path(made).name == made and made not in ("", ".", ".."),
            f"name template {self.name_template!r} must give a file's name, not a path",
        )
        require(
            "{name}" in self.name_template or "{stem}" in self.name_template,
            f"name template {self.name_template!r} gives every file one name: put {{name}} or {{stem}} into it",
        )
        require(self.engine.model in (None, *MODELS), f"unknown model {self.engine.model!r}")
