"""Layers shared by the networks, and how they are initialised."""

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, TypeVar, assert_never

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cyclegan.networks.instance_norm import InstanceNorm

Norm = Literal["instance", "instance-affine", "batch", "none"]
Padding = Literal["reflect", "zero"]
Network = TypeVar("Network", bound=nn.Module)


def named(**parts: nn.Module | None) -> nn.Sequential:
    """Return a sequence whose parts are saved under their names; None is left out."""
    return nn.Sequential(OrderedDict((name, part) for name, part in parts.items() if part is not None))


def normalisation(norm: Norm, channels: int) -> nn.Module | None:
    """Return the layer called `norm` for so many channels, or None for "none"."""
    match norm:
        case "instance":
            return InstanceNorm(channels)
        case "instance-affine":
            return InstanceNorm(channels, affine=True)
        case "batch":
            return nn.BatchNorm2d(channels)
        case "none":
            return None
        case _:
            assert_never(norm)


def needs_bias(norm: Norm) -> bool:
    """Tell whether convolutions before this norm carry a bias, as in the published checkpoints.

    Batch norm has a bias of its own; instance norm removes it, yet the published files hold it.
    """
    return norm != "batch"


def padding_mode(padding: Padding) -> Literal["reflect", "zeros"]:
    """Return the name torch has for a kind of padding."""
    modes: dict[Padding, Literal["reflect", "zeros"]] = {"reflect": "reflect", "zero": "zeros"}
    return modes[padding]


class Conv2d(nn.Conv2d):
    """torch's convolution, but what it pads with keeps the precision of its input.

    Autocast reflects in float32 on a CPU: a tenth of a step of training went into that and into the casts.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, H, W) of as many channels as it was made for."""
        if self.padding_mode == "zeros":
            return super().forward(x)
        height, width = (int(pixels) for pixels in self.padding)
        padded = pad(x, (width, width, height, height), mode=self.padding_mode)
        return F.conv2d(padded, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


def pad(x: Tensor, pixels: Sequence[int], *, mode: str) -> Tensor:
    """Pad (N, C, H, W) by pixels on the left, the right, above and below, in its own precision."""
    with without_autocast(x):
        return F.pad(x, pixels, mode=mode)


def without_autocast(x: Tensor) -> AbstractContextManager[object]:
    """Return a context in which tensors like x keep their precision; what is exported shall know of none."""
    kind = "cpu" if x.is_meta else x.device.type
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()


class Separable(nn.Module):
    """A 3×3 convolution in two: one filter a channel, then a mix of channels (GAN Compression, Li et al. 2020)."""

    def __init__(self, channels_in: int, channels_out: int, *, padding: Padding) -> None:
        super().__init__()
        mode = padding_mode(padding)
        self.depthwise = Conv2d(channels_in, channels_in, 3, padding=1, padding_mode=mode, groups=channels_in)
        self.norm = InstanceNorm(channels_in)
        self.pointwise = nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, channels_out, H, W)."""
        mixed: Tensor = self.pointwise(self.norm(self.depthwise(x)))
        return mixed


class Residual(nn.Module):
    """Two convolutions beside a shortcut, and no activation after the sum (He et al. 2016, as changed by Johnson)."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the shape of x."""
        change: Tensor = self.second(self.first(x))
        return x + change


class BlurHalve(nn.Module):
    """Halves height and width behind a 3×3 binomial blur, edges reflected (Zhang 2019, as in CUT).

    Two averages over neighbouring pairs are the filter [1, 2, 1]/4, so that nothing has to be stored.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, ⌈H/2⌉, ⌈W/2⌉)."""
        pairs = F.avg_pool2d(pad(x, (1, 1, 1, 1), mode="reflect"), 2, stride=1)
        return F.avg_pool2d(pairs, 2, stride=2)


def takes_each_alone(network: nn.Module) -> bool:
    """Tell whether a picture's result does not depend on which others are in its batch."""
    return not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@torch.no_grad()
def initialise(network: Network, *, gain: float = 0.02) -> Network:
    """Draw the weights afresh as in 2017, in place: convolutions from N(0, gain²), norms from N(1, gain²), biases 0.

    Networks that say `own_initialisation` have begun as they should already.
    """
    if getattr(network, "own_initialisation", False):
        return network
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            module.weight.normal_(0.0, gain)
        elif isinstance(module, (nn.BatchNorm2d, nn.InstanceNorm2d)) and module.affine:
            module.weight.normal_(1.0, gain)
        else:
            continue
        if module.bias is not None:
            module.bias.zero_()
    return network
