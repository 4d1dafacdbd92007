"""A translator and a critic of gated layers, for signals of a few coefficients and any number of frames."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from cyclegan.networks.blocks import Residual, named, without_autocast
from cyclegan.networks.instance_norm import InstanceNorm
from cyclegan.networks.r3gan import scaled


class TwoOneTwo(nn.Module):
    """Translates in two dimensions, one, and two again (Kaneko et al. 2019, CycleGAN-VC2; 2021, MaskCycleGAN-VC).

    Coefficients and frames are halved twice; in the middle, residual blocks see all coefficients of a frame as
    channels. What comes out is added to the input: a new network changes nothing. Frames that a mask hides are to be
    made up: the mask, 1 where there is something to hear, is a channel of the input. Draws its own first weights.
    """

    own_initialisation = True
    multiple = 4  # of frames: they come back only if both halvings are exact
    smallest = 8  # frames: a single one in the middle would have no variance to divide by

    def __init__(
        self,
        *,
        channels_in: int = 1,
        channels_out: int = 1,
        height: int = 36,
        width: int = 64,
        inner: int = 256,
        blocks: int = 6,
        kernel: int = 15,
    ) -> None:
        super().__init__()
        assert height % 4 == 0, f"{height} coefficients cannot be halved twice"
        assert channels_in == channels_out, "a change has the channels of the signal"
        assert kernel % 2, "an even kernel has no middle"
        side = max(3, kernel // 3 | 1)  # as published: 5 × 15 at either end, 5 × 5 between
        middle, self.rows = 2 * width, height // 4
        self.stem = gated(channels_in + 1, width, kernel=(side, kernel))
        self.downs = nn.Sequential(
            gated(width, middle, kernel=(side, side), stride=2, normed=True),
            gated(middle, middle, kernel=(side, side), stride=2, normed=True),
        )
        self.narrow = mixed(middle * self.rows, inner)
        self.blocks = nn.Sequential(*(block(inner) for _ in range(blocks)))
        self.widen = mixed(inner, middle * self.rows)
        self.ups = nn.Sequential(enlarging(middle, middle, side=side), enlarging(middle, width, side=side))
        self.head = named(conv=convolution(width, channels_out, kernel=(side, kernel), gain=0))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Translate x, (N, channels_in, height, T), hidden where the mask (N, 1, height, T) is 0; None hides nothing.

        x holds zeros where it is hidden: that is the caller's part.
        """
        mask = torch.ones_like(x[:, :1]) if mask is None else mask
        features = self.downs(self.stem(torch.cat([x, mask], dim=1)))
        frames = features.flatten(1, 2).unsqueeze(2)  # (N, channels × rows, 1, T/4)
        frames = self.widen(self.blocks(self.narrow(frames)))
        change: Tensor = self.head(self.ups(frames.squeeze(2).unflatten(1, (-1, self.rows))))
        return x + change


class GatedPatchGAN(nn.Module):
    """Judges patches through gated layers (Kaneko et al. 2019, CycleGAN-VC2), without the sigmoid at the end.

    `layers` strided layers: 3 see 33 × 33, 2 see 17, 1 sees 9. Draws its own first weights.
    """

    own_initialisation = True

    def __init__(self, *, channels_in: int = 1, width: int = 64, layers: int = 3) -> None:
        super().__init__()
        widths = [width * min(2**level, 8) for level in range(layers + 1)]
        self.stem = gated(channels_in, width, kernel=(3, 3))
        self.layers = nn.Sequential(
            *(gated(n_in, n_out, kernel=(3, 3), stride=2, normed=True) for n_in, n_out in pairwise(widths))
        )
        self.head = named(conv=convolution(widths[-1], 1, kernel=(3, 3)))
        self.smallest = (1 << layers) + 1  # of a single score there is no variance

    def forward(self, x: Tensor) -> Tensor:
        """Return one score a patch, (N, 1, h, w), unbounded; x is (N, channels_in, C, T)."""
        features = self.layers(self.stem(x))
        with without_autocast(x):  # in bfloat16 a score of 1 has neighbours 0.004 away
            scores: Tensor = self.head(features.to(next(self.head.parameters()).dtype))
        return scores


def gated(
    channels_in: int, channels_out: int, *, kernel: tuple[int, int], stride: int = 1, normed: bool = False
) -> nn.Sequential:
    """Return a convolution of which one half says how much of the other passes (Dauphin et al. 2017)."""
    conv = convolution(channels_in, 2 * channels_out, kernel=kernel, stride=stride, bias=not normed)
    return named(conv=conv, norm=InstanceNorm(2 * channels_out, affine=True) if normed else None, gate=nn.GLU(dim=1))


def enlarging(channels_in: int, channels_out: int, *, side: int) -> nn.Sequential:
    """Return a layer to double coefficients and frames, each new place with filters of its own (Shi et al. 2016)."""
    conv = convolution(channels_in, 8 * channels_out, kernel=(side, side), bias=False)
    norm = InstanceNorm(2 * channels_out, affine=True)
    return named(conv=conv, shuffle=nn.PixelShuffle(2), norm=norm, gate=nn.GLU(dim=1))


def block(channels: int) -> Residual:
    """Return a residual block over three frames, twice as wide inside."""
    return Residual(
        gated(channels, 2 * channels, kernel=(1, 3), normed=True), mixed(2 * channels, channels, kernel=(1, 3))
    )


def mixed(channels_in: int, channels_out: int, *, kernel: tuple[int, int] = (1, 1)) -> nn.Sequential:
    """Return a convolution that is normalised, without a gate."""
    conv = convolution(channels_in, channels_out, kernel=kernel, bias=False)
    return named(conv=conv, norm=InstanceNorm(channels_out, affine=True))


def convolution(
    channels_in: int, channels_out: int, *, kernel: tuple[int, int], stride: int = 1, bias: bool = True, gain: float = 1
) -> nn.Module:
    """Return a convolution that keeps the size, or divides it by the stride, with weights drawn by its fan-in."""
    padding = (kernel[0] // 2, kernel[1] // 2)
    return scaled(nn.Conv2d(channels_in, channels_out, kernel, stride, padding, bias=bias), gain=gain)
