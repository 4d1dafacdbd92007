"""Which files of inspected folders are worth learning from: what is listed, and what the page's ticks begin with."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cyclegan.reporting.findings import Findings, flagged

LONGEST = 3_000_000  # characters of names that a page carries


@dataclass(frozen=True)
class Selection:
    """Holds a number for every file, by its path, and all that a page's script must have to write a list of paths.

    `table` is JSON in ASCII: {"folders": [[path, [name, …]], …], "out": [number, …]}; numbers count names from 0, and
    those of `out` are left out to begin with. Bytes of names that are no UTF-8 are lone surrogates (PEP 383).
    """

    numbers: Mapping[str, int]
    table: str

    def of(self, paths: Iterable[str]) -> str:
        """Return the numbers of files as a text."""
        return " ".join(str(self.numbers[path]) for path in paths if path in self.numbers)


def selection(findings: Findings) -> Selection | None:
    """Return the selection that a page begins with, None where there are too many names for a page."""
    folders = {folder["folder"]: sorted(_inside(folder["folder"], findings)) for folder in findings["folders"]}
    paths = (str(Path(folder, name)) for folder, names in folders.items() for name in names)
    numbers = {path: number for number, path in enumerate(paths)}
    out = sorted(numbers[path] for path in doubtful(findings) if path in numbers)
    table = json.dumps({"folders": [(_whole(folder), names) for folder, names in folders.items()], "out": out})
    return Selection(numbers, table.replace("<", "\\u003c")) if len(table) <= LONGEST else None


def worthwhile(findings: Findings) -> list[str]:
    """Return the paths of all files but the doubtful ones, sorted; whole, so that a list of them may lie anywhere."""
    without = doubtful(findings)
    return sorted(_whole(one["path"]) for one in findings["odd"] if one["path"] not in without)


def doubtful(findings: Findings) -> set[str]:
    """Return the paths that are odd, in the wrong folder, or near-duplicates of one that is kept."""
    copies = {path for cluster in findings["clusters"] for path in cluster["leave_out"]}
    return copies | {one["path"] for one in (*flagged(findings), *findings["misfiled"])}


def _inside(folder: str, findings: Findings) -> Iterator[str]:
    paths = (Path(one["path"]) for one in findings["odd"])
    return (str(path.relative_to(folder)) for path in paths if path.is_relative_to(folder))


def _whole(path: str) -> str:
    return os.path.abspath(path)  # noqa: PTH100 - links are left as they are
