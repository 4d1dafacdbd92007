"""Voices: the envelope of speech on one side, tensors around 0 on the other.

Every speaker is centred by a mean of its own, and all are scaled alike. What passes through unchanged therefore comes
out with the target's mean: a network that does nothing is the mean shift between two speakers, which can be understood.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cyclegan.codecs import cepstrum
from cyclegan.codecs.cepstrum import DECIBELS
from cyclegan.codecs.world import Speech, analyse, synthesise

Array = NDArray[np.float64]
Frames = NDArray[np.float32]

ACTIVE = 40 / DECIBELS  # nepers below its loudest frames, in which speech lies; what is softer is a pause
BINS = 257  # of a spectrum whose power is added up
NARROW = 0.01  # the least deviation, so that nothing is divided by nothing


@dataclass(frozen=True)
class Speaker:
    """What is known of one speaker: the mean envelope (coefficients,), the mean and the deviation of ln pitch.

    `spread` (coefficients,) is the scale of all speakers.
    """

    mean: tuple[float, ...]
    pitch: tuple[float, float]
    spread: tuple[float, ...]

    def encode(self, frames: Tensor) -> Tensor:
        """Turn speech as `features` has it, (N, 1, coefficients + 1, T), into numbers around 0 without the pitch."""
        mean, spread = self._columns(frames)
        return (frames[:, :, : len(self.mean)].float() - mean) / spread

    def decode(self, tensors: Tensor) -> Tensor:
        """Turn numbers around 0 into mel-cepstra of this speaker, (N, 1, coefficients, T)."""
        mean, spread = self._columns(tensors)
        return tensors.float() * spread + mean

    def _columns(self, like: Tensor) -> tuple[Tensor, Tensor]:
        mean, spread = (torch.tensor(values, device=like.device)[:, None] for values in (self.mean, self.spread))
        return mean, spread


@dataclass(frozen=True)
class Voice:
    """Speech at `rate` samples a second, a frame every `period` milliseconds, and what is known of its speakers."""

    rate: int
    coefficients: int
    period: float
    speakers: Mapping[str, Speaker]
    channels: int = 1

    @classmethod
    def learn(cls, folders: Mapping[str, Iterable[Frames]], *, rate: int, coefficients: int, period: float) -> "Voice":
        """Get to know speakers by their recordings' `features`, (coefficients + 1, T) each."""
        known = {name: _Known(coefficients) for name in folders}
        for name, recordings in folders.items():
            for recording in recordings:
                known[name].hear(recording)
        spread = np.sqrt(np.mean([speaker.variance for speaker in known.values()], axis=0))
        scale = tuple(np.maximum(spread, NARROW).round(6).tolist())
        speakers = {name: speaker.told(scale) for name, speaker in known.items()}
        return cls(rate, coefficients, period, speakers)

    @classmethod
    def read(cls, *, rate: int, coefficients: int, period: float, spread: Sequence[float], speakers: Any) -> "Voice":
        """Build the codec from what `spec` said; raises ValueError and the like for anything else."""
        scale = _numbers(spread, coefficients)
        known = {
            str(name): Speaker(_numbers(s["mean"], coefficients), _pair(s["pitch"]), scale)
            for name, s in speakers.items()
        }
        deviations = [*scale, *(speaker.pitch[1] for speaker in known.values())]
        if not (known and 16_000 <= rate <= 48_000 and 1 <= period <= 20 and min(deviations) > 0):
            raise ValueError("impossible")
        return cls(int(rate), int(coefficients), float(period), known)

    def of(self, domain: str) -> Speaker:
        """Return what is known of one speaker."""
        return self.speakers[domain]

    def spec(self) -> dict[str, Any]:
        """Return what a saved file says of the codec."""
        speakers = {n: {"mean": list(s.mean), "pitch": list(s.pitch)} for n, s in self.speakers.items()}
        table = {"name": "voice", "rate": self.rate, "coefficients": self.coefficients, "period": self.period}
        return table | {"spread": list(next(iter(self.speakers.values())).spread), "speakers": speakers}

    def analyse(self, samples: Array) -> Speech:
        """Take samples (S,) at this codec's rate apart."""
        return analyse(samples, rate=self.rate, period=self.period, coefficients=self.coefficients)

    def synthesise(self, speech: Speech, *, count: int) -> Array:
        """Put speech together again as `count` samples at this codec's rate."""
        return synthesise(speech, rate=self.rate, period=self.period, count=count)

    def moved(self, pitch: Array, *, source: str, target: str) -> Array:
        """Return a pitch (T,) in Hz as the target's: f' = exp((ln f - μ_x) σ_y / σ_x + μ_y) where it is voiced."""
        (mean_x, deviation_x), (mean_y, deviation_y) = self.of(source).pitch, self.of(target).pitch
        with np.errstate(divide="ignore"):
            moved = np.exp((np.log(pitch) - mean_x) * deviation_y / deviation_x + mean_y)
        return np.where(pitch > 0, moved, 0.0)

    def converted(self, speech: Speech, network: nn.Module, *, source: str, target: str, device: str = "cpu") -> Speech:
        """Return speech of the source as the target would say it: envelope by the network, pitch moved, breath kept."""
        frames = torch.from_numpy(features(speech))[None, None].to(device)
        tensors = fitted(self.of(source).encode(frames), network)
        made = self.of(target).decode(network(tensors))[0, 0, :, : len(speech.pitch)]
        envelope = as_loud(made.T.double().cpu().numpy(), like=speech.envelope, rate=self.rate)
        pitch = self.moved(speech.pitch, source=source, target=target)
        return replace(speech, envelope=envelope, pitch=pitch)


