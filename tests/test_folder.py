"""The same list whatever the file system, and nothing that blocks or goes round in circles."""

import os
from pathlib import Path

import pytest

from cyclegan.errors import InputError, UsageError
from cyclegan.files import Source
from cyclegan.media import folder
from cyclegan.media.folder import (
    collect,
    encode_list,
    hold_sound,
    no_pictures,
    passed_over,
    pictures,
    told_passed_over,
)
from cyclegan.media.folder import listed as read_list
from cyclegan.media.kinds import HEARD_SUFFIXES


def make(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def listed(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in pictures(folder)]


def test_pictures_are_known_by_suffix_and_hidden_ones_skipped(tmp_path: Path) -> None:
    good = ["a.jpg", "b.JPEG", "c.Png", "d.webp", "e.bmp", "f.tif", "g.TIFF", "h.gif", "sub/deep/h.jpg"]
    make(tmp_path, *good, ".DS_Store", "Thumbs.db", "._x.jpg", ".hidden/x.jpg", ".x.png", "x.psd", "jpg", "x.jpg.txt")
    (tmp_path / "folder.jpg").mkdir()
    assert listed(tmp_path) == good


def test_the_order_is_that_of_the_bytes_of_the_relative_path(tmp_path: Path) -> None:
    expected = [
        b"B.png",
        b"a b/c.png",
        b"a.png",
        b"a/c.png",
        b"b.png",
        "é.png".encode(),
        "🦓.png".encode(),
        b"\xff.png",
    ]
    make(tmp_path, *(os.fsdecode(name) for name in reversed(expected)))
    found = pictures(tmp_path)
    assert [os.fsencode(path.relative_to(tmp_path)) for path in found] == expected
    assert all(path.parent.is_relative_to(tmp_path) for path in found)


@pytest.mark.timeout(10)
def test_links_are_followed_once_and_odd_things_ignored(tmp_path: Path) -> None:
    home = make(tmp_path / "home", "z/a.png", "b.png")
    outside = make(tmp_path / "outside", "c.png", "c/d.png")
    (outside / "back").symlink_to(home)  # a circle
    (home / "loop").symlink_to(home)
    (home / "a").symlink_to(home / "z")  # sorts before the real folder, and must not take its place
    (home / "y").symlink_to(outside)
    (home / "y2").symlink_to(outside)
    (home / "link.png").symlink_to(outside / "c.png")
    (home / "dangling.png").symlink_to(tmp_path / "nowhere")
    (home / "self.png").symlink_to(home / "self.png")
    os.mkfifo(home / "pipe.png")
    assert listed(home) == ["b.png", "link.png", "y/c.png", "y/c/d.png", "z/a.png"]


def test_what_is_no_folder_is_refused_with_a_hint(tmp_path: Path) -> None:
    make(tmp_path, "horses/a.png")
    with pytest.raises(InputError, match="hoses: no such file or folder") as caught:
        pictures(tmp_path / "hoses")
    assert caught.value.hint == f"did you mean {tmp_path / 'horses'}?"
    with pytest.raises(InputError, match=r"a\.png: not a folder"):
        pictures(tmp_path / "horses" / "a.png")
    with pytest.raises(InputError) as caught:
        pictures(tmp_path / "nowhere" / "at all")
    assert caught.value.hint == "check the path"
    (tmp_path / "empty").mkdir()
    assert pictures(tmp_path / "empty") == []
    assert ".webp" in no_pictures(tmp_path / "empty").hint


def test_a_folder_that_cannot_be_read_is_not_taken_as_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "locked/a.png")  # root may read everything, so the refusal is made
    real = os.scandir

    def refusing(folder: Path) -> object:
        if folder.name == "locked":
            raise PermissionError(13, "Permission denied", str(folder))
        return real(folder)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(InputError, match="locked: Permission denied"):
        pictures(tmp_path)


def test_collect_takes_named_files_as_they_are_and_each_once(tmp_path: Path) -> None:
    make(tmp_path, "in/b.png", "in/sub/a.jpg", ".odd", "in/notes.txt")
    root = tmp_path / "in"
    assert collect([tmp_path / ".odd", root, root / "sub" / ".." / "b.png"]) == [
        Source(str(tmp_path / ".odd")),
        Source("b.png", root),
        Source("sub/a.jpg", root),
    ]


@pytest.mark.timeout(10)
def test_collect_refuses_what_is_missing_empty_or_a_pipe(tmp_path: Path) -> None:
    make(tmp_path, "zebra.jpg")
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, what in [("zebar.jpg", "no such file"), ("empty", "no pictures"), ("pipe", "neither a file nor")]:
        with pytest.raises(InputError, match=f"{name}: {what}"):
            collect([tmp_path / "zebra.jpg", tmp_path / name])
    with pytest.raises(InputError) as caught:
        collect([tmp_path / "zebar.jpg"])
    assert "zebra.jpg" in caught.value.hint


