"""Recordings as pictures, so that folders of them are looked into as folders of pictures are.

A portrait has two sides. Its colours show how a recording sounds, whatever is said: of every band of the spectrum, and
of every pitch, how loud it is in its softest moments, up to its loudest. What is said is in the fourth channel: a
spectrogram, in which two recordings of the same words differ, and copies do not.
"""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cyclegan import __version__
from cyclegan.codecs.world import resample
from cyclegan.media.kinds import HEARD_SUFFIXES
from cyclegan.media.sounds.excerpt import excerpt
from cyclegan.media.sounds.reader import open_sound
from cyclegan.media.spectrogram import mel_levels
from cyclegan.training.augment import Geometry

Samples = NDArray[np.float64]
Pixels = NDArray[np.uint8]

SIDE = 64  # pixels of a portrait
SECONDS = 10.0  # of a recording that are looked at, from where it begins to be heard
RATE, LOW_RATE = 16_000, 8_000  # samples a second for the spectrum, and for pitch
ACTIVE = 40.0  # decibels below the loudest moment, in which speech lies
RANGE, ABOVE = 60.0, 10.0  # decibels from black to white; white is so far above the mean moment
PITCHES = 60.0, 480.0  # Hz
COURSE_TOP, COURSE_RANGE = 2_000.0, 40.0  # Hz and decibels in which a copy as mp3, or at half the rate, is the same
STEP, PITCH_WINDOW, COURSE_WINDOW = 0.01, 0.064, 0.04  # seconds
TILES, QUANTILES = 4, SIDE // 4  # tiles of the colours' side in a row; columns of a tile


class Portraits(Geometry):
    """Shows recordings as uint8 (64, 64, 4): colours that tell voices apart, and a channel that tells copies."""

    suffixes = HEARD_SUFFIXES

    def made_of(self) -> list[Any]:
        """Return what portraits depend on besides the file's content."""
        return ["portrait", __version__, *(version(name) for name in ("numpy", "av"))]

    def read(self, path: Path) -> Pixels:
        """Read the beginning of a recording, and paint it; raises InputError, also where nothing is to be heard."""
        heard, rate = excerpt(path, seconds=SECONDS)
        samples = resample(heard, rate=rate, to=RATE)
        return np.dstack([manner(samples), course(samples)])

    def facts(self, path: Path, pixels: Pixels) -> dict[str, Any]:
        """Return how long a recording is, in seconds, and at which rate it was recorded."""
        with open_sound(path) as sound:
            seconds = sound.seconds or sum(map(len, sound)) / sound.rate
            return {"height": SIDE, "width": SIDE, "seconds": round(seconds, 3), "rate": sound.rate}


def manner(samples: Samples) -> Pixels:
    """Paint how samples (S,) at 16 kHz sound, uint8 (64, 64, 3): red and green the spectrum, blue the pitch.

    Each of 16 tiles holds four neighbours of 64 bands, or of 64 pitches; within it moments are sorted, soft ones first.
    """
    columns = max(QUANTILES, round(len(samples) / RATE / STEP))
    levels = mel_levels(samples, rate=RATE, height=SIDE, width=columns)
    power = (10 ** (levels / 10)).sum(0)
    active = 10 * np.log10(power) > 10 * np.log10(power.max()) - ACTIVE
    levels = levels[:, active] - 10 * np.log10(power[active].mean())
    spectrum = _tiled((levels + ABOVE) / RANGE + 1)
    return np.dstack([spectrum, spectrum, _tiled(_pitched(samples))])


def _tiled(rows: Samples) -> Pixels:
    """Lay out rows (64, T) of values in 0 to 1, each of them sorted, as 4 by 4 tiles of four rows."""
    ranked = np.quantile(rows, np.linspace(0.02, 0.98, QUANTILES), axis=1).T
    tiles = ranked.reshape(TILES, TILES, SIDE // TILES**2, QUANTILES).repeat(TILES, axis=2)
    return _shaded(tiles.transpose(0, 2, 1, 3).reshape(SIDE, SIDE))


def _pitched(samples: Samples) -> Samples:
    """Return how periodic each moment is, 0 to 1, at 64 pitches from high to low: the autocorrelation (64, T)."""
    low = resample(samples, rate=RATE, to=LOW_RATE)
    window = np.hanning(round(PITCH_WINDOW * LOW_RATE))
    size = len(window)
    power = np.abs(np.fft.rfft(_moments(low, size, STEP) * window, 2 * size, axis=1)) ** 2
    energy = power.sum(1)
    found = np.fft.irfft(power[energy > energy.max() * 10 ** (-ACTIVE / 10)], axis=1)[:, :size]
    usual = np.fft.irfft(np.abs(np.fft.rfft(window, 2 * size)) ** 2)[:size]
    found = found / found[:, :1] / np.maximum(usual / usual[0], 0.05)  # what the window takes from long periods
    periods = LOW_RATE / np.geomspace(*PITCHES[::-1], SIDE)
    whole = periods.astype(int)
    share = periods - whole
    return np.asarray((found[:, whole] * (1 - share) + found[:, whole + 1] * share).T)


def course(samples: Samples) -> Pixels:
    """Paint samples (S,) at 16 kHz as they go by, uint8 (64, 64): the spectrum up to 2 kHz, 40 dB of it."""
    low = resample(samples, rate=RATE, to=LOW_RATE)
    size = round(COURSE_WINDOW * LOW_RATE)
    power = np.abs(np.fft.rfft(_moments(low, size, STEP) * np.hanning(size), axis=1)) ** 2
    bands = _shared_out(power[:, 1 : 1 + round(COURSE_TOP * COURSE_WINDOW)].T)
    cells = _shared_out(bands.T).T[::-1]
    return _shaded(10 * np.log10(np.maximum(cells, 1e-12) / max(cells.max(), 1e-9)) / COURSE_RANGE + 1)


def _moments(samples: Samples, size: int, step: float) -> Samples:
    """Return views of so many samples (T, size), one about every `step` seconds at the low rate."""
    padded = np.pad(samples, size // 2)
    count = max(QUANTILES, round(len(samples) / LOW_RATE / step))
    starts = np.linspace(0, len(padded) - size, count).astype(int)
    return padded[starts[:, None] + np.arange(size)]


def _shared_out(rows: Samples) -> Samples:
    """Return the means of rows (n, m) over 64 equal parts of n: (64, m)."""
    sums = np.vstack([np.zeros((1, rows.shape[1])), rows.cumsum(0)])
    edges = np.linspace(0, len(rows), SIDE + 1)
    below = np.minimum(edges.astype(int), len(rows) - 1)
    share = (edges - below)[:, None]
    at = sums[below] * (1 - share) + sums[below + 1] * share
    return np.asarray(np.diff(at, axis=0) * SIDE / len(rows))


def _shaded(values: Samples) -> Pixels:
    return np.asarray((255 * values.clip(0, 1)).round(), dtype=np.uint8)
