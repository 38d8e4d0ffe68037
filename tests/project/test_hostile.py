"""Malicious files: weights and pictures that run code, fill the memory, or never end. Each is refused at once, in one
line."""

from __future__ import annotations

import io
import os
import pickle
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save as save_safetensors

from rvm_live import weights as w
from rvm_live.apps.batch.companions import plan
from rvm_live.apps.batch.media import facts_of
from rvm_live.backgrounds.parse import parse
from rvm_live.backgrounds.video import _converted as converted
from rvm_live.core.errors import (
    BackgroundError,
    EndOfSource,
    RvmLiveError,
    SourceLostError,
    SourceUnavailableError,
    WeightsError,
)
from rvm_live.core.settings import SourceSettings
from rvm_live.media import image_files
from rvm_live.media.ffmpeg import open_file
from rvm_live.network.network import MattingNetwork
from rvm_live.sinks.recording.video_file import VideoFile
from rvm_live.sinks.recording.writers import Shot
from rvm_live.sources.image import ImageSource
from rvm_live.sources.video.video import VideoFileSource
from tests.conftest import ROOT
from tests.support.hostile import (
    Outcome,
    archive,
    beyond,
    call,
    code,
    number,
    opened_apart,
    pickled,
    png,
    safetensors,
    tensor,
    text,
    tuple_of,
)
from tests.support.movies import make_movie
from tests.support.videos import make_video

linux = pytest.mark.skipif(sys.platform != "linux", reason="peak memory is measured as Linux tells it")
MOST_SECONDS = 5.0
MOST_MIB = 300

State = dict[str, torch.Tensor]
STEM = "backbone.features.0.0.weight"


@pytest.fixture(scope="session")
def state() -> State:
    """Tensors with the right names and shapes."""
    torch.manual_seed(1)
    return dict(MattingNetwork("mobilenetv3", "fast_guided_filter").state_dict())


def dense(key: str, value: torch.Tensor) -> bytes:
    kind = "FloatStorage" if value.is_floating_point() else "LongStorage"
    return tensor(key, value.numel(), tuple(value.shape), value.stride(), kind=kind)


def whole(state: State, changes: dict[str, bytes] | None = None, records: dict[str, bytes] | None = None) -> bytes:
    """A good checkpoint, made by hand, except for some pickled values and some records; None leaves a record out."""
    entries = {name: dense(str(index), value) for index, (name, value) in enumerate(state.items())}
    parts: dict[str, Any] = {"data.pkl": pickled({**entries, **(changes or {})})}
    parts |= {f"data/{index}": value.numpy().tobytes() for index, value in enumerate(state.values())}
    parts |= records or {}
    return archive({name: data for name, data in parts.items() if data is not None})


def stem(state: State, shape: tuple[int, ...], stride: tuple[int, ...], offset: int = 0, numel: int = 432) -> bytes:
    """The good checkpoint with its first tensor, of 432 values, described in another way."""
    return whole(state, {STEM: tensor("0", numel, shape, stride, offset)})


def alone(value: bytes) -> bytes:
    """A checkpoint whose pickle is only this value."""
    return archive({"data.pkl": b"\x80\x04" + value + b".", "data/0": bytes(4)})


def directory(data: bytes, name: str, changes: dict[int, bytes]) -> bytes:
    """The file with bytes overwritten in a record's entry in the zip directory."""
    told = bytearray(data)
    at = data.rindex(b"PK\x01\x02", 0, data.rindex(name.encode()))
    for offset, patch in changes.items():
        told[at + offset : at + offset + len(patch)] = patch
    return bytes(told)


def swollen(count: int) -> bytes:
    """A zip file whose directory has far too many entries to make an object for each."""
    good = archive({"data.pkl": pickled({})})
    at = good.index(b"PK\x01\x02")
    end = good.index(b"PK\x05\x06")
    entry, tail = good[at:end], bytearray(good[end:])
    tail[12:16] = struct.pack("<I", len(entry) * count)
    return good[:at] + entry * count + bytes(tail)


def doubled(data: bytes, name: str) -> bytes:
    buffer = io.BytesIO(data)
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(buffer, "a") as file:
        file.writestr(name, b"other")
    return buffer.getvalue()


def laughs(depth: int) -> bytes:
    """A tuple that holds the previous tuple twice, and so on: small in memory, but endless to walk through."""
    return b")" + b"q\x07h\x07\x86" * depth


def legacy(state: State) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


HUGE = 1 << 40
FLOATS = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}

