"""A look at the held-back pictures: a sheet for people, figures to choose by, and alarms."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cyclegan.codecs import Pictures
from cyclegan.curation.mixture import Mixture
from cyclegan.files import plain_names
from cyclegan.media.sheet import contact_sheet
from cyclegan.metrics.distances import KernelDistance, diversity, fid, kernel_distance, witness
from cyclegan.metrics.features import Features
from cyclegan.networks.precision import Rounding, rounding
from cyclegan.objectives import Objective
from cyclegan.thresholds import LEAST_CHANGE, LEAST_DIVERSITY, Change

ROWS, EXTREMES = 8, 4  # on the sheets; all pictures are measured
BATCH = 4
EARLY, HALF = 0.25, 0.5  # shares of the training before which collapse, and a large KID, need not be alarming

Measure = dict[str, dict[str, float]]
Frames = NDArray[np.uint8]
A = TypeVar("A")


class Sample(NamedTuple):
    """A sound to listen to: samples (S,) of full scale ±1, how many a second, its recording's name, and a comment."""

    samples: NDArray[np.float64]
    rate: int
    title: str = ""
    comment: str = ""


@dataclass(frozen=True)
class Look:
    """Pixels (H, W, 3) of a sheet and of the worst and best pictures; figures for each domain translated to.

    `kid`, `kid_std`, `fid`: distance of the translated from the real pictures; `cycle`: mean error of coming back
    where there is a way back, `change`: mean difference made, both in levels of 255; `diversity`: a share of the real
    pictures'. `distances` are KID once more, to be compared with others of the same `protocol`. `rounding` is what
    bfloat16 would change in translations, for each network; `mixture` is how the latents lie of a model that pictures
    are drawn from, and `samples` are examples, pictures (H, W, 3) or sounds, by name.
    """

    sheet: Frames
    extremes: Frames | None
    protocol: str
    distances: Mapping[str, KernelDistance]
    measure: Measure
    alarms: tuple[str, ...]
    rounding: Mapping[str, Rounding]
    mixture: Mixture | None = None
    samples: Mapping[str, Frames | Sample] = field(default_factory=dict)

    @property
    def kid(self) -> float:
        """The mean KID over the directions; lower is better."""
        return sum(figures["kid"] for figures in self.measure.values()) / len(self.measure)


@dataclass(frozen=True)
class _Way:
    """One direction: what went in, what came out, uint8 (N, C, H, W); and how bad each is."""

    source: str
    target: str
    pictures: Tensor
    translated: Tensor
    distance: KernelDistance
    figures: dict[str, float]
    badness: Tensor


