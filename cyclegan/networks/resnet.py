"""The residual translator of CycleGAN, with CUT's antialiased and GAN Compression's separable variants."""

from collections.abc import Sequence
from typing import Literal, assert_never

from torch import Tensor, nn

from cyclegan.networks.blocks import (
    BlurHalve,
    Conv2d,
    Norm,
    Padding,
    Residual,
    Separable,
    named,
    needs_bias,
    normalisation,
    padding_mode,
)

Resample = Literal["strided", "antialiased", "nearest", "light"]
Output = Literal["tanh", "residual"]
SEEN_BLOCKS = (0, 4)


class ResNet(nn.Module):
    """Translates through residual blocks at a quarter of the size (Johnson et al. 2016; Zhu et al. 2017, §7.1).

    `widths` names every channel count, for networks that were pruned: after the stem, after each of the two
    halvings, inside each block, after each of the two doublings. Empty, it follows from `width`.
    With `output` "residual" the network paints the change and adds it to the picture: it begins near the identity, so
    that the background need not be learnt first. Its values may leave [-1, 1] a little.
    """

    multiple = 4  # height and width come back only if both halvings are exact
    smallest = 8  # at 4 pixels the middle is a single pixel: nothing to reflect, no variance to divide by

    def __init__(
        self,
        *,
        channels_in: int = 3,
        channels_out: int = 3,
        width: int = 64,
        blocks: int = 9,
        norm: Norm = "instance",
        dropout: float = 0.0,
        padding: Padding = "reflect",
        resample: Resample = "strided",
        output: Output = "tanh",
        kernel: int = 7,
        separable: bool = False,
        widths: Sequence[int] = (),
    ) -> None:
        super().__init__()
        widths = tuple(widths) or derived_widths(width, blocks=blocks)
        assert blocks >= 1, "a translator without blocks sees too little"
        assert len(widths) == 5 + blocks, f"{blocks} blocks have {5 + blocks} widths, not {len(widths)}"
        stem, half, middle, *inner, double, last = widths
        self.seen_widths = (half, middle, *(middle for number in SEEN_BLOCKS if number < blocks))

        first = outermost(channels_in, stem, kernel=kernel, padding=padding, bias=needs_bias(norm))
        self.stem = named(conv=first, norm=normalisation(norm, stem), activation=nn.ReLU(inplace=True))
        self.downs = nn.Sequential(
            halving(stem, half, norm=norm, resample=resample),
            halving(half, middle, norm=norm, resample=resample),
        )
        self.blocks = nn.Sequential(
            *(block(middle, n, norm=norm, dropout=dropout, padding=padding, separable=separable) for n in inner)
        )
        self.ups = nn.Sequential(
            doubling(middle, double, norm=norm, padding=padding, resample=resample),
            doubling(double, last, norm=norm, padding=padding, resample=resample),
        )
        head = outermost(last, channels_out, kernel=kernel, padding=padding, bias=True)
        self.residual = output == "residual"
        assert not self.residual or channels_in == channels_out, "a change has the channels of the picture"
        self.head = named(conv=head, activation=None if self.residual else nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        """Translate (N, channels_in, H, W) in [-1, 1] to (N, channels_out, H, W) in [-1, 1]."""
        features = self.downs(self.stem(x))
        painted: Tensor = self.head(self.ups(self.blocks(features)))
        return x + painted if self.residual else painted

    def layered(self, x: Tensor, *, after: Sequence[int] = SEEN_BLOCKS) -> tuple[Tensor, list[Tensor]]:
        """Translate as `forward` does, and return what was seen on the way: `seen_widths` channels, inwards.

        After each halving, and `after` blocks: the first and the fifth, as CUT chose (Park et al. 2020, §3). A block
        that is named twice is seen twice.
        """
        half = self.downs[0](self.stem(x))
        seen = [half, self.downs[1](half)]
        features = seen[-1]
        for number, one in enumerate(self.blocks):
            features = one(features)
            seen += [features] * after.count(number)
        painted: Tensor = self.head(self.ups(features))
        return (x + painted if self.residual else painted), seen


def derived_widths(width: int, *, blocks: int) -> tuple[int, ...]:
    """Return the channel counts of the published networks: doubled where the picture is halved."""
    return (width, 2 * width, *[4 * width] * (1 + blocks), 2 * width, width)


def outermost(channels_in: int, channels_out: int, *, kernel: int, padding: Padding, bias: bool) -> nn.Conv2d:
    """Return the convolution that meets the picture, at either end."""
    assert kernel % 2, "an even kernel has no middle"
    mode = padding_mode(padding)
    return Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, padding_mode=mode, bias=bias)


def halving(channels_in: int, channels_out: int, *, norm: Norm, resample: Resample) -> nn.Sequential:
    """Return a layer to half the height and width."""
    blur = resample in ("antialiased", "light")
    stride = 1 if blur else 2
    return named(
        blur=BlurHalve() if resample == "light" else None,
        conv=nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=needs_bias(norm)),
        norm=normalisation(norm, channels_out),
        activation=nn.ReLU(inplace=True),
        halve=BlurHalve() if resample == "antialiased" else None,
    )


def doubling(channels_in: int, channels_out: int, *, norm: Norm, padding: Padding, resample: Resample) -> nn.Sequential:
    """Return a layer to double the height and width."""
    bias = needs_bias(norm)
    enlarge: nn.Upsample | None = None
    conv: nn.Conv2d | nn.ConvTranspose2d
    match resample:
        case "strided":
            conv = nn.ConvTranspose2d(channels_in, channels_out, 3, stride=2, padding=1, output_padding=1, bias=bias)
        case "antialiased":  # bilinear weights are CUT's filter [1, 3, 3, 1]/4, edges repeated
            enlarge = nn.Upsample(scale_factor=2, mode="bilinear")
            conv = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=bias)
        case "light":  # the same blurs at a quarter of the work: convolutions see the smaller side
            enlarge = nn.Upsample(scale_factor=2, mode="bilinear")
            conv = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=bias)
        case "nearest":  # Odena et al. 2016: no checkerboard
            enlarge = nn.Upsample(scale_factor=2, mode="nearest")
            conv = Conv2d(channels_in, channels_out, 3, padding=1, padding_mode=padding_mode(padding), bias=bias)
        case _:
            assert_never(resample)
    light = resample == "light"
    return named(
        enlarge=None if light else enlarge,
        conv=conv,
        norm=normalisation(norm, channels_out),
        grow=enlarge if light else None,
        activation=nn.ReLU(inplace=True),  # behind the enlarging, or nothing would be sharp
    )


def block(channels: int, inner: int, *, norm: Norm, dropout: float, padding: Padding, separable: bool) -> Residual:
    """Return a residual block that is `inner` channels wide inside."""

    def conv(n_in: int, n_out: int) -> nn.Module:
        if separable:
            return Separable(n_in, n_out, padding=padding)
        return Conv2d(n_in, n_out, 3, padding=1, padding_mode=padding_mode(padding), bias=needs_bias(norm))

    return Residual(
        named(
            conv=conv(channels, inner),
            norm=normalisation(norm, inner),
            activation=nn.ReLU(inplace=True),
            dropout=nn.Dropout(dropout) if dropout else None,
        ),
        named(conv=conv(inner, channels), norm=normalisation(norm, channels)),
    )
