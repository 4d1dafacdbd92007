"""The trainer: players apart, accumulation, averages, schedules, budgets, and every mode really trains."""

import itertools
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from cyclegan.experiment import Experiment
from cyclegan.networks import PatchGAN, ResNet
from cyclegan.objectives import Distillation, Objective, assemble
from cyclegan.objectives.cyclegan import CycleGAN
from cyclegan.objectives.history import History
from cyclegan.objectives.losses import ADVERSARIAL
from cyclegan.recipes import Adversarial
from cyclegan.training.trainer import Average, Report, Trainer

SMALL = ["data.size=16", "translator.width=4", "translator.blocks=1", "critic.width=4", "critic.layers=1"]


def experiment(*overrides: str) -> Experiment:
    return Experiment.load("cyclegan-2017", overrides=[*SMALL, "training.images=100", *overrides]).settled(1)


def trainer(*overrides: str, seed: int = 1) -> Trainer:
    chosen = experiment(*overrides)
    torch.manual_seed(seed)
    return Trainer(assemble(chosen, channels=3), chosen.training, seed=chosen.seed)


def noise(seed: int, *, count: int = 4) -> list[Tensor]:
    chance = torch.Generator().manual_seed(seed)
    return [torch.rand(count, 3, 16, 16, generator=chance) * 2 - 1 for _ in range(2)]


def frozen(network: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in network.parameters()]


def moved(network: nn.Module, before: list[Tensor]) -> list[bool]:
    return [not torch.equal(p, b) for p, b in zip(network.parameters(), before, strict=True)]


def test_nobody_moves_in_the_other_players_turn() -> None:
    one = trainer("objective.history=0")
    networks = dict(one.objective.named_children())
    networks = {name: networks[name] for name in ("G", "F", "D_x", "D_y")}
    seen = list[str]()

    def watch(player: str) -> None:
        before = {name: frozen(network) for name, network in networks.items()}
        optimizer, mine = one.optimizers[player], one.objective.players[player]
        step = optimizer.step

        def watched() -> None:
            others = [n for name, n in networks.items() if name not in mine]
            assert all(p.grad is not None for name in mine for p in networks[name].parameters())
            unchanged = [p.detach().clone() for n in others for p in n.parameters()]
            grads = [None if p.grad is None else p.grad.clone() for n in others for p in n.parameters()]
            step()
            after = [p for n in others for p in n.parameters()]
            assert all(torch.equal(p, u) for p, u in zip(after, unchanged, strict=True))
            for p, grad in zip(after, grads, strict=True):
                assert (p.grad is None) == (grad is None)
            assert all(any(moved(networks[name], before[name])) for name in mine)
            seen.append(player)

        optimizer.step = watched  # type: ignore[method-assign,assignment]

    for player in one.optimizers:
        watch(player)
    one.play([noise(0)])
    assert seen == ["translators", "critics"]


def test_the_translators_turn_leaves_no_gradient_at_the_critics() -> None:
    one = trainer("objective.history=0")

    def leave() -> None:
        raise KeyboardInterrupt

    one.optimizers["translators"].step = leave  # type: ignore[method-assign,assignment]
    with pytest.raises(KeyboardInterrupt):  # where the critics' turn would begin
        one.play([noise(0)])
    critics = [p for name in ("D_x", "D_y") for p in one.objective.get_submodule(name).parameters()]
    assert all(p.grad is None for p in critics)


@pytest.mark.parametrize("adversarial", ["least-squares", "hinge"])
def test_four_micro_batches_of_one_equal_one_batch_of_four(adversarial: str) -> None:
    whole, parts = (trainer("objective.history=0", f"objective.adversarial={adversarial}") for _ in range(2))
    for one in (whole, parts):
        one.objective.double()  # Adam makes steps of rounding errors where a gradient is nothing: biases before a norm
    for step in range(3):
        x, y = (pictures.double() for pictures in noise(step))
        together = whole.play([(x, y)])
        apart = parts.play([(x[i : i + 1], y[i : i + 1]) for i in range(4)])
        for name, term in together.terms.items():
            torch.testing.assert_close(apart.terms[name], term, rtol=1e-9, atol=1e-9)
    assert whole.images == parts.images == 12
    for p, q in zip(whole.objective.parameters(), parts.objective.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=1e-7)


def test_accumulation_keeps_one_graph_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    one, alive, most = trainer("objective.history=0"), set[int](), 0
    pack = itertools.count()

    class Held:
        def __init__(self, tensor: Tensor) -> None:
            self.tensor, self.number = tensor, next(pack)
            alive.add(self.number)
            nonlocal most
            most = max(most, len(alive))

        def __del__(self) -> None:
            alive.discard(self.number)

    def peak(parts: int) -> int:
        nonlocal most
        most = 0
        with torch.autograd.graph.saved_tensors_hooks(Held, lambda held: held.tensor):
            one.play([noise(i, count=1) for i in range(parts)])
        return most

    assert peak(4) < 1.5 * peak(1)