class Looker:
    """Looks at an objective, always at the same held-back pictures and with the same features.

    `held_back` are the pictures that are translated and `reals` those that they are measured against, uint8
    (N, C, H, W), one tensor a domain.
    """

    def __init__(
        self,
        held_back: Sequence[Tensor],
        reals: Sequence[Tensor],
        *,
        codec: Pictures,
        features: Features,
        domains: Sequence[str],
    ) -> None:
        held_back = [enough(pictures) for pictures in held_back]
        self.held_back, self.codec, self.features, self.domains = held_back, codec, features, domains
        self.protocol = protocol(features.protocol, held_back, reals)
        self.real = [features(enough(pictures)) for pictures in reals]
        self.left_alone = LeftAlone([features(pictures) for pictures in held_back], self.real, domains=domains)

    @property
    def untranslated(self) -> Measure:
        """Figures of the held-back pictures as they are, by the domain that they would be translated to."""
        return self.left_alone.figures

    def look(self, objective: Objective, *, progress: float, earlier: Sequence[Measure] = ()) -> Look:
        """Translate the held-back pictures with the objective as it is now, without gradients and dropout.

        `earlier` are the figures of the looks before.
        """
        shown = min(ROWS, *map(len, self.held_back))
        objective.eval()
        with torch.no_grad():
            ways = [self._go(objective, x, y, objective.routes) for x, y in objective.routes]
            examples = [self.codec.encode(pictures[:shown]) for pictures in self.held_back]
            rows = objective.preview(*examples)
            ways_there = objective.routes.items()
            lost = {name: rounding(objective.get_submodule(name), examples[x]) for (x, _), name in ways_there}
        objective.train()
        columns = {_caption(n, self.domains): frames(self.codec.decode(p)) for n, p in rows.items()}
        measure = {way.target: way.figures for way in ways}
        apart = {way.target: way.distance for way in ways}
        gaps = self.left_alone.gaps(apart)
        alarms = alarming(measure, gaps, least=LEAST_CHANGE["pictures"], earlier=earlier, progress=progress)
        sheet, extremes, samples = contact_sheet(columns), _extremes(ways), self._samples(ways)
        return Look(sheet, extremes, self.protocol, apart, measure, alarms, lost, samples=samples)

    def _samples(self, ways: Sequence[_Way]) -> dict[str, Frames]:
        """Return each direction's best pictures before and after, the best first."""
        found: dict[str, Frames] = {}
        for way in ways:
            best = way.badness.argsort()[:EXTREMES]
            before, after = frames(way.pictures[best]), frames(way.translated[best])
            found |= paired(before, after, way=(way.source, way.target), domains=self.domains)
        return found

    def compare(self, objective: Objective) -> Measure:
        """Return the figures of the networks that an objective is compared with: none for most."""
        objective.eval()
        with torch.no_grad():
            ways = [self._go(objective, x, y, objective.compared) for x, y in objective.compared]
        objective.train()
        return {way.target: way.figures for way in ways}

    def _go(self, objective: Objective, x: int, y: int, routes: Mapping[tuple[int, int], str]) -> _Way:
        """Translate one domain, and back where there is a way, and measure it."""
        pictures = self.held_back[x]
        translated = self._through(objective.get_submodule(routes[x, y]), pictures)
        fakes = self.features(translated)
        distance = kernel_distance(fakes, self.real[y])
        figures = {
            **distances(distance, fakes, self.real[y]),
            "change": levels(translated, pictures),
            "diversity": diversity(fakes, self.real[y]),
        }
        if (y, x) in routes:
            returned = self._through(objective.get_submodule(routes[y, x]), translated)
            figures["cycle"] = levels(returned, pictures)
        badness = witness(fakes, self.real[y])
        return _Way(self.domains[x], self.domains[y], pictures, translated, distance, figures, badness)

    def _through(self, network: nn.Module, pictures: Tensor) -> Tensor:
        return torch.cat([self.codec.decode(network(self.codec.encode(b))) for b in torch.split(pictures, BATCH)])


class LeftAlone:
    """Held-back files as they are, before any translation: how far the domains are apart.

    `features` are those of the held-back files, beside `real` ones, (N, d) a domain.
    """

    def __init__(self, features: Sequence[Tensor], real: Sequence[Tensor], *, domains: Sequence[str]) -> None:
        pairs = {domains[1 - i]: (features[i], real[1 - i]) for i in range(2)}
        self.distances = {to: kernel_distance(*pair) for to, pair in pairs.items()}
        self.figures = {to: distances(self.distances[to], *pair) for to, pair in pairs.items()}

    def gaps(self, translated: Mapping[str, KernelDistance]) -> dict[str, KernelDistance]:
        """Return how much further translations are from the real files than the same files left alone."""
        return {to: distance - self.distances[to] for to, distance in translated.items()}


def alarming(
    measure: Measure,
    gaps: Mapping[str, KernelDistance],
    *,
    least: Change,
    earlier: Sequence[Measure],
    progress: float,
) -> tuple[str, ...]:
    """Return what a person should know before waiting any longer.

    `gaps` say how much further translations are from the real pictures than these are left alone, `least` is the
    modality's, and `earlier` are the figures of the looks before.
    """
    found = []
    for domain, figures in measure.items():
        if progress >= EARLY and figures["diversity"] < LEAST_DIVERSITY:
            found.append(f"to {domain}: collapsed, the translations look alike")
        if figures["change"] < least.least:
            if progress >= EARLY:
                found.append(f"to {domain}: next to nothing is changed, less than {least}")
        elif gaps[domain].value > gaps[domain].error:
            before = [figures[domain]["kid"] for figures in earlier if domain in figures]
            found += further(domain, figures["kid"], before=before, progress=progress)
    return tuple(found)


