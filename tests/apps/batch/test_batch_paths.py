"""Where batch runs read and write: only the files that were named, and nothing outside of ``-o``."""

from __future__ import annotations

import ast
import os
import shutil
import socket
import string
import subprocess
import sys
import tempfile
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rvm_live.apps.batch.inputs import find, jobs, names_of
from rvm_live.apps.batch.media import facts_of
from rvm_live.apps.batch.settings import BatchSettings
from rvm_live.backgrounds.video import VideoBackground
from rvm_live.core.errors import BackgroundError, SettingsError, SourceUnavailableError
from rvm_live.core.settings import SourceSettings
from rvm_live.media.ffmpeg import open_file
from rvm_live.sources.video.video import VideoFileSource
from tests.conftest import ROOT
from tests.support.mirror import serving
from tests.support.movies import inside, make_movie, names
from tests.support.program import Outcome, call

HALF = ("--engine", "tests.support.engines:LeftHalfEngine", "--background", "color:#000000")
ODD_NAMES = [
    "concat:a|b.mp4", "http:a.mp4", "pipe:0", "subfile,,start,0,end,9,,:a.mp4", "data:x.mp4", "file:a.mp4",
    "crypto:a.mp4", "a\nb.mp4", "-o.mp4", "--help", "%03d.mp4", "%d.gif.mp4", "{name}.mp4", "{0.__class__}.mp4",
    "*.mp4", "[a].mp4", "a?b.mp4", "...mp4", "~.mp4", "$(touch x).mp4", ";touch x.mp4", "|touch x.mp4",
    "`touch x`.mp4", "a b.mp4", " .mp4", "\\.mp4", "'\".mp4", "\u00e9\u202e\U0001f600.mp4", "e\u0301.mp4",
    "x" * 251 + ".mp4", "\U0001f600" * 62 + ".mp4", ".hidden.mp4", "con.mp4", "a.m3u8", "none", "\x1b[31m.mp4",
    "a:b:c.mp4", "[red].mp4",
]  # fmt: skip


def work(*arguments: str | Path) -> Outcome:
    return call("batch", *HALF, *arguments)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two frames."""
    return make_movie(tmp_path_factory.mktemp("clip") / "clip.mp4", frames=2, sound=())


@contextmanager
def within(folder: Path) -> Iterator[None]:
    """``contextlib.chdir``, which Python 3.10 does not have."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def tree(folder: Path) -> dict[str, tuple[int, str | bytes]]:
    """Every name below a folder, with its kind and content."""
    found: dict[str, tuple[int, str | bytes]] = {}
    for place, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(place) / name
            about = path.lstat()
            holds: str | bytes = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else ""
            found[str(path.relative_to(folder))] = (about.st_mode, holds)
    return found


# What is taken for an input


def test_links_are_followed_to_files_and_never_in_circles(tmp_path: Path, clip: Path) -> None:
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    shutil.copy(clip, tmp_path / "elsewhere.mp4")
    (folder / "link.mp4").symlink_to(tmp_path / "elsewhere.mp4")
    (folder / "again.mp4").symlink_to(tmp_path / "elsewhere.mp4")
    (folder / "deep" / "up").symlink_to(folder)
    (folder / "self.mp4").symlink_to("self.mp4")
    (folder / "dangling.mp4").symlink_to("nowhere.mp4")
    assert [path.name for path in find([str(folder)])] == ["again.mp4"], "one file, by two names"
    assert find([str(folder / "link.mp4"), str(tmp_path / "elsewhere.mp4")]) == [folder / "link.mp4"]
    for name, said in (("dangling.mp4", "a link to a file that does not exist"), ("self.mp4", "does not exist")):
        with pytest.raises(SettingsError, match=said):
            find([str(folder / name)])


@pytest.fixture
def special(tmp_path: Path) -> Iterator[dict[str, Path]]:
    """Files that never end, or that block whoever opens them, named like videos."""
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "device.mp4").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listener, within(tmp_path):
        listener.bind("socket.mp4")
        yield {"pipe": tmp_path / "pipe.mp4", "device": tmp_path / "device.mp4", "socket": tmp_path / "socket.mp4"}