def test_average_is_the_longhand_formula() -> None:
    value = nn.Parameter(torch.tensor([0.0]))
    average, expected = Average([value], half_life=8.0), 0.0
    for step in range(1, 11):
        with torch.no_grad():
            value.fill_(float(step * step))
        images = 40 * step
        average.update(images, 4, skipped=torch.zeros(()))
        half_life = min(8.0, 0.05 * images)  # 2, 4, 6, 8, 8, …
        kept = 0.5 ** (4 / half_life)
        expected = kept * expected + (1 - kept) * step * step
        assert average.kept[0].item() == pytest.approx(expected, rel=1e-5)


def test_averages_are_shown_and_put_back_exactly() -> None:
    one = trainer("training.ema=50")
    for step in range(5):
        one.play([noise(step)])
    live = frozen(one.objective)
    assert one.average
    kept = [t.clone() for t in one.average.kept]

    def use() -> None:
        with one.averaged():
            shown = [p for name in one.objective.averaged for p in one.objective.get_submodule(name).parameters()]
            assert all(torch.equal(s, k) for s, k in zip(shown, kept, strict=True))
            assert any(moved(one.objective, live))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        use()
    assert not any(moved(one.objective, live))
    assert all(torch.equal(t, k) for t, k in zip(one.average.kept, kept, strict=True))
    one.play([noise(9)])  # and the live ones are still those that learn
    assert any(moved(one.objective, live))


@pytest.mark.parametrize("kept", [0, 3, 50])
def test_the_size_of_a_state_is_known_before_the_first_step(kept: int) -> None:
    one = trainer(f"objective.history={kept}", "training.ema=100")
    sizes = [one.state_size(fake=4 * 3 * 16 * 16)]
    for step in range(max(2, kept)):
        one.play([noise(step, count=1)])
        sizes.append(one.state_size(fake=4 * 3 * 16 * 16))
    counts = 4 * len([name for name in one.state() if name.endswith(".step")])
    assert set(sizes) <= {sizes[0], sizes[0] + counts}
    assert sum(tensor.nbytes for tensor in one.state().values()) == sizes[-1]


def test_without_an_average_the_networks_themselves_are_shown() -> None:
    one = trainer()
    before = frozen(one.objective)
    with one.averaged():
        assert not any(moved(one.objective, before))


def test_the_step_is_held_and_then_falls_in_a_line() -> None:
    one = trainer("training.images=40", "training.learning_rate=1e-3", "training.decay=0.5")
    rates = [report.rate for report in one.reports(itertools.repeat(noise(0)))]
    straight = [1e-3 * min(1, (40 - images) / 20) for images in range(0, 40, 4)]
    assert rates == pytest.approx(straight)
    assert rates[0] == rates[5] == 1e-3
    assert rates[-1] == pytest.approx(2e-4)
    used = {group["lr"] for optimizer in one.optimizers.values() for group in optimizer.param_groups}
    assert used == {rates[-1]}
    constant = trainer("training.images=40", "training.decay=0")
    assert {report.rate for report in constant.reports(itertools.repeat(noise(0)))} == {2e-4}


def test_the_picture_budget_ends_and_progress_is_reported() -> None:
    reports = list(trainer("training.images=10").reports(itertools.repeat(noise(0))))
    assert [report.images for report in reports] == [4, 8, 12]
    assert [report.progress for report in reports] == pytest.approx([0.4, 0.8, 1.0])


def test_the_time_budget_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(step=15.0)  # every look at the clock is 15 s after the one before
    monkeypatch.setattr("cyclegan.training.trainer.time.monotonic", lambda: next(clock))
    one = trainer("training.minutes=1", "training.images=0")
    reports = list(one.reports(itertools.repeat(noise(0, count=1))))
    assert [report.progress for report in reports] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert [report.rate for report in reports] == pytest.approx([2e-4, 2e-4, 2e-4, 1e-4])


def test_reports_know_when_a_multiple_was_passed() -> None:
    passed = [i for i in range(4, 41, 4) if Report(i, 4, 0.0, 0.0, {}, torch.zeros(())).every(10)]
    assert passed == [12, 20, 32, 40]
    assert all(Report(i, 4, 0.0, 0.0, {}, torch.zeros(())).every(3) for i in range(4, 41, 4))


