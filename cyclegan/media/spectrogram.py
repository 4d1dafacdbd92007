"""Sounds as pictures: time to the right, pitch upwards as an ear hears it, the louder the brighter."""

import numpy as np
from numpy.typing import NDArray

from cyclegan.media.formats.pixels import Pixels

Samples = NDArray[np.floating]

WINDOW = 0.032  # seconds that one column looks at: harmonics of a voice can be told apart
RANGE = 60.0  # decibels from the brightest to black
INKS = np.array(  # from silence to loud: night, violet, red, orange, straw
    [(8, 8, 24), (58, 24, 92), (156, 42, 96), (232, 112, 60), (252, 212, 120), (255, 250, 226)], dtype=np.float64
)


def spectrogram(samples: Samples, *, rate: int, height: int, width: int) -> Pixels:
    """Paint samples (S,) as uint8 (height, width, 3), from 60 Hz to half the rate on the mel axis.

    The loudest tone is the brightest, and what is 60 dB below it is black; silence is all black.
    """
    levels = mel_levels(samples, rate=rate, height=height, width=width)
    shades = (levels / RANGE + 1).clip(0, 1) * (len(INKS) - 1)
    below = np.minimum(shades.astype(int), len(INKS) - 2)
    share = (shades - below)[..., None]
    return np.asarray((INKS[below] * (1 - share) + INKS[below + 1] * share).round(), dtype=np.uint8)


def mel_levels(samples: Samples, *, rate: int, height: int, width: int) -> NDArray[np.float64]:
    """Return decibels (height, width) below the loudest tone, the highest pitch in the first row."""
    size = max(64, round(WINDOW * rate))
    padded = np.pad(np.asarray(samples, dtype=np.float64), size // 2)
    starts = np.linspace(0, len(padded) - size, width).astype(int)
    columns = padded[starts[:, None] + np.arange(size)] * np.hanning(size)
    bands = np.abs(np.fft.rfft(columns, axis=1)) ** 2 @ _bands(size // 2 + 1, rate, height)
    loudest = bands.max()
    levels = 10 * np.log10(np.maximum(bands, 1e-12) / max(loudest, 1e-3))
    return np.asarray(levels.T[::-1])


def mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return frequencies on the mel axis, as an ear spaces them (O'Shaughnessy 1987)."""
    return np.asarray(2595 * np.log10(1 + hertz / 700))


def _bands(bins: int, rate: int, height: int) -> NDArray[np.float64]:
    """Return overlapping triangles (bins, height), evenly spaced on the mel axis."""
    low, high = mel(np.array([60, rate / 2]))
    edges = 700 * (10 ** (np.linspace(low, high, height + 2) / 2595) - 1)
    hertz = np.linspace(0, rate / 2, bins)[:, None]
    least = rate / 2 / (bins - 1)  # a triangle narrower than a bin would hear nothing
    left, middle, right = edges[:-2], edges[1:-1], edges[2:]
    rising = (hertz - middle) / np.maximum(middle - left, least) + 1
    falling = (middle - hertz) / np.maximum(right - middle, least) + 1
    return np.asarray(np.minimum(rising, falling).clip(0))
