"""What is found in folders: odd ones, near-duplicates, pictures in the wrong folder, and small groups.

Everything here is numbers in, numbers out: pictures are places in a list, and folders are 0, 1.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from cyclegan.curation.density import Gaussian, Typicality
from cyclegan.curation.descriptor import describe
from cyclegan.curation.duplicates import Pair, near_duplicates
from cyclegan.curation.groups import counterpart, has_counterpart, small_groups
from cyclegan.curation.neighbours import components, local_outlier_factor, nearest, robust_z, whiten

ODD = 4.0  # robust standard deviations of the log of the local outlier factor
UNUSUAL = 2.0  # robust standard deviations of the distance; thin places in the middle of a folder are no fault
MOST = 0.05  # share of a folder that is set aside at most
VOTERS = 15
WRONG, SURE = 0.75, 0.8  # how sure it must be of a wrong folder, and of folders in general


@dataclass(frozen=True)
class Described:
    """What is known of N pictures: what they look like, (N, D), and what a VAE says of them, where one was asked.

    `mirrored` are the same features, averaged over a picture and its mirror image; `logits` (N, folders).
    """

    look: Tensor
    mirrored: Tensor
    latent: Tensor | None = None
    logits: Tensor | None = None

    @property
    def together(self) -> Tensor:
        """All that does not change when a picture is mirrored."""
        return self.mirrored if self.latent is None else torch.cat([self.mirrored, self.latent], 1)


@dataclass(frozen=True)
class Group:
    """A small group of one folder, and how many pictures of the other folder are like it: None where there is none."""

    folder: int
    members: list[int]
    counterpart: int | None
    stranded: bool


@dataclass(frozen=True)
class Findings:
    """What was found among N pictures: how odd each is, which are set aside, and what each is nearest to.

    `misfiled` are (place, how sure, nearest in the other folder), the surest first; `separable` is the share of
    pictures whose folder can be told, None for one folder.
    """

    score: Tensor
    odd: Tensor
    nearest: list[int | None]
    pairs: list[Pair]
    misfiled: list[tuple[int, float, int]]
    groups: list[Group]
    separable: float | None

    def copies(self) -> list[list[int]]:
        """Return the pictures that show the same, as groups of two and more."""
        return [g for g in components([(p.first, p.second) for p in self.pairs], len(self.score)) if len(g) > 1]


def looked_at(pictures: Tensor) -> Described:
    """Describe uint8 pictures (N, 3, 64, 64) without any training."""
    look = describe(pictures)
    return Described(look, (look + describe(pictures.flip(3))) / 2)


def findings(known: Described, folders: Tensor, pairs: list[Pair]) -> Findings:
    """Judge pictures by what is known of them; `folders` (N,) says where each lies, `pairs` which are copies."""
    copies = {p.second for p in pairs}  # of many copies no neighbourhood is thin: only the first is judged
    first = torch.tensor([i not in copies for i in range(len(folders))])
    score = torch.zeros(len(folders))
    seen, local = torch.full((2, len(folders)), -torch.inf)
    for folder in numbers(folders):
        own = (folders == folder) & first
        score[own], seen[own], local[own] = _oddness(known, own)
    for pair in sorted(pairs, key=lambda p: p.first):
        score[pair.second] = score[pair.first]
    sure, separable = _belonging(known, folders)
    wrong = (sure > WRONG) & torch.tensor(separable is not None and separable > SURE)
    odd = _at_most(local, folders, barred=wrong | (score < UNUSUAL))
    return Findings(
        score=score,
        odd=odd,
        nearest=_nearest(known, folders, odd | wrong),
        pairs=pairs,
        misfiled=_misfiled(known, folders, sure, wrong),
        groups=_groups(known, folders, (seen > ODD) | wrong | ~first),
        separable=separable,
    )


def _oddness(known: Described, own: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return how unusual pictures of one folder are, and how thin it is around each: by look, and by all that is known.

    All in robust standard deviations.
    """
    unusual = robust_z(Typicality.fit(known.look[own]).distances(known.look[own]))
    seen = thin = robust_z(local_outlier_factor(whiten(known.look[own])).log())
    if known.latent is not None:
        latent = known.latent[own]
        unusual = torch.maximum(unusual, robust_z(Gaussian.fit(latent).squares(latent).log()))
        thin = torch.maximum(thin, robust_z(local_outlier_factor(whiten(latent, keep=0.999)).log()))
    return unusual.float(), seen.float(), thin.float()


