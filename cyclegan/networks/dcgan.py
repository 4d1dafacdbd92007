"""Noise to pictures, and a critic of them, of strided convolutions and batch norm (DCGAN)."""

from itertools import pairwise

from torch import Tensor, nn

from cyclegan.networks.blocks import named, without_autocast
from cyclegan.networks.r3gan import smallest_side

WIDEST = 8  # times the width of the finest level


class DCGANGenerator(nn.Module):
    """Paints pictures of one size from noise (Radford et al. 2016, §3).

    `size` is 4, 5, 6 or 7 times a power of two, and at least 8; `width` counts the channels at half the size, which
    double with each halving up to eight times as many.
    """

    def __init__(self, *, channels_out: int = 3, size: int = 64, latent: int = 100, width: int = 64) -> None:
        super().__init__()
        side, halvings = smallest_side(size)
        assert halvings, f"{size} pixels leave nothing to enlarge"
        self.latent, self.size = latent, size
        widths = [width * min(2**level, WIDEST) for level in range(halvings - 1, -1, -1)]
        first = nn.ConvTranspose2d(latent, widths[0], side, bias=False)
        self.levels = nn.Sequential(layer(first, nn.ReLU(inplace=True)))
        for n_in, n_out in pairwise(widths):
            grow = nn.ConvTranspose2d(n_in, n_out, 4, stride=2, padding=1, bias=False)
            self.levels.append(layer(grow, nn.ReLU(inplace=True)))
        self.paint = nn.ConvTranspose2d(widths[-1], channels_out, 4, stride=2, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        """Return pictures (N, channels_out, size, size) in [-1, 1] for noise (N, latent)."""
        pictures: Tensor = self.paint(self.levels(z[:, :, None, None])).tanh()
        return pictures


class DCGANCritic(nn.Module):
    """Judges whole pictures of one size (Radford et al. 2016, §3); takes the options of `DCGANGenerator`."""

    def __init__(self, *, channels_in: int = 3, size: int = 64, width: int = 64) -> None:
        super().__init__()
        side, halvings = smallest_side(size)
        assert halvings, f"{size} pixels leave nothing to halve"
        self.size = self.smallest = size
        widths = [width * min(2**level, WIDEST) for level in range(halvings)]
        look = nn.Conv2d(channels_in, width, 4, stride=2, padding=1)
        self.levels = nn.Sequential(named(conv=look, activation=nn.LeakyReLU(0.2, inplace=True)))
        for n_in, n_out in pairwise(widths):
            shrink = nn.Conv2d(n_in, n_out, 4, stride=2, padding=1, bias=False)
            self.levels.append(layer(shrink, nn.LeakyReLU(0.2, inplace=True)))
        self.judge = nn.Conv2d(widths[-1], 1, side)

    def forward(self, x: Tensor) -> Tensor:
        """Return one score a picture, (N, 1), unbounded; x is (N, channels_in, size, size) in [-1, 1]."""
        features = self.levels(x)
        with without_autocast(x):  # in bfloat16 a score of 1 has neighbours 0.004 away
            scores: Tensor = self.judge(features.to(self.judge.weight.dtype)).flatten(1)
        return scores


def layer(conv: nn.Conv2d | nn.ConvTranspose2d, activation: nn.Module) -> nn.Sequential:
    """Return a convolution with the batch norm and the activation behind it."""
    return named(conv=conv, norm=nn.BatchNorm2d(conv.out_channels), activation=activation)
