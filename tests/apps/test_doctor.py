"""``rvm-live doctor``: what it finds and advises, and that its bundle holds nothing private."""

from __future__ import annotations

import getpass
import json
import os
import platform
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from rvm_live.apps.doctor import cameras, delay, effects, examine, machine, outputs
from rvm_live.apps.doctor.bundle import scrubbed
from rvm_live.apps.doctor.finding import Finding, Report
from rvm_live.core.settings import EngineSettings, LiveSettings
from rvm_live.sources.camera import permission
from rvm_live.sources.camera.camera import Camera
from rvm_live.system import last_log
from tests.support.pipewire import open_session
from tests.support.program import call

Patch = pytest.MonkeyPatch


@pytest.fixture
def one_camera(tmp_path: Path, monkeypatch: Patch) -> Path:
    """A camera whose device is an ordinary file."""
    device = tmp_path / "video0"
    device.touch()
    monkeypatch.setattr(cameras, "list_cameras", lambda: [Camera(0, "HD Webcam", f"/dev/..{device}")])
    return device


def state(found: list[Finding]) -> list[str]:
    return [each.state for each in found]


# --------------------------------------------------------------------------------------------------- cameras


def test_a_camera_that_may_be_used_is_good(one_camera: Path) -> None:
    (found,) = cameras.cameras()
    assert (found.state, found.name) == ("good", "0: HD Webcam")


