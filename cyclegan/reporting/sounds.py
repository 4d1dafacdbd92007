"""What a run of voices left to listen to, side by side: what was said, and what was made of it."""

from collections.abc import Iterator
from itertools import count, permutations
from pathlib import Path

from cyclegan.files import plain
from cyclegan.reading import read_file
from cyclegan.reporting.listening import address
from cyclegan.reporting.page import Sounds
from cyclegan.reporting.runs import Run
from cyclegan.reporting.words import printable

ROOM = 4_000_000  # bytes of sounds that a page carries


def sounds(run: Run) -> Iterator[Sounds]:
    """Yield the samples of the last look, a block a direction, as many pairs as a page has room for."""
    for source, target in permutations(run.domains, 2) if run.speaks else ():
        rows, left = [], ROOM // 2
        for number in count(1):
            before = run.directory / "samples" / f"{plain(source)}-{number}.wav"
            after = before.with_name(f"{before.stem}-to-{plain(target)}.wav")
            found = [_read(path) for path in (before, after)]
            if not all(found) or sum(map(len, found)) > left:
                break
            left -= sum(map(len, found))
            rows.append([(printable(source), found[0]), (f"as {printable(target)}", found[1])])
        if rows:
            yield Sounds(rows, title=f"{printable(source)} to {printable(target)}, at the last look")


def _read(path: Path) -> str:
    """Return a WAV as an address that holds it, "" where there is none."""
    try:
        data = read_file(path, most=ROOM)
    except OSError:
        return ""
    return address(data, kind="audio/wav") if data.startswith(b"RIFF") else ""
