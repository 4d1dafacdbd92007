"""A sum of normal distributions, fitted to points: how dense it is anywhere, and new points from it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from cyclegan.curation.neighbours import nearest

_RIDGE = 1e-3  # of the mean variance, added to every covariance: few points cannot make one flat
_ROUNDS, _ENOUGH = 200, 1e-5  # EM ends when the mean log density rises by less, in nats
_LLOYD = 20  # rounds of k-means before


@dataclass(frozen=True)
class Mixture:
    """Holds p(x) = Σ_c w_c N(x; μ_c, L_c L_cᵀ): weights (K,), means (K, d), lower triangles (K, d, d), in float64."""

    weights: Tensor
    means: Tensor
    triangles: Tensor

    @classmethod
    def fit(cls, points: Tensor, *, components: int = 10, seed: int = 0) -> "Mixture":
        """Fit to points (N, d) by expectation and maximisation (Dempster et al. 1977), from a k-means++ start.

        There are at most N // (2 d) components, and at least one. The same seed gives the same mixture.
        """
        x = points.double()
        assert len(x) >= 1
        count = max(1, min(components, len(x) // (2 * x.shape[1])))
        ridge = max(_RIDGE * float(x.var(0, correction=0).mean()), 1e-12)
        shares = torch.nn.functional.one_hot(_k_means(x, count, seed=seed), count).double()
        before = -math.inf
        for _ in range(_ROUNDS):
            mixture = cls(*_maximised(x, shares, ridge))
            logs = mixture._joint(x)
            reached = float(logs.logsumexp(1).mean())
            if reached - before < _ENOUGH:
                break
            before, shares = reached, logs.softmax(1)
        return mixture

    def log_prob(self, points: Tensor) -> Tensor:
        """Return log p in nats of points (N, d) as float64 (N,)."""
        return self._joint(points.double()).logsumexp(1)

    def sample(self, count: int, *, generator: torch.Generator) -> Tensor:
        """Draw points as float32 (count, d); the same generator draws the same."""
        chosen = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        noise = torch.randn(count, self.means.shape[1], dtype=torch.float64, generator=generator)
        return (self.means[chosen] + torch.einsum("nij,nj->ni", self.triangles[chosen], noise)).float()

    def tensors(self) -> dict[str, Tensor]:
        """Return what from_tensors builds the same mixture from, to be kept in a file of weights."""
        return {"weights": self.weights, "means": self.means, "triangles": self.triangles}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> "Mixture":
        """Build the mixture that `tensors()` came from."""
        return cls(*(tensors[name].double() for name in ("weights", "means", "triangles")))

    def _joint(self, x: Tensor) -> Tensor:
        """Return log w_c + log N(x; μ_c, L_c L_cᵀ) for every point and component: (N, K)."""
        columns = []
        for weight, mean, triangle in zip(self.weights, self.means, self.triangles, strict=True):
            white = torch.linalg.solve_triangular(triangle, (x - mean).T, upper=False)
            volume = triangle.diagonal().log().sum() + x.shape[1] / 2 * math.log(2 * math.pi)
            columns.append(weight.log() - white.square().sum(0) / 2 - volume)
        return torch.stack(columns, 1)


def _maximised(x: Tensor, shares: Tensor, ridge: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return weights, means and triangles that fit best where `shares` (N, K) say whose each point is."""
    masses = shares.sum(0) + 1e-9  # a component that lost all its points stays a number
    means = shares.T @ x / masses[:, None]
    triangles = []
    for mass, mean, share in zip(masses, means, shares.T, strict=True):
        covariance = (x - mean).T @ (share[:, None] * (x - mean)) / mass
        covariance.diagonal().add_(ridge)
        triangles.append(torch.linalg.cholesky(covariance))
    return masses / masses.sum(), means, torch.stack(triangles)


def _k_means(x: Tensor, count: int, *, seed: int) -> Tensor:
    """Return which of `count` centres each point is nearest to, drawn as by Arthur and Vassilvitskii 2007."""
    generator = torch.Generator().manual_seed(seed)
    first = int(torch.randint(len(x), (1,), generator=generator))
    centres = x[first : first + 1]
    for _ in range(count - 1):
        squares = nearest(x, 1, among=centres)[0][:, 0].square() + 1e-30  # all points may be one
        centres = torch.cat([centres, x[torch.multinomial(squares, 1, generator=generator)]])
    for _ in range(_LLOYD):
        labels = nearest(x, 1, among=centres)[1][:, 0]
        one = torch.nn.functional.one_hot(labels, count).double()
        masses = one.sum(0)[:, None]
        centres = torch.where(masses > 0, one.T @ x / masses.clamp_min(1), centres)
    return labels
