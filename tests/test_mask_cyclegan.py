"""Filling in frames: what is hidden, what is asked for, what it costs; and that a voice is learnt."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cyclegan.errors import UsageError
from cyclegan.experiment import Experiment
from cyclegan.networks import TwoOneTwo
from cyclegan.objectives import History, MaskCycleGAN, Turn, assemble, network_specs
from cyclegan.objectives.losses import r1_penalty
from cyclegan.training.trainer import Trainer

COEFFICIENTS, FRAMES = 12, 32
SMALL = [
    *("codec.name=voice", f"codec.coefficients={COEFFICIENTS}", f"data.size={FRAMES}", "objective.name=mask-cyclegan"),
    *("translator.name=2-1-2d", "translator.width=4", "translator.inner=16", "translator.blocks=1"),
    *("translator.kernel=5", "critic.name=gated-patchgan", "critic.width=4", "critic.layers=2"),
]


def experiment(*overrides: str) -> Experiment:
    return Experiment.load("cyclegan-2017", overrides=[*SMALL, "training.images=100", *overrides]).settled(1)


def game(*overrides: str) -> MaskCycleGAN:
    """Return an objective whose translators have begun to change what they hear."""
    torch.manual_seed(0)
    objective = assemble(experiment(*overrides), channels=1)
    assert isinstance(objective, MaskCycleGAN)
    for translator in (objective.G, objective.F):
        assert isinstance(translator, TwoOneTwo)
        nn.init.normal_(translator.head.conv.weight, std=0.05)
    return objective


def noise(seed: int, *, count: int = 2) -> list[Tensor]:
    chance = torch.Generator().manual_seed(seed)
    return [torch.randn(count, 1, COEFFICIENTS, FRAMES, generator=chance) for _ in range(2)]


# --- what is hidden


@pytest.mark.parametrize(("share", "most"), [(0.5, 16), (0.3, 9), (1.0, 32), (0.0, 0)])
def test_a_mask_hides_one_run_of_frames_of_any_place_and_length(share: float, most: int) -> None:
    objective = game(f"objective.mask={share}")
    torch.manual_seed(1)
    x = torch.randn(5000, 1, COEFFICIENTS, FRAMES)
    masks = objective.masks(x)
    assert masks.shape == x.shape
    hidden = 1 - masks[:, 0, 0]
    assert (masks == masks[:, :, :1]).all(), "a frame is hidden with all its coefficients"
    begins = (torch.diff(hidden, dim=1, prepend=torch.zeros(5000, 1)) == 1).sum(1)
    assert begins.max() == min(1, most), "one run, or none"
    lengths = hidden.sum(1).long()
    assert sorted(set(lengths.tolist())) == list(range(most + 1))
    counts = torch.bincount(lengths).double() / 5000
    assert (counts - 1 / (most + 1)).abs().max() < 5 * math.sqrt(1 / (most + 1) / 5000)
    if most:
        assert hidden.any(0).all(), "no frame is safe"


class Heard(nn.Module):
    """A translator that adds a number, and remembers what it was given."""

    def __init__(self, shift: float) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.tensor(float(shift)))
        self.given: list[tuple[Tensor, Tensor | None]] = []

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        self.given.append((x.detach(), mask))
        return x + self.shift


class Scale(nn.Module):
    """A critic whose score is a multiple of what it sees."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(float(factor)))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


X, Y = torch.tensor([1.0, 2, 3, 4]).view(1, 1, 1, 4), torch.zeros(1, 1, 1, 4)
SECOND = torch.tensor([1.0, 0, 1, 1]).view(1, 1, 1, 4)  # hides the second frame


def by_hand(monkeypatch: pytest.MonkeyPatch, **options: Any) -> MaskCycleGAN:
    parts: dict[str, nn.Module] = {"G": Heard(1), "F": Heard(-2), "D_x": Scale(0.5), "D_y": Scale(1)}
    if options.get("two_step", 1):
        parts |= {"D2_x": Scale(1), "D2_y": Scale(0.5)}
    objective = MaskCycleGAN(**parts, history=0, **options)
    monkeypatch.setattr(objective, "masks", lambda x: SECOND if x is X else torch.ones_like(x))
    return objective


def test_the_loss_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """x·m = 1 0 3 4, G of it 2 1 4 5, and back 0 -1 2 3, which is held against all of x."""
    objective = by_hand(monkeypatch, two_step=2.0, cycle=10.0, identity=5.0)
    translators, critics = objective.turns(X, Y)
    expected = {"G": 6.5, "F": 4, "cycle_x": 1.5, "cycle_y": 1, "back_x": 2.5, "back_y": 2.25}
    expected |= {"identity_x": 2, "identity_y": 1}
    assert {name: term.item() for name, term in translators.terms.items()} == pytest.approx(expected)
    assert translators.loss.item() == pytest.approx(6.5 + 4 + 10 * 2.5 + 2 * 4.75 + 5 * 3)
    judged = {"D_x": 0.6875, "D_y": 6.25, "D2_x": 3.5, "D2_y": 0.625}
    assert {name: term.item() for name, term in critics.terms.items()} == pytest.approx(judged)
    assert critics.loss.item() == pytest.approx(sum(judged.values()))
    assert (translators.player, critics.player) == ("translators", "critics")


