"""Losses: tensors in, one number out. Each is usable alone."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as nnf
from torch import Tensor
from torch.nn.functional import l1_loss, mse_loss

from cyclegan.networks.blocks import without_autocast

__all__ = [
    "ADVERSARIAL",
    "RELATIVISTIC",
    "Adversarial",
    "Pairing",
    "gradient_penalty",
    "l1_loss",
    "mse_loss",
    "patch_nce",
    "r1_penalty",
    "scored",
]

Score = Callable[[Tensor], Tensor]
Scores = Callable[[Tensor, Tensor], Tensor]


class Adversarial(NamedTuple):
    """What scores of any shape cost, as scalars: `real` and `fake` cost the critic, `fool` the translator."""

    real: Score
    fake: Score
    fool: Score


ADVERSARIAL: dict[str, Adversarial] = {
    "least-squares": Adversarial(  # Mao et al. 2017, eq. 2 with a = 0, b = c = 1
        real=lambda s: (s - 1).square().mean(),
        fake=lambda s: s.square().mean(),
        fool=lambda s: (s - 1).square().mean(),
    ),
    "hinge": Adversarial(  # Lim and Ye 2017; Miyato et al. 2018, eq. 16 and 17
        real=lambda s: nnf.relu(1 - s).mean(),
        fake=lambda s: nnf.relu(1 + s).mean(),
        fool=lambda s: -s.mean(),
    ),
    "non-saturating": Adversarial(  # Goodfellow et al. 2014, §3: -log σ(s), -log(1 - σ(s)), -log σ(s)
        real=lambda s: nnf.softplus(-s).mean(),
        fake=lambda s: nnf.softplus(s).mean(),
        fool=lambda s: nnf.softplus(-s).mean(),
    ),
    "wasserstein": Adversarial(  # Arjovsky et al. 2017, eq. 2
        real=lambda s: -s.mean(),
        fake=lambda s: s.mean(),
        fool=lambda s: -s.mean(),
    ),
}


class Pairing(NamedTuple):
    """What scores of real pictures, and as many of fakes, cost side by side, as scalars.

    Where the generator's cost is not `relative`, it does not depend on the scores of real pictures.
    """

    critic: Scores
    generator: Scores
    relative: bool


RELATIVISTIC = Pairing(  # Jolicoeur-Martineau 2019, in the pairs of Huang et al. 2024 (R3GAN)
    critic=lambda real, fake: nnf.softplus(fake - real).mean(),
    generator=lambda real, fake: nnf.softplus(real - fake).mean(),
    relative=True,
)


def patch_nce(query: Tensor, key: Tensor, *, temperature: float = 0.07) -> Tensor:
    """Return how hard it is to find each patch's own key among those of its picture, in nats; 0 is not at all.

    Both are unit vectors (N, P, D); patch p of a translation should be more like patch p of what it was made of than
    like any other patch (Park et al. 2020, CUT, eq. 3 and 4). The keys are not moved. In bfloat16 logits would be off
    by 0.05, hence float32 in mixed precision too.
    """
    with without_autocast(query):
        logits = query.float() @ key.detach().float().transpose(1, 2) / temperature
    right = torch.arange(logits.shape[1], device=logits.device).expand(logits.shape[:2])
    return nnf.cross_entropy(logits.flatten(0, 1), right.flatten())


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """Return E[(‖∇D(x̂)‖₂ - 1)²] at random points x̂ between real and fake (N, C, H, W).

    Gulrajani et al. 2017, eq. 3, without its weight λ. Differentiable in the critic's parameters. ‖∇D‖ is that of
    a patch where there are several.
    """
    share = torch.rand(len(real), 1, 1, 1).to(real)  # drawn on the host: the same on every device
    between = share * real + (1 - share) * fake
    norms: Tensor = _slope(critic, between)[1].norm(dim=1)
    return (norms - 1).square().mean()


def r1_penalty(critic: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """Return E[‖∇D(x)‖²] at real pictures x (N, C, H, W), differentiable in the critic's parameters.

    Mescheder et al. 2018, eq. 9, without its weight γ/2: a critic that is right need not be steep. Of a critic with
    many scores a picture it is the mean over the patches: the same for every size of the picture.
    """
    return scored(critic, real)[1]


def scored(critic: Callable[[Tensor], Tensor], pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Return a critic's scores of pictures (N, C, H, W), and E[‖∇D‖²] there, of one and the same pass."""
    scores, slope = _slope(critic, pictures)
    return scores, slope.square().sum(dim=1).mean()


def _slope(critic: Callable[[Tensor], Tensor], pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Return scores, and rows whose squared length is on average that of a patch's ∇D_p, one row a picture.

    With random signs v, E‖∇ Σ_p v_p D_p‖² = Σ_p ‖∇D_p‖² (Hutchinson 1990): one walk back sees every patch by itself.
    """
    pictures = pictures.detach().requires_grad_()
    scores = critic(pictures)
    patches = scores.flatten(1)
    if patches.shape[1] > 1:
        signs = torch.randint(2, patches.shape) * 2 - 1  # drawn on the host: the same on every device
        patches = patches * (signs.to(patches) / patches.shape[1] ** 0.5)
    (slope,) = torch.autograd.grad(patches.sum(), pictures, create_graph=True)
    return scores, slope.flatten(1)
