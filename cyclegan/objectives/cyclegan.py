"""Two translators, two critics, and the way back."""

from collections.abc import Iterator, Mapping
from typing import ClassVar

from torch import Tensor, nn

from cyclegan.objectives.history import History
from cyclegan.objectives.losses import ADVERSARIAL, gradient_penalty, l1_loss, r1_penalty
from cyclegan.objectives.objective import Objective, Turn


class CycleGAN(Objective):
    """Zhu, Park, Isola, Efros 2017:  L(G, F, D_X, D_Y) = L_GAN(G, D_Y) + L_GAN(F, D_X) + λ L_cyc(G, F)     (eq. 3)

    `G` translates x to y, `F` y to x; `D_x` and `D_y` score pictures of their domain, patch by patch.
    """

    players: ClassVar[Mapping[str, tuple[str, ...]]] = {"translators": ("G", "F"), "critics": ("D_x", "D_y")}
    averaged = ("G", "F")
    routes: ClassVar[Mapping[tuple[int, int], str]] = {(0, 1): "G", (1, 0): "F"}

    def __init__(
        self,
        *,
        G: nn.Module,
        F: nn.Module,
        D_x: nn.Module,
        D_y: nn.Module,
        adversarial: str = "least-squares",
        cycle: float = 10.0,
        identity: float = 5.0,
        history: int = 50,
        penalty: float = 10.0,
        r1: float = 0.0,
    ) -> None:
        super().__init__()
        self.G, self.F, self.D_x, self.D_y = G, F, D_x, D_y
        self.adversarial, self.cycle, self.identity = ADVERSARIAL[adversarial], cycle, identity
        self.penalty, self.r1 = penalty if adversarial == "wasserstein" else 0.0, r1
        self.past_x, self.past_y = History(history), History(history)

    def turns(self, *batch: Tensor) -> Iterator[Turn]:
        """Yield the translators' turn, then the critics'; x and y are (N, C, H, W) in [-1, 1]."""
        x, y = batch
        G, F, D_x, D_y = self.G, self.F, self.D_x, self.D_y
        real, fake, fool = self.adversarial

        fake_y, fake_x = G(x), F(y)
        terms = {"G": fool(D_y(fake_y)), "F": fool(D_x(fake_x))}  # eq. 1
        terms["cycle_x"], terms["cycle_y"] = l1_loss(F(fake_y), x), l1_loss(G(fake_x), y)  # eq. 2
        loss = terms["G"] + terms["F"] + self.cycle * (terms["cycle_x"] + terms["cycle_y"])
        if self.identity:  # §5.2
            terms["identity_x"], terms["identity_y"] = l1_loss(F(x), x), l1_loss(G(y), y)
            loss = loss + self.identity * (terms["identity_x"] + terms["identity_y"])
        yield Turn("translators", loss, terms)

        old_y, old_x = self.past_y.swap(fake_y), self.past_x.swap(fake_x)  # §4: a history of 50 fakes
        critics = {  # half as fast as the translators, §4
            "D_x": (real(D_x(x)) + fake(D_x(old_x))) / 2,
            "D_y": (real(D_y(y)) + fake(D_y(old_y))) / 2,
        }
        loss = critics["D_x"] + critics["D_y"]
        if self.penalty:
            critics["penalty"] = gradient_penalty(D_x, x, old_x) + gradient_penalty(D_y, y, old_y)
            loss = loss + self.penalty * critics["penalty"]
        if self.r1:
            critics["r1"] = r1_penalty(D_x, x) + r1_penalty(D_y, y)
            loss = loss + self.r1 / 2 * critics["r1"]
        yield Turn("critics", loss, critics)

    def preview(self, *batch: Tensor) -> dict[str, Tensor]:
        """Return what people want to see of x and y: real, translated, cycled, identity, in both directions."""
        x, y = batch
        fake_y, fake_x = self.G(x), self.F(y)
        there = {"real_x": x, "translated_x": fake_y, "cycled_x": self.F(fake_y), "identity_x": self.F(x)}
        return there | {"real_y": y, "translated_y": fake_x, "cycled_y": self.G(fake_x), "identity_y": self.G(y)}