def _at_most(local: Tensor, folders: Tensor, *, barred: Tensor) -> Tensor:
    """Return what is set aside: beyond the limit and not barred, but never more than a share of a folder."""
    odd = torch.zeros(len(folders), dtype=torch.bool)
    for folder in numbers(folders):
        own = ((folders == folder) & ~barred & (local > ODD)).nonzero()[:, 0]
        most = int(MOST * int((folders == folder).sum()))
        odd[own[local[own].argsort(descending=True)[:most]]] = True
    return odd


def _belonging(known: Described, folders: Tensor) -> tuple[Tensor, float | None]:
    """Return how sure it is that each picture belongs to the other folder, and the share of folders that are told.

    The nearest pictures vote, each for its folder; a larger folder's votes count less. Where a VAE learnt the folders,
    what it says counts as much.
    """
    if len(numbers(folders)) < 2:
        return torch.zeros(len(folders)), None
    opinions = [_votes(whiten(known.look), folders)]
    if known.latent is not None and known.logits is not None:
        opinions += [_votes(whiten(known.latent, keep=0.999), folders)]
        opinions += [1 - known.logits.softmax(1).gather(1, folders[:, None])[:, 0]]
    sure = torch.stack(opinions).mean(0)
    told = [(sure[folders == folder] < 0.5).double().mean() for folder in numbers(folders)]
    return sure, float(sum(told) / len(told))


def _votes(features: Tensor, folders: Tensor) -> Tensor:
    elsewhere = folders[nearest(features, VOTERS)[1]] != folders[:, None]
    sizes = torch.bincount(folders).double()
    own, other = sizes[folders][:, None], (len(folders) - sizes)[folders][:, None]
    against, on = (elsewhere / other).sum(1), (~elsewhere / own).sum(1)
    return (against / (against + on)).float()


def _nearest(known: Described, folders: Tensor, strange: Tensor) -> list[int | None]:
    """Return for each picture the ordinary one of its folder that is nearest to it."""
    points = whiten(known.look)
    result: list[int | None] = [None] * len(folders)
    for folder in numbers(folders):
        own, usual = (folders == folder).nonzero()[:, 0], ((folders == folder) & ~strange).nonzero()[:, 0]
        if len(usual) < 2:
            continue
        for place, candidates in zip(own.tolist(), nearest(points[own], 2, among=points[usual])[1], strict=True):
            others = [int(usual[c]) for c in candidates if int(usual[c]) != place]
            result[place] = others[0]
    return result


def _misfiled(known: Described, folders: Tensor, sure: Tensor, wrong: Tensor) -> list[tuple[int, float, int]]:
    points, found = whiten(known.look), []
    for place in wrong.nonzero()[:, 0].tolist():
        others = ((folders != folders[place]) & ~wrong).nonzero()[:, 0]
        if len(others):
            where = nearest(points[place][None], 1, among=points[others])[1][0, 0]
            found.append((place, float(sure[place]), int(others[where])))
    return sorted(found, key=lambda one: -one[1])


def _groups(known: Described, folders: Tensor, strange: Tensor) -> list[Group]:
    found = []
    for folder in numbers(folders):
        own, others = (folders == folder).nonzero()[:, 0], ((folders != folder) & ~strange).nonzero()[:, 0]
        here, there = known.together[own], known.together[others]
        for members in small_groups(known.mirrored[own], set_aside=strange[own]):
            alike = counterpart(members, here, there) if len(others) else None
            stranded = len(others) > 0 and not has_counterpart(members, here, there)
            found.append(Group(folder, own[members].tolist(), alike, stranded))
    return found


def pairs_among(pictures: Tensor, folders: Tensor) -> list[Pair]:
    """Return the near-duplicates among uint8 pictures (N, 3, 64, 64) of any folders."""
    return near_duplicates(pictures, groups=folders.tolist())


def numbers(folders: Tensor) -> list[int]:
    """Return the numbers of the folders there are."""
    return sorted(set(folders.tolist()))
