"""Mixtures against torch.distributions, blobs that are known, and their own draws."""

import torch
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from cyclegan.curation.mixture import Mixture

CENTRES = torch.tensor([[0.0, 0, 0], [8, 0, 0], [0, -9, 4]])
SHARES = (0.5, 0.3, 0.2)


def dice(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blobs(count: int, *, seed: int = 0) -> Tensor:
    parts = [
        centre + (i + 1) / 2 * torch.randn(round(share * count), 3, generator=dice(seed + i))
        for i, (centre, share) in enumerate(zip(CENTRES, SHARES, strict=True))
    ]
    return torch.cat(parts)


def of_torch(mixture: Mixture) -> MixtureSameFamily:
    parts = MultivariateNormal(mixture.means, scale_tril=mixture.triangles)
    return MixtureSameFamily(Categorical(mixture.weights), parts)


def test_log_prob_is_that_of_torch() -> None:
    mixture, points = Mixture.fit(blobs(500), components=4), 5 * torch.randn(200, 3, generator=dice(9))
    assert torch.allclose(mixture.log_prob(points), of_torch(mixture).log_prob(points.double()))


def test_three_blobs_are_found() -> None:
    for seed in range(5):
        mixture = Mixture.fit(blobs(3000), components=3, seed=seed)
        order = torch.cdist(CENTRES.double(), mixture.means).argmin(1)
        assert sorted(order.tolist()) == [0, 1, 2]
        assert torch.allclose(mixture.means[order].float(), CENTRES, atol=0.15)
        assert torch.allclose(mixture.weights[order].float(), torch.tensor(SHARES), atol=0.01)
        variances = (mixture.triangles @ mixture.triangles.mT).diagonal(dim1=1, dim2=2).mean(1)
        assert torch.allclose(variances[order].float(), torch.tensor([0.25, 1, 2.25]), rtol=0.12)


def test_one_component_is_mean_and_covariance() -> None:
    points = blobs(400)
    mixture = Mixture.fit(points, components=1)
    assert torch.allclose(mixture.means[0].float(), points.mean(0), atol=1e-4)
    covariance = (mixture.triangles @ mixture.triangles.mT)[0].float()
    assert torch.allclose(covariance, torch.cov(points.T, correction=0), atol=0.02)


def test_more_rounds_only_make_points_more_likely() -> None:
    points = blobs(600, seed=5)
    few, many = Mixture.fit(points, components=2), Mixture.fit(points, components=6)
    assert float(many.log_prob(points).mean()) > float(few.log_prob(points).mean())
    assert float(many.log_prob(blobs(600, seed=50)).mean()) > -7.5  # new points too: it is no hoard of spikes


def test_draws_have_the_moments_of_the_mixture() -> None:
    mixture = Mixture.fit(blobs(2000), components=3)
    draws, known = mixture.sample(40_000, generator=dice(3)), of_torch(mixture)
    assert draws.dtype == torch.float32
    assert torch.allclose(draws.mean(0).double(), known.mean, atol=0.1)
    assert torch.allclose(draws.var(0).double(), known.variance, rtol=0.03)
    assert torch.equal(draws, mixture.sample(40_000, generator=dice(3)))
    assert not torch.equal(draws, mixture.sample(40_000, generator=dice(4)))


def test_what_is_stored_is_the_same_mixture() -> None:
    mixture = Mixture.fit(blobs(300))
    again = Mixture.from_tensors(mixture.tensors())
    assert torch.equal(again.log_prob(blobs(50)), mixture.log_prob(blobs(50)))


def test_few_or_equal_points_are_no_fault() -> None:
    for points in (
        torch.ones(1, 4),
        torch.ones(50, 4),
        blobs(10)[:7],
        torch.cat([torch.zeros(90, 2), torch.ones(9, 2)]),
    ):
        mixture = Mixture.fit(points)
        assert bool(mixture.log_prob(points).isfinite().all())
        assert bool(mixture.sample(5, generator=dice(0)).isfinite().all())
