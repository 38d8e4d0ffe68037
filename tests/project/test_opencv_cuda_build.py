"""``make opencv-cuda``: what it looks for, says and makes; and the OpenCV that it made, where there is one.

The second part needs a build: RVM_LIVE_OPENCV_CUDA names its ``site`` folder (build/opencv-cuda/site).
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import cv2
import pytest
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from rvm_live.compositing import opencv_cuda
from rvm_live.compositing.opencv_cuda import NEEDED, OpenCvCudaCompositor
from rvm_live.core.errors import UnavailableError
from tests.conftest import ROOT
from tests.support.opencv_cuda import FakeCuda
from tools import build_opencv_cuda, opencv_cuda_report
from tools.build_opencv_cuda import main, pinned
from tools.cuda_toolchain import Survey, survey
from tools.opencv_cuda_cmake import CUDA_MODULES, NPP_PARTS, Layout, arguments, npp_folder, npp_requirement
from tools.opencv_cuda_wheel import make_wheel

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the programs that stand in are shell scripts")

PROGRAMS = ("cmake", "ninja", "g++")


@pytest.fixture(autouse=True)
def room_on_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that the disk has room: how full this machine's disk is, is not tested."""
    monkeypatch.setattr("tools.cuda_toolchain.shutil.disk_usage", lambda place: SimpleNamespace(free=50 << 30))


@pytest.fixture
def programs(tmp_path: Path) -> Callable[..., Path]:
    """Put stand-in programs on the PATH; theirs is its only folder."""
    folder = tmp_path / "programs"
    folder.mkdir()

    def put(name: str, script: str = "exit 0", folder: Path = folder) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
        return folder

    return put


@pytest.fixture
def toolkit(tmp_path: Path, programs: Callable[..., Path]) -> Path:
    return lay_toolkit(tmp_path / "cuda", programs)


def lay_toolkit(root: Path, programs: Callable[..., Path], release: str = "13.0") -> Path:
    known = "compute_75 compute_86 compute_89 compute_90 compute_120"
    answers = f'[ "$1" = --version ] && echo "release {release}, V{release}.88"; [ "$1" = --list-gpu-arch ] && '
    programs("nvcc", f"{answers} printf '%s\\n' {known}; exit 0", root / "bin")
    for file in ("include/cuda_runtime.h", "lib64/libcudart_static.a"):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    return root


def lay_npp(layout: Layout) -> Path:
    folder = layout.site / "nvidia" / "cu13"
    for file in ("include/nppcore.h", *(f"lib/libnpp{part}.so.13" for part in NPP_PARTS)):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    return folder


def look(path: Path, cuda: Path | None, *, architectures: str = "auto", gui: str = "auto") -> Survey:
    environ = {"PATH": str(path)}
    return survey(path / "build", environ=environ, cuda=cuda, architectures=architectures, gui=gui)


# What is missing -------------------------------------------------------------------------------------------------


