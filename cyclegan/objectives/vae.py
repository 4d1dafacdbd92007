"""The variational autoencoder and its relatives: the plain autoencoder, and the debiasing one."""

import math
from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

from cyclegan.networks.autoencoder import Encoded
from cyclegan.objectives.objective import Objective, Turn

Gate = Literal["all", "first"]
MEMORY = 0.01  # share of a batch in what is remembered of the noise


class Coder(Protocol):
    """What the equations ask of a network: any that encodes and decodes will do."""

    noise: Tensor

    def encode(self, x: Tensor) -> Encoded: ...
    def decode(self, z: Tensor) -> Tensor: ...


class VAE(Objective):
    """Kingma and Welling 2014:  log p(x) ≥ E_q(z|x)[log p(x|z)] - KL(q(z|x) ‖ p(z))     (eq. 3)

    p(x|z) = N(decode(z), σ²) with the σ that suits best, so that there is no weight to guess (Rybkin et al. 2021,
    σ-VAE, eq. 5): its -log p is D/2 log(mean squared error) and a constant, for D numbers a picture.
    `beta` weighs the KL (Higgins et al. 2017); 0 is the autoencoder, which draws no z. `free_bits` is what each latent
    may tell, in nats, before it costs (Kingma et al. 2016, eq. 15).
    Two or more folders make it the debiasing VAE (Amini et al. 2019, eq. 4): the encoder tells the folder too, weighed
    by `label`. Where the gate is "first", only the first folder's pictures are decoded, as faces were there.
    """

    players: Mapping[str, tuple[str, ...]] = {"model": ("V",)}
    averaged = ("V",)
    routes: ClassVar[Mapping[tuple[int, int], str]] = {}

    def __init__(
        self, *, V: nn.Module, beta: float = 1.0, free_bits: float = 0.0, label: float = 0.0, gate: Gate = "all"
    ) -> None:
        super().__init__()
        self.V, self.beta, self.free_bits, self.label, self.gate = V, beta, free_bits, label, gate

    def turns(self, *batch: Tensor) -> Iterator[Turn]:
        """Yield the one turn there is; each domain's pictures are (N, C, H, W) in [-1, 1]."""
        x, folder = torch.cat(batch), _folders(batch)
        V: Coder = self.V  # type: ignore[assignment]  # a Protocol and a Module cannot be said at once
        found = V.encode(x)
        kept = len(batch[0]) if self.gate == "first" else len(x)  # 𝟙[y = 1]: the first folder's come first
        mean, log_variance = found.mean[:kept], found.log_variance[:kept]
        z = draw(mean, log_variance) if self.beta else mean

        error = (V.decode(z) - x[:kept]).square().mean()
        self._remember(V, error)
        nats = x[0].numel() / 2 * error.log()
        terms = {"error": error.sqrt() * 127.5, "nats": nats}
        loss = nats
        if self.beta:
            each = kl(mean, log_variance)
            terms["kl"] = each.sum(1).mean()
            loss = loss + self.beta * each.mean(0).clamp(min=self.free_bits).sum()
        if self.label:
            terms["folder"] = nnf.cross_entropy(found.logits, folder)
            loss = loss + self.label * terms["folder"]
        yield Turn("model", loss, terms)

    @torch.no_grad()
    def _remember(self, V: Coder, error: Tensor) -> None:
        """Keep what the squared error has been of late; at first, the mean of all there was."""
        V.noise.lerp_(error.detach(), max(MEMORY, 1 / (self.step + 1)))

    def preview(self, *batch: Tensor) -> dict[str, Tensor]:
        """Return real pictures of the first domain, and what is left of them after the latents."""
        return {"real_x": batch[0], "decoded_x": self.V(batch[0])}


def draw(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return z = μ + σ ε, ε ~ N(0, I) (Kingma and Welling 2014, §2.4), of the shape of both."""
    noise = torch.randn(mean.shape).to(mean)  # drawn on the host: the same on every device
    return mean + (log_variance / 2).exp() * noise


def kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return KL(N(μ, σ²) ‖ N(0, 1)) = ½ (σ² + μ² - 1 - log σ²) of every latent, in nats (appendix B)."""
    return (log_variance.exp() + mean.square() - 1 - log_variance) / 2


def log_likelihood(coder: Coder, x: Tensor, *, samples: int = 64) -> Tensor:
    """Return a bound on log p(x) of every picture, in nats, (N,): E log 1/K Σ p(x, z_k)/q(z_k|x) over K samples.

    Burda et al. 2016, eq. 8; with one sample it is the ELBO, with more it comes closer. p(x|z) has the variance
    `coder.noise`. x is (N, C, H, W) in [-1, 1].
    """
    found, numbers = coder.encode(x), x[0].numel()
    weights = []
    for _ in range(samples):
        z = draw(found.mean, found.log_variance)
        error = (coder.decode(z) - x).square().flatten(1).sum(1)
        seen = -(error / coder.noise + numbers * (2 * math.pi * coder.noise).log()) / 2
        ratio = ((z - found.mean).square() / found.log_variance.exp() + found.log_variance - z.square()).sum(1) / 2
        weights.append(seen + ratio)  # log p(x|z) + log p(z) - log q(z|x)
    return torch.stack(weights).logsumexp(0) - math.log(samples)


def _folders(batch: tuple[Tensor, ...]) -> Tensor:
    """Return the number of the folder of every picture."""
    return torch.cat([torch.full((len(pictures),), i, device=pictures.device) for i, pictures in enumerate(batch)])