def test_without_a_second_step_there_are_no_second_critics(monkeypatch: pytest.MonkeyPatch) -> None:
    objective = by_hand(monkeypatch, two_step=0.0)
    translators, critics = objective.turns(X, Y)
    assert translators.loss.item() == pytest.approx(6.5 + 4 + 10 * 2.5 + 5 * 3)
    assert critics.loss.item() == pytest.approx(0.6875 + 6.25)
    assert set(critics.terms) == {"D_x", "D_y"}
    assert set(network_specs(experiment("objective.two_step=0"), channels=1)) == {"G", "F", "D_x", "D_y"}
    whole = game("objective.two_step=0")
    assert whole.players["critics"] == ("D_x", "D_y")
    assert not any("D2" in name or "back" in name for name in whole.state_dict())


def test_only_the_first_pass_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    objective = by_hand(monkeypatch)
    next(objective.turns(X, Y))
    assert isinstance(objective.G, Heard)
    assert isinstance(objective.F, Heard)
    (heard, mask), (of_fake, none), (of_y, nothing) = objective.G.given
    assert torch.equal(heard, X * SECOND)
    assert mask is SECOND
    assert none is nothing is None, "the second pass and the identity hear everything"
    assert torch.equal(of_y, Y)
    assert torch.equal(of_fake, Y - 2)
    assert [m for _, m in objective.F.given[1:]] == [None, None]
    assert torch.equal(objective.F.given[2][0], X)


def test_what_is_hidden_cannot_be_heard_but_is_asked_for() -> None:
    objective = game("objective.mask=1", "objective.identity=0")
    x, y = noise(0)
    torch.manual_seed(5)
    hidden = objective.masks(x) == 0
    assert hidden.any(), "or there is nothing to test"
    said = list[Tensor]()
    objective.G.register_forward_hook(lambda *call: said.append(call[2].detach()))
    turns = list[Turn]()
    for signal in (x, torch.where(hidden, x + 1, x)):
        torch.manual_seed(5)
        turns.append(next(objective.turns(signal, y)))
    assert torch.equal(said[0], said[2]), "translations are alike"
    first, second = (turn.terms for turn in turns)
    assert first["cycle_x"].item() != second["cycle_x"].item(), "what must come back is not"
    assert all(first[name].item() == second[name].item() for name in ("G", "F", "back_x", "cycle_y"))


def test_the_identity_is_asked_for_only_at_first() -> None:
    objective = game("objective.identity_until=0.25")
    for progress, asked in ((0.0, True), (0.2, True), (0.25, False), (1.0, False)):
        objective.progress = progress
        assert ("identity_x" in next(objective.turns(*noise(0))).terms) == asked
    always, never = game("objective.identity_until=1"), game("objective.identity=0")
    always.progress = 0.99
    assert "identity_y" in next(always.turns(*noise(0))).terms
    assert "identity_y" not in next(never.turns(*noise(0))).terms


# --- played


def test_every_critic_pays_for_being_steep_and_is_reminded_of_earlier_fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "randint", lambda high, shape: torch.ones(shape))  # the signs of a slope's patches
    objective = game("objective.r1=4", "objective.history=3")
    x, y = noise(0)
    *_, critics = objective.turns(x, y)
    reals = {"D_x": x, "D_y": y, "D2_x": x, "D2_y": y}
    steep = sum(r1_penalty(objective.get_submodule(name), real).item() for name, real in reals.items())
    assert critics.terms["r1"].item() == pytest.approx(steep, rel=1e-5)
    bare = sum(critics.terms[name].item() for name in reals)
    assert critics.loss.item() == pytest.approx(bare + 2 * steep, rel=1e-5)
    histories = [module for module in objective.modules() if isinstance(module, History)]
    assert [len(history.kept) for history in histories] == [2] * 4


def test_all_learn_in_their_own_turn() -> None:
    chosen = experiment("objective.history=0")
    trainer = Trainer(game("objective.history=0"), chosen.training, seed=0)
    before = {name: p.detach().clone() for name, p in trainer.objective.named_parameters()}
    trainer.play([noise(0)])
    for name, parameter in trainer.objective.named_parameters():
        assert not torch.equal(parameter, before[name]), name
    critics = {id(p) for p in trainer.parameters["critics"]}
    assert critics.isdisjoint({id(p) for p in trainer.parameters["translators"]})
    assert len(critics) + len(trainer.parameters["translators"]) == len(before)


