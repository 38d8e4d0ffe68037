"""Weights: found, downloaded from a real server, checked, and refused in one line."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
import socket
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from rvm_live import weights as w
from rvm_live.cli.weights import weights as command
from rvm_live.core.errors import RvmLiveError, SettingsError, WeightsError
from rvm_live.core.settings import EngineSettings
from rvm_live.engines.onnx.file import check_file
from rvm_live.weights import catalog
from tests.support.mirror import Answer, certificate, send, serving
from tests.support.parity import formula_network

Answering = Callable[[Answer], list[str]]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.lower() in ("rvm_live_weights", "rvm_live_weights_url", "http_proxy", "all_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def official(data: Path) -> bytes:
    """Bytes of a checkpoint with the format of the official ``rvm_mobilenetv3.pth``, with formula weights."""
    buffer = io.BytesIO()
    torch.save(formula_network(data, "mobilenetv3", "deep_guided_filter").state_dict(), buffer)
    return buffer.getvalue()


@pytest.fixture
def state(weights: Path) -> dict[str, torch.Tensor]:
    loaded: dict[str, torch.Tensor] = torch.load(weights, weights_only=True)
    return loaded


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answering]:
    """Call it with an answer to start the server; gives the list of requested paths."""
    contexts = []

    def start(answer: Answer) -> list[str]:
        context = serving(answer, secure=True)
        contexts.append(context)
        url, asked = context.__enter__()
        monkeypatch.setenv("RVM_LIVE_WEIGHTS_URL", url)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate()))
        monkeypatch.setattr("rvm_live.weights.download._BACKOFF_SECONDS", 0.01)
        return asked

    yield start
    for context in contexts:
        context.__exit__(None, None, None)


def cache_files() -> list[str]:
    folder = w.cache_dir()
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def told(error: pytest.ExceptionInfo[RvmLiveError]) -> str:
    message = str(error.value)
    assert "\n" not in message
    assert len(message) < 500
    return message


# Loading


def test_the_real_file_loads(weights: Path) -> None:
    loaded = w.load(weights)
    assert (loaded.variant, loaded.refiner) == ("mobilenetv3", "fast_guided_filter")
    assert loaded.sha256 == "59dfa7027b8bcdd34c0f940fb47084e308f50b30ce338f44040b536ac28c4045"
    assert loaded.path == weights


@pytest.mark.few(1)
@pytest.mark.parametrize("variant", ["mobilenetv3", "resnet50"])
@pytest.mark.parametrize("refiner", ["deep_guided_filter", "fast_guided_filter"])
def test_variant_and_refiner_are_read_off_the_file(data: Path, tmp_path: Path, variant: str, refiner: str) -> None:
    path = tmp_path / "any-name.safetensors"
    save_file(formula_network(data, variant, refiner).state_dict(), path)
    loaded = w.load(path)
    assert (loaded.variant, loaded.refiner) == (variant, refiner)


def test_safetensors_and_pth_hold_the_same(state: dict[str, torch.Tensor], weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file(state, path)
    ours, theirs = w.load(path).state_dict, w.load(weights).state_dict
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_half_precision_files_load_as_single(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    save_file({name: t.half() if t.is_floating_point() else t for name, t in state.items()}, path)
    loaded = w.load(path).state_dict["project_mat.conv.weight"]
    assert loaded.dtype == torch.float32


# Bad files: one line that says what the file is


class Code:
    """Unpickling this would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def _altered(state: dict[str, torch.Tensor], path: Path, **changes: object) -> None:
    torch.save({**state, **changes}, path)


def write_torchscript(path: Path) -> None:
    from tests.support.scripted import save_scripted

    save_scripted("alpha", path)


