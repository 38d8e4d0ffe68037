"""What a batch run can write, decoded again; chunks; hardware that does not exist; and memory that runs out."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from rvm_live.apps.batch import codecs
from rvm_live.apps.batch.codecs import FITTING, recipe_for
from rvm_live.apps.batch.movie import encode_tiff
from rvm_live.apps.batch.out_of_memory import OutOfMemoryFallback
from rvm_live.apps.batch.settings import BatchSettings, chunk_for, parse_memory
from rvm_live.core.errors import NoMemoryError, SettingsError
from rvm_live.core.frames import Frame
from rvm_live.core.notices import Notices
from rvm_live.core.settings import EngineSettings
from rvm_live.media.encoder import Recipe
from rvm_live.media.exr import encode_exr, linear
from rvm_live.sources.video.hardware import open_decoding
from tests.conftest import ROOT
from tests.support.engines import HungryEngine
from tests.support.movies import inside, make_movie, named, pictures, since_start
from tests.support.program import call

HALF = ("--engine", "tests.support.engines:LeftHalfEngine", "--background", "color:#000000")

# Codecs


NAMED = {
    ("mp4", "h264"): ("avc1", "High", "yuv420p"),
    ("mp4", "hevc"): ("hvc1", "Main", "yuv420p"),
    ("mp4", "av1"): ("av01", "Main", "yuv420p"),
    ("mov", "prores"): ("ap4h", "4444", "yuv444p12le"),
    ("mov", "h264"): ("avc1", "High", "yuv420p"),
    ("mov", "hevc"): ("hvc1", "Main", "yuv420p"),
    ("mkv", "ffv1"): ("", None, "bgr0"),
    ("mkv", "h264"): ("", "High", "yuv420p"),
    ("mkv", "hevc"): ("", "Main", "yuv420p"),
    ("mkv", "av1"): ("", "Main", "yuv420p"),
    ("webm", "vp9"): ("", "Profile 0", "yuv420p"),
    ("webm", "av1"): ("", "Main", "yuv420p"),
}
"""What players look at to know a picture track: its tag where the container has one, profile and pixel format."""


@pytest.mark.few(1)
@pytest.mark.parametrize(("container", "codec"), [(c, n) for c, names in FITTING.items() for n in names])
def test_every_codec_in_every_container_it_fits(tmp_path: Path, container: str, codec: str) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=40, size=(128, 80))
    options = ("--container", container, "--codec", codec, "--segment", "1", "--background", "color:#2040c0")
    done = call("batch", *HALF, clip, "-o", tmp_path / "out", *options)
    assert done.code == 0, done.out + done.err
    assert named(tmp_path / "out" / f"output_clip.{container}") == NAMED[container, codec]
    ours, theirs = inside(tmp_path / "out" / f"output_clip.{container}"), inside(clip)
    assert ours.codec.removeprefix("lib").replace("dav1d", "av1") == codec
    assert [float(t) for t in ours.times] == pytest.approx(since_start(theirs), abs=6e-4)
    assert len(ours.sound) == 1
    source, made = pictures(clip, "bgr24"), pictures(tmp_path / "out" / f"output_clip.{container}", "bgr24")
    assert len(made) == 40
    for one, other in zip(source, made, strict=True):
        assert np.abs(one[:, :56].astype(int) - other[:, :56]).mean() < 4
        assert np.abs(other[:, 72:].astype(int) - (0xC0, 0x40, 0x20)).mean() < 4


@pytest.mark.parametrize(
    ("container", "right"),
    [
        ("mov", ("ap4h", "4444", "yuva444p12le")),
        ("mkv", ("", None, "bgra")),
        ("webm", ("", "Profile 0", "yuv420p")),  # alpha lies beside the picture
    ],
)
def test_a_cut_out_is_named_as_what_it_is(tmp_path: Path, container: str, right: tuple[str, str | None, str]) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=40, size=(128, 80))
    options = ("--container", container, "--segment", "1", "--background", "transparent")
    done = call("batch", *HALF, clip, "-o", tmp_path / "out", *options)
    assert done.code == 0, done.out + done.err
    assert named(tmp_path / "out" / f"output_clip.{container}") == right


def test_codecs_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=4)
    for options, said in (
        (("--container", "webm", "--codec", "h264"), "h264 cannot be stored in webm: choose from vp9, av1"),
        (("--container", "png", "--codec", "h264"), "the codec h264 cannot be stored in png"),
        (("--container", "mov", "--codec", "hevc", "--background", "transparent"), "HEVC cannot store alpha"),
        (("--seq-chunk", "0"), "between 1 and 64 frames"),
        (("--segment", "0.2"), "between 1 and 3600 s"),
        (("--memory-limit", "10 apples"), "write it like 10GB"),
    ):
        done = call("batch", *HALF, clip, "-o", tmp_path / "out", *options)
        assert (done.code, said in done.complaint) == (2, True), done.err


def test_tiffs_have_sixteen_bits_and_lose_nothing(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=3)
    options = ("--container", "tiff", "--background", "transparent", "--write", "composite,alpha")
    done = call("batch", *HALF, clip, "-o", tmp_path / "out", *options)
    assert done.code == 0, done.out
    assert sorted(p.name for p in (tmp_path / "out" / "output_clip_alpha").iterdir()) == [
        "000000.tif", "000001.tif", "000002.tif"
    ]  # fmt: skip
    picture = cv2.imread(str(tmp_path / "out" / "output_clip" / "000001.tif"), cv2.IMREAD_UNCHANGED)
    assert (picture.dtype, picture.shape) == (np.uint16, (64, 96, 4))
    assert set(np.unique(picture[..., 3])) == {0, 65535}
    source = pictures(clip, "bgr24")[1]
    assert np.array_equal(picture[:, :48, :3], source[:, :48].astype(np.uint16) * 257)
    alpha = cv2.imread(str(tmp_path / "out" / "output_clip_alpha" / "000001.tif"), cv2.IMREAD_UNCHANGED)
    assert (alpha.dtype, alpha.shape) == (np.uint16, (64, 96))


def test_a_tiff_keeps_values_between_those_of_eight_bits() -> None:
    values = np.arange(0, 65536, 13, np.uint16)[:4096].reshape(64, 64)
    read = cv2.imdecode(np.frombuffer(encode_tiff(values), np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(read, values)


def read_exr(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    library = pytest.importorskip("OpenEXR")
    with library.File(str(path)) as file:
        return dict(file.header()), {name: np.array(each.pixels) for name, each in file.channels().items()}


@pytest.mark.parametrize("straight", [False, True])
def test_exr_is_linear_light_in_half_floats(tmp_path: Path, straight: bool) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=3)
    options = ["--container", "exr", "--background", "transparent", "--write", "composite,alpha"]
    options += ["--foreground", "source", *["--straight"] * straight]
    done = call("batch", *HALF, clip, "-o", tmp_path / "out", *options)
    assert done.code == 0, done.out
    folder = tmp_path / "out" / "output_clip"
    assert sorted(path.name for path in folder.iterdir()) == [f"output_clip.{n:06d}.exr" for n in range(3)]
    header, channels = read_exr(folder / "output_clip.000001.exr")
    assert header["alphaPremultiplied"] == ("false" if straight else "true")
    assert header["chromaticities"][:2] == pytest.approx((0.64, 0.33))
    pixels = channels["RGBA"]
    assert (pixels.dtype, pixels.shape) == (np.float16, (64, 96, 4))
    source = pictures(clip, "bgr24")[1][:, :48, ::-1]
    assert np.array_equal(pixels[:, :48, :3], linear()[source].astype(np.float16)), "each value has its own half float"
    assert not pixels[:, 48:].any()
    _, alone = read_exr(tmp_path / "out" / "output_clip_alpha" / "output_clip_alpha.000001.exr")
    assert np.array_equal(alone["A"], pixels[..., 3])
    again = call("batch", *HALF, clip, "-o", tmp_path / "out", *options, "--force")
    assert again.code == 0, "a folder of its own may be made anew"


def test_every_value_of_a_ramp_survives_an_exr() -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (2, 1))
    colours = np.dstack([ramp, ramp[:, ::-1], np.roll(ramp, 77), ramp])
    for straight in (True, False):
        made = encode_exr(np.ascontiguousarray(colours), straight=straight)
        pixels = _read_bytes(made)["RGBA"].astype(np.float64)
        alpha = np.round(pixels[..., 3] * 255)
        assert np.array_equal(alpha, ramp), "alpha is no light"
        light = pixels[..., :3] if straight else pixels[..., :3] / np.maximum(pixels[..., 3:], 1e-9)
        found = np.abs(linear()[None, None, None, :].astype(np.float64) - light[..., None]).argmin(-1)
        off = np.abs(found - colours[..., 2::-1].astype(int))[:, 3 if straight else 16 :]
        assert off.max() <= (0 if straight else 1)


def _read_bytes(made: bytes) -> dict[str, np.ndarray]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.exr"
        path.write_bytes(made)
        return read_exr(path)[1]


def test_exr_says_what_it_needs_and_straight_is_for_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=2)
    done = call("batch", *HALF, clip, "-o", tmp_path / "out", "--straight")
    assert (done.code, "--straight is only for EXR" in done.complaint) == (2, True)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    done = call("batch", *HALF, clip, "-o", tmp_path / "out", "--container", "exr")
    assert (done.code, "EXR needs the package OpenEXR" in done.complaint) == (2, True)


def test_a_folder_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=3)
    folder = tmp_path / "out" / "output_clip"
    folder.mkdir(parents=True)
    (folder / "diary.txt").write_text("dear")
    done = call("batch", *HALF, clip, "-o", tmp_path / "out", "--container", "png")
    assert done.code == 1
    assert "contains other files than numbered pictures" in done.out
    assert (folder / "diary.txt").read_text() == "dear"


# Hardware


def test_hardware_is_tried_told_and_done_without(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=10, size=(256, 192))
    done = call("batch", *HALF, clip, "-o", tmp_path / "out", "--hwaccel", "auto")
    assert done.code == 0, done.out
    log = (tmp_path / "out" / "log_output_clip.txt").read_text()
    (decoder,) = (line for line in log.splitlines() if line.startswith("  decoder"))
    (encoder,) = (line for line in log.splitlines() if line.startswith("  encoder"))
    assert "h264, " in decoder
    if "software" in decoder:  # each decoder that was tried gives its reason
        assert "(" in decoder
    assert encoder.split()[1].startswith(("libx264", "h264_"))
    if "libx264" in encoder:
        assert "h264_nvenc: " in encoder
    assert inside(tmp_path / "out" / "output_clip.mp4").times == inside(clip).times


def test_without_hardware_a_file_is_still_read_from_its_beginning(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=5)
    container, kind, reason = open_decoding(str(clip))
    with container:
        assert len(list(container.decode(video=0))) == 5
    assert kind == "software" or not reason


def test_software_is_the_rule() -> None:
    recipe, told = recipe_for("mp4", "auto")
    assert (recipe.codec, told) == ("libx264", [])


CLEAR_HEVC = ("--container", "mov", "--codec", "hevc", "--background", "transparent")


def test_hevc_with_alpha_is_refused_in_one_line_where_nothing_encodes_it(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=2)
    done = call("batch", clip, "-o", tmp_path / "out", *HALF[:2], *CLEAR_HEVC)
    if done.code == 0:
        pytest.skip("it is encoded here")
    assert done.code == 2
    assert len(done.err.strip().splitlines()) == 1
    assert "HEVC cannot store alpha here (hevc_videotoolbox: not in this build of FFmpeg; libx265: " in done.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("works", "form", "more"),
    [("hevc_videotoolbox", "bgra", {"alpha_quality": "1.0"}), ("libx265", "yuva420p", {})],
)
def test_the_first_encoder_of_hevc_with_alpha_that_works_is_taken(
    monkeypatch: pytest.MonkeyPatch, works: str, form: str, more: dict[str, str]
) -> None:
    tried: list[tuple[str, str, bool]] = []

    def why_not(codec: str, form: str, options: object, size: object, *, clear: bool = False) -> str | None:
        tried.append((codec, form, clear))
        return None if codec == works else "not here"

    monkeypatch.setattr(codecs, "why_not", why_not)
    recipe, told = recipe_for("mov", "hevc", clear=True)
    assert (recipe.codec, recipe.clear, recipe.tag, recipe.muxer, told) == (works, form, "hvc1", "mov", [])
    assert recipe.clear_options == more
    assert tried[-1] == (works, form, True)
    assert recipe_for("mov", "hevc")[0].codec == "libx265"  # without alpha nothing changes
    assert recipe_for("mkv", "hevc", clear=True)[0].clear is None


def test_what_takes_alpha_encodes_the_cut_out_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Use an encoder that drops alpha instead of one that keeps it: the code path is that of the real ones.
    options = {"x265-params": "log-level=error"}
    other = Recipe("", "libx265", "yuv420p", "gbrp", even=True, options=options, converts=True)
    monkeypatch.setattr(codecs, "_HEVC_WITH_ALPHA", (other,))
    clip = make_movie(tmp_path / "clip.mp4", frames=5)
    done = call("batch", clip, "-o", tmp_path / "out", *HALF[:2], *CLEAR_HEVC, "--write", "composite,alpha")
    assert done.code == 0, done.out + done.err
    for name in ("output_clip.mov", "output_clip_alpha.mov"):
        assert named(tmp_path / "out" / name)[0] == "hvc1"
        assert inside(tmp_path / "out" / name).times == inside(clip).times
    with av.open(str(tmp_path / "out" / "output_clip.mov")) as file:
        plane = next(file.decode(video=0)).planes[0]
    green = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
    assert green[:, 48:52].mean() > 30, "the person's colours are not carried beyond the edge"
    assert green[:, 90:96].mean() < 5


# Chunks


def test_chunks_by_size() -> None:
    assert chunk_for(None, 1920, 1080) == 8
    assert chunk_for(None, 3840, 2160) == 6
    assert chunk_for(3, 3840, 2160) == 3


@pytest.mark.slow
def test_chunked_files_are_those_of_single_frames(weights: Path, tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=21, size=(160, 96), sound=())
    made = {}
    for chunk in ("1", "8"):
        options = ("--engine", "rvm", "--device", "cpu", "--weights", weights, "--quality", "ultra", "--write", "alpha")
        done = call(
            "batch", clip, "-o", tmp_path / chunk, *options, "--container", "mkv", "--seq-chunk", chunk
        )  # fmt: skip
        assert done.code == 0, done.out
        assert f"  chunk            {chunk}\n" in (tmp_path / chunk / "log_ultra_output_clip.txt").read_text()
        made[chunk] = pictures(tmp_path / chunk / "ultra_output_clip_alpha.mkv", "gray")
    assert len(made["1"]) == len(made["8"]) == 21
    for one, other in zip(made["1"], made["8"], strict=True):
        assert np.abs(one.astype(int) - other).max() <= 1


# Memory


def test_memory_in_words() -> None:
    assert parse_memory("10GB") == 10_000_000_000
    assert parse_memory("512 MiB") == 512 * 2**20
    assert parse_memory("1.5g") == 1_500_000_000
    for text in ("10", "GB", "-1GB", "1MB", ""):
        with pytest.raises(SettingsError):
            parse_memory(text)
    with pytest.raises(SettingsError):
        BatchSettings(("a",), Path("b"), workers=0)


def test_out_of_memory_means_fewer_frames_then_a_smaller_ratio_then_the_cpu() -> None:
    told = Notices()
    engine = OutOfMemoryFallback(HungryEngine, EngineSettings(downsample_ratio=1.0, device="cuda"), 8, told)
    engine.open()
    engine.prepare(1280, 720)
    frames = [Frame(np.zeros((72, 128, 3), np.uint8), number, 0, 0) for number in range(9)]
    engine.prepare(1280, 720)
    mattes = engine.matte_chunk([Frame(np.zeros((720, 1280, 3), np.uint8), n, 0, 0) for n in range(9)])
    assert [matte.frame.seq for matte in mattes] == list(range(9))
    said = [note.rpartition(": continuing ")[2] for note in told.fallbacks]
    assert said == ["with 4 frames at once", "with 2 frames at once", "with 1 frames at once", "at ratio 0.5",
                    "at ratio 0.25"]  # fmt: skip
    assert engine.info.downsample_ratio == 0.25
    assert engine.chunk == 1
    assert engine.states() == [np.array([9], np.float32)], "no frame was counted twice, none was lost"

    told = Notices()
    engine = OutOfMemoryFallback(HungryEngine, EngineSettings(downsample_ratio=1.0, device="cuda"), 1, told)
    engine.open()
    engine.prepare(128, 72)  # too small for a smaller ratio
    assert len(engine.matte_chunk(frames)) == 9
    assert [note.rpartition(": continuing ")[2] for note in told.fallbacks] == ["on the CPU"]
    assert engine.info.device == "cpu"
    assert engine.info.downsample_ratio == 1.0


def test_where_nothing_less_is_left_the_error_is_told(tmp_path: Path) -> None:
    class Starving(HungryEngine):
        def matte_chunk(self, frames):  # type: ignore[no-untyped-def]
            raise NoMemoryError("out of memory")

    engine = OutOfMemoryFallback(Starving, EngineSettings(downsample_ratio=1.0, device="cpu"), 2, Notices())
    engine.open()
    engine.prepare(128, 72)
    with pytest.raises(NoMemoryError):
        engine.matte(Frame(np.zeros((72, 128, 3), np.uint8), 0, 0, 0))


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
@pytest.mark.slow
def test_memory_that_really_runs_out(weights: Path, tmp_path: Path) -> None:
    """The process may use only so much memory: torch's own allocator refuses, and the run continues with less."""
    clip = make_movie(tmp_path / "clip.mp4", frames=10, size=(1920, 1080), sound=())
    code = (
        "import resource, sys\n"
        "import torch, cv2, av, numpy, scipy\n"
        "from rvm_live.engines.rvm.torch import engine\n"
        "torch.set_num_threads(1)\n"
        "own = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "from rvm_live.cli import main\n"
        "resource.setrlimit(resource.RLIMIT_AS, (own + int(sys.argv[1]), -1))\n"
        "main(sys.argv[2:])\n"
    )
    arguments = ["batch", str(clip), "-o", str(tmp_path / "out"), "--engine", "rvm", "--device", "cpu", "--weights",
                 str(weights), "--quality", "high", "--write", "alpha", "--container", "mp4",
                 "--seq-chunk", "8"]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code, str(1_700_000_000), *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "MALLOC_ARENA_MAX": "1"},
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "out of memory on cpu" in done.stdout
    assert "frames at once" in done.stdout
    assert len(inside(tmp_path / "out" / "hq_output_clip_alpha.mp4").times) == 10


