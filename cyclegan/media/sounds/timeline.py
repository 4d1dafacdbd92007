"""Where decoded samples belong: gaps and overlaps between them, by the times that the file gives."""

from fractions import Fraction

from cyclegan.media.films.damage import Span

_JITTER = 0.015  # seconds that times may be wrong before a gap is believed: less than a packet
_OTHER_JITTER = {  # of containers whose times are coarse, or counted by FFmpeg: the last say nothing of gaps
    "matroska,webm": 0.05,
    "avi": 0.05,
    "aac": float("inf"),
    "mp3": float("inf"),
}
_OVERLAP = 1.0  # seconds; what leaps further back is no overlap, but another clock
_LONGEST_GAP = 600.0  # seconds, where the file does not say how long it is
_LONGEST_TOLD_GAP = 3600.0  # seconds, where it does
_MOST_SILENCE = 6 * 3600.0  # seconds of all gaps together: a file of some kilobytes could ask for days


class Timeline:
    """Counts samples from `origin` on, and compares them with times, all in seconds on the clock of the file.

    `end` is the length, as far as the file says; how far times may be wrong depends on the container.
    """

    def __init__(self, rate: int, *, origin: Fraction, end: float | None, container: str) -> None:
        self.heard = 0  # samples that were given
        self.gaps = Span()
        self.left_out = 0  # samples of gaps that were too long
        self._filled = 0
        self.notes = list[str]()
        self._rate, self._origin, self._end = rate, origin, end
        self._jitter = _OTHER_JITTER.get(container, _JITTER) * rate
        self._shift = Fraction(0)  # seconds, of times that leapt

    @property
    def reached(self) -> float:
        """Return how many seconds were given."""
        return self.heard / self._rate

    def missing_until(self, time: Fraction) -> int:
        """Return how many samples are missing until a time."""
        return round((time + self._shift - self._origin) * self._rate) - self.heard

    def gap_before(self, time: Fraction, *, exactly: bool) -> int:
        """Return how many samples are missing before what begins at a time (negative: too many, it overlaps).

        Where something is known to be missing the time is to be believed `exactly`; else small errors are ignored.
        """
        gap = self.missing_until(time)
        if abs(gap) <= self._jitter:
            return max(0, gap) if exactly else 0
        if 0 < gap <= self._to_the_end():
            return self._fill(gap, exactly=exactly)
        if -_OVERLAP * self._rate <= gap < 0:
            self._note("sound that overlaps was cut")
            return gap
        self._shift -= Fraction(gap, self._rate)
        self._note("times that leap were put in order")
        return 0

    def _to_the_end(self) -> float:
        return _LONGEST_GAP * self._rate if self._end is None else (self._end + 1) * self._rate - self.heard

    def _fill(self, gap: int, *, exactly: bool) -> int:
        if gap > _LONGEST_TOLD_GAP * self._rate or self._filled + gap > _MOST_SILENCE * self._rate:
            self.left_out += gap
            self._shift -= Fraction(gap, self._rate)
            return 0
        if not exactly:
            self.gaps.count(self.reached)
        self._filled += gap
        return gap

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)
