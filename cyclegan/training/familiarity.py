"""What a run learns about its folders besides translating: which pictures are like them, for whoever translates."""

from collections.abc import Iterator

import torch
from torch import Tensor

from cyclegan.curation.familiar import Familiar, small
from cyclegan.training.data import Batches

COUNT = 1_000  # pictures of a folder: as good as all, and a second or two


def familiarised(batches: Batches, domain: int) -> Familiar | None:
    """Look at pictures of a folder that are learnt from, as they are kept decoded; None where there are too few."""
    data = batches.geometry.data
    pictures = list(_seen(batches, domain, square=data.fit == "stretch"))
    short = batches.geometry.short_side()
    return Familiar.learn(torch.stack(pictures), short=short, square=data.fit == "stretch") if pictures else None


def _seen(batches: Batches, domain: int, *, square: bool) -> Iterator[Tensor]:
    """Yield a random sample of COUNT pictures, in the order of names; those that are damaged are left out."""
    own, short = batches.domains[domain], batches.geometry.short_side()
    sample = set(own.shuffled[:COUNT])
    for pixels in batches.arrays(domain, [path for path in own.train if path in sample]):
        yield small(torch.from_numpy(pixels.copy()).permute(2, 0, 1), short=short, square=square)
