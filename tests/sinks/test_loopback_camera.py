"""The camera of v4l2loopback with a stand-in for the module: its answers to ioctl, and a file that receives
pictures."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rvm_live.core.errors import SinkError, UnavailableError
from rvm_live.sinks.base import Shot
from rvm_live.sinks.camera import loopback, module
from rvm_live.sinks.camera.loopback import LoopbackCamera
from rvm_live.sinks.camera.outputs import outputs_here, unseen_because
from rvm_live.sinks.camera.sink import VirtualCamera
from tests.support.clock import FakeClock

pytestmark = pytest.mark.skipif(os.name == "nt", reason="a kernel module of Linux")
CAPTURE, OUTPUT = 0x1, 0x2
SIZE = (640, 360)


class Module:
    """The answers of v4l2loopback."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()
        self.driver, self.card, self.caps = b"v4l2 loopback", b"rvm-live", OUTPUT
        self.capabilities = OUTPUT | CAPTURE
        self.failing: dict[int, int] = {}
        self.stays_at: tuple[int, int, bytes] | None = None
        self.tells = True
        self.events: list[int] = []
        self.format: Any = None
        self.rate: tuple[int, int] = (0, 0)

    def ioctl(self, fd: int, number: int, argument: Any) -> None:
        assert os.fstat(fd).st_ino == self.path.stat().st_ino
        if number in self.failing:
            raise OSError(self.failing[number], os.strerror(self.failing[number]))
        if number == loopback._QUERYCAP:
            argument.driver, argument.card = self.driver, self.card
            argument.capabilities, argument.device_caps = self.capabilities, self.caps
        elif number == loopback._SET_FORMAT:
            if self.stays_at is not None:
                argument.width, argument.height = self.stays_at[:2]
                argument.pixelformat = int.from_bytes(self.stays_at[2], "little")
            self.format = {name: getattr(argument, name) for name, _ in argument._fields_ if name != "rest"}
        elif number == loopback._SET_PARAMETERS:
            self.rate = (argument.numerator, argument.denominator)
        elif number == loopback._SUBSCRIBE:
            if not self.tells:
                raise OSError(errno.EINVAL, "no such event")
            assert (argument.type, argument.flags) == (0x10E00001, 1)
            self.events.append(0)
        elif number == loopback._NEXT_EVENT:
            if not self.events:
                raise OSError(errno.ENOENT, "no event")
            argument.type, argument.count = 0x10E00001, self.events.pop(0)
        else:
            raise AssertionError(hex(number))


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Module:
    made = Module(tmp_path / "video10")
    monkeypatch.setattr(loopback, "_ioctl", made.ioctl)
    monkeypatch.setattr(loopback, "loopback_devices", lambda: {str(made.path): "rvm-live"})
    return made


def test_the_numbers_hold_the_sizes_of_what_goes_with_them() -> None:
    """Bits 16 to 29 of an ioctl's number are the size of its structure (asm-generic/ioctl.h)."""
    for number, structure, size in (
        (loopback._QUERYCAP, loopback.Capability, 104),
        (loopback._SET_FORMAT, loopback.Format, 208),
        (loopback._SET_PARAMETERS, loopback.Parameters, 204),
        (loopback._SUBSCRIBE, loopback.Subscription, 32),
        (loopback._NEXT_EVENT, loopback.Event, 136),
    ):
        assert number >> 16 & 0x3FFF == ctypes.sizeof(structure) == size


