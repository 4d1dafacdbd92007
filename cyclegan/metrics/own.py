"""Features that need no download and no weights: statistics of texture by which the eye tells one from another.

Gabor filters of six directions look at luminance and two opponent colours on four levels of a pyramid. Kept of the
amplitudes are their means, how they change from place to place as seen by the same filters again (the scattering of
Bruna and Mallat 2013), and how they go together (Portilla and Simoncelli 2000); beside them, which colours there are.
How the weights were chosen, and what ranked checkpoints worse, is in tools/NOTES.md.
"""

import math

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

SIDE = 64  # pixels to which every picture is brought
PROTOCOL = f"own: {SIDE} px bicubic antialiased, statistics of Gabor filters, version 1"
LEVELS, DIRECTIONS, RADIUS = 4, 6, 3
WEIGHTS = {"amplitude": 0.1, "boards": 0.2, "scattering": 1.0, "correlation": 1.0, "colour": 0.3}
_OPPONENT = ((1 / 3, 1 / 3, 1 / 3), (0.5, -0.5, 0.0), (0.25, 0.25, -0.5))
_FLOOR = 0.005  # amplitudes below are noise
_BINS, _BIN_WIDTH = 9, 0.2  # of each colour's histogram over [-1, 1]


class Own(nn.Module):
    """Turns uint8 (N, 3, H, W) into (N, d) of length √d, so that the kernel (x·y/d + 1)³ sees cosines."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filters", _gabor_filters())
        self.register_buffer("opponent", torch.tensor(_OPPONENT))
        self.register_buffer("bins", torch.linspace(-1, 1, _BINS)[:, None, None])

    def forward(self, pictures: Tensor) -> Tensor:
        """Return features (N, d) of uint8 pictures (N, 3, H, W) of any size."""
        x = nnf.interpolate(pictures.float(), size=(SIDE, SIDE), mode="bicubic", antialias=True) / 127.5 - 1
        x = torch.einsum("oc,nchw->nohw", self.get_buffer("opponent"), x)
        found: dict[str, list[Tensor]] = {"amplitude": [], "boards": [], "scattering": [], "correlation": []}
        found["colour"] = self._colours(x)
        for level in range(LEVELS):
            amplitudes = self._amplitudes(x)
            mean = amplitudes.mean((2, 3))
            found["amplitude"].append((1 + mean / (2 * _FLOOR)).log())
            found["boards"].append((1 + _boards(x) / (2 * _FLOOR)).log())
            found["correlation"].append(_correlations(amplitudes))
            found["scattering"] += self._scattered(amplitudes, mean, levels=LEVELS - 1 - level)
            x = nnf.avg_pool2d(x, 2)
        parts = {name: torch.cat(columns, 1) for name, columns in found.items()}
        features: Tensor = torch.cat([WEIGHTS[name] / p.shape[1] ** 0.5 * p for name, p in parts.items()], 1).double()
        unit: Tensor = features / torch.linalg.vector_norm(features, dim=1, keepdim=True)
        return unit * unit.new_tensor(features.shape[1]).sqrt()

    def _amplitudes(self, x: Tensor) -> Tensor:
        """Return the filters' amplitudes whatever the phase: (N, C, H, W) -> (N, 6 C, H, W)."""
        n, channels, height, width = x.shape
        padded = nnf.pad(x.reshape(n * channels, 1, height, width), [RADIUS] * 4, mode="reflect")
        waves = nnf.conv2d(padded, self.get_buffer("filters")).view(n, channels, DIRECTIONS, 2, height, width)
        return (waves.square().sum(3) + 1e-8).sqrt().flatten(1, 2)

    def _scattered(self, amplitudes: Tensor, mean: Tensor, *, levels: int) -> list[Tensor]:
        """Return how much amplitudes change on each coarser level, as a share of their means: contrast drops out."""
        found, share = [], mean.repeat_interleave(DIRECTIONS, 1) + _FLOOR
        for _ in range(levels):
            amplitudes = nnf.avg_pool2d(amplitudes, 2)
            again = self._amplitudes(amplitudes).mean((2, 3))
            found.append(((again + _FLOOR / 5) / share).log() + 2.5)  # about nothing on photographs
        return found

    def _colours(self, x: Tensor) -> list[Tensor]:
        """Return means, spreads and soft histograms of the opponent colours, (N, 3, H, W) in [-1, 1]."""
        wide = x * torch.tensor([1.0, 2.0, 2.0], device=x.device)[:, None, None]  # the eye sees finer steps of hue
        near = torch.exp(-(((wide[:, :, None] - self.get_buffer("bins")) / _BIN_WIDTH) ** 2))
        return [x.mean((2, 3)) / 2, x.std((2, 3)) / 2, near.mean((3, 4)).flatten(1)]


def _gabor_filters() -> Tensor:
    """Return (12, 1, 7, 7): each direction in two phases, without response to what is even, of absolute sum 1."""
    axis = torch.arange(-RADIUS, RADIUS + 1.0)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    filters = []
    for angle in (math.pi * i / DIRECTIONS for i in range(DIRECTIONS)):
        across, along = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
        window = torch.exp(-(across**2 + along**2 / 2) / 2)
        for phase in (0, math.pi / 2):
            wave = window * torch.cos(2 * math.pi / 3.2 * across + phase)
            wave = wave - window * (wave.sum() / window.sum())
            filters.append(wave / wave.abs().sum())
    return torch.stack(filters)[:, None]


def _boards(x: Tensor) -> Tensor:
    """Return how much there is of the finest checkerboard, which no Gabor filter sees and upsampling leaves behind."""
    odd = x[:, :, ::2, ::2] + x[:, :, 1::2, 1::2] - x[:, :, ::2, 1::2] - x[:, :, 1::2, ::2]
    return odd.abs().mean((2, 3)) / 4


def _correlations(amplitudes: Tensor) -> Tensor:
    """Return the correlation of every two amplitudes over the places of a picture, near 0 where there is nothing."""
    flat: Tensor = amplitudes.flatten(2)
    flat = flat - flat.mean(2, keepdim=True)
    flat = flat / (flat.norm(dim=2, keepdim=True) + 4 * _FLOOR * flat.shape[2] ** 0.5)
    first, second = torch.triu_indices(flat.shape[1], flat.shape[1], 1, device=flat.device)
    return (flat @ flat.mT)[:, first, second]