def further(domain: str, kid: float, *, before: Sequence[float], progress: float) -> list[str]:
    """Return an alarm for a KID that is higher than that of pictures left alone.

    Translators paint something strange at first, so that KID falls from far above, not without a step back: until half
    of the training only two steps in a row, each higher than at every look before, are alarming.
    """
    if progress < HALF and not (len(before) > 1 and kid > before[-1] > max(before[:-1])):
        return []
    trend = (", and getting further" if kid > before[-1] else ", but getting nearer") if before else ""
    return [f"to {domain}: further from real {domain} than before translating{trend}"]


def enough(pictures: Tensor) -> Tensor:
    """Return pictures, those of a folder of one or two more than once: distances need three."""
    return pictures[torch.arange(max(3, len(pictures))) % len(pictures)]


def protocol(features: str, held_back: Sequence[Tensor], reals: Sequence[Tensor]) -> str:
    """Say in one line what figures depend on: features, sizes, counts and a hash of all that is measured.

    Figures can be compared where it is the same. `features` is the protocol of the features.
    """
    total = hashlib.sha256()
    for tensor in (*held_back, *reals):
        total.update(f"{tuple(tensor.shape)}".encode() + tensor.cpu().contiguous().numpy().tobytes())
    counts, others = (" and ".join(f"{len(tensor)}" for tensor in tensors) for tensors in (held_back, reals))
    size = " × ".join(map(str, held_back[0].shape[2:]))
    return f"{features}; {counts} of {size} against {others}, SHA-256 {total.hexdigest()[:12]}"


def distances(distance: KernelDistance, features: Tensor, real: Tensor) -> dict[str, float]:
    """Return KID, its standard error and FID of features from those of real pictures."""
    return {"kid": distance.value, "kid_std": distance.error, "fid": fid(features, real)}


def levels(one: Tensor, other: Tensor) -> float:
    """Return the mean difference of two tensors of pictures, in levels of 255."""
    return (one.float() - other.float()).abs().mean().item()


def paired(before: Sequence[A], after: Sequence[A], *, way: tuple[str, str], domains: Sequence[str]) -> dict[str, A]:
    """Name examples of one direction: photos-1 and photos-1-to-paintings, and so on."""
    source, target = (plain_names(domains)[name] for name in way)
    found = {f"{source}-{number}": one for number, one in enumerate(before, start=1)}
    return found | {f"{source}-{number}-to-{target}": one for number, one in enumerate(after, start=1)}


def _extremes(ways: Sequence[_Way]) -> Frames:
    """Draw the best and the worst pictures of each direction, beside what they were made of."""
    columns = {}
    for way in ways:
        order = way.badness.argsort()
        for word, chosen in (("best", order[:EXTREMES]), ("worst", order.flip(0)[:EXTREMES])):
            columns[f"{way.source}, {word}"] = frames(way.pictures[chosen])
            columns[f"to {way.target}, {word}"] = frames(way.translated[chosen])
    return contact_sheet(columns)


def _caption(name: str, domains: Sequence[str]) -> str:
    what, _, letter = name.rpartition("_")
    here, there = domains if letter == "x" else reversed(domains)
    words = {"real": here, "translated": f"to {there}", "cycled": f"{here} again", "identity": f"kept {here}"}
    return (words | {"taught": f"teacher's {there}"})[what]


def frames(pictures: Tensor) -> list[Frames]:
    """Return uint8 (N, C, H, W) as a list of (H, W, C)."""
    return list(pictures.permute(0, 2, 3, 1).cpu().numpy())
