"""What a run found in its folders, from the data.json that its scan wrote."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from cyclegan.reporting.log import number
from cyclegan.reporting.words import duration, printable

Found = Mapping[str, Any]


def folders(memory: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return for every domain how many files there are, how large or long, how many are left out; unknown: nothing."""
    albums = memory.get("albums")
    return dict(map(_album, _tables(albums))) if isinstance(albums, list) else {}


def _album(album: Found) -> tuple[str, dict[str, str]]:
    entries = album.get("pictures")
    every = [e[2] for e in entries.values() if isinstance(e, list) and len(e) > 2] if isinstance(entries, dict) else []
    facts = list(_tables(every))
    read = [fact for fact in facts if not fact.get("problem")]
    if any(number(fact.get("seconds")) > 0 for fact in read):
        return printable(str(album.get("name", "?"))), _spoken(album, facts, read)
    constant = sum(number(fact.get("spread")) < 1 for fact in read)
    figures = {
        "folder": printable(str(album.get("folder", ""))),
        "pictures": f"{len(facts):,}",
        "cannot be read": f"{len(facts) - len(read):,}",
        "of one colour": f"{constant:,}",
        "copies": f"{len(read) - len({str(fact.get('digest')) for fact in read}):,}",
        "widths": _range(read, "width"),
        "heights": _range(read, "height"),
    }
    return printable(str(album.get("name", "?"))), figures


def _spoken(album: Found, facts: list[Found], read: list[Found]) -> dict[str, str]:
    lengths = sorted(seconds for fact in read if (seconds := number(fact.get("seconds"))) > 0)
    rates = Counter(number(fact.get("rate")) for fact in read).most_common(2)
    return {
        "folder": printable(str(album.get("folder", ""))),
        "recordings": f"{len(facts):,}",
        "silent or damaged": f"{len(facts) - len(read):,}",
        "copies": f"{len(read) - len({str(fact.get('digest')) for fact in read}):,}",
        "speech": duration(sum(lengths)),
        "lengths": f"{lengths[0]:.1f} to {lengths[-1]:.1f} s",
        "samples a second": ", ".join(f"{rate:,.0f}" for rate, _ in rates),
    }


def _range(facts: list[Found], side: str) -> str:
    sizes = sorted(number(fact.get(side)) for fact in facts)
    return "…" if not sizes else f"{sizes[0]:.0f}" + (f" to {sizes[-1]:.0f}" if sizes[-1] > sizes[0] else "")


def _tables(values: list[Any]) -> Iterator[Found]:
    return (value for value in values if isinstance(value, dict))
