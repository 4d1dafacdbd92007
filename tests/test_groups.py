"""Small groups: a planted one is found whole and alone, and it is known whether the other folder has its like."""

import math

import planted
import pytest
import torch
from torch import Tensor

from cyclegan.curation.descriptor import describe
from cyclegan.curation.groups import counterpart, has_counterpart, principal, small_groups, thinness


def features(folder: planted.Planted) -> Tensor:
    """Describe pictures so that a picture and its mirror image are the same."""
    return (describe(folder.pictures) + describe(folder.pictures.flip(3))) / 2


@pytest.fixture(scope="module")
def horses() -> planted.Planted:
    return planted.folder("horse", 400, seed=5)


def test_the_planted_group_is_found_nearly_whole_and_pure(horses: planted.Planted) -> None:
    rare = horses.where("rare")
    groups = small_groups(features(horses), set_aside=horses.where("junk"))
    assert len(groups) == 1
    assert rare[groups[0]].double().mean() >= 0.9
    assert rare[groups[0]].sum() >= 0.75 * rare.sum()


def test_what_is_set_aside_belongs_to_no_group(horses: planted.Planted) -> None:
    rare = horses.where("rare")
    found = small_groups(features(horses), set_aside=horses.where("junk") | rare)
    assert not any(bool(rare[group].any()) for group in found)


def test_a_folder_without_a_group_has_none() -> None:
    points = torch.randn(600, 12, generator=torch.Generator().manual_seed(0))
    assert small_groups(points, set_aside=torch.zeros(600, dtype=torch.bool)) == []


@pytest.mark.parametrize("size", [20, 30, 150])
def test_a_blob_is_a_group_only_while_it_is_small(size: int) -> None:
    generator = torch.Generator().manual_seed(1)
    dense = torch.randn(500 - size, 8, generator=generator) * torch.linspace(2, 1, 8)
    away = torch.randn(size, 8, generator=generator) * 1.5 + 12 * torch.eye(8)[7]
    found = small_groups(torch.cat([dense, away]), set_aside=torch.zeros(500, dtype=torch.bool))
    assert found == ([list(range(500 - size, 500))] if size < 100 else [])


@pytest.mark.parametrize("count", [0, 1, 12])
def test_tiny_folders_have_no_groups(count: int) -> None:
    assert small_groups(torch.zeros(count, 20), set_aside=torch.zeros(count, dtype=torch.bool)) == []


@pytest.mark.parametrize(("rare", "expected"), [(0.05, True), (0.0, False)])
def test_a_counterpart_is_seen_through_another_coat(horses: planted.Planted, rare: float, expected: bool) -> None:
    zebras = planted.folder("zebra", 300, seed=5, rare=rare)
    group, here, there = horses.where("rare").nonzero()[:, 0].tolist(), features(horses), features(zebras)
    assert has_counterpart(group, here, there) is expected
    assert counterpart(group, here, there) <= 1.2 * rare * 300


def test_principal_components_have_variance_one_and_leave_noise_out() -> None:
    generator = torch.Generator().manual_seed(2)
    plane = torch.randn(300, 2, generator=generator) @ torch.randn(2, 9, generator=generator)
    rows = torch.cat([plane + 1e-4 * torch.randn(300, 9, generator=generator), torch.full((1, 9), 1000.0)])
    points = principal(rows, ordinary=torch.arange(301) < 300)
    assert points.shape == (301, 2)
    torch.testing.assert_close(points[:300].T.cov(), torch.eye(2, dtype=torch.float64))


def test_thinness_is_told_in_logs_of_distance() -> None:
    points = torch.randn(200, 3, generator=torch.Generator().manual_seed(3))
    told = thinness(torch.cat([points, 1000 + 4 * points]))
    assert (told[200:] - told[:200]).double().mean() == pytest.approx(math.log(4))
