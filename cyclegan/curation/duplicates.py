"""Pictures that are twice there: saved again, cut a little, or made brighter.

Two looks. A coarse one finds each picture's nearest others; a close one lays such a pair on top of each other (shift,
size, brightness and contrast, by Gauss-Newton on the pixels: Lucas and Kanade 1981) and measures what is left where
they differ most.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from cyclegan.curation.neighbours import nearest

# Painted scenes, 20 x 1,000 with 20 copies each (JPEG 40 at 64 pixels, 4 % crop, 12 % brightness): all but one reach
# 0.24 at most, look-alikes begin at 0.31. Photographs of different T-shirts on one carpet begin at 0.29.
ALIKE = 0.27
NEIGHBOURS = 4  # the nearest others of each picture that are looked at closely
COARSE = 0.3  # median block at 16 pixels; beyond it no close look is worth its time (copies reach 0.13)
GAIN, BIAS = 1.35, 0.1  # what a copy's contrast and brightness may be off: a white shirt is no copy of a black one
LIMITS = (0.1, 0.16, 0.16)  # log size, right and down in half pictures
FLAT = 4 / 255  # pictures of less contrast are compared as if they had this much
AT_ONCE = 256  # pairs


@dataclass(frozen=True)
class Pair:
    """Two places in the list that show the same, first < second; `difference` is 0 for equal pixels, else < ALIKE."""

    first: int
    second: int
    difference: float


def near_duplicates(pictures: Tensor, *, groups: Sequence[int] | None = None) -> list[Pair]:
    """Find near-duplicates among uint8 (N, 3, 64, 64), most alike first; `groups` names each picture's folder.

    Partners are looked for in every folder. Of pictures with equal pixels only the first is compared with the rest;
    each of the others is a pair with that first one.
    """
    assert pictures.dtype == torch.uint8, pictures.dtype
    assert groups is None or len(groups) == len(pictures), "every picture has a folder"
    folders = torch.tensor(groups if groups is not None else [0] * len(pictures), dtype=torch.long)
    twins, unique = equal_pixels(pictures)
    pairs = [Pair(first, second, 0.0) for first, second in twins]
    for some in torch.split(candidates(pictures[unique], folders[unique]), AT_ONCE):
        first, second = unique[some].unbind(dim=1)
        off = difference(pictures[first], pictures[second])
        found = zip(first.tolist(), second.tolist(), off.tolist(), strict=True)
        pairs += [Pair(a, b, d) for a, b, d in found if d < ALIKE]
    return sorted(pairs, key=lambda pair: (pair.difference, pair.first, pair.second))


def equal_pixels(pictures: Tensor) -> tuple[list[tuple[int, int]], Tensor]:
    """Return (first, other) for each picture that equals an earlier one, and the places of all that do not."""
    seen: dict[bytes, int] = {}
    firsts = [seen.setdefault(picture.numpy().tobytes(), i) for i, picture in enumerate(pictures)]
    return [(first, i) for i, first in enumerate(firsts) if first != i], torch.tensor(list(seen.values())).long()


def candidates(pictures: Tensor, folders: Tensor) -> Tensor:
    """Return the pairs (P, 2) that deserve a close look, first < second: each picture's nearest in each folder."""
    marks, everyone = signature(pictures), torch.arange(len(pictures))
    pairs = []
    for folder in sorted(set(folders.tolist())):
        inside = everyone[folders == folder]
        partners = inside[nearest(marks, NEIGHBOURS + 1, among=marks[inside])[1]]  # one more: it finds itself
        pairs.append(torch.stack([everyone[:, None].expand_as(partners), partners], dim=2).flatten(0, 1))
    both = torch.cat([everyone.new_empty(0, 2), *pairs]).sort(dim=1).values
    distinct: Tensor = torch.unique(both[both[:, 0] < both[:, 1]], dim=0)
    return distinct


def signature(pictures: Tensor) -> Tensor:
    """Return a coarse likeness (N, 192) that a small shift hardly changes, nor brightness or contrast."""
    coarse = smaller(pictures.float() / 255, 8).flatten(1)
    off = coarse - coarse.mean(dim=1, keepdim=True)
    length: Tensor = torch.linalg.vector_norm(off, dim=1, keepdim=True)
    return off / length.clamp(min=FLAT * coarse.shape[1] ** 0.5)


def difference(first: Tensor, second: Tensor) -> Tensor:
    """Return how much each pair of uint8 (P, 3, 64, 64) differs once the second lies on the first: (P,), infinite
    where a coarse look tells it already.

    It is the mean over the four worst of 64 blocks of the root mean square difference, as a share of the contrast of
    the pair's flatter picture.
    """
    a, b = first.float() / 255, second.float() / 255
    move = aligned(a, b, torch.zeros(len(a), 3), side=16)
    over, inside = warped(smaller(b, 16), move)
    worth = blocks(smooth(smaller(a, 16)), smooth(over), inside).median(dim=1).values < COARSE
    a, b = a[worth], b[worth]
    over, inside = warped(b, aligned(a, b, move[worth], side=32))
    inside = (smaller(inside, 32) > 0.999).float()
    worst = blocks(smooth(smaller(a, 32)), smooth(smaller(over, 32)), inside).topk(4, dim=1).values
    return torch.full((len(first),), torch.inf).masked_scatter(worth, worst.mean(dim=1))


