"""Neighbours against brute force, the local outlier factor against values worked out by hand."""

import pytest
import torch
from torch import Tensor

from cyclegan.curation import neighbours
from cyclegan.curation.neighbours import components, local_outlier_factor, nearest, robust_z, whiten


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("block", [1, 1000, 1 << 21])
def test_blocks_are_brute_force(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "_BLOCK", block)
    rows, others = drawn(70, 5), drawn(90, 5, seed=1)
    every = (rows[:, None].double() - others.double()).square().sum(2).sqrt().sort(1)
    distances, indices = nearest(rows, 4, among=others)
    assert torch.allclose(distances, every.values[:, :4])
    assert torch.equal(indices, every.indices[:, :4])
    every = (rows[:, None].double() - rows.double()).square().sum(2).sqrt().fill_diagonal_(torch.inf).sort(1)
    distances, indices = nearest(rows, 4)
    assert torch.allclose(distances, every.values[:, :4])
    assert torch.equal(indices, every.indices[:, :4])


def test_far_from_the_origin_equal_rows_are_exactly_0_apart() -> None:
    rows = 1e6 + drawn(40, 30)
    rows[7] = rows[31]
    distances, indices = nearest(rows, 1)
    assert (float(distances[7]), int(indices[7]), int(indices[31])) == (0, 31, 7)
    assert float(nearest(rows, 1, among=rows)[0].max()) == 0


def test_there_are_never_more_neighbours_than_others() -> None:
    assert nearest(drawn(3, 2), 10)[0].shape == (3, 2)
    assert nearest(drawn(3, 2), 10, among=drawn(4, 2))[1].shape == (3, 4)
    assert nearest(drawn(1, 2), 10)[1].shape == (1, 0)
    assert nearest(drawn(0, 2), 10)[1].shape == (0, 0)
    assert nearest(drawn(3, 2), 5, among=drawn(0, 2))[0].shape == (3, 0)


def test_local_outlier_factor_by_hand() -> None:
    """With k = 2: lrd(0) = lrd(2) = 2 / (1 + 2), lrd(1) = 2 / (2 + 2), lrd(10) = 2 / (8 + 9)."""
    factors = local_outlier_factor(torch.tensor([[0.0], [1.0], [2.0], [10.0]]), k=2)
    assert factors.tolist() == pytest.approx([7 / 8, 4 / 3, 7 / 8, 119 / 24])


def test_local_outlier_factor_is_invariant_to_scale_and_order() -> None:
    points = torch.cat([drawn(60, 3), 0.01 * drawn(30, 3, seed=1) + 5])
    factors, order = local_outlier_factor(points), torch.randperm(90, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(factors, local_outlier_factor(1000 * points + 3), rtol=1e-3)
    assert torch.allclose(factors[order], local_outlier_factor(points[order]))


def test_a_dense_small_group_is_not_odd_but_what_lies_just_outside_is() -> None:
    group, beside = 0.01 * drawn(30, 3, seed=1) + 8, torch.full((1, 3), 8.3)
    factors = local_outlier_factor(torch.cat([drawn(300, 3), group, beside]))
    assert float(factors[300:330].median()) < 1.2
    assert int(factors.argmax()) == 330


def test_equal_rows_leave_local_outlier_factors_finite() -> None:
    assert local_outlier_factor(torch.ones(20, 2)).tolist() == [1.0] * 20
    assert local_outlier_factor(torch.ones(1, 2)).tolist() == [1.0]
    factors = local_outlier_factor(torch.cat([drawn(50, 2), torch.zeros(30, 2)]))
    assert bool(factors.isfinite().all())
    assert float(factors[50:].max()) < 1.5


def test_robust_z_by_hand() -> None:
    """Median 3, absolute deviations 2 1 0 1 97, their median 1."""
    assert robust_z(torch.tensor([1.0, 2, 3, 4, 100])).tolist() == pytest.approx(
        [-2 / 1.4826, -1 / 1.4826, 0, 1 / 1.4826, 97 / 1.4826]
    )
    assert robust_z(torch.tensor([1.0, 3])).tolist() == pytest.approx([-1 / 1.4826, 1 / 1.4826])


def test_robust_z_where_most_values_are_one() -> None:
    assert robust_z(torch.tensor([5.0, 5, 5, 5, 15])).tolist() == pytest.approx([0, 0, 0, 0, 10 / (1.2533 * 2)])
    assert robust_z(torch.full((4,), 7.0)).tolist() == [0, 0, 0, 0]
    assert robust_z(torch.empty(0)).tolist() == []


def test_whitened_coordinates_are_uncorrelated_whatever_the_units() -> None:
    features = drawn(2000, 6) @ drawn(6, 12, seed=1)  # six numbers in twelve columns
    features[:60] = 50  # junk, which must not decide
    white = whiten(features * torch.logspace(-3, 3, 12), keep=0.999)[60:]
    assert white.shape[1] == 6
    spread = torch.cov(white.T)
    assert torch.allclose(spread, torch.diag(spread.diagonal()), atol=0.12)
    assert float(spread.diagonal().min()) > 0.8
    assert float(spread.diagonal().max()) < 1.5


def test_whitening_few_or_equal_rows_gives_numbers() -> None:
    assert whiten(drawn(30, 50)).shape[1] <= 6
    assert whiten(drawn(2, 50)).shape == (2, 1)
    assert float(whiten(torch.ones(20, 4)).abs().max()) == 0


def test_components_part_everything() -> None:
    assert components([(4, 2), (2, 6), (0, 5), (6, 4)], 7) == [[2, 4, 6], [0, 5], [1], [3]]
    assert components([], 2) == [[0], [1]]
    assert components([(i, i + 1) for i in range(9999)], 10_000) == [list(range(10_000))]
