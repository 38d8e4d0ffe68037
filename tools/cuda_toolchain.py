"""Finds what a machine has for building CUDA code, and what it lacks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import distributions
from pathlib import Path

__all__ = ["DEFAULT_ARCHITECTURE", "Machine", "Survey", "Toolkit", "survey"]

DEFAULT_ARCHITECTURE = "9.0"
NEEDED_GIB = 4.0
_WINDOWS = sys.platform == "win32"


@dataclass(frozen=True)
class Toolkit:
    """A CUDA Toolkit.

    Attributes:
        root: the folder with ``bin`` and ``include``.
        nvcc: its compiler.
        version: (major, minor).
        cudart: the static CUDA runtime.
    """

    root: Path
    nvcc: Path
    version: tuple[int, int]
    cudart: Path


@dataclass(frozen=True)
class Machine:
    """Everything that a build needs.

    Attributes:
        toolkit: the CUDA Toolkit.
        cmake: the CMake program.
        generator: CMake's name for the build program.
        builder: that program's path.
        architectures: compute capabilities to build for, such as ``("8.6", "8.9")``, ascending.
        gui: ``gtk``, ``qt``, ``win32`` or ``none``.
        python_include: the folder with ``Python.h``.
        python_library: Python's import library; on Linux a name that nothing is linked with.
        numpy_include: the folder with NumPy's headers.
        ccache: the compiler cache; None if there is none.
    """

    toolkit: Toolkit
    cmake: Path
    generator: str
    builder: Path
    architectures: tuple[str, ...]
    gui: str
    python_include: Path
    python_library: str
    numpy_include: Path
    ccache: Path | None


@dataclass
class Survey:
    """The result of looking at a machine.

    Attributes:
        machine: None while something is missing.
        missing: what is missing, one line each, with what to do about it.
        notes: what the result will lack, although it can be built.
    """

    machine: Machine | None = None
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def survey(build: Path, *, environ: Mapping[str, str], cuda: Path | None, architectures: str, gui: str) -> Survey:
    """Look for everything that building OpenCV with CUDA needs.

    Args:
        build: the build folder; its disk must have room.
        environ: environment; ``PATH``, ``CUDA_HOME`` and ``CUDA_PATH`` are read.
        cuda: the toolkit's folder; None looks in the usual places.
        architectures: ``auto``, ``native``, or compute capabilities separated by commas.
        gui: ``auto``, ``gtk``, ``qt`` or ``none``.
    """
    found = Survey()
    finder = _Finder(environ)
    toolkit = _toolkit(found, finder, environ, cuda)
    cmake = finder.find("cmake")
    if cmake is None:
        found.missing.append("cmake is missing: pip install cmake, or your system's package of that name")
    ninja, make = finder.find("ninja"), None if _WINDOWS else finder.find("make")
    if ninja is None and make is None:
        found.missing.append("ninja is missing: pip install ninja, or your system's package ninja-build")
    if not any(finder.find(name) for name in (environ.get("CXX") or "", "c++", "g++", "cl") if name):
        what = "the Visual Studio Build Tools (their x64 command prompt)" if _WINDOWS else "g++ (package g++)"
        found.missing.append(f"a C++ compiler is missing: install {what}")
    include = Path(sysconfig.get_paths()["include"])
    if not (include / "Python.h").is_file():
        found.missing.append(f"Python's headers are missing ({include}): install python3-dev or the like")
    numpy_include = _numpy_include(found)
    if not any(distributions(name="pip")):
        found.missing.append(f"pip is missing from this Python: {sys.executable} -m ensurepip")
    _check_disk(found, build)
    chosen = _architectures(found, finder, toolkit, architectures)
    window = _gui(found, finder, gui)
    _note_video(found, finder)
    builder = ninja or make
    if not found.missing and toolkit and cmake and builder and numpy_include:
        found.machine = Machine(
            toolkit,
            cmake,
            "Ninja" if ninja else "Unix Makefiles",
            builder,
            chosen,
            window,
            include,
            _python_library(),
            numpy_include,
            finder.find("ccache"),
        )
    return found


class _Finder:
    """Finds programs on the PATH, and those that pip installed beside this Python."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._path = os.pathsep.join([environ.get("PATH", ""), str(Path(sys.executable).parent)])

    def find(self, name: str) -> Path | None:
        place = shutil.which(name, path=self._path)
        return None if place is None else Path(place)

    def says(self, name: str, *arguments: str) -> str | None:
        """What a program prints; None if it is not there or fails."""
        program = self.find(name)
        return None if program is None else output_of(program, *arguments)


