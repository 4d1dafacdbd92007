"""What came out of a run: its best examples, and how far they are from what is real, against untranslated ones."""

import math
from collections.abc import Iterator, Mapping

from cyclegan.reporting.log import Figures
from cyclegan.reporting.page import Bar, Block, Distances, Gallery, Pairs
from cyclegan.reporting.pictures import picture
from cyclegan.reporting.runs import Run
from cyclegan.reporting.samples import drawn, translated
from cyclegan.reporting.voices import voices
from cyclegan.reporting.words import decimals, printable

PAIRS, SAMPLES = 4, 8  # that are shown
SMALL = 96  # pixels, up to which pairs are shown smaller, and so twice as many
EQUAL = 0.005  # share of the untranslated distance that is nobody's gain


def examples(run: Run) -> Iterator[Block]:
    """Yield what the best weights make: pictures before and after, samples, or voices; older runs kept none."""
    if run.speaks:
        yield from voices(run)
    elif run.draws:
        yield from _samples(run)
    else:
        yield from _pairs(run)


def distances(run: Run) -> Iterator[Distances]:
    """Yield how far translations are from what is real, if that was measured."""
    if groups := _groups(run):
        note = f"KID × 1000: how far held-back {run.things} are from real ones; 0: not to be told apart."
        yield Distances("Distance from real ones", groups, note)


def outcome(run: Run) -> str:
    """Return in one sentence what the best weights reach, "" where nothing was measured."""
    best = run.log.best
    if best is None:
        return ""
    if run.draws:
        return f"The best samples are at a KID × 1000 of {decimals(1000 * best.kid)} from {printable(run.domains[0])}."
    gains = {name: _gain(run.log.untranslated, best.measure, name) for name in run.log.domains}
    known = [_nearer(gain, name) for name, gain in gains.items() if math.isfinite(gain)]
    return f"By KID, translated {run.things} are {' and '.join(known)} than untranslated ones." if known else ""


def _nearer(gain: float, name: str) -> str:
    if abs(gain) < EQUAL:
        return f"no nearer to {printable(name)}"
    return f"{abs(100 * gain):,.0f} % {'nearer to' if gain > 0 else 'further from'} {printable(name)}"


def _gain(before: Figures, after: Figures, domain: str) -> float:
    """Return which share of the distance a translation takes away; it may be less than 0."""
    start, end = (figures.get(domain, {}).get("kid", math.nan) for figures in (before, after))
    return 1 - max(end, 0.0) / start if start > 0 else math.nan


def _groups(run: Run) -> dict[str, list[Bar]]:
    best, before = run.log.best, run.log.untranslated
    if best is None or not before:
        return {}
    known = {"untranslated": before, "the teacher": run.log.teacher, "best": best.measure}
    kids = {
        domain: {name: figures.get(domain, {}).get("kid", math.nan) for name, figures in known.items()}
        for domain in run.log.domains
    }
    longest = max((kid for row in kids.values() for kid in row.values() if math.isfinite(kid)), default=0.0)
    return {f"to {printable(d)}": list(_bars(row, longest, tone)) for tone, (d, row) in enumerate(kids.items())}


def _bars(kids: Mapping[str, float], longest: float, tone: int) -> Iterator[Bar]:
    for name, kid in kids.items():
        if math.isfinite(kid):
            length = max(kid, 0.0) / longest if longest > 0 else 0.0
            yield Bar(name, decimals(1000 * kid), length, tone=None if name == "untranslated" else tone)


def _pairs(run: Run) -> Iterator[Pairs]:
    """Yield the best pairs, a block a direction: four in all, or of small pictures four each."""
    ways = translated(run, ".jpg")
    for (source, target), files in ways.items():
        before, after = printable(source), f"as {printable(target)}"
        read = [
            (picture(one, alt=f"{before} {i}"), picture(other, alt=f"{before} {i} {after}"))
            for i, (one, other) in enumerate(files[:PAIRS], start=1)
        ]
        pairs = [(one, other) for one, other in read if one and other]
        small = all(one.width <= SMALL for one, _ in pairs)
        if pairs:
            shown = pairs if small else pairs[: PAIRS // len(ways)]
            yield Pairs(f"{before} → {printable(target)}", before, after, shown, small=small)


def _samples(run: Run) -> Iterator[Gallery]:
    read = [picture(path, alt=f"Sample {i}") for i, path in enumerate(drawn(run)[:SAMPLES], start=1)]
    samples = [image for image in read if image]
    if samples:
        yield Gallery(f"Drawn by the best weights, those most like {printable(run.domains[0])} first", samples)