def test_a_memory_limit_without_a_gpu_says_that_it_does_nothing(tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=3)
    done = call("batch", *HALF, clip, "-o", tmp_path / "out", "--memory-limit", "2GB", "--device", "cpu")
    assert done.code == 0
    assert "--memory-limit is for GPU memory: on cpu it has no effect" in done.err


@pytest.mark.gpu
def test_on_a_gpu_chunks_and_a_memory_limit(weights: Path, tmp_path: Path) -> None:
    clip = make_movie(tmp_path / "clip.mp4", frames=20, size=(1920, 1080), sound=())
    options = ("--engine", "rvm", "--device", "cuda", "--weights", weights, "--quality", "high", "--write", "alpha")
    made = {}
    for name, more in (("1", ()), ("8", ()), ("capped", ("--memory-limit", "900MB"))):
        chunk = "1" if name == "1" else "8"
        done = call(
            "batch", clip, "-o", tmp_path / name, *options, "--container", "mkv", "--seq-chunk", chunk, *more
        )  # fmt: skip
        assert done.code == 0, done.out
        made[name] = pictures(tmp_path / name / "hq_output_clip_alpha.mkv", "gray")
    for name in ("8", "capped"):
        for one, other in zip(made["1"], made[name], strict=True):
            assert np.abs(one.astype(int) - other).mean() <= 0.05
    done = call("stress", "--minutes", "0.1", "--configs", "rvm/mobilenetv3/fp16/720p/1,rvm/mobilenetv3/fp16/720p/4x2",
                "-o", tmp_path / "stress")  # fmt: skip
    assert done.code == 0, done.out + done.err
