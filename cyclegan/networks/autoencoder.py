"""The autoencoder: a picture becomes a few numbers, and the numbers a picture."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cyclegan.networks.blocks import named

WIDEST = 8  # times the first width
SMALLEST = 4  # pixels of the innermost square, at least


class Encoded(NamedTuple):
    """What an encoder says of pictures: q(z|x) = N(mean, exp(log_variance)), each (N, latent); logits (N, labels)."""

    mean: Tensor
    log_variance: Tensor
    logits: Tensor


class Autoencoder(nn.Module):
    """Encodes squares into the parameters of a Gaussian, and decodes its draws (Kingma and Welling 2014, appendix C.2).

    Strided convolutions with batch norm halve the picture until four to seven pixels are left; a linear layer has the
    mean and the logarithm of the *variance* (not of its root) of every latent, and logits for `labels` groups. The way
    back enlarges, then filters, which leaves no checkerboard. `noise` is what p(x|z) has as variance, in units of
    [-1, 1]², as whoever trains it has measured; a buffer, so that it is saved.
    """

    noise: Tensor

    def __init__(
        self,
        *,
        channels_in: int = 3,
        channels_out: int = 3,
        size: int = 64,
        width: int = 16,
        latent: int = 32,
        labels: int = 0,
    ) -> None:
        super().__init__()
        halvings = int(math.log2(size / SMALLEST)) if size >= SMALLEST else 0
        self.multiple = 1 << halvings
        assert size % self.multiple == 0, f"{size} is no multiple of {self.multiple}"
        self.size, self.latent, self.labels = size, latent, labels
        widths = [width * min(1 << level, WIDEST) for level in range(halvings)]
        side = size >> halvings
        self.inner = (widths[-1] if widths else channels_in, side, side)
        flat = math.prod(self.inner)

        self.down = nn.Sequential(*(_halving(i, o) for i, o in zip([channels_in, *widths], widths, strict=False)))
        self.to_latent = nn.Linear(flat, 2 * latent + labels)
        self.from_latent = nn.Linear(latent, flat)
        back = widths[::-1]
        self.up = nn.Sequential(*(_doubling(i, o) for i, o in zip(back, [*back[1:], width], strict=False)))
        self.head = nn.Conv2d(width if widths else channels_in, channels_out, 3, padding=1)
        self.register_buffer("noise", torch.ones(()))

    def encode(self, x: Tensor) -> Encoded:
        """Return what is known of the latents of x, (N, channels_in, size, size) in [-1, 1]."""
        found = self.to_latent(self.down(x).flatten(1)).float()
        mean, log_variance, logits = found.split([self.latent, self.latent, self.labels], dim=1)
        return Encoded(mean, log_variance, logits)

    def decode(self, z: Tensor) -> Tensor:
        """Return the mean of p(x|z) as (N, channels_out, size, size), not clamped; z is (N, latent)."""
        features = self.from_latent(z).unflatten(1, self.inner)
        pictures: Tensor = self.head(self.up(features)).float()
        return pictures

    def forward(self, x: Tensor) -> Tensor:
        """Return pictures through the means of their latents."""
        return self.decode(self.encode(x).mean)


def _halving(channels_in: int, channels_out: int) -> nn.Sequential:
    conv = nn.Conv2d(channels_in, channels_out, 4, stride=2, padding=1, bias=False)
    return named(conv=conv, norm=nn.BatchNorm2d(channels_out), activation=nn.SiLU(inplace=True))


def _doubling(channels_in: int, channels_out: int) -> nn.Sequential:
    conv = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
    enlarge = nn.Upsample(scale_factor=2, mode="nearest")
    return named(enlarge=enlarge, conv=conv, norm=nn.BatchNorm2d(channels_out), activation=nn.SiLU(inplace=True))
