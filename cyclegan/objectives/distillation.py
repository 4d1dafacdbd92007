"""A student learns to do what a teacher does, for a fraction of the teacher's work."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from cyclegan.networks import ResNet
from cyclegan.objectives.augment import Augment
from cyclegan.objectives.history import History
from cyclegan.objectives.losses import ADVERSARIAL, l1_loss, mse_loss, r1_penalty
from cyclegan.objectives.objective import Objective, Turn


class Distillation(Objective):
    """GAN Compression (Li et al. 2020, §3.1):  L = L_GAN(G, D_Y) + λ_recon L_recon + λ_distill L_distill

    `G`, the student, translates x to y as `teacher` does; the teacher never moves, and is part of the state only so
    that a training can go on exactly. `H` makes what the student sees comparable with what the teacher sees.
    Without a critic `D_y` nobody looks at real pictures of y (as in OMGD, Ren et al. 2021).
    """

    players: Mapping[str, tuple[str, ...]] = {"student": ("G",)}
    averaged = ("G",)
    routes: ClassVar[Mapping[tuple[int, int], str]] = {(0, 1): "G"}
    compared: ClassVar[Mapping[tuple[int, int], str]] = {(0, 1): "teacher"}

    def __init__(
        self,
        *,
        G: nn.Module,
        teacher: nn.Module,
        D_y: nn.Module | None = None,
        H: nn.ModuleList | None = None,
        adversarial: str = "least-squares",
        output: float = 10.0,
        features: float = 1.0,
        critic: float = 1.0,
        history: int = 50,
        r1: float = 2.0,
        r1_every: int = 8,
        augment: float = 0.0,
    ) -> None:
        super().__init__()
        self.G, self.teacher, self.adversarial = G, teacher.eval().requires_grad_(False), ADVERSARIAL[adversarial]
        self.output, self.features, self.critic = output, features, critic
        self.r1, self.r1_every = r1, r1_every
        self.augment = Augment(augment) if augment else None
        self.past_y = History(history)
        self.D_y, self.H = D_y, H
        if H is not None:
            self.players = {"student": ("G", "H")}
        if D_y is not None:
            self.players = {**self.players, "critic": ("D_y",)}

    def turns(self, *batch: Tensor) -> Iterator[Turn]:
        """Yield the student's turn, then the critic's; x and y are (N, C, H, W) in [-1, 1]."""
        x, y = batch
        taught, seen_by_teacher = self._taught(x)
        fake_y, seen = self._through(self.G, x)

        terms = {"output": l1_loss(fake_y, taught)}  # L_recon; what the teacher paints stands in for the truth
        loss = self.output * terms["output"]
        if self.H is not None:
            terms["features"] = self._apart(seen, seen_by_teacher)  # L_distill
            loss = loss + self.features * terms["features"]
        if self.D_y is None:
            yield Turn("student", loss, terms)
            return
        D_y, (real, fake, fool) = self._judge(self.D_y), self.adversarial
        terms["G"] = fool(D_y(fake_y))
        yield Turn("student", loss + self.critic * terms["G"], terms)

        critics = {"D_y": (real(D_y(y)) + fake(D_y(self.past_y.swap(fake_y)))) / 2}
        loss = critics["D_y"]
        if self.r1 and self.step % self.r1_every == 0:
            critics["r1"] = r1_penalty(self.D_y.forward, y)
            loss = loss + self.r1_every * self.r1 / 2 * critics["r1"]
        yield Turn("critic", loss, critics)

    @torch.no_grad()
    def _taught(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        return self._through(self.teacher.eval(), x)  # whoever plays has set all to training

    def _through(self, translator: nn.Module, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Translate; where features are compared, return what was seen on the way as well."""
        if self.H is None:
            return translator(x), []
        assert isinstance(translator, ResNet)
        return translator.layered(x, after=ends(translator))

    def _apart(self, seen: Sequence[Tensor], seen_by_teacher: Sequence[Tensor]) -> Tensor:
        """Return Σ_t ‖f_t(G_t(x)) − G′_t(x)‖², a mean a layer, with a learnt 1×1 convolution f_t."""
        assert self.H is not None
        layers = zip(self.H, seen, seen_by_teacher, strict=True)
        return torch.stack([mse_loss(f(student), teacher) for f, student, teacher in layers]).sum()

    def _judge(self, critic: nn.Module) -> Callable[[Tensor], Tensor]:
        return self.augment.before(critic) if self.augment else critic

    def preview(self, *batch: Tensor) -> dict[str, Tensor]:
        """Return what people want to see of x: real, as the teacher translates it, as the student does; and real y."""
        x, y = batch
        return {"real_x": x, "taught_x": self.teacher(x), "translated_x": self.G(x), "real_y": y}


def ends(network: ResNet) -> tuple[int, int]:
    """Return after which blocks features are compared: the first and the last, however many lie between."""
    return 0, len(network.blocks) - 1


def heads(student: ResNet, teacher: ResNet) -> nn.ModuleList:
    """Return one 1×1 convolution from each of the student's compared layers to the teacher's."""
    pairs = zip(compared_widths(student), compared_widths(teacher), strict=True)
    return nn.ModuleList(nn.Conv2d(one, other, 1) for one, other in pairs)


def compared_widths(network: ResNet) -> tuple[int, ...]:
    """Return the channels of the compared layers: after both halvings, after the first and after the last block."""
    half, middle = network.seen_widths[:2]
    return half, middle, middle, middle