def aligned(a: Tensor, b: Tensor, move: Tensor, *, side: int) -> Tensor:
    """Improve where b has to be read to give a: log size, right and down (P, 3), from their luminance at one size.

    Each step solves a ≈ g b' + c + ∇b' · dmove for the gain g, the bias c and the step, by least squares.
    """
    weights = a.new_tensor((0.299, 0.587, 0.114))[:, None, None]
    a, b = (smaller((x * weights).sum(dim=1, keepdim=True), side) for x in (a, b))
    limits = a.new_tensor(LIMITS)
    for _ in range(4):
        now, inside = warped(b, move)
        columns = (torch.cat([now, torch.ones_like(now), *slopes(now, move)], dim=1) * inside).flatten(2)
        squares = columns @ columns.mT
        squares = squares + torch.diag_embed(1e-4 * squares.diagonal(dim1=1, dim2=2) + 1e-6)  # flat pictures: stay
        solved = torch.linalg.solve(squares, columns @ (a * inside).flatten(1)[..., None])[..., 0]
        step = solved[:, 2:] / solved[:, :1].clamp(min=0.5)
        move = (move + step.clamp(-0.1, 0.1)).clamp(-limits, limits)
    return move


def slopes(picture: Tensor, move: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return how a warped picture (P, 1, H, H) changes with the log size and with the shift right and down."""
    padded = functional.pad(picture, (1, 1, 1, 1), mode="replicate")
    per_unit = picture.shape[-1] / 4  # two pixels of a picture two units wide
    right = (padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]) * per_unit
    down = (padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]) * per_unit
    at, size = centres(picture), move[:, 0].exp()[:, None, None, None]
    return right * at + down * at[:, None], right / size, down / size


def warped(pictures: Tensor, move: Tensor) -> tuple[Tensor, Tensor]:
    """Read pictures (P, C, H, H) at another size and place; also says where that was inside, as (P, 1, H, H)."""
    at, size = centres(pictures), move[:, :1].exp()
    x, y = (size * at + move[:, i : i + 1] for i in (1, 2))
    grid = torch.stack([x[:, None].expand(-1, len(at), -1), y[:, :, None].expand(-1, -1, len(at))], dim=3)
    inside = (grid.abs() <= 1 - 0.99 / len(at)).all(dim=3)
    read = functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
    return read, inside[:, None].float()


def centres(pictures: Tensor) -> Tensor:
    """Return where the pixels of a row lie between -1 and 1."""
    side = pictures.shape[-1]
    return (2 * torch.arange(side) + 1) / side - 1


def blocks(a: Tensor, b: Tensor, inside: Tensor) -> Tensor:
    """Return the difference in each of 8 x 8 blocks (P, 64), brightness and contrast made equal within bounds."""
    count = inside.sum(dim=(2, 3), keepdim=True).clamp(min=1)
    mean_a, mean_b = ((x * inside).sum(dim=(2, 3), keepdim=True) / count for x in (a, b))
    off_a, off_b = (a - mean_a) * inside, (b - mean_b) * inside
    both, own = (off_a * off_b).sum(dim=(1, 2, 3)), off_b.square().sum(dim=(1, 2, 3))
    still = FLAT**2 * count[:, 0, 0, 0]  # keeps the gain of flat pictures at 1
    gain = ((both + still) / (own + still)).clamp(1 / GAIN, GAIN)[:, None, None, None]
    bias = (mean_a - gain * mean_b).mean(dim=1, keepdim=True).clamp(-BIAS, BIAS)
    squares = ((a - gain * b - bias) * inside).square().mean(dim=1, keepdim=True)
    contrasts = [x.square().mean(dim=1, keepdim=True).sum(dim=(2, 3)) / count[:, :, 0, 0] for x in (off_a, off_b)]
    contrast = torch.minimum(*contrasts).sqrt().clamp(min=FLAT)
    return (smaller(squares, 8) / smaller(inside, 8).clamp(min=0.05)).flatten(1).sqrt() / contrast


def smaller(pictures: Tensor, side: int) -> Tensor:
    """Return pictures (N, C, H, H) with sides of so many pixels, each the mean of what it covers."""
    return functional.interpolate(pictures, size=(side, side), mode="area")


def smooth(pictures: Tensor) -> Tensor:
    """Return pictures whose pixels are the means of three by three."""
    return functional.avg_pool2d(functional.pad(pictures, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
