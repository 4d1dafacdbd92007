"""Looks at held-back pictures: figures that mean what they say, alarms that ring, sheets that show extremes."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cyclegan.codecs import Pictures
from cyclegan.files import plain_names
from cyclegan.metrics.distances import KernelDistance, kernel_distance, kid, witness
from cyclegan.objectives import CycleGAN
from cyclegan.thresholds import LEAST_CHANGE
from cyclegan.training.look import Look, Looker, Measure, alarming, paired

RED, BLUE = (200, 40, 40), (40, 40, 200)
DOMAINS = ("red", "blue")


class Colours:
    """Features anyone can follow: the mean colour of the four quarters of a picture."""

    name, protocol = "colours", "quarters"

    def __call__(self, pictures: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(pictures.double() / 255, 2).flatten(1)


class Painter(nn.Module):
    """A translator that is a function, and remembers how it was called."""

    def __init__(self, paint: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.paint, self.dropout = paint, nn.Dropout(0.9)
        self.largest = 0

    def forward(self, x: Tensor) -> Tensor:
        assert not torch.is_grad_enabled()
        self.largest = max(self.largest, len(x))
        painted: Tensor = self.dropout(self.paint(x))
        return painted


def pictures(colour: tuple[int, int, int], count: int, *, seed: int) -> Tensor:
    chance = np.random.default_rng(seed)
    shades = chance.integers(-30, 30, (count, 1, 8, 8)) + np.array(colour)[None, :, None, None]
    return torch.from_numpy(shades.clip(0, 255).astype(np.uint8))


def looker(*, counts: tuple[int, int] = (12, 20)) -> Looker:
    held = [pictures(RED, counts[0], seed=0), pictures(BLUE, counts[1], seed=1)]
    reals = [pictures(RED, 40, seed=2), pictures(BLUE, 40, seed=3)]
    return Looker(held, reals, codec=Pictures(), features=Colours(), domains=DOMAINS)


def look(to_blue: Callable[[Tensor], Tensor], to_red: Callable[[Tensor], Tensor], **options: object) -> Look:
    critics = nn.Linear(1, 1), nn.Linear(1, 1)
    objective = CycleGAN(G=Painter(to_blue), F=Painter(to_red), D_x=critics[0], D_y=critics[1])
    seen = looker(**options).look(objective.train(), progress=0.5)  # type: ignore[arg-type]
    assert objective.training, "it is given back as it was"
    for name in ("G", "F"):
        painter = objective.get_submodule(name)
        assert isinstance(painter, Painter)
        assert painter.largest <= 8, "memory does not follow the number of pictures"
    return seen


def swapped(x: Tensor) -> Tensor:
    return x.flip(1)  # red for blue: exactly what should be learnt


def unchanged(x: Tensor) -> Tensor:
    return x


def test_leaving_alone_is_told_from_translating() -> None:
    alone, right = look(unchanged, unchanged), look(swapped, swapped)
    before = looker().untranslated
    for domain in DOMAINS:
        assert alone.measure[domain]["kid"] == pytest.approx(before[domain]["kid"], rel=1e-9)
        assert alone.measure[domain]["change"] == alone.measure[domain]["cycle"] == 0
        assert right.measure[domain]["change"] == pytest.approx(2 / 3 * 160, abs=3)  # two of three channels by 160
        assert right.measure[domain]["cycle"] == 0
        assert abs(right.measure[domain]["kid"]) < 3 * right.measure[domain]["kid_std"] < before[domain]["kid"] / 10
        assert right.measure[domain]["diversity"] == pytest.approx(1, abs=0.3)
    assert right.kid < alone.kid == sum(f["kid"] for f in alone.measure.values()) / 2
    assert not right.alarms
    assert [alarm.split(":")[0] for alarm in alone.alarms] == ["to blue", "to red"]
    assert all("nothing is changed" in alarm for alarm in alone.alarms)


def test_the_way_back_is_measured() -> None:
    darker = look(lambda x: x - 8 / 127.5, unchanged)
    assert darker.measure["blue"]["cycle"] == pytest.approx(8, abs=1e-5)
    assert darker.measure["red"]["cycle"] == pytest.approx(8, abs=1e-5), "whichever of the two it is"


def test_a_collapse_rings() -> None:
    same = pictures(BLUE, 1, seed=9)
    seen = look(lambda x: Pictures().encode(same).expand(len(x), -1, -1, -1), swapped)
    assert seen.measure["blue"]["diversity"] == pytest.approx(0, abs=1e-9)
    assert seen.alarms == ("to blue: collapsed, the translations look alike",)


def figures(kid: float, *, change: float = 30.0) -> Measure:
    return {"blue": {"kid": kid, "diversity": 1.0, "change": change}}


def gap(value: float, *, error: float = 0.0) -> dict[str, KernelDistance]:
    """Return a gap with an error: of two pictures, ½ (½ e² + ½ e²) · 2."""
    return {"blue": KernelDistance(value, torch.tensor([error, -error]).double(), torch.zeros(3).double())}


FURTHER = "to blue: further from real blue than before translating"


@pytest.mark.parametrize(
    ("progress", "before", "kid", "said"),
    [
        (0.1, [], 2.0, ""),  # translators paint something strange at first
        (0.1, [9.0], 2.0, ""),
        (0.1, [3.0], 3.5, ""),
        (0.1, [3.0, 2.0], 3.5, ""),
        (0.1, [2.0, 3.0], 2.5, ""),
        (0.1, [3.0, 2.0, 3.5], 4.0, "getting further"),  # it has never been so bad, twice in a row
        (0.4, [9.0, 2.0, 3.0], 4.0, ""),
        (0.4, [], 2.0, ""),
        (0.6, [], 2.0, FURTHER),
        (0.6, [9.0], 2.0, "getting nearer"),
        (0.6, [1.5], 2.0, "getting further"),
        (1.0, [2.0], 2.0, "getting nearer"),
    ],
)
def test_what_is_worse_than_nothing_rings_where_that_is_no_good_sign(
    progress: float, before: list[float], kid: float, said: str
) -> None:
    rung = alarming(
        figures(kid),
        gap(1.0),
        least=LEAST_CHANGE["pictures"],
        earlier=[figures(value) for value in before],
        progress=progress,
    )
    assert len(rung) == bool(said)
    assert said in "".join(rung)
    assert all(alarm.startswith(FURTHER) for alarm in rung)


def test_what_cannot_be_told_from_nothing_does_not_ring() -> None:
    def rung(value: float) -> tuple[str, ...]:
        pictures = LEAST_CHANGE["pictures"]
        return alarming(figures(2.0), gap(value, error=0.1), least=pictures, earlier=(), progress=1.0)

    assert rung(0.09) == rung(-1.0) == ()
    assert rung(0.11) == (FURTHER,)


def test_a_gap_is_that_of_the_same_pictures_left_alone() -> None:
    """Its paired error knows that they are the same: nothing for translators that do nothing."""
    one = looker()
    held = [Colours()(pictures(colour, count, seed=seed)) for colour, count, seed in ((RED, 12, 0), (BLUE, 20, 1))]
    gaps = one.left_alone.gaps({"blue": kernel_distance(held[0], one.real[1])})
    assert (gaps["blue"].value, gaps["blue"].error) == (0, 0)
    assert one.untranslated["blue"]["kid_std"] > 0


@pytest.mark.parametrize(("change", "rings"), [(1.9, True), (2.1, False)])
def test_how_little_is_next_to_nothing_is_told_in_levels(change: float, rings: bool) -> None:
    pictures = LEAST_CHANGE["pictures"]
    said = alarming(figures(0.0, change=change), gap(-1.0), least=pictures, earlier=(), progress=1.0)
    assert said == (("to blue: next to nothing is changed, less than 2 levels of 255",) if rings else ())


def test_nothing_rings_early() -> None:
    objective = CycleGAN(G=Painter(unchanged), F=Painter(unchanged), D_x=nn.Linear(1, 1), D_y=nn.Linear(1, 1))
    assert not looker().look(objective, progress=0.1).alarms


@pytest.mark.parametrize("counts", [(1, 1), (2, 50), (9, 3)])
def test_folders_of_any_size_are_measured(counts: tuple[int, int]) -> None:
    seen = look(swapped, swapped, counts=counts)
    assert all(np.isfinite(value) for figures in seen.measure.values() for value in figures.values())


def test_samples_are_the_best_of_each_direction_before_and_after() -> None:
    """Every other red stays red: none of those may be among the best."""
    stay = torch.arange(12) % 2 == 0

    def half(x: Tensor) -> Tensor:
        reds = torch.stack([looker().codec.encode(p[None])[0] for p in looker().held_back[0]])
        known = [int((reds - one).abs().sum((1, 2, 3)).argmin()) for one in x]
        return torch.where(stay[known][:, None, None, None], x, x.flip(1))

    samples = look(half, swapped).samples
    assert set(samples) == {
        *(f"red-{i}{way}" for i in range(1, 5) for way in ("", "-to-blue")),
        *(f"blue-{i}{way}" for i in range(1, 5) for way in ("", "-to-red")),
    }
    for source, target in (DOMAINS, DOMAINS[::-1]):
        for i in range(1, 5):
            before, after = samples[f"{source}-{i}"], samples[f"{source}-{i}-to-{target}"]
            assert isinstance(before, np.ndarray)
            assert (before.dtype, before.shape) == (np.uint8, (8, 8, 3))
            assert np.array_equal(after, before[..., ::-1])


@pytest.mark.parametrize(
    ("domains", "names"),
    [(("馬", "斑馬"), ("domain-1", "domain-2")), (("A", "a"), ("A-1", "a-2")), (("a b", "c"), ("a-b", "c"))],
)
def test_samples_of_domains_with_one_plain_name_have_two(domains: tuple[str, str], names: tuple[str, str]) -> None:
    assert tuple(plain_names(domains).values()) == names
    assert paired([1], [2], way=domains, domains=domains) == {f"{names[0]}-1": 1, f"{names[0]}-1-to-{names[1]}": 2}


def test_extremes_are_the_nearest_and_the_farthest_from_the_real() -> None:
    """One of the reds stayed red: it must be the worst."""
    fakes, reals = Colours()(pictures(BLUE, 12, seed=4)), Colours()(pictures(BLUE, 40, seed=5))
    fakes[7] = Colours()(pictures(RED, 1, seed=6))[0]
    assert int(witness(fakes, reals).argmax()) == 7
    # the witness is what the distance is made of: its mean, with the reals' own kernel, is the distance
    constant = (reals @ reals.T / 12 + 1) ** 3
    inner = (constant.sum() - constant.trace()) / (40 * 39)
    across = ((fakes @ reals.T / 12 + 1) ** 3).mean()
    assert float(witness(fakes, reals).mean() + inner - across) == pytest.approx(kid(fakes, reals)[0], rel=1e-9)
