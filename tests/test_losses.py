"""Losses: values worked out by hand, directions, second derivatives; and the history of fakes."""

import math

import pytest
import torch
from torch import Tensor, nn

from cyclegan.experiment import Experiment
from cyclegan.networks import PatchGAN, PatchHeads, initialise
from cyclegan.networks.blocks import Norm
from cyclegan.objectives import CycleGAN, assemble
from cyclegan.objectives.history import History
from cyclegan.objectives.losses import ADVERSARIAL, gradient_penalty, patch_nce, r1_penalty

LN2 = math.log(2)
SCORES = torch.tensor([0.0, 1.0, -2.0])


def softplus(value: float) -> float:
    return math.log1p(math.exp(value))


BY_HAND = {  # of the scores 0, 1 and -2
    "least-squares": ((1 + 0 + 9) / 3, (0 + 1 + 4) / 3, (1 + 0 + 9) / 3),
    "hinge": ((1 + 0 + 3) / 3, (1 + 2 + 0) / 3, (0 - 1 + 2) / 3),
    "non-saturating": (
        (LN2 + softplus(-1) + softplus(2)) / 3,
        (LN2 + softplus(1) + softplus(-2)) / 3,
        (LN2 + softplus(-1) + softplus(2)) / 3,
    ),
    "wasserstein": (1 / 3, -1 / 3, 1 / 3),
}


@pytest.mark.parametrize("mode", BY_HAND)
def test_values_worked_out_by_hand(mode: str) -> None:
    assert set(BY_HAND) == set(ADVERSARIAL)
    assert [float(cost(SCORES)) for cost in ADVERSARIAL[mode]] == pytest.approx(BY_HAND[mode], rel=1e-6)
    patches = SCORES.view(3, 1, 1, 1).expand(3, 1, 2, 2)  # every patch counts alike, whatever the shape
    assert [float(cost(patches)) for cost in ADVERSARIAL[mode]] == pytest.approx(BY_HAND[mode], rel=1e-6)


@pytest.mark.parametrize("mode", BY_HAND)
@pytest.mark.parametrize(("cost", "direction"), [("real", +1), ("fake", -1), ("fool", +1)])
def test_a_step_down_moves_scores_the_right_way(mode: str, cost: str, direction: int) -> None:
    """Whoever lowers real or fool raises the score, whoever lowers fake lowers it."""
    score = torch.full((1,), 0.5, requires_grad=True)
    (slope,) = torch.autograd.grad(getattr(ADVERSARIAL[mode], cost)(score), score)
    assert -slope.item() * direction > 0.3


def test_fooling_keeps_its_gradient_where_the_critic_is_sure() -> None:
    sure = torch.tensor([-30.0], requires_grad=True)
    for mode in ADVERSARIAL:
        (slope,) = torch.autograd.grad(ADVERSARIAL[mode].fool(sure), sure)
        assert slope.item() <= -0.99, mode


def test_losses_stay_finite_for_extreme_scores() -> None:
    for mode, costs in ADVERSARIAL.items():
        for cost in costs:
            assert torch.isfinite(cost(torch.tensor([-1e4, 1e4]))), mode