def test_a_step_can_be_repeated_alone() -> None:
    """Dropout and history depend on the seed and the pictures seen, not on what was drawn before."""
    options = ("translator.dropout=0.5", "objective.history=2")
    straight, resumed = trainer(*options), trainer(*options, seed=2)
    for step in range(3):
        straight.play([noise(step)])
    state = {name: t.clone() for name, t in straight.state().items()}
    expected = straight.play([noise(3)])
    torch.manual_seed(12345)
    torch.rand(100)
    resumed.restore(state, images=12, seconds=0.0)
    got = resumed.play([noise(3)])
    assert {n: t.item() for n, t in got.terms.items()} == {n: t.item() for n, t in expected.terms.items()}
    for p, q in zip(straight.objective.parameters(), resumed.objective.parameters(), strict=True):
        assert torch.equal(p, q)


# --- steps that are skipped


def games() -> dict[str, Objective]:
    """Return one small objective of every kind, with everything that has a memory: batch norm, histories, noise."""
    torch.manual_seed(0)
    networks = ("data.size=16", "translator.width=4", "critic.width=4")
    kinds = {
        "cyclegan": ("cyclegan-2017", *SMALL, "translator.norm=batch", "critic.norm=batch", "objective.history=3"),
        "mask-cyclegan": ("voice-tiny", "data.size=32", "translator.inner=8", "objective.history=3"),
        "vae": ("vae", "data.size=16", "translator.width=4"),
        "gan": ("gan-2014", *networks),
        "relativistic": ("gan", *networks),
    }
    built = {
        name: assemble(chosen := Experiment.load(preset, overrides=options), channels=chosen.shape[0])
        for name, (preset, *options) in kinds.items()
    }
    taught, student = ResNet(width=4, blocks=1), ResNet(width=2, blocks=1, norm="batch")
    return built | {"distillation": Distillation(G=student, teacher=taught, D_y=PatchGAN(width=4, layers=1), history=3)}


def batch(kind: str, seed: int) -> list[Tensor]:
    chance = torch.Generator().manual_seed(seed)
    shape = (1, 36, 32) if kind == "mask-cyclegan" else (3, 16, 16)
    count = 1 if kind in ("vae", "gan", "relativistic") else 2
    return [torch.rand(2, *shape, generator=chance) * 2 - 1 for _ in range(count)]


@pytest.mark.parametrize("steps", [0, 1, 4])  # a history of three is empty, is being filled, is full
@pytest.mark.parametrize("kind", games())
def test_a_step_that_is_not_finite_moves_nothing_but_counters(kind: str, steps: int) -> None:
    training = Experiment.load("tiny", overrides=["training.images=1000", "training.precision=fp32"]).training
    one = Trainer(games()[kind], training)
    for step in range(steps):
        assert not one.play([batch(kind, step)]).skipped
    before = {name: tensor.clone() for name, tensor in one.state().items()}
    broken = batch(kind, steps)
    broken[0][0, 0, 3, 3] = float("inf")
    assert one.play([broken]).skipped == 1
    assert one.images == 2 * (steps + 1)
    for name, tensor in one.state().items():
        if not name.endswith("_extra_state"):
            assert torch.equal(tensor.flatten(), before.get(name, torch.zeros_like(tensor)).flatten()), name
    for step in range(steps + 1, steps + 5):
        report = one.play([batch(kind, step)])
        assert not report.skipped
        assert all(term.isfinite() for term in report.terms.values())
    assert all(tensor.isfinite().all() for tensor in one.state().values())
    assert any(moved(one.objective, [before[f"objective.{n}"] for n, _ in one.objective.named_parameters()]))


def test_a_loss_that_overflows_is_skipped_though_its_gradient_is_finite() -> None:
    """(s - 1)² of s = 10²⁰ is infinite in float32, its slope is not."""
    one = trainer("training.ema=20", "objective.history=3")
    one.play([noise(0)])
    before = {name: tensor.clone() for name, tensor in one.state().items()}
    fool = one.objective.adversarial.fool  # type: ignore[union-attr]
    one.objective.adversarial = ADVERSARIAL["least-squares"]._replace(fool=lambda s: fool(s + 1e20))
    report = one.play([noise(1)])
    assert report.terms["G"].isinf()
    assert all(p.grad.isfinite().all() for p in one.parameters["translators"] if p.grad is not None)
    assert report.skipped == 1
    assert all(torch.equal(t, before[name]) for name, t in one.state().items() if "_extra_state" not in name)


