"""Groups of pictures so small that a translator will treat them badly, and whether the other folder has their like.

A group is told from the junk around it by its company: its pictures live where it is thin, but near each other.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from cyclegan.curation.neighbours import components, nearest

DIMENSIONS = 12  # principal components in which near and far is measured
# The shares of pictures among which groups are looked for, in turn: what touches another thin place at a tenth may
# stand alone at a twentieth (planted groups found: 14 instead of 13 of 14, no other).
THIN = (0.1, 0.07, 0.05)
FRIENDS = 10  # neighbours that must choose each other
SMALLEST, SMALL, LARGE = 8, 0.01, 0.2  # pictures in a group: at least, and as shares of the folder
CLOSED = 0.87  # the share of its neighbours that a group has to itself: planted ones 0.93 and more, others up to 0.81


def small_groups(features: Tensor, *, set_aside: Tensor) -> list[list[int]]:
    """Find small groups among pictures with features (N, D), largest first; those with `set_aside` (N,) never belong.

    The thinnest tenth (then less) is joined where two are among each other's ten nearest; what hangs together takes in,
    once, every picture most of whose nearest lie inside. Features are those before any whitening: their principal
    components have to come in their order. Features that are the same for a picture and its mirror image (the mean of
    both) keep a group from falling into two by where its animals look.
    """
    kept = (~set_aside).nonzero()[:, 0]
    if len(kept) <= FRIENDS:
        return []
    points = principal(features, ordinary=~set_aside)[kept]
    thin = thinness(points)
    friends = nearest(points, FRIENDS)[1]
    found, taken = [], torch.zeros(len(kept), dtype=torch.bool)
    for share in THIN:
        for part in components(mutual(friends, thin >= thin.quantile(1 - share)), len(kept)):
            if len(part) < max(SMALLEST, SMALL * len(features)):
                break
            inside = grown(part, friends)
            if int(inside.sum()) <= LARGE * len(features) and not (inside & taken).any() and closed(inside, friends):
                taken |= inside
                found.append(kept[inside].tolist())
    return sorted(found, key=len, reverse=True)


def grown(part: Sequence[int], friends: Tensor) -> Tensor:
    """Return a part and what has most of its neighbours in it, as bool (N,)."""
    inside = torch.zeros(len(friends), dtype=torch.bool)
    inside[list(part)] = True
    return inside | (inside[friends].double().mean(dim=1) > 0.5)


def closed(inside: Tensor, friends: Tensor) -> bool:
    """Tell whether the neighbours of a group are nearly all its own."""
    return bool(inside[friends[inside, : int(inside.sum()) - 1]].double().mean() >= CLOSED)


def mutual(friends: Tensor, among: Tensor) -> list[tuple[int, int]]:
    """Return the pairs within `among` (N,) that are in each other's rows of `friends` (N, k)."""
    chosen, members = [set(row) for row in friends.tolist()], among.tolist()
    return [
        (i, j) for i, row in enumerate(chosen) for j in row if i < j and members[i] and members[j] and i in chosen[j]
    ]


def counterpart(group: Sequence[int], here: Tensor, there: Tensor) -> int:
    """Count the pictures of the other folder that are like a group: most of their five nearest here belong to it.

    `here` (N, D) and `there` (M, D) are features of the two folders; each folder's mean is removed first, for that is
    what a translator changes.
    """
    centred = torch.cat([here - here.mean(dim=0), there - there.mean(dim=0)])
    points = principal(centred, ordinary=torch.arange(len(centred)) < len(here))
    inside = torch.zeros(len(here), dtype=torch.bool)
    inside[list(group)] = True
    nearest_here = nearest(points[len(here) :], 5, among=points[: len(here)])[1]
    return int((inside[nearest_here].double().mean(dim=1) > 0.5).sum())


def has_counterpart(group: Sequence[int], here: Tensor, there: Tensor) -> bool:
    """Tell whether the like of a group is at least a quarter as common in the other folder as it is in its own."""
    return counterpart(group, here, there) / len(there) >= 0.25 * len(group) / len(here)


def principal(features: Tensor, *, ordinary: Tensor, dimensions: int = DIMENSIONS) -> Tensor:
    """Return all rows in the first principal components of the ordinary ones, scaled to variance 1: (N, d) float64.

    Features count alike, whatever their scale. Components with less than a thousandth of the first one's variance are
    left out: they are noise.
    """
    rows = features.double()
    known = rows[ordinary]
    centre, scale = known.mean(dim=0), known.std(dim=0)
    rows = (rows - centre) / torch.where(scale > 1e-9 * scale.max(), scale, torch.inf)
    _, spread, axes = torch.linalg.svd(rows[ordinary], full_matrices=False)
    used = min(dimensions, int((spread.square() >= 1e-3 * spread[0].square()).sum()))
    points: Tensor = rows @ axes[:used].T / (spread[:used] / max(1, len(known) - 1) ** 0.5).clamp(min=1e-12)
    return points


def thinness(points: Tensor, *, neighbours: int = 25) -> Tensor:
    """Return how thin it is around each of (N, d): the log of the distance to the 25th neighbour, 0 for the median.

    It is the mean over the point's neighbours: a group lives thinly together, a straggler among well-known ones alone.
    Below 1,000 points it is the N/40th neighbour, so that half of a group of 5 % is nearer than that.
    """
    distances, indices = nearest(points, min(neighbours, max(5, len(points) // 40)))
    radii = distances[:, -1].clamp(min=1e-12).log()
    radii = radii[indices].mean(dim=1)
    return radii - radii.quantile(0.5)
