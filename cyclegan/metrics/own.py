"""Features that need no download: fixed filters drawn from a seed, so that any machine can measure."""

import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from cyclegan.chance import seed_for

SIDE = 64  # pixels to which every picture is brought


class Own(nn.Module):
    """Means and spreads of the responses of a random convolutional network, at several depths."""

    def __init__(self) -> None:
        super().__init__()
        chance = torch.Generator().manual_seed(seed_for("own features"))
        widths = [3, 48, 96, 192]
        for i, (n_in, n_out) in enumerate(zip(widths, widths[1:], strict=False)):
            weight = torch.randn(n_out, n_in, 3, 3, generator=chance) * (2 / (9 * n_in)) ** 0.5
            self.register_buffer(f"filters_{i}", weight - weight.mean((2, 3), keepdim=True) * (i == 0) * 0.5)
        self.depth = len(widths) - 1

    def forward(self, pictures: Tensor) -> Tensor:
        """Turn uint8 (N, 3, H, W) into (N, d)."""
        x = nnf.interpolate(pictures.float(), size=(SIDE, SIDE), mode="bicubic", antialias=True) / 127.5 - 1
        found = []
        for i in range(self.depth):
            x = nnf.relu(nnf.conv2d(x, self.get_buffer(f"filters_{i}"), padding=1))
            found += [x.mean((2, 3)), x.std((2, 3))]
            x = nnf.avg_pool2d(x, 2)
        return nnf.normalize(torch.cat(found, 1)) * sum(f.shape[1] for f in found) ** 0.5


PROTOCOL = f"own: {SIDE} px bicubic antialiased, fixed random filters"
