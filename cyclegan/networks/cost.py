"""What a network costs, counted without computing anything."""

import copy

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def multiply_adds(network: nn.Module, *, side: int, channels: int = 3) -> int:
    """Return the multiply-adds of one pass over a picture of side × side pixels, in convolutions and products."""
    shadow = copy.deepcopy(network).to("meta")
    with torch.inference_mode(), FlopCounterMode(display=False) as counted:
        shadow(torch.empty(1, channels, side, side, device="meta"))
    return int(counted.get_total_flops()) // 2
