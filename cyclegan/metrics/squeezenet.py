"""SqueezeNet 1.0 (Iandola et al. 2016) in the weights of its authors: small, and good enough to tell good from bad."""

from collections.abc import Mapping

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

SIDE = 227  # pixels
_MEAN = (104.0, 117.0, 123.0)  # Caffe's, of blue, green and red
_PRECISION = 2.0**22  # Pillow's fixed point
_FIRES, _POOLS = (3, 4, 5, 7, 8, 9, 10, 12), (2, 6, 11)  # places in `features`


class SqueezeNet(nn.Module):
    """Gives the mean activations of the last fire module: uint8 (N, 3, H, W) in, (N, 512) of length √512 out.

    The middle square is resized as Pillow does it, rounded. With that length, the kernel (x·y/d + 1)³ sees cosines.
    `state` holds the tensors of torchvision's layout in Caffe's values; KeyError names one that is missing.
    """

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        for layer in ("0", *(f"{i}.{part}" for i in _FIRES for part in ("squeeze", "expand1x1", "expand3x3"))):
            for leaf in ("weight", "bias"):
                self.register_buffer(f"{layer}.{leaf}".replace(".", "_"), state[f"features.{layer}.{leaf}"])
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None])

    def forward(self, pictures: Tensor) -> Tensor:
        """Return features (N, 512), each of length √512, of uint8 pictures (N, 3, H, W)."""
        x = self._layer("0", _prepared(pictures) - self.get_buffer("mean"), stride=2)
        for i in range(2, 13):
            x = nnf.max_pool2d(x, 3, 2, ceil_mode=True) if i in _POOLS else self._fire(i, x)
        features: Tensor = x.mean((2, 3)).double()
        unit: Tensor = features / torch.linalg.vector_norm(features, dim=1, keepdim=True)
        return unit * unit.new_tensor(features.shape[1]).sqrt()

    def _fire(self, i: int, x: Tensor) -> Tensor:
        squeezed = self._layer(f"{i}_squeeze", x)
        parts = self._layer(f"{i}_expand1x1", squeezed), self._layer(f"{i}_expand3x3", squeezed, padding=1)
        return torch.cat(parts, 1)

    def _layer(self, name: str, x: Tensor, *, stride: int = 1, padding: int = 0) -> Tensor:
        weight, bias = self.get_buffer(f"{name}_weight"), self.get_buffer(f"{name}_bias")
        return nnf.relu(nnf.conv2d(x, weight, bias, stride=stride, padding=padding))


def recognises(state: Mapping[str, Tensor]) -> bool:
    """Tell whether named tensors are those of this network."""
    return "features.12.expand3x3.weight" in state and "features.0.weight" in state


def _prepared(pictures: Tensor) -> Tensor:
    """Return the middle squares as float (N, 3, 227, 227), blue first."""
    height, width = pictures.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = pictures[:, :, top : top + side, left : left + side].cpu()  # float64 is not to be had everywhere
    weights = _taps(side)
    wide = _rounded(square.double() @ weights.T)
    return _rounded(weights @ wide)[:, [2, 1, 0]].float().to(pictures.device)


def _taps(side: int) -> Tensor:
    """Return Pillow's bicubic weights (227, side), in whole 2⁻²²s; torch's own are coarser: 1 pixel of 200 differs."""
    scale = side / SIDE
    stretch = max(scale, 1.0)
    centre = (torch.arange(SIDE, dtype=torch.float64)[:, None] + 0.5) * scale
    place = torch.arange(side, dtype=torch.float64)
    first, last = (centre - 2 * stretch + 0.5).trunc(), (centre + 2 * stretch + 0.5).trunc()
    away = ((place + 0.5 - centre) / stretch).abs()
    near = (1.5 * away - 2.5) * away * away + 1
    far = ((-0.5 * away + 2.5) * away - 4) * away + 2
    weights = torch.where(away < 1, near, far) * (away < 2) * (place >= first) * (place < last)
    whole = (weights / weights.sum(1, keepdim=True) * _PRECISION).abs() + 0.5
    return whole.floor() * weights.sign()


def _rounded(sums: Tensor) -> Tensor:
    return ((sums + _PRECISION / 2) / _PRECISION).floor().clamp(0, 255)
