"""How far speech is from speech: figures worked out by hand, and an alignment that nothing beats."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from cyclegan.metrics.speech import (
    WINDOW,
    aligned,
    mel_cepstral_distortion,
    modulation_distance,
    modulation_spectrum,
)

Array = NDArray[np.float64]


def envelope(seed: int, *, frames: int = 300) -> Array:
    """Draw mel-cepstra that move as speech does: no faster than a few times a second."""
    steps = np.random.default_rng(seed).normal(0, 1, (frames + 40, 36))
    smooth = np.array([np.convolve(column, np.hanning(40), "valid") for column in steps.T]).T
    return np.asarray(smooth[:frames] / (1 + np.arange(36)))


# --- mel-cepstral distortion


def test_equal_speech_is_no_way_apart() -> None:
    assert mel_cepstral_distortion(envelope(0), envelope(0)) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("coefficient", [1, 24])
def test_a_constant_offset_is_worth_what_the_formula_says(coefficient: int) -> None:
    one, other = np.zeros((9, 36)), np.zeros((14, 36))
    other[:, coefficient] = 0.5
    assert mel_cepstral_distortion(one, other) == pytest.approx(10 / np.log(10) * np.sqrt(2 * 0.25))


@pytest.mark.parametrize("coefficient", [0, 25, 35])
def test_loudness_and_fine_detail_do_not_count(coefficient: int) -> None:
    other = envelope(0)
    other[:, coefficient] += 3
    assert mel_cepstral_distortion(envelope(0), other) == pytest.approx(0, abs=1e-5)


def test_slower_speech_is_no_other_voice() -> None:
    one = envelope(0, frames=150)
    slower = np.repeat(one, 2, axis=0)
    assert mel_cepstral_distortion(one, slower) == pytest.approx(0, abs=1e-5)
    places = np.linspace(0, 149, 220)
    stretched = np.array([np.interp(places, np.arange(150), column) for column in one.T]).T
    other = mel_cepstral_distortion(one, envelope(1, frames=220))
    assert mel_cepstral_distortion(one, stretched) < 0.1 * other


def test_it_is_the_same_either_way() -> None:
    one, other = envelope(0, frames=40), envelope(1, frames=55)
    assert mel_cepstral_distortion(one, other) == pytest.approx(mel_cepstral_distortion(other, one))


# --- alignment


def least(costs: Array, row: int = 0, column: int = 0) -> float:
    """Return the least sum of costs from a place to the last corner, by trying every way."""
    here = float(costs[row, column])
    ahead = [(row + 1, column), (row, column + 1), (row + 1, column + 1)]
    inside = [place for place in ahead if place[0] < costs.shape[0] and place[1] < costs.shape[1]]
    return here + min((least(costs, *place) for place in inside), default=0.0)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (2, 2), (4, 6), (6, 5), (5, 5)])
def test_no_way_is_cheaper(shape: tuple[int, int]) -> None:
    for seed in range(5):
        costs = np.random.default_rng(seed).random(shape)
        way = aligned(costs)
        assert way[0] == (0, 0)
        assert way[-1] == (shape[0] - 1, shape[1] - 1)
        assert {(r - q, c - b) for (q, b), (r, c) in pairwise(way)} <= {(0, 1), (1, 0), (1, 1)}
        assert sum(costs[place] for place in way) == pytest.approx(least(costs))


# --- modulation spectra


def test_a_sine_stands_where_it_belongs() -> None:
    """Of a sine of amplitude a, a window w and a whole number of turns, the power is (a Σw / 2)²."""
    spoken, turns, amplitude = np.full((WINDOW, 36), 7.0), 8, 0.3
    spoken[:, 1:25] += amplitude * np.sin(2 * np.pi * turns * np.arange(WINDOW) / WINDOW)[:, None]
    found = modulation_spectrum([spoken])
    assert found.shape == (WINDOW // 2, 24)
    by_hand = 20 * np.log10(amplitude * np.hanning(WINDOW).sum() / 2)
    np.testing.assert_allclose(found[turns - 1], by_hand, atol=0.01)
    assert (found.argmax(0) == turns - 1).all()


def test_twice_the_movement_is_six_decibels_everywhere() -> None:
    some = [envelope(i) for i in range(3)]
    assert modulation_distance(some, some) == 0
    assert modulation_distance(some, [2 * one + 5 for one in some]) == pytest.approx(20 * np.log10(2), abs=1e-6)


def test_smoothed_speech_is_heard() -> None:
    some, others = ([envelope(i) for i in seeds] for seeds in (range(4), range(4, 8)))
    smoothed = [np.array([np.convolve(c, np.ones(9) / 9, "same") for c in one.T]).T for one in others]
    assert modulation_distance(some, smoothed) > 1.5 * modulation_distance(some, others)


def test_short_recordings_do_for_want_of_better() -> None:
    for frames in (1, 5, WINDOW - 1):
        assert np.isfinite(modulation_distance([envelope(0, frames=frames)], [envelope(1)]))


def test_what_never_moves_is_far_from_speech_and_yet_a_number() -> None:
    still = [np.ones((WINDOW, 36))]
    assert modulation_distance(still, still) == 0
    assert 60 < modulation_distance(still, [envelope(0)]) < 1000
