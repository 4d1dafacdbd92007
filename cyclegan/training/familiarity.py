"""What a run learns about its folders besides translating: which pictures are like them, for whoever translates."""

from collections.abc import Iterator

import torch
from torch import Tensor

from cyclegan.curation.familiar import Familiar, small
from cyclegan.errors import InputError
from cyclegan.training.data import Batches

COUNT = 1_000  # pictures of a folder: as good as all, and a second or two


def familiarised(batches: Batches, domain: int) -> Familiar | None:
    """Look at pictures of a folder that are learnt from, as they are kept decoded; None where there are too few."""
    data = batches.geometry.data
    pictures = list(_seen(batches, domain, square=data.fit == "stretch"))
    short = batches.geometry.short_side()
    return Familiar.learn(torch.stack(pictures), short=short, square=data.fit == "stretch") if pictures else None


def _seen(batches: Batches, domain: int, *, square: bool) -> Iterator[Tensor]:
    """Yield up to COUNT pictures, evenly spaced: one that is damaged is told of when its turn comes."""
    paths, short = batches.domains[domain].train, batches.geometry.short_side()
    step = max(1.0, len(paths) / COUNT)
    for i in range(min(len(paths), COUNT)):
        try:
            pixels = batches.draws.sized(domain, paths[int(i * step)], short=short)
        except InputError:
            continue
        yield small(torch.from_numpy(pixels.copy()).permute(2, 0, 1), short=short, square=square)
