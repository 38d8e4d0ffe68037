"""``rvm-live tidy``: names that are short, safe and unique; files that survive any interruption; and undoing it."""

from __future__ import annotations

import json
import os
import random
import unicodedata
from pathlib import Path

import pytest

from rvm_live.apps import tidy
from rvm_live.core.errors import SettingsError, TidyError
from tests.support.program import call


def fill(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_text(name, encoding="utf-8")


def contents(folder: Path) -> dict[str, str]:
    return {p.name: p.read_text(encoding="utf-8") for p in folder.iterdir() if p.is_file() and p.name != tidy.LOG}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("My Holiday Video from the Beach (1080p) [x264].mp4", "My_Holiday_Video.mp4"),
        ("interview_final_version_2024_take 12.mov", "interview_fin_12.mov"),
        ("한국어로 된 아주 긴 파일 이름 테스트 영상 파일.mp4", "한국어로_된_아주_긴_파일.mp4"),
        (unicodedata.normalize("NFD", "회의 녹화.mp4"), "회의_녹화.mp4"),
        ("already-short.mp4", "already-short.mp4"),
        ("weird?name*.mp4", "weird_name.mp4"),
        ("tab\tand  spaces.MKV", "tab_and_spaces.MKV"),
        ("con.mp4", "_con.mp4"),
        ("....mp4", "clip.mp4"),
        ("no_extension_but_quite_long_name", "no_extension_but_qui"),
    ],
)
def test_names(name: str, expected: str) -> None:
    assert tidy.shortened(name) == expected
    assert tidy.shortened(expected) == expected


def test_any_name_at_any_length() -> None:
    chance = random.Random(4)
    letters = [chr(n) for n in range(33, 127) if chr(n) not in "/"] + list("  __..éüß한국어영상日本語Ωж👩‍👧🎬\u0301")
    for _ in range(3000):
        stem = "".join(chance.choices(letters, k=chance.randint(1, 60)))
        name, length = stem + chance.choice(["", ".mp4", ".MOV", ".webm"]), chance.choice([8, 12, 20, 64])
        found = tidy.shortened(name, length)
        assert 0 < len(found) <= length, name
        assert not set(found) & set('<>:"/\\|?* \t\n'), name
        assert tidy.shortened(found, length) == found, name
        assert found == unicodedata.normalize("NFC", found)


def test_files_are_renamed_and_come_back(tmp_path: Path) -> None:
    fill(
        tmp_path,
        "a very long name of a clip one.mp4",
        "a very long name of a clip two.mp4",
        "b c.mov",
        "ok.mp4",
        ".hidden x",
    )
    (tmp_path / "a folder with a long long name").mkdir()
    before = contents(tmp_path)
    planned = tidy.plan(tmp_path)
    tidy.apply(tmp_path, planned)
    after = contents(tmp_path)
    assert sorted(after.values()) == sorted(before.values())
    assert {"ok.mp4", ".hidden x", "b_c.mov"} <= set(after)
    assert all(len(name) <= 20 for name in after)
    assert (tmp_path / "a folder with a long long name").is_dir()
    assert tidy.plan(tmp_path) == []
    tidy.undo(tmp_path)
    assert contents(tmp_path) == before
    assert not (tmp_path / tidy.LOG).exists()
    with pytest.raises(TidyError, match="nothing to undo"):
        tidy.undo(tmp_path)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    fill(tmp_path, "x y.mp4", "x_y.mp4", "X_Y_2.mp4", "x  y.mp4", "x\ty.mp4")
    before = contents(tmp_path)
    tidy.apply(tmp_path, tidy.plan(tmp_path))
    after = contents(tmp_path)
    assert sorted(after.values()) == sorted(before.values())
    assert after["x_y.mp4"] == "x_y.mp4"
    assert len({name.casefold() for name in after}) == 5


def test_a_name_that_was_taken_meanwhile_is_left_alone(tmp_path: Path) -> None:
    fill(tmp_path, "a b.mp4", "c d.mp4")
    planned = tidy.plan(tmp_path)
    fill(tmp_path, "c_d.mp4")
    with pytest.raises(TidyError, match=r"cannot rename c d\.mp4 to c_d\.mp4"):
        tidy.apply(tmp_path, planned)
    assert contents(tmp_path) == {"a_b.mp4": "a b.mp4", "c d.mp4": "c d.mp4", "c_d.mp4": "c_d.mp4"}
    tidy.undo(tmp_path)
    assert set(contents(tmp_path)) == {"a b.mp4", "c d.mp4", "c_d.mp4"}


