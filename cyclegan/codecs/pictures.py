"""Pictures: uint8 on one side, tensors in [-1, 1] on the other."""

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class Pictures:
    """Red, green and blue of 0 to 255 as numbers in [-1, 1], the same for every domain."""

    channels: int = 3

    def of(self, domain: str) -> Self:
        """Return the codec of one domain: all have this one."""
        return self

    def encode(self, frames: Tensor) -> Tensor:
        """Turn uint8 (N, C, H, W) into float32 in [-1, 1]."""
        assert frames.dtype == torch.uint8
        return frames.to(torch.float32).div_(127.5).sub_(1)

    def decode(self, tensors: Tensor) -> Tensor:
        """Turn numbers in [-1, 1] into uint8 (N, C, H, W), rounded: cutting off would darken by half a level."""
        return tensors.float().add(1).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)

    def spec(self) -> dict[str, Any]:
        """Return what a saved file says of the codec, for `build`."""
        return {"name": "pictures", "channels": self.channels}
