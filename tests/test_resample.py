"""How often pictures are shown: the published weights by hand, ours on a planted folder."""

import planted
import pytest
import torch
from torch import Tensor

from cyclegan.curation.descriptor import describe
from cyclegan.curation.groups import principal
from cyclegan.curation.neighbours import local_outlier_factor, robust_z
from cyclegan.curation.resample import Weights, lowered, nearest, published


@pytest.fixture(scope="module")
def folder() -> planted.Planted:
    return planted.folder("horse", 400, seed=4, duplicates=9)


@pytest.fixture(scope="module")
def latents(folder: planted.Planted) -> Tensor:
    return (describe(folder.pictures) + describe(folder.pictures.flip(3))) / 2


@pytest.fixture(scope="module")
def odd(latents: Tensor) -> Tensor:
    known = principal(latents, ordinary=torch.ones(len(latents), dtype=torch.bool), dimensions=40)
    return robust_z(local_outlier_factor(known).log()) > 4


def test_rare_pictures_are_shown_more_and_junk_less(folder: planted.Planted, latents: Tensor, odd: Tensor) -> None:
    weights = nearest(latents, odd=odd, copies=folder.pairs)
    assert weights.shown(folder.where("rare")) >= 3
    assert weights.shown(folder.where("junk")) <= 0.3
    assert weights.effective >= 0.35
    assert 0.75 <= weights.shown(folder.where("ordinary")) <= 1
    assert float(weights.values.mean()) == pytest.approx(1)


def test_without_a_gate_junk_would_be_promoted(folder: planted.Planted, latents: Tensor) -> None:
    nobody = torch.zeros(len(latents), dtype=torch.bool)
    assert nearest(latents, odd=nobody).shown(folder.where("junk")) > 2


def test_copies_share_what_one_of_them_would_have() -> None:
    points = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    nobody = torch.zeros(203, dtype=torch.bool)
    alone = nearest(points, odd=nobody[:200]).values
    thrice = nearest(torch.cat([points, points[7:8].expand(3, -1)]), odd=nobody, copies=[(7, 200, 201, 202)]).values
    share = float(thrice[7])
    assert thrice[200:].tolist() == pytest.approx([share] * 3)
    torch.testing.assert_close(4 * share / thrice[8], alone[7] / alone[8])


def test_tau_nothing_is_uniform_and_the_cap_holds() -> None:
    points = torch.randn(300, 5, generator=torch.Generator().manual_seed(1)).exp()
    nobody = torch.zeros(300, dtype=torch.bool)
    assert nearest(points, odd=nobody, tau=0).values.tolist() == pytest.approx([1] * 300)
    steep = nearest(points, odd=nobody, tau=5, cap=3).values
    assert float(steep.max() / steep.min()) == pytest.approx(9)


def test_effective_size_and_shown_by_hand() -> None:
    weights = Weights.of(torch.tensor([1, 1, 2, 4]))
    assert weights.values.tolist() == [0.5, 0.5, 1, 2]
    assert weights.effective == pytest.approx(16 / (4 * 5.5) * (4 / 4))
    assert weights.shown([2, 3]) == weights.shown(torch.tensor([False, False, True, True])) == 1.5


def test_the_published_product_by_hand() -> None:
    latents = torch.tensor([[0.0, 0.0], [0.1, 10.0], [0.2, 10.0], [1.0, 10.0]])  # shares ¾ ¾ ¾ ¼ and ¼ ¾ ¾ ¾
    inverse = torch.tensor([1 / (0.85 * 0.35), 1 / 0.85**2, 1 / 0.85**2, 1 / (0.35 * 0.85)], dtype=torch.float64)
    torch.testing.assert_close(published(latents, bins=2, alpha=0.1).values, inverse / inverse.mean())


def test_the_published_maximum_by_hand() -> None:
    latents = torch.tensor([[0.0, 0.0], [0.1, 5.0], [0.2, 10.0], [1.0, 10.0]])  # shares ¾ ¾ ¾ ¼ and ¼ ¾ ¾ ¾ of 2 bins
    first = torch.tensor([1 / 0.85, 1 / 0.85, 1 / 0.85, 1 / 0.35], dtype=torch.float64)
    second = torch.tensor([1 / 0.35, 1 / 0.85, 1 / 0.85, 1 / 0.85], dtype=torch.float64)
    largest = torch.maximum(first / first.sum(), second / second.sum())
    found = published(latents, how="maximum", bins=2, alpha=0.1).values
    torch.testing.assert_close(found, largest / largest.mean())


def test_smoothing_leads_from_a_flat_histogram_to_ordinary_sampling() -> None:
    latent = torch.randn(5000, 1, generator=torch.Generator().manual_seed(2))
    place = ((latent - latent.min()) / (latent.max() - latent.min()) * 10).long().clamp(max=9)[:, 0]
    flat = torch.zeros(10, dtype=torch.float64).scatter_add(0, place, published(latent, alpha=0).values)
    torch.testing.assert_close(flat, torch.full_like(flat, 500))
    torch.testing.assert_close(published(latent, alpha=1e9).values, torch.ones(5000, dtype=torch.float64))


def test_many_latents_do_not_overflow() -> None:
    latents = torch.randn(100, 500, generator=torch.Generator().manual_seed(3))
    assert published(latents, alpha=0).values.isfinite().all()


def test_a_group_without_a_counterpart_is_not_raised() -> None:
    weights = Weights.of(torch.tensor([4.0, 4.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5]))
    values = lowered(weights, [[0, 1], [4]]).values
    assert values[[0, 1]].tolist() == [1, 1]
    assert float(values[4]) == float(weights.values[4])
    assert float(values.mean()) == pytest.approx(1)
    assert float(values[2] / values[5]) == pytest.approx(2)
    assert lowered(weights, []).values.tolist() == weights.values.tolist()
    assert lowered(weights, [range(8)]).values.tolist() == [1] * 8
