"""Settings of a batch run, and the presets."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from string import Formatter

from rvm_live.apps.batch.region import Region
from rvm_live.apps.batch.spans import Span
from rvm_live.core.errors import SettingsError
from rvm_live.core.look import LOW_LIGHT, Look
from rvm_live.core.only_me import PEOPLE, parse_person
from rvm_live.core.settings import MODELS, EngineSettings
from rvm_live.core.things import CHAIR
from rvm_live.core.validation import check_choice, check_fields, require
from rvm_live.engines.common.ladder import LEAST_LINES, ratio_of

__all__ = [
    "CODEC_NAMES",
    "CONTAINERS",
    "KEYED",
    "LEAST_MEMORY",
    "OLD_NAMES",
    "PRESETS",
    "WRITABLE",
    "BatchSettings",
    "Preset",
    "chunk_for",
    "fill",
    "parse_memory",
    "ratio_for",
]

WRITABLE = ("composite", "alpha", "foreground", "fill", "key", "fill-key")
KEYED = frozenset({"fill", "key", "fill-key"})
"""Outputs for mixers and editing programs: a person with alpha, as films without alpha."""
CONTAINERS = ("auto", "mp4", "mov", "mkv", "webm", "gif", "webp", "png", "tiff", "exr")
CODEC_NAMES = ("auto", "h264", "hevc", "av1", "prores", "ffv1", "vp9")
LEAST_MEMORY = 64_000_000
"""Bytes of GPU memory that a limit must leave."""
_CLUSTER = re.compile(r"auto|local|(ray://)?(\[[0-9a-fA-F:.]+\]|[\w.-]+):[0-9]{1,5}")
_LARGE = 2160
"""Lines from which a frame counts as 4K."""


@dataclass(frozen=True)
class Preset:
    """One quality.

    Attributes:
        model: of RVM.
        side: the longer side of the network's picture, pixels; None: the clip's own.
        prefix: of the output's name.
    """

    model: str
    side: int | None
    prefix: str


PRESETS = {
    "standard": Preset("mobilenetv3", 480, "output_"),
    "resnet": Preset("resnet50", 480, "resnet_output_"),
    "high": Preset("mobilenetv3", 960, "hq_output_"),
    "ultra": Preset("mobilenetv3", None, "ultra_output_"),
}
"""The authors advise to stay above 256 pixels: with less RVM cuts holes into people."""
OLD_NAMES = {"high-performance": "resnet"}
"""Former names of presets, which still work."""


def ratio_for(preset: Preset, width: int, height: int) -> float:
    """The preset's downsample ratio for a frame size: 1 where that is smaller than what the network is to see."""
    if preset.side is None:
        return 1.0
    # A very long strip keeps enough of its short side for the network's deepest level.
    return max(ratio_of(preset.side, width, height), min(LEAST_LINES / min(width, height), 1.0))


def chunk_for(wanted: int | None, width: int, height: int) -> int:
    """Frames that are matted at once: what was asked for, else 8, and 6 from 2160 lines on."""
    return wanted or (6 if min(width, height) >= _LARGE else 8)


def parse_memory(text: str) -> int:
    """Bytes in words such as ``10GB``, ``512MiB`` or ``1.5 G``.

    Raises:
        SettingsError: it cannot be read, or is less than 64 MB.
    """
    found = re.fullmatch(r"\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*([kmgt])(i?)b?\s*", text, re.IGNORECASE | re.ASCII)
    if found is None:
        raise SettingsError(f"memory {text!r} cannot be read: write it like 10GB or 512MB")
    number, unit, binary = found.groups()
    count = int(float(number) * (1024 if binary else 1000) ** (" kmgt".index(unit.lower())))
    if count < LEAST_MEMORY:
        raise SettingsError(f"memory {text!r} is out of range: it must be at least 64MB")
    return count


