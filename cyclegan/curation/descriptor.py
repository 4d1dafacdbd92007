"""What a picture looks like in 297 numbers, without weights and without training.

Four by four places: their colour, how much luminance and colour change within them, and how much luminance changes
along four directions on three scales; then the spread and the shape of the whole picture's colours.
"""

import math

import torch
import torch.nn.functional as nnf
from torch import Tensor

SIDE = 64  # pixels to which the caller brings every picture
GRID, SCALES, DIRECTIONS = 4, 3, 4
_BATCH = 128  # pictures at once: what one takes stays in the processor's cache
_FLOOR = 2 / 255  # changes below are the noise of rounding and of JPEG
_OPPONENT = ((0.299, 0.587, 0.114), (1.0, -1.0, 0.0), (0.5, 0.5, -1.0))  # chroma twice as wide: it varies less


def describe(pictures: Tensor) -> Tensor:
    """Describe uint8 pictures (N, 3, 64, 64) as float32 (N, 297), each row by itself; columns spread about 1.

    Colours count in quarters of their range, changes in factors of e.
    """
    assert pictures.dtype == torch.uint8, pictures.dtype
    assert pictures.shape[1:] == (3, SIDE, SIDE), pictures.shape
    parts = [_described(part) for part in torch.split(pictures, _BATCH)]
    return torch.cat(parts) if parts else torch.empty(0, _width())


def _width() -> int:
    return GRID * GRID * (3 + 3 + SCALES * DIRECTIONS) + 9


def _described(pictures: Tensor) -> Tensor:
    x = torch.einsum("oc,nchw->nohw", pictures.new_tensor(_OPPONENT, dtype=torch.float32), pictures.float() / 255)
    means = nnf.avg_pool2d(x, SIDE // GRID)
    variances = (nnf.avg_pool2d(x.square(), SIDE // GRID) - means.square()).clamp_min(0)
    columns = [4 * means, _log(variances), *_changes(x[:, :1]), _moments(x)]
    return torch.cat([column.flatten(1) for column in columns], 1)


def _changes(luminance: Tensor) -> list[Tensor]:
    """Return the log energy along 0°, 45°, 90° and 135° on each scale: (N, 1, H, W) -> three of (N, 4, 4, 4)."""
    found = []
    for _ in range(SCALES):
        padded = nnf.pad(luminance, (1, 1, 1, 1), mode="replicate")
        across = (padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]) / 2
        down = (padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]) / 2
        slant, other = (across + down) / math.sqrt(2), (across - down) / math.sqrt(2)
        energies = torch.cat([across, slant, down, other], 1).square()
        found.append(_log(nnf.avg_pool2d(energies, energies.shape[-1] // GRID)))
        luminance = nnf.avg_pool2d(luminance, 2)
    return found


def _moments(x: Tensor) -> Tensor:
    """Return the log spread, the skewness and the excess kurtosis of each colour over the whole picture: (N, 9)."""
    off = x.flatten(2) - x.flatten(2).mean(2, keepdim=True)
    variance = off.square().mean(2)
    unit = off / (variance + _FLOOR**2).sqrt()[..., None]
    return torch.cat([_log(variance), unit.pow(3).mean(2), (unit.pow(4).mean(2)).log1p()], 1)


def _log(energy: Tensor) -> Tensor:
    return (energy + _FLOOR**2).log() / 2
