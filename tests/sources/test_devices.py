"""Which device is used, and the message if it is missing. The graphics cards are stand-ins; none need be here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch

from rvm_live.core.errors import SettingsError, UnavailableError
from rvm_live.engines.common.device import choose_device, choose_precision, device_name, limit_memory
from rvm_live.system import cpu_info
from rvm_live.system.gpu import GpuReading

Cards = Callable[..., None]


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> Cards:
    """Add cards to the machine, as torch sees it."""

    def put(count: int, *, cuda: bool = True, capability: tuple[int, int] = (8, 6), mps: bool = False) -> None:
        monkeypatch.setattr(torch.version, "cuda", "12.8" if cuda else None)
        monkeypatch.setattr(torch.version, "hip", None, raising=False)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"Card {device.index}")
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=8 << 30))
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return put


@pytest.mark.parametrize(
    ("count", "mps", "asked", "taken"),
    [
        (1, False, "auto", "cuda:0"),
        (0, False, "auto", "cpu"),
        (0, True, "auto", "mps"),
        (2, False, "cuda", "cuda:0"),
        (2, False, "cuda:1", "cuda:1"),
        (1, False, "cpu", "cpu"),
        (0, True, "mps", "mps"),
    ],
)
def test_the_device_that_is_there_is_taken(cards: Cards, count: int, mps: bool, asked: str, taken: str) -> None:
    cards(count, mps=mps)
    assert str(choose_device(asked)) == taken


@pytest.mark.parametrize(
    ("count", "cuda", "asked", "said"),
    [
        (0, False, "cuda", "has no CUDA"),
        (0, True, "cuda", "finds no CUDA device or driver"),
        (1, True, "cuda:1", "the only one is cuda:0"),
        (3, True, "cuda:7", "there are cuda:0 to cuda:2"),
        (1, True, "mps", "needs a Mac"),
    ],
)
def test_one_that_is_not_there_is_refused_in_one_line(
    cards: Cards, count: int, cuda: bool, asked: str, said: str
) -> None:
    cards(count, cuda=cuda)
    with pytest.raises(UnavailableError, match=said):
        choose_device(asked)


@pytest.mark.parametrize(
    ("device", "capability", "asked", "taken"),
    [
        ("cuda:0", (7, 5), "auto", "fp16"),
        ("cuda:0", (6, 1), "auto", "fp32"),
        ("cuda:0", (6, 1), "fp16", "fp16"),
        ("mps", (0, 0), "auto", "fp32"),
        ("cpu", (0, 0), "auto", "fp32"),
    ],
)
def test_half_precision_where_a_card_is_fast_at_it(
    cards: Cards, device: str, capability: tuple[int, int], asked: str, taken: str
) -> None:
    cards(1, capability=capability)
    assert choose_precision(asked, torch.device(device)) == taken


@pytest.mark.parametrize(
    ("asked", "error"), [("fp16", SettingsError), ("bf16", UnavailableError), ("int8", UnavailableError)]
)
def test_precisions_that_the_cpu_does_not_have_in_torch(asked: str, error: type[Exception]) -> None:
    with pytest.raises(error, match="choose"):
        choose_precision(asked, torch.device("cpu"))


def test_devices_in_words(cards: Cards) -> None:
    cards(2)
    assert device_name(torch.device("cuda:1")) == "Card 1"
    assert device_name(torch.device("mps")) == "Apple GPU"
    assert device_name(torch.device("cpu")) == cpu_info.cpu_name() != ""


def test_windows_and_macos_name_their_processor_too(monkeypatch: pytest.MonkeyPatch) -> None:
    class Key(str):
        def __enter__(self) -> Key:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    told = {"ProcessorNameString": ("AMD Ryzen 7 5800X 8-Core Processor             ", 1)}
    registry = SimpleNamespace(
        HKEY_LOCAL_MACHINE=None, OpenKey=lambda _, path: Key(path), QueryValueEx=lambda _, name: told[name]
    )
    monkeypatch.setitem(sys.modules, "winreg", registry)  # type: ignore[arg-type]
    monkeypatch.setattr(sys, "platform", "win32")
    assert cpu_info.cpu_name() == "AMD Ryzen 7 5800X 8-Core Processor"
    monkeypatch.setattr(sys, "platform", "darwin")
    asked = ["sysctl", "-n", "machdep.cpu.brand_string"]

    def run(command: list[str], **_: object) -> SimpleNamespace:
        assert command == asked
        return SimpleNamespace(stdout="Apple M2\n")

    monkeypatch.setattr("rvm_live.system.cpu_info.subprocess.run", run)
    assert cpu_info.cpu_name() == "Apple M2"


def test_a_machine_that_does_not_name_its_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(self: object) -> str:
        raise OSError

    monkeypatch.setattr("rvm_live.system.cpu_info.Path.read_text", unreadable)
    monkeypatch.setattr("rvm_live.system.cpu_info.platform.processor", lambda: "")
    monkeypatch.setattr("rvm_live.system.cpu_info.platform.machine", lambda: "")
    assert cpu_info.cpu_name() == "CPU"


@pytest.mark.parametrize(("limit", "fraction"), [(2 << 30, 0.25), (9 << 30, None)])
def test_a_cards_memory_is_capped_for_this_process(
    cards: Cards, monkeypatch: pytest.MonkeyPatch, limit: int, fraction: float | None
) -> None:
    asked: list[float] = []
    cards(1)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda share, device: asked.append(share))
    told = limit_memory(limit, "auto")
    assert asked == ([] if fraction is None else [fraction])
    assert (told is None) == (fraction is not None)
    assert told is None or "more than the 8.6 GB of Card 0" in told


@pytest.mark.parametrize(
    ("asked", "reading", "available", "wanted"),
    [
        ("cpu", True, True, False),
        ("cuda", False, False, True),
        ("auto", False, True, False),
        ("auto", True, True, True),
        ("auto", True, False, False),
    ],
)
def test_torch_is_asked_for_a_card_only_where_there_may_be_one(
    cards: Cards, monkeypatch: pytest.MonkeyPatch, asked: str, reading: bool, available: bool, wanted: bool
) -> None:
    cards(int(available))
    found = GpuReading("Card", "555", 37, 3 << 30, 8 << 30, 61, 123.4, 1980) if reading else None
    monkeypatch.setattr("rvm_live.system.cpu_info.gpu.read", lambda: found)
    monkeypatch.setattr("rvm_live.system.cpu_info.sys.platform", "linux")
    monkeypatch.setattr("rvm_live.system.cpu_info.version", lambda name: "2.13.0")
    assert cpu_info.accelerator_wanted(asked) is wanted
