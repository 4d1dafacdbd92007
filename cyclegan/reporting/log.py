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
_TAIL = 8  # lines at the end of which one has losses


@dataclass(frozen=True)
class Step:
    """Hold a line of losses: means since the line before. Unknown numbers are NaN."""

    images: int
    seconds: float
    speed: float
    rate: float
    losses: Mapping[str, float]


@dataclass(frozen=True)
class Look:
    """Hold a look at the held-back pictures; `kid` is the mean over the domains, NaN in the logs of old."""

    images: int
    kid: float
    measure: Figures = field(default_factory=dict)
    alarms: tuple[str, ...] = ()

    def figure(self, domain: str, name: str) -> float:
        """Return a measured figure of the pictures that were made of `domain`, NaN where it is unknown."""
        return self.measure.get(domain, {}).get(name, UNKNOWN)


@dataclass(frozen=True)
class Log:
    """Hold all that a log says; `untranslated` are the figures of pictures that were left as they are, `teacher` of
    those that a student's teacher translated."""

    steps: tuple[Step, ...] = ()
    looks: tuple[Look, ...] = ()
    untranslated: Figures = field(default_factory=dict)
    teacher: Figures = field(default_factory=dict)
    features: str = ""
    failure: str = ""

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
    def best(self) -> Look | None:
        """The look with the lowest KID once training had begun; of equals the last, as for weights/best."""
        known = [look for look in self.looks if look.images and math.isfinite(look.kid)]
        return min(reversed(known), key=lambda look: look.kid, default=None)

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
        texts = read_file(path).decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return Log()
    if skim:
        texts = [t for t in texts[:-_TAIL] if '"losses"' not in t or '"measure"' in t] + texts[-_TAIL:]
    lines = list(_lines(texts))
    looks = [line for line in lines if "measure" in line or "score" in line]
    return Log(
        tuple(_step(line) for line in lines if isinstance(line.get("losses"), dict)),
        tuple(map(_look, looks)),
        _first(lines, "untranslated"),
        _first(lines, "teacher"),
        next((str(line["features"]) for line in reversed(looks) if "features" in line), ""),
        str(lines[-1].get("failed", "")) if lines else "",
    )


def _lines(texts: list[str]) -> Iterator[dict[str, Any]]:
    for text in texts:
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):  # torn by a crash
            continue
        if isinstance(line, dict) and math.isfinite(number(line.get("images"))):
            yield line


def number(value: object) -> float:
    """Return a number as a float, and anything else as NaN."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else UNKNOWN


def _step(line: Mapping[str, Any]) -> Step:
    losses = {name: number(value) for name, value in line["losses"].items()}
    seconds, speed, rate = (number(line.get(key)) for key in ("seconds", "images_per_second", "learning_rate"))
    return Step(int(line["images"]), seconds, speed, rate, losses)


def _look(line: Mapping[str, Any]) -> Look:
    alarms = line.get("alarms")
    said = tuple(map(str, alarms)) if isinstance(alarms, list) else ()
    return Look(int(line["images"]), number(line.get("kid")), _figures(line.get("measure")), said)


def _first(lines: list[dict[str, Any]], name: str) -> Figures:
    return next((found for line in lines if (found := _figures(line.get(name)))), {})


def _figures(value: object) -> dict[str, dict[str, float]]:
    if not isinstance(value, dict):
        return {}
    return {
        domain: {n: number(v) for n, v in figures.items()}
        for domain, figures in value.items()
        if isinstance(figures, dict)
    }
