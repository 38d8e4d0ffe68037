"""One table of file name suffixes: what counts as a picture or a film does so everywhere."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from rvm_live.apps.batch.inputs import find
from rvm_live.backgrounds.base import Plate
from rvm_live.backgrounds.parse import in_folder, parse_one
from rvm_live.core.settings import SourceSettings
from rvm_live.media.suffixes import CONTAINERS, FILMS, MUXERS, PICTURES, RAW_PICTURES
from rvm_live.sinks.recording.video_file import SUFFIXES as RECORDED
from rvm_live.sources.factory import open_source
from tests.conftest import ROOT

GREEN = np.full((48, 64, 3), (0, 200, 0), np.uint8)
KINDS = {".wmv": ("asf", "wmv2"), ".mpeg": ("mpeg", "mpeg2video"), ".flv": ("flv", "flv1"), ".tga": ("image2", "targa")}


def film(path: Path) -> Path:
    muxer, codec = KINDS[path.suffix]
    with av.open(str(path), "w", format=muxer, options={"update": "1"} if muxer == "image2" else {}) as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = GREEN.shape[:2]
        stream.pix_fmt = "bgr24" if codec == "targa" else "yuv420p"
        for _ in range(1 if codec == "targa" else 3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(GREEN, format="bgr24")))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("suffix", KINDS)
def test_a_film_is_a_source_and_a_background(tmp_path: Path, suffix: str) -> None:
    path = film(tmp_path / f"clip{suffix}")
    source = open_source(SourceSettings(str(path), realtime=False))
    try:
        info = source.open()
        assert (info.width, info.height) == (64, 48)
        assert np.abs(source.read().image.astype(int) - GREEN).mean() < 12
    finally:
        source.release()
    background = parse_one(str(path))
    assert [each.label for each in in_folder(tmp_path)] == [background.label]
    background.exact = True
    background.open()
    try:
        layer = background.layer(64, 48, 0)
        assert isinstance(layer, Plate) and np.abs(layer.image.astype(int) - GREEN).mean() < 12
    finally:
        background.close()


def test_every_suffix_is_taken_out_of_a_folder_by_all(tmp_path: Path) -> None:
    """Except single pictures, of which a batch run takes numbered ones."""
    for suffix in sorted(PICTURES | RAW_PICTURES | FILMS):
        (tmp_path / f"{suffix[1:]}{suffix.upper()}").write_bytes(b"-")
    shown = {background.path.suffix.lower() for background in in_folder(tmp_path)}
    assert shown == PICTURES | RAW_PICTURES | FILMS
    # ``3gp.3GP`` and ``jp2.JP2`` are no numbered pictures: their names end in letters, or are the only ones of a kind.

    assert {path.suffix.lower() for path in find([str(tmp_path)])} == FILMS


def test_what_is_written_can_be_read_again() -> None:
    assert set(CONTAINERS) <= PICTURES | RAW_PICTURES | FILMS
    assert set(RECORDED) == {f".{name}" for name in MUXERS}
    assert not PICTURES & FILMS and not RAW_PICTURES & (PICTURES | FILMS)


def test_nobody_has_a_table_of_their_own() -> None:
    """A set or tuple of suffixes elsewhere would soon differ."""
    texts = {path: path.read_text() for path in (ROOT / "rvm_live").rglob("*.py") if path.name != "suffixes.py"}
    assert [str(path) for path, text in texts.items() if '".jpg"' in text or '".avi"' in text] == []
