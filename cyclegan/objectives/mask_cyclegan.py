"""Two translators that also fill in what was hidden from them: the objective for voices."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from cyclegan.objectives.cyclegan import CycleGAN
from cyclegan.objectives.history import History
from cyclegan.objectives.losses import l1_loss
from cyclegan.objectives.objective import Turn


class MaskCycleGAN(CycleGAN):
    """Kaneko, Kameoka, Tanaka, Hojo 2021, MaskCycleGAN-VC:  L = L_adv + L_adv2 + λ_cyc L_mcyc + λ_id L_id

    Filling in frames: a mask m hides one run of frames, G sees (x·m, m), and the way back must end at the whole x; to
    make up what it does not hear, G learns how frames follow each other. In the second pass and for the identity
    nothing is hidden. With `two_step`, critics `D2_x` and `D2_y` judge the signals that came back as well, which L1
    alone makes too smooth (Kaneko et al. 2019, CycleGAN-VC2). Translators take a signal (N, 1, C, T) and its mask.
    """

    channels_last = False  # with few channels and odd kernels a step takes a quarter longer so (tools/NOTES.md)

    def __init__(
        self,
        *,
        G: nn.Module,
        F: nn.Module,
        D_x: nn.Module,
        D_y: nn.Module,
        D2_x: nn.Module | None = None,
        D2_y: nn.Module | None = None,
        adversarial: str = "least-squares",
        cycle: float = 10.0,
        cycle_end: float = 1.0,
        identity: float = 5.0,
        identity_until: float = 0.05,
        mask: float = 0.5,
        two_step: float = 1.0,
        history: int = 50,
        r1: float = 0.0,
        r1_every: int = 1,
    ) -> None:
        super().__init__(
            G=G,
            F=F,
            D_x=D_x,
            D_y=D_y,
            adversarial=adversarial,
            cycle=cycle,
            cycle_end=cycle_end,
            identity=identity,
            history=history,
            r1=r1,
            r1_every=r1_every,
        )
        self.identity_until, self.mask, self.two_step = identity_until, mask, two_step
        assert bool(two_step) == (D2_x is not None) == (D2_y is not None), "a second step has critics of its own"
        if D2_x and D2_y:
            self.D2_x, self.D2_y = D2_x, D2_y
            self.past_back_x, self.past_back_y = History(history), History(history)
            critics = ("D_x", "D_y", "D2_x", "D2_y")
            self.players: Mapping[str, tuple[str, ...]] = {**self.players, "critics": critics}

    def turns(self, *batch: Tensor) -> Iterator[Turn]:
        """Yield the translators' turn, then the critics'; x and y are (N, 1, C, T), T frames of C coefficients."""
        x, y = batch
        G, F, fool = self.G, self.F, self.adversarial.fool
        m_x, m_y = self.masks(x), self.masks(y)

        fake_y, fake_x = G(x * m_x, m_x), F(y * m_y, m_y)
        back_x, back_y = F(fake_y), G(fake_x)  # m = 1
        terms = {"G": fool(self.D_y(fake_y)), "F": fool(self.D_x(fake_x))}
        terms["cycle_x"], terms["cycle_y"] = l1_loss(back_x, x), l1_loss(back_y, y)  # what was hidden, too
        cycle = self.now(self.cycle, self.cycle_end * self.cycle)
        loss = terms["G"] + terms["F"] + cycle * (terms["cycle_x"] + terms["cycle_y"])
        if self.two_step:
            terms["back_x"], terms["back_y"] = fool(self.D2_x(back_x)), fool(self.D2_y(back_y))
            loss = loss + self.two_step * (terms["back_x"] + terms["back_y"])
        if self.identity and self.progress < self.identity_until:
            terms["identity_x"], terms["identity_y"] = l1_loss(F(x), x), l1_loss(G(y), y)
            loss = loss + self.identity * (terms["identity_x"] + terms["identity_y"])
        yield Turn("translators", loss, terms)

        shown = {"D_x": (x, self.past_x.swap(fake_x)), "D_y": (y, self.past_y.swap(fake_y))}
        if self.two_step:
            shown["D2_x"], shown["D2_y"] = (x, self.past_back_x.swap(back_x)), (y, self.past_back_y.swap(back_y))
        yield self._judged(shown)

    def masks(self, x: Tensor) -> Tensor:
        """Return 1 where x, (N, 1, C, T), is to be heard, and 0 in one run of frames of each signal, of any place.

        The run has any length from none to the share `mask` of T. Chance is drawn on the host, from torch's generator.
        """
        frames = x.shape[-1]
        chance = torch.rand(2, len(x), 1, 1, 1)
        length = (chance[0] * (int(self.mask * frames) + 1)).floor()
        start = (chance[1] * (frames - length + 1)).floor()
        frame = torch.arange(frames)
        heard = (frame < start) | (frame >= start + length)
        return heard.to(x).expand(-1, 1, x.shape[2], -1)