WEIGHTS: dict[str, tuple[Callable[[State], bytes], str]] = {
    # the zip file
    "a deflated record": (
        lambda state: archive(
            {"data.pkl": pickled({STEM: dense("0", state[STEM])}), "data/0": bytes(400 << 20)}, method=8
        ),
        "compressed records",
    ),
    "a deflated list": (
        lambda state: archive({"data.pkl": b"\x80\x02" + b"}" * (400 << 20)}, method=8),
        "compressed records",
    ),
    "a million entries": (lambda state: swollen(500_000), "more than 10,000 records"),
    "a record larger than the file": (
        lambda state: directory(whole(state), "archive/data/0", {20: b"\xff\xff\xff\x7f" * 2}),
        "truncated or damaged",
    ),
    "sizes that differ": (
        lambda state: directory(whole(state), "archive/data/0", {24: b"\xff\xff\xff\x7f"}),
        "truncated or damaged",
    ),
    "a list larger than its record": (
        lambda state: directory(whole(state), "archive/data.pkl", {20: b"\xf0\xff\xff\x00" * 2}),
        "truncated or damaged",
    ),
    "a record where no header is": (
        lambda state: directory(whole(state), "archive/data/0", {42: b"\x07\x00\x00\x00"}),
        "truncated or damaged",
    ),
    "a record with another's header": (
        lambda state: directory(whole(state), "archive/data/0", {42: bytes(4)}),
        "truncated or damaged",
    ),
    "an encrypted record": (lambda state: directory(whole(state), "archive/data/0", {8: b"\x01\x00"}), "encrypted"),
    "a name that comes twice": (lambda state: doubled(whole(state), "archive/data/0"), "have the same name"),
    "two lists": (lambda state: doubled(whole(state), "archive/data.pkl"), "have the same name"),
    "two roots": (
        lambda state: whole(state, records={"../b/data.pkl": b""}).replace(b"archive/../b", b"zzzzzzzzzzzz"),
        "have the same name",
    ),
    "records that lie over each other": (
        lambda state: directory(whole(state), "archive/data/1", {20: struct.pack("<I", 9_000_000) * 2}),
        "truncated or damaged",
    ),
    "a list that begins where no file ends": (
        lambda state: beyond(whole(state), "archive/data.pkl", 2**63 + 5),
        "truncated or damaged",
    ),
    "values that begin where no file ends": (
        lambda state: beyond(whole(state), "archive/data/0", 2**64 - 1),
        "truncated or damaged",
    ),
    "values altered": (
        lambda state: whole(state).replace(state[STEM].numpy().tobytes()[:400], bytes(400)),
        "do not match their checksum",
    ),
    "big-endian": (lambda state: whole(state, records={"byteorder": b"big"}), "big-endian"),
    # the pickle
    "bytearray": (lambda state: alone(call("builtins bytearray", number(10**11))), "pickled code"),
    "a storage class, called": (lambda state: alone(call("torch FloatStorage", number(10**11))), "not a checkpoint"),
    "a memo index": (lambda state: alone(b"Nr\xff\xff\xff\x7f"), "contains a NoneType"),
    "a memo index of the C unpickler's dread": (
        lambda state: alone(b"}r\xf0\xff\xff\xffNj\xf0\xff\xff\xff0"),
        "not a checkpoint",
    ),
    "a long text": (lambda state: alone(b"\x8d" + struct.pack("<Q", 1 << 60)), "not a checkpoint"),
    "long bytes": (lambda state: alone(b"\x8e" + struct.pack("<Q", 1 << 62)), "not a checkpoint"),
    "a long number": (lambda state: alone(b"\x8b\xff\xff\xff\x7f"), "not a checkpoint"),
    "digits": (lambda state: alone(b"I" + b"9" * 900_000 + b"\n"), "not a checkpoint"),
    "many steps": (lambda state: alone(b"}" * 1_000_000), "contains a dict"),
    "a long list": (lambda state: alone(b"}" * 40_000_000), "far longer"),
    "nested tuples": (lambda state: alone(b")" + b"\x85" * 90_000), "contains a tuple"),
    "nested tuples as a key": (lambda state: alone(b"})" + b"\x85" * 90_000 + b"Ns"), "not a checkpoint"),
    "a tuple that laughs": (lambda state: alone(laughs(5_000)), "contains a tuple"),
    "a key that laughs": (lambda state: alone(b"}" + laughs(100) + b"Ns"), "not a checkpoint"),
    "a list in itself": (lambda state: alone(b"]q\x01h\x01a"), "contains a list"),
    "a dictionary in itself": (lambda state: alone(b"}q\x01" + text("x") + b"h\x01s"), "its entry 'x' is a dict"),
    "a name of many lines": (lambda state: alone(b"}" + text("x\ny" * 9000) + b"Ns"), "is a NoneType"),
    "half a letter": (lambda state: alone(b"}" + text("\ud800") + b"Ns"), r"its entry '\ud800'"),
    "a module of many lines": (lambda state: alone(text("m\n" * 9000) + text("f") + b"\x93"), "pickled code"),
    "marks": (lambda state: alone(b"(" * 400_000), "not a checkpoint"),
    "nothing on the stack": (lambda state: alone(b"0" * 9 + b"R"), "not a checkpoint"),
    "a class as a storage": (
        lambda state: alone(
            tuple_of(text("storage"), b"ccollections\nOrderedDict\n", text("0"), text("cpu"), number(1)) + b"Q"
        ),
        "not a checkpoint",
    ),
    "a textual id": (lambda state: alone(b"Parchive/data/0\n"), "not a checkpoint"),
    "an id of code": (
        lambda state: alone(tuple_of(text("storage"), b"cos\nsystem\n", text("0"), text("cpu"), number(1)) + b"Q"),
        "pickled code besides tensors ('os.system')",
    ),
    "an extension": (lambda state: alone(b"\x82\x01)R"), "pickled code"),
    "state for a dictionary": (lambda state: alone(b"}}b"), "pickled code"),
    "slots for a dictionary": (lambda state: alone(call("collections OrderedDict") + b"}}\x86b"), "pickled code"),
    "a parameter of a parameter's name": (
        lambda state: alone(b"ctorch._utils\n_rebuild_parameter\n)R"),
        "not a checkpoint",
    ),
    "an entry of a list": (lambda state: alone(b"]" + text("x") + b"Ns"), "not a checkpoint"),
    "an entry of a tensor": (
        lambda state: alone(tensor("0", 1, (1,), (1,)) + number(0) + b"Ns"),
        "not a checkpoint",
    ),
    "state for a tensor": (lambda state: alone(tensor("0", 1, (1,), (1,)) + b"}b"), "pickled code"),
    "a call of text": (lambda state: alone(text("x") + b")R"), "pickled code"),
    "a frame without an end": (lambda state: alone(b"\x95" + b"\xff" * 8 + b"}"), "not a checkpoint"),
    "a call of what was called": (lambda state: alone(call("collections OrderedDict") + b")R"), "pickled code"),
    "a name on the list with dots": (
        lambda state: alone(text("torch") + text("FloatStorage.__class__") + b"\x93"),
        "pickled code",
    ),
    # the tensors
    "numel beyond the record": (lambda state: stem(state, (16, 3, 3, 3), (27, 9, 3, 1), numel=HUGE), "not as declared"),
    "numel and shape beyond the record": (lambda state: stem(state, (HUGE,), (1,), numel=HUGE), "not as declared"),
    "numel below the record": (lambda state: stem(state, (16, 3, 3, 3), (27, 9, 3, 1), numel=431), "not as declared"),
    "numel below zero": (lambda state: stem(state, (16, 3, 3, 3), (27, 9, 3, 1), numel=-432), "not a checkpoint"),
    "another type": (
        lambda state: whole(state, {STEM: tensor("0", 432, (16, 3, 3, 3), (27, 9, 3, 1), kind="DoubleStorage")}),
        "not as declared",
    ),
    "a short record": (lambda state: whole(state, records={"data/0": bytes(16)}), "not as declared"),
    "no record": (lambda state: whole(state, records={"data/0": None}), "are missing"),  # type: ignore[dict-item]
    "a record elsewhere": (
        lambda state: whole(state, {STEM: tensor("../data.pkl", 432, (16, 3, 3, 3), (27, 9, 3, 1))}),
        "are missing",
    ),
    "a huge shape": (lambda state: stem(state, (HUGE, 3, 3, 3), (27, 9, 3, 1)), "has too few values"),
    "a shape that overflows": (lambda state: stem(state, (1 << 62, 4, 1, 1), (4, 1, 1, 1)), "has too few values"),
    "a huge shape of stride 0": (lambda state: stem(state, (HUGE, 3, 3, 3), (0, 0, 0, 0)), "overlaps itself"),
    "the right shape of stride 0": (lambda state: stem(state, (16, 3, 3, 3), (0, 0, 0, 0)), "overlaps itself"),
    "overlapping strides": (lambda state: stem(state, (16, 3, 3, 3), (1, 1, 1, 1)), "overlaps itself"),
    "strides beyond": (lambda state: stem(state, (16, 3, 3, 3), (HUGE, 9, 3, 1)), "gaps"),
    "strides below zero": (lambda state: stem(state, (16, 3, 3, 3), (-27, 9, 3, 1)), "not a checkpoint"),
    "an offset beyond": (lambda state: stem(state, (16, 3, 3, 3), (27, 9, 3, 1), offset=1), "has too few values"),
    "an offset far beyond": (
        lambda state: stem(state, (16, 3, 3, 3), (27, 9, 3, 1), offset=HUGE),
        "has too few values",
    ),
    "an offset below zero": (lambda state: stem(state, (16, 3, 3, 3), (27, 9, 3, 1), offset=-9), "not a checkpoint"),
    "a size below zero": (lambda state: stem(state, (-16, -3, 3, 3), (27, 9, 3, 1)), "not a checkpoint"),
    "fewer strides than sizes": (lambda state: stem(state, (16, 3, 3, 3), (27, 9, 3)), "not a checkpoint"),
    "a thousand dimensions": (lambda state: stem(state, (1,) * 1000, (1,) * 1000), "not a checkpoint"),
    "complex values": (
        lambda state: whole(
            state,
            {STEM: tensor("0", 432, (16, 3, 3, 3), (27, 9, 3, 1), kind="ComplexFloatStorage")},
            {"data/0": bytes(432 * 8)},
        ),
        "contains complex64",
    ),
    # safetensors
    "a header of 2^63 bytes": (lambda state: b"\xff" * 7 + b"\x7f{}" + bytes(99), "not a checkpoint"),
    "a header longer than the file": (lambda state: (99_000_000).to_bytes(8, "little") + b'{"a"', "far longer"),
    "a header a little longer": (lambda state: (9999).to_bytes(8, "little") + b'{"a":1}', "damaged safetensors"),
    "a long header": (lambda state: safetensors(b"{" + b" " * (90 << 20) + b"}"), "far longer"),
    "a nested header": (lambda state: safetensors(b'{"a":' + b"[" * 500_000), "damaged safetensors"),
    "a nested value": (
        lambda state: safetensors(b'{"a":' + b"[" * 500_000 + b"]" * 500_000 + b"}"),
        "damaged safetensors",
    ),
    "a number of many digits": (lambda state: safetensors(b'{"a":' + b"9" * 1_000_000 + b"}"), "damaged safetensors"),
    "a header of no Unicode": (lambda state: safetensors(b'{"\xff\xfe":1}'), "damaged safetensors"),
    "no tensors": (lambda state: safetensors({}), "contains no tensors"),
    "a name twice": (
        lambda state: safetensors(b'{"a":' + b'{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{}}', bytes(8)),
        "damaged safetensors",
    ),
    "overlapping values": (lambda state: safetensors({"a": FLOATS, "b": FLOATS}, bytes(8)), "damaged safetensors"),
    "values with a gap": (
        lambda state: safetensors({"a": FLOATS, "b": {**FLOATS, "data_offsets": [16, 24]}}, bytes(24)),
        "damaged safetensors",
    ),
    "values beyond the end": (
        lambda state: safetensors({"a": {**FLOATS, "shape": [HUGE], "data_offsets": [0, 4 * HUGE]}}, bytes(8)),
        "damaged safetensors",
    ),
    "values after the last": (lambda state: safetensors({"a": FLOATS}, bytes(9)), "damaged safetensors"),
    "fewer values than declared": (
        lambda state: safetensors({"a": {**FLOATS, "shape": [HUGE]}}, bytes(8)),
        "damaged safetensors",
    ),
    "sizes that overflow": (
        lambda state: safetensors({"a": {**FLOATS, "shape": [1 << 32, 1 << 32, 0]}}, bytes(8)),
        "damaged safetensors",
    ),
    "offsets the wrong way": (
        lambda state: safetensors({"a": {**FLOATS, "data_offsets": [8, 0]}}, bytes(8)),
        "damaged safetensors",
    ),
    "sizes that are no numbers": (
        lambda state: safetensors({"a": {**FLOATS, "shape": [True, 2.0]}}, bytes(8)),
        "damaged safetensors",
    ),
    "an entry that is none": (lambda state: safetensors({"a": 3}), "damaged safetensors"),
    "a type unheard of": (
        lambda state: safetensors({"a": {**FLOATS, "dtype": "F4" * 400}}, bytes(8)),
        "damaged safetensors",
    ),
    "half a letter in a name": (
        lambda state: safetensors(b'{"\\ud800\\n":' + b'{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', bytes(8)),
        "damaged safetensors",
    ),
    # other files
    "the old format": (legacy, "the format of torch before 1.6"),
    "the old format, which declares much": (
        lambda state: legacy({}) + b"\x80\x02]q\x00X\x01\x00\x00\x000a." + struct.pack("<q", HUGE) + bytes(99),
        "the format of torch before 1.6",
    ),
    "a pickle of protocol 0": (lambda state: b"cos\nsystem\n(S'echo'\ntR.", "is a text file"),
    "a pickle that is long": (lambda state: pickle.dumps(bytes(1000)), "is a Python pickle"),
}


