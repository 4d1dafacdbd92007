"""Between frames and networks: uint8 on one side, tensors in [-1, 1] on the other."""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from cyclegan.errors import CheckpointError, did_you_mean


class Codec(Protocol):
    """What every codec offers: how many channels networks see, and the way in and out."""

    @property
    def channels(self) -> int: ...

    def encode(self, frames: Tensor) -> Tensor: ...

    def decode(self, tensors: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Pictures:
    """Red, green and blue of 0 to 255 as numbers in [-1, 1]."""

    channels: int = 3

    def encode(self, frames: Tensor) -> Tensor:
        """Turn uint8 (N, C, H, W) into float32 in [-1, 1]."""
        assert frames.dtype == torch.uint8
        return frames.to(torch.float32).div_(127.5).sub_(1)

    def decode(self, tensors: Tensor) -> Tensor:
        """Turn numbers in [-1, 1] into uint8 (N, C, H, W), rounded: cutting off would darken by half a level."""
        return tensors.float().add(1).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)


CODECS: dict[str, type[Pictures]] = {"pictures": Pictures}


def build(spec: dict[str, Any]) -> Codec:
    """Build the codec that a saved file names, as in ``{"name": "pictures", "channels": 3}``."""
    options = dict(spec)
    name = str(options.pop("name", ""))
    if name not in CODECS:
        raise CheckpointError(f"unknown codec {name!r}", hint=did_you_mean(name, CODECS))
    return CODECS[name](**options)
