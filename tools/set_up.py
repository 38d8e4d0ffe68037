"""Installs this project and its dependencies into a virtual environment; first says what is downloaded, and how much.

``make`` runs it with the system's Python, so it uses only the standard library.
"""

from __future__ import annotations

import argparse
import ctypes.util
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

__all__ = ["has_driver", "main", "pinned", "put_torch"]

ROOT = Path(__file__).resolve().parents[1]
CONSTRAINTS = ROOT / "constraints.txt"
OLDEST = (3, 10)
BUILDS = ("auto", "cpu", "cuda", "default")
"""Of torch: what fits this machine; without CUDA; with it; what ``pip install torch`` gives."""

# Download sizes for Linux on x86-64 with Python 3.11, rounded.
_MB = {"demo,fast,openvino,web": 335, "dev": 820}
_TORCH_MB = {"cpu": 190, "cuda": 2900, "default": 100}
_PATIENCE = {"UV_HTTP_RETRIES": "0", "UV_HTTP_TIMEOUT": "20"}


def has_driver() -> bool:
    """Whether an NVIDIA driver is installed."""
    name = "nvcuda" if sys.platform == "win32" else "cuda"
    return bool(ctypes.util.find_library(name)) or Path("/proc/driver/nvidia/version").exists()


def _default_has_cuda() -> bool:
    """Whether ``pip install torch`` installs a build with CUDA here: on Linux it does."""
    return sys.platform == "linux"


def put_torch(python: Path, build: str, *, pin: str | None) -> str:
    """Install torch alone, in the requested build, where that build is available.

    Args:
        python: the environment's Python.
        build: one of ``BUILDS``.
        pin: torch's version; None: the newest.

    Returns:
        The build that is there now, or the one that installing the rest will bring.

    Raises:
        SystemExit: a build that was asked for by name is not available.
    """
    wanted = ("cuda" if has_driver() else "cpu") if build == "auto" else build
    there = _there(python, pin)
    if there and build in ("auto", there):
        return there
    spec = f"torch=={pin}" if pin else "torch"
    if wanted == "cpu" and _at_hand(python, spec):
        print(f"torch: {spec}, the CPU build that lies here", flush=True)
        _run(python, "-m", "pip", "install", *_QUIET, "--no-deps", spec)  # dependencies are installed with the rest
        return "cpu"
    if wanted == "default" or (wanted == "cuda") == _default_has_cuda():
        return "cuda" if _default_has_cuda() else "default"
    if build == "auto" and wanted == "cuda":  # Windows: pip's torch has no CUDA
        print("torch: an NVIDIA driver is here", flush=True)
    print(f"torch: {spec}, {wanted} build, about {_TORCH_MB[wanted]} MB", flush=True)
    backend = "cpu" if wanted == "cpu" else "auto"
    if _with_uv(python, backend, spec):
        return wanted
    if build != "auto":
        sys.exit(f"torch's {wanted} build cannot be fetched: TORCH=default takes what pip gives")
    left = "cuda" if _default_has_cuda() else "default"
    print(f"torch: its {wanted} build cannot be fetched; pip's own, {left}, about {_TORCH_MB[left]} MB", flush=True)
    return left


_QUIET = ("--quiet", "--disable-pip-version-check")


def _there(python: Path, pin: str | None) -> str:
    """The build that is already installed; empty where there is none, or another version."""
    code = "import importlib.metadata as m; print(m.version('torch'))"
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=False)
    version, _, local = done.stdout.strip().partition("+")
    if not version or (pin or version) != version:
        return ""
    return "cpu" if local == "cpu" else "cuda" if local.startswith("cu") or _default_has_cuda() else "default"


def _at_hand(python: Path, spec: str) -> bool:
    """Whether pip's own settings lead to a build without CUDA, such as in a folder of wheels."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        asked = ("install", *_QUIET, "--dry-run", "--no-deps", "--only-binary=:all:", "--report", str(report), spec)
        if subprocess.run([str(python), "-m", "pip", *asked], capture_output=True, check=False).returncode:
            return False
        found = json.loads(report.read_text(encoding="utf-8"))["install"]
    return any("+cpu" in each["metadata"]["version"] for each in found)


def _with_uv(python: Path, backend: str, spec: str) -> bool:
    """Install with uv, which knows where each of torch's builds is published."""
    environment = {**os.environ, **_PATIENCE}
    if subprocess.run([str(python), "-m", "pip", "install", *_QUIET, "uv"], check=False).returncode:
        return False
    asked = ("pip", "install", "--python", str(python), "--torch-backend", backend, "--reinstall", "--no-deps", spec)
    return subprocess.run([str(python), "-m", "uv", *asked], env=environment, check=False).returncode == 0


def _run(python: Path, *arguments: str) -> None:
    if code := subprocess.run([str(python), *arguments], cwd=ROOT, check=False).returncode:
        sys.exit(code)


def pinned() -> str | None:
    """The version of torch in constraints.txt."""
    found = re.search(r"^torch==(\S+)$", CONSTRAINTS.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else None


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("venv", type=Path, help="the environment; it is made")
    parser.add_argument("--extras", choices=sorted(_MB), default="demo,fast,openvino,web")
    parser.add_argument("--torch", choices=BUILDS, default="auto")
    parser.add_argument("--no-editable", action="store_true", help="a copy, which needs this folder no more")
    asked = parser.parse_args(arguments)
    if sys.version_info < OLDEST:
        sys.exit("rvm-live needs Python 3.10 or newer")
    python = asked.venv.absolute() / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not python.exists():
        _run(Path(sys.executable), "-m", "venv", str(asked.venv))
    what = "the tests need" if asked.extras == "dev" else "rvm-live needs"
    print(f"Python {platform.python_version()}: putting what {what} into {asked.venv}", flush=True)
    build = put_torch(python, asked.torch, pin=pinned())
    left = _MB[asked.extras] + (0 if _there(python, pinned()) else _TORCH_MB[build])
    print(f"about {left} MB, less what is here already", flush=True)
    rest = ("--constraint", str(CONSTRAINTS), *([] if asked.no_editable else ["--editable"]), f".[{asked.extras}]")
    _run(python, "-m", "pip", "install", "--disable-pip-version-check", *rest)


if __name__ == "__main__":
    main()
