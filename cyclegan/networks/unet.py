"""The U-Net translator of pix2pix."""

import torch
from torch import Tensor, nn

from cyclegan.networks.blocks import Norm, named, needs_bias, normalisation


class UNet(nn.Module):
    """Translates through an encoder and a decoder joined by skips (Ronneberger et al. 2015; Isola et al. 2017, §6.1).

    `depth` halvings; 8 reduce 256 pixels to a single one. `downs` go inwards, `ups` come back outwards.
    """

    def __init__(
        self,
        *,
        channels_in: int = 3,
        channels_out: int = 3,
        width: int = 64,
        depth: int = 8,
        norm: Norm = "instance",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        assert depth >= 1
        self.depth = depth
        widths = [width * min(2**level, 8) for level in range(depth)]
        joined = [2 * n for n in widths[:-1]] + [widths[-1]]  # with the skip; there is none innermost
        innermost = depth - 1
        self.seen_widths = tuple(widths[: min(4, depth)])

        self.downs = nn.ModuleList([named(conv=halving(channels_in, width, bias=needs_bias(norm)))])
        for level in range(1, depth):  # the innermost level may be a single pixel, which no norm can take
            inner_norm: Norm = "none" if level == innermost else norm
            conv = halving(widths[level - 1], widths[level], bias=needs_bias(norm))
            self.downs.append(down(conv, norm=inner_norm))

        self.ups = nn.ModuleList()
        for level in reversed(range(1, depth)):
            dropped = dropout if 4 <= level < innermost else 0.0  # the levels the paper calls CD512
            self.ups.append(up(joined[level], widths[level - 1], norm=norm, dropout=dropped))

        head = nn.ConvTranspose2d(joined[0], channels_out, 4, stride=2, padding=1)
        self.head = named(activation=nn.ReLU(), conv=head, squash=nn.Tanh())

    @property
    def multiple(self) -> int:
        """Height and width must be multiples of this, or the skips do not fit."""
        return 1 << self.depth

    @property
    def smallest(self) -> int:
        """The least height and width: one pixel innermost, two by two where the first norm is."""
        return self.multiple

    def forward(self, x: Tensor) -> Tensor:
        """Translate (N, channels_in, H, W) in [-1, 1] to (N, channels_out, H, W) in [-1, 1]."""
        return self.layered(x)[0]

    def layered(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Translate as `forward` does, and return what was seen on the way: `seen_widths` channels, inwards."""
        skips = []
        for down in self.downs:
            x = down(x)
            skips.append(x)
        seen = skips[: len(self.seen_widths)]
        x = skips.pop()
        for up in self.ups:
            x = torch.cat([skips.pop(), up(x)], dim=1)
        translated: Tensor = self.head(x)
        return translated, seen


def halving(channels_in: int, channels_out: int, *, bias: bool) -> nn.Conv2d:
    """Return a convolution to half the height and width."""
    return nn.Conv2d(channels_in, channels_out, 4, stride=2, padding=1, bias=bias)


def down(conv: nn.Conv2d, *, norm: Norm) -> nn.Sequential:
    """Return a level inwards, below the first.

    The reference activates in place, so that its skips carry the activated tensor. Every skip meets a ReLU next, and
    ReLU(LeakyReLU(x)) = ReLU(x): the function is the same, and the gradient too.
    """
    return named(activation=nn.LeakyReLU(0.2), conv=conv, norm=normalisation(norm, conv.out_channels))


def up(channels_in: int, channels_out: int, *, norm: Norm, dropout: float) -> nn.Sequential:
    """Return a level outwards, to double the height and width."""
    return named(
        activation=nn.ReLU(),
        conv=nn.ConvTranspose2d(channels_in, channels_out, 4, stride=2, padding=1, bias=needs_bias(norm)),
        norm=normalisation(norm, channels_out),
        dropout=nn.Dropout(dropout) if dropout else None,
    )
