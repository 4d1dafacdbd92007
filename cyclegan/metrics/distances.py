"""Distances between two sets of features, (N, d) and (M, d) in float64: rows are pictures."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cyclegan.errors import UsageError

SUBSETS, DRAWN_FROM = 100, 2020  # torch-fidelity's count, and the seed that its published numbers are drawn with


@dataclass(frozen=True)
class KernelDistance:
    """A kernel distance, and what it is without each of the fakes, (N,), and without each of the real pictures, (M,).

    The difference of two is a KernelDistance as well. Where fake i of both was made of the same picture, and the real
    pictures are the same, its `error` is the paired one: luck of the draw that both share cancels.
    """

    value: float
    without_fake: Tensor
    without_real: Tensor

    @property
    def error(self) -> float:
        """The standard error, estimated by leaving out each picture in turn (jackknife; Efron and Stein 1981)."""
        variance = 0.0
        for left_out in (self.without_fake, self.without_real):
            n = len(left_out)
            variance += float((left_out - left_out.mean()).square().sum()) * (n - 1) / n
        return math.sqrt(variance)

    def __sub__(self, other: "KernelDistance") -> "KernelDistance":
        return KernelDistance(
            self.value - other.value,
            self.without_fake - other.without_fake,
            self.without_real - other.without_real,
        )


def kernel_distance(fakes: Tensor, reals: Tensor) -> KernelDistance:
    """Return the kernel distance; two draws of one distribution are 0 apart on average.

    Bińkowski et al. 2018, §3.2: the unbiased squared MMD of the kernel (x·y/d + 1)³, here on all the pictures. Both
    sets need three.
    """
    xx, yy, xy = _kernel(fakes, fakes), _kernel(reals, reals), _kernel(fakes, reals)
    return KernelDistance(_unbiased(xx, yy, xy), _without_each(xx, yy, xy), _without_each(yy, xx, xy.T))


def kid(fakes: Tensor, reals: Tensor) -> tuple[float, float]:
    """Return the kernel distance and its standard error."""
    distance = kernel_distance(fakes, reals)
    return distance.value, distance.error


def kid_of_subsets(fakes: Tensor, reals: Tensor, *, size: int) -> tuple[float, float]:
    """Return mean and standard deviation of the kernel distance over 100 random subsets of `size` pictures.

    This is the published protocol: the subsets are those that torch-fidelity draws. Raises UsageError where a set
    holds fewer pictures.
    """
    smaller = min(len(fakes), len(reals))
    if not 2 <= size <= smaller:
        raise UsageError(f"--kid-size {size}: subsets of 2 to {smaller} pictures fit these sets", hint="choose fewer")
    chance = np.random.RandomState(DRAWN_FROM)
    found = []
    for _ in range(SUBSETS):
        f, r = (s[torch.from_numpy(chance.choice(len(s), size, replace=False))] for s in (fakes, reals))
        found.append(_unbiased(_kernel(f, f), _kernel(r, r), _kernel(f, r)))
    return float(np.mean(found)), float(np.std(found))


def fid(fakes: Tensor, reals: Tensor) -> float:
    """Return the Fréchet distance of the two normal distributions with the sets' means and covariances.

    Heusel et al. 2017, eq. 6: |μ₁ - μ₂|² + tr(Σ₁ + Σ₂ - 2 (Σ₁ Σ₂)^½). With Σ = AᵀA, the last trace is the sum of the
    singular values of A₁ A₂ᵀ: exact also where there are fewer pictures than features and Σ has no full rank.
    """
    first, second = _factor(fakes), _factor(reals)
    means = (fakes.mean(0) - reals.mean(0)).square().sum()
    spreads = first.square().sum() + second.square().sum()
    return float(means + spreads - 2 * torch.linalg.matrix_norm(first @ second.T, ord="nuc"))


def diversity(fakes: Tensor, reals: Tensor) -> float:
    """Return how far fakes are spread around their mean, as a share of what reals are: near 0, all look alike."""
    return float((_factor(fakes).square().sum() / _factor(reals).square().sum()).sqrt())


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1).pow(3)


def _unbiased(xx: Tensor, yy: Tensor, xy: Tensor) -> float:
    n, m = xy.shape
    apart = 2 * xy.sum() / (n * m)
    return float((xx.sum() - xx.trace()) / (n * (n - 1)) + (yy.sum() - yy.trace()) / (m * (m - 1)) - apart)


def _without_each(xx: Tensor, yy: Tensor, xy: Tensor) -> Tensor:
    """Return the n distances with one of the first set left out, taken from sums of rows: (n,)."""
    n, m = xy.shape
    inside = xx.sum() - xx.trace() - 2 * (xx.sum(1) - xx.diagonal())
    outside = xy.sum() - xy.sum(1)
    constant = (yy.sum() - yy.trace()) / (m * (m - 1))
    return inside / ((n - 1) * (n - 2)) + constant - 2 * outside / ((n - 1) * m)


def _factor(features: Tensor) -> Tensor:
    """Return A with AᵀA the covariance (divided by n - 1), and never more rows than features."""
    centred: Tensor = (features - features.mean(0)) / (len(features) - 1) ** 0.5
    return torch.linalg.qr(centred, mode="r").R if len(centred) > centred.shape[1] else centred


def witness(fakes: Tensor, reals: Tensor) -> Tensor:
    """Return, for each fake, how much more like the other fakes than like the reals it is: the larger, the worse.

    Gretton et al. 2012, §2.3, with the kernel of `kid`.
    """
    among = _kernel(fakes, fakes)
    return (among.sum(1) - among.diagonal()) / (len(fakes) - 1) - _kernel(fakes, reals).mean(1)
