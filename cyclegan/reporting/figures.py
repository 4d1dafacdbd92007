"""The measured figures of a run as tables: a row a figure, a column a look."""

import math
from collections.abc import Iterator, Mapping

from cyclegan.reporting.log import Figures
from cyclegan.reporting.page import Table
from cyclegan.reporting.runs import Run
from cyclegan.reporting.words import aimed, decimals, printable

KID = "KID × 1000"
PICTURES = {
    "fid": ("FID", 1),
    "cycle": ("there and back", 1),
    "change": ("change", 1),
    "diversity": ("diversity", 2),
    "copies": ("near-copies", 2),
    "error": ("decoding error", 1),
}
VOICES = {
    "fid": ("Fréchet distance", 1),
    "cycle": ("there and back, dB", 1),
    "change": ("change, dB", 1),
    "diversity": ("diversity", 2),
    "modulation": ("modulation, dB", 2),
}
MEANINGS = {
    KID: "kernel distance between the features of what was made and of real ones; 0: not to be told apart",
    "FID": "Fréchet distance between the same features; its size depends on how many are compared",
    "Fréchet distance": "another distance between the same features; its size depends on how many are compared",
    "there and back": "mean error after translating there and back again, in levels of 255",
    "there and back, dB": "mel-cepstral distance after converting there and back again",
    "change": "mean difference between what went in and what came out, in levels of 255",
    "change, dB": "mel-cepstral distance between what went in and what came out",
    "diversity": "how much results differ from each other, as a share of how much real ones do; near 0: collapsed",
    "near-copies": "share of the samples that are as good as copies of pictures in the folder",
    "decoding error": "what held-back pictures lose on their way through the latents, in levels of 255",
    "modulation, dB": "distance of modulation spectra from the target's; what is dull is far",
}


def figures(run: Run) -> Iterator[Table]:
    """Yield a table a domain: untranslated ones, the teacher's, the first, the best and the last look."""
    columns = _columns(run)
    for domain in run.log.domains if columns else ():
        measured = {name: measure.get(domain, {}) for name, measure in columns.items()}
        known = {figure for of in measured.values() for figure in of}
        rows = [[KID, *map(_kid, measured.values())]] + [
            [title, *(decimals(of.get(figure, math.nan), places) for of in measured.values())]
            for figure, (title, places) in (VOICES if run.speaks else PICTURES).items()
            if figure in known
        ]
        title = aimed(printable(domain), known)
        yield Table(["", *measured], rows, title=title[:1].upper() + title[1:], numbers=True)


def meanings(tables: list[Table]) -> Table:
    """Return what the figures of tables mean, a row each."""
    named = dict.fromkeys(row[0] for table in tables for row in table.rows)
    return Table(["figure", "what it is"], [[name, MEANINGS[name]] for name in named])


def _columns(run: Run) -> dict[str, Figures]:
    looks = [look for look in run.log.comparable if look.measure]
    if not looks:
        return {}
    chosen = {"first": looks[0], "best": run.log.best, "last": looks[-1]}
    columns = {"untranslated": run.log.untranslated, "the teacher": run.log.teacher}
    columns |= {f"{name}, {look.images:,}": look.measure for name, look in chosen.items() if look}
    return {name: measure for name, measure in columns.items() if measure}


def _kid(of: Mapping[str, float]) -> str:
    kid, std = (1000 * of.get(name, math.nan) for name in ("kid", "kid_std"))
    return decimals(kid) + (f" ± {decimals(std)}" if math.isfinite(kid) and math.isfinite(std) else "")