BAD = {
    "empty": (lambda path, good, state: path.write_bytes(b""), "is empty"),
    "html": (lambda path, good, state: path.write_text("\n <!DOCTYPE html><html>Sign in</html>"), "is an HTML page"),
    "text": (lambda path, good, state: path.write_text("Not Found"), "is a text file"),
    "lfs": (
        lambda path, good, state: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
        "is a Git LFS pointer",
    ),
    "truncated": (lambda path, good, state: path.write_bytes(good[: len(good) // 2]), "truncated or damaged"),
    "cut at the end": (lambda path, good, state: path.write_bytes(good[:-10]), "truncated or damaged"),
    "flipped": (lambda path, good, state: path.write_bytes(b"PK\x03\x04" + os.urandom(999)), "truncated or damaged"),
    "noise": (lambda path, good, state: path.write_bytes(b"\x00\x01" + os.urandom(999)), "not a checkpoint"),
    "torchscript": (lambda path, good, state: write_torchscript(path), "is a TorchScript model"),
    "other network": (
        lambda path, good, state: torch.save({"conv1.weight": torch.zeros(3)}, path),
        "contain another network (1 tensors, such as 'conv1.weight')",
    ),
    "torchvision's backbone": (
        lambda path, good, state: torch.save({"backbone.features.0.0.weight": torch.zeros(16, 3, 3, 3)}, path),
        "contain another network",
    ),
    "a tensor": (lambda path, good, state: torch.save(torch.zeros(3), path), "contains a Tensor"),
    "a list": (lambda path, good, state: torch.save([1, 2], path), "contains a list"),
    "nested": (lambda path, good, state: torch.save({"model": state}, path), "its entry 'model' is a dict"),
    "missing tensor": (
        lambda path, good, state: torch.save({k: v for k, v in state.items() if "project_seg" not in k}, path),
        "does not contain 'project_seg.conv.weight' and 1 more",
    ),
    "extra tensor": (
        lambda path, good, state: _altered(state, path, more=torch.zeros(1)),
        "unknown tensors, such as 'more'",
    ),
    "other shape": (
        lambda path, good, state: _altered(state, path, **{"project_mat.conv.bias": torch.zeros(5)}),
        "'project_mat.conv.bias' has shape [5] instead of [4]",
    ),
    "not a number": (
        lambda path, good, state: _altered(state, path, **{"project_mat.conv.bias": torch.full((4,), float("nan"))}),
        "NaN or infinite",
    ),
    "integers": (
        lambda path, good, state: _altered(state, path, **{"project_mat.conv.bias": torch.zeros(4, dtype=torch.int8)}),
        "contains int8",
    ),
    "zip": (lambda path, good, state: write_zip(path), "is a zip archive"),
}


def write_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_named(name: str, weights: Path, state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    make, expected = BAD[name]
    make(path, weights.read_bytes(), state)
    with pytest.raises(WeightsError) as error:
        w.load(path)
    assert expected in told(error)
    assert str(path) in told(error)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not exist"):
        w.load(tmp_path / "none.pth")
    with pytest.raises(WeightsError, match="is a folder"):
        w.load(tmp_path)


@pytest.mark.parametrize("form", ["zip", "legacy", "plain pickle"])
def test_pickled_code_is_never_run(form: str, tmp_path: Path) -> None:
    trap, path = tmp_path / "sprung", tmp_path / "weights.pth"
    content = {"backbone.features.0.0.weight": Code(trap)}
    if form == "plain pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(WeightsError) as error:
        w.load(path)
    assert not trap.exists()
    expected = {"zip": "pickled code", "legacy": "the format of torch before 1.6", "plain pickle": "a Python pickle"}
    assert expected[form] in told(error)
    if form == "plain pickle":
        pickle.loads(path.read_bytes())
    else:
        torch.load(path, weights_only=False)
    assert trap.exists(), "the trap itself does not work, so this test shows nothing"


@pytest.mark.parametrize("damage", ["short header", "short data", "other shapes"])
def test_bad_safetensors(damage: str, state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    if damage == "other shapes":
        state["project_mat.conv.bias"] = torch.zeros(9)
    save_file(state, path)
    if damage != "other shapes":
        path.write_bytes(path.read_bytes()[: 100 if damage == "short header" else -100])
    with pytest.raises(WeightsError) as error:
        w.load(path)
    assert ("shape [9] instead of [4]" if damage == "other shapes" else "damaged safetensors") in told(error)


# Finding


def test_order_settings_then_environment_then_cache(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = w.cache_dir() / "rvm_mobilenetv3.pth"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(weights.read_bytes())
    assert w.resolve(EngineSettings()) == cached
    monkeypatch.setenv("RVM_LIVE_WEIGHTS", str(weights.parent))
    assert w.resolve(EngineSettings()) == weights
    other = tmp_path / "other.pth"
    other.write_bytes(weights.read_bytes())
    assert w.resolve(EngineSettings(weights=other)) == other
    with pytest.raises(WeightsError, match="does not exist"):
        w.resolve(EngineSettings(weights=tmp_path / "none"))


@pytest.mark.slow
def test_in_a_folder_official_names_come_first(data: Path, weights: Path, tmp_path: Path) -> None:
    (tmp_path / "a-broken.pth").write_text("<html>")
    (tmp_path / "b.pth").write_bytes(weights.read_bytes())
    assert w.resolve(EngineSettings(weights=tmp_path)) == tmp_path / "b.pth"
    (tmp_path / "rvm_mobilenetv3.pth").write_bytes(weights.read_bytes())
    assert w.resolve(EngineSettings(weights=tmp_path)) == tmp_path / "rvm_mobilenetv3.pth"
    with pytest.raises(WeightsError) as error:
        w.resolve(EngineSettings(weights=tmp_path, model="resnet50"))
    assert "no usable weights for resnet50" in told(error)
    assert "b.pth contains mobilenetv3" in told(error)
    save_file(formula_network(data, "resnet50", "fast_guided_filter").state_dict(), tmp_path / "z.safetensors")
    assert w.resolve(EngineSettings(weights=tmp_path, model="resnet50")) == tmp_path / "z.safetensors"


def test_a_lone_file_decides_the_model(data: Path, tmp_path: Path) -> None:
    save_file(formula_network(data, "resnet50", "fast_guided_filter").state_dict(), tmp_path / "only.safetensors")
    assert w.resolve(EngineSettings(weights=tmp_path)) == tmp_path / "only.safetensors"


def test_a_folder_without_weights(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(WeightsError, match=r"contains no \.pth or \.safetensors file"):
        w.resolve(EngineSettings(weights=tmp_path))


# Downloading


def test_the_first_use_fetches_once(official: bytes, mirror: Answering) -> None:
    asked = mirror(lambda handler, n: send(handler, official))
    seen: list[tuple[int, int | None]] = []
    path = w.resolve(EngineSettings(), progress=lambda done, total: seen.append((done, total)))
    assert path == w.cache_dir() / "rvm_mobilenetv3.pth"
    assert path.read_bytes() == official
    assert asked == ["/v1/rvm_mobilenetv3.pth"]
    assert seen[0][0] < seen[-1][0] == len(official)
    assert all(total == len(official) for _, total in seen)
    record = json.loads((path.parent / "rvm_mobilenetv3.pth.json").read_text())
    assert record["sha256"] == hashlib.sha256(official).hexdigest()
    assert cache_files() == ["rvm_mobilenetv3.pth", "rvm_mobilenetv3.pth.json"]
    loaded = w.load(w.resolve(EngineSettings()))
    assert (loaded.variant, loaded.refiner) == ("mobilenetv3", "deep_guided_filter")
    assert w.pull("mobilenetv3") == path
    assert len(asked) == 1


def _error(status: int) -> Answer:
    return lambda handler, n: send(handler, b"oops", status=status)


@pytest.mark.parametrize("trouble", ["503", "broken off", "short", "dropped"])
def test_a_flaky_server_is_tried_again(official: bytes, mirror: Answering, trouble: str) -> None:
    def answer(handler, n):  # type: ignore[no-untyped-def]
        if n == 2:
            send(handler, official)
        elif trouble == "503":
            send(handler, b"busy", status=503)
        elif trouble == "broken off":
            send(handler, official[:100_000], length=len(official))
        elif trouble == "dropped":
            handler.connection.shutdown(socket.SHUT_RDWR)
        else:
            send(handler, b"", length=len(official))

    asked = mirror(answer)
    assert w.pull("mobilenetv3").read_bytes() == official
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("answer", "expected", "requests"),
    [
        (_error(404), "HTTP 404", 1),
        (_error(500), "HTTP 500", 3),
        (lambda handler, n: send(handler, b"<!DOCTYPE html><p>login"), "is an HTML page", 1),
        (lambda handler, n: send(handler, b""), "is empty", 1),
        (lambda handler, n: handler.connection.shutdown(socket.SHUT_RDWR), "no connection", 3),
    ],
)
def test_what_cannot_be_had_leaves_nothing(mirror: Answering, answer: Answer, expected: str, requests: int) -> None:
    asked = mirror(answer)
    with pytest.raises(WeightsError) as error:
        w.pull("mobilenetv3")
    assert expected in told(error)
    assert len(asked) == requests
    assert cache_files() == []


def test_a_truncated_answer_without_a_length_is_refused(official: bytes, mirror: Answering) -> None:
    mirror(lambda handler, n: send(handler, official[: len(official) // 3], length=-1))
    with pytest.raises(WeightsError) as error:
        w.pull("mobilenetv3")
    assert "truncated" in told(error)
    assert "nothing was stored" in told(error)
    assert cache_files() == []


def test_the_wrong_network_is_refused(official: bytes, mirror: Answering) -> None:
    mirror(lambda handler, n: send(handler, official))
    with pytest.raises(WeightsError, match="is for mobilenetv3, not resnet50"):
        w.pull("resnet50")
    assert cache_files() == []


def test_an_interrupted_download_leaves_nothing(official: bytes, mirror: Answering) -> None:
    mirror(lambda handler, n: send(handler, official))

    def interrupt(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        w.pull("mobilenetv3", interrupt)
    assert cache_files() == []


def test_a_failed_download_keeps_the_file_that_was_there(official: bytes, mirror: Answering, weights: Path) -> None:
    mirror(lambda handler, n: send(handler, official))
    path = w.pull("mobilenetv3")
    path.write_bytes(weights.read_bytes())
    mirror(_error(404))
    with pytest.raises(WeightsError):
        w.pull("mobilenetv3")
    assert path.read_bytes() == weights.read_bytes()


def test_no_network_is_told_soon_and_names_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    monkeypatch.setattr("rvm_live.weights.download._BACKOFF_SECONDS", 0.05)
    for url in (f"https://127.0.0.1:{port}", "https://weights.invalid"):
        monkeypatch.setenv("RVM_LIVE_WEIGHTS_URL", url)
        started = time.monotonic()
        with pytest.raises(WeightsError) as error:
            w.resolve(EngineSettings())
        assert time.monotonic() - started < 12
        assert "rvm-live weights pull" in told(error)
        assert "--weights PATH or RVM_LIVE_WEIGHTS" in told(error)
    assert cache_files() == []


def test_a_resolver_that_hangs_does_not_hold_us(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    done = threading.Event()
    monkeypatch.setenv("RVM_LIVE_WEIGHTS_URL", "https://weights.invalid")
    monkeypatch.setattr("rvm_live.weights.download._LOOKUP_SECONDS", 0.05)
    monkeypatch.setattr("rvm_live.weights.download._BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: done.wait(30))
    try:
        with pytest.raises(WeightsError, match="cannot be resolved"):
            w.pull("mobilenetv3")
    finally:
        done.set()


def test_offline_never_asks(mirror: Answering) -> None:
    asked = mirror(_error(500))
    with pytest.raises(WeightsError) as error:
        w.resolve(EngineSettings(offline=True))
    assert asked == []
    assert "rvm-live weights pull" in told(error)
    assert "--weights PATH or RVM_LIVE_WEIGHTS" in told(error)


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("RVM_LIVE_CACHE", str(tmp_path / "file"))
    with pytest.raises(WeightsError, match="RVM_LIVE_CACHE"):
        w.pull("mobilenetv3")


# Nobody in between


@pytest.mark.parametrize("scheme", ["http", "HTTP", "ftp", "file"])
def test_weights_are_fetched_over_https_alone(
    scheme: str, official: bytes, mirror: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(lambda handler, n: send(handler, official)) as (url, asked):
        monkeypatch.setenv("RVM_LIVE_WEIGHTS_URL", scheme + url.removeprefix("http"))
        with pytest.raises(WeightsError, match="only fetched over https") as error:
            w.pull("mobilenetv3")
        assert asked == []
    assert "RVM_LIVE_WEIGHTS_URL" in told(error)
    assert cache_files() == []


@pytest.mark.parametrize("hops", [1, 2])
def test_a_redirect_away_from_https_is_not_followed(official: bytes, mirror: Answering, hops: int) -> None:
    with serving(lambda handler, n: send(handler, official)) as (plain, asked):

        def answer(handler, n):  # type: ignore[no-untyped-def]
            handler.send_response(302)
            handler.send_header("Location", f"{plain}/x.pth" if n == hops - 1 else "/v1/elsewhere")
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        secured = mirror(answer)
        with pytest.raises(WeightsError, match="not https") as error:
            w.pull("mobilenetv3")
        assert asked == []
        assert len(secured) == hops
    told(error)
    assert cache_files() == []


def test_a_redirect_within_https_is_followed(official: bytes, mirror: Answering) -> None:
    def answer(handler, n):  # type: ignore[no-untyped-def]
        if n:
            return send(handler, official)
        handler.send_response(302)
        handler.send_header("Location", "/v1/elsewhere")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    assert mirror(answer) == []
    assert w.pull("mobilenetv3").read_bytes() == official


def test_a_server_that_nobody_vouches_for_is_refused(
    official: bytes, mirror: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror(lambda handler, n: send(handler, official))
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(WeightsError, match="the secure connection could not be established"):
        w.pull("mobilenetv3")
    assert cache_files() == []


@pytest.mark.few(1)
@pytest.mark.parametrize("gone", ["the file", "the cache", "the file is altered"])
def test_what_was_fetched_first_is_remembered_and_a_change_is_refused(
    gone: str, official: bytes, mirror: Answering, data: Path
) -> None:
    other = io.BytesIO()
    state = formula_network(data, "mobilenetv3", "deep_guided_filter").state_dict()
    torch.save({name: value * 1 for name, value in reversed(state.items())}, other)
    first = mirror(lambda handler, n: send(handler, official))
    path = w.pull("mobilenetv3")
    if gone == "the file":
        path.unlink()
    elif gone == "the cache":
        shutil.rmtree(w.cache_dir())
    else:
        path.write_bytes(official + b"\0")
    mirror(lambda handler, n: send(handler, other.getvalue()))
    with pytest.raises(WeightsError) as error:
        w.pull("mobilenetv3")
    assert f"expected {hashlib.sha256(official).hexdigest()}" in told(error)
    assert f"actual {hashlib.sha256(other.getvalue()).hexdigest()}" in told(error)
    assert "not what was fetched the first time" in told(error)
    seen = w.cache_dir().parent / "fetched.json"
    assert f"delete {seen}" in told(error)
    assert not path.exists() or path.read_bytes() == official + b"\0"
    assert len(first) == 1
    seen.unlink()
    assert w.pull("mobilenetv3").read_bytes() == other.getvalue()


@pytest.mark.parametrize("content", ["", "[]", "{", '{"rvm_mobilenetv3.pth": 3}', "\xff"])
def test_a_damaged_memory_is_begun_anew(content: str, official: bytes, mirror: Answering) -> None:
    mirror(lambda handler, n: send(handler, official))
    seen = w.cache_dir().parent / "fetched.json"
    seen.parent.mkdir(parents=True)
    seen.write_bytes(content.encode("latin-1"))
    w.pull("mobilenetv3")
    assert json.loads(seen.read_text()) == {"rvm_mobilenetv3.pth": hashlib.sha256(official).hexdigest()}


def test_what_the_authors_publish_a_digest_of_is_compared_with_it(
    official: bytes, mirror: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror(lambda handler, n: send(handler, official))
    monkeypatch.setitem(catalog.PINNED, "rvm_mobilenetv3.pth", "0" * 64)
    with pytest.raises(WeightsError, match="is not what its authors published") as error:
        w.pull("mobilenetv3")
    told(error)
    assert cache_files() == []
    monkeypatch.setitem(catalog.PINNED, "rvm_mobilenetv3.pth", hashlib.sha256(official).hexdigest())
    assert w.pull("mobilenetv3").read_bytes() == official


@pytest.mark.parametrize("name", catalog.PINNED)
def test_an_onnx_file_with_the_name_of_the_authors_is_theirs(name: str, tmp_path: Path) -> None:
    model = tmp_path / name
    model.write_bytes(b"\x08\x07\x12\x07pytorch" + bytes(99))
    with pytest.raises(WeightsError) as error:
        check_file(model)
    assert f"expected {catalog.PINNED[name]}" in told(error)
    assert "another name" in told(error)
    check_file(model.rename(tmp_path / "mine.onnx"))


# Verifying


def test_an_altered_file_is_refused_and_fetched_anew(official: bytes, mirror: Answering) -> None:
    asked = mirror(lambda handler, n: send(handler, official))
    path = w.pull("mobilenetv3")
    changed = bytearray(official)
    changed[len(changed) // 2] ^= 1
    path.write_bytes(changed)
    with pytest.raises(WeightsError) as error:
        w.load(w.resolve(EngineSettings()))
    assert f"expected {hashlib.sha256(official).hexdigest()}" in told(error)
    assert f"actual {hashlib.sha256(changed).hexdigest()}" in told(error)
    assert "rvm-live weights pull mobilenetv3" in told(error)
    assert [status.state for status in w.list_known()] == ["altered", "not fetched"]
    w.pull("mobilenetv3")
    assert len(asked) == 2
    assert w.verify("mobilenetv3").recorded


def test_a_damaged_record_is_told(official: bytes, mirror: Answering) -> None:
    mirror(lambda handler, n: send(handler, official))
    path = w.pull("mobilenetv3")
    for text in ("{", "[]", '{"sha256": 3}', '{"sha256": "abc"}'):
        path.with_name(path.name + ".json").write_text(text)
        with pytest.raises(WeightsError, match=r"record .* is damaged"):
            w.load(path)


def test_a_file_put_into_the_cache_by_hand_is_recorded_at_its_first_load(weights: Path) -> None:
    path = w.cache_dir() / "rvm_mobilenetv3.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(weights.read_bytes())
    assert w.list_known()[0].state == "no record"
    w.load(path)
    assert w.list_known()[0].state == "verified"
    path.write_bytes(weights.read_bytes() + b"\0")
    with pytest.raises(WeightsError, match="changed since"):
        w.load(path)


def test_leftovers_of_a_killed_download_are_removed_after_a_day(official: bytes, mirror: Answering) -> None:
    mirror(lambda handler, n: send(handler, official))
    w.cache_dir().mkdir(parents=True)
    old, new = w.cache_dir() / ".a.1.part", w.cache_dir() / ".a.2.part"
    old.write_text("x")
    new.write_text("x")
    os.utime(old, (0, 0))
    w.pull("mobilenetv3")
    assert not old.exists()
    assert new.exists()


def test_unknown_model() -> None:
    with pytest.raises(SettingsError, match="unknown model 'vgg'"):
        w.pull("vgg")


# The command


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(command, arguments)
    if result.exception is not None and not isinstance(result.exception, (SystemExit, RvmLiveError)):
        raise result.exception
    return result.exit_code, result.output + (str(result.exception) if result.exit_code else "")


def test_the_command_pulls_lists_verifies_and_finds(official: bytes, mirror: Answering) -> None:
    mirror(lambda handler, n: send(handler, official))
    code, text = run("list")
    assert code == 0
    assert text.count("not fetched") == 2
    assert "3,748,633" in text
    code, text = run("path")
    assert code != 0
    assert "weights pull" in text
    code, text = run("pull")
    assert code == 0
    assert hashlib.sha256(official).hexdigest() in text
    code, text = run("list")
    assert "verified" in text
    code, text = run("verify", "mobilenetv3")
    assert code == 0
    assert "matches the recorded one" in text
    code, text = run("path", "mobilenetv3")
    assert Path(text.strip()) == w.cache_dir() / "rvm_mobilenetv3.pth"
    code, text = run("verify", "resnet50")
    assert code != 0
    assert "weights pull resnet50" in text


@pytest.mark.slow
def test_the_command_knows_the_weights_that_runs_use(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.pth").write_bytes(weights.read_bytes())
    for named in (tmp_path / "mine.pth", tmp_path, "~/mine.pth"):
        monkeypatch.setenv("RVM_LIVE_WEIGHTS", str(named))
        code, text = run("list")
        assert code == 0
        assert "not fetched" not in text
        assert f"mobilenetv3: {tmp_path / 'mine.pth'}" in text
        assert run("path", "mobilenetv3")[1].strip() == str(tmp_path / "mine.pth")
        code, text = run("verify", "mobilenetv3")
        assert (code, str(tmp_path / "mine.pth") in text) == (0, True)
        code, text = run("verify", "resnet50")
        assert code != 0 or "mobilenetv3" in text
    for wrong, said in (("nothing.pth", "does not exist"), ("page.pth", "is an HTML page")):
        (tmp_path / "page.pth").write_text("<html>")
        monkeypatch.setenv("RVM_LIVE_WEIGHTS", str(tmp_path / wrong))
        code, text = run("list")
        assert code == 0
        assert said in text and "unusable" in text and "not fetched" not in text


def test_the_command_verifies_any_file(weights: Path, tmp_path: Path) -> None:
    code, text = run("verify", str(weights))
    assert code == 0
    assert "mobilenetv3, fast_guided_filter, 3,747,825 parameters" in text
    (tmp_path / "page.pth").write_text("<html>")
    code, text = run("verify", str(tmp_path / "page.pth"))
    assert code != 0
    assert "is an HTML page" in text
