"""The score by which checkpoints of one run are compared."""

import pytest
import torch
import torch.nn.functional as nnf
from torch import Tensor

from cyclegan.training.metrics import sliced_wasserstein


def scenes(seed: int, *, height: int = 64, width: int = 64, count: int = 6) -> Tensor:
    """Draw soft blobs under fine grain, (N, 3, H, W) in [-1, 1]: something on every level of a pyramid."""
    chance = torch.Generator().manual_seed(seed)
    blobs = nnf.interpolate(torch.randn(count, 3, 5, 5, generator=chance), (height, width), mode="bicubic")
    return (0.3 * blobs + 0.15 * torch.randn(count, 3, height, width, generator=chance)).clamp(-1, 1)


def test_equal_sets_are_at_no_distance_and_order_does_not_count() -> None:
    one, other = scenes(0), scenes(1)
    assert sliced_wasserstein(one, one.clone()) == 0
    there, back = sliced_wasserstein(one, other), sliced_wasserstein(other, one)
    assert there == back > 0
    torch.manual_seed(99)
    assert sliced_wasserstein(one, other) == there


@pytest.mark.parametrize("damage", ["blur", "colour", "noise"])
def test_it_grows_with_damage(damage: str) -> None:
    reals, fakes = scenes(0), scenes(1)

    def damaged(strength: float) -> Tensor:
        if damage == "blur":
            soft = nnf.avg_pool2d(nnf.pad(fakes, (2, 2, 2, 2), mode="reflect"), 5, stride=1)
            return fakes.lerp(soft, strength)
        if damage == "colour":
            return fakes + strength * torch.tensor([0.3, 0.0, -0.3]).view(3, 1, 1)
        return fakes + strength * 0.3 * torch.randn(fakes.shape, generator=torch.Generator().manual_seed(2))

    distances = [sliced_wasserstein(damaged(strength), reals) for strength in (0.0, 0.33, 0.66, 1.0)]
    assert distances == sorted(distances)
    assert distances[-1] > 1.2 * distances[0]


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 17), (32, 48), (64, 64), (100, 40), (256, 256)])
def test_it_works_for_every_training_size(height: int, width: int) -> None:
    one, other = (scenes(seed, height=height, width=width, count=2) for seed in (0, 1))
    assert sliced_wasserstein(one, one) == 0
    near, far = sliced_wasserstein(one, other), sliced_wasserstein(one, other + 0.8)
    assert 0 < near < far < 10_000


def test_sets_need_not_be_of_one_length() -> None:
    assert 0 < sliced_wasserstein(scenes(0, count=3), scenes(1, count=7)) < 10_000


def test_it_leaves_chance_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    sliced_wasserstein(scenes(0), scenes(1))
    assert torch.equal(torch.rand(3), expected)


def test_broken_pictures_have_no_score() -> None:
    assert sliced_wasserstein(scenes(0) * float("nan"), scenes(1)) != sliced_wasserstein(scenes(0), scenes(0))
