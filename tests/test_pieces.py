"""A long sound in pieces: nothing is lost, nothing is doubled, and nobody hears where it was cut."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cyclegan.translation.pieces import AROUND, LENGTH, SEAM, in_pieces

Samples = NDArray[np.float64]
Work = Callable[[Samples], Samples]

RATE = 100  # a second of context is enough to see, and a minute is quick
PIECE, CONTEXT, FADED = round(LENGTH * RATE), round(AROUND * RATE), round(SEAM * RATE)


def sound(count: int, *, channels: int = 1, seed: int = 0) -> Samples:
    return np.random.default_rng(seed).normal(0, 0.1, (count, channels))


def blocks_of(samples: Samples, sizes: list[int]) -> Iterator[Samples]:
    """Cut samples into blocks of these sizes, again and again."""
    start, number = 0, 0
    while start < len(samples):
        size = sizes[number % len(sizes)]
        yield samples[start : start + size]
        start, number = start + size, number + 1


def worked(samples: Samples, work: Work, *, sizes: list[int] | None = None) -> Samples:
    made = list(in_pieces(blocks_of(samples, sizes or [RATE]), work, rate=RATE))
    return np.concatenate(made) if made else np.zeros((0, samples.shape[1]))


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 4 * PIECE),
    sizes=st.lists(st.integers(1, 3 * PIECE), min_size=1, max_size=4).filter(lambda sizes: sum(sizes) > 100),
    channels=st.integers(1, 2),
)
def test_work_that_does_nothing_changes_nothing(count: int, sizes: list[int], channels: int) -> None:
    samples = sound(count, channels=channels)
    np.testing.assert_array_equal(worked(samples, lambda piece: piece, sizes=sizes), samples)


@pytest.mark.parametrize("count", [1, FADED - 1, FADED, CONTEXT, PIECE, PIECE + CONTEXT, PIECE + CONTEXT + 1])
def test_short_sounds_are_a_single_piece_or_two(count: int) -> None:
    seen: list[int] = []

    def work(piece: Samples) -> Samples:
        seen.append(len(piece))
        return piece + 1

    np.testing.assert_allclose(worked(sound(count), work), sound(count) + 1)
    assert len(seen) == (1 if count < PIECE + CONTEXT else 2)


def test_nothing_comes_of_nothing() -> None:
    def work(piece: Samples) -> Samples:
        raise AssertionError("there is nothing to do")

    assert list(in_pieces([], work, rate=RATE)) == []
    assert list(in_pieces([np.zeros((0, 2))], work, rate=RATE)) == []


def test_pieces_are_bounded_and_see_what_surrounds_them() -> None:
    samples = np.arange(10.0 * PIECE)[:, None]
    seen: list[tuple[float, float]] = []

    def work(piece: Samples) -> Samples:
        seen.append((piece[0, 0], piece[-1, 0]))
        return piece

    made, told = 0, []
    for part in in_pieces(blocks_of(samples, [7]), work, rate=RATE):
        made += len(part)
        told.append(made)
    assert made == len(samples)
    assert max(last - first + 1 for first, last in seen) <= PIECE + 2 * CONTEXT
    assert min(np.diff(told)[:-1]) >= PIECE * 3 // 4
    for cut, (_, last), (first, _) in zip(told, seen, seen[1:], strict=False):
        assert (cut - first, last + 1 - cut) == (CONTEXT, CONTEXT)


def test_it_does_not_wait_for_the_end() -> None:
    taken = 0

    def blocks() -> Iterator[Samples]:
        nonlocal taken
        for _ in range(1000):
            taken += RATE
            yield sound(RATE)

    next(in_pieces(blocks(), lambda piece: piece, rate=RATE))
    assert taken <= PIECE + CONTEXT + RATE


def test_it_is_cut_where_it_is_quietest() -> None:
    samples = np.ones((2 * PIECE, 1))
    samples[PIECE - 333 : PIECE - 333 + FADED] = 0
    cuts = [len(part) for part in in_pieces([samples], lambda piece: piece, rate=RATE)]
    assert cuts[0] == PIECE - 333


def test_pieces_that_differ_fade_into_each_other() -> None:
    """Work that adds 1 to the first piece, 2 to the second: between them it rises in FADED even steps."""
    number = 0

    def work(piece: Samples) -> Samples:
        nonlocal number
        number += 1
        return piece + number

    rate = 1000
    samples = sound(30 * rate)
    made = np.concatenate(list(in_pieces([samples], work, rate=rate))) - samples
    steps = np.diff(made[:, 0])
    faded = round(SEAM * rate)
    assert made[0, 0] == pytest.approx(1)
    assert made[-1, 0] == pytest.approx(2)
    assert np.count_nonzero(steps > 1e-9) == faded + 1
    np.testing.assert_allclose(steps[steps > 1e-9], 1 / (faded + 1))


def test_context_makes_a_filter_seamless() -> None:
    """What looks no further than half a second to either side does not notice that there are pieces."""
    samples = sound(5 * PIECE)

    def smoothed(piece: Samples) -> Samples:
        return np.convolve(piece[:, 0], np.hanning(2 * CONTEXT - 2 * FADED - 1), "same")[:, None]

    np.testing.assert_allclose(worked(samples, smoothed), smoothed(samples), atol=1e-12)
