"""Speech taken apart and put together again: pitch, spectral envelope, breath (WORLD, Morise et al. 2016).

Three functions, behind which a neural vocoder could stand as well: `analyse`, `synthesise`, `resample`.
"""

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cyclegan.codecs import cepstrum
from cyclegan.errors import UsageError

Array = NDArray[np.float64]

LOWEST, HIGHEST = 60.0, 800.0  # Hz of a voice's pitch
LENIENCE = 0.2  # of DIO: at its 0.1 a tenth more frames lose their voice (tools/NOTES.md)
FLOOR = 1e-10  # power of a spectrum's bin: digital silence has none, and no logarithm


@dataclass(frozen=True)
class Speech:
    """T frames: `pitch` (T,) in Hz, 0 where nothing vibrates; mel-cepstra `envelope` (T, coefficients) in nepers;
    `breath` (T, bins), the share of noise in every band, 0 to 1."""

    pitch: Array
    envelope: Array
    breath: Array


def analyse(samples: Array, *, rate: int, period: float, coefficients: int) -> Speech:
    """Take samples (S,) apart, a frame every `period` milliseconds: S · 1000 / (rate · period), rounded down, and one.

    Raises UsageError where pyworld is not installed.
    """
    world = _party("pyworld")
    samples = np.ascontiguousarray(samples, dtype=np.float64)
    how: dict[str, Any] = {"f0_floor": LOWEST, "f0_ceil": HIGHEST, "frame_period": period}
    coarse, times = world.dio(samples, rate, allowed_range=LENIENCE, **how)
    pitch = world.stonemask(samples, coarse, times, rate)
    power = np.maximum(world.cheaptrick(samples, pitch, times, rate), FLOOR)
    breath = world.d4c(samples, pitch, times, rate)
    return Speech(pitch, cepstrum.encode(power, rate=rate, coefficients=coefficients), breath)


def synthesise(speech: Speech, *, rate: int, period: float, count: int) -> Array:
    """Put speech together again as `count` samples (count,)."""
    power = cepstrum.decode(speech.envelope, rate=rate, bins=speech.breath.shape[1])
    made = _party("pyworld").synthesize(speech.pitch, np.ascontiguousarray(power), speech.breath, rate, period)
    return np.asarray(np.pad(made[:count], (0, max(0, count - len(made)))))


def resample(samples: Array, *, rate: int, to: int) -> Array:
    """Return samples (S, ...) of one rate at another, ⌈S · to / rate⌉ of them; linear phase, without delay."""
    if rate == to:
        return samples
    common = gcd(rate, to)
    return np.asarray(_party("scipy.signal").resample_poly(samples, to // common, rate // common, axis=0))


def made_by() -> list[str]:
    """Return the versions of what takes speech apart; raises UsageError where it is not installed."""
    return [str(_party(name).__version__) for name in ("pyworld", "scipy")]


@cache
def _party(name: str) -> Any:
    """Import what only voices need."""
    try:
        return import_module(name)
    except ImportError:
        what = f"voices need the package {name.split('.')[0]}, which is not installed"
        raise UsageError(what, hint="pip install 'styl[voice]'") from None
