"""A training of voices listened to: spectrograms and sounds for people, figures to choose by, and alarms."""

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cyclegan.codecs import Voice
from cyclegan.codecs.cepstrum import DECIBELS
from cyclegan.codecs.world import Speech
from cyclegan.errors import InputError, shown
from cyclegan.media.sheet import contact_sheet
from cyclegan.media.sounds.wav import CONVERTED
from cyclegan.media.spectrogram import spectrogram
from cyclegan.metrics.distances import KernelDistance, diversity, kernel_distance
from cyclegan.metrics.speech import ORDERS, modulation_distance
from cyclegan.objectives import Objective
from cyclegan.thresholds import LEAST_CHANGE
from cyclegan.training.data import Batches, Domain
from cyclegan.training.look import LeftAlone, Look, Measure, Sample, alarming, distances, enough, paired, protocol
from cyclegan.training.recordings import Recordings

SHOWN = 4.0  # seconds of a recording on the sheets, and in the samples
MOST, BATCH = 256, 32  # pieces of each domain that are measured, and of them at once
ROWS = 4  # recordings of each domain that are listened to
CELL = (96, 320)  # pixels of a spectrogram on the sheets

Samples = NDArray[np.float64]


@dataclass(frozen=True)
class Heard:
    """The beginning of a recording: (S,) samples at the codec's rate, the same taken apart, and the file's name."""

    samples: Samples
    speech: Speech
    name: str = ""


@dataclass(frozen=True)
class _Way:
    """One direction: what came out of recordings, and again on the way back; figures of held-back pieces."""

    source: str
    target: str
    there: list[Samples]
    back: list[Samples]
    distance: KernelDistance
    figures: dict[str, float]


class Manner:
    """Features of voices: how a piece is spoken."""

    name, protocol = "manner", "manner: mean, deviation and pace of the coefficients of a piece"

    def __call__(self, pieces: Tensor) -> Tensor:
        """Return mean, deviation and pace of coefficients, (N, 3 C), of pieces (N, 1, C, T) as networks see them."""
        signals = pieces[:, 0].double()
        pace = signals.diff(dim=-1).abs().mean(-1)
        return torch.cat([signals.mean(-1), signals.std(-1), pace], dim=1)


def pieces_of(batches: Batches, domain: int, paths: Sequence[Path], recordings: Recordings) -> Tensor:
    """Return at most MOST pieces of the first MOST recordings, (N, 1, coefficients + 1, T), on the device.

    They are evenly spaced in all that these recordings hold: a random sample, where `paths` are in a random order.
    """
    found = [piece for array in batches.arrays(domain, paths[:MOST]) for piece in recordings.pieces(array)]
    if not found:
        raise _lost(paths)
    spaced = torch.linspace(0, len(found) - 1, min(len(found), MOST), dtype=torch.float64).round().long()
    return torch.stack([found[place] for place in spaced]).to(batches.device)


def heard_of(domain: Domain, recordings: Recordings) -> list[Heard]:
    """Return recordings that can be read, held-back ones before others; raises InputError without one."""
    every = dict.fromkeys([*domain.held_back, *domain.shuffled])
    found = list(itertools.islice(_readable(every, recordings), ROWS))
    if not found:
        raise _lost(domain.train)
    return found


def _lost(paths: Sequence[Path]) -> InputError:
    return InputError(f"{shown(paths[0].parent)}: none of its recordings can be read any more", hint="check the disk")


def _readable(paths: Iterable[Path], recordings: Recordings) -> Iterator[Heard]:
    for path in paths:
        with contextlib.suppress(InputError):
            yield Heard(*recordings.heard(path, seconds=SHOWN), name=shown(path.name))


