"""How translations are made and written, beyond which network: all that the options of styl translate say."""

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Settings:
    """Hold what people may choose; the defaults are what they mostly want.

    `quality` (1 to 100) is of pictures that lose, `crf` of films (None: what is good for the codec; lower is better);
    `codec` is of films, "auto" what the container mostly holds; `fps` of films made of numbered frames. `steady`
    averages a film's frames along its motion. `strict` refuses a damaged film instead of translating what can be read.
    """

    batch: int = 8
    quality: int = 95
    steady: bool = True
    codec: str = "auto"
    crf: int | None = None
    fps: Fraction = Fraction(24)
    keep_metadata: bool = False
    strict: bool = False