def test_what_a_folder_holds_is_told_by_its_files(tmp_path: Path) -> None:
    assert hold_sound([make(tmp_path / "alice", "a.WAV", "sub/b.mp3", "notes.txt")])
    assert hold_sound([make(tmp_path / "both", "a.flac", "talk.mp4")])  # films are heard, too
    assert hold_sound([make(tmp_path / "talks", "talk.mp4")])
    assert not hold_sound([make(tmp_path / "horses", "a.jpg")])
    assert not hold_sound([make(tmp_path / "animations", "a.jpg", "b.mp4")])
    assert not hold_sound([make(tmp_path / "nothing", "a.txt")])
    with pytest.raises(InputError, match="no such file or folder"):
        hold_sound([tmp_path / "bob"])


def test_pictures_among_recordings_are_told_with_their_number(tmp_path: Path) -> None:
    make(tmp_path / "alice", *(f"{i}.wav" for i in range(40)), "cover.jpg", "b.png", "c.png", "talk.mp4")
    with pytest.raises(InputError, match="alice: 3 pictures among 40 recordings") as told:
        hold_sound([tmp_path / "alice"])
    assert "move" in told.value.hint
    make(tmp_path / "horses", "a.jpg", "b.jpg", "neigh.ogg")
    with pytest.raises(InputError, match="horses: 1 recording among 2 pictures"):
        hold_sound([tmp_path / "horses"])


def test_folders_of_one_training_hold_one_kind(tmp_path: Path) -> None:
    alice, bob = make(tmp_path / "alice", "a.wav"), make(tmp_path / "bob", "b.mp4")
    horses, empty = make(tmp_path / "horses", "a.jpg"), make(tmp_path / "empty", "a.txt")
    assert hold_sound([alice, bob])
    assert hold_sound([alice, empty])  # what is missing is told when it is listed
    assert not hold_sound([horses, horses])
    assert not hold_sound([empty])
    with pytest.raises(InputError, match=r"horses holds pictures and .*alice recordings"):
        hold_sound([alice, horses])


def test_what_cannot_be_read_is_counted_and_what_reads_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, *(f"{i}.HEIC" for i in range(12)), "a.nef", "sub/b.NEF", "film.wmv", "a.txt", ".b.nef", "c.png")
    monkeypatch.setattr(folder, "UNREAD_SUFFIXES", folder.UNREAD_SUFFIXES | {".heic"})
    found = passed_over([tmp_path])
    assert found == {".heic": 12, ".nef": 2, ".wmv": 1}
    assert told_passed_over(found) == ("passed over: 12 .heic, 2 .nef, 1 .wmv; pip install 'styl[heif]' reads HEIF")
    assert passed_over([make(tmp_path / "sound", "a.png", "b.mp4", "c.wav")]) == {}
    assert "12 .heic" in no_pictures(tmp_path).hint


@pytest.mark.timeout(10)
def test_a_list_of_pictures_is_a_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(InputError, match="not a regular file"):
            folder.listed(path)


def test_what_is_missing_is_called_by_its_name(tmp_path: Path) -> None:
    assert "no pictures in it" in no_pictures(tmp_path).what
    assert "no recordings in it" in no_pictures(tmp_path, suffixes=HEARD_SUFFIXES).what
    assert ".wav" in no_pictures(tmp_path, suffixes=HEARD_SUFFIXES).hint


# --- lists of pictures

ODD_NAMES = ["a b.png", " b.png ", "c\x85d\u2028e\x0cf.png", "g\rh.png", os.fsdecode(b"\xff.png"), "🦓.png", '"j".png']
ODDER_NAMES = ["line\nbreak.png", "return\r"]  # in no list of lines


@pytest.mark.parametrize("name", ["good.txt", "good.json", "lists/good.txt", "lists/good.json"])
def test_a_list_means_the_files_that_it_was_made_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(make(tmp_path, "lists/x"))
    paths = [f"in/{odd}" for odd in [*ODD_NAMES, *(ODDER_NAMES if name.endswith(".json") else [])]]
    Path(name).write_bytes(encode_list(paths, file=Path(name)))
    assert read_list(Path(name)) == {tmp_path / path for path in paths}


@pytest.mark.parametrize("odd", ODDER_NAMES)
def test_a_name_that_no_line_holds_is_refused(odd: str) -> None:
    with pytest.raises(UsageError, match="no line of a list") as caught:
        encode_list(["a.png", odd], file=Path("good.txt"))
    assert caught.value.hint.startswith("name the list good.json")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("good.json", b'["a.png"'),
        ("good.json", b'{"a.png": 1}'),
        ("good.json", b"[1, 2]"),
        ("good.json", b'["a\\u0000.png"]'),
        ("good.json", b"[" * 100_000),
        ("good.txt", b"\x89PNG\r\n\x1a\n\0\0\0"),
    ],
)
def test_what_is_no_list_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name}: not a"):
        read_list(tmp_path / name)


def test_lists_may_come_from_another_system(tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_bytes(b"a.png\r\n\r\nb/c.png\r\n")
    assert read_list(tmp_path / "good.txt") == {tmp_path / "a.png", tmp_path / "b" / "c.png"}
