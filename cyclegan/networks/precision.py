"""Arithmetic in bfloat16: a network put into it, and how much of the picture that costs."""

import copy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cyclegan.devices import exact_float32

LEVELS = 127.5  # of 255, in one unit of a picture in [-1, 1]


class Rounding(NamedTuple):
    """How far pictures in bfloat16 are from those in float32, in levels of 255: mean, and 99.9th percentile."""

    mean: float
    worst: float

    @property
    def unseen(self) -> bool:
        """Whether nobody sees it: at most 0.3 of a level in the mean, and 2 at the 99.9th percentile."""
        return self.mean <= 0.3 and self.worst <= 2


def lowered(network: nn.Module) -> nn.Module:
    """Return a copy that convolves in bfloat16, all but the last time; it takes and returns float32.

    Norms compute in float32 as ever. Near white, bfloat16 knows only every second level: hence the exception.
    """
    lower = copy.deepcopy(network)
    convolutions = [m for m in lower.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    for module in convolutions[:-1]:
        module.to(torch.bfloat16)
    for module in convolutions:
        module.register_forward_pre_hook(_in_its_own_precision)
    return lower


@exact_float32()
@torch.no_grad()
def rounding(network: nn.Module, pictures: Tensor) -> Rounding:
    """Measure what bfloat16 changes in translations of pictures (N, C, H, W) in [-1, 1]."""
    lower = lowered(network)
    apart = torch.cat([_apart(network(one), lower(one)).flatten() for one in torch.split(pictures, 1)])
    rank = max(1, round(0.999 * apart.numel()))
    return Rounding(round(apart.mean().item(), 4), round(apart.kthvalue(rank).values.item(), 4))


def _apart(exact: Tensor, coarse: Tensor) -> Tensor:
    return (exact.clamp(-1, 1) - coarse.clamp(-1, 1)).abs().float() * LEVELS


def _in_its_own_precision(module: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    weight: Tensor = module.weight  # type: ignore[assignment]
    return (inputs[0].to(weight.dtype),)