def as_loud(envelope: Array, *, like: Array, rate: int) -> Array:
    """Return an envelope (T, coefficients) with the power of another in every frame: loudness and pauses stay."""
    power, wanted = (cepstrum.decode(one, rate=rate, bins=BINS).sum(1) for one in (envelope, like))
    gain = np.zeros_like(envelope)
    gain[:, 0] = np.log(wanted / power) / 2
    return envelope + gain


def fitted(tensors: Tensor, network: nn.Module) -> Tensor:
    """Return signals (N, 1, C, T) with as many frames as a network takes: what is missing is played to and fro."""
    count, multiple = tensors.shape[-1], int(getattr(network, "multiple", 1))
    wanted = max(int(getattr(network, "smallest", 1)), -(-count // multiple) * multiple)
    while tensors.shape[-1] < wanted:
        missing = min(wanted - tensors.shape[-1], tensors.shape[-1])
        tensors = torch.cat([tensors, tensors.flip(-1)[..., :missing]], dim=-1)
    return tensors


def spoken(loudness: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell in which frames somebody speaks, by c₀ in nepers (T,): in those up to 40 dB below the loudest."""
    return np.asarray(loudness > np.quantile(loudness, 0.95) - ACTIVE)


def features(speech: Speech) -> Frames:
    """Return what is learnt from, (coefficients + 1, T): the envelope, and below it the pitch, 0 where unvoiced."""
    return np.vstack([speech.envelope.T, speech.pitch]).astype(np.float32)


class _Known:
    """Adds up what is heard of one speaker; pauses do not count, or the mean would tell how long they are."""

    def __init__(self, coefficients: int) -> None:
        self.count, self.sum, self.squares = 0, np.zeros(coefficients), np.zeros(coefficients)
        self.log_pitch = list[Array]()

    def hear(self, recording: Frames) -> None:
        envelope, pitch = recording[:-1].astype(np.float64), recording[-1].astype(np.float64)
        heard = envelope[:, spoken(envelope[0])]
        self.count += heard.shape[1]
        self.sum += heard.sum(1)
        self.squares += (heard**2).sum(1)
        self.log_pitch.append(np.log(pitch[pitch > 0]))

    @property
    def variance(self) -> Array:
        return np.asarray(self.squares / self.count - (self.sum / self.count) ** 2)

    def told(self, spread: tuple[float, ...]) -> Speaker:
        pitch = np.concatenate(self.log_pitch)
        found = (pitch.mean(), max(pitch.std(), NARROW)) if len(pitch) else (math.log(150.0), 0.2)  # only whispers
        mean = tuple((self.sum / self.count).round(6).tolist())
        return Speaker(mean, (round(float(found[0]), 6), round(float(found[1]), 6)), spread)


def _pair(values: Sequence[float]) -> tuple[float, float]:
    first, second = _numbers(values, 2)
    return first, second


def _numbers(values: Sequence[float], count: int) -> tuple[float, ...]:
    found = tuple(map(float, values))
    if len(found) != count or not all(map(math.isfinite, found)):
        raise ValueError("not so many numbers")
    return found
