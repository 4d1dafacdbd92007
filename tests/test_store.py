"""Decoded pictures on the disk: what is drawn is the same to the bit, whatever happens to them."""

import itertools
import os
import pickle
import resource
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from cyclegan.experiment import Data
from cyclegan.media.image import read_rgb
from cyclegan.training.album import Scan
from cyclegan.training.data import Batches
from cyclegan.training.scan import scan
from cyclegan.training.store import Room, home

SHAPES = [(40, 40), (20, 33), (61, 20), (1, 70), (300, 9), (25, 25)]


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STYL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def folder(root: Path, count: int, *, seed: int) -> Path:
    root.mkdir()
    for i in range(count):
        pixels = np.random.default_rng([seed, i]).integers(0, 256, (*SHAPES[i % len(SHAPES)], 3), np.uint8)
        Image.fromarray(pixels).save(root / f"{i:03d}.png")
    return root


@pytest.fixture
def chosen(tmp_path: Path) -> Data:
    folders = folder(tmp_path / "x", 24, seed=1), folder(tmp_path / "y", 30, seed=2)
    return Data(folders=tuple(map(str, folders)), size=20, enlarge=1.25, held_back=2)


class Counting:
    """Reads pictures, and knows which."""

    def __init__(self) -> None:
        self.read = list[str]()

    def __call__(self, path: Path) -> NDArray[np.uint8]:
        self.read.append(path.name)
        return read_rgb(path)


def drawn(data: Data, found: Scan | None, *, workers: int = 0, settle_from: int | None = None) -> list[list[Tensor]]:
    batches = Batches(data, batch=2, seed=5, workers=workers, scan=found)
    batches.settle_from = settle_from
    return [*itertools.islice(batches.starting(3), 30), batches.held_back(), batches.examples(9)]


def alike(here: list[list[Tensor]], there: list[list[Tensor]]) -> bool:
    pairs = zip(here, there, strict=True)
    return all(torch.equal(h, t) for one, other in pairs for h, t in zip(one, other, strict=True))


def stores() -> list[Path]:
    return sorted(home().glob("*.pictures"))


@pytest.mark.parametrize(("workers", "fit"), [(0, "stretch"), (0, "cover"), (2, "cover")])
def test_what_is_drawn_is_the_same_to_the_bit(chosen: Data, workers: int, fit: str) -> None:
    data = replace(chosen, fit="stretch" if fit == "stretch" else "cover", settle=True)
    plain = drawn(data, None, settle_from=20)
    found = scan(data)
    assert len(stores()) == 4, "for each domain the usual and the settled size"
    reader = Counting()
    batches = Batches(data, batch=2, seed=5, scan=found)
    batches.draws.read = reader
    list(itertools.islice(batches.starting(0), 30))
    assert not reader.read, "nothing is decoded any more"
    assert alike(drawn(data, found, workers=workers, settle_from=20), plain)
    assert not alike(plain, drawn(data, found)), "settled draws differ"


def test_every_picture_is_decoded_once_for_the_scan_and_the_store(chosen: Data) -> None:
    reader = Counting()
    found = scan(chosen, read=reader)
    assert len(reader.read) == 54
    reader.read.clear()
    again = scan(chosen, earlier=found, read=reader)
    assert again == found
    assert not reader.read
    stores()[0].unlink()
    scan(chosen, earlier=found, read=reader)
    assert len(reader.read) in (24, 30), "the one that is missing is made anew, the other is not"
    assert len(stores()) == 2


def test_a_folder_that_moves_takes_its_store_along(chosen: Data, tmp_path: Path) -> None:
    found = scan(chosen)
    shutil.copytree(tmp_path / "x", tmp_path / "moved" / "x")
    shutil.rmtree(tmp_path / "x")
    moved = replace(chosen, folders=(str(tmp_path / "moved" / "x"), chosen.folders[1]))
    reader = Counting()
    there = scan(moved, earlier=found, read=reader)
    assert not reader.read
    assert there.fingerprint == found.fingerprint
    assert alike(drawn(moved, there), drawn(moved, None))
    assert len(stores()) == 2


