"""How far translated pictures are from real ones, without any network to download."""

import torch
import torch.nn.functional as nnf
from kornia.geometry.transform import build_laplacian_pyramid
from torch import Tensor

from cyclegan.chance import seed_for

PATCHES, PATCH, DIRECTIONS = 128, 7, 256


def sliced_wasserstein(fakes: Tensor, reals: Tensor) -> float:
    """Return the sliced Wasserstein distance (× 1000) between patches of two sets of pictures; 0 is alike.

    Karras et al. 2018, §5: 7 × 7 patches from every level of a Laplacian pyramid, projected on random directions; the
    mean over levels. Unlike there, colours are not normalised, as they are part of what is translated. Both are
    (N, C, H, W) in [-1, 1]; equal inputs give equal numbers. It knows texture and colour but no meaning, and only
    compares checkpoints of one data set.
    """
    levels = max(1, (min(fakes.shape[-2:]) // 16).bit_length())
    pairs = zip(_pyramid(fakes, levels), _pyramid(reals, levels), strict=True)
    return 1000 * sum(_distance(f, r, level) for level, (f, r) in enumerate(pairs)) / levels


def _pyramid(pictures: Tensor, levels: int) -> list[Tensor]:
    return list(build_laplacian_pyramid(pictures.float(), levels)) if levels > 1 else [pictures.float()]


def _distance(fakes: Tensor, reals: Tensor, level: int) -> float:
    fakes, reals = _patches(fakes, level), _patches(reals, level)
    count = min(len(fakes), len(reals))
    chance = torch.Generator().manual_seed(seed_for("directions", level))
    directions = nnf.normalize(torch.randn(fakes.shape[1], DIRECTIONS, generator=chance), dim=0)
    sorted_fakes, sorted_reals = ((p[:count] @ directions).sort(0).values for p in (fakes, reals))
    return (sorted_fakes - sorted_reals).abs().mean().item()


def _patches(pictures: Tensor, level: int) -> Tensor:
    """Return random patches of every picture as rows, the same places whatever the pictures."""
    side = min(PATCH, *pictures.shape[-2:])
    windows = pictures.cpu().unfold(2, side, 1).unfold(3, side, 1)  # a view (N, C, rows, columns, 7, 7)
    rows, columns = windows.shape[2:4]
    chance = torch.Generator().manual_seed(seed_for("places", level))
    places = torch.randint(rows * columns, (PATCHES,), generator=chance)
    return windows[:, :, places // columns, places % columns].transpose(1, 2).flatten(2).flatten(0, 1)
