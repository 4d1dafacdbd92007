"""One line about pictures that are unlike anything a model learnt from."""

import math
from collections.abc import Sequence
from pathlib import Path

from cyclegan.curation.familiar import Judgement
from cyclegan.errors import shown

NAMED = 3  # of many


def unlike(judged: Sequence[tuple[Path, Judgement]], *, source: str) -> str | None:
    """Return a line about those that are unlike the source's pictures, None where there are none."""
    found = [(path, judgement) for path, judgement in judged if judgement.unlike]
    whom = f"unlike the {source} this model learnt from"
    if not found:
        return None
    if len(found) > 1:
        first = ", ".join(shown(path) for path, _ in found[:NAMED])
        return f"note: {len(found):,} of {len(judged):,} pictures are {whom}; expect weak results; the first: {first}"
    path, judgement = found[0]
    return f"note: {shown(path)} is {whom} (more unusual than {_share(judgement)} of them); expect a weak result"


def _share(judgement: Judgement) -> str:
    """Return a share in per cent, never rounded up to all."""
    tenths = math.floor(1000 * judgement.unusualness)
    return "all" if tenths >= 1000 else f"{tenths / 10} %"
