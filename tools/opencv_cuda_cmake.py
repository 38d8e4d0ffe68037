"""How OpenCV is configured: the modules that rvm-live uses, with their CUDA parts, in one library for Python."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.cuda_toolchain import Machine

__all__ = [
    "CUDA_MODULES",
    "MODULES",
    "NPP_PARTS",
    "Layout",
    "arguments",
    "npp_folder",
    "npp_requirement",
    "parse_entries",
]

# ximgproc: the demo's portrait is cut out with its guided filter.
MODULES = ("core", "imgproc", "imgcodecs", "videoio", "highgui", "ximgproc", "python3")
# What rvm_live/compositing/opencv_cuda.py calls; cudaimgproc is not needed.
CUDA_MODULES = ("cudev", "cudaarithm", "cudafilters", "cudawarping")
NPP_PARTS = ("c", "ial", "idei", "if", "ig", "im", "ist", "itc")

_NO = (
    *("BUILD_TESTS", "BUILD_PERF_TESTS", "BUILD_EXAMPLES", "BUILD_DOCS", "BUILD_JAVA", "BUILD_SHARED_LIBS"),
    *("BUILD_opencv_apps", "BUILD_opencv_python2"),
    *("WITH_CUBLAS", "WITH_CUFFT", "WITH_CUDNN", "WITH_NVCUVID", "WITH_NVCUVENC"),
    # IPP and the Unicode font would be downloaded separately; rvm-live draws with the built-in font.
    *("WITH_IPP", "WITH_UNIFONT"),
    *("WITH_OPENCL", "WITH_ITT", "WITH_LAPACK", "WITH_EIGEN", "WITH_PROTOBUF", "WITH_FLATBUFFERS", "WITH_ADE"),
    *("WITH_VTK", "WITH_GSTREAMER", "WITH_1394", "WITH_OBSENSOR", "WITH_VA", "WITH_VA_INTEL"),
    *("WITH_OPENEXR", "BUILD_OPENEXR", "WITH_JASPER", "WITH_GDAL", "WITH_GDCM", "OPENCV_FFMPEG_ENABLE_LIBAVDEVICE"),
    *("HIGHGUI_ENABLE_PLUGINS", "VIDEOIO_ENABLE_PLUGINS", "PARALLEL_ENABLE_PLUGINS"),
)
_YES = (
    *("WITH_CUDA", "ENABLE_CUDA_FIRST_CLASS_LANGUAGE", "BUILD_opencv_python3", "INSTALL_CREATE_DISTRIB"),
    "PYTHON3_LIMITED_API",
    *("BUILD_ZLIB", "BUILD_PNG", "BUILD_JPEG", "BUILD_TIFF", "BUILD_WEBP", "BUILD_OPENJPEG"),
)
_WINDOW = {"gtk": ("WITH_GTK",), "qt": ("WITH_QT",), "win32": ("WITH_WIN32UI",), "none": ()}


@dataclass(frozen=True)
class Layout:
    """Paths within the build folder.

    Attributes:
        root: the build folder.
    """

    root: Path

    @property
    def download(self) -> Path:
        """The source distribution, as downloaded."""
        return self.root / "download"

    @property
    def source(self) -> Path:
        """The source distribution, unpacked."""
        return self.root / "source"

    @property
    def objects(self) -> Path:
        """CMake's build folder."""
        return self.root / "build"

    @property
    def stage(self) -> Path:
        """The folder that CMake installs into."""
        return self.root / "stage"

    @property
    def site(self) -> Path:
        """NPP, and at the end the new ``cv2`` beside it, as in a ``site-packages``."""
        return self.root / "site"


def npp_requirement(version: tuple[int, int]) -> str:
    """The package that contains NPP for a CUDA version (major, minor)."""
    major, minor = version
    return f"nvidia-npp=={major}.{minor}.*" if major >= 13 else f"nvidia-npp-cu{major}"


