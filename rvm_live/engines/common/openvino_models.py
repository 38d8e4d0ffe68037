"""Converts torch modules to OpenVINO models, and stores them."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rvm_live.core.errors import words_of
from rvm_live.system import folders
from rvm_live.system.telemetry_off import import_quietly
from rvm_live.weights import cache_dir

__all__ = ["converted", "folder", "keep", "keep_if_possible", "keep_state", "kept", "resized", "shapes_of_states"]


def keep_state(model: Any, count: int) -> None:
    """Turn the last ``count`` inputs and outputs into a state of the model's own."""
    passes = import_quietly("openvino.passes")
    pairs = list(zip(model.get_parameters()[-count:], model.get_results()[-count:], strict=True))
    for number, (before, after) in enumerate(pairs, 1):
        before.output(0).tensor.set_names({f"r{number}"})
        after.input_value(0).tensor.set_names({f"r{number}_next"})
    manager = passes.Manager()
    manager.register_pass(passes.MakeStateful(pairs))
    manager.run_passes(model)


def converted(module: Any, example: tuple[Any, ...]) -> Any:
    """A torch module as an OpenVINO model of fixed shapes."""
    import torch

    frontends = import_quietly("openvino.frontend")
    decoders = import_quietly("openvino.frontend.pytorch.ts_decoder")
    with torch.inference_mode(), warnings.catch_warnings():
        # Deprecated in favour of torch.export, which takes several times as long and also warns.
        for kind in (DeprecationWarning, FutureWarning):  # which of the two depends on the version of torch
            warnings.simplefilter("ignore", kind)
        traced = torch.jit.trace(module, example, check_trace=False)  # type: ignore[no-untyped-call]
    # The frontend itself: openvino.convert_model would report its use over the network.
    frontend = frontends.FrontEndManager().load_by_framework("pytorch")
    decoder = decoders.TorchScriptPythonDecoder(traced)  # must outlive the conversion, which keeps no reference to it
    model = frontend.convert(frontend.load(decoder))
    model.reshape({index: list(tensor.shape) for index, tensor in enumerate(example)})
    return model


def resized(model: Any, size: tuple[int, int] | None, states: Sequence[tuple[int, ...]] = ()) -> Any:
    """A copy of a model for pictures of another size: a tenth of the time it takes to convert one.

    Args:
        model: picture (1, h, w, 3) and planes (1, C, h, w) in.
        size: width and height; None: any.
        states: shapes of the planes, where they are not of the picture's size.
    """
    width, height = size or (-1, -1)
    planes = [each.partial_shape[1].get_length() for each in model.inputs[1:]]
    shapes = [[*each] for each in states] if size and states else [[1, count, height, width] for count in planes]
    copy = model.clone()
    copy.reshape(dict(enumerate([[1, height, width, 3], *shapes])))
    return copy


def shapes_of_states(model: Any, size: tuple[int, int], count: int) -> list[tuple[int, ...]]:
    """Shapes of the last ``count`` outputs, which are states, for pictures of a width and height."""
    copy = resized(model, None)
    copy.reshape({0: [1, size[1], size[0], 3]})
    # A side that could be 1 or larger stays dynamic; here it is 1.
    shapes = [each.partial_shape for each in copy.outputs[-count:]]
    return [tuple(1 if each.is_dynamic else each.get_length() for each in shape) for shape in shapes]


def folder() -> Path:
    """Folder of stored models."""
    return cache_dir() / "openvino"


def kept(core: Any, name: str) -> Any:
    """The stored model of that name, or None."""
    home = folder() / name
    try:
        return core.read_model(home / "model.xml") if os.path.isdir(home) else None
    except RuntimeError:
        shutil.rmtree(home, ignore_errors=True)  # from another version of OpenVINO, or damaged: made anew
        return None


def keep(name: str, model: Any) -> None:
    """Store a model, completely or not at all.

    Raises:
        OSError: it cannot be written.
    """
    home = folder()
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home) as scratch:
        new = Path(scratch) / "new"
        try:
            import_quietly("openvino").save_model(model, new / "model.xml", compress_to_fp16=False)
        except (RuntimeError, UnicodeError) as error:
            raise OSError(words_of(error)) from error
        if not (home / name).exists():
            os.replace(new, home / name)


def keep_if_possible(core: Any, name: str, model: Any) -> Any:
    """Like :func:`keep`; a failure is reported once, and the model is made again the next time.

    Returns:
        The model to use: the one that every later start reads, because it sums in another order than the one that was
        just converted and may round differently; ``model`` itself if it could not be stored.
    """
    if folders.kept_in(folder()):
        try:
            keep(name, model)
        except OSError as error:
            folders.tell_once(f"the converted network cannot be stored in {folder()}: {error.strerror or error}")
    return kept(core, name) or model
