"""A model of one folder put to use: pictures drawn from it, and ways from one picture to another."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as nnf

from cyclegan import catalog, codecs
from cyclegan.checkpoint import Checkpoint
from cyclegan.codecs import Pictures
from cyclegan.curation.mixture import Mixture
from cyclegan.curation.source import Source, encoded
from cyclegan.devices import choose_device
from cyclegan.errors import CheckpointError, UsageError, shown
from cyclegan.networks import Autoencoder

Pixels = NDArray[np.uint8]
BATCH = 64
STATIONS = 6  # draws that a walk passes before it is back


class Sampler:
    """Draws pictures, uint8 arrays (H, W, 3), from a VAE, an autoencoder or a GAN; the same seed draws the same."""

    def __init__(self, source: Source, *, codec: Pictures, domain: str, device: str = "cpu") -> None:
        source.network.to(device).eval()
        self.source, self.codec, self.domain, self.device = source, codec, domain, device

    @property
    def note(self) -> str | None:
        """What a person should know before looking at the samples, or None."""
        if self.source.mixture or not isinstance(self.source.network, Autoencoder):
            return None
        return "these weights were saved between two looks, without their density: drawn from N(0, I), which is worse"

    @classmethod
    def load(cls, name: str | Path, *, device: str = "auto") -> "Sampler":
        """Load a weights file or a run folder; raises CheckpointError for what is missing, damaged, or no sampler."""
        found = catalog.load_sampler(name)
        (network,) = found.about["networks"]
        source = Source(catalog.build(found, network), _mixture(found, name))
        codec = codecs.of_pictures(codecs.build(found.about["codec"]), what="styl sample")
        (domain,) = found.about["domains"]
        return cls(source, codec=codec, domain=domain, device=choose_device(device))

    def draw(self, count: int, *, seed: int = 0) -> Iterator[Pixels]:
        """Yield pictures drawn from where those of the folder lie."""
        latents = self.source.latents(count, generator=torch.Generator().manual_seed(seed))
        return self._decoded(latents)

    def between(self, first: Pixels, second: Pixels, *, count: int = 9) -> Iterator[Pixels]:
        """Yield pictures on the straight line between the latents of two, which come first and last.

        Raises UsageError for a GAN, in which there is no way from a picture to its noise.
        """
        network = self.source.network
        if not isinstance(network, Autoencoder):
            what = "--between: a GAN knows no way from a picture to its noise"
            raise UsageError(what, hint="a model of --preset vae does; --walk goes through any")
        batch = torch.cat([_square(p, side=network.size) for p in (first, second)]).to(self.device)
        start, end = encoded(network, [self.codec.encode(batch)])
        shares = torch.linspace(0, 1, count)[:, None]
        return self._decoded((1 - shares) * start + shares * end)

    def walk(self, count: int, *, seed: int = 0) -> Iterator[Pixels]:
        """Yield the frames of a smooth way past a few draws and back to the first."""
        stations = self.source.latents(STATIONS, generator=torch.Generator().manual_seed(seed))
        return self._decoded(closed_curve(stations, count))

    def _decoded(self, latents: Tensor) -> Iterator[Pixels]:
        for some in torch.split(latents, BATCH):
            pictures = self.codec.decode(self.source.pictures(some))
            yield from np.ascontiguousarray(pictures.permute(0, 2, 3, 1).cpu().numpy())


def closed_curve(stations: Tensor, count: int) -> Tensor:
    """Return `count` points (count, d) on a closed trigonometric curve through points (n, d), evenly in its parameter.

    Without corners, and as long as their spread: a straight line through the middle of many dimensions would pass where
    no picture is.
    """
    n = len(stations)
    waves = torch.fft.rfft(stations.double(), dim=0)
    if n % 2 == 0:
        waves[-1] = waves[-1].real / 2
    angles = torch.arange(count, dtype=torch.float64)[:, None] / count * 2 * math.pi * torch.arange(len(waves))
    turned = torch.complex(angles.cos(), angles.sin()) @ waves
    points: Tensor = (2 * turned.real - waves[0].real) / n
    return points.float()


def _square(pixels: Pixels, *, side: int) -> Tensor:
    """Return the middle of a picture (H, W, 3) as uint8 (1, 3, side, side)."""
    height, width = pixels.shape[:2]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    middle = np.ascontiguousarray(pixels[top : top + short, left : left + short])
    tensor = torch.from_numpy(middle).permute(2, 0, 1)[None].float()
    sized = nnf.interpolate(tensor, size=(side, side), mode="bicubic", antialias=True)
    return sized.round().clamp(0, 255).to(torch.uint8)


def _mixture(found: Checkpoint, name: str | Path) -> Mixture | None:
    """Return how the latents lie; None where N(0, I) says it, as in a GAN and in a file without a look."""
    kept: dict[str, Any] = {k.removeprefix("mixture."): t for k, t in found.tensors.items() if k.startswith("mixture.")}
    try:
        return Mixture.from_tensors(kept) if kept else None
    except KeyError as error:
        raise CheckpointError(f"{shown(name)}: its density lacks {error}", hint="train or fetch it again") from None
