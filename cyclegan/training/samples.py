"""A look at what a model of one folder draws: samples, what they are nearest to, and figures to choose by."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as nnf

from cyclegan.codecs import Pictures
from cyclegan.curation.neighbours import nearest
from cyclegan.curation.source import Source
from cyclegan.files import plain
from cyclegan.media.sheet import contact_sheet
from cyclegan.metrics.distances import diversity, kernel_distance, witness
from cyclegan.metrics.features import Features
from cyclegan.networks import Autoencoder
from cyclegan.objectives import Objective
from cyclegan.thresholds import LEAST_DIVERSITY, MOST_COPIES
from cyclegan.training.look import (
    EARLY,
    EXTREMES,
    ROWS,
    Look,
    Measure,
    distances,
    enough,
    frames,
    levels,
    protocol,
)

DRAWN = 256  # samples that are measured
BATCH = 64
SIDE = 32  # pixels at which samples are compared with the folder's pictures
COPY = 0.5  # share of the usual distance between neighbours in the folder, below which a sample is a copy
CAPTIONS = {"decoded_x": "decoded"}


@dataclass(frozen=True)
class _Draw:
    """Samples uint8 (N, C, H, W), the folder's picture nearest to each, and which are as good as copies."""

    pictures: Tensor
    closest: Tensor
    copies: Tensor


class SampleLooker:
    """Looks at what an objective draws, always from the same noise and beside the same pictures.

    `held_back` are pictures that were not learnt, `known` many that samples are compared with, uint8 (N, C, H, W).
    """

    def __init__(self, held_back: Tensor, known: Tensor, *, codec: Pictures, features: Features, domain: str) -> None:
        self.held_back, self.known, self.domain = enough(held_back), enough(known), domain
        self.codec, self.features = codec, features
        self.protocol = protocol(features.protocol, [self.held_back], [self.known])
        self.real = features(self.known[:DRAWN])
        self.small = _small(self.known)
        self.usual = nearest(self.small, 1)[0].median()

    def look(self, objective: Objective, *, progress: float, earlier: Sequence[Measure] = ()) -> Look:
        """Draw with the objective as it is now, without gradients; `earlier` are the figures of the looks before."""
        objective.eval()
        network = objective.get_submodule(objective.averaged[0])
        with torch.no_grad():
            source = Source.fitted(network, map(self.codec.encode, torch.split(self.known, BATCH)))
            draw = self._draw(source)
            rows = objective.preview(self.codec.encode(self.held_back[:ROWS]))
            drawn = self.features(draw.pictures)
            distance = kernel_distance(drawn, self.real)
            figures = distances(distance, drawn, self.real)
            figures["diversity"] = diversity(drawn, self.real)
            figures["copies"] = draw.copies.float().mean().item()
            if isinstance(network, Autoencoder):
                figures["error"] = self._error(network)
        objective.train()
        before = [each[self.domain]["kid"] for each in earlier if self.domain in each]
        alarms = alarming(self.domain, figures, before=before) if progress >= EARLY else ()
        shown = {CAPTIONS.get(name, self.domain): frames(self.codec.decode(row)) for name, row in rows.items()}
        order = witness(drawn, self.real).argsort()
        sheet, extremes, best = contact_sheet(shown | _pairs(draw)), _extremes(draw, order), self._best(draw, order)
        apart, measure, mixture = {self.domain: distance}, {self.domain: figures}, source.mixture
        return Look(sheet, extremes, self.protocol, apart, measure, alarms, {}, mixture=mixture, samples=best)

    def _best(self, draw: _Draw, order: Tensor) -> dict[str, NDArray[np.uint8]]:
        """Return the samples most like the folder, the best first."""
        best = frames(draw.pictures[order[:ROWS]])
        return {f"{plain(self.domain)}-{number}": sample for number, sample in enumerate(best, start=1)}

    def _error(self, network: Autoencoder) -> float:
        """Return what held-back pictures lose on their way through the latents, in levels of 255."""
        batches = torch.split(self.held_back, BATCH)
        decoded = torch.cat([self.codec.decode(network(self.codec.encode(batch))) for batch in batches])
        return levels(decoded, self.held_back)

    def _draw(self, source: Source) -> _Draw:
        latents = source.latents(DRAWN, generator=torch.Generator().manual_seed(0))
        pictures = self.codec.decode(source.pictures(latents))
        apart, where = nearest(_small(pictures), 1, among=self.small)
        return _Draw(pictures, self.known[where[:, 0]], apart[:, 0] < COPY * self.usual)


def alarming(domain: str, figures: dict[str, float], *, before: Sequence[float]) -> tuple[str, ...]:
    """Return what a person should know before waiting any longer; `before` is KID at the looks before."""
    found = []
    if figures["diversity"] < LEAST_DIVERSITY:
        found.append(f"{domain}: collapsed, the samples look alike")
    if figures["copies"] > MOST_COPIES:
        found.append(f"{domain}: {figures['copies']:.0%} of the samples are near-copies of pictures in the folder")
    if before and figures["kid"] > max(before):
        found.append(f"{domain}: samples are further from real {domain} than at every look before")
    return tuple(found)


def _small(pictures: Tensor) -> Tensor:
    """Return pictures as rows of so few pixels that only what is plainly seen is compared."""
    return nnf.interpolate(pictures.float(), size=(SIDE, SIDE), mode="area").flatten(1)


def _pairs(draw: _Draw) -> dict[str, list[NDArray[np.uint8]]]:
    """Lay samples out beside the folder's pictures that are nearest to them, in three double columns."""
    columns = {}
    for i in range(0, 3 * ROWS, ROWS):
        marks = " " * (i // ROWS)  # captions are keys
        columns[f"drawn{marks}"] = frames(draw.pictures[i : i + ROWS])
        columns[f"nearest in folder{marks}"] = frames(draw.closest[i : i + ROWS])
    return columns


def _extremes(draw: _Draw, order: Tensor) -> NDArray[np.uint8]:
    """Draw the samples most and least like the folder, each beside the picture that is nearest to it."""
    columns = {}
    for word, chosen in (("best", order[:EXTREMES]), ("worst", order.flip(0)[:EXTREMES])):
        columns[f"drawn, {word}"] = frames(draw.pictures[chosen])
        columns[f"nearest, {word}"] = frames(draw.closest[chosen])
    return contact_sheet(columns)