def fill(template: str, prefix: str, name: str, stem: str) -> str:
    """A name template filled in.

    Raises:
        SettingsError: there is something else in its braces than ``prefix``, ``name`` and ``stem``.
    """
    values = {"prefix": prefix, "name": name, "stem": stem}
    told = f"name template {template!r} cannot be filled in: it may contain {{prefix}}, {{name}} and {{stem}}"
    made = ""
    try:
        for text, field, form, conversion in Formatter().parse(template):
            # Plain names only: a format could make the name gigabytes long, and an attribute could reach any object.
            if field is not None and (field not in values or form or conversion):
                raise SettingsError(told)
            made += text + ("" if field is None else values[field])
    except ValueError as error:
        raise SettingsError(f"{told} ({error})") from error
    return made


@dataclass(frozen=True)
class BatchSettings:
    """Everything ``rvm-live batch`` takes.

    Attributes:
        inputs: files, folders (searched recursively) and glob patterns.
        output: folder, made where it is missing; or, for one input, a file, whose suffix tells the container. None:
            beside each input, ``clip.cutout.mov``.
        quality: a name in :data:`PRESETS`, or one in :data:`OLD_NAMES`, which becomes the new one.
        engine: how mattes are estimated; model and ratio that are set here go before the preset's.
        write: of :data:`WRITABLE`, one or several.
        background: as for the live application; transparent as a rule.
        look: how the person is to fit the background.
        container: one of :data:`CONTAINERS`; ``auto``: ``mov`` over a transparent background, else ``mp4``; of a still
            ``png``.
        name_template: of the output's stem, with ``{prefix}``, ``{name}`` (tidied) and ``{stem}`` (as it was); None:
            ``{prefix}{name}`` in a folder, ``{stem}.cutout`` beside the input.
        max_name: characters of the tidied name at most.
        resume: continue where an earlier run was stopped.
        force: make existing outputs again, whatever they were made from.
        fps: frames per second of numbered pictures, from 0.01 to 1000.
        monitor: GPU and processor over time, ``gpu_<name>.csv`` and ``.png`` beside each output.
        codec: one of :data:`CODEC_NAMES`; ``auto``: the container's usual one.
        hardware: decode and encode on a GPU where one can.
        seq_chunk: frames that are matted at once; None: see :func:`chunk_for`.
        segment_seconds: of a segment, after which a run that was stopped goes on.
        memory_limit: bytes of a GPU's memory that this process may take, or None.
        workers: processes on this machine, each with its share of it; 1: this one alone.
        ray: address of a Ray cluster, ``local`` for one of its own, or None: no Ray.
        straight: EXR and fills keep colours that are not multiplied by alpha.
        only_me: if there are several people, keep only one.
        person: which, as in :class:`~rvm_live.core.settings.LiveSettings`.
        low_light: ``auto``: make dark pictures brighter and less noisy; ``off``: leave them as they are.
        chair: ``keep``: things of the room stay in the picture, or ``drop``.
        room: the room they are of, by the name of its camera or a part of it; None: the only one that is kept.
        published: the engine's published ratio is taken, whatever the quality.
        start: of the part of each film that is taken, as :meth:`~rvm_live.apps.batch.spans.Mark.parse` takes it; None:
            its beginning.
        end: likewise, of the first picture after it; None: its end.
        cuts: a list of parts, CSV or EDL: each becomes a file.
        region: ``X,Y,W,H``, pixels of the upright picture: the network sees this alone, and no person is outside; None:
            all of it.
        mask: a still, a film or a folder of numbered pictures that says what is certainly the person and what certainly
            not, see :mod:`rvm_live.apps.batch.mask`.
    """

    inputs: tuple[str, ...]
    output: Path | None = None
    quality: str = "standard"
    engine: EngineSettings = field(default_factory=EngineSettings)
    write: tuple[str, ...] = ("composite",)
    background: str = "transparent"
    look: Look = field(default_factory=Look)
    container: str = "auto"
    name_template: str | None = None
    max_name: int = 20
    resume: bool = False
    force: bool = False
    fps: float = 25.0
    monitor: bool = False
    codec: str = "auto"
    hardware: bool = False
    seq_chunk: int | None = None
    segment_seconds: float = 20.0
    memory_limit: int | None = None
    workers: int = 1
    ray: str | None = None
    straight: bool = False
    only_me: bool = False
    person: str = PEOPLE[0]
    low_light: str = LOW_LIGHT[0]
    chair: str = CHAIR[0]
    room: str | None = None
    published: bool = False
    start: str | None = None
    end: str | None = None
    cuts: Path | None = None
    region: str | None = None
    mask: Path | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        object.__setattr__(self, "quality", OLD_NAMES.get(self.quality, self.quality))
        require(bool(self.inputs), "there are no inputs: name files, folders or patterns")
        check_choice("quality", self.quality, PRESETS)
        require(bool(self.write), "no output is chosen: --write needs at least one of " + ", ".join(WRITABLE))
        for name in self.write:
            require(name in WRITABLE, f"cannot write {name!r}: choose from {', '.join(WRITABLE)}")
        check_choice("container", self.container, CONTAINERS)
        check_choice("codec", self.codec, CODEC_NAMES)
        require(
            self.seq_chunk is None or 1 <= self.seq_chunk <= 64,
            f"seq chunk {self.seq_chunk} is out of range: it must be between 1 and 64 frames",
        )
        require(
            1 <= self.segment_seconds <= 3600,
            f"segments of {self.segment_seconds:g} s are out of range: they must last between 1 and 3600 s",
        )
        require(0.01 <= self.fps <= 1000, f"{self.fps:g} frames per second are out of range: use 0.01 to 1000")
        parse_person(self.person)
        check_choice("low light", self.low_light, LOW_LIGHT)
        check_choice("chair", self.chair, CHAIR)
        require(self.room is None or self.kept, "--room is for the things of a room: add --chair keep")
        require(1 <= self.workers <= 256, f"{self.workers} workers are out of range: use 1 to 256")
        require(
            8 <= self.max_name <= 200,
            f"max name {self.max_name} is out of range: it must be between 8 and 200 characters",
        )
        if self.name_template is not None:
            _check_template(self.name_template)
        require(self.engine.model in (None, *MODELS), f"unknown model {self.engine.model!r}")
        require(
            self.memory_limit is None or self.memory_limit >= LEAST_MEMORY,
            f"a memory limit of {self.memory_limit} bytes is out of range: it must be at least 64MB",
        )
        require(
            self.ray is None or _CLUSTER.fullmatch(self.ray) is not None,
            f"the Ray cluster's address {self.ray!r} cannot be read: write HOST:PORT, local or auto",
        )
        require("\0" not in str(self.output), "the output's name contains a zero byte")
        require(
            self.cuts is None or not (self.start or self.end),
            "a list of cuts already has starts and ends: leave out --start and --end",
        )
        Span.of(self.start, self.end)
        require(self.mask is None or os.path.exists(self.mask), f"there is no mask {self.mask}")
        if self.region is not None:
            Region.parse(self.region)

    @property
    def span(self) -> Span | None:
        """The part that is taken of each film; None: all of it."""
        return Span.of(self.start, self.end) if self.start or self.end else None

    @property
    def box(self) -> Region | None:
        """The region, read."""
        return None if self.region is None else Region.parse(self.region)

    @property
    def lit(self) -> bool:
        """Whether dark pictures are made brighter."""
        return self.low_light == "auto"

    @property
    def kept(self) -> bool:
        """Whether things of the room stay."""
        return self.chair == "keep"

    @property
    def transparent(self) -> bool:
        """Whether there is no background: alpha is kept."""
        return self.background.strip().lower() == "transparent"


def _check_template(template: str) -> None:
    made = fill(template, "p", "n", "s")
    if Path(made).name != made or made in ("", ".", "..") or "\0" in made:
        raise SettingsError(f"name template {template!r} must make a file name, not a path")
    if fill(template, "p", "1", "2") == fill(template, "p", "3", "4"):
        raise SettingsError(f"name template {template!r} gives every file the same name: add {{name}} or {{stem}}")
