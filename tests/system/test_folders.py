"""A home or cache folder that is missing or cannot be written: everything works without it, and says so once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rvm_live import weights as w
from rvm_live.core.errors import EngineError, WeightsError
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.choice import choose
from rvm_live.engines.common.cpu_runtime import openvino_options
from rvm_live.engines.onnx.providers import candidates
from rvm_live.engines.select import AutoEngine
from rvm_live.system import folders
from tests.conftest import ROOT
from tests.support.movies import make_movie

WITHOUT = "nothing can be stored for the next run"


@pytest.fixture(autouse=True)
def told_anew() -> Iterator[None]:
    folders._told.clear()
    yield
    folders._told.clear()


def _file(tmp_path: Path) -> Path:
    (tmp_path / "file").write_text("x")
    return tmp_path / "file"


def _nameless(tmp_path: Path) -> Path:
    return Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe"))


PLACES: dict[str, tuple[str, Callable[[Path], Path | str]]] = {
    "nowhere": ("XDG_CACHE_HOME", lambda tmp_path: "/dev/null/nowhere"),
    "a kernel's folder": ("XDG_CACHE_HOME", lambda tmp_path: "/proc/nowhere"),
    "a file": ("XDG_CACHE_HOME", _file),
    "below a file": ("XDG_CACHE_HOME", lambda tmp_path: _file(tmp_path) / "below"),
    "too long": ("XDG_CACHE_HOME", lambda tmp_path: tmp_path / ("x" * 300)),
    "not valid UTF-8": ("XDG_CACHE_HOME", _nameless),
    "a link in a circle": ("XDG_CACHE_HOME", lambda tmp_path: _circle(tmp_path)),
    "a home that is none": ("HOME", lambda tmp_path: "/dev/null/nobody"),
    "its own variable": ("RVM_LIVE_CACHE", _file),
}


def _circle(tmp_path: Path) -> Path:
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    return tmp_path / "circle"


@pytest.fixture(params=PLACES)
def unusable(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if sys.platform != "linux":
        pytest.skip("these are Linux's ways to have no cache")
    for name in ("RVM_LIVE_CACHE", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    name, make = PLACES[request.param]
    monkeypatch.setenv(name, str(make(tmp_path)))
    return str(request.param)


def runs(settings: EngineSettings, size: tuple[int, int] = (160, 96)) -> None:
    engine = AutoEngine(settings)
    try:
        engine.open()
        engine.prepare(*size)
    finally:
        engine.close()


@pytest.mark.slow
def test_the_embedded_engine_runs_without_a_cache_and_says_so_once(
    unusable: str, caplog: pytest.LogCaptureFixture
) -> None:
    for size in ((160, 96), (96, 160)):
        runs(EngineSettings(engine="lite"), size)
    assert [record.getMessage() for record in caplog.records if WITHOUT in record.getMessage()] == [
        record.getMessage() for record in caplog.records
    ], unusable
    assert len(caplog.records) == 1


@pytest.mark.slow
@pytest.mark.parametrize("unusable", ["nowhere", "a file"], indirect=True)
@pytest.mark.parametrize("name", ["openvino", "auto"])
def test_the_networks_of_rvm_run_without_a_cache(
    unusable: str, name: str, weights: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runs(EngineSettings(engine=name, weights=weights, device="cpu"))
    assert sum(WITHOUT in record.getMessage() for record in caplog.records) == 1, unusable


def test_auto_without_weights_and_without_a_cache_takes_the_embedded_engine(unusable: str) -> None:
    assert choose(EngineSettings(offline=True)).names == ("lite",)
    assert [status.state for status in w.list_known()] == ["not fetched", "not fetched"]
    if unusable != "not valid UTF-8":  # Python itself can write those
        with pytest.raises(WeightsError, match="cannot write to the cache") as caught:
            w.pull("mobilenetv3")
        assert "\n" not in str(caught.value)


def test_what_cannot_be_written_can_still_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(folders.tempfile, "TemporaryFile", _refusing)
    assert folders.kept_in(tmp_path / "there") == str(tmp_path / "there")
    assert f"{tmp_path / 'there'}: Read-only file system" in caplog.text


def _refusing(dir: Path) -> None:
    raise OSError(30, "Read-only file system")


def test_a_cache_that_can_be_written_is_used_and_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path))
    runs(EngineSettings(engine="lite"))
    assert list((tmp_path / "weights" / "openvino").glob("*.blob"))
    assert caplog.records == []


def test_tensorrt_does_without_too(unusable: str) -> None:
    every = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    assert [name for name in candidates("cuda", every, half=False)[0].providers[0][1] if "cache" in name] == []
    assert "CACHE_DIR" not in openvino_options("f32")


@pytest.mark.parametrize("unusable", ["a file"], indirect=True)
@pytest.mark.slow
def test_what_was_calibrated_for_later_is_an_error_where_nothing_can_be_kept(unusable: str, weights: Path) -> None:
    pytest.importorskip("nncf")
    import numpy as np

    from rvm_live.engines.rvm.openvino.engine import OpenVinoEngine

    engine = OpenVinoEngine(EngineSettings(engine="openvino", weights=weights, precision="fp32"))
    engine.open()
    try:
        with pytest.raises(EngineError, match="cannot be kept"):
            engine.calibrate([np.full((48, 64, 3), each, np.uint8) for each in range(16)], 1.0)
    finally:
        engine.close()


# A user without a home and without a name, as containers have them


def as_somebody(*arguments: str | Path, env: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the program as user 12345, who may read everything, but write only their own files."""
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root on Linux, and setpriv")
    capabilities = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")  # Python may be in root's home
    somebody = ("setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", *capabilities)
    return subprocess.run(
        [*somebody, sys.executable, "-m", "rvm_live", *map(str, arguments)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **env},
        cwd=cwd,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return make_movie(tmp_path / "film.mp4", frames=4, size=(160, 96))


@pytest.mark.slow
@pytest.mark.parametrize("home", ["none", "of somebody else", "read-only"])
@pytest.mark.parametrize("engine", ["lite", "auto"])
def test_a_user_without_home_and_name_runs_everything(engine: str, home: str, film: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir(mode=0o755)
    env = {"none": {}, "of somebody else": {"HOME": "/root"}, "read-only": {"HOME": str(mine)}}[home]
    done = as_somebody(
        *("--source", film, "--headless", "--no-realtime", "--frames", "2", "--engine", engine, "--offline"),
        env=env,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(WITHOUT) == 1
    assert list(mine.iterdir()) == []
    assert not (tmp_path / "~").exists()


def test_that_user_is_told_in_one_line_what_cannot_be_had(tmp_path: Path) -> None:
    for arguments in (("weights", "pull"), ("weights", "path"), ("--source", "demo", "--weights", "~/w.pth")):
        done = as_somebody(*arguments, env={}, cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr.startswith("rvm-live: error: ")
        assert done.stderr.count("\n") == 1, done.stderr


@pytest.mark.slow
def test_a_full_disk_is_no_reason_to_stop(film: Path, tmp_path: Path) -> None:
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root on Linux, and unshare")
    (tmp_path / "full").mkdir()
    mount = f"mount -t tmpfs -o size=16k none {tmp_path / 'full'}; head -c 16384 /dev/zero > {tmp_path / 'full' / 'x'}"
    run = f"{sys.executable} -m rvm_live --source {film} --headless --no-realtime --frames 2 --engine lite --offline"
    done = subprocess.run(
        ["unshare", "-m", "bash", "-c", f"{mount}; {run}"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "RVM_LIVE_CACHE": str(tmp_path / "full")},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    if "mount" in done.stderr:
        pytest.skip("nothing may be mounted here")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(WITHOUT) == 1
    assert "No space left on device" in done.stderr
