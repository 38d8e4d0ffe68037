"""Paths and containers of a batch run's outputs; conflicts are found before anything starts."""

from __future__ import annotations

from pathlib import Path

from rvm_live.apps.batch.codecs import ALPHA_CONTAINERS, FITTING, recipe_for
from rvm_live.apps.batch.settings import KEYED, BatchSettings
from rvm_live.core.errors import SettingsError
from rvm_live.media.exr import check_exr
from rvm_live.media.suffixes import CONTAINERS, PICTURE_FORMATS

__all__ = ["container_of", "is_clear", "one_file"]


def one_file(settings: BatchSettings, media: frozenset[str]) -> Path | None:
    """The output where one file is named; None where it is a folder, or lies beside each input.

    Args:
        settings: of the run.
        media: suffixes of films and pictures: an output with one of them that is not a folder is a file.

    Raises:
        SettingsError: such files are not written, or another option contradicts its name.
    """
    path = settings.output
    if path is None or path.suffix.lower() not in media or path.is_dir():
        return None
    if path.suffix.lower() not in CONTAINERS:
        known = ", ".join(CONTAINERS)
        raise SettingsError(f"the suffix of {path.name} does not name a format: choose from {known}")
    if settings.container not in ("auto", CONTAINERS[path.suffix.lower()]):
        raise SettingsError(f"{path.name} is not {settings.container}: leave the container out, or name a folder")
    if settings.name_template is not None:
        raise SettingsError(
            f"--name-template cannot be used with one output file, {path.name}: leave it out, or name a folder"
        )
    return path


def container_of(settings: BatchSettings, source: Path, still: bool, file: Path | None) -> str:
    """What an input's outputs are written as: one of :data:`~rvm_live.media.suffixes.MUXERS` or
    :data:`~rvm_live.media.suffixes.PICTURE_FORMATS`.

    Args:
        settings: of the run.
        source: the input.
        still: it is one picture.
        file: the output, where one is named.

    Raises:
        SettingsError: the container cannot store what is asked for.
    """
    container = settings.container if file is None else CONTAINERS[file.suffix.lower()]
    if container == "auto" and still:
        return "png"  # the codec setting is meant for films
    if container == "auto":
        container = "mov" if settings.transparent else "mp4"
    if file is not None and container in PICTURE_FORMATS and not still:
        raise SettingsError(
            f"{file.name} is a picture format, but {source.name} is a film: name a film (.mov), or a folder with "
            f"--container {container}"
        )
    keyed = KEYED.intersection(settings.write)
    if container == "exr" and keyed:
        raise SettingsError("EXR stores fill and key in one file: write composite, or use --container png or tiff")
    if container == "exr":
        check_exr()
    elif settings.straight and not keyed - {"key"}:
        raise SettingsError(
            f"--straight is only for EXR and fill, but this writes {container}: leave it out, or use --container exr"
        )
    if is_clear(settings) and container not in ALPHA_CONTAINERS:
        raise SettingsError(f".{container} cannot store alpha: write .mov, .mkv or .webm, or name a background")
    if container in FITTING:
        recipe, _ = recipe_for(container, settings.codec, clear=is_clear(settings))
        if is_clear(settings) and recipe.clear is None:
            raise SettingsError(f"{settings.codec} cannot store alpha: leave --codec out, or name a background")
    elif settings.codec != "auto":
        raise SettingsError(f"the codec {settings.codec} cannot be stored in {container}: leave it out")
    return container


def is_clear(settings: BatchSettings) -> bool:
    """Whether any output has alpha beside colours."""
    return settings.transparent and "composite" in settings.write
