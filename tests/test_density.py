"""Mahalanobis distances of a known normal distribution, and that ordinary pictures are seldom called unlike."""

import math

import pytest
import torch
from torch import Tensor

from cyclegan.curation.density import ENOUGH, Axes, Gaussian, Typicality


def dice(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(count: int, *, seed: int) -> Tensor:
    """Draw what descriptors look like: 120 columns of different units that hang together, with heavy tails."""
    mixing = torch.randn(60, 120, generator=dice(0)) * torch.logspace(0, -1.5, 60)[:, None]
    chance = dice(seed)
    causes = torch.randn(count, 60, generator=chance) * (1 + 0.5 * torch.rand(count, 1, generator=chance))
    noise = 0.2 * torch.randn(count, 120, generator=chance)
    return (causes @ mixing + noise) * torch.logspace(-2, 2, 120)


def test_gaussian_by_hand() -> None:
    """Σ = [[4, 2], [2, 5]], so Σ⁻¹ = [[5, -2], [-2, 4]] / 16 and the square of (2, 3) is (20 - 24 + 36) / 16."""
    gaussian = Gaussian(torch.tensor([1.0, 1.0]).double(), torch.tensor([[2.0, 0.0], [1.0, 2.0]]).double())
    assert gaussian.squares(torch.tensor([[1.0, 1.0], [3.0, 4.0]])).tolist() == pytest.approx([0, 2])


def test_a_known_gaussian_is_found_among_junk() -> None:
    triangle = torch.tensor([[2.0, 0, 0], [1, 2, 0], [0, -1, 0.5]])
    points = torch.randn(4000, 3, generator=dice(1)) @ triangle.T + torch.tensor([5.0, -3, 0])
    points[:120] = torch.tensor([60.0, 60, 60]) + torch.randn(120, 3, generator=dice(2))
    gaussian = Gaussian.fit(points)
    assert torch.allclose(gaussian.mean.float(), torch.tensor([5.0, -3, 0]), atol=0.12)
    covariance = (gaussian.triangle @ gaussian.triangle.T).float()
    assert torch.allclose(covariance, triangle @ triangle.T, rtol=0.1, atol=0.15)
    squares = gaussian.squares(points[120:])
    assert float(squares.mean()) == pytest.approx(3, rel=0.06)  # of χ² with three degrees of freedom
    assert float((squares > 7.815).double().mean()) == pytest.approx(0.05, abs=0.012)
    plain = Gaussian.fit(points, keep=1.0, rounds=0)
    assert float(plain.squares(points[:120]).min()) < 60 < float(gaussian.squares(points[:120]).min())


def test_axes_split_what_lies_along_them_from_what_lies_off() -> None:
    direction = torch.tensor([1.0, 1, 1, 1])
    rows = torch.randn(500, 1, generator=dice(1)) * direction + 0.01 * torch.randn(500, 4, generator=dice(2))
    axes = Axes.fit(rows, count=1)
    along, off = axes.split(torch.stack([3 * direction, torch.tensor([1.0, -1, 1, -1])]))
    assert abs(float(along[0])) == pytest.approx(6, rel=0.1)  # |3 (1, 1, 1, 1)|
    assert abs(float(along[1])) < 0.2
    assert off.tolist() == pytest.approx([0, 2], abs=0.25)


@pytest.mark.parametrize(("count", "seeds"), [(60, 12), (200, 6), (1000, 2)])
def test_of_new_ordinary_pictures_at_most_one_of_a_hundred_is_unlike(count: int, seeds: int) -> None:
    held_back = pictures(2000, seed=999)
    noted, beyond, naive = [], [], []
    for seed in range(seeds):
        seen = pictures(count, seed=seed + 1)
        model = Typicality.fit(seen)
        noted.append(float(model.unlike(held_back).double().mean()))
        beyond.append(float((model.unusualness(held_back) > 0.995).double().mean()))
        fitted = model.distances(seen)
        naive.append(float((model.distances(held_back) > fitted.quantile(0.995)).double().mean()))
    assert sum(noted) / seeds <= 0.01
    assert sum(beyond) / seeds <= 0.005 + 1.5 / count
    if count <= 200:
        assert sum(naive) / seeds > 0.015  # what cross-validation is for


def test_unusualness_is_the_share_of_held_back_pictures() -> None:
    model = Typicality.fit(pictures(800, seed=1))
    shares = model.unusualness(pictures(4000, seed=2))
    for level in (0.1, 0.5, 0.9):
        assert float((shares < level).double().mean()) == pytest.approx(level, abs=0.05)
    assert float(shares.min()) >= 0
    assert float(shares.max()) <= 1
    order = model.distances(pictures(100, seed=3)).argsort()
    assert bool((model.unusualness(pictures(100, seed=3))[order].diff() >= 0).all())


def test_what_hangs_together_otherwise_is_unlike() -> None:
    model = Typicality.fit(pictures(400, seed=1))
    new = pictures(200, seed=2)
    apart = torch.stack([column[torch.randperm(200, generator=dice(i))] for i, column in enumerate(new.T)], 1)
    assert float(model.unlike(apart).double().mean()) > 0.9  # every column ordinary, no row
    assert float(model.unlike(new * 4).double().mean()) > 0.9
    assert bool((model.unusualness(new * 40) == 1).all())


def test_units_do_not_matter() -> None:
    seen, new = pictures(200, seed=1), pictures(50, seed=2)
    units = torch.logspace(3, -3, 120)
    there = Typicality.fit(seen * units + 1).distances(new * units + 1)
    assert torch.allclose(there, Typicality.fit(seen).distances(new), rtol=1e-2)


def test_what_is_stored_answers_the_same_and_is_small() -> None:
    model, new = Typicality.fit(pictures(300, seed=1)), pictures(50, seed=2)
    tensors = model.tensors()
    assert sum(t.numel() * t.element_size() for t in tensors.values()) < 300_000
    assert all(t.dtype == torch.float32 and t.is_contiguous() for t in tensors.values())
    again = Typicality.from_tensors({name: t.clone() for name, t in tensors.items()})
    assert torch.equal(again.distances(new), model.distances(new))
    assert torch.equal(again.unlike(new), model.unlike(new))
    assert torch.equal(again.unusualness(new), model.unusualness(new))


def test_there_are_never_more_axes_than_a_fifth_of_the_pictures() -> None:
    assert Typicality.fit(pictures(60, seed=1)).basis.shape == (120, 12)
    assert Typicality.fit(pictures(400, seed=1)).basis.shape == (120, 40)
    assert Typicality.fit(pictures(400, seed=1)[:, :9]).basis.shape == (9, 9)  # nothing lies off all axes then


def test_few_or_equal_pictures_are_no_fault() -> None:
    new = pictures(5, seed=9)
    for count in (1, 2, 7, ENOUGH - 1):
        model = Typicality.fit(pictures(count, seed=1))
        assert bool(model.distances(new).isfinite().all())
        assert not bool(model.unlike(100 * new).any())
        assert float(model.limit) == math.inf
    same = Typicality.fit(torch.ones(60, 20))
    assert same.unlike(torch.stack([torch.ones(20), torch.zeros(20)])).tolist() == [False, True]


def test_what_is_not_a_number_is_refused() -> None:
    features = pictures(50, seed=1)
    features[3, 4] = torch.nan
    with pytest.raises(AssertionError):
        Typicality.fit(features)
