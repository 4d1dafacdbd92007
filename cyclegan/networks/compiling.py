"""Networks compiled by torch; what it cannot compile is computed as it is."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def compiled(network: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return a network's function, compiled for each shape on its first pass; torch keeps the result on the disk."""
    torch._dynamo.config.suppress_errors = True
    function: Callable[[Tensor], Tensor] = torch.compile(network, dynamic=False)
    return function


def compile_in_place(network: nn.Module) -> None:
    """Let torch compile a network on its first pass of each shape; `forward` still goes around it."""
    torch._dynamo.config.suppress_errors = True
    network.compile(dynamic=False)
