"""Near-duplicates: what was saved again is found, what only looks alike is not."""

import planted
import pytest
import torch
from torch import Tensor

from cyclegan.curation.duplicates import ALIKE, Pair, difference, near_duplicates


@pytest.fixture(scope="module")
def folder() -> planted.Planted:
    return planted.folder("horse", 400, seed=11, junk=0.09, duplicates=21)


def test_every_planted_copy_is_found_and_nothing_else(folder: planted.Planted) -> None:
    found = {(pair.first, pair.second) for pair in near_duplicates(folder.pictures)}
    assert found == {(min(pair), max(pair)) for pair in folder.pairs}


def test_the_threshold_lies_well_apart_from_copies_and_from_look_alikes(folder: planted.Planted) -> None:
    first, second = (torch.tensor(side) for side in zip(*folder.pairs, strict=True))
    assert difference(folder.pictures[first], folder.pictures[second]).max() < 0.95 * ALIKE
    ordinary = folder.pictures[folder.where("ordinary")]
    assert difference(ordinary[:-1], ordinary[1:]).min() > 1.2 * ALIKE


def test_equal_pixels_differ_by_nothing_and_are_reported_once_each(folder: planted.Planted) -> None:
    pictures = folder.pictures[:40][torch.tensor([*range(40), 3, 3, 7])]
    exact = [pair for pair in near_duplicates(pictures) if pair.difference == 0]
    assert exact == [Pair(3, 40, 0.0), Pair(3, 41, 0.0), Pair(7, 42, 0.0)]


def test_pairs_across_folders_are_found_in_a_crowd_of_likes_within_them(folder: planted.Planted) -> None:
    one = folder.pictures[folder.kinds.index("ordinary")]
    crowd = torch.stack([brighter(one, 1 + 0.005 * i) for i in range(12)])
    pictures, groups = torch.cat([crowd, brighter(one, 0.9)[None]]), [0] * 12 + [1]
    found = near_duplicates(pictures, groups=groups)
    assert any(pair.second == 12 for pair in found)
    assert [pair.difference for pair in found] == sorted(pair.difference for pair in found)


def test_the_same_shape_in_another_colour_is_no_copy() -> None:
    white, black = (shirt(level) for level in (250, 30))
    assert not near_duplicates(torch.stack([white, black]))
    assert near_duplicates(torch.stack([white, brighter(white, 0.9)]))


def test_blank_pictures_are_alike_only_in_one_colour() -> None:
    blank = torch.tensor([(200, 30, 30), (202, 31, 30), (30, 30, 200), (200, 200, 200)], dtype=torch.uint8)
    found = near_duplicates(blank[:, :, None, None].expand(-1, -1, 64, 64).contiguous())
    assert [(pair.first, pair.second) for pair in found] == [(0, 1)]


@pytest.mark.parametrize("count", [0, 1])
def test_folders_too_small_for_pairs_have_none(count: int) -> None:
    assert near_duplicates(torch.zeros(count, 3, 64, 64, dtype=torch.uint8)) == []


def brighter(picture: Tensor, gain: float) -> Tensor:
    return (picture.float() * gain).round().clamp(0, 255).to(torch.uint8)


def shirt(level: int) -> Tensor:
    """Draw a shirt of one grey on a carpet."""
    picture = torch.full((3, 64, 64), 120, dtype=torch.uint8)
    picture[0] += 40
    picture[:, 12:56, 20:44] = level
    picture[:, 12:24, 8:56] = level
    return picture
