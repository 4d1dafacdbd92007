"""How unusual a picture is among the pictures that a model was fitted to, and when that is worth a word.

Rows are pictures, columns any numbers that describe them: the descriptor's, a network's.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

import torch
from torch import Tensor

ENOUGH = 30  # pictures; of fewer nobody can say what is unlike them
_LEVELS = (*(i / 100 for i in range(98)), 0.99, 0.995, 1.0)  # of the 101 quantiles: finer where it matters
_ROWS = 5_000  # of a larger folder, that many, evenly spaced
_RIDGE = 1e-3  # of the mean variance
_FOLDS = 10
_TAIL = 0.2  # the share of distances that the tail's length is measured on


@dataclass(frozen=True)
class Gaussian:
    """Holds a normal distribution: mean (d,) and the lower triangle (d, d) of its covariance's Cholesky factors."""

    mean: Tensor
    triangle: Tensor

    @classmethod
    def fit(cls, points: Tensor, *, keep: float = 0.95, rounds: int = 3) -> "Gaussian":
        """Fit to the share `keep` of points (N, d) nearest to the fit before, `rounds` times over (trimming).

        Trimming makes a covariance too small: it is scaled so that the median Mahalanobis distance is that of a normal
        distribution.
        """
        x = points.double()
        kept = x
        for _ in range(rounds + 1):
            covariance = torch.cov(kept.T, correction=0).reshape(x.shape[1], x.shape[1])
            covariance.diagonal().add_(max(_RIDGE * float(covariance.diagonal().mean()), 1e-12))
            found = cls(kept.mean(0), torch.linalg.cholesky(covariance))
            squares = found.squares(x)
            kept = x[squares <= squares.quantile(keep)]
        d = x.shape[1]
        inflation = float(squares.quantile(0.5)) / (d * (1 - 2 / (9 * d)) ** 3)  # χ²'s median: Wilson and Hilferty 1931
        return cls(found.mean, found.triangle * math.sqrt(inflation)) if inflation > 0 else found

    def squares(self, points: Tensor) -> Tensor:
        """Return the squared Mahalanobis distances (x - μ)ᵀ Σ⁻¹ (x - μ) of points (N, d): (N,)."""
        white = torch.linalg.solve_triangular(self.triangle, (points.double() - self.mean).T, upper=False)
        squares: Tensor = white.square().sum(0)
        return squares