def npp_folder(site: Path) -> Path | None:
    """The folder in ``site`` with NPP's ``include`` and ``lib``; None if NPP is not there."""
    found = sorted(site.glob("nvidia/*/include/nppcore.h"))
    return found[0].parent.parent if found else None


def arguments(machine: Machine, layout: Layout, npp: Path | None, extra: Mapping[str, str]) -> list[str]:
    """CMake's arguments, without the program's name.

    Args:
        machine: the programs and libraries to build with.
        layout: the folders.
        npp: the folder from :func:`npp_folder`; None takes NPP from the toolkit, as on Windows.
        extra: further cache entries; they override these.
    """
    newest = machine.architectures[-1]
    entries = {
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_INSTALL_PREFIX": _text(layout.stage),
        "OPENCV_EXTRA_MODULES_PATH": _text(layout.source / "opencv_contrib" / "modules"),
        "BUILD_LIST": ",".join((*MODULES, *CUDA_MODULES)),
        "OPENCV_PYTHON3_INSTALL_PATH": "python",
        "PYTHON3_EXECUTABLE": _text(sys.executable),
        "PYTHON_DEFAULT_EXECUTABLE": _text(sys.executable),
        "PYTHON3_INCLUDE_DIR": _text(machine.python_include),
        "PYTHON3_LIBRARY": _text(machine.python_library),
        "PYTHON3_NUMPY_INCLUDE_DIRS": _text(machine.numpy_include),
        "CMAKE_CUDA_COMPILER": _text(machine.toolkit.nvcc),
        "CUDAToolkit_ROOT": _text(machine.toolkit.root),
        # Machine code for every GPU named, and PTX for the newest, which drivers translate for future GPUs.
        "CUDA_ARCH_BIN": ";".join(machine.architectures),
        "CUDA_ARCH_PTX": newest,
        "ENABLE_CCACHE": "ON" if machine.ccache else "OFF",
        **dict.fromkeys(_NO, "OFF"),
        **dict.fromkeys(_YES, "ON"),
        **dict.fromkeys(("WITH_GTK", "WITH_QT", "WITH_WIN32UI"), "OFF"),
        **dict.fromkeys(_WINDOW[machine.gui], "ON"),
    }
    if npp is not None:
        entries.update(_with_npp(machine, layout, npp))
    entries.update(extra)
    made = [f"-D{name}={value}" for name, value in entries.items()]
    return ["-S", str(layout.source / "opencv"), "-B", str(layout.objects), "-G", machine.generator, *made]


def _with_npp(machine: Machine, layout: Layout, npp: Path) -> dict[str, str]:
    # A build without shared libraries of its own asks for static CUDA libraries, but NPP's package has only shared
    # ones. CMake takes whatever file these entries name.
    libraries = {part: next(iter(sorted((npp / "lib").glob(f"libnpp{part}.so.*")))) for part in NPP_PARTS}
    within = os.path.relpath(npp / "lib", layout.site / "cv2").replace(os.sep, "/")
    return {
        "CUDA_cudart_static_LIBRARY": _text(machine.toolkit.cudart),
        **{f"CUDA_npp{part}_static_LIBRARY": _text(library) for part, library in libraries.items()},
        "CMAKE_CXX_STANDARD_INCLUDE_DIRECTORIES": _text(npp / "include"),
        "CMAKE_CUDA_STANDARD_INCLUDE_DIRECTORIES": _text(npp / "include"),
        # They lie side by side in any site-packages, so a relative path finds NPP there.
        "CMAKE_INSTALL_RPATH": f"$ORIGIN/{within}",
    }


def _text(path: Path | str) -> str:
    return str(path).replace("\\", "/")


def parse_entries(words: Sequence[str]) -> dict[str, str]:
    """``NAME=VALUE`` and ``NAME:TYPE=VALUE`` as CMake's ``-D`` takes them.

    Raises:
        ValueError: a word without ``=``.
    """
    entries = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise ValueError(f"-D {word}: say NAME=VALUE")
        entries[name.partition(":")[0]] = value
    return entries
