"""The log of a run, read without trust: lines may be torn, old, or hold what is no number."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cyclegan.reading import read_file

Figures = Mapping[str, Mapping[str, float]]  # {domain translated to, or drawn: {"kid": …, "diversity": …}}
UNKNOWN = math.nan
LARGEST, SMALLEST = 1e15, 1e-9  # of numbers that are told apart
_TAIL = 8  # lines at the end of which one has losses


@dataclass(frozen=True)
class Step:
    """Hold a line of losses: means since the line before, and the steps that were skipped. Unknown numbers are NaN."""

    images: int
    seconds: float
    speed: float
    rate: float
    losses: Mapping[str, float]
    skipped: tuple["Skipped", ...] = ()


@dataclass(frozen=True)
class Skipped:
    """Hold after how many pictures a step was skipped, and the files it saw."""

    images: int
    files: str


@dataclass(frozen=True)
class Comparison:
    """Hold how much higher a KID is than the lowest before, measured at so many `images`, with its paired error."""

    images: int
    difference: float
    error: float


@dataclass(frozen=True)
class Look:
    """Hold a look at the held-back pictures; `kid` is the mean over the domains, NaN in the logs of old.

    Looks of one `protocol` can be compared. `best` says that its weights became the best ones, `compared` why.
    """

    images: int
    kid: float
    measure: Figures = field(default_factory=dict)
    alarms: tuple[str, ...] = ()
    protocol: str = ""
    best: bool = False
    compared: Comparison | None = None

    def figure(self, domain: str, name: str) -> float:
        """Return a measured figure of the pictures that were made of `domain`, NaN where it is unknown."""
        return self.measure.get(domain, {}).get(name, UNKNOWN)


@dataclass(frozen=True)
class Log:
    """Hold all that a log says; `untranslated` are the figures of pictures that were left as they are, `teacher` of
    those that a student's teacher translated, both measured as the last look was; `hint` goes with the `failure`."""

    steps: tuple[Step, ...] = ()
    looks: tuple[Look, ...] = ()
    untranslated: Figures = field(default_factory=dict)
    teacher: Figures = field(default_factory=dict)
    features: str = ""
    failure: str = ""
    hint: str = ""

    @property
    def images(self) -> int:
        """Pictures seen of each domain at the last line."""
        return max([0, *(s.images for s in self.steps[-1:]), *(k.images for k in self.looks[-1:])])

    @property
    def seconds(self) -> float:
        """How long was trained, 0.0 where that is unknown."""
        known = [step.seconds for step in self.steps[-1:] if math.isfinite(step.seconds)]
        return known[0] if known else 0.0

    @property
    def comparable(self) -> tuple[Look, ...]:
        """The looks that were measured as the last one was."""
        return tuple(look for look in self.looks if look.protocol == self.looks[-1].protocol)

    def course(self, domain: str, name: str) -> list[tuple[float, float]]:
        """Return pictures seen and a figure of the pictures that were made of `domain`, of the looks that compare."""
        return [(look.images, look.figure(domain, name)) for look in self.comparable]

    @property
    def best(self) -> Look | None:
        """The look whose weights are weights/best; where the log does not say, that of the lowest KID, or the last."""
        told = [look for look in self.looks if look.best]
        known = [look for look in self.comparable if look.images and math.isfinite(look.kid)]
        return told[-1] if told else min(reversed(known), key=lambda look: look.kid, default=None)

    @property
    def diverged(self) -> bool:
        """Whether the losses were no numbers any more in the end."""
        return any(not all(map(math.isfinite, step.losses.values())) for step in self.steps[-1:])

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains that were measured, in the order of the log."""
        return tuple(dict.fromkeys(name for look in self.looks for name in look.measure))


def read_log(path: Path, *, skim: bool = False) -> Log:
    """Read a log; what cannot be read as a line is passed over, a missing file is an empty log; raise OSError.

    With `skim` only the last lines of losses are read, which is much faster.
    """
    try:
        texts = read_file(path).decode("utf-8", "replace").split("\n")
    except FileNotFoundError:
        return Log()
    if skim:
        texts = [t for t in texts[:-_TAIL] if '"losses"' not in t or '"measure"' in t] + texts[-_TAIL:]
    lines = list(_lines(texts))
    looks = [line for line in lines if "measure" in line or "score" in line]
    alike = [line for line in lines if not looks or _protocol(line) == _protocol(looks[-1])]
    return Log(
        tuple(_step(line) for line in lines if isinstance(line.get("losses"), dict)),
        tuple(map(_look, looks)),
        _last(alike, "untranslated"),
        _last(alike, "teacher"),
        next((str(line["features"]) for line in reversed(looks) if "features" in line), ""),
        str(lines[-1].get("failed", "")) if lines else "",
        str(lines[-1].get("hint", "")) if lines else "",
    )


def _lines(texts: list[str]) -> Iterator[dict[str, Any]]:
    for text in texts:
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):  # torn by a crash
            continue
        if isinstance(line, dict) and 0 <= number(line.get("images")) < LARGEST:
            yield line


def number(value: object) -> float:
    """Return a number as a float that can be drawn: what is too large is infinite; NaN for anything else."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return UNKNOWN
    if not abs(value) < LARGEST:
        return math.inf if value > 0 else -math.inf if value < 0 else UNKNOWN
    return float(value) if abs(value) > SMALLEST else 0.0


def _step(line: Mapping[str, Any]) -> Step:
    losses = {name: number(value) for name, value in line["losses"].items()}
    seconds, speed, rate = (number(line.get(key)) for key in ("seconds", "images_per_second", "learning_rate"))
    return Step(int(line["images"]), seconds, speed, rate, losses, tuple(_skipped(line.get("skipped"))))


def _skipped(value: object) -> Iterator[Skipped]:
    for step in value if isinstance(value, list) else ():
        if isinstance(step, dict) and math.isfinite(number(step.get("images"))):
            yield Skipped(int(step["images"]), str(step.get("files", "")))


def _look(line: Mapping[str, Any]) -> Look:
    alarms = line.get("alarms")
    said = tuple(map(str, alarms)) if isinstance(alarms, list) else ()
    figures, best, compared = _figures(line.get("measure")), line.get("best") is True, _compared(line.get("compared"))
    return Look(int(line["images"]), number(line.get("kid")), figures, said, _protocol(line), best, compared)


def _protocol(line: Mapping[str, Any]) -> str:
    return str(line.get("protocol", line.get("features", "")))


def _compared(value: object) -> Comparison | None:
    if not isinstance(value, dict):
        return None
    images, difference, error = (number(value.get(name)) for name in ("images", "difference", "error"))
    return Comparison(int(images), difference, error) if math.isfinite(images + difference + error) else None


def _last(lines: list[dict[str, Any]], name: str) -> Figures:
    return next((found for line in reversed(lines) if (found := _figures(line.get(name)))), {})


def _figures(value: object) -> dict[str, dict[str, float]]:
    if not isinstance(value, dict):
        return {}
    return {
        domain: {n: number(v) for n, v in figures.items()}
        for domain, figures in value.items()
        if isinstance(figures, dict)
    }
