"""Builds OpenCV with CUDA for rvm-live's compositor ``opencv-cuda`` and makes a wheel of it: ``make opencv-cuda``.

It fetches the source distribution of the opencv-contrib-python that rvm-live is tested with, and NPP, both with pip,
and continues where an earlier run stopped. See docs/opencv-cuda.md.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path

from tools.cuda_toolchain import Machine, survey
from tools.opencv_cuda_cmake import Layout, arguments, npp_folder, npp_requirement, parse_entries
from tools.opencv_cuda_wheel import make_wheel

__all__ = ["main"]

ROOT = Path(__file__).resolve().parent.parent
PROJECT = "opencv-contrib-python"


class BuildError(Exception):
    """A step failed; the message says which, and where to read more."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Build, and print the result.

    Args:
        arguments: the command line; None takes the process's own.

    Returns:
        0: done; 1: a step failed; 2: something is missing or an option is wrong.
    """
    asked = _options(arguments)
    try:
        extra = parse_entries(asked.define)
        version = asked.version or pinned(ROOT / "constraints.txt")
    except ValueError as error:
        return _complain([str(error)])
    if sys.platform == "darwin":
        return _complain(["CUDA does not exist on macOS: the compositors torch and cpu do the same work there"])
    layout = Layout(asked.build.absolute())
    found = survey(layout.root, environ=os.environ, cuda=asked.cuda, architectures=asked.arch, gui=asked.gui)
    if found.machine is None:
        return _complain(found.missing)
    _introduce(found.machine, version, layout, asked.jobs)
    for note in found.notes:
        print(f"note: {note}")
    if asked.dry_run:
        print(_command(found.machine, layout, extra))
        if npp_folder(layout.site) is None:
            print("(and NPP's files, once they are fetched)")
        return 0
    try:
        wheel = _build(found.machine, layout, version, asked, extra)
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for note in found.notes:
        print(f"note: {note}")
    print(f"\nThe wheel: {wheel}\nInstall it with: {sys.executable} -m pip install {wheel}")
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make opencv-cuda", description="Build OpenCV with CUDA, as a wheel that replaces pip's."
    )
    add = parser.add_argument
    add("--build", type=Path, default=ROOT / "build" / "opencv-cuda", help="folder to work in; kept, to continue")
    add("--out", type=Path, default=ROOT / "dist", help="folder for the wheel")
    add("--jobs", type=_positive, default=os.cpu_count() or 1, help="compilers at a time (default: %(default)s)")
    add("--arch", default="auto", help="compute capabilities such as 8.6,8.9; native; auto: native, else 9.0")
    add("--gui", choices=("auto", "gtk", "qt", "none"), default="auto", help="what draws OpenCV's windows")
    add("--cuda", type=Path, help="the CUDA Toolkit's folder (default: CUDA_HOME, the PATH, /usr/local/cuda)")
    add("--version", help=f"of {PROJECT} (default: the one in constraints.txt)")
    add("--sdist", type=Path, help="its source distribution, if you have it already")
    add("-D", dest="define", metavar="NAME=VALUE", action="append", default=[], help="further CMake entries")
    add("--dry-run", action="store_true", help="look for what is missing and show CMake's command line")
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number of at least 1")
    return int(text)


def pinned(constraints: Path) -> str:
    """The version of opencv-contrib-python that ``constraints`` pins.

    Raises:
        ValueError: it pins none.
    """
    found = re.search(rf"^{PROJECT}==(\S+)", constraints.read_text(), re.MULTILINE)
    if found is None:
        raise ValueError(f"{constraints.name} pins no {PROJECT}: say --version")
    return found[1]


def _complain(lines: list[str]) -> int:
    for line in lines:
        print(f"error: {line}", file=sys.stderr)
    return 2


def _introduce(machine: Machine, version: str, layout: Layout, jobs: int) -> None:
    release = ".".join(map(str, machine.toolkit.version))
    names = ", ".join(machine.architectures)
    print(f"{PROJECT} {version} with CUDA {release} for compute capability {names} (PTX {machine.architectures[-1]})")
    print(f"in {layout.root}, {jobs} compilers at a time{', ccache' if machine.ccache else ''}; window: {machine.gui}")


def _command(machine: Machine, layout: Layout, extra: dict[str, str]) -> str:
    words = arguments(machine, layout, npp_folder(layout.site), extra)
    return subprocess.list2cmdline([str(machine.cmake), *words])


def _build(machine: Machine, layout: Layout, version: str, asked: argparse.Namespace, extra: dict[str, str]) -> Path:
    started = time.monotonic()
    layout.root.mkdir(parents=True, exist_ok=True)
    log = layout.root / "build.log"
    log.write_text("")
    _fetch_source(layout, version, asked.sdist, log)
    _forget_this_machine(layout)
    requirement = None
    if sys.platform != "win32":  # there NPP comes with the toolkit
        requirement = npp_requirement(machine.toolkit.version)
        if npp_folder(layout.site) is None:
            print(f"fetching {requirement}")
            _run(_pip("install", "--no-deps", "--target", str(layout.site), requirement), log)
    cmake = str(machine.cmake)
    print("configuring")
    _run([cmake, *arguments(machine, layout, npp_folder(layout.site), extra)], log)
    print(f"compiling; every line is in {log}")
    target = ["--target", "opencv_python3", "--parallel", str(asked.jobs)]
    _run([cmake, "--build", str(layout.objects), *target], log, progress=True)
    shutil.rmtree(layout.stage, ignore_errors=True)
    _run([cmake, "--install", str(layout.objects), "--component", "python", "--strip"], log)
    cuda = ".".join(map(str, machine.toolkit.version))
    try:
        wheel = make_wheel(
            layout.stage, layout.source, asked.out.absolute(), version=version, cuda=cuda, requires=requirement
        )
    except FileNotFoundError as error:
        raise BuildError(f"{error}; see {log}") from error
    for old in (layout.site / "cv2", *layout.site.glob("opencv_contrib_python-*.dist-info")):
        shutil.rmtree(old, ignore_errors=True)
    _run(_pip("install", "--no-deps", "--target", str(layout.site), str(wheel)), log)
    print(f"built in {(time.monotonic() - started) / 60:.0f} minutes; what it has:\n")
    report = _report(layout.site)
    print(report)
    with log.open("a") as file:
        file.write(report)
    return wheel


def _fetch_source(layout: Layout, version: str, sdist: Path | None, log: Path) -> None:
    known = layout.source / "cv2" / "version.py"
    if known.is_file() and f'"{version}"' in known.read_text():
        return
    if sdist is None:
        print(f"fetching the source of {PROJECT} {version}")
        what = ("--no-deps", "--no-binary", PROJECT, f"{PROJECT}=={version}")
        _run(_pip("download", "--dest", str(layout.download), *what), log)
        sdist = next(layout.download.glob(f"*{version}*.tar.gz"), None)
    if sdist is None or not sdist.is_file():
        raise BuildError(f"there is no source distribution of {PROJECT} {version}")
    print("unpacking")
    unpacked = layout.root / "unpacking"
    shutil.rmtree(unpacked, ignore_errors=True)
    with tarfile.open(sdist) as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extraction_filter = tarfile.data_filter
        archive.extractall(unpacked)
    shutil.rmtree(layout.source, ignore_errors=True)
    (inner,) = unpacked.iterdir()
    inner.rename(layout.source)
    unpacked.rmdir()


def _forget_this_machine(layout: Layout) -> None:
    """Keep the build folder's own path out of the library's search path, where OpenCV's build would add it."""
    file = layout.source / "opencv" / "cmake" / "OpenCVInstallLayout.cmake"
    if file.is_file():
        text = file.read_text()
        changed = text.replace("set(CMAKE_INSTALL_RPATH_USE_LINK_PATH TRUE)", "")
        if changed != text:
            file.write_text(changed)


