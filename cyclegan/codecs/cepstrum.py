"""Spectral envelopes as mel-cepstra: few numbers that an ear tells apart, and the way back.

    log |H(ω)| = c₀ + Σ_{m=1..M-1} c_m cos(m ω̃),    ω̃ in [0, π] on the mel axis

Two matrices do it. With c in nepers of amplitude, (20 / ln 10) √(½ Σ_{m≥1} Δc_m²) is the root mean square difference of
two envelopes in decibels along the mel axis: the mel-cepstral distortion of the literature.
"""

import functools

import numpy as np
from numpy.typing import NDArray

from cyclegan.media.spectrogram import mel

Array = NDArray[np.float64]

DECIBELS = float(20 / np.log(10))  # in a neper of amplitude


@functools.lru_cache(maxsize=4)
def basis(bins: int, *, rate: int, coefficients: int) -> Array:
    """Return cos(m ω̃) for every coefficient m and every bin from 0 to half the rate, (coefficients, bins)."""
    hertz = np.linspace(0, rate / 2, bins)
    warped = np.pi * mel(hertz) / mel(np.array(rate / 2))
    return np.asarray(np.cos(np.arange(coefficients)[:, None] * warped))


@functools.lru_cache(maxsize=4)
def fitting(bins: int, *, rate: int, coefficients: int) -> Array:
    """Return the matrix (bins, coefficients) of the least squares fit, every mel counting as much as any other."""
    cosines = basis(bins, rate=rate, coefficients=coefficients)
    weights = np.gradient(mel(np.linspace(0, rate / 2, bins)))
    weighted = cosines * weights
    return np.asarray(np.linalg.solve(weighted @ cosines.T, weighted).T)


def encode(power: Array, *, rate: int, coefficients: int) -> Array:
    """Turn power spectra (T, bins) of positive numbers into mel-cepstra (T, coefficients)."""
    return np.asarray(0.5 * np.log(power) @ fitting(power.shape[1], rate=rate, coefficients=coefficients))


def decode(cepstra: Array, *, rate: int, bins: int) -> Array:
    """Turn mel-cepstra (T, coefficients) into power spectra (T, bins)."""
    return np.asarray(np.exp(2 * cepstra @ basis(bins, rate=rate, coefficients=cepstra.shape[1])))
