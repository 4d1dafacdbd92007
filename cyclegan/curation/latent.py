"""What a VAE says of a picture: where it lies among the others, and what of it could not be said."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as nnf

from cyclegan.networks import Autoencoder

LOST, WHOLE = 4, 3  # bands of what decoding lost, and of the picture itself
FLOOR = 1e-4  # energy below is noise of rounding
BATCH = 128


@torch.no_grad()
def joint_features(network: Autoencoder, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Return [mean of the latents; log energy of what is lost, in 4 bands; of the picture, in 3] and the logits.

    Pictures are (N, C, H, W) in [-1, 1]; features (N, latent + 7) and logits (N, labels), float32 on the host. Neither
    the reconstruction error nor the KL alone tells what is odd: blank pictures have the best of both.
    """
    network.eval()
    rows, logits = [], []
    for batch in torch.split(pictures, BATCH):
        found = network.encode(batch)
        lost = batch - network.decode(found.mean)
        energies = [*_bands(lost, LOST), *_bands(batch, WHOLE)]
        rows.append(torch.cat([found.mean, torch.stack(energies, 1)], 1).cpu())
        logits.append(found.logits.cpu())
    return torch.cat(rows), torch.cat(logits)


def _bands(x: Tensor, count: int) -> Iterator[Tensor]:
    """Yield the log energies (N,) of the bands of a Laplacian pyramid, the finest first; the last is what remains."""
    for band in range(count):
        coarse = nnf.avg_pool2d(x, 2)
        left = x - nnf.interpolate(coarse, scale_factor=2.0, mode="bilinear") if band < count - 1 else x
        yield (left.square().mean((1, 2, 3)) + FLOOR).log()
        x = coarse