@pytest.mark.parametrize("kind", ["pipe", "device", "socket", "/dev/zero", "/dev/null"])
def test_what_has_no_end_is_no_input(kind: str, special: dict[str, Path], tmp_path: Path) -> None:
    began = time.monotonic()
    done = work(special.get(kind, Path(kind)), "-o", tmp_path / "out")
    assert done.code == 2
    assert "is a device, a pipe or a socket" in done.complaint
    assert time.monotonic() - began < 5
    assert not (tmp_path / "out").exists()


def test_what_has_no_end_is_passed_over_in_folders(special: dict[str, Path], tmp_path: Path, clip: Path) -> None:
    shutil.copy(clip, tmp_path / "clip.mp4")
    assert find([str(tmp_path)]) == find([str(tmp_path / "*.mp4")]) == [tmp_path / "clip.mp4"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no modes")
def test_a_folder_that_cannot_be_read_is_told(clip: Path, request: pytest.FixtureRequest) -> None:
    """Root may read everything, so another user's process looks."""
    place = Path(tempfile.mkdtemp())  # other users cannot enter pytest's folders
    request.addfinalizer(lambda: shutil.rmtree(place))
    place.chmod(0o755)
    (place / "in" / "locked").mkdir(parents=True)
    shutil.copy(clip, place / "in" / "clip.mp4")
    (place / "in" / "locked").chmod(0)
    request.addfinalizer(lambda: (place / "in" / "locked").chmod(0o755))
    code = (
        "import os, sys\n"
        "from rvm_live.apps.batch.inputs import find\n"
        "from rvm_live.core.errors import SettingsError\n"
        "if os.getuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: print(find(sys.argv[1:]))\n"
        "except SettingsError as error: print(error)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    for named in (place / "in", place / "in" / "locked", place / "in" / "locked" / "clip.mp4"):
        done = subprocess.run(
            [sys.executable, "-c", code, str(named)], env=environment, capture_output=True, encoding="utf-8", timeout=60
        )
        (told,) = done.stdout.splitlines()
        assert "Permission denied" in told, done
        assert "locked" in told


def test_dots_lead_where_they_lead(tmp_path: Path, clip: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    shutil.copy(clip, tmp_path / "clip.mp4")
    with within(tmp_path / "a" / "b"):
        done = work("../../clip.mp4", "../../a/../clip.mp4", "-o", "../out")
        assert done.code == 0, done
    assert names(tmp_path / "a" / "out") == [
        "log_output_clip.txt",
        "output_clip.mp4",
    ]


@pytest.mark.parametrize("text", ["", "x" * 5000, "d/" * 3000, "~nobody-of-that-name/x", "a\0b"])
def test_what_can_be_no_name_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        find([text])


# What an earlier run has made


@pytest.mark.few(1)
@pytest.mark.parametrize("out", ["out", "deep/out", "."])
def test_a_second_run_does_not_take_what_the_first_has_made(out: str, tmp_path: Path, clip: Path) -> None:
    (tmp_path / "in").mkdir()
    shutil.copy(clip, tmp_path / "in" / "clip.mp4")
    arguments = ("-o", tmp_path / "in" / out, "--write", "composite,alpha,foreground")
    trees = []
    for named in (tmp_path / "in", tmp_path / "in", tmp_path / "in" / "**" / "*.mp4"):
        for how, said in (
            ((), "0 done, 1 kept (--force overwrites it)" if trees else "1 done"),
            (("--force",), "1 done"),
        ):
            done = work(named, *arguments, *how)
            assert (done.code, done.out.splitlines()[-1]) == (0, said), done
            trees.append(sorted(tree(tmp_path / "in")))
    assert all(each == trees[0] for each in trees)
    made = [each for each in find([str(tmp_path / "in" / out / "output_clip.mp4")], tmp_path / "in" / out)]
    assert len(made) == 1, "who names it gets it"


def test_a_link_to_an_output_is_none_of_the_inputs(tmp_path: Path, clip: Path) -> None:
    (tmp_path / "in").mkdir()
    shutil.copy(clip, tmp_path / "in" / "clip.mp4")
    assert work(tmp_path / "in", "-o", tmp_path / "out").code == 0
    (tmp_path / "in" / "made.mp4").symlink_to(tmp_path / "out" / "output_clip.mp4")
    assert [path.name for path in find([str(tmp_path / "in")], tmp_path / "out")] == ["clip.mp4"]


def test_no_output_replaces_the_input_of_another(tmp_path: Path, clip: Path) -> None:
    for name in ("a.mp4", "output_a.mp4", "b.mp4"):
        shutil.copy(clip, tmp_path / name)
    before = tree(tmp_path)
    done = work(tmp_path / "a.mp4", tmp_path / "output_a.mp4", "-o", tmp_path)
    assert done.code == 2
    assert "would replace the input" in done.complaint
    (tmp_path / "out").mkdir()
    os.link(tmp_path / "b.mp4", tmp_path / "out" / "output_a.mp4")
    done = work(tmp_path / "a.mp4", tmp_path / "b.mp4", "-o", tmp_path / "out")
    assert "would replace the input" in done.complaint
    shutil.rmtree(tmp_path / "out")
    assert tree(tmp_path) == before


# What outputs are called


@pytest.mark.parametrize(
    "template",
    [
        "{name.__class__}", "{name!r}", "{name:>99}", "{name[0]}", "{0}", "{}", "{name", "name}", "{prefix}",
        "{stem}/x", "../{name}", "/{name}", "{name}\0", "{name:{stem}}", "{name.__init__.__globals__}", "", "..",
    ],
)  # fmt: skip
def test_a_template_holds_names_and_nothing_else(template: str) -> None:
    with pytest.raises(SettingsError, match="name template"):
        BatchSettings(("x",), Path("out"), name_template=template)


def test_braces_stand_for_themselves_where_they_are_doubled() -> None:
    settings = BatchSettings((__file__,), Path("out"), name_template="{{{stem}}}")
    assert [job.stem for job in jobs(settings)] == ["{test_batch_paths}"]


@pytest.mark.parametrize(
    ("names", "stems"),
    [
        (("A.mp4", "a.mkv", "deep/a.mp4"), ["output_A", "output_a_2", "output_a_3"]),
        (("e\u0301.mp4", "\u00e9.mkv"), ["output_\u00e9", "output_\u00e9_2"]),
        (("a.mp4", "a_alpha.mp4"), ["output_a", "output_a_alpha_2"]),
        (("a.mp4", "a_2.mp4", "b/a.mp4"), ["output_a", "output_a_2", "output_a_3"]),
    ],
)  # fmt: skip
def test_no_two_outputs_share_a_name_on_any_file_system(
    names: tuple[str, ...], stems: list[str], tmp_path: Path
) -> None:
    paths = [tmp_path / "in" / str(number) / name for number, name in enumerate(names)]
    for path in paths:
        path.parent.mkdir(parents=True)
        path.touch()
    both = ("composite", "alpha")
    made = jobs(BatchSettings(tuple(map(str, paths)), tmp_path / "out", write=both))
    assert [job.stem for job in made] == stems
    for template in ("{prefix}{name}", "{stem}"):
        asked = BatchSettings(tuple(map(str, paths)), tmp_path / "out", write=both, name_template=template)
        every = [unicodedata.normalize("NFC", n).casefold() for job in jobs(asked) for n in names_of(asked, job)]
        assert len(set(every)) == len(every) == 2 * len(paths)


@pytest.mark.slow
def test_many_files_of_one_name_take_no_time(tmp_path: Path) -> None:
    for number in range(1500):
        (tmp_path / "in" / str(number)).mkdir(parents=True)
        (tmp_path / "in" / str(number) / "clip.mp4").touch()
    began = time.monotonic()
    made = jobs(BatchSettings((str(tmp_path / "in"),), tmp_path / "out"))
    assert len({job.stem for job in made}) == 1500
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("name", ["x" * 251 + ".mp4", "\u00e9" * 125 + ".mp4", "\U0001f600" * 62 + ".mkv"])
def test_a_long_name_is_cut_to_what_a_file_system_takes(name: str, tmp_path: Path, clip: Path) -> None:
    shutil.copy(clip, tmp_path / name)
    done = work(tmp_path / name, "-o", tmp_path / "out", "--name-template", "{prefix}{stem}", "--write", "foreground")
    assert done.code == 0, done
    made = names(tmp_path / "out")
    assert [each[:8] for each in made] == ["log_outp", "output_" + name[0]]
    assert made[1].endswith("_foreground.mp4")
    made[1].encode()


@pytest.mark.parametrize("name", ["...mp4", "...mkv", ".. .mp4"])
def test_the_folder_above_is_no_name(name: str, tmp_path: Path, clip: Path) -> None:
    shutil.copy(clip, tmp_path / name)
    before = tree(tmp_path)
    done = work(tmp_path / name, "-o", tmp_path / "out", "--name-template", "{stem}", "--container", "png")
    assert done.code == 0, done
    assert {key: value for key, value in tree(tmp_path).items() if not key.startswith("out")} == before


# Where outputs go


def test_links_in_the_output_folder_are_replaced_and_not_followed(tmp_path: Path, clip: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "real")
    (tmp_path / "precious.mp4").write_text("precious")
    (tmp_path / "precious.txt").write_text("precious")
    (tmp_path / "out" / "output_clip.mp4").symlink_to(tmp_path / "precious.mp4")
    (tmp_path / "out" / "output_clip_alpha.mp4").symlink_to(tmp_path / "nowhere.mp4")
    (tmp_path / "out" / "log_output_clip.txt").symlink_to(tmp_path / "precious.txt")
    done = work(clip, "-o", tmp_path / "out", "--write", "composite,alpha", "--force")
    assert done.code == 0, done
    assert (tmp_path / "precious.mp4").read_text() == (tmp_path / "precious.txt").read_text() == "precious"
    assert not (tmp_path / "nowhere.mp4").exists()
    for name in ("output_clip.mp4", "output_clip_alpha.mp4", "log_output_clip.txt"):
        assert (tmp_path / "real" / name).is_file() and not (tmp_path / "real" / name).is_symlink()
    assert len(inside(tmp_path / "real" / "output_clip.mp4").times) == 2


@pytest.mark.parametrize(
    ("name", "container", "said"),
    [
        (".output_clip.parts", "mp4", "is a link to another place"),
        ("output_clip", "png", "is not overwritten"),
        ("output_clip.mp4", "mp4", "is a folder"),
    ],
)
def test_folders_that_are_links_are_left_alone(
    name: str, container: str, said: str, tmp_path: Path, clip: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "000000.png").write_text("precious")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).symlink_to(tmp_path / "elsewhere")
    done = work(clip, "-o", tmp_path / "out", "--container", container)
    assert done.code == 1
    assert said in done.out
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["000000.png"]
    assert (tmp_path / "elsewhere" / "000000.png").read_text() == "precious"


@pytest.mark.parametrize("name", ["1.png", "000000.jpg", "0000\u0661\u0662.png", "000000.png/x"])
def test_a_folder_with_anything_else_is_left_alone(name: str, tmp_path: Path, clip: Path) -> None:
    path = tmp_path / "out" / "output_clip" / name
    path.parent.mkdir(parents=True)
    path.write_text("precious")
    done = work(clip, "-o", tmp_path / "out", "--container", "png")
    assert done.code == 1
    assert "is not overwritten" in done.out
    assert path.read_text() == "precious"


def test_a_pipe_in_the_place_of_an_output_is_left_alone(tmp_path: Path, clip: Path) -> None:
    (tmp_path / "out").mkdir()
    os.mkfifo(tmp_path / "out" / "output_clip.mp4")
    done = work(clip, "-o", tmp_path / "out")
    assert done.code == 1
    assert "is not overwritten" in done.out
    assert (tmp_path / "out" / "output_clip.mp4").is_fifo()


@pytest.mark.parametrize("out", ["a:b", "http:", "file:x", "pipe:1", "concat:a|b", "%d", "-o", "a\nb", "~", "{name}"])
def test_any_folder_may_take_the_outputs(out: str, tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = work(clip, f"--output={out}")
    assert done.code == 0, done
    assert sorted(tree(tmp_path)) == [
        out, f"{out}/.output_clip.made.json", f"{out}/log_output_clip.txt", f"{out}/output_clip.mp4"
    ]  # fmt: skip


@pytest.mark.slow
def test_a_name_is_a_name_and_nothing_goes_to_a_shell(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    for name in ODD_NAMES:
        shutil.copy(clip, tmp_path / "in" / name)
    shutil.copy(clip, tmp_path / "in" / "a.mp4")  # the file that some of the names would lead to
    before = tree(tmp_path)
    monkeypatch.chdir(tmp_path / "in")
    done = work("-o", "../out", "--", *ODD_NAMES)
    assert done.code == 0, done
    assert done.out.splitlines()[-1] == f"{len(ODD_NAMES)} done"
    assert len(done.out.splitlines()) == len(ODD_NAMES) + 1
    after = tree(tmp_path)
    assert {key: value for key, value in after.items() if key != "out" and not key.startswith("out/")} == before
    assert len(list((tmp_path / "out").glob("*.mp4"))) == len(ODD_NAMES)
    for path in (tmp_path / "out").glob("*.mp4"):
        assert len(inside(path.resolve()).times) == 2


def test_every_name_of_a_file_reads_that_file(tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ODD_NAMES:
        shutil.copy(clip, name)
        assert facts_of(Path(name)).frames == 2
        VideoBackground(Path(name)).check()
        for hardware in (False, True):
            source = VideoFileSource(SourceSettings(name, realtime=False), hardware=hardware)
            assert source.open().width == 96
            source.release()
        Path(name).unlink()
    write_picture(Path("000.png"), 16)  # where the names would lead as patterns
    for name in ("%03d.png", "0*.png", "0?0.png"):
        write_picture(Path(name), 8)
        assert facts_of(Path(name)).width == 8


def write_picture(path: Path, side: int) -> None:
    path.write_bytes(bytes(cv2.imencode(".png", np.zeros((side, side, 3), np.uint8))[1]))


# Files that name other files


def lists(folder: Path, address: str) -> dict[str, str]:
    """Files that list other files or addresses, by file name."""
    head = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n"
    sdp = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
    mpd = '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" mediaPresentationDuration="PT1S">'
    made = {
        "net.m3u8": f"{head}{address}/a.ts\n#EXT-X-ENDLIST\n",
        "net.mp4": f"{head}{address}/a.ts\n#EXT-X-ENDLIST\n",
        "key.m3u8": f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{address}/key"\n#EXTINF:1,\nseg.ts\n#EXT-X-ENDLIST\n',
        "near.m3u8": f"{head}seg.ts\n#EXT-X-ENDLIST\n",
        "near.ts": f"{head}{folder}/seg.ts\n#EXT-X-ENDLIST\n",
        "cat.mp4": "ffconcat version 1.0\nfile 'seg.ts'\n",
        "cat.concat": "ffconcat version 1.0\nfile seg.ts\n",
        "far.mp4": f"ffconcat version 1.0\nfile '{address}/a.ts'\n",
        "x.sdp": f"{sdp}a=rtpmap:96 H264/90000\n",
        "x.mp4": f"{sdp}a=rtpmap:96 H264/90000\n",
        "x.mpd": f"{mpd}<Period><AdaptationSet><BaseURL>{address}/a.mp4</BaseURL></AdaptationSet></Period></MPD>",
    }
    for name, text in made.items():
        (folder / name).write_text(text)
    return made


def test_a_list_of_other_files_or_addresses_is_not_followed(tmp_path: Path) -> None:
    make_movie(tmp_path / "seg.ts", frames=3, sound=())
    with serving(lambda handler, number: handler.send_error(404)) as (address, asked):
        for name in lists(tmp_path, address):
            path = tmp_path / name
            with pytest.raises((ValueError, OSError)):
                open_file(path)
            with pytest.raises(SourceUnavailableError, match="not a video that can be read"):
                facts_of(path)
            with pytest.raises(BackgroundError, match="cannot read"):
                VideoBackground(path).check()
            for hardware in (False, True):
                source = VideoFileSource(SourceSettings(str(path), realtime=False), hardware=hardware)
                with pytest.raises(SourceUnavailableError):
                    source.open()
                source.release()
        done = work(*(tmp_path / name for name in lists(tmp_path, address)), "-o", tmp_path / "out")
        assert done.code == 1
        assert "a list of other files (a playlist), which is not opened" in done.out
        assert asked == []
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".txt"}


# Whatever the names are

NAMES = st.one_of(
    st.sampled_from(ODD_NAMES),
    st.text(string.printable, min_size=1, max_size=30),
    st.text(min_size=1, max_size=70),
)
TEMPLATES = st.one_of(
    st.sampled_from(
        ["{prefix}{name}", "{stem}", "{name}", "{{{stem}}}", "../{stem}", "{stem}/..", ".{stem}", "/{name}"]
    ),
    st.text("{}./\0\\%nameste ", max_size=12),
    st.text(string.printable, max_size=6).map(lambda text: text + "{stem}"),
    st.text(max_size=6).map(lambda text: "{name}" + text),
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(NAMES, min_size=1, max_size=3, unique=True),
    TEMPLATES,
    st.sampled_from(["mp4", "png"]),
    st.sampled_from(["out", "in", "in/out", "in/..", "link", "a:b"]),
)
@example(["...mp4"], "{stem}", "png", "in")
@example(["log_a.txt.mp4", "a.mp4"], "{stem}", "png", "out")
def test_nothing_comes_to_be_outside_of_the_output_folder(
    tmp_path_factory: pytest.TempPathFactory, clip: Path, names: list[str], template: str, container: str, out: str
) -> None:
    root = tmp_path_factory.mktemp("any")
    (root / "in").mkdir()
    (root / "elsewhere").mkdir()
    (root / "link").symlink_to("elsewhere")
    inputs = []
    for name in names:
        with suppress(OSError, ValueError):  # not every text can be a file name
            path = root / "in" / name.replace("/", "_")
            shutil.copyfile(clip, path)
            inputs.append(f"in/{path.name}")
    if not inputs:
        return
    before = tree(root)
    with within(root):
        target = Path(out).resolve()
        done = work(
            "-o", out, "--container", container, f"--name-template={template}", "--write", "composite,alpha", *inputs
        )
    assert done.code in (0, 1, 2), done
    assert ": unexpected" not in done.err + done.out, done
    after = tree(root)
    assert {name: after.get(name) for name in before} == before, "nothing that was there is changed"
    for name in set(after) - set(before):
        place = (root / name).resolve()
        assert target in (place, *place.parents), name
        assert not name.endswith((".part", ".parts"))
    if done.code == 2:
        assert after == before and done.complaint
    if done.code == 0:
        made = [name for name in set(after) - set(before) if (root / name).is_file()]
        made = [name for name in made if not name.endswith((".txt", ".made.json"))]
        assert len(made) == len(inputs) * 2 * (2 if container == "png" else 1)
    shutil.rmtree(root)


# Nothing goes to a shell


def commands(path: Path) -> list[str]:
    """Calls in a file that pass words to a shell, or might."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.keyword) and node.arg == "shell" and ast.unparse(node.value) != "False":
            found.append("shell=")
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called in ("os.system", "os.popen", "popen", "system", "subprocess.getoutput", "subprocess.getstatusoutput"):
            found.append(called)
        written_here = bool(node.args) and isinstance(node.args[0], ast.Constant)
        if (
            called.startswith("os.spawn")
            or called == "os.startfile"
            or (called in ("eval", "exec") and not written_here)
        ):
            found.append(called)
        if (called.startswith("subprocess.") and "(" not in called) or called == "Popen":
            first = node.args[0] if node.args else None
            if first is None or isinstance(first, (ast.JoinedStr, ast.BinOp, ast.Constant)):
                found.append(f"{called} with words in one string")
    return found


@pytest.mark.slow
def test_nothing_in_the_program_goes_to_a_shell(tmp_path: Path) -> None:
    assert {str(path): told for path in (ROOT / "rvm_live").rglob("*.py") if (told := commands(path))} == {}
    bad = tmp_path / "bad.py"
    bad.write_text("import os, subprocess\nos.system('x')\nsubprocess.run(f'x {y}')\nsubprocess.Popen(a, shell=True)\n")
    assert len(commands(bad)) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="names there are bytes")
def test_a_name_that_is_no_text_is_worked_on_and_told(tmp_path: Path, clip: Path) -> None:
    shutil.copy(clip, os.fsencode(tmp_path / "a") + b"\xff.mp4")
    done = work(os.fsdecode(os.fsencode(tmp_path / "a") + b"\xff.mp4"), "-o", tmp_path / "out")
    assert done.code == 0, done.err
    (log,) = (tmp_path / "out").glob("log_*.txt")
    assert "done" in log.read_text(encoding="utf-8")


def test_a_title_is_no_formula(tmp_path: Path) -> None:
    from rvm_live.media import plots

    for title in ("$x_{$.mp4", "a\udcff\n\x1b[31m", "plain"):
        figure = plots.figure(2, 2, title)
        plots.save(figure, tmp_path / "x.png")
        assert (tmp_path / "x.png").stat().st_size > 500
