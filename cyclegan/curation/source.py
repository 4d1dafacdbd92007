"""Where pictures are drawn from: a network that makes them of a few numbers, and the density of these numbers."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cyclegan.curation.mixture import Mixture
from cyclegan.devices import exact_float32
from cyclegan.networks import Autoencoder

BATCH = 64


@dataclass(frozen=True)
class Source:
    """A decoder or a generator, and how its latents lie: as the mixture says, or N(0, I) where there is none.

    Draws of an autoencoder come from a mixture of normal distributions fitted to the means of its folder's latents:
    where they are is not where N(0, I) says (Ghosh et al. 2020, ex-post density estimation).
    """

    network: nn.Module
    mixture: Mixture | None = None

    @classmethod
    def fitted(cls, network: nn.Module, batches: Iterable[Tensor]) -> "Source":
        """Fit the latents of batches (N, C, H, W) in [-1, 1] where there is a way from pictures to latents."""
        mixture = Mixture.fit(encoded(network, batches)) if isinstance(network, Autoencoder) else None
        return cls(network, mixture)

    def latents(self, count: int, *, generator: torch.Generator) -> Tensor:
        """Draw latents (count, latent) on the host; the same generator draws the same."""
        if self.mixture:
            return self.mixture.sample(count, generator=generator)
        width = self.network.latent
        assert isinstance(width, int)
        return torch.randn(count, width, generator=generator)

    @exact_float32()
    @torch.no_grad()
    def pictures(self, latents: Tensor) -> Tensor:
        """Return what latents (N, latent) stand for as (N, C, H, W), about [-1, 1]."""
        device = next(self.network.parameters()).device
        make = self.network.decode if isinstance(self.network, Autoencoder) else self.network
        return torch.cat([make(z.to(device)) for z in torch.split(latents, BATCH)])


@exact_float32()
@torch.no_grad()
def encoded(network: Autoencoder, batches: Iterable[Tensor]) -> Tensor:
    """Return the means of the latents of batches (N, C, H, W) in [-1, 1], on the host: (N, latent)."""
    return torch.cat([network.encode(pictures).mean for pictures in batches]).cpu()