@pytest.mark.skipif(os.name != "posix", reason="permissions of devices")
def test_one_that_may_not_be_used_names_the_group(one_camera: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    (found,) = cameras.cameras()
    assert found.state == "bad" and "usermod -aG video" in found.mend
    one_camera.unlink()
    (found,) = cameras.cameras()
    assert found.state == "bad" and found.mend == "plug it in again"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc")
def test_who_has_it_now_is_named(one_camera: Path) -> None:
    code = f"import time; f = open({str(one_camera)!r}); print('open', flush=True); time.sleep(60)"
    with psutil.Popen([sys.executable, "-c", code], stdout=-1) as process:
        process.stdout.readline()
        (found,) = cameras.cameras()
        process.kill()
    assert found.state == "note" and f"({process.pid})" in found.detail


def test_without_a_camera_it_says_what_to_do(monkeypatch: Patch) -> None:
    monkeypatch.setattr(cameras, "list_cameras", list)
    monkeypatch.setattr(cameras, "unlisted_cameras", list)
    (found,) = cameras.cameras()
    assert found.state == "bad" and "plug one in" in found.mend
    monkeypatch.setattr(cameras, "unlisted_cameras", lambda: [Camera(0)])
    assert state(cameras.cameras()) == ["note"]


@pytest.mark.parametrize(("status", "told"), [(0, ""), (1, "forbids"), (2, "System Settings"), (3, "")])
def test_what_macos_has_answered(one_camera: Path, monkeypatch: Patch, status: int, told: str) -> None:
    device = SimpleNamespace(authorizationStatusForMediaType_=lambda kind: status)  # nothing else can be asked
    monkeypatch.setattr(permission, "library", lambda: SimpleNamespace(AVCaptureDevice=device, AVMediaTypeVideo="v"))
    (found,) = cameras.cameras()
    assert (found.state == "bad") == bool(told) and told in found.detail


@pytest.mark.parametrize(
    ("denied", "told"), [("", ""), ("webcam", "any program"), (r"webcam\NonPackaged", "desktop programs")]
)
def test_what_windows_allows(denied: str, told: str) -> None:
    said = cameras.windows_refuses(lambda key, value: "Deny" if denied and key.endswith(denied) else "Allow")
    assert told in said and bool(said) == bool(told)
    assert cameras.windows_refuses(lambda key, value: None) == ""


# --------------------------------------------------------------------------------------- effects of the system


def test_effects_of_macos_that_are_on() -> None:
    device = SimpleNamespace(isPortraitEffectEnabled=lambda: True, isCenterStageEnabled=lambda: False)
    (found,) = effects.of_macos(SimpleNamespace(AVCaptureDevice=device))
    assert (found.state, found.name) == ("note", "Portrait") and "menu bar" in found.mend
    (found,) = effects.of_macos(SimpleNamespace(AVCaptureDevice=SimpleNamespace()))
    assert found.state == "good"
    assert effects.of_macos(None) == []


def test_effects_of_windows_that_are_on() -> None:
    (found,) = effects.of_windows(lambda script: '{"40":0,"41":1,"43":4}')
    assert (found.state, found.name) == ("note", "background blur, automatic framing") and "Settings" in found.mend
    assert state(effects.of_windows(lambda script: "{}")) == ["good"]
    for answer in ("", "nonsense", "[]", "null"):
        assert effects.of_windows(lambda script, answer=answer: answer) == []  # type: ignore[misc]

    def missing(script: str) -> str:
        raise FileNotFoundError("powershell")

    assert effects.of_windows(missing) == []


# --------------------------------------------------------------------------------- engine, machine, outputs, delay


def test_the_engine_that_will_be_chosen(weights: Path, monkeypatch: Patch) -> None:
    (found,) = machine.engine(EngineSettings())
    assert found.name == "lite runs" and "weights pull" in found.mend and "on cpu" in found.detail
    monkeypatch.setenv("RVM_LIVE_WEIGHTS", str(weights))
    (found,) = machine.engine(EngineSettings(device="cpu"))
    assert found.name in ("rvm runs", "openvino runs") and found.state in ("good", "note")
    assert str(weights) in machine.checkpoints()[0].detail
    for wrong in (EngineSettings(engine="onnx"), EngineSettings(engine="tests.support.engines:Nothing")):
        (found,) = machine.engine(wrong)
        assert found.state == "bad" and found.detail


def test_the_machine_tells_load_and_battery(monkeypatch: Patch) -> None:
    monkeypatch.setattr(psutil, "getloadavg", lambda: (99.0, 0.0, 0.0))
    monkeypatch.setattr(psutil, "sensors_battery", lambda: SimpleNamespace(percent=41, power_plugged=False), False)
    found = {each.name: each for each in machine.processor()}
    assert "99.0" in found["load"].detail and "saver" in found["power"].mend
    monkeypatch.setattr(psutil, "getloadavg", lambda: (0.0, 0.0, 0.0))
    monkeypatch.setattr(psutil, "sensors_battery", lambda: None)
    assert [each.name for each in machine.processor()] == ["processor"]


def camera_outputs(monkeypatch: Patch, *works: bool) -> None:
    rows = [
        SimpleNamespace(
            name=name, works=working, why="why", mend="" if working else "load it", seen_by={"Zoom": "", name: "a flag"}
        )
        for name, working in zip(("pipewire", "v4l2loopback"), works, strict=True)
    ]
    monkeypatch.setattr(outputs, "outputs_here", lambda: rows)


def test_outputs_and_the_programs_that_see_them(monkeypatch: Patch) -> None:
    camera_outputs(monkeypatch, False, True)
    monkeypatch.setattr(outputs, "display_available", lambda: "no display")
    found = outputs.outputs()
    assert state(found)[:2] == ["absent", "good"], "somebody can look at the camera"
    report = Report("1", "Linux", tuple(found))
    assert report.healthy
    told = report.programs()
    assert told["Zoom"] == "through --virtual-camera=v4l2loopback"
    assert told["v4l2loopback"] == "through --virtual-camera=v4l2loopback: a flag"
    assert told["pipewire"] == "not yet; once it works: through --virtual-camera=pipewire: a flag"
    camera_outputs(monkeypatch, False, False)
    found = outputs.outputs()
    assert found[0].state == "bad" and "--headless" in found[0].mend


def test_where_pipewire_runs_its_camera_is_found_and_who_sees_it(monkeypatch: Patch) -> None:
    with open_session() as session:
        for name, value in session.env.items():
            monkeypatch.setenv(name, value)
        found = {each.name: each for each in outputs.outputs()}
    pipewire = found["--virtual-camera=pipewire"]
    assert pipewire.state == "good", pipewire
    told = Report("1", "Linux", (pipewire,)).programs()
    assert "WebRtcPipeWireCamera" in told["Chromium, Chrome"] and "OBS" in told


def test_without_aiohttp_the_page_says_what_to_install(monkeypatch: Patch) -> None:
    monkeypatch.setattr(outputs, "find_spec", lambda name: None)
    found = {each.name: each for each in outputs.outputs()}
    assert found["--web"].state == "absent" and "[web]" in found["--web"].mend


def test_a_recording_that_cannot_be_encoded_is_told(monkeypatch: Patch) -> None:
    monkeypatch.setattr(outputs, "RECIPES", {".mp4": SimpleNamespace(codec="no-such-codec")})
    found = next(each for each in outputs.outputs() if each.name == "recordings")
    assert found.state == "note" and "no-such-codec" in found.detail


def test_the_delay_is_that_of_pictures_which_were_made() -> None:
    settings = LiveSettings(engine=EngineSettings(engine="tests.support.engines:LeftHalfEngine"), backgrounds=("red",))
    late, found = delay.measure(settings, 40)
    assert late is not None, found
    assert 0 < late.picture_ms <= late.late_ms and abs(late.audio_ms - (late.picture_ms + 500 / 30)) <= 1  # rounded
    assert "1280x720" in late.measured_on and found.state in ("good", "note")
    late, found = delay.measure(LiveSettings(engine=EngineSettings(engine="onnx")))
    assert late is None and "not measured" in found.detail


# ------------------------------------------------------------------------------------------------ the whole page


def test_what_breaks_while_it_looks_is_a_finding(monkeypatch: Patch) -> None:
    def broken() -> list[Finding]:
        raise RuntimeError("the driver fell")

    monkeypatch.setattr(cameras, "cameras", broken)
    report = examine.examine(quick=True)
    (found,) = [each for each in report.findings if each.area == "cameras"]
    assert found.state == "bad" and "RuntimeError: the driver fell" in found.detail and not report.healthy


@pytest.mark.parametrize("broken", [False, True])
def test_the_exit_code_is_for_scripts(monkeypatch: Patch, broken: bool) -> None:
    found = Finding("cameras", "one", "bad" if broken else "note", "why", "do this")
    for module, name in (
        (cameras, "cameras"), (cameras, "microphones"), (outputs, "outputs"), (effects, "effects"),
        (machine, "processor"), (machine, "graphics"), (machine, "checkpoints"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, lambda: [found])
    done = call("doctor", "--quick")
    assert done.code == int(broken) and done.err == ""
    assert "        to do: do this" in done.out
    assert done.out.splitlines()[-1].startswith(
        "does not work: one" if broken else "everything that the program needs works"
    )
    report = json.loads(call("doctor", "--quick", "--json").out)
    assert report["healthy"] is not broken and report["findings"][-1]["mend"] == "do this" and report["delay"] is None


def test_a_settings_file_that_cannot_be_used_is_a_finding(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.delenv("RVM_LIVE_NO_CONFIG")
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path))
    (tmp_path / "rvm-live.toml").write_text("fps ==\n")
    done = call("doctor", "--quick", "--json")
    found = json.loads(done.out)["findings"][0]
    assert done.code == 1 and found["state"] == "bad" and "line 1, column 6" in found["detail"]
    (tmp_path / "rvm-live.toml").write_text("engine = 'lite'\nprofile = 'saver'\n")
    found = json.loads(call("doctor", "--quick", "--json").out)["findings"][0]
    assert found["state"] == "good" and found["detail"].endswith("profile saver")


@pytest.mark.slow
def test_the_page_of_this_machine() -> None:
    done = call("doctor")
    assert done.code in (0, 1) and done.err == ""
    for area in ("settings", "machine", "engine", "cameras", "sound", "outputs", "delay"):
        assert f"\n{area}\n" in done.out
    assert "lite runs" in done.out and "Sync Offset" in done.out
    assert ("does not work" in done.out) == bool(done.code)


# --------------------------------------------------------------------------------------------------- the bundle

PRIVATE = {
    "rtsp://me:pa55word@camera.example.org:8554/stream?token=abc": ("me:", "pa55word", "example", "8554", "abc"),
    "cannot reach camera.example.org": (),  # the host of the address above
    "whip:https://live.example.net/app/k3y-x9": ("live.example", "k3y-x9"),
    "--sink whip:http://10.1.2.3:8889/x": ("10.1.2.3", "8889"),
    "peer 192.168.0.17 and fe80::1ff:fe23:4567:890a%eth0 left": ("192.168.0.17", "fe80", "890a"),
    "ask someone@example.com, AA:BB:CC:DD:EE:FF": ("someone", "BB:CC"),
    "printer.local and nas.lan:445": ("printer", "nas", "445"),
    "Authorization: Bearer.abcdef stream_key=s3cr3t&x": ("abcdef", "s3cr3t"),
    '{"password": "hunter2", "api-key": "k1"}': ("hunter2", "k1"),
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9": ("eyJ",),
    r"C:\Users\Ann\Videos\me.mp4 C:\\Users\\Ann\\x C:/Users/Ann/y": ("Ann",),
    "/home/ann/My Clips/me.mp4 /Users/ann/x": ("ann",),
}


@pytest.mark.parametrize("text", PRIVATE)
def test_what_is_private_is_taken_out(text: str) -> None:
    clean = scrubbed("\n".join(PRIVATE))
    assert not [word for word in PRIVATE[text] if word in clean.splitlines()[list(PRIVATE).index(text)]], clean
    assert "camera.example" not in clean


def test_what_helps_stays() -> None:
    useful = "12:34:56 lite on cuda:0, opencv 5.0.0, 1280x720@30, image:beach.jpg, ratio 0.4, rvm_live.core.notices: x"
    assert scrubbed(useful) == useful
    home = str(Path.home())
    assert scrubbed(f"{home}/a b.mp4 and {home}") == "~/a b.mp4 and ~"
    assert scrubbed("ann's laptop, Ann; planner", ("ann",)) == "NAME's laptop, NAME; planner"


def test_a_bundle_holds_all_of_it_and_nothing_private(tmp_path: Path, monkeypatch: Patch) -> None:
    """The last log and the settings come from a run with an address, a token and a path in the home folder."""
    home = tmp_path / "home" / "annabel"
    (home / ".cache").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USER", "annabel")
    monkeypatch.setattr(getpass, "getuser", lambda: "annabel")
    monkeypatch.setattr(platform, "node", lambda: "annabels-laptop.local")
    monkeypatch.setenv("RVM_LIVE_CACHE", str(home / ".cache"))
    monkeypatch.delenv("RVM_LIVE_NO_CONFIG")
    (home / ".cache" / "rvm-live.toml").write_text(
        f"# of annabel\nsource = 'rtsp://me:pw@127.0.0.1:9/x?token=t0ken'\nrecord = '{home}/me.mp4'\nheadless = true\n"
    )
    failed = call()
    assert failed.code == 2, failed.err
    log = last_log.read()
    assert "settings: " in log and "ended by: " in log and "me:pw" not in log
    target = tmp_path / "for help.zip"
    done = call("doctor", "--quick", "--bundle", target)
    assert "report.txt" in done.err and done.code in (0, 1)
    with zipfile.ZipFile(target) as zipped:
        texts = {name: zipped.read(name).decode() for name in zipped.namelist()}
    assert set(texts) == {"report.txt", "report.json", "settings.txt", "rvm-live.toml", "last.log", "packages.txt"}
    everything = "\n".join(texts.values())
    for private in ("annabel", "pw@", "127.0.0.1", "t0ken", str(home), str(tmp_path)):
        assert private not in everything.replace("\n", " "), private
    assert "~/me.mp4" in texts["rvm-live.toml"] and "ended by: " in texts["last.log"]
    assert json.loads(texts["report.json"])["findings"] and "numpy " in texts["packages.txt"]
    assert "source = 'rtsp://ADDRESS'" in texts["settings.txt"]


def test_a_bundle_that_cannot_be_written_is_told_before_anything(tmp_path: Path) -> None:
    assert "it is a folder: name a file" in call("doctor", "--bundle", tmp_path).complaint
    assert "there is no folder" in call("doctor", "--bundle", tmp_path / "no" / "x.zip").complaint


def test_a_log_that_cannot_be_kept_disturbs_nobody(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path / "file"))
    (tmp_path / "file").touch()
    done = call("no-such-file.mp4", "--headless")
    assert done.code == 2 and "there is no file" in done.complaint
    assert last_log.read() == ""


def test_the_log_of_the_run_before_is_kept_too(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path))
    for name in ("first.mp4", "second.mp4"):
        call(name, "--headless")
    assert "second.mp4" in last_log.read() and "first.mp4" not in last_log.read()
    assert "first.mp4" in last_log.read(before=True)
    if os.name == "posix":
        assert last_log.path().stat().st_mode & 0o077 == 0
    call("tidy", tmp_path)
    assert "second.mp4" in last_log.read(), "a live run's alone"
