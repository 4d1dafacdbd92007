"""A run goes on with the pictures it was begun with, wherever they lie, unless a person says otherwise."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from PIL import Image

from cyclegan.errors import InputError, UsageError
from cyclegan.training.run import train
from cyclegan.training.survey import MEMORY


def go(folders: tiny.Folders, run: Path, *overrides: str, **options: Any) -> list[str]:
    """Train for a step or two, and return the notes that were told."""
    told: list[str] = []
    chosen = tiny.experiment(folders, "training.decay=0", *overrides)
    train(chosen, run, device="cpu", workers=0, tell=lambda line: told.append(line.get("note", "")), **options)
    return [note for note in told if note]


def change(folders: tiny.Folders) -> None:
    """Add a picture to the first folder, remove one of the second, and exchange one."""
    first, second = folders
    pixels = np.random.default_rng(9).integers(0, 255, (20, 24, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(first / "new.png")
    Image.fromarray(pixels).save(second / "04.png")
    (second / "05.png").unlink()


def test_changed_folders_are_named_and_need_consent(tmp_path: Path) -> None:
    folders, run = tiny.draw_folders(tmp_path), tmp_path / "run"
    go(folders, run, "training.images=2")
    before = (run / MEMORY).read_bytes()
    change(folders)
    for _ in range(2):  # a refused scan must not be taken for the old one the next time
        with pytest.raises(UsageError, match=r"x: 1 added \(new.png\); y: 1 removed, 1 changed") as caught:
            go(folders, run, "training.images=4")
        assert "--allow-changed-data" in caught.value.hint
        assert (run / MEMORY).read_bytes() == before
    go(folders, run, "training.images=4", changed_data=True)
    go(folders, run, "training.images=6")  # from now on they are the run's pictures


def test_folders_may_move(tmp_path: Path) -> None:
    folders, run = tiny.draw_folders(tmp_path), tmp_path / "run"
    go(folders, run, "training.images=2")
    moved = tuple(shutil.copytree(folder, tmp_path / "elsewhere" / folder.name) for folder in folders)
    assert len(moved) == 2
    go((moved[0], moved[1]), run, "training.images=4")


def test_what_lies_in_the_folders_is_said_once(tmp_path: Path) -> None:
    folders, run = tiny.draw_folders(tmp_path), tmp_path / "run"
    Image.new("RGB", (24, 20), (9, 9, 9)).save(folders[0] / "flat.png")
    (folders[1] / "cut.png").write_bytes((folders[1] / "03.png").read_bytes()[:200])
    told = go(folders, run, "training.images=2")
    assert [note for note in told if note.startswith("x: 20 pictures, 24 × 20")]
    assert [note for note in told if "1 of one colour left out" in note and "flat.png" in note]
    assert [note for note in told if "1 of 21 files cannot be read" in note]
    with pytest.raises(InputError, match=r"flat\.png: all of one colour \(and 1 more\)"):
        go(folders, tmp_path / "strict", "training.images=2", strict=True)