@dataclass(frozen=True)
class Axes:
    """Holds the principal axes (D, d) of features whose columns are brought to one spread, the longest first.

    Median and spread are robust, and of the rows the share `keep` nearest to the middle is looked at.
    """

    centre: Tensor
    scale: Tensor
    basis: Tensor
    variances: Tensor

    @classmethod
    def fit(cls, features: Tensor, *, count: int, keep: float = 0.95) -> "Axes":
        """Fit `count` axes, or as many as there are columns, to features (N, D)."""
        x = features.double()
        low, centre, high = x.quantile(x.new_tensor([0.05, 0.5, 0.95]), dim=0)
        spread = (high - low) / 3.29  # a standard deviation, where the column is normal
        spread = torch.where(spread > 0, spread, x.std(0, correction=0))
        scale = torch.where(spread > 0, spread, torch.ones_like(spread))
        rows = (x - centre) / scale
        lengths = rows.square().sum(1)
        kept = rows[lengths <= lengths.quantile(keep)]
        variances, basis = torch.linalg.eigh(torch.cov(kept.T, correction=0).reshape(x.shape[1], x.shape[1]))
        centre = centre + scale * kept.mean(0)
        return cls(centre, scale, basis.flip(1)[:, :count].contiguous(), variances.flip(0)[:count].clamp_min(0))

    def split(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return coordinates along the axes (N, d), and how far off all of them each row is (N,)."""
        rows = (features.double() - self.centre) / self.scale
        along = rows @ self.basis
        off = torch.linalg.vector_norm(rows - along @ self.basis.T, dim=1)
        return along, off


@dataclass(frozen=True)
class Typicality:
    """Tells how unusual features are among those it was fitted to.

    The distance joins two, each as a multiple of its median: Mahalanobis' along the principal axes, and how far off
    these axes. Medians and quantiles come from cross-validation: what a model was fitted to always looks more ordinary
    to it than new pictures do. On photographs their root mean square told 46 % of those of other data sets at 1 % of
    false notes, the larger of the two 40 %.
    """

    centre: Tensor
    scale: Tensor
    basis: Tensor
    mean: Tensor
    triangle: Tensor
    medians: Tensor  # (2,)
    quantiles: Tensor  # (101,) at _LEVELS
    limit: Tensor  # (), what is beyond is unlike

    @classmethod
    def fit(cls, features: Tensor, *, components: int = 40, keep: float = 0.95, rounds: int = 3) -> "Typicality":
        """Fit to features (N, D), N ≥ 1, with up to `components` axes and never more than N / 5.

        Leave out what is surely odd, such as a robust z of the log local outlier factor above 6: the 99.5th percentile
        of a folder with 3 % of junk is junk, and junk like it would pass. At z > 4 ordinary tails go too, and pictures
        like these would be noted (1.7 % of new ones).
        """
        assert len(features) >= 1
        assert features.isfinite().all()
        x = features[torch.linspace(0, len(features) - 1, min(len(features), _ROWS)).long()].double()
        along, off = _cross_validated(x, components=components, keep=keep, rounds=rounds)
        medians = torch.stack([along, off]).quantile(0.5, dim=1).clamp_min(1e-6)  # no axis is left off, or all are one
        axes, gaussian = _pair(x, components=components, keep=keep, rounds=rounds)
        distances = _joined(along, off, medians)
        found = cls(
            *(axes.centre, axes.scale, axes.basis, gaussian.mean, gaussian.triangle, medians),
            quantiles=distances.quantile(distances.new_tensor(_LEVELS)),
            limit=distances.new_tensor(_limit(distances)),
        )
        return cls.from_tensors(found.tensors())  # what is stored answers exactly like what was fitted

    def distances(self, features: Tensor) -> Tensor:
        """Return the distance of each row of features (N, D), about 1 for a typical one: (N,)."""
        axes = Axes(self.centre, self.scale, self.basis, variances=torch.empty(0))
        return _joined(*_measured(axes, Gaussian(self.mean, self.triangle), features), self.medians)

    def unusualness(self, features: Tensor) -> Tensor:
        """Return the share of the pictures fitted to that are less unusual, (N,) in [0, 1]."""
        distances, steps = self.distances(features), self.quantiles
        above = torch.searchsorted(steps, distances).clamp(1, len(steps) - 1)
        low, high, levels = steps[above - 1], steps[above], steps.new_tensor(_LEVELS)
        share = ((distances - low) / (high - low).clamp_min(1e-12)).clamp(0, 1)
        return levels[above - 1] + share * (levels[above] - levels[above - 1])

    def unlike(self, features: Tensor) -> Tensor:
        """Tell which rows are unlike anything the model was fitted to, bool (N,): of ordinary ones at most 1 %.

        These are beyond the 99.5th percentile by more than its standard error, which matters where the model saw few
        pictures: of 200 photographs 0.2 to 0.3 % of new ordinary ones are noted, of 60 0.1 to 0.5 %, and without the
        error 0.6 to 1 % and 1.7 to 2.8 %. A model of fewer than 30 notes none.
        """
        return self.distances(features) > self.limit

    def tensors(self) -> dict[str, Tensor]:
        """Return what from_tensors builds the same model from, to be kept in a file of weights: float32."""
        return {name: getattr(self, name).float().contiguous() for name in _NAMES}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> "Typicality":
        """Build the model that `tensors()` came from."""
        return cls(**{name: tensors[name].double() for name in _NAMES})


_NAMES = tuple(field.name for field in fields(Typicality))


def _pair(x: Tensor, *, components: int, keep: float, rounds: int) -> tuple[Axes, Gaussian]:
    axes = Axes.fit(x, count=max(1, min(components, len(x) // 5)), keep=keep)
    return axes, Gaussian.fit(axes.split(x)[0], keep=keep, rounds=rounds)


def _measured(axes: Axes, gaussian: Gaussian, features: Tensor) -> tuple[Tensor, Tensor]:
    along, off = axes.split(features)
    return gaussian.squares(along).sqrt(), off


def _cross_validated(x: Tensor, *, components: int, keep: float, rounds: int) -> tuple[Tensor, Tensor]:
    """Return both distances of every row (N,), by a model that was fitted without its tenth of the rows."""
    fold = torch.arange(len(x)) % _FOLDS
    found = torch.zeros(2, len(x), dtype=torch.float64)
    for i in range(min(_FOLDS, len(x)) if len(x) > 1 else 0):
        pair = _pair(x[fold != i], components=components, keep=keep, rounds=rounds)
        found[:, fold == i] = torch.stack(_measured(*pair, x[fold == i]))
    return found[0], found[1]


def _joined(along: Tensor, off: Tensor, medians: Tensor) -> Tensor:
    return (((along / medians[0]).square() + (off / medians[1]).square()) / 2).sqrt()


def _limit(distances: Tensor) -> float:
    """Return the 99.5th percentile and its standard error, √(p (1 - p) / N) over the density there.

    The tail is taken to be exponential: its length is measured where there is enough of it, and robustly.
    """
    if len(distances) < ENOUGH:
        return math.inf
    start = distances.quantile(1 - _TAIL)
    length = float((distances - start)[distances >= start].quantile(0.5)) / math.log(2)
    return float(distances.quantile(0.995)) + length * math.sqrt(0.995 / 0.005 / len(distances))
