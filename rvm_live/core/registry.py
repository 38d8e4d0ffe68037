"""Names to lazily imported classes: built in, from plug-ins, or spelled out as ``package.module:Class``.

A registry imports nothing until a name is loaded. Plug-ins announce themselves through the entry-point group
``rvm_live.<kind>``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from rvm_live.core.errors import SettingsError, UnavailableError

__all__ = ["COMPOSITORS", "ENGINES", "Registry", "look_in_own_folder", "looks_in_own_folder"]

T = TypeVar("T")

_own_folder: list[str] = []


def look_in_own_folder() -> None:
    """From now on ``module:Class`` is looked for in the folder where the program was started, too, as ``python -m``
    does; for the ``rvm-live`` command alone, since it changes where the whole process looks while it imports one."""
    with suppress(OSError):  # it was deleted meanwhile
        _own_folder[:] = [os.getcwd()]


def looks_in_own_folder() -> bool:
    """Whether it does: then other processes that work for this one are to do so, too."""
    return bool(_own_folder)


@contextmanager
def _beside() -> Iterator[None]:
    """Behind all else, so that nothing that lies there by chance takes the place of what is installed."""
    added = [folder for folder in _own_folder if folder not in sys.path]
    sys.path += added
    try:
        yield
    finally:
        for folder in added:
            sys.path.remove(folder)


class Registry(Generic[T]):
    """Finds classes of one kind by name.

    Args:
        kind: plural noun for messages and the entry-point group, e.g. ``engines``.
        builtin: name -> ``package.module:Class``.
        auto: names that ``auto`` tries, best first.

    Attributes:
        builtin: those of this package.
    """

    def __init__(self, kind: str, builtin: Mapping[str, str], auto: Iterable[str]) -> None:
        self.kind = kind
        self.builtin = dict(builtin)
        self.auto = tuple(auto)

    def names(self) -> list[str]:
        """All names that can be loaded, sorted, plug-ins included."""
        plugins = {point.name for point in entry_points(group=f"rvm_live.{self.kind}")}
        return sorted(plugins | set(self.builtin))

    def load(self, name: str) -> Callable[..., T]:
        """Import the class called ``name``, or written as ``package.module:Class``.

        Raises:
            SettingsError: there is no such name, or it cannot be imported.
        """
        target = self.builtin.get(name)
        if target is None:
            for point in entry_points(group=f"rvm_live.{self.kind}"):
                if point.name == name:
                    target = point.value
        if target is None:
            if ":" not in name:
                known = ", ".join(self.names())
                raise SettingsError(
                    f"unknown {self.kind.removesuffix('s')} {name!r}: choose auto, {known}, or package.module:Class"
                )
            target = name
        module_name, _, attribute = target.partition(":")
        try:
            with _beside() if target == name else nullcontext():
                loaded: Any = import_module(module_name)
            for part in attribute.split("."):
                loaded = getattr(loaded, part)
        except Exception as error:  # whatever a module of the user's own trips over while it is imported
            what = "" if isinstance(error, (ImportError, AttributeError, ValueError)) else f"{type(error).__name__}: "
            text = " ".join(str(error).split())
            raise SettingsError(f"cannot load {self.kind.removesuffix('s')} {name!r}: {what}{text}") from error
        if not isinstance(loaded, type):
            raise SettingsError(f"{self.kind.removesuffix('s')} {name!r} is not a class")
        return loaded

    def first(self, names: Iterable[str], attempt: Callable[[str], T]) -> tuple[str, T, dict[str, str]]:
        """Return the first of ``names`` for which ``attempt`` succeeds, with every refusal's reason.

        Raises:
            UnavailableError: none works; its ``reasons`` hold all refusals.
        """
        reasons: dict[str, str] = {}
        for name in names:
            try:
                return name, attempt(name), reasons
            except UnavailableError as error:
                reasons[name] = str(error)
        told = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        raise UnavailableError(f"no {self.kind.removesuffix('s')} works here ({told})", reasons)


ENGINES: Registry[Any] = Registry(
    "engines",
    {
        "chroma": "rvm_live.engines.chroma.engine:ChromaEngine",
        "lite": "rvm_live.engines.lite.engine:LiteEngine",
        "onnx": "rvm_live.engines.onnx.engine:OnnxEngine",
        "openvino": "rvm_live.engines.rvm.openvino.engine:OpenVinoEngine",
        "rvm": "rvm_live.engines.rvm.torch.engine:RvmEngine",
        "torchscript": "rvm_live.engines.torchscript:TorchScriptEngine",
    },
    auto=("openvino", "rvm"),
)

COMPOSITORS: Registry[Any] = Registry(
    "compositors",
    {
        "cpu": "rvm_live.compositing.cpu:CpuCompositor",
        "opencv-cuda": "rvm_live.compositing.opencv_cuda:OpenCvCudaCompositor",
        "torch": "rvm_live.compositing.torch:TorchCompositor",
    },
    auto=("opencv-cuda", "torch", "cpu"),
)
