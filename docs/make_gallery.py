"""Makes the gallery of docs/batch.md: records the program's demo, runs ``rvm-live batch`` on it and shows a frame of
each output.

RVM_LIVE_WEIGHTS=path/to/weights python docs/make_gallery.py
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from rvm_live.backgrounds.transparent import checkerboard  # noqa: E402
from rvm_live.cli import main as program  # noqa: E402
from rvm_live.core.settings import SourceSettings  # noqa: E402
from rvm_live.sources.demo.demo import DemoSource  # noqa: E402

IMAGE = ROOT / "docs" / "images" / "batch-gallery.jpg"
SECONDS, FRAME, TILE = 4, 70, (480, 270)
ASSETS = ROOT / "assets" / "backgrounds"


def call(*arguments: str | Path) -> None:
    """Run the program in this process."""
    try:
        program([str(each) for each in arguments])
    except SystemExit as leaving:
        assert not leaving.code, arguments


def frame(path: Path) -> NDArray[np.uint8]:
    """One picture of a file, uint8 BGR; or BGRA from a folder of PNGs."""
    if path.is_dir():
        return np.asarray(cv2.imread(str(path / f"{FRAME:06d}.png"), cv2.IMREAD_UNCHANGED))
    with av.open(str(path)) as file:
        for number, picture in enumerate(file.decode(video=0)):
            if number == FRAME:
                return np.asarray(picture.to_ndarray(format="bgr24"))
    raise ValueError(f"{path} has no frame {FRAME}")


def tile(picture: NDArray[np.uint8], words: str) -> NDArray[np.uint8]:
    """A labelled picture for the contact sheet."""
    if picture.shape[2] == 4:
        height, width = picture.shape[:2]
        alpha = picture[..., 3:].astype(np.float32) / 255
        picture = (alpha * picture[..., :3] + (1 - alpha) * checkerboard(width, height)).astype(np.uint8)
    small = cv2.resize(picture, TILE, interpolation=cv2.INTER_AREA)
    bar = np.full((26, TILE[0], 3), 245, np.uint8)
    cv2.putText(bar, words, (8, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (40, 40, 40), 1, cv2.LINE_AA)
    return np.vstack([small, bar])


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        clip = out / "demo.mp4"
        record(clip)
        studio = f"image:{ASSETS / 'studio.jpg'}"
        call("batch", clip, "-o", out / "a", "--background", studio, "--write", "composite,alpha,foreground",
             "--quality", "high", "--name-template", "{name}")  # fmt: skip
        call(
            "batch", clip, "-o", out / "b", "--background", "blur:25", "--quality", "high", "--name-template", "{name}"
        )
        call("batch", clip, "-o", out / "c", "--background", "transparent", "--container", "png", "--quality", "high",
             "--name-template", "{name}")  # fmt: skip
        tiles = [
            tile(frame(clip), "the input"),
            tile(frame(out / "a" / "demo.mp4"), "--background image:studio.jpg"),
            tile(frame(out / "b" / "demo.mp4"), "--background blur:25"),
            tile(frame(out / "a" / "demo_alpha.mp4"), "--write alpha"),
            tile(frame(out / "a" / "demo_foreground.mp4"), "--write foreground"),
            tile(frame(out / "c" / "demo"), "--background transparent --container png"),
        ]
    sheet = np.vstack([np.hstack(tiles[:3]), np.hstack(tiles[3:])])
    cv2.imwrite(str(IMAGE), sheet, [cv2.IMWRITE_JPEG_QUALITY, 88])


def record(clip: Path) -> None:
    """Write the demo to a file."""
    source = DemoSource(SourceSettings("demo", 1280, 720, 24.0, realtime=False))
    source.open()
    with av.open(str(clip), "w") as out:
        stream = out.add_stream("libx264", rate=24, options={"crf": "14"})
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        for _ in range(24 * SECONDS):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(source.read().image, format="bgr24")))
        out.mux(stream.encode())
    source.release()


if __name__ == "__main__":
    main()