class Listener:
    """Listens to an objective, always to the same held-back speech.

    `held_back` are pieces that are converted and `reals` those that they are measured against, as
    `cyclegan.codecs.voice.features` has them, (N, 1, coefficients + 1, T), one tensor a domain; `heard` are the
    recordings that people listen to.
    """

    features = Manner()

    def __init__(
        self,
        held_back: Sequence[Tensor],
        reals: Sequence[Tensor],
        heard: Sequence[Sequence[Heard]],
        *,
        codec: Voice,
        domains: Sequence[str],
        device: str = "cpu",
    ) -> None:
        self.codec, self.domains, self.heard, self.device = codec, tuple(domains), heard, device
        self.held_back = [enough(pieces) for pieces in held_back]
        self.reals = [codec.of(name).encode(enough(p)) for name, p in zip(domains, reals, strict=True)]
        self.protocol = protocol(self.features.protocol, self.held_back, self.reals)
        self.real = [self.features(pieces) for pieces in self.reals]
        heard_as = [codec.of(domains[1 - i]).encode(self.held_back[i]) for i in range(2)]
        self.left_alone = LeftAlone(list(map(self.features, heard_as)), self.real, domains=domains)

    @property
    def untranslated(self) -> Measure:
        """Figures of the held-back pieces as they are, by the domain that they would be converted to."""
        return self.left_alone.figures

    def look(self, objective: Objective, *, progress: float, earlier: Sequence[Measure] = ()) -> Look:
        """Convert what is held back with the objective as it is now, without gradients.

        `earlier` are the figures of the looks before.
        """
        objective.eval()
        with torch.no_grad():
            ways = [self._go(objective, x, y) for x, y in objective.routes]
        objective.train()
        measure = {way.target: way.figures for way in ways}
        apart = {way.target: way.distance for way in ways}
        gaps = self.left_alone.gaps(apart)
        alarms = alarming(measure, gaps, least=LEAST_CHANGE["voice"], earlier=earlier, progress=progress)
        return Look(self._sheet(ways), None, self.protocol, apart, measure, alarms, {}, samples=self._samples(ways))

    def _go(self, objective: Objective, x: int, y: int) -> _Way:
        source, target = self.domains[x], self.domains[y]
        there, back = (objective.get_submodule(objective.routes[way]) for way in ((x, y), (y, x)))
        envelopes = self.held_back[x][:, :, :-1]  # without the pitch
        pieces = self.codec.of(source).encode(self.held_back[x])
        fakes = _through(there, pieces)
        natural = self.codec.of(target).decode(fakes)
        found = self.features(fakes)
        distance = kernel_distance(found, self.real[y])
        figures = {
            **distances(distance, found, self.real[y]),
            "diversity": diversity(found, self.real[y]),
            "change": apart(natural, envelopes),
            "cycle": apart(self.codec.of(source).decode(_through(back, fakes)), envelopes),
            "modulation": modulation_distance(_rows(fakes), _rows(self.reals[y])),
        }
        converted = [self._convert(there, heard.speech, source, target) for heard in self.heard[x]]
        returned = [self._convert(back, speech, target, source) for speech in converted]
        there_and_back = self._spoken(converted, like=x), self._spoken(returned, like=x)
        return _Way(source, target, *there_and_back, distance, figures)

    def _convert(self, network: nn.Module, speech: Speech, source: str, target: str) -> Speech:
        return self.codec.converted(speech, network, source=source, target=target, device=self.device)

    def _spoken(self, speeches: Sequence[Speech], *, like: int) -> list[Samples]:
        pairs = zip(speeches, self.heard[like], strict=True)
        return [self.codec.synthesise(speech, count=len(heard.samples)) for speech, heard in pairs]

    def _sheet(self, ways: Sequence[_Way]) -> NDArray[np.uint8]:
        columns: dict[str, list[NDArray[np.uint8]]] = {}
        for way in ways:
            heard = self.heard[self.domains.index(way.source)]
            columns[way.source] = [self._paint(one.samples) for one in heard]
            columns[f"to {way.target}"] = list(map(self._paint, way.there))
            columns[f"{way.source} again"] = list(map(self._paint, way.back))
        return contact_sheet(columns)

    def _paint(self, samples: Samples) -> NDArray[np.uint8]:
        longest = max(len(one.samples) for recordings in self.heard for one in recordings)
        whole = np.pad(samples, (0, longest - len(samples)))
        return spectrogram(whole, rate=self.codec.rate, height=CELL[0], width=CELL[1])

    def _samples(self, ways: Sequence[_Way]) -> dict[str, Sample]:
        """Return sounds by name: each recording, and what became of it."""
        found: dict[str, Sample] = {}
        for way in ways:
            heard = self.heard[self.domains.index(way.source)]
            before = [Sample(one.samples, self.codec.rate, one.name) for one in heard]
            after = [
                Sample(there, self.codec.rate, one.name, CONVERTED) for one, there in zip(heard, way.there, strict=True)
            ]
            found |= paired(before, after, way=(way.source, way.target), domains=self.domains)
        return found


def _through(network: nn.Module, pieces: Tensor) -> Tensor:
    return torch.cat([network(some) for some in torch.split(pieces, BATCH)])


def apart(one: Tensor, other: Tensor) -> float:
    """Return the mean mel-cepstral distance in dB of envelopes (N, 1, C, T), frame by frame."""
    assert one.shape == other.shape
    difference = (one[:, 0, ORDERS] - other[:, 0, ORDERS]).square().sum(1).div(2).sqrt().mean()
    return DECIBELS * float(difference)


def _rows(pieces: Tensor) -> list[NDArray[Any]]:
    return [piece[0].T.double().cpu().numpy() for piece in pieces]
