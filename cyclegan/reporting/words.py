"""Numbers, times and names as people read them."""

import math
from collections.abc import Iterable

from cyclegan.reporting.log import Comparison

_DAY = 86_400


def decimals(value: float, places: int = 1) -> str:
    """Return a number with so many decimals, an ellipsis where it is unknown."""
    return f"{value:,.{places}f}".replace("-", "−") if math.isfinite(value) else "…"


def against(compared: Comparison) -> str:
    """Return how a KID compares with the lowest before, × 1000, with the paired error of the difference."""
    side = "above" if compared.difference > 0 else "below"
    difference, error = (decimals(1000 * abs(value)) for value in (compared.difference, compared.error))
    as_good = " (as good)" if 0 < compared.difference <= compared.error else ""
    return f"{difference} ± {error} {side} the lowest before, at {compared.images:,}{as_good}"


def counted(number: int, thing: str) -> str:
    """Return "1 step was" or "1,200 steps were"."""
    return f"{number:,} {thing} was" if number == 1 else f"{number:,} {thing}s were"


def duration(seconds: float) -> str:
    """Return a time in its two largest units: "3 d 4 h", "2 h 05 min", "7 min 30 s", "12 s"; unknown: an ellipsis."""
    if not math.isfinite(seconds):
        return "…"
    whole = round(max(0.0, seconds))
    if whole >= _DAY:
        return f"{whole // _DAY} d {whole % _DAY // 3600} h"
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{whole} s"


def aimed(domain: str, figures: Iterable[str]) -> str:
    """Return whose pictures are measured by so many figures: "to zebras" where they are translated, "of photos" where
    they are drawn, which alone may be copies."""
    return f"{'of' if 'copies' in figures else 'to'} {domain}"


def printable(text: str) -> str:
    """Return a name as printable text: bytes that are none in UTF-8, and control characters, are written out."""
    return "".join(c if c.isprintable() else _written_out(c) for c in text)


def _written_out(character: str) -> str:
    is_byte = "\udc80" <= character <= "\udcff"  # as surrogateescape reads what is no UTF-8
    return f"\\x{ord(character) - 0xDC00:02x}" if is_byte else character.encode("unicode_escape").decode()
