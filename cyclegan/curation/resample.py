"""How often each picture is shown in training: rare ones more, what does not belong less, copies together once."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from cyclegan.curation.groups import DIMENSIONS, principal, thinness

ODD = 0.1  # how often odd ones are shown: seldom, for the judgement may be wrong


@dataclass(frozen=True)
class Weights:
    """Holds how many times more often than by chance each picture is shown: `values` (N,) float64, mean 1."""

    values: Tensor

    @classmethod
    def of(cls, values: Tensor) -> "Weights":
        """Scale positive values of any size to mean 1."""
        values = values.double()
        return cls(values / values.mean())

    @property
    def effective(self) -> float:
        """Return the effective sample size as a share, (Σw)² / (N Σw²): 1 for equal weights, 1/N for a single one."""
        return float(self.values.mean().square() / self.values.square().mean())

    def shown(self, which: Tensor | Sequence[int]) -> float:
        """Return how many times more often than by chance some pictures are shown, as a mask or their indices."""
        return float(self.values[torch.as_tensor(which)].mean())


def nearest(
    latents: Tensor,
    *,
    odd: Tensor,
    copies: Iterable[Sequence[int]] = (),
    dimensions: int = DIMENSIONS,
    neighbours: int = 25,
    tau: float = 0.5,
    cap: float = 8.0,
) -> Weights:
    """Weigh pictures with latents (N, D) by how thin it is around them, in a controlled measure.

    w = clip((r / median r)^(d·tau), 1/cap, cap) in the first d principal components of the ordinary ones, with r the
    geometric mean of the distance to the 25th neighbour over the neighbours: tau 1 would undo the density, were it
    d-dimensional. What is `odd` (N,) gets a tenth instead; of near-duplicates (`copies`) one is weighed and all share
    its weight.
    """
    shares = torch.ones(len(latents), dtype=torch.float64)
    stands_for = torch.arange(len(latents))
    for group in copies:
        first = min(group, key=lambda i: (bool(odd[i]), i))  # what is odd stands for nobody
        stands_for[list(group)], shares[list(group)] = first, 1 / len(group)
    known = ~odd & (stands_for == torch.arange(len(latents)))
    points = principal(latents, ordinary=known, dimensions=dimensions)
    values = torch.full((len(latents),), ODD, dtype=torch.float64)
    power = tau * points.shape[1]
    values[known] = (power * thinness(points[known], neighbours=neighbours)).exp().clamp(1 / cap, cap)
    return Weights.of(torch.where(odd, ODD, values[stands_for]) * shares)


def published(
    latents: Tensor, *, how: Literal["product", "maximum"] = "product", bins: int = 10, alpha: float = 0.01
) -> Weights:
    """Weigh pictures with latents (N, d) as Amini et al. 2019 do: W(x) ∝ Π_i 1 / (Q_i(z_i(x)) + α).

    Q_i is the share of pictures in the bin that the i-th latent falls into. "maximum" is the form of the MIT course's
    laboratory: 1 / (Q_i + α) is scaled to sum 1 for each latent, and the largest over the latents counts. Shares, not
    densities, so that α means the same whatever the scale of a latent.
    """
    logs = -(bin_shares(latents, bins=bins) + alpha).log()
    if how == "maximum":
        return Weights.of((logs - logs.logsumexp(dim=0)).exp().amax(dim=1))
    sums = logs.sum(dim=1)
    return Weights.of((sums - sums.max()).exp())  # of many latents the product itself is beyond any float


def bin_shares(latents: Tensor, *, bins: int) -> Tensor:
    """Return for each latent (N, d) the share of pictures in its bin; bins of one width from smallest to largest."""
    rows = latents.double()
    low, high = rows.amin(dim=0), rows.amax(dim=0)
    width = torch.where(high > low, (high - low) / bins, 1.0)
    place = ((rows - low) / width).long().clamp(max=bins - 1)
    counts = rows.new_zeros(bins, rows.shape[1]).scatter_add(0, place, torch.ones_like(rows))
    return counts.gather(0, place) / len(rows)


def lowered(weights: Weights, groups: Iterable[Sequence[int]]) -> Weights:
    """Show groups without a counterpart no more often than by chance; the others take over what that leaves.

    Raising snow in one folder teaches the other folder's critic that snow is fake.
    """
    held = torch.zeros(len(weights.values), dtype=torch.bool)
    held[[i for group in groups for i in group]] = True
    values = torch.where(held, weights.values.clamp(max=1.0), weights.values)
    rest = float(values[~held].sum())
    if math.isclose(rest, 0.0):
        return Weights.of(torch.ones_like(values))
    left = len(values) - float(values[held].sum())
    return Weights(torch.where(held, values, values * (left / rest)))