def test_another_size_is_another_store(chosen: Data) -> None:
    found = scan(chosen)
    other = replace(chosen, size=24)
    assert alike(drawn(other, found), drawn(other, None)), "not stored in that size: decoded"
    assert alike(drawn(other, scan(other, earlier=found)), drawn(other, None))
    assert len(stores()) == 4


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_store_that_was_cut_is_made_anew(chosen: Data, share: float) -> None:
    found, plain = scan(chosen), drawn(chosen, None)
    for path in stores():
        os.truncate(path, int(path.stat().st_size * share))
    assert alike(drawn(chosen, found), plain)
    again = scan(chosen, earlier=found)
    assert not again.unstored
    reader = Counting()
    batches = Batches(chosen, batch=2, seed=5, scan=again)
    batches.draws.read = reader
    list(itertools.islice(batches.starting(0), 30))
    assert not reader.read


def test_no_flipped_bit_is_ever_drawn(chosen: Data) -> None:
    """Bits of pixels, of the index and of the footer: what is damaged is decoded again."""
    found, plain = scan(chosen), drawn(chosen, None)
    path = max(stores(), key=lambda p: p.stat().st_size)
    whole = path.read_bytes()
    places = [*range(0, len(whole), len(whole) // 40), *range(len(whole) - 60, len(whole), 5)]
    noticed = 0
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        reader = Counting()
        batches = Batches(chosen, batch=2, seed=5, scan=found)
        batches.draws.read = reader
        got = list(itertools.islice(batches.starting(3), 30))
        assert alike(got, plain[:30])
        noticed += bool(reader.read)
    assert noticed >= len(places) - 15, "all but those in pictures that are held back"


def test_a_picture_that_vanishes_is_still_drawn(chosen: Data) -> None:
    found, plain = scan(chosen), drawn(chosen, None)
    batches = Batches(chosen, batch=2, seed=5, scan=found)
    for path in batches.domains[0].train:
        path.unlink()
    assert alike(list(itertools.islice(batches.starting(3), 30)), plain[:30])


def test_stores_reach_workers_that_are_not_forked(chosen: Data) -> None:
    batches = Batches(chosen, batch=2, seed=5, scan=scan(chosen))
    first = batches.draws[0]  # now the file is mapped
    sent = pickle.dumps(batches.draws)
    assert len(sent) < sum(path.stat().st_size for path in stores()) / 3, "the pictures stay where they are"
    assert all(torch.equal(h, t) for h, t in zip(pickle.loads(sent)[0][0], first[0], strict=True))


@pytest.mark.parametrize("cache_gb", [0.0, 1e-6, 5e-5])
def test_without_room_pictures_are_decoded_as_they_are_drawn(chosen: Data, cache_gb: float) -> None:
    """Nothing is kept where stores are unwanted, where they obviously do not fit, and where that turns out late."""
    data = replace(chosen, cache_gb=cache_gb)
    found = scan(data)
    assert not stores()
    assert not list(home().glob(".*")) if home().exists() else cache_gb == 0
    assert bool(found.unstored) == bool(cache_gb)
    assert all("data.cache_gb" in why for why in found.unstored)
    assert alike(drawn(data, found), drawn(data, None))


@pytest.fixture
def small_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_refuses_costs_time_only(chosen: Data, small_files: None) -> None:
    found = scan(chosen)
    assert found.unstored == ("File too large",)
    assert not list(home().iterdir())
    assert len(found.albums[0].usable) == 24


def test_a_home_that_cannot_be_written_costs_time_only(chosen: Data, own_home: Path) -> None:
    own_home.write_text("a file where a folder should be")
    found = scan(chosen)
    assert "home" in found.unstored[0]
    assert alike(drawn(chosen, found), drawn(chosen, None))


def test_an_interrupted_scan_leaves_nothing(chosen: Data) -> None:
    def tell(done: int, of: int) -> None:
        assert of == 54
        if done == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan(chosen, tell=tell)
    assert not list(home().iterdir())


def test_what_was_not_used_for_longest_goes_first(chosen: Data) -> None:
    home().mkdir(parents=True)
    for age, name in enumerate(["new", "middle", "old"]):
        path = home() / f"{name}.pictures"
        path.write_bytes(bytes(1000))
        os.utime(path, (10**9 - age, 10**9 - age))
    room = Room(replace(chosen, cache_gb=1500 / 2**30))
    room.tidy([home() / "old.pictures"])
    assert [path.stem for path in stores()] == ["old"], "what is in use stays"
    path.with_stem("new").write_bytes(bytes(400))
    room.tidy([])
    assert [path.stem for path in stores()] == ["new", "old"]