def test_a_step_can_be_repeated_alone() -> None:
    """Masks and histories depend on the seed and on how much was heard, not on what was drawn before."""
    options = ("objective.history=2", "training.ema=20", "objective.identity_until=0.5")
    chosen = experiment(*options)
    straight, resumed = (Trainer(game(*options), chosen.training, seed=chosen.seed) for _ in range(2))
    for step in range(3):
        straight.play([noise(step)])
    state = {name: t.clone() for name, t in straight.state().items()}
    expected = straight.play([noise(3)])
    torch.manual_seed(12345)
    torch.rand(100)
    resumed.restore(state, images=6, seconds=0.0)
    got = resumed.play([noise(3)])
    assert {n: t.item() for n, t in got.terms.items()} == {n: t.item() for n, t in expected.terms.items()}
    for p, q in zip(straight.objective.parameters(), resumed.objective.parameters(), strict=True):
        assert torch.equal(p, q)


def test_a_preview_hears_everything() -> None:
    objective, (x, y) = game().eval(), noise(0)
    with torch.no_grad():
        shown = objective.preview(x, y)
        assert torch.equal(shown["translated_x"], objective.G(x))
        assert torch.equal(shown["cycled_y"], objective.G(objective.F(y)))
    assert list(shown) == [f"{what}_{of}" for of in "xy" for what in ("real", "translated", "cycled", "identity")]


# --- put together


def test_the_translator_is_as_high_as_the_codec_says() -> None:
    specs = network_specs(experiment(), channels=1)
    assert list(specs) == ["G", "F", "D_x", "D_y", "D2_x", "D2_y"]
    assert specs["G"]["height"] == COEFFICIENTS
    assert specs["D2_y"] == specs["D_x"]


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ({"codec__name": "pictures"}, "codec.name = pictures"),
        ({"codec__coefficients": 38}, "codec.coefficients = 38"),
        ({"data__size": 66}, "data.size = 66"),
        ({"critic__layers": 5}, "data.size = 32"),
        ({"critic__name": "patchgan"}, "critic.name = patchgan"),
        ({"translator__name": "resnet"}, "translator.name = resnet"),
        ({"translator__kernel": 6}, "translator.kernel = 6"),
        ({"objective__name": "cyclegan"}, "codec.name = voice"),
    ],
)
def test_parts_that_do_not_fit_are_refused_before_the_work(override: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError) as caught:
        experiment().replace(**override).settled(1)
    assert named in caught.value.what
    assert caught.value.hint


# --- learnt


def direction(number: int) -> Tensor:
    """Return a cosine over the coefficients, of length 1."""
    wave = torch.cos(math.pi * number * (torch.arange(COEFFICIENTS) + 0.5) / COEFFICIENTS)
    unit: Tensor = wave / wave.norm()
    return unit


LOW, HIGH = direction(1), 0.6 * direction(1) + 0.8 * direction(3)  # the shapes of two voices, 53° apart


def spoken(seed: int, voice: Tensor, *, count: int = 4) -> tuple[Tensor, Tensor]:
    """Return what a voice says, (N, 1, C, T), and how loud it is when: each its own rhythm, now and then a peak."""
    chance = torch.Generator().manual_seed(seed)
    phase, speed = torch.rand(2, count, 1, 1, 1, generator=chance)
    loud = 1.5 * (torch.cos(2 * math.pi * phase + (0.2 + 0.4 * speed) * torch.arange(FRAMES)).exp() - 1.27)
    breath = 0.1 * torch.randn(count, 1, COEFFICIENTS, FRAMES, generator=chance)
    return loud * voice.view(1, 1, -1, 1) + breath, loud


def talks() -> Iterator[Sequence[Tensor]]:
    for seed in itertools.count():
        yield spoken(2 * seed, LOW)[0], spoken(2 * seed + 1, HIGH)[0]


def left(translator: nn.Module, *, voice: Tensor, goal: Tensor) -> float:
    """Return how far a translation is from the same words in the other voice, as a share of the way there."""
    heard, loud = spoken(10_001, voice, count=16)
    wanted = loud * goal.view(1, 1, -1, 1)
    with torch.no_grad():
        return float((translator(heard) - wanted).norm() / (heard - wanted).norm())


def test_each_voice_learns_the_other_and_keeps_the_words() -> None:
    recipe = ["training.batch=4", "training.images=600", "training.learning_rate=4e-3"]
    wide = ["translator.width=8", "translator.inner=32", "critic.width=12"]
    chosen = experiment("objective.cycle=5", "objective.identity=0", "objective.history=0", *recipe, *wide)
    torch.manual_seed(0)
    objective = assemble(chosen, channels=1)
    assert isinstance(objective, MaskCycleGAN)
    for _ in Trainer(objective, chosen.training, seed=0).reports(talks()):
        pass
    objective.eval()
    found = left(objective.G, voice=LOW, goal=HIGH), left(objective.F, voice=HIGH, goal=LOW)
    assert max(found) < 0.7, found
