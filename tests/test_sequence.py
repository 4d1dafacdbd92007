"""A folder of numbered pictures is a film: in the order of the numbers, under the same names."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cyclegan.errors import InputError
from cyclegan.media.image import read_picture
from cyclegan.media.sequence import Sequence, SequenceWriter, numbered


def frames(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for level, name in enumerate(names):
        Image.new("RGB", (6, 4), (level, 0, 0)).save(folder / name)
    return folder


def test_frames_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    names = ["f2.png", "f10.png", "f9.png", "f0009b.png", "a/1.png"]
    sequence = Sequence(frames(tmp_path, *[n for n in names if "/" not in n]), rate=Fraction(30000, 1001))
    assert [path.name for path in sequence.paths] == ["f2.png", "f9.png", "f0009b.png", "f10.png"]
    assert [(frame.pts, frame.pixels[0, 0, 0]) for frame in sequence] == [(0, 0), (1, 2), (2, 3), (3, 1)]
    assert sequence.clock == Fraction(1001, 30000)
    assert sequence.seconds == pytest.approx(4 * 1001 / 30000)
    assert sorted(["٣.png", "3.png", "x.png", "-1.png"], key=lambda n: numbered(Path(n)))  # digits of all scripts


def test_a_damaged_frame_is_left_out_and_named(tmp_path: Path) -> None:
    folder = frames(tmp_path, "1.png", "2.png", "3.png")
    (folder / "2.png").write_bytes(b"no picture")
    sequence = Sequence(folder)
    assert [frame.pts for frame in sequence] == [0, 2]
    assert sequence.lost is not None
    assert sequence.lost.startswith("1 of 3 frames")
    assert "2.png" in sequence.lost


def test_frames_are_written_under_their_names(tmp_path: Path) -> None:
    sequence = Sequence(frames(tmp_path / "in", "f1.png", "f2.bmp"))
    with SequenceWriter(tmp_path / "out", like=sequence) as writer:
        for frame in sequence:
            writer.write(frame)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["f1.png", "f2.bmp"]
    assert np.array_equal(read_picture(tmp_path / "out" / "f2.bmp").pixels, read_picture(sequence.paths[1]).pixels)


def test_what_would_overwrite_is_refused(tmp_path: Path) -> None:
    sequence = Sequence(frames(tmp_path / "in", "f1.png", "f1.bmp"))
    with pytest.raises(InputError, match="would overwrite"):
        SequenceWriter(tmp_path / "in" / ".." / "in", like=sequence)
    with pytest.raises(InputError, match="two frames of one name"):
        SequenceWriter(tmp_path / "out", like=sequence, suffix=".png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no pictures"):
        Sequence(tmp_path / "empty")