@pytest.fixture(scope="session")
def weights_outcomes(state: State, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    folder = tmp_path_factory.mktemp("hostile")
    trap, good = folder / "sprung", folder / "good.pth"
    torch.save(state, good)
    made = {name: make for name, (make, _) in WEIGHTS.items()}
    for name, value in code(trap).items():
        bad, fair = pickled({STEM: value}), pickled({STEM: dense("0", state[STEM])})
        made[f"code: {name}"] = lambda state, bad=bad: archive({"data.pkl": bad, "data/0": bytes(1728)})  # type: ignore[misc]
        made[f"code in a record: {name}"] = lambda state, bad=bad, fair=fair: archive(  # type: ignore[misc]
            {"data.pkl": fair, "data/0": bad}
        )
        made[f"code alone: {name}"] = lambda state, bad=bad: bad  # type: ignore[misc]
    paths = []
    for index, make in enumerate(made.values()):
        path = folder / f"{index}.pth"
        path.write_bytes(make(state))
        paths.append(path)
    outcomes = dict(zip(made, opened_apart("weights", good, paths, trap), strict=True))
    for path in paths:
        path.unlink()
    return outcomes


def harmless(outcome: Outcome, error: str) -> str:
    assert not outcome.sprung
    assert outcome.error == error, outcome.message
    assert outcome.grown < MOST_MIB
    assert outcome.seconds < MOST_SECONDS
    assert "\n" not in outcome.message
    assert len(outcome.message) < 500
    return outcome.message


@linux
@pytest.mark.parametrize("name", WEIGHTS)
def test_hostile_weights_are_refused_in_one_line(weights_outcomes: dict[str, Outcome], name: str) -> None:
    assert WEIGHTS[name][1] in harmless(weights_outcomes[name], "WeightsError")


@linux
@pytest.mark.parametrize("name", code(Path("x")))
def test_no_road_leads_to_running_code(weights_outcomes: dict[str, Outcome], name: str) -> None:
    assert "contains pickled code" in harmless(weights_outcomes[f"code: {name}"], "WeightsError")
    assert "not as declared" in harmless(weights_outcomes[f"code in a record: {name}"], "WeightsError")
    assert "is a Python pickle" in harmless(weights_outcomes[f"code alone: {name}"], "WeightsError")


@pytest.mark.slow
def test_every_road_does_lead_there_where_it_is_open(tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    unpickle = "import pickle, sys\ntry: pickle.load(sys.stdin.buffer)\nexcept Exception: pass"
    for name, value in code(trap).items():
        subprocess.run([sys.executable, "-c", unpickle], input=pickled({"a": value}), check=False, timeout=60)
        assert trap.is_dir(), f"{name} is no trap, so its refusal shows nothing"
        trap.rmdir()


@pytest.mark.parametrize("kind", ["device", "pipe"])
def test_weights_without_an_end_are_not_begun(kind: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="is a device or a pipe"):
        w.load(endless(kind, tmp_path / "weights.pth"))


def endless(kind: str, path: Path) -> Path:
    """A name like a file's, for something that never ends."""
    if not hasattr(os, "mkfifo"):
        pytest.skip("no devices and pipes with names on this system")
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    return path


# Good checkpoints still load


def same(path: Path, wanted: State) -> None:
    loaded = w.load(path).state_dict
    assert loaded.keys() == wanted.keys()
    for name, value in wanted.items():
        assert torch.equal(loaded[name], value), name
        assert loaded[name].dtype == value.dtype
        assert loaded[name].stride() == value.stride()


def test_the_real_file_is_read_as_torch_reads_it(weights: Path) -> None:
    same(weights, torch.load(weights, weights_only=True))


@pytest.mark.parametrize("form", ["plain", "protocol 4", "parameters", "channels last", "one storage", "by hand"])
def test_every_way_of_saving_is_read(state: State, tmp_path: Path, form: str) -> None:
    path = tmp_path / "x.pth"
    if form == "by hand":
        path.write_bytes(whole(state))
    elif form == "parameters":
        kept = {k: torch.nn.Parameter(v) if v.is_floating_point() else v for k, v in state.items()}
        torch.save(kept, path)
    elif form == "channels last":
        state = {k: v.contiguous(memory_format=torch.channels_last) if v.dim() == 4 else v for k, v in state.items()}
        torch.save(state, path)
    elif form == "one storage":
        flat = torch.cat([v.flatten() for v in state.values() if v.is_floating_point()])
        parts = iter(flat.split([v.numel() for v in state.values() if v.is_floating_point()]))
        torch.save({k: next(parts).view(v.shape) if v.is_floating_point() else v for k, v in state.items()}, path)
    else:
        torch.save(
            MattingNetwork("mobilenetv3", "fast_guided_filter").state_dict() | state,
            path,
            pickle_protocol=2 if form == "plain" else 4,
        )
    same(path, state)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_other_precisions_are_read(state: State, tmp_path: Path, dtype: torch.dtype, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    kept = {k: v.to(dtype) if v.is_floating_point() else v for k, v in state.items()}
    if suffix == ".pth":
        torch.save(kept, path)
    else:
        path.write_bytes(save_safetensors(kept))
    same(path, {k: v.to(state[k].dtype) for k, v in kept.items()})


# Pictures


def encoded(suffix: str, parameters: list[int] | None = None) -> bytes:
    shape = (96, 128) if suffix == ".pgm" else (96, 128, 3)
    picture = np.full(shape, 90, np.uint8)
    return cv2.imencode(suffix, picture, parameters or [])[1].tobytes()  # type: ignore[no-any-return]


def patched(data: bytes, wanted: dict[bytes, bytes]) -> bytes:
    for old, new in wanted.items():
        assert old in data
        data = data.replace(old, new, 1)
    return data


def many_scans() -> bytes:
    data = encoded(".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * 5000 + data[-2:]


def tiff(tags: dict[int, int]) -> bytes:
    listed = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + listed + bytes(4)


HOSTILE_PICTURES: dict[str, tuple[Callable[[], bytes], str]] = {
    "png": (lambda: png(30_000, 30_000), "has 30000 x 30000 pixels: more than 128 megapixels"),
    "png, narrow": (lambda: png(900_000, 1000), "has 900000 x 1000 pixels"),
    "png, of nothing": (lambda: png(0, 0), "is damaged, or not a picture"),
    "jpeg": (
        lambda: patched(encoded(".jpg"), {struct.pack(">HH", 96, 128): struct.pack(">HH", 65_000, 65_000)}),
        "has 65000 x 65000 pixels",
    ),
    "jpeg of many scans": (many_scans, "passes: more than"),
    "bmp": (
        lambda: patched(encoded(".bmp"), {struct.pack("<ii", 128, 96): struct.pack("<ii", 99_999, -99_999)}),
        "has 99999 x 99999 pixels",
    ),
    "gif": (
        lambda: patched(encoded(".gif"), {struct.pack("<HH", 128, 96): struct.pack("<HH", 65_535, 65_535)}),
        "has 65535 x 65535 pixels",
    ),
    "webp": (
        lambda: patched(
            encoded(".webp", [cv2.IMWRITE_WEBP_QUALITY, 80]),
            {struct.pack("<HH", 128, 96): struct.pack("<HH", 16_383, 16_383)},
        ),
        "has 16383 x 16383 pixels",
    ),
    "webp, lossless": (
        lambda: patched(encoded(".webp"), {b"\x2f\x7f\xc0\x17\x00": b"\x2f\xff\xff\xff\x0f"}),
        "has 16384 x 16384 pixels",
    ),
    "tiff": (lambda: tiff({256: 50_000, 257: 50_000}), "has 50000 x 50000 pixels"),
    "tiff with a tile": (lambda: tiff({256: 16, 257: 16, 322: 60_000, 323: 60_000}), "has 60000 x 60000 pixels"),
    "tiff with a strip": (lambda: tiff({256: 16, 257: 16, 278: 99_000_000}), "has 16 x 99000000 pixels"),
    "jpeg 2000": (
        lambda: patched(encoded(".jp2"), {struct.pack(">IIII", 128, 96, 0, 0): struct.pack(">IIII", 9000, 9000, 0, 0)}),
        "has 9000 x 9000 pixels: more than 32 megapixels",
    ),
    "avif": (
        lambda: patched(encoded(".avif"), {struct.pack(">II", 128, 96): struct.pack(">II", 50_000, 50_000)}),
        "has 50000 x 50000 pixels",
    ),
    "ppm": (lambda: b"P6\n#x\r40000 40000\n16 16\n255\n" + bytes(99), "has 40000 x 40000 pixels"),
    "ppm, longer": (lambda: b"P6\n" + b"#" * 9999 + b"\n40000 40000\n255\n", "damaged"),
    "an unknown format": (lambda: b"PF\n40000 40000\n-1.0\n" + bytes(99), "is not a picture that can be read"),
    "a film": (lambda: b"\0\0\0\x18ftypisom" + bytes(99), "is not a picture that can be read"),
    "a header alone": (lambda: b"\x89PNG\r\n\x1a\n", "damaged"),
}


@pytest.fixture(scope="session", params=["source", "background"])
def pictures_outcomes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    folder = tmp_path_factory.mktemp("hostile")
    good = folder / "good.png"
    good.write_bytes(png(1920, 1080))
    paths = []
    for index, (make, _) in enumerate(HOSTILE_PICTURES.values()):
        path = folder / f"{index}.png"
        path.write_bytes(make())
        paths.append(path)
    outcomes = opened_apart(request.param, good, paths, folder / "sprung")
    wanted = {"source": "SourceUnavailableError", "background": "BackgroundError"}[request.param]
    return {
        name: each
        for name, each in zip([*HOSTILE_PICTURES, ""], [*outcomes, Outcome(wanted, "", 0, 0, False)], strict=True)
    }


@linux
@pytest.mark.parametrize("name", HOSTILE_PICTURES)
def test_hostile_pictures_are_refused_in_one_line(pictures_outcomes: dict[str, Outcome], name: str) -> None:
    assert HOSTILE_PICTURES[name][1] in harmless(pictures_outcomes[name], pictures_outcomes[""].error)


def complaint(opening: Callable[[], object], error: type[RvmLiveError]) -> str:
    with pytest.raises(error) as caught:
        opening()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["device", "pipe"])
def test_pictures_without_an_end_are_not_begun(kind: str, tmp_path: Path) -> None:
    path = endless(kind, tmp_path / "room.png")
    source = ImageSource(SourceSettings(source=str(path)))
    assert "is a device or a pipe" in complaint(source.open, SourceUnavailableError)
    assert "is a device or a pipe" in complaint(lambda: parse(f"image:{path}"), BackgroundError)


def test_a_file_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "room.png"
    with path.open("wb") as file:
        file.truncate(5 << 30)
    source = ImageSource(SourceSettings(source=str(path)))
    assert "has 5,120 MiB: pictures above 256 MiB are not read" in complaint(source.open, SourceUnavailableError)
    assert "has 5,120 MiB" in complaint(lambda: parse(str(path)), BackgroundError)


def test_a_coded_picture_larger_than_its_header_says_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(".avif")
    lying = patched(data, {struct.pack(">II", 128, 96): struct.pack(">II", 64, 48)})
    image_files.check_size(data)
    monkeypatch.setattr(image_files, "MOST_PIXELS", 64 * 48)
    with pytest.raises(image_files.UnfitPicture, match="larger than its header says"):
        image_files.check_size(lying)


@pytest.mark.parametrize("size", [(7680, 4320), (11_656, 8742), (8742, 11_656)])
def test_large_photographs_are_taken(size: tuple[int, int]) -> None:
    data = png(*size)
    image_files.check_size(data)
    assert image_files.size_of(data) == size


@pytest.mark.parametrize(
    ("suffix", "parameters"),
    [
        (".png", []),
        (".jpg", []),
        (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
        (".bmp", []),
        (".gif", []),
        (".webp", []),
        (".webp", [cv2.IMWRITE_WEBP_QUALITY, 101]),
        (".tif", []),
        (".jp2", []),
        (".avif", []),
        (".ppm", []),
        (".pgm", []),
    ],
)
def test_every_format_tells_its_size(suffix: str, parameters: list[int]) -> None:
    data = encoded(suffix, parameters)
    image_files.check_size(data)
    assert image_files.size_of(data) == (128, 96)


# Random damage


def tiny(form: str) -> bytes:
    values = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(7)}
    if form == "safetensors":
        return save_safetensors(values)
    buffer = io.BytesIO()
    torch.save(values, buffer)
    return buffer.getvalue()


@st.composite
def damaged(draw: st.DrawFn, good: list[bytes]) -> bytes:
    """A good file with up to four accidents: a byte changed, or a piece cut out, inserted or doubled."""
    data = bytearray(good[draw(st.integers(0, len(good) - 1))])
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        length = draw(st.integers(1, 64))
        accident = draw(st.sampled_from(["flip", "cut", "insert", "double", "end"]))
        if accident == "flip" and data:
            data[at] ^= draw(st.integers(1, 255))
        elif accident == "cut":
            del data[at : at + length]
        elif accident == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=16))
        elif accident == "double":
            data[at:at] = data[at : at + length]
        elif accident == "end":
            del data[at:]
    return bytes(data)


bounded = settings(
    max_examples=300,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
FORMATS = [".png", ".jpg", ".bmp", ".gif", ".webp", ".tif", ".jp2", ".ppm", ".avif"]


@bounded
@given(data=damaged([tiny("zip"), tiny("safetensors")]))
def test_damaged_weights_never_raise_anything_else(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(data)
    message = complaint(lambda: w.load(path), WeightsError)
    assert len(message) < 500


@pytest.mark.slow
@bounded
@given(data=damaged([encoded(suffix) for suffix in FORMATS]))
def test_damaged_pictures_never_raise_anything_else(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(data)
    for opening in (ImageSource(SourceSettings(source=str(path))).open, lambda: parse(str(path))):
        try:
            opening()
        except RvmLiveError as error:
            assert "\n" not in str(error)


@pytest.mark.slow
@bounded
@given(
    spec=st.text(max_size=60)
    | st.tuples(st.sampled_from(["image:", "blur:", "color:", "video:"]), st.text()).map("".join)
)
def test_no_background_raises_anything_else(spec: str) -> None:
    with suppress(RvmLiveError):
        parse(spec)


# What fuzzing found, and must not come back


def test_a_home_of_nobody_is_a_path_like_any_other() -> None:
    assert "there is no background image" in complaint(lambda: parse("~nobody-of-that-name/room.png"), BackgroundError)


def test_a_film_of_an_unknown_codec_is_refused(tmp_path: Path) -> None:
    path = make_video(tmp_path / "film.mp4", frames=3)
    path.write_bytes(patched(path.read_bytes(), {b"avc1\0\0\0\0": b"zzzz\0\0\0\0"}))
    source = VideoFileSource(SourceSettings(source=str(path), realtime=False))
    assert "its codec is not known" in complaint(source.open, SourceUnavailableError)
    source.release()
    assert "its codec is not known" in complaint(lambda: facts_of(path), SourceUnavailableError)
    assert "its codec is not known" in complaint(lambda: parse(f"video:{path}"), BackgroundError)


def test_sound_of_an_unknown_codec_is_left_out(tmp_path: Path) -> None:
    path = make_movie(tmp_path / "film.mkv", frames=3)
    path.write_bytes(patched(path.read_bytes(), {b"A_AAC": b"A_XYZ"}))
    assert facts_of(path).sound == ("unknown codec",)
    assert plan(path, "mp4").notes == ("sound track 1: unknown codec, left out",)


def test_pixels_that_cannot_be_converted_are_told() -> None:
    try:
        frame = av.VideoFrame(32, 32, "rgb96le")
    except ValueError:
        pytest.skip("this FFmpeg knows no such pixels")
    source = VideoFileSource(SourceSettings(source="film.mkv"))
    assert "cannot be converted" in complaint(lambda: source._picture(frame), SourceLostError)
    assert "cannot be converted" in complaint(lambda: converted(frame, None, "cover"), BackgroundError)


@pytest.mark.parametrize("size", [0, 1, 2, 7, (1 << 64) - 1])
def test_a_box_without_an_end_is_not_walked_for_ever(size: int) -> None:
    start = struct.pack(">I", 32) + b"ftypavif" + bytes(4) + b"avifmif1miaf" + bytes(4)
    for told in (struct.pack(">I4s", min(size, 7), b"free"), struct.pack(">I4sQ", 1, b"free", size)):
        with pytest.raises(image_files.UnfitPicture, match="is damaged"):
            image_files.check_size(start + told + bytes(64))


def test_a_chunk_larger_than_the_file_is_not_made_room_for() -> None:
    data = png(96, 64)
    at = data.index(b"IDAT") - 4
    with pytest.raises(image_files.UnfitPicture, match="is damaged"):
        image_files.check_size(data[:at] + b"\x7f\xff\xff\xf0" + data[at + 4 :])


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8" + b"\xff" * (40 << 20),
        b"\xff\xd8" + b"\xff\x01" * (20 << 20),
        png(8, 8)[:33] + bytes(12 << 21),
        b"\0\0\0\x20ftypavif" + bytes(20) + (b"\0\0\0\x08free" * (4 << 20)),
        b"\xff\x4f\xff\x51" * (10 << 20),
    ],
    ids=["filling", "markers", "chunks", "boxes", "codestreams"],
)
def test_a_file_of_nothing_but_parts_takes_no_time(data: bytes) -> None:
    began = time.monotonic()
    with pytest.raises(image_files.UnfitPicture):
        image_files.check_size(data)
    assert time.monotonic() - began < 2


# Damage guided by coverage


@pytest.mark.parametrize("target", ["weights", "picture", "video", "background", "settings"])
@pytest.mark.slow
def test_a_little_fuzzing_finds_nothing(target: str, tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="atheris has no wheel for this system and Python")
    done = subprocess.run(
        [sys.executable, "-m", "tools.fuzz", target, "--seconds", "4", "--corpus", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Done " in done.stderr, done.stderr[-3000:]


@pytest.mark.few(1)
@pytest.mark.parametrize("reader", ["source", "background"])
def test_a_film_of_gigantic_pictures_is_refused_before_one_is_decoded(tmp_path: Path, reader: str) -> None:
    """A few hundred kilobytes that would take gigabytes, four times: decoders keep several pictures."""
    path = tmp_path / "huge.mov"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = 16000, 9000, "gray"
        frame = av.VideoFrame.from_ndarray(np.zeros((9000, 16000), np.uint8), format="gray")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert path.stat().st_size < 2_000_000
    with pytest.raises(RvmLiveError):
        if reader == "source":
            source = VideoFileSource(SourceSettings(str(path), realtime=False))
            try:
                source.open()
            finally:
                source.release()
        else:
            parse(f"video:{path}")[0].open()


def test_a_film_that_turns_gigantic_on_its_way_is_not_decoded_further(tmp_path: Path) -> None:
    """The header speaks of 64x48, and so is the first picture; the second one is of 144 megapixels."""
    path = tmp_path / "grows.mov"

    def packets(height: int, width: int) -> list[Any]:
        codec = av.CodecContext.create("png", "w")
        codec.width, codec.height, codec.pix_fmt, codec.time_base = width, height, "gray", Fraction(1, 25)
        frame = av.VideoFrame.from_ndarray(np.zeros((height, width), np.uint8), format="gray")
        return [*codec.encode(frame), *codec.encode(None)]

    with av.open(str(path), "w") as container:
        stream = container.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "gray"
        for number, packet in enumerate([*packets(48, 64), *packets(9000, 16000)]):
            packet.stream, packet.time_base, packet.pts, packet.dts = stream, Fraction(1, 25), number, number
            container.mux(packet)
    seen = []
    with open_file(path) as container, pytest.raises(av.error.FFmpegError):
        for frame in container.decode(video=0):
            seen.append((frame.width, frame.height))
    source = VideoFileSource(SourceSettings(str(path), realtime=False))
    source.open()
    with suppress(RvmLiveError, EndOfSource):
        for _ in range(3):
            seen.append(source.read().image.shape[1::-1])
    source.release()
    assert len(seen) >= 2 and set(seen) == {(64, 48)}


def test_a_pipe_as_a_background_video_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(RvmLiveError, match="a device or a pipe"):
        parse(f"video:{tmp_path / 'pipe.mp4'}")


def test_a_recording_called_like_an_address_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "http:").mkdir()
    writer = VideoFile(Path("http:/take.mkv"), fps=25)
    writer.write(Shot(np.zeros((48, 64, 3), np.uint8), 0, 0, None))
    assert writer.finish()
    assert (tmp_path / "http:" / "take.mkv").is_file()
