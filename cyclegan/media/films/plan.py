"""What the frames of a film to be written are like."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from cyclegan.media.films import colour
from cyclegan.media.films.encodings import Recipe
from cyclegan.media.films.video import Film

_TURNING = {".mp4", ".m4v", ".mov", ".mkv", ".webm"}  # containers that can say how their pixels are turned


@dataclass(frozen=True)
class Plan:
    """Hold what the frames of the new film are like: coded size, ticks of a second, shape and colours."""

    width: int
    height: int
    clock: Fraction
    rate: Fraction
    steady: bool  # frames come at that rate
    sar: Fraction | None
    turn: colour.Turn  # done to the pixels
    matrix: tuple[int, ...] | None  # written beside them
    tags: colour.Tags


def planned(path: Path, film: Film) -> Plan:
    """Plan a film like another: rotated pixels stay as they are coded where the container can say so."""
    look = film.look()
    tags = look.tags.carried(look.height)
    suffix = path.suffix.lower()
    keeps = suffix in _TURNING and not (look.turn.mirrors and suffix in (".mkv", ".webm"))
    if keeps or not look.turn.straight:
        return Plan(
            look.width, look.height, film.clock, film.rate, film.steady, look.sar, look.turn, look.turn.matrix, tags
        )
    across = look.turn.transposes
    width, height = (look.height, look.width) if across else (look.width, look.height)
    sar = 1 / look.sar if look.sar and across else look.sar
    return Plan(width, height, film.clock, film.rate, film.steady, sar, colour.Turn(), None, tags)


def clock_of(plan: Plan, recipe: Recipe, suffix: str, like: Film | None) -> Fraction:
    """Return the ticks of the encoder: those of the source, where codec and container can count them."""
    if suffix == ".avi" and not (like is not None and like.path.suffix.lower() == ".avi"):
        return 1 / plan.rate  # it counts frames
    if recipe.name == "mpeg4" and plan.clock.denominator > 65535:
        return Fraction(1, 60000)
    return plan.clock
