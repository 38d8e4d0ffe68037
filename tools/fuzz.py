"""Feeds the program damaged files and options. Whatever is wrong with them, only one-line errors may come out.

    python -m tools.fuzz weights|picture|video|background|settings [--seconds N] [--corpus FOLDER]

The only exception allowed is :class:`~rvm_live.core.errors.RvmLiveError`. Inputs are guided by the lines of code that
they reach. This needs atheris (https://github.com/google/atheris), which has wheels for Linux on x86-64. Failures are
saved in the corpus as ``crash-…``, ``timeout-…`` or ``oom-…``, and the exit code is then not 0.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

__all__ = ["TARGETS", "main", "run"]

TARGETS = ("weights", "picture", "video", "background", "settings")
_LONGEST_MESSAGE = 500
_INPUT_S = 20
_MOST_MIB = 4096
_SPECS = (
    "transparent",
    "blur:25",
    "color:#0f8",
    "colour:navy",
    "image:room.png?fit=contain",
    "video:film.mp4?fit=stretch",
    "room.png",
    ".",
    "~/room.png",
    "~nobody",
)


def main() -> int:
    parser = argparse.ArgumentParser(description="Feed the program damaged files; only its own errors may come out.")
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path, help="folder that keeps what was learned, and what was found")
    chosen = parser.parse_args()
    try:
        import atheris  # noqa: F401
    except ImportError:
        print("fuzzing needs atheris: pip install atheris (Linux on x86-64, Python 3.11 or newer)", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as scratch:
        corpus = (chosen.corpus or Path(scratch, "corpus")).resolve()
        corpus.mkdir(parents=True, exist_ok=True)
        for index, seed in enumerate(_seeds(chosen.target)):
            (corpus / f"seed-{index}").write_bytes(seed)
        options = [
            f"-max_total_time={chosen.seconds}",
            f"-artifact_prefix={corpus}/",
            f"-timeout={_INPUT_S}",
            f"-rss_limit_mb={_MOST_MIB}",
            "-max_len=65536",
            "-detect_leaks=0",
            "-print_final_stats=1",
        ]
        # In a process of its own: libFuzzer exits without cleaning up.
        code = f"from tools.fuzz import run; run({chosen.target!r}, {[*options, str(corpus)]!r}, {scratch!r})"
        return subprocess.run([sys.executable, "-c", code]).returncode


def run(target: str, options: list[str], scratch: str) -> None:
    """Fuzz one target; does not return.

    Args:
        target: one of :data:`TARGETS`.
        options: libFuzzer's options, and the folder of the corpus.
        scratch: folder for the files that the program opens.
    """
    import logging

    import atheris
    import cv2

    # FFmpeg is silent by default; setting this through PyAV would make decoding threads wait for the interpreter's
    # lock.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    logging.disable()
    makers = {
        "weights": _weights,
        "picture": _picture,
        "video": _video,
        "background": _background,
        "settings": _settings,
    }
    with atheris.instrument_imports(include=["rvm_live"]):
        once = makers[target](Path(scratch))
        from rvm_live.core.errors import RvmLiveError

    def one(data: bytes) -> None:
        try:
            once(data)
        except RvmLiveError as error:
            message = str(error)
            own = target in ("background", "settings")  # they repeat the user's words, however long
            if not own and ("\n" in message or len(message) > _LONGEST_MESSAGE):
                raise AssertionError(f"not one short line: {message!r}") from error

    atheris.Setup([f"fuzz-{target}", *options], one)
    atheris.Fuzz()


def _weights(scratch: Path) -> Callable[[bytes], None]:
    from rvm_live.weights import checkpoint, files, pickled

    def once(data: bytes) -> None:
        if data[:1] == b"\x80":
            with suppress(pickled.ForeignCode, pickled.Malformed):
                pickled.read_pickle(data)
        with suppress(checkpoint.Unfit):
            for entry in checkpoint.inspect(data).values():
                entry.read()
        files.read(Path("x.pth"), data)

    return once


def _picture(scratch: Path) -> Callable[[bytes], None]:
    from rvm_live.backgrounds.image import ImageBackground
    from rvm_live.core.errors import BackgroundError
    from rvm_live.core.settings import SourceSettings
    from rvm_live.sources.image import ImageSource

    path = scratch / "x.png"

    def once(data: bytes) -> None:
        path.write_bytes(data)
        background = ImageBackground(path)
        with suppress(BackgroundError):
            background.open()
            background.layer(32, 16, 0)
        ImageSource(SourceSettings(source=str(path))).open()

    return once


def _video(scratch: Path) -> Callable[[bytes], None]:
    from rvm_live.apps.batch.media import count_frames, facts_of
    from rvm_live.backgrounds.video import VideoBackground
    from rvm_live.core.errors import BackgroundError, EndOfSource, SourceUnavailableError
    from rvm_live.core.settings import SourceSettings
    from rvm_live.sources.video.video import VideoFileSource

    path = scratch / "x.mp4"

    def once(data: bytes) -> None:
        path.write_bytes(data)
        for look in (facts_of, count_frames):
            with suppress(SourceUnavailableError):
                look(path)
        background = VideoBackground(path)
        with suppress(BackgroundError):
            background.check()
            background.open()
        source = VideoFileSource(SourceSettings(source=str(path), realtime=False))
        try:
            source.open()
            with suppress(EndOfSource):
                for _ in range(5):
                    source.read()
        finally:
            source.release()

    return once


def _background(scratch: Path) -> Callable[[bytes], None]:
    import os

    from rvm_live.backgrounds.parse import parse

    (scratch / "room.png").write_bytes(_pictures()[0])
    (scratch / "film.mp4").write_bytes(_films()[0])
    os.chdir(scratch)

    def once(data: bytes) -> None:
        parse(data[:200].decode("utf-8", "surrogateescape"))  # as the arguments of a command line are decoded

    return once


def _settings(scratch: Path) -> Callable[[bytes], None]:
    import atheris

    from rvm_live.core.colors import parse_color
    from rvm_live.core.settings import EngineSettings, SourceSettings, parse_ratio

    def once(data: bytes) -> None:
        told = atheris.FuzzedDataProvider(data)
        kind = told.ConsumeIntInRange(0, 3)
        if kind == 0:
            parse_ratio(told.ConsumeUnicode(40))
        elif kind == 1:
            parse_color(told.ConsumeUnicode(40))
        elif kind == 2:
            EngineSettings(
                engine=told.ConsumeUnicode(9),
                device=told.ConsumeUnicode(9),
                precision=told.ConsumeUnicode(4),
                downsample_ratio=told.ConsumeFloat(),
            )
        else:
            SourceSettings(
                source=told.ConsumeUnicode(9),
                width=told.ConsumeInt(8),
                height=told.ConsumeInt(8),
                fps=told.ConsumeFloat(),
                fourcc=told.ConsumeUnicode(4),
            )

    return once


# Seed inputs


def _seeds(target: str) -> list[bytes]:
    if target == "weights":
        return _checkpoints()
    if target == "picture":
        return _pictures()
    if target == "video":
        return _films()
    if target == "background":
        return [spec.encode() for spec in _SPECS]
    return [bytes([kind]) * 30 for kind in range(4)]


def _checkpoints() -> list[bytes]:
    import zipfile

    import torch
    from safetensors.torch import save

    values = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.nn.Parameter(torch.zeros(2)).half()}
    seeds = [save(values)]
    for content, protocol in ((torch.nn.BatchNorm2d(2).state_dict(), 2), (values, 4), ([1, (2.0, None)], 2)):
        buffer = io.BytesIO()
        torch.save(content, buffer, pickle_protocol=protocol)
        with zipfile.ZipFile(buffer) as archive:
            seeds += [buffer.getvalue(), archive.read("archive/data.pkl")]
    return seeds


def _pictures() -> list[bytes]:
    import cv2
    import numpy as np

    picture = np.full((64, 96, 3), 90, np.uint8)
    suffixes = (".png", ".jpg", ".webp", ".gif", ".bmp", ".tif", ".jp2", ".ppm", ".avif")
    return [cv2.imencode(suffix, picture)[1].tobytes() for suffix in suffixes]


def _films() -> list[bytes]:
    import av
    import numpy as np

    films = []
    for container, codec, form in (
        ("mp4", "libx264", "yuv420p"),
        ("mkv", "mpeg4", "yuv420p"),
        ("avi", "mjpeg", "yuvj420p"),
        ("webm", "libvpx", "yuv420p"),
        ("gif", "gif", "rgb8"),
        ("mpegts", "mpeg2video", "yuv420p"),
    ):
        buffer = io.BytesIO()
        with av.open(buffer, "w", format="matroska" if container == "mkv" else container) as file:
            stream = file.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 32, 32, form
            sound = None
            if container in ("mp4", "mkv"):
                sound = file.add_stream("aac" if container == "mp4" else "pcm_s16le", rate=8000, layout="mono")
            for level in range(4):
                frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 50 * level, np.uint8), format="bgr24")
                file.mux(stream.encode(frame.reformat(format=form)))
            file.mux(stream.encode(None))
            if sound is not None:
                silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.int16), format="s16", layout="mono")
                silence.sample_rate = 8000
                file.mux([*sound.encode(silence), *sound.encode(None)])
        films.append(buffer.getvalue())
    return films


if __name__ == "__main__":
    sys.exit(main())
