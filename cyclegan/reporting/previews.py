"""The sheets of a run in the order of time, small enough for one page."""

import math
import re
from collections.abc import Iterator, Sequence

from cyclegan.reporting.page import Previews
from cyclegan.reporting.pictures import LARGEST, STEPS, Image, at_once, picture
from cyclegan.reporting.runs import Run
from cyclegan.reporting.words import against, decimals

ROOM = 5_000_000  # bytes of previews that a page carries
MOST, FEW = 40, 24  # sheets of a page, and so many that are as wide as the page: 160 KB each


def previews(run: Run) -> Iterator[Previews]:
    """Yield the sheets to step through, evenly spaced where there are many; the best is seen first, else the last."""
    sheets = {int(p.stem): p for p in run.directory.glob("sheets/*.jpg") if re.fullmatch(r"[0-9]{1,15}", p.stem)}
    best = run.log.best.images if run.log.best else 0
    chosen = spread(sorted(sheets), always=best, most=MOST)
    largest, steps = min(LARGEST, ROOM // max(1, len(chosen))), STEPS[1 if len(chosen) <= FEW else 2 :]

    def read(images: int) -> Image | None:
        alt = f"Sheet of held-back {run.things} after {images:,} {run.seen} seen"
        return picture(sheets[images], alt=alt, largest=largest, steps=steps)

    shown = {images: image for images, image in at_once(chosen, read).items() if image}
    if shown:
        captions, size = _captions(run), sum(len(image.uri) for image in shown.values())
        yield Previews(
            "From the first preview to the last" if len(shown) > 1 else "The only preview",
            [(image, captions.get(images, f"{images:,} {run.seen} seen")) for images, image in shown.items()],
            chosen=list(shown).index(best) if best in shown else len(shown) - 1,
            note=f"{len(shown)} of {len(sheets)} sheets, {size / 1e6:.1f} MB" if len(shown) > 1 else "",
        )


def spread(values: Sequence[int], *, always: int, most: int) -> list[int]:
    """Return at most about so many of ascending values, evenly spaced, with the first, the last and one more."""
    if len(values) <= most:
        return list(values)
    spaced = {values[round(i * (len(values) - 1) / (most - 1))] for i in range(most)}
    return sorted(spaced | ({always} & set(values)))


def _captions(run: Run) -> dict[int, str]:
    """Return what was measured at each look, how that compares, and which was the best."""
    best = run.log.best
    return {
        look.images: f"{look.images:,} {run.seen} seen"
        + (f", KID × 1000 {decimals(1000 * look.kid)}" if math.isfinite(look.kid) else "")
        + (f", {against(look.compared)}" if look.compared else "")
        + (": the best" if best and look.images == best.images else "")
        for look in run.log.looks
    }
