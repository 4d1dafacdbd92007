"""The descriptor tells painted scenes from what a scraper brings along, and each picture speaks for itself."""

import functools

import pytest
import torch
import torch.nn.functional as nnf
from torch import Tensor

from cyclegan.curation.density import Typicality
from cyclegan.curation.descriptor import SIDE, describe
from cyclegan.demo.painter import paint, scene_of


@functools.cache
def scenes(first: int, count: int) -> Tensor:
    painted = [paint(scene_of(5, "horse", first + i), "horse", size=SIDE) for i in range(count)]
    return torch.stack([torch.from_numpy(p.copy()) for p in painted]).permute(0, 3, 1, 2).contiguous()


@functools.cache
def model() -> Typicality:
    return Typicality.fit(describe(scenes(0, 240)))


def new() -> Tensor:
    return scenes(240, 40)


def text(pictures: Tensor) -> Tensor:
    """Draw dark words of chance length in lines on light paper."""
    chance = torch.Generator().manual_seed(1)
    words = torch.rand(len(pictures), 1, 12, 16, generator=chance).gt(0.3).float()
    page = nnf.pad(nnf.interpolate(words, size=(48, 56)), (4, 4, 8, 8))
    page[:, :, ::3] = 0
    return (245 - 200 * page).byte().expand(-1, 3, -1, -1)


def collage(pictures: Tensor) -> Tensor:
    small = nnf.avg_pool2d(pictures.float(), 2).byte()
    rolled = [small.roll(i, 0) for i in range(4)]
    return torch.cat([torch.cat(rolled[:2], 3), torch.cat(rolled[2:], 3)], 2)


def blurred(pictures: Tensor) -> Tensor:
    return nnf.interpolate(nnf.avg_pool2d(pictures.float(), 8), size=(SIDE, SIDE), mode="bilinear").byte()


def static(pictures: Tensor) -> Tensor:
    return torch.randint(0, 256, pictures.shape, generator=torch.Generator().manual_seed(2)).byte()


JUNK = {
    "blank": lambda p: p[:, :, :1, :1].expand_as(p),
    "static": static,
    "blurred": blurred,
    "inverted": lambda p: 255 - p,
    "upside down": lambda p: p.flip(2),
    "grey": lambda p: p.float().mean(1, keepdim=True).byte().expand_as(p),
    "collage": collage,
    "text": text,
}


def auroc(odd: Tensor, ordinary: Tensor) -> float:
    above = odd[:, None] - ordinary
    return float((above > 0).double().mean() + (above == 0).double().mean() / 2)


@pytest.mark.parametrize("kind", JUNK)
def test_junk_is_less_typical_than_new_scenes(kind: str) -> None:
    junk = JUNK[kind](new()).contiguous()
    assert auroc(model().distances(describe(junk)), model().distances(describe(new()))) > 0.97


def test_new_scenes_are_not_unlike_and_junk_is() -> None:
    assert int(model().unlike(describe(new())).sum()) <= 1
    junk = torch.cat([JUNK[kind](new()) for kind in JUNK])
    assert float(model().unlike(describe(junk)).double().mean()) > 0.8


def test_each_picture_is_described_by_itself() -> None:
    together = describe(new())
    assert together.shape == (40, 297)
    assert together.dtype == torch.float32
    assert torch.allclose(
        torch.cat([describe(new()[:7]), describe(new()[7:8]), describe(new()[8:])]), together, atol=1e-5
    )
    many = new().repeat(8, 1, 1, 1)
    assert torch.allclose(describe(many), together.repeat(8, 1), atol=1e-5)
    assert describe(new()[:0]).shape == (0, 297)


def test_no_column_is_constant_wild_or_missing() -> None:
    described = describe(torch.cat([new(), static(new()), torch.zeros_like(new()), torch.full_like(new(), 255)]))
    assert bool(described.isfinite().all())
    assert float(described.abs().max()) < 12
    spreads = describe(scenes(0, 240)).std(0)
    assert float(spreads.min()) > 0.05
    assert float(spreads.max()) < 2


def test_a_blank_picture_by_hand() -> None:
    """Of one colour, only the sixteen places' colours are above the floor, which is log(2 / 255)."""
    colours = torch.tensor([255, 0, 51], dtype=torch.uint8)[None, :, None, None].expand(1, 3, SIDE, SIDE)
    described = describe(colours)[0]
    luminance, red, yellow = 4 * (0.299 + 0.114 * 0.2), 4.0, 4 * (0.5 - 0.2)
    assert described[:48].view(3, 16)[:, 0].tolist() == pytest.approx([luminance, red, yellow], abs=1e-4)
    assert described[48:288].tolist() == pytest.approx([-4.848] * 240, abs=0.01)


def test_directions_are_told_apart() -> None:
    """Stripes that change from left to right have all their energy along 0°, none along 90°, half along the slants."""
    stripes = (127 + 100 * torch.sin(torch.arange(SIDE) * 0.8)).byte().expand(1, 3, SIDE, SIDE)
    energies = describe(stripes)[0, 96:160].view(4, 16).mean(1)
    turned = describe(stripes.mT)[0, 96:160].view(4, 16).mean(1)
    assert energies.tolist() == pytest.approx(turned[[2, 1, 0, 3]].tolist(), abs=1e-3)
    assert float(energies[0] - energies[1]) == pytest.approx(0.3466, abs=0.01)  # ln √2
    assert float(energies[1]) == pytest.approx(float(energies[3]), abs=1e-3)
    assert float(energies[2]) == pytest.approx(-4.848, abs=0.01)


def test_other_sizes_and_kinds_are_refused() -> None:
    for pictures in (new().float(), new()[:, :, :32], new()[0]):
        with pytest.raises(AssertionError):
            describe(pictures)