def _pip(*words: str) -> list[str]:
    return [sys.executable, "-m", "pip", "--disable-pip-version-check", *words]


def _run(command: list[str], log: Path, *, progress: bool = False) -> None:
    """Run ``command``; its output goes to the log, and the share that is done to the screen."""
    with (
        log.open("a", buffering=1) as file,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as process,
    ):
        file.write(f"$ {subprocess.list2cmdline(command)}\n")
        told = 0
        for line in process.stdout or ():
            file.write(line)
            share = _share(line) if progress else None
            if share is not None and share >= told + 5:
                told = share - share % 5
                print(f"{told:3d} %", flush=True)
    if process.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-25:])
        raise BuildError(f"{Path(command[0]).name} failed; the end of {log}:\n{tail}")


def _share(line: str) -> int | None:
    """Per cent done, from a line as Ninja's ``[120/815] …`` or make's ``[ 15%] …``."""
    counted = re.match(r"\[(\d+)/(\d+)\]", line)
    if counted:
        return int(counted[1]) * 100 // int(counted[2])
    named = re.match(r"\[\s*(\d+)%\]", line)
    return int(named[1]) if named else None


def _report(site: Path) -> str:
    """What the new OpenCV contains, found out in a fresh process."""
    path = os.pathsep.join([str(site), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", "tools.opencv_cuda_report"],
        env={**os.environ, "PYTHONPATH": path},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise BuildError(f"the new OpenCV cannot be used:\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
