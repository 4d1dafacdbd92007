"""What lies in the folders is known before a training begins, and found out only once."""

import dataclasses
import io
import itertools
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cyclegan.errors import InputError
from cyclegan.experiment import Data, Experiment
from cyclegan.media.folder import pictures
from cyclegan.media.image import read_rgb
from cyclegan.training.album import Scan, differences
from cyclegan.training.data import Batches
from cyclegan.training.remarks import remarks, summary
from cyclegan.training.scan import scan


def grain(seed: int, *, height: int = 20, width: int = 20) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def folder(root: Path, count: int, *, first: int = 0, height: int = 20, width: int = 20) -> Path:
    root.mkdir(exist_ok=True)
    for i in range(first, first + count):
        Image.fromarray(grain(i, height=height, width=width)).save(root / f"{i:04d}.png")
    return root


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    return folder(tmp_path / "x", 25), folder(tmp_path / "y", 30, first=1000)


def data(*folders: Path, size: int = 16) -> Data:
    return Data(folders=tuple(map(str, folders)), domains=("X", "Y"), size=size, held_back=2, cache_gb=0)


def complaints(*folders: Path, size: int = 16) -> str:
    chosen = data(*folders, size=size)
    return "\n".join(remarks(scan(chosen), Experiment(data=chosen)))


class Counting:
    """Reads pictures, and knows which."""

    def __init__(self) -> None:
        self.read = list[str]()

    def __call__(self, path: Path) -> NDArray[np.uint8]:
        self.read.append(path.name)
        return read_rgb(path)


