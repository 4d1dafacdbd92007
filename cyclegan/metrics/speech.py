"""How far speech is from speech: mel-cepstral distortion and modulation spectra. Arrays in, one number out.

Mel-cepstra are arrays (T, coefficients) in nepers of amplitude, as `cyclegan.codecs` has them.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cyclegan.codecs.cepstrum import DECIBELS

Array = NDArray[np.float64]

ORDERS = slice(1, 25)  # without c₀, which is loudness, and without what an ear hardly tells
WINDOW = 128  # frames of a modulation spectrum
STILL = 1e-12  # power of what does not move, which has no logarithm


def mel_cepstral_distortion(one: Array, other: Array) -> float:
    """Return (10 / ln 10) √(2 Σ_d Δc_d²) in dB, d = 1 to 24, in the mean over two recordings' best alignment.

    Kubichek 1993; aligned by dynamic time warping, steps of one frame in either or in both.
    """
    costs = DECIBELS * np.sqrt(_squares(one[:, ORDERS], other[:, ORDERS]) / 2)
    return float(np.mean([costs[place] for place in aligned(costs)]))


def aligned(costs: Array) -> list[tuple[int, int]]:
    """Return the way through (T, T') from corner to corner along which costs add up to the least."""
    sums = np.full((costs.shape[0] + 1, costs.shape[1] + 1), np.inf)
    sums[0, 0] = 0
    for diagonal in range(sum(costs.shape) - 1):  # its cells depend on earlier diagonals only
        rows = np.arange(max(0, diagonal - costs.shape[1] + 1), min(diagonal, costs.shape[0] - 1) + 1)
        columns = diagonal - rows
        best = np.minimum(np.minimum(sums[rows, columns], sums[rows, columns + 1]), sums[rows + 1, columns])
        sums[rows + 1, columns + 1] = costs[rows, columns] + best
    way = [(costs.shape[0] - 1, costs.shape[1] - 1)]
    while way[-1] != (0, 0):
        row, column = way[-1]
        steps = [(row - 1, column - 1), (row - 1, column), (row, column - 1)]
        way.append(min(steps, key=lambda step: sums[step[0] + 1, step[1] + 1]))
    return way[::-1]


def _squares(one: Array, other: Array) -> Array:
    """Return squared distances between all rows of one and all of the other."""
    squares = (one**2).sum(1)[:, None] + (other**2).sum(1) - 2 * one @ other.T
    return np.asarray(np.maximum(squares, 0))


def modulation_spectrum(recordings: Sequence[Array]) -> Array:
    """Return how fast coefficients change: the mean power of each, d = 1 to 24, at WINDOW / 2 frequencies, in dB.

    Welch's method over all recordings; those shorter than a window are left out unless all are.
    """
    window = np.hanning(WINDOW)[:, None]
    pieces = [piece for envelope in recordings for piece in _pieces(envelope[:, ORDERS])]
    powers = [np.abs(np.fft.rfft((piece - piece.mean(0)) * window, axis=0))[1:] ** 2 for piece in pieces]
    return np.asarray(10 * np.log10(np.maximum(np.mean(powers, axis=0), STILL)))


def _pieces(envelope: Array) -> list[Array]:
    if len(envelope) < WINDOW:
        envelope = np.pad(envelope, ((0, WINDOW - len(envelope)), (0, 0)), mode="edge")
    return [envelope[start : start + WINDOW] for start in range(0, len(envelope) - WINDOW + 1, WINDOW // 2)]


def modulation_distance(some: Sequence[Array], others: Sequence[Array]) -> float:
    """Return the root mean square difference of two speakers' modulation spectra in dB (Takamichi et al. 2016)."""
    return float(np.sqrt(np.mean((modulation_spectrum(some) - modulation_spectrum(others)) ** 2)))
