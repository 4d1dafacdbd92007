"""Two translators, two critics, and the way back."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from cyclegan.networks import ResNet, UNet
from cyclegan.networks.blocks import takes_each_alone
from cyclegan.objectives.augment import Augment
from cyclegan.objectives.history import History
from cyclegan.objectives.losses import ADVERSARIAL, gradient_penalty, l1_loss, patch_nce, r1_penalty
from cyclegan.objectives.objective import Objective, Turn

PATCHES = 256  # compared in each layer of each picture


class CycleGAN(Objective):
    """Zhu, Park, Isola, Efros 2017:  L(G, F, D_X, D_Y) = L_GAN(G, D_Y) + L_GAN(F, D_X) + λ L_cyc(G, F)     (eq. 3)

    `G` translates x to y, `F` y to x; `D_x` and `D_y` score pictures of their domain, patch by patch.
    With the heads `H_x` and `H_y`, patches of a translation must be told by what they were made of (Han et al. 2021,
    DCLGAN); the features are those of the cycle's own passes, so that they cost next to nothing.
    """

    players: Mapping[str, tuple[str, ...]] = {"translators": ("G", "F"), "critics": ("D_x", "D_y")}
    averaged = ("G", "F")
    routes: ClassVar[Mapping[tuple[int, int], str]] = {(0, 1): "G", (1, 0): "F"}

    def __init__(
        self,
        *,
        G: nn.Module,
        F: nn.Module,
        D_x: nn.Module,
        D_y: nn.Module,
        H_x: nn.Module | None = None,
        H_y: nn.Module | None = None,
        adversarial: str = "least-squares",
        cycle: float = 10.0,
        cycle_end: float = 1.0,
        identity: float = 5.0,
        history: int = 50,
        penalty: float = 10.0,
        r1: float = 0.0,
        r1_every: int = 1,
        nce: float = 0.0,
        augment: float = 0.0,
    ) -> None:
        super().__init__()
        self.G, self.F, self.D_x, self.D_y = G, F, D_x, D_y
        self.adversarial, self.identity = ADVERSARIAL[adversarial], identity
        self.cycle, self.cycle_end = cycle, cycle_end
        self.penalty = penalty if adversarial == "wasserstein" else 0.0
        self.r1, self.r1_every, self.nce = r1, r1_every, nce
        self.augment = Augment(augment) if augment else None
        self.each_alone = takes_each_alone(self)
        self.past_x, self.past_y = History(history), History(history)
        if H_x and H_y:
            self.H_x, self.H_y = H_x, H_y
            self.players = {**self.players, "translators": ("G", "F", "H_x", "H_y")}

    def turns(self, *batch: Tensor) -> Iterator[Turn]:
        """Yield the translators' turn, then the critics'; x and y are (N, C, H, W) in [-1, 1]."""
        x, y = batch
        G, F, D_x, D_y = self.G, self.F, self._critic("D_x"), self._critic("D_y")
        fool = self.adversarial.fool

        (fake_y, seen_x), *same_y = self._through(G, x, y) if self.identity else self._through(G, x)
        (fake_x, seen_y), *same_x = self._through(F, y, x) if self.identity else self._through(F, y)
        [(back_x, seen_fake_y)], [(back_y, seen_fake_x)] = self._through(F, fake_y), self._through(G, fake_x)
        terms = {"G": fool(D_y(fake_y)), "F": fool(D_x(fake_x))}  # eq. 1
        terms["cycle_x"], terms["cycle_y"] = l1_loss(back_x, x), l1_loss(back_y, y)  # eq. 2
        loss = (
            terms["G"]
            + terms["F"]
            + self.now(self.cycle, self.cycle_end * self.cycle) * (terms["cycle_x"] + terms["cycle_y"])
        )
        if self.identity:  # §5.2
            terms["identity_x"], terms["identity_y"] = l1_loss(same_x[0][0], x), l1_loss(same_y[0][0], y)
            loss = loss + self.identity * (terms["identity_x"] + terms["identity_y"])
        if self.nce:
            terms["nce_x"] = self._contrast(self.H_y, seen_fake_y, self.H_x, seen_x)
            terms["nce_y"] = self._contrast(self.H_x, seen_fake_x, self.H_y, seen_y)
            loss = loss + self.nce * (terms["nce_x"] + terms["nce_y"])
        yield Turn("translators", loss, terms)

        old_x, old_y = self.past_x.swap(fake_x), self.past_y.swap(fake_y)  # §4: a history of 50 fakes
        yield self._judged({"D_x": (x, old_x), "D_y": (y, old_y)})

    def _judged(self, shown: Mapping[str, tuple[Tensor, Tensor]]) -> Turn:
        """Return the critics' turn: each is shown what is real beside translations, some of them of earlier steps."""
        real, fake, _ = self.adversarial
        terms = dict[str, Tensor]()
        for name, pair in shown.items():
            scores, scores_of_old = self._at_once(self._critic(name), *pair)
            terms[name] = (real(scores) + fake(scores_of_old)) / 2  # half as fast as the translators, §4
        loss = torch.stack([*terms.values()]).sum()
        # slopes are those at pictures as they are: not every torch can walk back twice through a moved one, and none
        # through a compiled network, which `forward` goes around
        forward = {name: self.get_submodule(name).forward for name in shown}
        if self.penalty:
            slopes = [gradient_penalty(forward[name], *pair) for name, pair in shown.items()]
            terms["penalty"] = torch.stack(slopes).sum()
            loss = loss + self.penalty * terms["penalty"]
        if self.r1 and self.step % self.r1_every == 0:  # lazily: Karras et al. 2020, appendix B
            slopes = [r1_penalty(forward[name], pictures) for name, (pictures, _) in shown.items()]
            terms["r1"] = torch.stack(slopes).sum()
            loss = loss + self.r1_every * self.r1 / 2 * terms["r1"]
        return Turn("critics", loss, terms)

    def _critic(self, name: str) -> Callable[[Tensor], Tensor]:
        """Return a critic, or, where pictures are few, the critic as it judges pictures that were changed."""
        critic = self.get_submodule(name)
        return self.augment.before(critic) if self.augment else critic

    def _through(self, translator: nn.Module, *batches: Tensor) -> list[tuple[Tensor, list[Tensor]]]:
        """Translate batches; where patches are compared, return what was seen on the way as well."""
        if not self.nce:
            return [(translated, []) for translated in self._at_once(translator, *batches)]
        assert isinstance(translator, ResNet | UNet)
        return [translator.layered(pictures) for pictures in batches]

    def _at_once(self, network: Callable[[Tensor], Tensor], *batches: Tensor) -> Sequence[Tensor]:
        """Return what a network makes of several batches: in one pass where no picture sees another.

        Not on a CPU: putting batches together and apart costs there what is gained.
        """
        if not self.each_alone or batches[0].device.type == "cpu":
            return [network(pictures) for pictures in batches]
        return torch.split(network(torch.cat(batches)), [len(pictures) for pictures in batches])

    def _contrast(
        self, heads: nn.Module, fakes: Sequence[Tensor], heads_of_real: nn.Module, reals: Sequence[Tensor]
    ) -> Tensor:
        """Compare what was seen in translations with what was seen in their originals, at the same random places."""
        places = [torch.randperm(layer[0, 0].numel())[:PATCHES].to(layer.device) for layer in reals]
        pairs = zip(heads(fakes, places), heads_of_real(reals, places), strict=True)
        losses = [patch_nce(fake, real) for fake, real in pairs]
        return torch.stack(losses).mean()

    def preview(self, *batch: Tensor) -> dict[str, Tensor]:
        """Return what people want to see of x and y: real, translated, cycled, identity, in both directions."""
        x, y = batch
        fake_y, fake_x = self.G(x), self.F(y)
        there = {"real_x": x, "translated_x": fake_y, "cycled_x": self.F(fake_y), "identity_x": self.F(x)}
        return there | {"real_y": y, "translated_y": fake_x, "cycled_y": self.G(fake_x), "identity_y": self.G(y)}
