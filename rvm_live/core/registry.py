"""Names to lazily imported classes: built in, from plug-ins, or spelled out as ``package.module:Class``.

One registry for each kind of part: engines, compositors, sources, sinks, backgrounds. A registry imports nothing
until a name is loaded. Plug-ins announce themselves through the entry-point group ``rvm_live.<kind>``.
"""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any, Generic, TypeVar

from rvm_live.core.errors import RvmLiveError, SettingsError, UnavailableError, words_of

__all__ = [
    "BACKGROUNDS",
    "COMPOSITORS",
    "ENGINES",
    "SINKS",
    "SOURCES",
    "Registry",
    "look_in_own_folder",
    "looks_in_own_folder",
]

T = TypeVar("T")

_NAME = r"[^\W\d]\w*"
_CLASS = re.compile(rf"({_NAME}(?:\.{_NAME})*:{_NAME}(?:\.{_NAME})*)(?::(.*))?", re.DOTALL)

_own_folder: list[str] = []


def look_in_own_folder() -> None:
    """From now on ``module:Class`` is looked for in the folder where the program was started, too, as ``python -m``
    does; for the ``rvm-live`` command alone, since it changes where the whole process looks while it imports one."""
    with suppress(OSError):  # the file was deleted meanwhile
        _own_folder[:] = [os.getcwd()]


def looks_in_own_folder() -> bool:
    """Whether it does; other processes that work for this one then have to do so, too."""
    return bool(_own_folder)


@contextmanager
def _beside() -> Iterator[None]:
    """Added last to the search path, so that a file there never replaces an installed module."""
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
        given: the argument that a class is made with, in words.
        contract: ``package.module:Class`` that a class must be derived from; empty: its methods are enough.

    Attributes:
        builtin: the names of this package.
    """

    def __init__(
        self, kind: str, builtin: Mapping[str, str], auto: Iterable[str] = (), given: str = "", contract: str = ""
    ) -> None:
        self.kind = kind
        self.builtin = dict(builtin)
        self.auto = tuple(auto)
        self._given, self._contract = given, contract
        self._one = kind.removesuffix("s")

    def names(self) -> list[str]:
        """All names that can be loaded, sorted, plug-ins included."""
        return sorted({*self.plugins(), *self.builtin})

    def plugins(self) -> list[str]:
        """Names that other packages have announced, sorted."""
        return sorted({point.name for point in entry_points(group=f"rvm_live.{self.kind}")} - set(self.builtin))

    def plugged(self, words: str) -> tuple[str, str] | None:
        """Read ``name``, ``package.module:Class``, or either with ``:argument`` behind it.

        Returns:
            The name to load and the argument, which may be empty; None if this is not a plug-in: no package has
            announced it, or there is no such package.
        """
        name, _, argument = words.partition(":")
        if name in self.plugins():
            return name, argument
        match = _CLASS.fullmatch(words)
        if match is None:
            return None
        try:
            with _beside():
                there = find_spec(words.partition(":")[0].partition(".")[0]) is not None
        except (ImportError, ValueError):
            there = False
        return (match[1], match[2] or "") if there else None

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
                choices = [*(["auto"] if self.auto else []), *self.names()]
                raise SettingsError(
                    f"unknown {self._one} {name!r}: choose {', '.join([*choices, 'or package.module:Class'])}"
                )
            target = name
        module_name, _, attribute = target.partition(":")
        try:
            with _beside() if target == name else nullcontext():
                loaded: Any = import_module(module_name)
            for part in attribute.split("."):
                loaded = getattr(loaded, part)
        except Exception as error:  # a user's module may raise anything while it is imported
            what = "" if isinstance(error, (ImportError, AttributeError, ValueError)) else f"{type(error).__name__}: "
            text = " ".join(str(error).split())
            raise SettingsError(f"cannot load {self._one} {name!r}: {what}{text}") from error
        if not isinstance(loaded, type):
            raise SettingsError(f"{self._one} {name!r} is not a class")
        return loaded

    def fitting(self, name: str, *given: object) -> Callable[..., T]:
        """As :meth:`load`, but the class must meet the contract and be made with ``given``.

        Raises:
            SettingsError: it has not, or cannot.
        """
        made: Any = self.load(name)
        if self._contract:
            module, _, contract = self._contract.partition(":")
            if not issubclass(made, getattr(import_module(module), contract)):
                raise SettingsError(f"{self._one} {name!r} is not derived from rvm_live.{contract}")
        abstract = sorted(getattr(made, "__abstractmethods__", ()))
        if abstract:
            raise SettingsError(f"{self._one} {name!r} does not define {', '.join(abstract)}")
        try:
            inspect.signature(made).bind(*given)
        except TypeError as error:
            raise SettingsError(
                f"{self._one} {name!r} must take one argument when it is made,  {self._given}: {error}"
            ) from error
        except ValueError:
            pass  # its signature is not known; the call itself will show whether it fits
        return made  # type: ignore[no-any-return]

    def make(self, name: str, *given: object) -> T:
        """Make an instance of the class that :meth:`fitting` returns.

        Raises:
            SettingsError: it cannot be made.
            RvmLiveError: the class itself refuses, with its reason.
        """
        made = self.fitting(name, *given)
        try:
            return made(*given)
        except RvmLiveError:
            raise
        except Exception as error:
            raise SettingsError(f"cannot make the {self._one} {name!r}: {words_of(error)}") from error

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
        raise UnavailableError(f"no {self._one} works here ({told})", reasons)


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
    given="the EngineSettings",
)

COMPOSITORS: Registry[Any] = Registry(
    "compositors",
    {
        "cpu": "rvm_live.compositing.cpu:CpuCompositor",
        "opencv-cuda": "rvm_live.compositing.opencv_cuda:OpenCvCudaCompositor",
        "torch": "rvm_live.compositing.torch:TorchCompositor",
    },
    auto=("opencv-cuda", "torch", "cpu"),
    given="the device's name",
    contract="rvm_live.compositing.base:Compositor",
)

SOURCES: Registry[Any] = Registry(
    "sources",
    {"auto": "rvm_live.sources.auto:AutoSource", "demo": "rvm_live.sources.demo.demo:DemoSource"},
    given="the SourceSettings",
    contract="rvm_live.sources.base:Source",
)
"""Any other value is a camera, a file or an address: :func:`rvm_live.sources.factory.open_source`."""

SINKS: Registry[Any] = Registry(
    "sinks",
    {"virtual-camera": "rvm_live.sinks.camera.sink:VirtualCamera"},
    given="the text behind its name",
    contract="rvm_live.sinks.base:Sink",
)
"""Other than the window and the recorder, which a live run makes itself if they are wanted."""

BACKGROUNDS: Registry[Any] = Registry(
    "backgrounds",
    {
        "blur": "rvm_live.backgrounds.blur:BlurBackground",
        "camera": "rvm_live.backgrounds.live:LiveBackground",
        "color": "rvm_live.backgrounds.color:ColorBackground",
        "image": "rvm_live.backgrounds.image:ImageBackground",
        "slides": "rvm_live.backgrounds.slides:SlideShow",
        "transparent": "rvm_live.backgrounds.transparent:TransparentBackground",
        "video": "rvm_live.backgrounds.video:VideoBackground",
    },
    given="the text behind its name",
    contract="rvm_live.backgrounds.base:Background",
)
"""How the arguments of the built-in kinds are written: :func:`rvm_live.backgrounds.parse.parse`."""
