"""Noise to pictures, and a critic of them, both without normalisation (R3GAN)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cyclegan.networks.blocks import BlurHalve, Residual, named, without_autocast

SLOPE = 0.2  # of the leaky rectifiers
WIDEST = 4  # times the width of the finest level
EXPANSION = 2  # the inside of a block, in multiples of its outside
GROUP = 16  # channels that a 3×3 convolution mixes


class R3Generator(nn.Module):
    """Paints pictures of one size from noise (Huang et al. 2024, R3GAN).

    `size` is 4, 5, 6 or 7 times a power of two; `width` counts the channels at the full size, which double with each
    halving up to four times as many; `blocks` stand on each level. Draws its own first weights.
    """

    own_initialisation = True

    def __init__(
        self, *, channels_out: int = 3, size: int = 64, latent: int = 64, width: int = 16, blocks: int = 1
    ) -> None:
        super().__init__()
        side, halvings = smallest_side(size)
        self.latent, self.size = latent, size
        widths = [width * min(2**level, WIDEST) for level in range(halvings, -1, -1)]
        self.basis = nn.Parameter(torch.randn(widths[0], side, side))
        self.mix = scaled(nn.Linear(latent, widths[0], bias=False))
        self.levels = nn.Sequential()
        for level, channels in enumerate(widths):
            grow = [enlarge(widths[level - 1], channels)] if level else []
            self.levels.append(nn.Sequential(*grow, *stack(channels, blocks, in_all=blocks * len(widths))))
        self.paint = scaled(nn.Conv2d(widths[-1], channels_out, 1, bias=False))

    def forward(self, z: Tensor) -> Tensor:
        """Return pictures (N, channels_out, size, size) for noise (N, latent): of [-1, 1], but not cut off there."""
        weights = self.mix(z)[:, :, None, None]
        pictures: Tensor = self.paint(self.levels(weights * self.basis))
        return pictures


class R3Critic(nn.Module):
    """Judges whole pictures of one size: the generator the other way round (Huang et al. 2024, R3GAN).

    Takes the options of `R3Generator`. Draws its own first weights.
    """

    own_initialisation = True

    def __init__(self, *, channels_in: int = 3, size: int = 64, width: int = 16, blocks: int = 1) -> None:
        super().__init__()
        side, halvings = smallest_side(size)
        self.size = self.smallest = size
        widths = [width * min(2**level, WIDEST) for level in range(halvings + 1)]
        self.look = scaled(nn.Conv2d(channels_in, widths[0], 1, bias=False))
        self.levels = nn.Sequential()
        for level, channels in enumerate(widths):
            shrink = [halve(channels, widths[level + 1])] if level < halvings else []
            self.levels.append(nn.Sequential(*stack(channels, blocks, in_all=blocks * len(widths)), *shrink))
        self.gather = scaled(nn.Conv2d(widths[-1], widths[-1], side, groups=widths[-1], bias=False))
        self.judge = scaled(nn.Linear(widths[-1], 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """Return one score a picture, (N, 1), unbounded; x is (N, channels_in, size, size) in [-1, 1]."""
        features = self.gather(self.levels(self.look(x))).flatten(1)
        with without_autocast(x):  # in bfloat16 a score of 1 has neighbours 0.004 away
            scores: Tensor = self.judge(features.to(self.judge.weight.dtype))
        return scores


class Enlarge(nn.Module):
    """Doubles height and width and smooths by [1, 2, 1]/2: what is new lies halfway between its neighbours."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, 2H, 2W)."""
        with without_autocast(x):
            twice = F.pad(F.interpolate(x, scale_factor=2, mode="nearest"), (0, 1, 0, 1), mode="replicate")
        return F.avg_pool2d(twice, 2, stride=1)


def smallest_side(size: int) -> tuple[int, int]:
    """Return the side of the coarsest level, 4 to 7 pixels, and how many halvings lead there from `size`."""
    halvings = size.bit_length() - 3
    assert halvings >= 0, size
    assert size == size >> halvings << halvings, f"{size} is not 4, 5, 6 or 7 times a power of two"
    return size >> halvings, halvings


def enlarge(channels_in: int, channels_out: int) -> nn.Module:
    """Return what leads to the next finer level: channels are mixed where there are fewer pixels."""
    mix = scaled(nn.Conv2d(channels_in, channels_out, 1, bias=False)) if channels_in != channels_out else None
    return named(mix=mix, resample=Enlarge())


def halve(channels_in: int, channels_out: int) -> nn.Module:
    """Return what leads to the next coarser level."""
    mix = scaled(nn.Conv2d(channels_in, channels_out, 1, bias=False)) if channels_in != channels_out else None
    return named(resample=BlurHalve(), mix=mix)


def stack(channels: int, blocks: int, *, in_all: int) -> list[nn.Module]:
    """Return residual blocks 1×1, grouped 3×3, 1×1, which do nothing at first (Zhang et al. 2019, Fixup).

    `in_all` blocks of the network share one variance: each inner convolution of m = 2 begins scaled by L^(-1/2m).
    """
    inside = channels * EXPANSION
    groups = max(1, inside // GROUP)
    gain = math.sqrt(2 / (1 + SLOPE**2)) * in_all**-0.25
    made: list[nn.Module] = []
    for _ in range(blocks):
        widen = scaled(nn.Conv2d(channels, inside, 1), gain=gain)
        mix = scaled(nn.Conv2d(inside, inside, 3, padding=1, groups=groups), gain=gain)
        narrow = scaled(nn.Conv2d(inside, channels, 1, bias=False), gain=0)
        first = named(conv=widen, activation=nn.LeakyReLU(SLOPE, inplace=True))
        made.append(Residual(first, named(mix=mix, activation=nn.LeakyReLU(SLOPE, inplace=True), conv=narrow)))
    return made


@torch.no_grad()
def scaled(layer: nn.Module, *, gain: float = 1.0) -> nn.Module:
    """Draw a layer's weights from N(0, gain²/fan in), in place, and set its bias to 0."""
    assert isinstance(layer, nn.Conv2d | nn.Linear)
    layer.weight.normal_(0.0, gain / math.sqrt(layer.weight[0].numel()))
    if layer.bias is not None:
        layer.bias.zero_()
    return layer