class Linear(nn.Module):
    """D(x) = <w, x>: its slope is w everywhere."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.weight).sum((1, 2, 3), keepdim=True)


@pytest.mark.parametrize("length", [0.5, 1.0, 3.0])
def test_penalty_of_a_linear_critic_is_known(length: float) -> None:
    weight = torch.randn(1, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    critic = Linear(weight * length / weight.norm())
    real, fake = torch.randn(4, 2, 3, 3), torch.randn(4, 2, 3, 3)
    penalty = gradient_penalty(critic, real, fake)
    assert penalty.item() == pytest.approx((length - 1) ** 2, abs=1e-6)
    (slope,) = torch.autograd.grad(penalty, critic.weight)
    expected = 2 * (length - 1) * critic.weight.detach() / length  # d(|w| - 1)² / dw = 2 (|w| - 1) w / |w|
    torch.testing.assert_close(slope, expected, rtol=1e-4, atol=1e-6)


def test_r1_of_known_critics() -> None:
    """‖∇<w, x>‖² = ‖w‖² everywhere; ‖∇ Σx²‖² = 4 ‖x‖²: the real pictures are where it looks."""
    critic = Linear(torch.full((1, 2, 3, 3), 0.5))
    penalty = r1_penalty(critic, torch.randn(4, 2, 3, 3))
    assert penalty.item() == pytest.approx(18 / 4)
    (slope,) = torch.autograd.grad(penalty, critic.weight)
    torch.testing.assert_close(slope, 2 * critic.weight.detach())
    real = torch.randn(3, 1, 2, 2)
    squares = r1_penalty(lambda x: x.square().sum((1, 2, 3), keepdim=True), real)
    assert squares.item() == pytest.approx(4 * real.square().sum().item() / 3, rel=1e-5)


def test_penalties_of_patches_are_those_of_one_patch() -> None:
    """D_p = <w, x_p>, patch by patch: ‖∇D_p‖² = ‖w‖² however many patches there are, and wherever they overlap."""
    critic = nn.Conv2d(2, 1, 2, stride=2)
    square = critic.weight.detach().square().sum().item()
    for side in (2, 8, 32):
        x = torch.randn(2, 2, side, side)
        assert r1_penalty(critic, x).item() == pytest.approx(square, rel=1e-5)
        assert gradient_penalty(critic, x, -x).item() == pytest.approx((square**0.5 - 1) ** 2, rel=1e-4)
    overlapping = nn.Conv2d(1, 1, 3, padding=1)
    nn.init.constant_(overlapping.weight, 0.1)
    torch.manual_seed(0)
    found = torch.stack([r1_penalty(overlapping, torch.zeros(8, 1, 32, 32)) for _ in range(20)]).mean()
    assert found.item() == pytest.approx(9 * 0.01 * (94 / 96) ** 2, rel=0.02)  # at the border a patch sees less


@pytest.mark.parametrize("norm", ["instance", "none"])
def test_r1_does_not_depend_on_the_size_of_the_picture(norm: Norm) -> None:
    """The slope of the mean over patches, which was taken once, fell by four with every doubling of the size."""
    torch.manual_seed(0)
    critic = initialise(PatchGAN(width=8, layers=2, norm=norm), gain=0.1)
    texture = torch.randn(4, 3, 512, 512)
    values = [r1_penalty(critic, texture[:, :, :side, :side]).item() for side in (64, 128, 256, 512)]
    assert max(values) < 1.2 * min(values), values  # the padding at the border is a smaller share of larger pictures


def test_penalty_looks_between_real_and_fake_at_one_place_a_picture() -> None:
    seen = list[Tensor]()

    def critic(x: Tensor) -> Tensor:
        seen.append(x.detach())
        return x.square().sum((1, 2, 3), keepdim=True)

    real, fake = torch.ones(64, 1, 2, 2), torch.full((64, 1, 2, 2), 5.0)
    gradient_penalty(critic, real, fake)
    (between,) = seen
    places = between.flatten(1)
    assert (places == places[:, :1]).all()
    assert 1 <= places.min() < 1.5
    assert 4.5 < places.max() <= 5


def test_penalty_has_the_right_second_derivative() -> None:
    torch.manual_seed(0)
    first = nn.Conv2d(1, 3, 3).double()
    critic = nn.Sequential(first, nn.Tanh(), nn.Conv2d(3, 1, 2).double())
    real, fake = torch.randn(2, 1, 6, 6).double(), torch.randn(2, 1, 6, 6).double()

    def penalty() -> Tensor:
        torch.manual_seed(1)  # the same points between
        return gradient_penalty(critic, real, fake)

    weight = first.weight
    (slope,) = torch.autograd.grad(penalty(), weight)
    for index in ((0, 0, 0, 0), (1, 0, 1, 2), (2, 0, 2, 1)):
        step, values = 1e-5, []
        for sign in (1, -1):
            with torch.no_grad():
                weight[index] += sign * step
            values.append(penalty().item())
            with torch.no_grad():
                weight[index] -= sign * step
        assert slope[index].item() == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-4)


def test_penalty_of_a_critic_that_sees_nothing_is_one_and_finite() -> None:
    critic = Linear(torch.zeros(1, 1, 2, 2))
    penalty = gradient_penalty(critic, torch.rand(2, 1, 2, 2), torch.rand(2, 1, 2, 2))
    (slope,) = torch.autograd.grad(penalty, critic.weight)
    assert penalty.item() == 1
    assert torch.isfinite(slope).all()


def numbered(*numbers: int) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float32).view(-1, 1, 1, 1)


def test_history_fills_first_and_swaps_then() -> None:
    history = History(3)
    torch.manual_seed(0)
    for i in (0, 2):  # two by two: the fourth picture meets a full history
        given = numbered(i, i + 1)
        back = history.swap(given)
        assert back.flatten()[0] == i
    assert set(history.kept.flatten().tolist()) | set(back.flatten().tolist()) == {0, 1, 2, 3}
    assert len(history.kept) == 3


def test_history_swaps_about_half_and_loses_none() -> None:
    history, draws = History(5), 2000
    torch.manual_seed(0)
    out = [history.swap(numbered(i)).item() for i in range(draws)]
    swapped = sum(value != i for i, value in enumerate(out))
    assert abs(swapped / (draws - 5) - 0.5) < 0.04  # 3.6 standard deviations
    assert sorted(out[:5]) == [0, 1, 2, 3, 4]
    later = [value for i, value in enumerate(out) if value != i]
    assert len(later) == len(set(later)), "what was given back twice was kept twice"
    ages = [i - value for i, value in enumerate(out) if value != i]
    assert abs(sum(ages) / len(ages) - 10) < 1.5  # five kept, exchanged every other time: ten draws old on average


def test_history_gives_back_nothing_with_a_graph_and_keeps_no_view() -> None:
    for size in (0, 1, 50):
        history = History(size)
        for _ in range(4):
            fakes = torch.randn(2, 1, 2, 2, requires_grad=True) * 2
            back = history.swap(fakes)
            assert not back.requires_grad
            assert back.shape == fakes.shape
            with torch.no_grad():
                fakes.fill_(99.0)
        assert not (history.kept == 99).any()
        assert not history.kept.requires_grad


def test_history_of_none_gives_back_what_it_is_given() -> None:
    history = History(0)
    fakes = torch.randn(3, 1, 2, 2)
    assert torch.equal(history.swap(fakes), fakes)
    assert len(history.kept) == 0


@pytest.mark.parametrize("filled", [0, 2, 4])
def test_history_goes_on_from_its_state(filled: int) -> None:
    first, second = History(4), History(4)
    for i in range(filled):
        first.swap(numbered(i))
    state = {name: t.clone() for name, t in first.state_dict().items()}
    second.swap(numbered(77))  # overwritten by what is loaded
    second.load_state_dict(state)
    for i in range(30):
        seeds = [first, second]
        out = []
        for history in seeds:
            torch.manual_seed(i)
            out.append(history.swap(numbered(100 + i)))
        assert torch.equal(*out)
    assert torch.equal(first.kept, second.kept)


def test_patch_nce_by_hand() -> None:
    patches = torch.eye(2)[None]  # two patches that have nothing in common
    right, wrong = patch_nce(patches, patches, temperature=1), patch_nce(patches, patches.flip(1), temperature=1)
    assert right.item() == pytest.approx(math.log(1 + math.exp(-1)), rel=1e-6)
    assert wrong.item() == pytest.approx(math.log(1 + math.exp(1)), rel=1e-6)
    sharp = patch_nce(patches, patches, temperature=0.1)
    assert sharp.item() == pytest.approx(math.log(1 + math.exp(-10)), rel=1e-2)


def test_patches_are_compared_within_their_picture_only() -> None:
    first, second = torch.eye(4)[None, :2], torch.eye(4)[None, 2:]
    both = patch_nce(torch.cat([first, first]), torch.cat([first, second]), temperature=1)
    apart = (patch_nce(first, first, temperature=1) + patch_nce(first, second, temperature=1)) / 2
    assert both.item() == pytest.approx(apart.item(), rel=1e-6)
    query, key = first.clone().requires_grad_(), first.clone().requires_grad_()
    patch_nce(query, key).backward()  # type: ignore[no-untyped-call]
    assert query.grad is not None
    assert key.grad is None, "what was there is not moved towards what was made of it"


def test_patch_nce_is_float32_in_mixed_precision() -> None:
    torch.manual_seed(0)
    query, noise = torch.randn(2, 64, 32), torch.randn(2, 64, 32)
    query, key = (nn.functional.normalize(vectors, dim=2) for vectors in (query, query + noise))
    exact = patch_nce(query.double(), key.double())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert patch_nce(query, key).item() == pytest.approx(exact.item(), rel=1e-5)
        heads, layer = PatchHeads(channels=[3], width=8), torch.randn(1, 3, 4, 4)
        (vectors,) = heads([layer], [torch.arange(16)])
    assert vectors.dtype == torch.float32
    torch.testing.assert_close(vectors.norm(dim=2), torch.ones(1, 16))


def game(**overrides: object) -> tuple[CycleGAN, Tensor, Tensor]:
    options = [f"objective.{name}={value}" for name, value in overrides.items()]
    small = ["data.size=16", "translator.width=4", "translator.blocks=1", "critic.width=4", "critic.layers=1"]
    torch.manual_seed(0)
    objective = assemble(Experiment.load("cyclegan-2017", overrides=[*small, *options]), channels=3)
    assert isinstance(objective, CycleGAN)
    return objective, torch.rand(2, 3, 16, 16) * 2 - 1, torch.rand(2, 3, 16, 16) * 2 - 1


def test_the_translators_loss_is_the_sum_of_its_parts() -> None:
    objective, x, y = game(nce=2, cycle_end=0.5, identity=3)
    objective.progress = 0.5
    turn = next(objective.turns(x, y))
    t = {name: value.item() for name, value in turn.terms.items()}
    total = t["G"] + t["F"] + 7.5 * (t["cycle_x"] + t["cycle_y"]) + 3 * (t["identity_x"] + t["identity_y"])
    assert turn.loss.item() == pytest.approx(total + 2 * (t["nce_x"] + t["nce_y"]), rel=1e-5)
    assert t["nce_x"] == pytest.approx(math.log(64), abs=1), "no patch is known yet: 64 of half the size, fewer within"
    torch.autograd.backward(turn.loss, inputs=list(objective.parameters()))
    for name in objective.players["translators"]:
        for key, parameter in objective.get_submodule(name).named_parameters():
            assert parameter.grad is not None, f"{name}.{key}"


def test_r1_is_paid_lazily_and_as_much_in_all() -> None:
    objective, x, y = game(r1=4, r1_every=3, history=0)
    paid = []
    for objective.step in range(6):
        torch.manual_seed(objective.step)
        *_, critics = objective.turns(x, y)
        bare = (critics.terms["D_x"] + critics.terms["D_y"]).item()
        paid.append((critics.loss.item() - bare, "r1" in critics.terms))
    assert [named for _, named in paid] == [True, False, False] * 2
    torch.manual_seed(0)
    steep = r1_penalty(objective.D_x, x) + r1_penalty(objective.D_y, y)
    assert paid[0][0] == pytest.approx(3 * 4 / 2 * steep.item(), rel=1e-4)
    assert all(amount == pytest.approx(0, abs=1e-6) for amount, named in paid if not named)


def test_critics_that_are_shown_changed_pictures_still_teach() -> None:
    objective, x, y = game(augment=1, history=0)
    plain, _, _ = game(history=0)
    torch.manual_seed(3)
    changed, same = next(objective.turns(x, y)), next(plain.turns(x, y))
    assert changed.terms["G"].item() != same.terms["G"].item()
    assert changed.terms["cycle_x"].item() == same.terms["cycle_x"].item(), "the cycle sees pictures as they are"
    torch.autograd.backward(changed.terms["G"], inputs=list(objective.G.parameters()))
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in objective.G.parameters())