def output_of(program: Path, *arguments: str) -> str | None:
    """What a program prints; None if it fails."""
    try:
        done = subprocess.run([str(program), *arguments], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def _toolkit(found: Survey, finder: _Finder, environ: Mapping[str, str], cuda: Path | None) -> Toolkit | None:
    if cuda is not None:
        roots = [cuda]
    else:
        named = [Path(environ[name]) for name in ("CUDA_HOME", "CUDA_PATH") if environ.get(name)]
        on_path = finder.find("nvcc")
        beside = [] if on_path is None else [on_path.resolve().parent.parent]
        roots = [*named, *beside, Path("/usr/local/cuda")]
    for root in roots:
        nvcc = root / "bin" / ("nvcc.exe" if _WINDOWS else "nvcc")
        told = output_of(nvcc, "--version") if nvcc.is_file() else None
        release = re.search(r"release (\d+)\.(\d+)", told or "")
        if release is None or not _header(root).is_file():
            continue
        version = (int(release[1]), int(release[2]))
        if version[0] < 12:
            found.missing.append(f"nvcc {version[0]}.{version[1]} is too old: the CUDA Toolkit 12 or 13 is needed")
            return None
        cudart = _cudart(root)
        if cudart is None:
            found.missing.append("the static CUDA runtime (cudart_static) is missing from the CUDA Toolkit: install it")
            return None
        return Toolkit(root, nvcc, version, cudart)
    where = "there" if cuda is not None else "on the PATH, in CUDA_HOME or in /usr/local/cuda"
    found.missing.append(f"nvcc with its headers is not {where}: install the CUDA Toolkit, or name it with --cuda DIR")
    return None


def _header(root: Path) -> Path:
    return root / "include" / "cuda_runtime.h"


def _cudart(root: Path) -> Path | None:
    name = "cudart_static.lib" if _WINDOWS else "libcudart_static.a"
    folders = ("lib64", "lib/x64", "lib", "targets/x86_64-linux/lib", "targets/sbsa-linux/lib")
    return next((root / folder / name for folder in folders if (root / folder / name).is_file()), None)


def _numpy_include(found: Survey) -> Path | None:
    try:
        import numpy as np
    except ImportError:
        found.missing.append("NumPy is missing from this Python: pip install numpy")
        return None
    return Path(np.get_include())


def _check_disk(found: Survey, build: Path) -> None:
    place = next(folder for folder in (build.absolute(), *build.absolute().parents) if folder.exists())
    free = shutil.disk_usage(place).free / 2**30
    if free < NEEDED_GIB:
        found.missing.append(f"disk space is missing: {free:.1f} GiB are free, {NEEDED_GIB:g} needed; see --build")


def _architectures(found: Survey, finder: _Finder, toolkit: Toolkit | None, asked: str) -> tuple[str, ...]:
    if asked in ("auto", "native"):
        told = finder.says("nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader")
        names = re.findall(r"^\d+\.\d+$", told or "", re.MULTILINE)
        if not names and asked == "native":
            found.missing.append("a GPU is missing: nvidia-smi names none; say --arch 8.6 or the like instead")
            return ()
        names = names or [DEFAULT_ARCHITECTURE]
    else:
        names = [name.strip() for name in asked.split(",")]
    if not all(re.fullmatch(r"\d+\.\d", name) for name in names):
        found.missing.append(f"--arch {asked}: say compute capabilities such as 8.6,8.9, or native")
        return ()
    known = re.findall(r"compute_(\d+)", (output_of(toolkit.nvcc, "--list-gpu-arch") or "") if toolkit else "")
    for name in names:
        if toolkit and known and name.replace(".", "") not in known:
            release = ".".join(map(str, toolkit.version))
            able = ", ".join(f"{number[:-1]}.{number[-1]}" for number in known)
            found.missing.append(f"nvcc {release} makes no code for compute capability {name}, only for {able}")
    return tuple(sorted(set(names), key=lambda name: tuple(map(int, name.split(".")))))


def _gui(found: Survey, finder: _Finder, asked: str) -> str:
    if _WINDOWS:
        return "none" if asked == "none" else "win32"
    # Qt first: pip's OpenCV has it too, and everything in rvm-live's window works with it.
    packages = {"qt": ("Qt6Widgets", "Qt5Widgets"), "gtk": ("gtk+-3.0",)}
    for name in packages if asked == "auto" else (asked,):
        if any(finder.says("pkg-config", "--exists", package) is not None for package in packages.get(name, ())):
            return name
    if asked == "auto":
        found.notes.append("no window: no Qt or GTK 3 headers are here (package qtbase5-dev), or no pkg-config")
    elif asked != "none":
        package = "libgtk-3-dev" if asked == "gtk" else "qtbase5-dev"
        found.missing.append(f"{asked}'s headers or pkg-config are missing: install {package} and pkg-config")
    return "none"


def _note_video(found: Survey, finder: _Finder) -> None:
    if _WINDOWS:
        return
    if finder.says("pkg-config", "--exists", "libavcodec", "libavformat", "libavutil", "libswscale") is None:
        found.notes.append("no network streams: FFmpeg's headers are not here (libavformat-dev, libswscale-dev)")
    if not Path("/usr/include/linux/videodev2.h").is_file():
        found.notes.append("no cameras: the header linux/videodev2.h is not here (package linux-libc-dev)")


def _python_library() -> str:
    if not _WINDOWS:
        return f"libpython{sysconfig.get_python_version()}.a"
    name = f"python{sysconfig.get_config_var('py_version_nodot')}.lib"
    return str(Path(sys.base_prefix) / "libs" / name)
