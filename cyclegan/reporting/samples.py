"""Which files are the samples that a run's best weights made."""

from itertools import count, permutations, takewhile
from pathlib import Path

from cyclegan.files import plain, plain_names
from cyclegan.reporting.runs import Run

Way = tuple[str, str]  # from a domain to the other


def translated(run: Run, suffix: str) -> dict[Way, list[tuple[Path, Path]]]:
    """Return for every direction that has any the files before and after translation, the best first."""
    found = {way: _numbered(run, suffix, *way) for way in permutations(run.domains, 2)}
    return {way: pairs for way, pairs in found.items() if pairs}


def _numbered(run: Run, suffix: str, source: str, target: str) -> list[tuple[Path, Path]]:
    folder, names = run.directory / "samples", plain_names(run.domains)
    stems = (f"{names[source]}-{number}" for number in count(1))
    pairs = ((folder / f"{stem}{suffix}", folder / f"{stem}-to-{names[target]}{suffix}") for stem in stems)
    return list(takewhile(lambda pair: all(path.is_file() for path in pair), pairs))


def drawn(run: Run) -> list[Path]:
    """Return the samples of a run that draws, the best first."""
    files = (run.directory / "samples" / f"{plain(run.domains[0])}-{number}.jpg" for number in count(1))
    return list(takewhile(Path.is_file, files))