def test_each_missing_thing_is_one_line_and_the_exit_code_is_2(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.build_opencv_cuda", "--cuda", str(tmp_path), "--build", str(tmp_path / "build")],
        cwd=ROOT,
        env={"PATH": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    for name in ("nvcc", "C++ compiler"):
        assert sum(name in line for line in lines) == 1
    assert all(line.startswith("error: ") for line in lines), lines
    assert not (tmp_path / "build").exists()


def test_nothing_is_missing_where_all_is_there(toolkit: Path, programs: Callable[..., Path]) -> None:
    for name in PROGRAMS:
        path = programs(name)
    found = look(path, toolkit)
    assert found.missing == []
    assert found.machine is not None
    assert found.machine.toolkit.version == (13, 0)
    assert found.machine.architectures == ("9.0",)
    assert found.machine.gui == "none"
    assert any(note.startswith("no window") for note in found.notes)
    assert any(note.startswith("no network streams") for note in found.notes)


def test_pip_is_looked_for_without_importing(
    toolkit: Path, programs: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """setuptools acts, and prints warnings, as soon as somebody asks where pip would be imported from."""
    asked: list[str] = []
    finder = SimpleNamespace(find_spec=lambda name, path=None, target=None: asked.append(name))
    monkeypatch.setattr(sys, "meta_path", [finder, *sys.meta_path])
    assert not any("pip is" in line for line in look(programs("true"), toolkit).missing)
    assert "pip" not in asked


@pytest.mark.parametrize("lacking", PROGRAMS)
def test_a_missing_program_is_named(
    lacking: str, toolkit: Path, programs: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = programs("true")
    for name in PROGRAMS:
        if name != lacking:
            programs(name)
    monkeypatch.setattr(sys, "executable", str(path / "python"))  # programs beside this Python count, too
    found = look(path, toolkit)
    assert found.machine is None
    assert [line for line in found.missing if ("C++" if lacking == "g++" else lacking) in line] == found.missing


def test_a_full_disk_is_named(toolkit: Path, programs: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROGRAMS:
        path = programs(name)
    usage = type("Usage", (), {"free": 2**30})
    monkeypatch.setattr("tools.cuda_toolchain.shutil.disk_usage", lambda place: usage)
    assert look(path, toolkit).missing == ["disk space is missing: 1.0 GiB are free, 4 needed; see --build"]


def test_an_old_toolkit_and_one_without_the_runtime_are_refused(tmp_path: Path, programs: Callable[..., Path]) -> None:
    for name in PROGRAMS:
        path = programs(name)
    old = lay_toolkit(tmp_path / "old", programs, "11.8")
    assert look(path, old).missing == ["nvcc 11.8 is too old: the CUDA Toolkit 12 or 13 is needed"]
    bare = lay_toolkit(tmp_path / "bare", programs)
    (bare / "lib64" / "libcudart_static.a").unlink()
    assert len(look(path, bare).missing) == 1
    assert "cudart_static" in look(path, bare).missing[0]


def test_the_toolkit_is_found_by_name_and_on_the_path(
    toolkit: Path, tmp_path: Path, programs: Callable[..., Path]
) -> None:
    for name in PROGRAMS:
        path = programs(name)
    build = tmp_path / "build"
    for environ in ({"PATH": str(path), "CUDA_HOME": str(toolkit)}, {"PATH": f"{path}:{toolkit / 'bin'}"}):
        found = survey(build, environ=environ, cuda=None, architectures="auto", gui="none")
        assert found.machine is not None
        assert found.machine.toolkit.root == toolkit


# GPUs --------------------------------------------------------------------------------------------------------------


def test_architectures(toolkit: Path, programs: Callable[..., Path]) -> None:
    for name in PROGRAMS:
        path = programs(name)

    def chosen(asked: str) -> tuple[str, ...]:
        machine = look(path, toolkit, architectures=asked).machine
        assert machine is not None
        return machine.architectures

    assert chosen("12.0, 8.6,8.6") == ("8.6", "12.0")
    assert "nvidia-smi names none" in look(path, toolkit, architectures="native").missing[0]
    assert "makes no code for compute capability 6.1" in look(path, toolkit, architectures="6.1").missing[0]
    for wrong in ("sm_86", "", "86", "8.6,,8.9"):
        assert "say compute capabilities" in look(path, toolkit, architectures=wrong).missing[0]
    programs("nvidia-smi", "echo 8.9; echo 8.6")
    assert chosen("native") == chosen("auto") == ("8.6", "8.9")


def test_the_window_follows_the_headers(toolkit: Path, programs: Callable[..., Path]) -> None:
    for name in PROGRAMS:
        path = programs(name)
    assert "gtk's headers" in look(path, toolkit, gui="gtk").missing[0]
    programs("pkg-config", 'case "$2" in Qt5Widgets) exit 0;; *) exit 1;; esac')
    machine = look(path, toolkit).machine
    assert machine is not None and machine.gui == "qt"
    programs("pkg-config")
    for asked, chosen in (("auto", "qt"), ("gtk", "gtk"), ("none", "none")):
        machine = look(path, toolkit, gui=asked).machine
        assert machine is not None and machine.gui == chosen


# CMake -------------------------------------------------------------------------------------------------------------


def test_cmake_is_asked_for_what_the_compositor_calls(
    toolkit: Path, tmp_path: Path, programs: Callable[..., Path]
) -> None:
    for name in (*PROGRAMS, "ccache"):
        path = programs(name)
    machine = look(path, toolkit, architectures="8.6,8.9").machine
    assert machine is not None
    layout = Layout(tmp_path / "a build")
    assert npp_folder(layout.site) is None
    npp = lay_npp(layout)
    assert npp_folder(layout.site) == npp
    words = arguments(machine, layout, npp, {"WITH_FFMPEG": "OFF", "PYTHON3_LIMITED_API": "OFF"})
    entries = dict(word[2:].split("=", 1) for word in words if word.startswith("-D"))
    assert set(NEEDED) - {"core"} <= set(CUDA_MODULES) <= set(entries["BUILD_LIST"].split(","))
    assert entries["CUDA_ARCH_BIN"] == "8.6;8.9"
    assert entries["CUDA_ARCH_PTX"] == "8.9"
    assert entries["WITH_CUDA"] == entries["ENABLE_CCACHE"] == "ON"
    assert entries["BUILD_TESTS"] == entries["WITH_GTK"] == "OFF"
    assert entries["CMAKE_INSTALL_RPATH"] == "$ORIGIN/../nvidia/cu13/lib"
    assert entries["CUDA_nppial_static_LIBRARY"] == str(npp / "lib" / "libnppial.so.13")
    assert entries["WITH_FFMPEG"] == entries["PYTHON3_LIMITED_API"] == "OFF"  # what the user says has priority
    assert words[:2] == ["-S", str(layout.source / "opencv")]
    assert "PYTHON3_LIMITED_API=ON" in " ".join(arguments(machine, layout, npp, {}))


def test_npps_package_follows_the_toolkit() -> None:
    assert npp_requirement((13, 0)) == "nvidia-npp==13.0.*"
    assert npp_requirement((12, 8)) == "nvidia-npp-cu12"


# Options and steps -------------------------------------------------------------------------------------------------


def test_the_version_is_the_one_rvm_live_is_tested_with(tmp_path: Path) -> None:
    assert Version(pinned(ROOT / "constraints.txt")) >= Version("5.0")
    (tmp_path / "constraints.txt").write_text("numpy==2.0\nopencv-contrib-python-headless==4.0\n")
    with pytest.raises(ValueError, match="pins no opencv-contrib-python"):
        pinned(tmp_path / "constraints.txt")


@pytest.mark.parametrize("wrong", [["--jobs", "0"], ["--jobs", "many"], ["--gui", "motif"], ["--nonsense"]])
def test_wrong_options_end_with_2(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(wrong)
    assert stopped.value.code == 2
    assert wrong[-1] in capsys.readouterr().err


def test_a_wrong_entry_for_cmake_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-D", "WITH_IPP"]) == 2
    assert capsys.readouterr().err == "error: -D WITH_IPP: say NAME=VALUE\n"


def sdist_of(folder: Path, version: str) -> Path:
    top = folder / f"opencv_contrib_python-{version}"
    (top / "cv2" / "data").mkdir(parents=True)
    (top / "cv2" / "version.py").write_text(f'opencv_version = "{version}"\n')
    (top / "cv2" / "data" / "__init__.py").write_text("haarcascades = ''\n")
    for name in ("LICENSE.txt", "LICENSE-3RD-PARTY.txt"):
        (top / name).write_text(name)
    with tarfile.open(folder / f"{top.name}.tar.gz", "w:gz") as archive:
        archive.add(top, top.name)
    return folder / f"{top.name}.tar.gz"


@pytest.fixture
def build(
    tmp_path: Path, toolkit: Path, programs: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., int]:
    """Build with these options, with every program available."""
    for name in PROGRAMS:
        path = programs(name)
    monkeypatch.setenv("PATH", f"{path}:/usr/bin:/bin")
    places = ["--build", str(tmp_path / "build"), "--out", str(tmp_path / "dist"), "--cuda", str(toolkit)]
    return lambda *options: main([*places, "--version", "9.9.9.9", "--gui", "none", "--arch", "9.0", *options])


def test_a_dry_run_leaves_nothing(
    tmp_path: Path, build: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert build("--dry-run") == 0
    assert "-DWITH_CUDA=ON" in capsys.readouterr().out
    assert not (tmp_path / "build").exists() and not (tmp_path / "dist").exists()


def test_a_step_that_fails_shows_the_end_of_the_log(
    tmp_path: Path, programs: Callable[..., Path], build: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    sdist = sdist_of(tmp_path, "9.9.9.9")
    layout = Layout(tmp_path / "build")
    lay_npp(layout)
    programs("cmake", 'echo "the compiler is out of order"; exit 3')
    assert build("--sdist", str(sdist)) == 1
    told = capsys.readouterr()
    assert "cmake failed" in told.err and "the compiler is out of order" in told.err
    assert not (tmp_path / "dist").exists()
    # Downloaded and unpacked files are kept: the next run continues from them, without the archive.
    (layout.source / "kept").touch()
    sdist.unlink()
    assert build() == 1
    told = capsys.readouterr()
    assert "cmake failed" in told.err and "unpacking" not in told.out and (layout.source / "kept").exists()


@pytest.mark.slow
def test_all_steps_with_a_cmake_that_stands_in(
    tmp_path: Path,
    programs: Callable[..., Path],
    build: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """From the archive to the wheel, installed beside NPP. Only the compiler and the final check of cv2 are
    stand-ins."""
    sdist = sdist_of(tmp_path, "9.9.9.9")
    layout = Layout(tmp_path / "build")
    lay_npp(layout)
    package = shlex.quote(str(layout.stage / "python" / "cv2"))
    lines = "for i in 1 2 3 4; do echo [$i/4] Building CXX object; done"
    install = f"mkdir -p {package}/python-3; echo ELF > {package}/python-3/cv2.abi3.so; touch {package}/__init__.py"
    programs("cmake", f'case "$1" in --build) {lines};; --install) {install};; esac')
    monkeypatch.setattr(build_opencv_cuda, "_report", lambda site: f"{sorted(p.name for p in site.iterdir())}\n")
    for _ in range(2):  # a second run replaces the first one's
        assert build("--sdist", str(sdist)) == 0
        told = capsys.readouterr().out
        assert re.findall(r"^ *(\d+) %$", told, re.MULTILINE) == ["25", "50", "75", "100"]
        assert "['cv2', 'nvidia', 'opencv_contrib_python-9.9.9.9+cuda13.0.dist-info']" in told
        (wheel,) = (tmp_path / "dist").iterdir()
        assert f"-m pip install {wheel}" in told


# The wheel ---------------------------------------------------------------------------------------------------------


def test_the_wheel_is_whole_and_takes_pips_place(tmp_path: Path) -> None:
    version = pinned(ROOT / "constraints.txt")
    sdist_of(tmp_path, version)
    source = tmp_path / f"opencv_contrib_python-{version}"
    installed = tmp_path / "stage" / "python" / "cv2"
    for name in ("__init__.py", "config.py", "config-3.py", "utils/__init__.py", "cuda/__init__.pyi", "py.typed"):
        (installed / name).parent.mkdir(parents=True, exist_ok=True)
        (installed / name).write_text(name)
    with pytest.raises(FileNotFoundError, match="no library"):
        make_wheel(tmp_path / "stage", source, tmp_path, version=version, cuda="13.0", requires=None)
    (installed / "python-3").mkdir()
    (installed / "python-3" / "cv2.abi3.so").write_bytes(b"\x7fELF")
    requires = "nvidia-npp==13.0.*"
    wheel = make_wheel(tmp_path / "stage", source, tmp_path, version=version, cuda="13.0", requires=requires)
    name, local, python, abi, _ = wheel.stem.split("-", 4)
    assert (name, python, abi) == ("opencv_contrib_python", "cp310", "abi3")
    # It satisfies the same pin, and pip considers it newer than what it replaces.
    assert Version(local) in SpecifierSet(f"=={version}") and Version(local) > Version(version)
    with zipfile.ZipFile(wheel) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    info = f"{name}-{local}.dist-info"
    assert members["cv2/cv2.abi3.so"] == b"\x7fELF"
    assert b"[LOADER_DIR]" in members["cv2/config-3.py"]
    assert {f"cv2/{part}" for part in ("utils/__init__.py", "cuda/__init__.pyi", "data/__init__.py")} <= set(members)
    assert b"Requires-Dist: nvidia-npp==13.0.*\n" in members[f"{info}/METADATA"]
    assert f"{info}/licenses/LICENSE-3RD-PARTY.txt" in members
    listed = {row[0]: row[1:] for row in csv.reader(members[f"{info}/RECORD"].decode().splitlines())}
    assert set(listed) == set(members)
    for member, (digest, size) in listed.items():
        if member != f"{info}/RECORD":
            expected = base64.urlsafe_b64encode(hashlib.sha256(members[member]).digest()).rstrip(b"=").decode()
            assert (digest, int(size)) == (f"sha256={expected}", len(members[member]))


# The compositor's reasons for refusing ----------------------------------------------------------------------------


def test_no_device_is_told_apart_from_no_cuda() -> None:
    version = re.escape(str(cv2.__version__))
    assert re.fullmatch(rf"this OpenCV \({version}\) is built without CUDA, .*", opencv_cuda.why_not(None) or "")
    for devices in (0, -1):
        reason = opencv_cuda.why_not(FakeCuda(devices=devices)) or ""
        assert re.match(rf"this OpenCV \({version}\) finds no CUDA device", reason)
        assert "built without" not in reason

    class Broken(FakeCuda):
        def getCudaEnabledDeviceCount(self) -> int:
            raise cv2.error("unknown\n error")

    assert (opencv_cuda.why_not(Broken()) or "").endswith("finds no CUDA device: unknown error")


def test_a_build_without_code_for_the_gpu_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(FakeCuda):
        def multiply(self, *arguments: object, **options: object) -> None:
            raise cv2.error("no kernel image is available for execution on the device")

    monkeypatch.setattr(cv2, "cuda", Other())
    with pytest.raises(UnavailableError, match="has no code for this GPU"):
        OpenCvCudaCompositor().open()


def test_a_constructor_that_fails_is_told_in_opencvs_words(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(FakeCuda):
        def GpuMat(self, *arguments: object) -> None:
            try:
                raise cv2.error("out of memory")
            except cv2.error as error:  # as OpenCV's bindings do
                raise SystemError("GpuMat returned a result with an exception set") from error

    monkeypatch.setattr(cv2, "cuda", Full())
    with pytest.raises(UnavailableError, match="cannot use the CUDA device: out of memory"):
        OpenCvCudaCompositor().open()


# A real build ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site() -> Path:
    named = os.environ.get("RVM_LIVE_OPENCV_CUDA")
    if not named:
        pytest.skip("no OpenCV with CUDA: make opencv-cuda, then RVM_LIVE_OPENCV_CUDA=build/opencv-cuda/site")
    if not (Path(named) / "cv2").is_dir():
        pytest.fail(f"RVM_LIVE_OPENCV_CUDA: there is no cv2 in {named}")
    return Path(named).absolute()


def with_built(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run this Python with the built ``cv2`` ahead of the installed one."""
    path = os.pathsep.join([str(site), str(ROOT)])
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )


def answer(site: Path, code: str) -> str:
    done = with_built(site, "-c", code)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def devices(site: Path) -> int:
    return int(answer(site, "import cv2; print(cv2.cuda.getCudaEnabledDeviceCount())"))


def test_it_is_the_build_that_is_imported_with_npp_beside_it(site: Path) -> None:
    code = "import cv2, re; print(cv2.__file__); print(set(re.findall(r'/.*libnpp.*', open('/proc/self/maps').read())))"
    file, _, libraries = answer(site, code).partition("\n")
    assert Path(file).is_relative_to(site)
    assert all(library.startswith(str(site)) for library in re.findall(r"'([^']+)'", libraries)), libraries
    assert "libnppial" in libraries


def test_the_report_names_what_it_has(site: Path) -> None:
    done = with_built(site, "-m", "tools.opencv_cuda_report")
    assert done.returncode == 0, done.stderr
    told = {line[:24].strip(): line[24:] for line in done.stdout.splitlines()}
    assert told["CUDA"].startswith("YES (ver ")
    assert re.fullmatch(r"\d+( \d+)*", told["code for GPUs"])
    assert "libnppial" in told["NPP"]
    assert told["devices"] == str(devices(site))


def test_pips_opencv_is_reported_as_without(capsys: pytest.CaptureFixture[str]) -> None:
    if hasattr(cv2.cuda, "multiply"):
        pytest.skip("this OpenCV is built with CUDA")
    assert opencv_cuda_report.main() == 1
    assert "is built without CUDA" in capsys.readouterr().out


def test_every_function_the_compositor_calls_is_there_and_takes_its_arguments(site: Path) -> None:
    done = with_built(site, "-m", "tests.support.opencv_cuda_calls")
    assert done.returncode == 0, done.stderr
    outcomes = json.loads(done.stdout)
    called = {form.split()[0] for form in outcomes}
    assert called >= {name for names in NEEDED.values() for name in names} - {"Stream"}
    assert {"GpuMat.convertTo", "GpuMat.upload", "Filter.apply", "wrapStream", "createGpuMatFromCudaMemory"} <= called
    assert {form: told for form, told in outcomes.items() if told != "ok"} == {}


def test_it_has_every_name_of_cv2_that_rvm_live_uses(site: Path) -> None:
    names = set()
    for file in (ROOT / "rvm_live").rglob("*.py"):
        names |= set(re.findall(r"(?<![\w.])cv2((?:\.[A-Za-z_]\w*)+)", file.read_text()))
    assert len(names) > 50
    code = f"import cv2, operator\nfor name in {sorted(names)!r}: operator.attrgetter(name[1:])(cv2)"
    answer(site, code)


def test_without_a_device_the_compositor_says_so(site: Path) -> None:
    code = (
        "from rvm_live.compositing.opencv_cuda import OpenCvCudaCompositor\n"
        "from rvm_live.core.errors import UnavailableError\n"
        "try: OpenCvCudaCompositor().open()\n"
        "except UnavailableError as error: print(error)\n"
        "else: print('works')"
    )
    told = answer(site, code)
    if devices(site) > 0:
        assert told == "works"
    else:
        assert "finds no CUDA device" in told and "built without" not in told
