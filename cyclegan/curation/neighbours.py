"""Near and far among rows of numbers: nearest neighbours, the local outlier factor, and what is needed for them."""

from collections.abc import Iterable

import torch
from torch import Tensor

from cyclegan.curation.density import Axes

_BLOCK = 1 << 21  # distances held at once: 16 MB of float64; larger ones leave the processor's cache


def nearest(features: Tensor, k: int, *, among: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Find the k nearest rows of `among` for each row: Euclidean distances (N, k), ascending, and indices (N, k).

    Without `among` the rows are looked for among themselves, each without itself. Equal rows are exactly 0 apart.
    Where there are fewer than k others, k is what there is. Memory is bounded whatever N is.
    """
    rows, others = features.double(), (features if among is None else among).double()
    k = max(0, min(k, len(others) - (among is None)))
    if k == 0 or len(rows) == 0:
        return rows.new_empty(len(rows), k), torch.empty(len(rows), k, dtype=torch.long, device=rows.device)
    centre = others.mean(0)  # near 0 the expanded square |a|² - 2 ab + |b|² loses no digits
    rows, others = rows - centre, others - centre
    step, norms = max(1, _BLOCK // len(others)), others.square().sum(1)
    block = rows.new_empty(step, len(others))  # one for all: where each is new, the heap goes to pieces and grows
    distances, indices = rows.new_empty(len(rows), k), torch.empty(len(rows), k, dtype=torch.long, device=rows.device)
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        squares = torch.addmm(norms, part, others.T, alpha=-2, out=block[: len(part)])  # but for |row|²
        if among is None:
            squares.diagonal(start).fill_(torch.inf)
        found = squares.topk(k, dim=1, largest=False).indices
        exact, order = torch.linalg.vector_norm(part[:, None] - others[found], dim=2).sort(dim=1, stable=True)
        distances[start : start + step], indices[start : start + step] = exact, found.gather(1, order)
    return distances, indices


def local_outlier_factor(features: Tensor, *, k: int = 10) -> Tensor:
    """Return how much thinner it is around each row than around its k neighbours: (N,), about 1 for ordinary rows.

    Breunig et al. 2000: reach-dist_k(a, b) = max(k-distance(b), d(a, b)) (definition 5), lrd(a) = 1 / the mean of
    reach-dist over the neighbours b of a (definition 6), LOF(a) = the mean of lrd(b) / lrd(a) (definition 7). Of
    neighbours at equal distances exactly k are taken. A mean reach-dist is never below a hundredth of the median one:
    equal rows would make it 0, and everything beside them infinitely odd.
    """
    distances, indices = nearest(features, k)
    if distances.shape[1] == 0:
        return torch.ones(len(features), dtype=torch.float64, device=features.device)
    reach = torch.maximum(distances[:, -1][indices], distances).mean(1)
    reach = reach.clamp_min(max(float(reach.median()) / 100, 1e-150))  # all rows may be one
    return reach * (1 / reach[indices]).mean(1)


def whiten(features: Tensor, *, keep: float = 0.95) -> Tensor:
    """Turn features (N, D) into coordinates (N, d) of variance about 1 along their principal axes, for neighbours.

    The first axes are kept, with the share `keep` of the variance, but never more than N / 5. Robust, as Axes is.
    """
    count = max(1, min(features.shape[1], len(features) // 5))
    axes = Axes.fit(features, count=features.shape[1])
    shares = axes.variances.cumsum(0) / axes.variances.sum().clamp_min(1e-12)
    count = min(count, 1 + int((shares < keep).sum()))
    return axes.split(features)[0][:, :count] / axes.variances[:count].clamp_min(1e-12).sqrt()


def robust_z(values: Tensor) -> Tensor:
    """Return (v - median) / (1.4826 MAD) of values (N,): for a normal distribution, in standard deviations.

    Where more than half the values are equal, 1.2533 times the mean absolute deviation stands for 1.4826 MAD.
    """
    values = values.double()
    if len(values) == 0:
        return values
    off = values - values.quantile(0.5)
    scale = 1.4826 * off.abs().quantile(0.5)
    scale = torch.where(scale > 0, scale, 1.2533 * off.abs().mean())
    return torch.where(scale > 0, off / scale, torch.zeros_like(off))


def components(pairs: Iterable[tuple[int, int]], count: int) -> list[list[int]]:
    """Part 0 … count - 1 into what hangs together by pairs: ascending lists, the largest first, loners last."""
    parent = list(range(count))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        return i

    for first, second in pairs:
        parent[root(first)] = root(second)
    found: dict[int, list[int]] = {}
    for i in range(count):
        found.setdefault(root(i), []).append(i)
    return sorted(found.values(), key=lambda part: (-len(part), part[0]))
