"""Nothing leaves this machine unless somebody asked for it, and no log holds a picture."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support.movies import make_movie

WATCHED = """
import json, sys
seen = []
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "urllib.Request", "http.client.connect"):
        address = arguments[1] if event == "socket.connect" else arguments[0]
        if not isinstance(address, (str, bytes)) or not str(address).startswith(("/", "b'/")):
            seen.append([event, repr(arguments)[:200]])
sys.addaudithook(watch)
from rvm_live.cli import main
try:
    main(sys.argv[1:])
except SystemExit as leaving:
    code = leaving.code
sys.stderr.write("WATCHED " + json.dumps({"code": code, "seen": seen}) + "\\n")
"""


def watched(cwd: Path, *arguments: str) -> dict[str, object]:
    """Run the program; returns its exit code and every address that Python was asked to reach."""
    environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "RVM_LIVE_WEIGHTS")}
    environment |= {"PYTHONPATH": str(ROOT), "RVM_LIVE_CACHE": str(cwd / "cache")}
    # The usual libraries' connections are led to this port, where nobody listens.
    environment |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
    command = [sys.executable, "-c", WATCHED, *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, encoding="utf-8", timeout=120)
    lines = [line for line in done.stderr.splitlines() if line.startswith("WATCHED ")]
    assert lines, done.stderr
    told: dict[str, object] = json.loads(lines[-1].removeprefix("WATCHED "))
    return told


@pytest.mark.slow
@pytest.mark.parametrize("offline", [True, False])
def test_a_live_run_reaches_nobody(tmp_path: Path, offline: bool) -> None:
    options = ["--source", "demo", "--headless", "--frames", "20", "--width", "320", "--height", "180"]
    assert watched(tmp_path, *options, *(["--offline"] if offline else [])) == {"code": 0, "seen": []}


@pytest.mark.slow
def test_a_batch_run_reaches_nobody_and_its_log_holds_no_picture(tmp_path: Path) -> None:
    make_movie(tmp_path / "clip.mp4", frames=12)
    assert watched(tmp_path, "batch", "clip.mp4", "-o", "out", "--background", "blur:20") == {"code": 0, "seen": []}
    log = (tmp_path / "out" / "log_output_clip.txt").read_bytes()
    assert len(log) < 20_000
    assert log.decode().isprintable() or all(line.isprintable() for line in log.decode().splitlines())


@pytest.mark.slow
def test_the_watch_sees_what_there_is_to_see(tmp_path: Path) -> None:
    told = watched(tmp_path, "weights", "pull", "mobilenetv3")
    assert told["seen"], "a download that was asked for does reach out"
