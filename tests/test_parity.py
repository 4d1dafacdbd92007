"""The recipe of 2017, written longhand, against the same recipe played by the trainer."""

import itertools
import random

import pytest
import torch
from torch import Tensor, nn

from cyclegan.chance import seed_for
from cyclegan.experiment import Experiment
from cyclegan.objectives import assemble
from cyclegan.training.trainer import Trainer

STEPS, IMAGES = 5, 8


def longhand(nets: dict[str, nn.Module], pairs: list[tuple[Tensor, Tensor]], history: int) -> list[dict[str, float]]:
    """Five steps as the paper describes them: no generators, no players, nothing shared with the package."""
    G, F, DX, DY = nets["G"], nets["F"], nets["D_x"], nets["D_y"]
    mse, l1 = nn.MSELoss(), nn.L1Loss()
    opt_G = torch.optim.Adam(itertools.chain(G.parameters(), F.parameters()), lr=2e-4, betas=(0.5, 0.999))
    opt_D = torch.optim.Adam(itertools.chain(DX.parameters(), DY.parameters()), lr=2e-4, betas=(0.5, 0.999))
    pools: dict[str, list[Tensor]] = {"x": [], "y": []}

    seen = {"x": 0, "y": 0}

    def pooled(name: str, fake: Tensor) -> Tensor:
        pool, chance = pools[name], random.Random(seed_for("history", seen[name]))
        seen[name] += 1
        if len(pool) < history:
            pool.append(fake.detach().clone())
            return fake.detach()
        if chance.random() < 0.5:
            return fake.detach()
        at = chance.randrange(history)
        old, pool[at] = pool[at], fake.detach().clone()
        return old

    losses = []
    for step, (x, y) in enumerate(pairs):
        torch.manual_seed(seed_for(0, "turn", step, 0, 0))
        for group in (*opt_G.param_groups, *opt_D.param_groups):  # constant for the first half, then linear to zero
            group["lr"] = 2e-4 if step <= IMAGES / 2 else 2e-4 * (IMAGES - step) / (IMAGES / 2)

        fake_y, fake_x = G(x), F(y)
        rec_x, rec_y = F(fake_y), G(fake_x)
        for p in itertools.chain(DX.parameters(), DY.parameters()):
            p.requires_grad_(False)
        opt_G.zero_grad()
        score_y, score_x = DY(fake_y), DX(fake_x)
        loss_G = mse(score_y, torch.ones_like(score_y)) + mse(score_x, torch.ones_like(score_x))
        loss_G = loss_G + 10 * l1(rec_x, x) + 10 * l1(rec_y, y)
        loss_G = loss_G + 10 * 0.5 * l1(G(y), y) + 10 * 0.5 * l1(F(x), x)
        loss_G.backward()
        opt_G.step()

        for p in itertools.chain(DX.parameters(), DY.parameters()):
            p.requires_grad_(True)
        opt_D.zero_grad()
        old_y, old_x = pooled("y", fake_y[0])[None], pooled("x", fake_x[0])[None]
        for critic, real, fake in ((DY, y, old_y), (DX, x, old_x)):
            score_real, score_fake = critic(real), critic(fake)
            loss = mse(score_real, torch.ones_like(score_real)) + mse(score_fake, torch.zeros_like(score_fake))
            (0.5 * loss).backward()
        opt_D.step()
        losses.append({"G": loss_G.item()})
    return losses


@pytest.mark.parametrize("history", [2, 50])
def test_five_steps_equal_the_longhand_recipe(history: int) -> None:
    overrides = ["data.size=32", "translator.width=8", "critic.width=8", f"training.images={IMAGES}"]
    experiment = Experiment.load("cyclegan-2017", overrides=[*overrides, f"objective.history={history}"]).settled(1)
    torch.manual_seed(1)
    played, written = assemble(experiment, channels=3), assemble(experiment, channels=3)
    written.load_state_dict(played.state_dict())
    before = {name: p.clone() for name, p in played.named_parameters()}
    pairs = [(torch.rand(1, 3, 32, 32) * 2 - 1, torch.rand(1, 3, 32, 32) * 2 - 1) for _ in range(STEPS)]

    trainer = Trainer(played, experiment.training, seed=experiment.seed)
    reports = [trainer.play([pair]) for pair in pairs]
    losses = longhand({name: written.get_submodule(name) for name in ("G", "F", "D_x", "D_y")}, pairs, history)

    theirs = dict(written.named_parameters())
    for name, p in played.named_parameters():
        if name.endswith("bias") and "head" not in name and name[:8] not in ("D_x.stem", "D_y.stem"):
            continue  # an instance norm follows and takes it away: Adam makes steps of what is rounding noise
        apart = (p - theirs[name]).abs()  # a gradient that is hardly more than rounding noise moves Adam all the same
        assert (apart > 1e-6).float().mean() < 1e-3, name
        assert apart.max() < 1e-4, name
        assert (p - before[name]).abs().max() > 1e-5, f"{name} did not move"
    for report, loss in zip(reports, losses, strict=True):
        t = {name: float(value) for name, value in report.terms.items()}
        total = t["G"] + t["F"] + 10 * (t["cycle_x"] + t["cycle_y"]) + 5 * (t["identity_x"] + t["identity_y"])
        assert total == pytest.approx(loss["G"], rel=1e-5)
    assert trainer.images == STEPS


def test_the_2017_recipe_is_what_the_paper_says() -> None:
    experiment = Experiment.load("cyclegan-2017").settled(1334)
    sizes = {}
    with torch.device("meta"):
        objective = assemble(experiment, channels=3)
        for name, net in objective.named_children():
            if name in ("G", "D_x"):
                sizes[name] = sum(p.numel() for p in net.parameters())
    assert sizes == {"G": 11_378_179, "D_x": 2_764_737}
    assert experiment.training.images == 266_800
    assert round(experiment.data.size * experiment.data.enlarge) == 286
    small = Experiment.load("cyclegan-2017", overrides=["data.size=128"]).settled(10)
    assert (experiment.translator.blocks, small.translator.blocks) == (9, 6)
