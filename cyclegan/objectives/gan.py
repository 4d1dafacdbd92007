"""A generator paints pictures from noise, a critic tells them from real ones."""

from collections.abc import Iterator, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from cyclegan.objectives.augment import Augment
from cyclegan.objectives.losses import ADVERSARIAL, RELATIVISTIC, Pairing, scored
from cyclegan.objectives.objective import Objective, Turn


class GAN(Objective):
    """Goodfellow et al. 2014, as a relativistic game with zero-centred slopes (Huang et al. 2024, R3GAN):

    L_D = E f(D(G(z)) - D(x)) + γ/2 (E‖∇D(x)‖² + E‖∇D(G(z))‖²),   L_G = E f(D(x) - D(G(z))),   f(t) = log(1 + eᵗ)

    `G` has noise of `G.latent` numbers as its only source, `D` gives pictures scores. "relativistic" compares each
    fake with one real picture; the names of `ADVERSARIAL` score either by itself. γ falls in a line to the share
    `gamma_end`, and is paid in every `gamma_every`-th step, that many times over. With `augment`, D sees pictures
    that were changed.
    """

    players: Mapping[str, tuple[str, ...]] = {"critic": ("D",), "generator": ("G",)}
    averaged = ("G",)
    routes: ClassVar[Mapping[tuple[int, int], str]] = {}

    def __init__(
        self,
        *,
        G: nn.Module,
        D: nn.Module,
        adversarial: str = "relativistic",
        gamma: float = 5.0,
        gamma_end: float = 0.1,
        gamma_every: int = 1,
        augment: float = 0.0,
    ) -> None:
        super().__init__()
        self.G, self.D = G, D
        self.latent: int = G.latent  # type: ignore[assignment]  # whatever paints from noise says how much of it
        self.pairing = RELATIVISTIC if adversarial == "relativistic" else each_alone(adversarial)
        self.gamma, self.gamma_end, self.gamma_every = gamma, gamma_end, gamma_every
        self.augment = Augment(augment) if augment else nn.Identity()

    def turns(self, *batch: Tensor) -> Iterator[Turn]:
        """Yield the critic's turn, then the generator's; x is (N, C, H, W) in [-1, 1]."""
        (x,) = batch
        G, D, changed = self.G, self.D, self.augment

        real, fake = changed(x), changed(self._painted(len(x), like=x))
        if self.gamma and self.step % self.gamma_every == 0:  # slopes go around compiled networks, as `forward` does
            (score_x, r1), (score_z, r2) = scored(D.forward, real), scored(D.forward, fake)
            terms = {"D": self.pairing.critic(score_x, score_z), "r1": r1, "r2": r2}
            gamma = self.gamma_every * self.now(self.gamma, self.gamma_end * self.gamma)
            loss = terms["D"] + gamma / 2 * (r1 + r2)
        else:
            terms = {"D": self.pairing.critic(D(real), D(fake))}
            loss = terms["D"]
        yield Turn("critic", loss, terms)

        score_z = D(changed(G(self._noise(len(x), like=x))))
        score_x = self._opinion(changed(x)) if self.pairing.relative else score_z
        terms = {"G": self.pairing.generator(score_x, score_z)}
        yield Turn("generator", terms["G"], terms)

    def _noise(self, count: int, *, like: Tensor) -> Tensor:
        """Draw z ~ N(0, I), on the host: the same on every device."""
        return torch.randn(count, self.latent).to(like.device)

    @torch.no_grad()
    def _painted(self, count: int, *, like: Tensor) -> Tensor:
        pictures: Tensor = self.G(self._noise(count, like=like))
        return pictures

    @torch.no_grad()
    def _opinion(self, x: Tensor) -> Tensor:
        scores: Tensor = self.D(x)
        return scores

    def preview(self, *batch: Tensor) -> dict[str, Tensor]:
        """Return real pictures: what is drawn is shown beside what it is nearest to."""
        return {"real_x": batch[0]}


def each_alone(adversarial: str) -> Pairing:
    """Return the costs of a loss that judges every picture by itself."""
    real, fake, fool = ADVERSARIAL[adversarial]
    return Pairing(critic=lambda x, z: real(x) + fake(z), generator=lambda _, z: fool(z), relative=False)
