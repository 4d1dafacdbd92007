"""The critic of pix2pix and CycleGAN, which judges overlapping patches."""

from torch import Tensor, nn

from cyclegan.networks.blocks import Norm, named, needs_bias, normalisation, without_autocast


class PatchGAN(nn.Module):
    """Judges every patch of a picture by itself (Isola et al. 2017, §3.2.2).

    `layers` strided layers: 3 see 70 × 70 pixels, 2 see 34, 1 sees 16; 0 judges single pixels.
    Gradient penalties look at one picture at a time and want `norm="none"` or "instance", never "batch".
    """

    def __init__(self, *, channels_in: int = 3, width: int = 64, layers: int = 3, norm: Norm = "instance") -> None:
        super().__init__()
        assert layers >= 0
        kernel, padding = (4, 1) if layers else (1, 0)
        stride = 2 if layers else 1
        widths = [width * min(2**level, 8) for level in range(max(layers, 1) + 1)]

        first = nn.Conv2d(channels_in, width, kernel, stride=stride, padding=padding)
        self.stem = named(conv=first, activation=nn.LeakyReLU(0.2, inplace=True))
        self.layers = nn.Sequential()
        for level in range(1, len(widths)):
            step = 1 if level == len(widths) - 1 else stride  # the last hidden layer keeps the size
            n_in, n_out = widths[level - 1], widths[level]
            conv = nn.Conv2d(n_in, n_out, kernel, stride=step, padding=padding, bias=needs_bias(norm))
            activation = nn.LeakyReLU(0.2, inplace=True)
            self.layers.append(named(conv=conv, norm=normalisation(norm, n_out), activation=activation))
        # the published pixel critic with batch norm has no bias here either
        bias = layers > 0 or needs_bias(norm)
        self.head = named(conv=nn.Conv2d(widths[-1], 1, kernel, padding=padding, bias=bias))
        self.smallest = smallest_input(layers, norm=norm)

    def forward(self, x: Tensor) -> Tensor:
        """Return one score a patch, (N, 1, h, w), unbounded; x is (N, channels_in, H, W) in [-1, 1]."""
        features = self.layers(self.stem(x))
        with without_autocast(x):  # in bfloat16 a score of 1 has neighbours 0.004 away
            scores: Tensor = self.head(features.to(next(self.head.parameters()).dtype))
        return scores


def smallest_input(layers: int, *, norm: Norm) -> int:
    """Return the least height and width that leave one score: two unstrided layers take a pixel each."""
    if layers:
        return 3 << layers
    return 1 if norm == "none" else 2