def test_a_player_that_cannot_move_leaves_the_history_and_the_average_as_they_were() -> None:
    """The translators have moved by then; nothing is kept of what they painted."""
    one = trainer("training.ema=20", "objective.history=3")
    for step in range(3):
        one.play([noise(step)])
    before = {name: tensor.clone() for name, tensor in one.state().items()}
    slots = {name: slot for name, slot in before.items() if name.startswith("optimizer.critics")}
    one.objective.adversarial = one.objective.adversarial._replace(real=lambda s: s.mean() * float("nan"))  # type: ignore[union-attr]
    assert one.play([noise(3)]).skipped == 1
    after = one.state()
    kept = [n for n in after if ".D_" in n or (n.startswith(("objective.past", "average")) and "_extra" not in n)]
    assert len(kept) > 20
    assert all(torch.equal(after[name], before[name]) for name in [*kept, *slots])


@pytest.mark.parametrize("steps", [0, 1, 2, 5])
def test_a_history_is_given_back_as_it_was(steps: int) -> None:
    """Batches of two and a history of three: empty, two of three, three, and exchanged many times."""
    one, chance = History(3), torch.Generator().manual_seed(1)
    for _ in range(steps):
        one.swap(torch.rand(2, 1, 1, 1, generator=chance))
        one.settle(torch.zeros(()))
    before = one.kept.clone()
    for _ in range(4):  # micro-batches
        one.swap(torch.full((2, 1, 1, 1), float("nan")))
    one.settle(torch.ones(()))
    assert torch.equal(one.kept.flatten(), before.flatten())
    one.swap(torch.rand(2, 1, 1, 1, generator=chance))
    one.settle(torch.zeros(()))
    assert len(one.kept) == min(3, 2 * (steps + 1))
    assert one.kept.isfinite().all()


def test_bf16_on_the_cpu_runs_and_stays_finite() -> None:
    one = trainer("training.precision=bf16", "training.ema=10", "objective.adversarial=wasserstein")
    reports = [one.play([noise(step, count=2)]) for step in range(4)]
    assert all(torch.isfinite(t) for report in reports for t in report.terms.values())
    assert all(torch.isfinite(p).all() and p.dtype == torch.float32 for p in one.objective.parameters())


RED, BLUE = torch.tensor([-0.2, -0.9, -0.9]), torch.tensor([0.1, 0.3, 0.9])


def coloured(seed: int, colour: Tensor, *, count: int = 4) -> Tensor:
    chance = torch.Generator().manual_seed(seed)
    texture = 0.1 * torch.randn(count, 3, 16, 16, generator=chance)
    return (colour.view(3, 1, 1) + texture).clamp(-1, 1)


def pairs() -> Iterator[list[Tensor]]:
    for seed in itertools.count():
        yield [coloured(2 * seed, RED), coloured(2 * seed + 1, BLUE)]


def share_of_the_way(picture: Tensor, *, start: Tensor, goal: Tensor) -> float:
    """Return how much of the way from one mean colour to the other was gone, less what was gone beside it."""
    mean = picture.mean((0, 2, 3))
    return float(1 - (mean - goal).norm() / (start - goal).norm())


TRANSLATORS = {
    "strided": ["translator.name=resnet", "translator.resample=strided", "translator.blocks=1"],
    "nearest": ["translator.name=resnet", "translator.resample=nearest", "translator.blocks=1"],
    "antialiased": ["translator.name=resnet", "translator.resample=antialiased", "translator.blocks=1"],
    "unet": ["translator.name=unet", "translator.depth=2"],
}


@pytest.mark.parametrize("kind", TRANSLATORS)
@pytest.mark.parametrize("mode", ADVERSARIAL)
def test_every_mode_and_translator_learns_a_colour(mode: Adversarial, kind: str) -> None:
    norm, images = ("none", 600) if mode == "wasserstein" else ("instance", 300)
    general = ["data.size=16", "critic.width=16", "critic.layers=1", f"critic.norm={norm}", f"training.images={images}"]
    game = [f"objective.adversarial={mode}", "objective.cycle=1", "objective.identity=0", "training.learning_rate=4e-3"]
    options = [*general, *game, *TRANSLATORS[kind], "translator.width=8"]
    chosen = Experiment.load("cyclegan-2017", overrides=options).settled(1)
    torch.manual_seed(0)
    objective = assemble(chosen, channels=3)
    assert isinstance(objective, CycleGAN)
    for _ in Trainer(objective, chosen.training, seed=0).reports(pairs()):
        pass
    objective.eval()
    with torch.no_grad():
        to_blue, to_red = objective.G(coloured(10_001, RED)), objective.F(coloured(10_003, BLUE))
    shares = share_of_the_way(to_blue, start=RED, goal=BLUE), share_of_the_way(to_red, start=BLUE, goal=RED)
    assert min(shares) > 0.6, shares
