"""Thresholds of warnings, the same for the alarms of a training, its report and its advice."""

from collections.abc import Mapping
from typing import NamedTuple


class Change(NamedTuple):
    """The mean difference between a file and its translation, in some `unit`; below it next to nothing is changed."""

    least: float
    unit: str

    def __str__(self) -> str:
        return f"{self.least:g} {self.unit}"


LEAST_CHANGE: Mapping[str, Change] = {  # by the name of the codec
    "pictures": Change(2.0, "levels of 255"),  # mean absolute difference
    "voice": Change(1.0, "dB"),  # mel-cepstral distance; between recordings of two speakers there are 6 and more
}
LEAST_DIVERSITY = 0.25  # share of the real pictures' diversity; below it what is made looks alike
MOST_COPIES = 0.1  # share of samples that are as good as copies
