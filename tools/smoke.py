"""Checks that the built wheel, installed without constraints in its own environment, does what people start with.

``python -m tools.smoke`` uses this Python, ``--pythons all`` every Python from 3.10 on that is found. It says how much
is downloaded. Where no package index can be reached it says so, and that is no failure.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.set_up import OLDEST, ROOT, pinned, put_torch

__all__ = ["build", "built", "main", "matting", "pythons"]

_BIN = "Scripts" if sys.platform == "win32" else "bin"
_UNREACHED = ("NewConnectionError", "ConnectTimeoutError", "NameResolutionError", "No matching distribution")


def pythons() -> Iterator[Path]:
    """Every Python from 3.10 on that is found: one of each version, the oldest first."""
    named = [*(f"python3.{minor}" for minor in range(OLDEST[1], 30)), "python3", "python"]
    found = [Path(where) for name in named if (where := shutil.which(name))]
    root = os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv"
    found += sorted(Path(root).glob("versions/*/bin/python3"))
    chosen: dict[tuple[int, int], Path] = {}
    for path in (Path(sys.executable), *found):
        version = _version(path)
        if version is not None and version >= OLDEST:
            chosen.setdefault(version, path)
    yield from (chosen[version] for version in sorted(chosen))


def _version(python: Path) -> tuple[int, int] | None:
    try:
        told = subprocess.run(
            [str(python), "-I", "-c", "import sys; print(list(sys.version_info[:2]))"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        major, minor = json.loads(told.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return major, minor


def build(*what: str, out: Path, tree: Path = ROOT) -> None:
    """Build the ``--wheel``, the ``--sdist`` or both of a tree into a folder.

    Raises:
        SystemExit: the build fails; the message says why.
    """
    asked = ("-m", "build", *what, "--no-isolation", "--outdir", str(out), str(tree))
    done = subprocess.run([sys.executable, *asked], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"cannot be built: {done.stderr or done.stdout}")


def built(folder: Path) -> Path:
    """Build the wheel of this tree into a folder."""
    build("--wheel", out=folder)
    (wheel,) = folder.glob("*.whl")
    return wheel


def smoke(python: Path, wheel: Path, folder: Path) -> bool:
    """Install and try the wheel; returns False where no package index could be reached for it.

    Raises:
        SystemExit: the installation fails for another reason, or the program does not work.
    """
    began = time.monotonic()
    subprocess.run([str(python), "-m", "venv", str(folder / "env")], check=True)
    own = folder / "env" / _BIN / ("python.exe" if sys.platform == "win32" else "python")
    version = ".".join(map(str, _version(own) or ()))
    build = put_torch(own, "auto", pin=pinned())
    if build == "cuda":
        print(f"Python {version}: no CPU build of torch is at hand: about 3 GB are fetched", flush=True)
    asked = ("install", "--disable-pip-version-check", "--progress-bar", "off", f"{wheel}[demo,openvino]")
    done = subprocess.run([str(own), "-m", "pip", *asked], capture_output=True, text=True, check=False)
    if done.returncode:
        if any(each in done.stdout + done.stderr for each in _UNREACHED):
            print(f"Python {version}: skipped, no registry can be reached: {_last(done.stderr)}", flush=True)
            return False
        sys.exit(f"Python {version}: cannot be installed: {_last(done.stderr)}")
    listed = subprocess.run([str(own), "-m", "pip", "list", "--format=json"], capture_output=True, check=True)
    versions = {each["name"].lower(): each["version"] for each in json.loads(listed.stdout)}
    used = ", ".join(
        f"{name} {versions[name]}" for name in ("torch", "av", "numpy", "opencv-contrib-python", "openvino")
    )
    print(f"Python {version}: {used}, installed after {time.monotonic() - began:.0f} s", flush=True)
    matting(own, folder)
    print(
        f"Python {version}: demo, file, batch and recording work, {time.monotonic() - began:.0f} s in all", flush=True
    )
    return True


def matting(python: Path, folder: Path) -> None:
    """Record the demo, matte the recording as a file, and again with ``batch``.

    Args:
        python: a Python with the program installed.
        folder: folder for the output.

    Raises:
        SystemExit: one of them fails, prints a traceback, or leaves a file without all of its frames.

    """
    home = {**{name: text for name, text in os.environ.items() if not name.startswith("RVM_LIVE_")}}
    home |= {"RVM_LIVE_CACHE": str(folder / "cache"), "PYTHONWARNINGS": "error"}
    live = ("--headless", "--offline", "--engine", "lite", "--log-level", "warning")
    small = ("--width", "320", "--height", "180", "--no-realtime")
    runs = [
        ("demo", ["--source", "demo", *live, *small, "--frames", "8", "--record", "demo.mp4"], "demo.mp4"),
        ("file", ["--source", "demo.mp4", *live, "--no-realtime", "--record", "cut out.mov", "-b", "transparent"],
         "cut out.mov"),
        ("video background", ["demo.mp4", *live, "--no-realtime", "-b", "video:demo.mp4", "--record", "film.mkv"],
         "film.mkv"),
        ("batch", ["batch", "demo.mp4", "-o", "out", "--offline", "--engine", "lite"], "out/output_demo.m*"),
    ]  # fmt: skip
    for what, arguments, made in runs:
        asked = [str(python), "-I", "-m", "rvm_live", *arguments]
        done = subprocess.run(asked, cwd=folder, env=home, capture_output=True, text=True, timeout=300, check=False)
        told = done.stderr + done.stdout
        if done.returncode or "Traceback" in told:
            sys.exit(f"{what}: exit code {done.returncode}\n{told}")
        found = next(iter(folder.glob(made)), None)
        if found is None or _frames(python, found) < 8:
            sys.exit(f"{what}: {made} has not all of its frames\n{told}")


def _frames(python: Path, path: Path) -> int:
    """Number of pictures in a video."""
    code = "import sys, av; print(sum(1 for _ in av.open(sys.argv[1]).decode(video=0)))"
    done = subprocess.run([str(python), "-I", "-c", code, str(path)], capture_output=True, text=True, check=False)
    return int(done.stdout) if done.stdout.strip().isdigit() else 0


def _last(text: str) -> str:
    lines = [line for line in text.splitlines() if re.search(r"error|no matching", line, re.IGNORECASE)]
    return (lines or text.splitlines() or ["nothing is said"])[-1]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.smoke", description=__doc__)
    parser.add_argument("--wheel", type=Path, help="the wheel (default: one built from this tree)")
    parser.add_argument("--pythons", nargs="+", default=["here"], help="here, all, or their paths")
    asked = parser.parse_args(arguments)
    chosen = {"here": [Path(sys.executable)], "all": list(pythons())}.get(asked.pythons[0], map(Path, asked.pythons))
    with tempfile.TemporaryDirectory() as folder:
        wheel = asked.wheel.resolve() if asked.wheel else built(Path(folder))
        passed = skipped = 0
        for number, python in enumerate(chosen):
            place = Path(folder) / str(number)
            place.mkdir()
            done = smoke(python, wheel, place)
            passed, skipped = passed + done, skipped + (not done)
            shutil.rmtree(place, ignore_errors=True)  # up to 6 GB
    print(f"smoke: {passed} passed, 0 failed, {skipped} skipped")


if __name__ == "__main__":
    main()
