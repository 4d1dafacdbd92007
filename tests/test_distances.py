"""Distances between sets of features: torch-fidelity's numbers, closed forms, and errors that can be believed."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric

from cyclegan.errors import UsageError
from cyclegan.metrics.distances import diversity, fid, kernel_distance, kid, kid_of_subsets


def draw(count: int, width: int, *, seed: int, shift: float = 0.0) -> Tensor:
    """Draw correlated, positive features, as networks make them."""
    mixing = torch.randn(width, width, generator=torch.Generator().manual_seed(99), dtype=torch.float64)
    values = torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (values @ mixing / width**0.5 + shift).relu()


def theirs(fakes: Tensor, reals: Tensor, *, size: int) -> tuple[float, float, float]:
    options: dict[str, Any] = {"kid_subsets": 100, "kid_subset_size": size, "verbose": False}
    found = kid_features_to_metric(fakes, reals, **options)
    statistics = fid_features_to_statistics(fakes), fid_features_to_statistics(reals)
    distance = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    return found["kernel_inception_distance_mean"], found["kernel_inception_distance_std"], distance


@pytest.mark.parametrize(("n", "m", "width"), [(90, 70, 24), (30, 40, 64), (200, 20, 48), (64, 64, 64)])
def test_numbers_are_those_of_torch_fidelity(n: int, m: int, width: int) -> None:
    fakes, reals = draw(n, width, seed=1, shift=0.3), draw(m, width, seed=2)
    mean, deviation, distance = theirs(fakes, reals, size=18)
    assert kid_of_subsets(fakes, reals, size=18) == pytest.approx((mean, deviation), rel=1e-9)
    assert fid(fakes, reals) == pytest.approx(distance, rel=1e-4)


def test_all_pictures_at_once_are_the_subset_of_all() -> None:
    fakes, reals = draw(40, 16, seed=3, shift=0.2), draw(40, 16, seed=4)
    assert kid_of_subsets(fakes, reals, size=40) == pytest.approx((kid(fakes, reals)[0], 0), abs=1e-12)


def test_distance_of_two_features_by_hand() -> None:
    fakes = torch.tensor([[2.0], [2.0], [2.0]], dtype=torch.float64)
    reals = torch.tensor([[0.0], [0.0], [1.0]], dtype=torch.float64)
    among_fakes, among_reals, across = 5**3, 1, (1 + 1 + 3**3) / 3
    assert kid(fakes, reals)[0] == pytest.approx(among_fakes + among_reals - 2 * across)


def normal(mean: Tensor, covariance: Tensor) -> Tensor:
    """Return 2 d points whose mean and covariance (divided by n - 1) are exactly these."""
    width = len(mean)
    root = torch.linalg.cholesky(covariance)
    corners = torch.cat([torch.eye(width), -torch.eye(width)]).double() * ((2 * width - 1) / 2) ** 0.5
    return corners @ root.T + mean


def test_frechet_distance_of_normal_distributions_by_hand() -> None:
    zero, one = torch.zeros(3).double(), torch.ones(3).double()
    narrow, wide = torch.diag(torch.tensor([1.0, 4, 9])).double(), torch.diag(torch.tensor([4.0, 9, 16])).double()
    assert fid(normal(zero, narrow), normal(zero, narrow)) == pytest.approx(0, abs=1e-12)
    assert fid(normal(one, narrow), normal(zero, wide)) == pytest.approx(3 + 1 + 1 + 1)  # (1-2)², (2-3)², (3-4)²
    turned = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64)).Q
    first, second = turned @ narrow @ turned.T, turned @ wide @ turned.T
    assert fid(normal(zero, first), normal(zero, second)) == pytest.approx(3)


def test_frechet_distance_of_fewer_pictures_than_features() -> None:
    """What eigenvalues of a singular product lose is there: sets that differ by a known shift only."""
    reals = draw(30, 500, seed=6)
    assert fid(reals, reals) == pytest.approx(0, abs=1e-9)
    assert fid(reals + 0.1, reals) == pytest.approx(500 * 0.01, rel=1e-9)
    assert fid(reals * 3, reals) == pytest.approx(
        float((2 * reals.mean(0)).square().sum() + 4 * reals.var(0).sum()), rel=1e-9
    )


def test_error_is_that_of_the_jackknife_done_at_length() -> None:
    fakes, reals = draw(9, 5, seed=7, shift=0.4), draw(7, 5, seed=8)
    variance = 0.0
    for moved, sets in ((fakes, lambda s: (s, reals)), (reals, lambda s: (fakes, s))):
        left = torch.tensor([kid(*sets(torch.cat([moved[:i], moved[i + 1 :]])))[0] for i in range(len(moved))])
        variance += float((left.double() - left.double().mean()).square().sum()) * (len(moved) - 1) / len(moved)
    assert kid(fakes, reals)[1] == pytest.approx(variance**0.5, rel=1e-4)


def checkpoints(seed: int, *, apart: float, count: int = 40) -> tuple[Tensor, Tensor]:
    """Return features of what two checkpoints make of the same pictures: alike, but for something of their own."""
    shared, one, other = (draw(count, 8, seed=seed + number, shift=0.3) for number in (0, 1000, 2000))
    return shared + apart * one, shared + apart * other


def test_paired_error_is_that_of_the_jackknife_done_at_length() -> None:
    """Picture i is left out of both checkpoints at once, a real picture of both comparisons."""
    (one, other), reals = checkpoints(7, apart=0.5, count=9), draw(7, 8, seed=8)

    def left_out(rows: Tensor, place: int) -> Tensor:
        return torch.cat([rows[:place], rows[place + 1 :]])

    without_fake = [kid(left_out(one, i), reals)[0] - kid(left_out(other, i), reals)[0] for i in range(9)]
    without_real = [kid(one, left_out(reals, j))[0] - kid(other, left_out(reals, j))[0] for j in range(7)]
    variance = 0.0
    for left in (without_fake, without_real):
        mean = sum(left) / len(left)
        variance += sum((value - mean) ** 2 for value in left) * (len(left) - 1) / len(left)
    difference = kernel_distance(one, reals) - kernel_distance(other, reals)
    assert difference.value == pytest.approx(kid(one, reals)[0] - kid(other, reals)[0], rel=1e-12)
    assert difference.without_fake.tolist() == pytest.approx(without_fake, rel=1e-9)
    assert difference.without_real.tolist() == pytest.approx(without_real, rel=1e-9)
    assert difference.error == pytest.approx(variance**0.5, rel=1e-9)


@pytest.mark.parametrize(("apart", "least"), [(0.05, 5), (0.2, 2)])
def test_paired_errors_are_smaller_and_say_how_far_differences_stray(apart: float, least: float) -> None:
    """Of 300 pairs of checkpoints alike but for something of their own: no difference on average, and its spread."""
    differences, paired, unpaired = [], [], []
    for seed in range(300):
        reals = draw(30, 8, seed=seed + 5000)
        one, other = (kernel_distance(fakes, reals) for fakes in checkpoints(seed, apart=apart))
        differences.append((one - other).value)
        paired.append((one - other).error)
        unpaired.append((one.error**2 + other.error**2) ** 0.5)
    spread = float(torch.tensor(differences, dtype=torch.float64).std())
    assert abs(sum(differences)) / 300 < 3 * spread / 300**0.5
    assert sum(paired) / 300 == pytest.approx(spread, rel=0.2)
    assert sum(unpaired) > least * sum(paired)
    assert (one - one).error == 0


def test_draws_of_one_distribution_are_nothing_apart_on_average_and_the_error_says_how_far_they_stray() -> None:
    found = [kid(draw(40, 8, seed=s), draw(30, 8, seed=s + 5000)) for s in range(400)]
    values, errors = torch.tensor(found, dtype=torch.float64).T
    spread = float(values.std())
    assert abs(float(values.mean())) < 3 * spread / 400**0.5
    assert 0.5 * spread < float(errors.mean()) < 2 * spread
    apart = [kid(draw(40, 8, seed=s, shift=0.5), draw(30, 8, seed=s + 5000)) for s in range(400)]
    values, errors = torch.tensor(apart, dtype=torch.float64).T
    assert float(errors.mean()) == pytest.approx(float(values.std()), rel=0.2)


def test_more_shift_is_further() -> None:
    reals = draw(60, 12, seed=9)
    for measure in (lambda f: kid(f, reals)[0], lambda f: fid(f, reals)):
        values = [measure(draw(60, 12, seed=10, shift=s)) for s in (0, 0.2, 0.4, 0.8)]
        assert all(a < b for a, b in itertools.pairwise(values))


def test_diversity() -> None:
    reals = draw(30, 12, seed=11)
    assert diversity(reals, reals) == pytest.approx(1)
    assert diversity(reals * 0.25 + 7, reals) == pytest.approx(0.25)
    assert diversity(reals[:1].expand(30, -1), reals) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("size", [1, 21, 1000])
def test_subsets_that_do_not_fit_are_refused(size: int) -> None:
    with pytest.raises(UsageError, match="2 to 20 pictures"):
        kid_of_subsets(draw(40, 4, seed=1), draw(20, 4, seed=2), size=size)