def test_without_links_it_renames_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object, **__: object) -> None:
        raise OSError(1, "no links on this file system")

    monkeypatch.setattr(os, "link", none)
    fill(tmp_path, "a b.mp4", "c d.mp4")
    planned = tidy.plan(tmp_path)
    fill(tmp_path, "c_d.mp4")
    with pytest.raises(TidyError, match="taken"):
        tidy.apply(tmp_path, planned)
    assert contents(tmp_path) == {"a_b.mp4": "a b.mp4", "c d.mp4": "c d.mp4", "c_d.mp4": "c_d.mp4"}


def test_a_run_that_was_killed_can_be_undone(tmp_path: Path) -> None:
    fill(tmp_path, "a b.mp4", "c d.mp4", "e f.mp4")
    planned = tidy.plan(tmp_path)
    tidy.apply(tmp_path, planned)
    os.rename(tmp_path / "e_f.mp4", tmp_path / "e f.mp4")  # as if this step had not been reached
    (tmp_path / "a_b.mp4").unlink()
    assert tidy.undo(tmp_path) == [tidy.Renaming("c_d.mp4", "c d.mp4")]
    assert set(contents(tmp_path)) == {"c d.mp4", "e f.mp4"}


def test_undo_overwrites_nothing_either(tmp_path: Path) -> None:
    fill(tmp_path, "a b.mp4", "c d.mp4")
    tidy.apply(tmp_path, tidy.plan(tmp_path))
    fill(tmp_path, "a b.mp4")
    with pytest.raises(TidyError, match="exists again"):
        tidy.undo(tmp_path)
    assert set(contents(tmp_path)) == {"a b.mp4", "a_b.mp4", "c_d.mp4"}


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"runs": [{"renamed": [["../../x", "y"]]}]}', '{"runs": [{"renamed": [["a/b", "y"]]}]}']
)
def test_a_log_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / tidy.LOG).write_text(text)
    fill(tmp_path, "a b.mp4")
    with pytest.raises(TidyError, match="cannot be read"):
        tidy.undo(tmp_path)
    with pytest.raises(TidyError, match="cannot be read"):
        tidy.apply(tmp_path, tidy.plan(tmp_path))
    assert set(contents(tmp_path)) == {"a b.mp4"}


def test_links_are_left_alone(tmp_path: Path) -> None:
    fill(tmp_path, "real.mp4")
    (tmp_path / "a link to it.mp4").symlink_to("real.mp4")
    assert tidy.plan(tmp_path) == []


def test_lengths_are_checked(tmp_path: Path) -> None:
    for length in (0, 7, 256):
        with pytest.raises(SettingsError, match="max length"):
            tidy.plan(tmp_path, length)


def test_the_command(tmp_path: Path) -> None:
    fill(tmp_path, "a b.mp4")
    dry = call("tidy", tmp_path, "--dry-run")
    assert (dry.code, dry.out.splitlines()) == (0, ["a b.mp4 -> a_b.mp4", "1 would be renamed"])
    assert set(contents(tmp_path)) == {"a b.mp4"}
    assert call("tidy", tmp_path).out.endswith("1 renamed\n")
    assert json.loads((tmp_path / tidy.LOG).read_text(encoding="utf-8"))["runs"][0]["renamed"] == [
        ["a b.mp4", "a_b.mp4"]
    ]
    assert call("tidy", tmp_path, "--undo").out.splitlines() == ["a_b.mp4 -> a b.mp4", "1 renamed back"]
    for arguments, said in (
        ((tmp_path / "none",), "cannot read the folder"),
        ((tmp_path, "--undo"), "nothing to undo"),
        ((tmp_path, "--max-length", "3"), "at least 8"),
        ((tmp_path, "--undo", "--dry-run"), "cannot be used together"),
    ):
        done = call("tidy", *arguments)
        assert done.code == 2
        assert said in done.complaint
