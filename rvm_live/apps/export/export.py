"""The network as a file for other programs: settings in, a checked file out. Prints nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rvm_live.core.errors import EngineError, SettingsError, SinkError, words_of
from rvm_live.core.settings import EngineSettings
from rvm_live.core.validation import check_choice
from rvm_live.system import atomic_write
from rvm_live.system.atomic_write import writing
from rvm_live.system.folders import at_home

if TYPE_CHECKING:
    from rvm_live.apps.export.verify import Difference
    from rvm_live.engines.common.fixed_network import Shape

__all__ = ["FORMATS", "ExportReport", "ExportSettings", "export"]

FORMATS = {"onnx": (".onnx",), "openvino": (".xml",), "torchscript": (".torchscript", ".pt", ".ts")}
"""Format -> what its file may end in, the usual ending first."""
LARGEST_SIDE = 8192
LEAST_LINES = 16


@dataclass(frozen=True)
class ExportSettings:
    """What file is wanted.

    Attributes:
        form: one of :data:`FORMATS`.
        engine: ``model``, ``weights``, ``downsample_ratio`` and ``offline`` are read.
        width: of the frames, pixels.
        height: of the frames, pixels.
        half: compute in half precision.
        output: the file, or a folder for a file named by its content. None: the current folder.
        replace: an existing file may be replaced.
    """

    form: str
    engine: EngineSettings = field(default_factory=EngineSettings)
    width: int = 1280
    height: int = 720
    half: bool = False
    output: Path | None = None
    replace: bool = False

    def __post_init__(self) -> None:
        check_choice("format", self.form, FORMATS)
        for name, side in (("width", self.width), ("height", self.height)):
            if not LEAST_LINES <= side <= LARGEST_SIDE:
                raise SettingsError(
                    f"{name} {side} is out of range: it must be between {LEAST_LINES} and {LARGEST_SIDE} pixels"
                )
        ratio = self.engine.downsample_ratio
        if ratio is not None and min(self.width, self.height) * ratio < LEAST_LINES:
            raise SettingsError(
                f"ratio {ratio:g} leaves {min(self.width, self.height) * ratio:.3g} of {self.width}x{self.height} "
                f"pixels' shorter side: the network needs {LEAST_LINES}: choose a larger ratio"
            )


@dataclass(frozen=True)
class ExportReport:
    """What was written.

    Attributes:
        files: the file; for OpenVINO the ``.xml`` and the ``.bin`` beside it.
        facts: what is written into the file about itself.
        difference: how far its results are from the plain network's.
        frames: how many frames of a moving picture were compared.
    """

    files: tuple[Path, ...]
    facts: Mapping[str, str]
    difference: Difference
    frames: int


def export(
    settings: ExportSettings, *, tell: Callable[[str], None] = lambda line: None, progress: Any = None
) -> ExportReport:
    """Make a file, compare it with the network it was made from, and write it if they agree.

    Args:
        settings: what file is wanted.
        tell: called with a few words when a step begins.
        progress: passed on to :func:`rvm_live.weights.resolve` for a download.

    Returns:
        What was written.

    Raises:
        SettingsError: the output's name does not fit the format, or a file is there already.
        UnavailableError: what makes or runs the format is not installed.
        WeightsError: the weights are missing or unusable.
        EngineError: the format's tools refuse the network, or the file does not do what the network does.
        SinkError: the file cannot be written.
    """
    _check_output(settings)
    from rvm_live.apps.export.verify import FRAMES, TOLERANCES, differences
    from rvm_live.engines.common.device import downsample_ratio
    from rvm_live.engines.common.fixed_network import Shape, facts_of, make, require
    from rvm_live.weights import load, resolve

    require(settings.form)
    weights = load(resolve(settings.engine, progress=progress))
    ratio = downsample_ratio(settings.engine.downsample_ratio, settings.width, settings.height)
    shape = Shape(settings.width, settings.height, ratio, settings.half)
    facts = facts_of(weights, shape, settings.form)
    path = _place(settings, _name(weights.variant, shape) + FORMATS[settings.form][0])
    parts = _parts(path, settings.form)
    _check_place(parts, replace=settings.replace)

    tell(f"making {path.name}")
    files = make(settings.form, weights, shape, facts)
    tell(f"checking {path.name}")
    try:
        found = differences(settings.form, files, weights, shape)
    except Exception as error:  # each runtime raises errors of its own
        why = words_of(error)
        raise EngineError(f"the file for {settings.form} does not run, so it was not written: {why}") from error
    limit = TOLERANCES[settings.half]
    if not found.within(limit):
        raise EngineError(
            f"the file for {settings.form} differs too much from the network, so it was not written: mean "
            "differences over "
            f"{FRAMES} frames {found}; allowed {limit}"
        )
    _write(parts, list(files.values()))
    return ExportReport(parts, facts, found, FRAMES)


def _name(variant: str, shape: Shape) -> str:
    """File name without its suffix."""
    precision = "fp16" if shape.half else "fp32"
    return f"rvm_{variant}_{shape.width}x{shape.height}_r{shape.ratio:.4g}_{precision}"


def _check_output(settings: ExportSettings) -> None:
    """Refuse a name that cannot be meant, before anything slow is done."""
    output, suffixes = settings.output, FORMATS[settings.form]
    if output is not None and not at_home(output).is_dir() and output.suffix.lower() not in suffixes:
        raise SettingsError(f"output {output} must end in {' or '.join(suffixes)} for format {settings.form}")


def _place(settings: ExportSettings, name: str) -> Path:
    output = Path() if settings.output is None else at_home(settings.output)
    return output / name if output.is_dir() else output


def _parts(path: Path, form: str) -> tuple[Path, ...]:
    return (path, path.with_suffix(".bin")) if form == "openvino" else (path,)


def _check_place(parts: tuple[Path, ...], *, replace: bool) -> None:
    """Refuse what could not be written in the end.

    Raises:
        SettingsError: a file is there already.
        SinkError: there is no such folder, or it cannot be written to.
    """
    folder = parts[0].parent
    if not folder.is_dir():
        raise SinkError(f"cannot write {parts[0]}: there is no folder {folder}")
    for part in parts:
        if part.is_dir():
            raise SinkError(f"cannot write {part}: it is a folder")
        if part.exists() and not replace:
            raise SettingsError(f"{part} exists: overwrite it with --force, or name another file with --output")
    _write_beside(parts[0], b"").unlink()


def _write_beside(path: Path, content: bytes) -> Path:
    """Write a file that is to be renamed to ``path`` when it is whole; nothing is left if that fails."""

    beside = path.with_name(f".{path.name}.part")
    with writing(path):
        try:
            atomic_write.refuse_special(path)
            beside.write_bytes(content)
        except OSError:
            beside.unlink(missing_ok=True)
            raise
    return beside


def _write(parts: tuple[Path, ...], contents: list[bytes]) -> None:
    """Put all files in place, the first, by which a model is opened, last; none is left if one cannot be.

    Raises:
        SinkError: they cannot be written.
    """
    from rvm_live.system.atomic_write import explain

    beside: list[Path] = []
    placed: list[Path] = []
    try:
        for part, content in zip(parts, contents, strict=True):
            beside.append(_write_beside(part, content))
        if len(parts) > 1:
            parts[0].unlink(missing_ok=True)  # an old model must not be used with the new weights
        for part, ready in reversed(list(zip(parts, beside, strict=True))):
            atomic_write.replace(ready, part)
            placed.append(part)
    except BaseException as error:
        for path in (*beside, *placed):
            path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise explain(error, parts[0]) from error
        raise
