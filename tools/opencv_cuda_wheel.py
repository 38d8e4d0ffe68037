"""Makes a wheel from what CMake installed, laid out as pip's own opencv-contrib-python."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["make_wheel"]

_NAME = "opencv_contrib_python"
_TAG = "cp310-abi3"
_LICENSES = ("LICENSE.txt", "LICENSE-3RD-PARTY.txt")


def make_wheel(stage: Path, source: Path, out: Path, *, version: str, cuda: str, requires: str | None) -> Path:
    """Write the wheel.

    Args:
        stage: what CMake installed.
        source: the unpacked source distribution, for its licences and the small Python files that are not OpenCV's.
        out: folder for the wheel.
        version: of the source distribution.
        cuda: CUDA's version, for the wheel's local version: it sorts after the plain one and satisfies the same pins.
        requires: the package that contains NPP.

    Returns:
        The wheel.

    Raises:
        FileNotFoundError: the installed tree has no library for Python.
    """
    full = f"{version}+cuda{cuda}"
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    info = f"{_NAME}-{full}.dist-info"
    needs = ["numpy>=2", *([requires] if requires else [])]
    metadata = [
        "Metadata-Version: 2.1",
        "Name: opencv-contrib-python",
        f"Version: {full}",
        f"Summary: OpenCV with the modules that rvm-live uses, CUDA {cuda}'s among them.",
        "License: Apache 2.0",
        "Requires-Python: >=3.10",
        *(f"Requires-Dist: {need}" for need in needs),
    ]
    tags = ["Wheel-Version: 1.0", "Generator: rvm-live", "Root-Is-Purelib: false", f"Tag: {_TAG}-{platform}"]
    texts = {f"{info}/METADATA": metadata, f"{info}/WHEEL": tags, f"{info}/top_level.txt": ["cv2"]}
    members = dict(_package(stage, source, version))
    members.update({f"{info}/licenses/{name}": (source / name).read_bytes() for name in _LICENSES})
    members.update({name: ("\n".join(lines) + "\n").encode() for name, lines in texts.items()})
    members[f"{info}/RECORD"] = _record(members, f"{info}/RECORD")
    out.mkdir(parents=True, exist_ok=True)
    wheel = out / f"{_NAME}-{full}-{_TAG}-{platform}.whl"
    unfinished = wheel.with_suffix(".tmp")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    unfinished.replace(wheel)
    return wheel


def _package(stage: Path, source: Path, version: str) -> Iterator[tuple[str, bytes]]:
    installed = stage / "python" / "cv2"
    libraries = [path for path in installed.glob("python-3/cv2*") if path.suffix in (".so", ".pyd")]
    if not libraries:
        raise FileNotFoundError("CMake installed no library for Python")
    for library in (*libraries, *stage.glob("bin/opencv_videoio_ffmpeg*.dll")):
        yield f"cv2/{library.name}", library.read_bytes()
    for path in sorted(installed.rglob("*")):
        if path.is_file() and (path.suffix in (".py", ".pyi") or path.name == "py.typed"):
            yield f"cv2/{path.relative_to(installed).as_posix()}", path.read_bytes()
    # This file tells OpenCV's loader where the library is: beside it.
    yield "cv2/config-3.py", b"PYTHON_EXTENSIONS_PATHS = [LOADER_DIR] + PYTHON_EXTENSIONS_PATHS\n"
    told = {"opencv_version": version, "contrib": True, "headless": False, "rolling": False, "ci_build": False}
    yield "cv2/version.py", "".join(f"{name} = {value!r}\n" for name, value in told.items()).encode()
    yield "cv2/data/__init__.py", (source / "cv2" / "data" / "__init__.py").read_bytes()


def _record(members: dict[str, bytes], own: str) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for name, content in members.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        writer.writerow((name, f"sha256={digest}", len(content)))
    writer.writerow((own, "", ""))
    return text.getvalue().encode()
