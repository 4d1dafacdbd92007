"""Which curves tell how a run went, and in which units people think of them."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from cyclegan.reporting.chart import Chart, Level, Mark, Series
from cyclegan.reporting.log import Log
from cyclegan.reporting.page import Block
from cyclegan.reporting.runs import Run
from cyclegan.reporting.words import aimed, printable

LEVELS = 127.5  # of 255 in a unit of [-1, 1]
CRITICS = ("D", "penalty", "r1", "r2")  # how the names of their losses begin
CODERS = {  # what an autoencoder's losses are, each of its own size
    "nats": ("What is lost", "−log p(x|z) and a constant, nats a picture"),
    "kl": ("What the latents tell", "KL, nats a picture"),
    "folder": ("Telling the folders apart", "cross-entropy, nats"),
}


def charts(run: Run) -> list[Block]:
    """Return the charts of what a run learnt, as far as there is something to draw."""
    back = [*_spoken(run)] if run.speaks else [_cycle(run)]
    losses = [*_coder(run)] if run.option("objective.name") == "vae" else [*back, *_players(run)]
    return _drawn(run, [_kid(run.log), *losses])


def pace(run: Run) -> list[Block]:
    """Return the charts of how a run was trained: learning rate and speed."""
    return _drawn(run, [_rate(run.log), _speed(run)])


def _drawn(run: Run, found: Sequence[Chart]) -> list[Block]:
    return [replace(chart, x_name=f"{run.seen} seen") for chart in found if chart.drawn]


def _kid(log: Log) -> Chart:
    series, levels = [], []
    for tone, domain in enumerate(log.domains):
        name = aimed(printable(domain), {figure for look in log.comparable for figure in look.measure.get(domain, ())})
        points = [(x, 1000 * y) for x, y in log.course(domain, "kid")]
        band = [1000 * y for _, y in log.course(domain, "kid_std")]
        series.append(Series(name, points, band, tone=tone, dots=True))
        if domain in log.untranslated:
            level = 1000 * log.untranslated[domain].get("kid", math.nan)
            levels.append(Level("untranslated", level, tone=tone))
    mark = Mark(log.best.images, f"best {1000 * log.best.kid:.1f}") if log.best else None
    return Chart("KID", "× 1000, lower is better", series, levels, mark, x_end=log.images)


def _cycle(run: Run) -> Chart:
    """Draw how far pictures come back from themselves: each batch, and the held-back pictures."""
    log, series = run.log, []
    names = [printable(name) for name in run.domains] or ["first", "second"]
    for tone, (letter, home) in enumerate(zip("xy", names, strict=False)):
        points = [(x, LEVELS * y) for x, y in _loss(log, f"cycle_{letter}")]
        series.append(Series(f"{home} and back", points, tone=tone, faint=True))
    for tone, domain in enumerate(reversed(run.domains)):  # a domain that is translated to: the other one comes back
        series.append(Series(f"{names[tone]} and back", log.course(domain, "cycle"), tone=tone, dots=True))
    kept = [s for s in series if any(math.isfinite(y) for _, y in s.points)]
    if all(s.faint for s in kept):  # nothing was measured
        kept = [replace(s, faint=False) for s in kept]
    unit = "mean error, levels of 255" + ("; faint: while training" if any(s.faint for s in kept) else "")
    return Chart("There and back", unit, kept, x_end=log.images)


def _spoken(run: Run) -> Iterator[Chart]:
    """Draw how far voices come back from themselves, held back and in each batch, and how lively they speak."""
    log, names = run.log, [printable(name) for name in run.domains]
    back = [
        Series(f"{home} and back", log.course(target, "cycle"), tone=tone)
        for tone, (home, target) in enumerate(zip(names, reversed(run.domains), strict=True))
    ]
    yield Chart("There and back", "mel-cepstral distance of held-back speech, dB", _dotted(back), x_end=log.images)
    batches = [
        Series(f"{home} and back", _loss(log, f"cycle_{letter}"), tone=tone)
        for tone, (letter, home) in enumerate(zip("xy", names, strict=False))
    ]
    yield Chart("There and back, while training", "mean error, deviations of the envelope", batches, x_end=log.images)
    lively = [
        Series(f"to {printable(target)}", log.course(target, "modulation"), tone=tone)
        for tone, target in enumerate(log.domains)
    ]
    unit = "distance of modulation spectra, dB; what is dull is far"
    yield Chart("Modulation", unit, _dotted(lively), x_end=log.images)


def _dotted(series: Sequence[Series]) -> list[Series]:
    return [replace(one, dots=True) for one in series]


def _coder(run: Run) -> Iterator[Chart]:
    """Draw what pictures lose on their way through the latents, and the price of what does not get lost."""
    log = run.log
    batches = Series("each batch", _loss(log, "error"), tone=5, faint=True)
    held_back = [point for domain in log.domains for point in log.course(domain, "error")]
    errors = [batches, Series("held back", held_back, dots=True)]
    yield Chart("Decoding", "levels of 255; faint: root of the mean square while training", errors, x_end=log.images)
    for name, (title, unit) in CODERS.items():
        yield Chart(title, unit, [Series(name, _loss(log, name))], x_end=log.images)


def _players(run: Run) -> Iterator[Chart]:
    log, players = run.log, ("generator", "critic") if run.draws else ("translators", "critics")
    names = list(dict.fromkeys(name for step in log.steps for name in step.losses if not name.startswith("cycle")))
    critics = [name for name in names if name.startswith(CRITICS)]
    for player, theirs in zip(players, ([name for name in names if name not in critics], critics), strict=True):
        series = [
            Series(_named(name, run.domains), _loss(log, name), tone=tone % 6) for tone, name in enumerate(theirs)
        ]
        yield Chart(f"Losses of the {player}", "means between two lines of the log", series, x_end=log.images)


def _named(name: str, domains: Sequence[str]) -> str:
    """Return a loss's name with the domain that it is about."""
    if len(domains) != 2:
        return printable(name)
    here, there = map(printable, domains)
    known = {"G": f"to {there}", "F": f"to {here}", "D_x": here, "D_y": there}
    known |= {"back_x": f"{here} and back", "back_y": f"{there} and back"}
    known |= {"D2_x": f"{here} and back", "D2_y": f"{there} and back"}
    return f"{printable(name)} ({known[name]})" if name in known else printable(name)


def _rate(log: Log) -> Chart:
    highest = max((step.rate for step in log.steps if math.isfinite(step.rate)), default=0.0)
    power = math.floor(math.log10(highest)) if highest > 0 else 0
    points = [(step.images, step.rate / 10.0**power) for step in log.steps]
    return Chart("Learning rate", f"× 10{_raised(power)}", [Series("rate", points, tone=5)], x_end=log.images)


def _speed(run: Run) -> Chart:
    points = [(step.images, step.speed) for step in run.log.steps]
    return Chart("Speed", f"{run.seen} a second", [Series("speed", points, tone=5)], x_end=run.log.images)


def _loss(log: Log, name: str) -> list[tuple[float, float]]:
    return [(step.images, step.losses.get(name, math.nan)) for step in log.steps]


def _raised(power: int) -> str:
    return str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
