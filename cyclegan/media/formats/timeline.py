"""What a file says about its frames before one of them is decoded."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

MILLISECONDS = Fraction(1, 1000)
_UNTIMED = Fraction(1, 10)  # how long every browser shows a frame whose file does not say


@dataclass(frozen=True)
class Timeline:
    """Hold how many frames there are, how long each is shown, and how often all of them are (`plays`; 0: for ever).

    `delays` count ticks of `clock` (seconds); 0, or none at all, where the file does not say. What is not `moving` is
    no scene but pages.
    """

    count: int = 1
    delays: tuple[int, ...] = ()
    clock: Fraction = MILLISECONDS
    plays: int = 0
    places: Sequence[int] = range(1 << 31)  # of the frames among the pictures of the file, as PIL counts them
    whole: bool = True  # the file does not end before its end
    moving: bool = True

    @property
    def seconds(self) -> float:
        """Return how long it takes to show all frames once, as far as the file says."""
        return float(sum(delay or self._untimed for delay in self.delays) * self.clock)

    @property
    def _untimed(self) -> int:
        return round(_UNTIMED / self.clock)

    def shown(self) -> Iterator[tuple[int, int]]:
        """Yield for each frame the tick at which it is shown, and for how many."""
        at = 0
        for place in range(self.count):
            delay = self.delays[place] if place < len(self.delays) else 0
            yield at, delay
            at += delay or self._untimed