def jpeg(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


DAMAGED: dict[str, Callable[[], bytes]] = {
    "empty.jpg": lambda: b"",
    "cut.jpg": lambda: jpeg(grain(1, height=200, width=200))[:4000],
    "page.jpg": lambda: b"<!DOCTYPE html><html><body>404</body></html>",
    "text.png": lambda: "grüße".encode(),
    "noise.webp": lambda: random.Random(0).randbytes(3000),
}


def test_files_that_are_no_pictures_are_named_once_and_left_out(two: tuple[Path, Path]) -> None:
    for name, content in DAMAGED.items():
        (two[0] / name).write_bytes(content())
    found = scan(data(*two))
    assert len(found.left_out) == len(DAMAGED)
    for name in DAMAGED:
        (line,) = (line for line in found.left_out if name in line)
        assert line.startswith(f"{two[0] / name}: "), "the file, then why"
        assert line.count(name) == 1
    assert "X: 5 of 30 files cannot be read" in "\n".join(remarks(found, Experiment(data=data(*two))))
    batches = Batches(data(*two), batch=1, seed=0, scan=found)
    list(itertools.islice(batches.starting(0), 60))
    batches.held_back()
    assert not batches.damaged, "they are not even tried"
    with pytest.raises(InputError, match=r"cut\.jpg: .* \(and 4 more\)"):
        scan(data(*two), strict=True)


def test_a_folder_without_one_picture_to_learn_from_is_refused(two: tuple[Path, Path]) -> None:
    for path in two[1].iterdir():
        path.write_bytes(b"rot")
    with pytest.raises(InputError, match="y: none of its pictures can be used"):
        scan(data(*two))


def test_pictures_of_one_colour_are_left_out_and_faint_ones_are_not(two: tuple[Path, Path]) -> None:
    Image.new("RGB", (40, 40)).save(two[0] / "black.png")
    Image.new("L", (40, 40), 255).save(two[0] / "white.png")
    (two[0] / "plain.jpg").write_bytes(jpeg(np.full((64, 64, 3), (20, 90, 200), np.uint8)))
    nearly = np.full((40, 40, 3), 100, np.uint8)
    nearly[::7, ::7] += 1  # no more than an encoder's rounding
    Image.fromarray(nearly).save(two[0] / "nearly.png")
    faint = np.full((40, 40, 3), 100, np.uint8)
    faint[:20] += 3
    Image.fromarray(faint).save(two[0] / "faint.png")
    dot = np.full((40, 40, 3), 255, np.uint8)
    dot[18:22, 18:22] = 0
    Image.fromarray(dot).save(two[0] / "dot.png")
    found = scan(data(*two))
    names = {Path(line.split(": ")[0]).stem for line in found.left_out}
    assert names == {"black", "white", "plain", "nearly"}
    assert "X: 4 of one colour left out" in "\n".join(remarks(found, Experiment(data=data(*two))))
    assert len(Batches(data(*two), batch=1, seed=0, scan=found).domains[0].train) == 25


def test_only_what_changed_is_looked_at_again(two: tuple[Path, Path]) -> None:
    found = scan(data(*two))
    reader = Counting()
    assert scan(data(*two), earlier=found, read=reader) == found
    assert not reader.read
    shutil.copy(two[0] / "0003.png", two[0] / "copy.png")
    os.utime(two[0] / "0004.png")
    Image.fromarray(grain(77)).save(two[1] / "1005.png")
    folder(two[1], 1, first=2000)
    again = scan(data(*two), earlier=found, read=reader)
    assert sorted(reader.read) == ["1005.png", "2000.png"], "a copy and a newer date say nothing new"
    assert again == scan(data(*two))


def test_what_was_found_survives_writing_it_down(two: tuple[Path, Path], tmp_path: Path) -> None:
    odd = os.fsdecode(b"\xff\xfe \xe9.png")
    shutil.copy(two[0] / "0000.png", two[0] / odd)
    (two[0] / "bad.png").write_bytes(b"rot")
    found = scan(data(*two))
    (tmp_path / "data.json").write_bytes(found.encode())
    assert Scan.load(tmp_path / "data.json") == found
    assert Scan.load(tmp_path / "none.json") is None
    whole = found.encode()
    for text in (b"", b"null", b"[]", whole[:-9], whole.replace(b'"format": 1', b'"format": 2'), b"[" * 10**5):
        assert Scan.decode(text) is None
    for key in (b'"digest"', b'"albums"', b'"folder"'):
        assert Scan.decode(whole.replace(key, b'"other"')) is None


def test_what_is_written_down_takes_little_room_and_what_was_written_before_is_read(two: tuple[Path, Path]) -> None:
    found = scan(data(*two))
    text = found.encode()
    assert len(text) < 55 * 160
    assert len(text.splitlines()) > 55, "a line a picture, for people"
    table = json.loads(text)
    for album, known in zip(table["albums"], found.albums, strict=True):
        album["pictures"] = {n: [*known.stamps[n], dataclasses.asdict(f)] for n, f in known.facts.items()}
    assert Scan.decode(json.dumps(table, indent=1).encode()) == found


def test_a_disk_that_failed_is_asked_again(two: tuple[Path, Path]) -> None:
    def failing(path: Path) -> NDArray[np.uint8]:
        if path.name == "0007.png":
            raise InputError(f"{path}: Input/output error") from OSError(5, "Input/output error")
        return read_rgb(path)

    found = scan(data(*two), read=failing)
    assert [line.rsplit(": ", 1)[1] for line in found.left_out] == ["Input/output error"]
    assert not scan(data(*two), earlier=found).left_out


def test_changes_are_named_and_moving_is_none(two: tuple[Path, Path], tmp_path: Path) -> None:
    found = scan(data(*two))
    moved = tmp_path / "elsewhere" / "z"
    shutil.copytree(two[0], moved)
    there = scan(data(moved, two[1]))
    assert there.fingerprint == found.fingerprint
    assert not differences(found, there)
    folder(moved, 3, first=500)
    (moved / "0001.png").unlink()
    for name in ("0002.png", "0003.png"):
        Image.fromarray(grain(99)).save(moved / name)
    changed = scan(data(moved, two[1]))
    assert differences(found, changed) == [
        "X: 3 added, 1 removed, 2 changed (0500.png, 0501.png, 0502.png, …)",
    ]
    assert changed.fingerprint != found.fingerprint
    (two[1] / "1000.png").rename(two[1] / "renamed.png")
    renamed = scan(data(two[0], two[1]))
    assert renamed.fingerprint != found.fingerprint, "names decide the order, and what is held back"
    assert differences(found, renamed) == ["Y: 1 added, 1 removed (renamed.png, 1000.png)"]


def test_nothing_is_written_beside_the_pictures(two: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STYL_HOME", str(two[0].parent / "home"))

    def state() -> list[tuple[Path, int, int]]:
        return [(p, p.stat().st_mtime_ns, p.stat().st_size) for root in two for p in [root, *sorted(root.rglob("*"))]]

    before = state()
    chosen = dataclasses.replace(data(*two), cache_gb=1)
    list(itertools.islice(Batches(chosen, batch=1, seed=0, scan=scan(chosen)).starting(0), 4))
    assert state() == before


def test_progress_is_told(two: tuple[Path, Path]) -> None:
    heard = list[tuple[int, int]]()
    scan(data(*two), tell=lambda done, of: heard.append((done, of)))
    assert heard == [(i, 55) for i in range(1, 56)]


def test_good_folders_get_no_remark_and_a_summary(tmp_path: Path) -> None:
    folders = folder(tmp_path / "x", 25, height=30, width=40), folder(tmp_path / "y", 30, first=99)
    assert complaints(*folders) == ""
    assert summary(scan(data(*folders))) == [
        "X: 25 pictures, 40 × 30 to 40 × 30 pixels, most about 40 × 30",
        "Y: 30 pictures, 20 × 20 to 20 × 20 pixels, most about 20 × 20",
    ]


def test_copies_are_counted_within_and_across(two: tuple[Path, Path]) -> None:
    for i in range(3):
        shutil.copy(two[0] / "0000.png", two[0] / f"again{i}.png")
    for i in range(2):
        shutil.copy(two[0] / f"000{i}.png", two[1] / f"x{i}.png")
    text = complaints(*two)
    assert "X: 3 pictures are copies of others" in text
    assert "2 pictures are in both X and Y" in text
    assert "Y:" not in text


def test_folders_of_very_different_size_work_and_are_remarked_upon(tmp_path: Path) -> None:
    few, many = folder(tmp_path / "few", 12), folder(tmp_path / "many", 120, first=1000)
    text = complaints(few, many)
    assert "X: only 12 pictures" in text
    assert "Y has 10 times the pictures" in text
    batches = Batches(data(few, many), batch=4, seed=0, scan=scan(data(few, many)))
    assert [len(d.train) for d in batches.domains] == [12, 118]
    seen = [set(), set()]  # type: list[set[bytes]]
    for batch in itertools.islice(batches.starting(0), 30):
        for domain, views in zip(seen, batch, strict=True):
            domain.update(view.numpy().tobytes() for view in views)
    assert len(seen[0]) > 60, "the few are seen in many crops"
    assert len(seen[1]) >= 118


def test_odd_shapes_are_remarked_upon(two: tuple[Path, Path]) -> None:
    Image.fromarray(grain(5, height=20, width=100)).save(two[0] / "wide.png")
    Image.fromarray(grain(6, height=10, width=12)).save(two[0] / "small.png")
    Image.fromarray(grain(7, height=1, width=9000)).save(two[0] / "line.png")
    text = complaints(*two)
    assert "X: 2 pictures are smaller than 16 pixels" in text
    assert "X: 2 pictures are more than 4 times as long as wide and are seen in part" in text


def test_a_grey_domain_beside_a_coloured_one_is_remarked_upon(tmp_path: Path) -> None:
    grey, colour = tmp_path / "x", folder(tmp_path / "y", 20)
    grey.mkdir()
    for i in range(20):
        Image.fromarray(grain(i)[..., 0]).save(grey / f"{i}.jpg")
    assert "X: 100% of the pictures are grey" in complaints(grey, colour)
    other = tmp_path / "z"
    shutil.copytree(grey, other)
    (other / "0.jpg").unlink()
    assert "grey" not in complaints(grey, other)


def modes() -> dict[str, tuple[Image.Image, NDArray[np.uint8]]]:
    """Return a ramp in every mode, and the pixels that should be learnt from."""
    ramp = np.tile(np.arange(0, 256, 16, dtype=np.uint8)[None], (16, 1))
    grey = np.stack([ramp] * 3, 2)
    alpha = np.zeros_like(ramp)
    alpha[:8] = 255
    on_white = np.where(alpha[..., None] > 0, grey, 255).astype(np.uint8)
    return {
        "l.png": (Image.fromarray(ramp), grey),
        "la.png": (Image.merge("LA", [Image.fromarray(ramp), Image.fromarray(alpha)]), on_white),
        "p.png": (Image.fromarray(ramp).convert("P"), grey),
        "deep.png": (Image.fromarray(ramp.astype(np.uint16) * 257), grey),
        "rgba.png": (Image.fromarray(np.dstack([grey, alpha])), on_white),
        "deep.tif": (Image.fromarray(ramp.astype(np.uint16) * 257), grey),
    }


@pytest.mark.parametrize("name", modes())
def test_every_mode_is_learnt_as_it_looks(name: str, tmp_path: Path) -> None:
    image, wanted = modes()[name]
    (tmp_path / "x").mkdir()
    image.save(tmp_path / "x" / name)
    chosen = dataclasses.replace(data(tmp_path / "x", folder(tmp_path / "y", 3)), flip=False, enlarge=1.0)
    drawn, _ = next(Batches(chosen, batch=1, seed=0, scan=scan(chosen)).starting(0))
    assert np.array_equal(drawn[0].permute(1, 2, 0).numpy(), wanted)


def test_what_systems_leave_in_folders_is_ignored(two: tuple[Path, Path]) -> None:
    wanted = pictures(two[0])
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._0001.png", ".hidden.png", "notes.txt", "0001.png.part"):
        (two[0] / name).write_bytes(b"x")
    (two[0] / ".trash").mkdir()
    (two[0] / "folder.png").mkdir()
    shutil.copy(wanted[0], two[0] / ".trash" / "a.png")
    assert pictures(two[0]) == wanted
    shutil.copy(wanted[0], two[0] / "LOUD.PNG")
    assert len(pictures(two[0])) == len(wanted) + 1
    assert not scan(data(*two)).left_out


def test_links_pipes_and_devices_neither_loop_nor_block(two: tuple[Path, Path], tmp_path: Path) -> None:
    count = len(pictures(two[0]))
    (two[0] / "again").symlink_to(two[0], target_is_directory=True)
    (two[0] / "self.png").symlink_to(two[0] / "self.png")
    (two[0] / "dangling.png").symlink_to(tmp_path / "nowhere.png")
    (two[0] / "device.png").symlink_to("/dev/zero")
    os.mkfifo(two[0] / "pipe.png")
    (two[0] / "link.png").symlink_to(two[1] / "1000.png")
    assert len(scan(data(*two)).albums[0].usable) == count + 1, "a link to a picture is one"


def test_the_order_of_creation_does_not_matter(two: tuple[Path, Path], tmp_path: Path) -> None:
    other = tmp_path / "shuffled"
    other.mkdir()
    for path in random.Random(1).sample(sorted(two[0].iterdir()), 25):
        shutil.copy(path, other / path.name)
    one, another = (scan(data(x, two[1])) for x in (two[0], other))
    assert one.fingerprint == another.fingerprint
    assert [p.name for p in one.albums[0].usable] == [p.name for p in another.albums[0].usable]
    views = [next(Batches(data(x, two[1]), batch=9, seed=0).starting(0))[0] for x in (two[0], other)]
    assert np.array_equal(views[0].numpy(), views[1].numpy())
