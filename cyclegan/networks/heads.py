"""Small networks that make a translator's features comparable, patch by patch."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import normalize


class PatchHeads(nn.Module):
    """One perceptron of two layers for each layer of features (Park et al. 2020, CUT, §3.2; Chen et al. 2020)."""

    def __init__(self, *, channels: Sequence[int], width: int = 256) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(n, width), nn.ReLU(inplace=True), nn.Linear(width, width)) for n in channels
        )

    def forward(self, features: Sequence[Tensor], places: Sequence[Tensor]) -> list[Tensor]:
        """Return unit vectors (N, P, width) for each layer (N, C, H, W) at its places, P numbers below H·W."""
        chosen = [layer.flatten(2)[:, :, at].transpose(1, 2) for layer, at in zip(features, places, strict=True)]
        return [normalize(head(vectors).float(), dim=2) for head, vectors in zip(self.layers, chosen, strict=True)]
