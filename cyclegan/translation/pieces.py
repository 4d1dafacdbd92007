"""A long sound cut into pieces where it is quiet, each worked on with what surrounds it, and joined without a seam."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]

LENGTH, AROUND, SEAM = 20.0, 0.5, 0.02  # seconds: of a piece, on either side of it, and of fading into the next


@dataclass(frozen=True)
class _Lengths:
    """The same in samples."""

    piece: int
    around: int
    seam: int


def in_pieces(blocks: Iterable[Samples], work: Callable[[Samples], Samples], *, rate: int) -> Iterator[Samples]:
    """Yield what `work` makes of samples (S, channels) that come in blocks: as many as went in, in constant memory.

    `work` returns as many samples as it is given, and is given pieces of 20 seconds at most, with half a second on
    either side that is thrown away again.
    """
    lengths = _Lengths(*(max(1, round(seconds * rate)) for seconds in (LENGTH, AROUND, SEAM)))
    held, before, tail = np.zeros((0, 1)), 0, np.zeros((0, 1))
    for block in blocks:
        held = np.concatenate([held, block]) if len(held) else np.asarray(block)
        while len(held) >= before + lengths.piece + lengths.around:
            cut = _quietest(held, before + lengths.piece * 3 // 4, before + lengths.piece, lengths.seam)
            made = work(held[: cut + lengths.around])
            yield _joined(tail, made[before:cut])
            tail = made[cut : cut + lengths.seam]
            kept = max(0, cut - lengths.around)
            held, before = held[kept:], cut - kept
    if len(held) > before:
        yield _joined(tail, work(held)[before:])


def _quietest(samples: Samples, first: int, last: int, seam: int) -> int:
    """Return the place between two others behind which it is quietest for as long as a seam lasts."""
    power = np.concatenate([[0.0], np.cumsum((samples[first : last + seam] ** 2).mean(1))])
    return first + int(np.argmin(power[seam:] - power[:-seam]))


def _joined(tail: Samples, piece: Samples) -> Samples:
    """Return a piece that begins as the one before it would have gone on."""
    length = min(len(tail), len(piece))
    share = np.linspace(0, 1, length + 2)[1:-1, None]
    before = tail[:length]
    return np.concatenate([before + (piece[:length] - before) * share, piece[length:]])