def test_the_device_is_told_size_rate_and_colours_and_gets_every_picture(kernel: Module) -> None:
    device = LoopbackCamera()
    device.open(*SIZE, 30)
    told = kernel.format
    assert (told["type"], told["width"], told["height"]) == (2, 640, 360)
    assert told["pixelformat"].to_bytes(4, "little") == b"YU12"
    assert (told["bytesperline"], told["sizeimage"]) == (640, 640 * 360 * 3 // 2)
    # SMPTE 170M, BT.601, limited range, BT.709's curve; valid only with this number.
    assert (told["colorspace"], told["ycbcr_enc"], told["quantization"], told["xfer_func"]) == (1, 1, 2, 1)
    assert told["priv"] == 0xFEEDCAFE
    assert kernel.rate == (1000, 30000)
    assert device.name == f"{kernel.path} (rvm-live)"
    pictures = np.random.default_rng(0).integers(0, 256, (3, 540, 640), np.uint8)
    for each in pictures:
        device.send(each)
    device.close()
    np.testing.assert_array_equal(np.fromfile(kernel.path, np.uint8).reshape(pictures.shape), pictures)


def test_the_module_tells_who_watches(kernel: Module) -> None:
    device = LoopbackCamera()
    device.open(*SIZE, 30)
    assert device.watched is False
    kernel.events += [1]
    assert device.watched is True
    kernel.events += [0, 1, 0]
    assert device.watched is False
    kernel.events += [1] * 100
    assert device.watched is True, "one that tells without an end is not heard out"
    kernel.events.clear()
    device.close()
    kernel.tells = False
    device.open(*SIZE, 30)
    assert device.watched is None, "an older module does not tell"
    device.close()


def failing(number: int, error: int) -> Callable[[Module], None]:
    return lambda kernel: kernel.failing.update({number: error})


def setting(**values: Any) -> Callable[[Module], None]:
    return lambda kernel: kernel.__dict__.update(values)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (setting(driver=b"uvcvideo", card=b"HD Webcam"), "is 'HD Webcam', not a v4l2loopback device"),
        (setting(caps=CAPTURE), "is used by another program: close that program, or name another device"),
        (failing(loopback._SET_FORMAT, errno.EBUSY), "is used by another program"),
        (setting(stays_at=(1280, 720, b"YUYV")), "refuses 640x360 YU12 and stays at 1280x720 YUYV: end the program"),
        (failing(loopback._SET_FORMAT, errno.EINVAL), "cannot be used as a camera .Invalid argument"),
        (failing(loopback._QUERYCAP, errno.ENOTTY), "is not a video device"),
        (lambda kernel: kernel.path.unlink(), "there is no camera .*: see v4l2-ctl --list-devices"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(wrong: Callable[[Module], None], message: str, kernel: Module) -> None:
    wrong(kernel)
    device = LoopbackCamera(str(kernel.path))
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    with pytest.raises(UnavailableError, match=message):
        device.open(*SIZE, 30)
    if before:
        assert len(os.listdir("/proc/self/fd")) == before, "nothing stays open"


def test_one_that_may_not_be_opened(kernel: Module, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: Any) -> int:
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(loopback.os, "open", refused)
    with pytest.raises(
        UnavailableError, match=r"this user has no permission to open .*: sudo usermod -aG video \$USER"
    ):
        LoopbackCamera(str(kernel.path)).open(*SIZE, 30)


def test_one_that_is_taken_is_passed_over_for_the_next(
    kernel: Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = tmp_path / "video9"
    taken.touch()
    monkeypatch.setattr(loopback, "loopback_devices", lambda: {str(taken): "x", str(kernel.path): "rvm-live"})
    own = kernel.ioctl

    def ioctl(fd: int, number: int, argument: Any) -> None:
        if os.fstat(fd).st_ino == taken.stat().st_ino:
            argument.driver, argument.card, argument.device_caps = b"v4l2 loopback", b"x", CAPTURE
            return
        own(fd, number, argument)

    monkeypatch.setattr(loopback, "_ioctl", ioctl)
    device = LoopbackCamera()
    device.open(*SIZE, 30)
    assert device.path == str(kernel.path)
    device.close()


def test_without_exclusive_caps_it_is_told_that_browsers_pass_over_it(
    kernel: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    kernel.caps = OUTPUT | CAPTURE
    device = LoopbackCamera()
    device.open(*SIZE, 30)
    assert not device.exclusive
    assert "without exclusive_caps=1" in str(unseen_because(device))
    device.close()
    told = next(each for each in outputs_here() if each.name == "v4l2loopback")
    assert not told.works and told.mend.startswith("sudo modprobe -r v4l2loopback && sudo modprobe v4l2loopback")
    kernel.caps = OUTPUT
    told = next(each for each in outputs_here() if each.name == "v4l2loopback")
    assert (told.works, told.mend) == (True, "") and "rvm-live" in told.why


def test_a_device_that_goes_away_is_told_and_a_full_one_waits_for_nobody(
    kernel: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = LoopbackCamera()
    device.open(*SIZE, 30)
    picture = np.zeros((540, 640), np.uint8)
    failing_with = [errno.EAGAIN, errno.ENODEV]

    def write(fd: int, data: Any) -> int:
        error = failing_with.pop(0)
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(loopback.os, "write", write)
    device.send(picture)
    with pytest.raises(SinkError, match=r"was removed .No such device"):
        device.send(picture)
    device.close()


def test_the_sink_feeds_it_only_while_somebody_reads_but_for_the_first_picture(
    kernel: Module, clock: FakeClock
) -> None:
    camera = VirtualCamera(size=SIZE, clock=clock, devices=lambda: [LoopbackCamera(str(kernel.path))])
    camera.open()
    size = 640 * 360 * 3 // 2
    assert kernel.path.stat().st_size == size, "programs list a device only once it is fed"
    shot = Shot(np.full((360, 640, 3), 200, np.uint8), 0, clock.now_ns(), None)
    for _ in range(20):
        clock.advance(0.02)
        camera.write_picture(shot)
    assert kernel.path.stat().st_size == size
    kernel.events.append(1)
    for _ in range(20):
        clock.advance(0.02)
        camera.write_picture(shot)
    assert kernel.path.stat().st_size > 5 * size
    camera.close(failed=False)


# The module -------------------------------------------------------------------------------------------------

LOAD = 'sudo modprobe v4l2loopback exclusive_caps=1 card_label="rvm-live"'


@pytest.mark.parametrize(
    ("there", "message"),
    [
        ({}, "v4l2loopback is not installed: install the package v4l2loopback-dkms"),
        ({"etc/os-release": "ID=debian\n"}, "not installed: sudo apt install v4l2loopback-dkms linux-headers-"),
        ({"etc/os-release": 'ID=linuxmint\nID_LIKE="ubuntu debian"\n'}, "sudo apt install v4l2loopback-dkms"),
        ({"etc/os-release": "ID=fedora\n"}, "sudo dnf install akmod-v4l2loopback"),
        ({"etc/os-release": "ID=manjaro\nID_LIKE=arch\n"}, "sudo pacman -S v4l2loopback-dkms linux-headers"),
        ({"etc/os-release": 'ID="opensuse-tumbleweed"\nID_LIKE="opensuse suse"\n'}, "sudo zypper install"),
        ({"lib/modules/{kernel}/modules.dep": "extra/v4l2loopback.ko.xz:\n"}, f"v4l2loopback is not loaded: {LOAD}"),
        (
            {
                "lib/modules/{kernel}/modules.dep": "updates/dkms/v4l2loopback.ko:\n",
                "sys/firmware/efi/efivars/SecureBoot-8be4df61": "\x06\0\0\0\1",
            },
            f"not loaded: {LOAD}; where Secure Boot refuses its key .*sudo mokutil --import /var/lib/dkms/mok.pub",
        ),
        (
            {
                "lib/modules/{kernel}/modules.dep": "updates/dkms/v4l2loopback.ko:\n",
                "sys/firmware/efi/efivars/SecureBoot-8be4df61": "\x06\0\0\0\0",
            },
            f"not loaded: {LOAD}$",
        ),
        ({"var/lib/dkms/v4l2loopback/0.12.7/source": ""}, "not built for this kernel: .*sudo dkms autoinstall"),
        ({"sys/module/v4l2loopback/version": "0.12.7"}, "is loaded, but has no device: sudo modprobe -r v4l2loopback"),
    ],
)
def test_a_module_that_is_missing_is_told_with_the_command_that_mends_it(
    there: dict[str, str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module.platform, "release", lambda: "6.1.0-test")
    monkeypatch.setattr(loopback, "VIDEO", tmp_path / "none")
    for name, text in there.items():
        path = tmp_path / name.format(kernel="6.1.0-test")
        path.parent.mkdir(parents=True)
        path.write_text(text)
    with pytest.raises(UnavailableError, match=message):
        LoopbackCamera().open(*SIZE, 30)


def test_the_devices_of_the_module_are_found_by_where_they_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "class"
    folder.mkdir()
    for number, place, name in ((0, "pci0000:00/usb1", "HD Webcam"), (10, "virtual", "rvm-live"), (9, "virtual", "b")):
        real = tmp_path / "devices" / place / "video4linux" / f"video{number}"
        real.mkdir(parents=True)
        (real / "name").write_text(f"{name}\n")
        (folder / f"video{number}").symlink_to(real)
    monkeypatch.setattr(loopback, "VIDEO", folder)
    assert loopback.loopback_devices() == {"/dev/video9": "b", "/dev/video10": "rvm-live"}
