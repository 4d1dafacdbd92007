"""What is known about the pictures of a training's folders, and how it is written down."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cyclegan.errors import shown
from cyclegan.reading import read_file
from cyclegan.training.medium import Medium
from cyclegan.training.store import Store, place_of

FORMAT = 1
CONSTANT = 1.0  # levels of 255; below 0.4, the ε = 1e-5 of instance norm is all that is left to divide by


@dataclass(frozen=True)
class Facts:
    """What one file holds: the hash of its bytes, the picture's size, and why it cannot be decoded, if it cannot.

    `spread` is the largest standard deviation of a channel, `colour` the mean distance between channels, in levels.
    Of a recording, `seconds` of speech were found at so many samples a second (`rate`).
    """

    digest: str = ""
    height: int = 0
    width: int = 0
    spread: float = 0.0
    colour: float = 0.0
    problem: str = ""
    seconds: float = 0.0
    rate: int = 0

    @property
    def fault(self) -> str:
        """Why the picture is not learnt from, or nothing.

        A picture of one colour teaches no more than that colour, but multiplies gradients by a hundred: instance norm
        divides by the standard deviation.
        """
        constant = self.spread < CONSTANT and not self.seconds
        return self.problem or ("all of one colour" if constant else "")


@dataclass(frozen=True)
class Album:
    """A domain's folder: for every picture, by its name below the folder, size and time of change, and the facts."""

    name: str
    folder: Path
    stamps: Mapping[str, tuple[int, int]]
    facts: Mapping[str, Facts]

    @property
    def usable(self) -> list[Path]:
        """The pictures that are learnt from, in the order in which folders are listed."""
        return [self.folder / name for name, facts in self.facts.items() if not facts.fault]

    @property
    def left_out(self) -> list[str]:
        """The pictures that are not, each with the reason."""
        return [f"{shown(self.folder / name)}: {f.fault}" for name, f in self.facts.items() if f.fault]

    def stores(self, medium: Medium) -> Iterator[Store]:
        """Open what there is of the folder's decoded pictures."""
        digests = {self.folder / name: facts.digest for name, facts in self.facts.items() if not facts.fault}
        for short in medium.short_sides():
            store = Store.open(self.place(medium, short), digests, short=short)
            if store:
                yield store

    def place(self, medium: Medium, short: int) -> Path:
        """Return the file of the folder's decoded pictures, whether it is there or not."""
        return place_of([facts.digest for facts in self.facts.values()], medium.made_of(), short=short)


@dataclass(frozen=True)
class Scan:
    """What lies in the folders of a training; `unstored` says why pictures are not kept decoded, where they are not."""

    albums: tuple[Album, ...]
    unstored: tuple[str, ...] = field(default=(), compare=False)

    @property
    def left_out(self) -> list[str]:
        """The pictures that are not learnt from, each once, with the reason."""
        return [line for album in self.albums for line in album.left_out]

    @property
    def fingerprint(self) -> str:
        """A hash of names and contents: the same wherever the folders lie."""
        contents = [[(n, f.digest) for n, f in album.facts.items()] for album in self.albums]
        return hashlib.sha256(json.dumps(contents).encode()).hexdigest()

    def encode(self) -> bytes:
        """Return the scan as JSON, for decode."""
        albums = [
            {
                "name": album.name,
                "folder": str(album.folder),
                "pictures": {n: [*album.stamps[n], asdict(facts)] for n, facts in album.facts.items()},
            }
            for album in self.albums
        ]
        table = {"format": FORMAT, "fingerprint": self.fingerprint, "unstored": self.unstored, "albums": albums}
        return json.dumps(table, indent=1).encode()

    @classmethod
    def decode(cls, text: bytes) -> "Scan | None":
        """Return the scan that was encoded; None for anything else, since all of it can be found out again."""
        try:
            table = json.loads(text)
            if table["format"] != FORMAT:
                return None
            return cls(tuple(map(_album, table["albums"])), tuple(table["unstored"]))
        except (ValueError, TypeError, KeyError, RecursionError):
            return None

    @classmethod
    def load(cls, file: Path) -> "Scan | None":
        """Read what an earlier scan wrote down; None where there is none, or none that is whole."""
        return cls.decode(read_file(file)) if file.is_file() else None


def _album(table: Mapping[str, Any]) -> Album:
    pictures = table["pictures"]
    stamps = {name: (int(entry[0]), int(entry[1])) for name, entry in pictures.items()}
    return Album(table["name"], Path(table["folder"]), stamps, {n: Facts(**entry[2]) for n, entry in pictures.items()})


def differences(old: Scan, new: Scan) -> list[str]:
    """Say for every domain which pictures were added, removed or changed between two scans; moving changes nothing."""
    lines = []
    for before, after in zip(old.albums, new.albums, strict=True):
        kinds = {
            "added": [n for n in after.facts if n not in before.facts],
            "removed": [n for n in before.facts if n not in after.facts],
            "changed": [n for n, f in after.facts.items() if n in before.facts and before.facts[n].digest != f.digest],
        }
        counts = ", ".join(f"{len(names)} {kind}" for kind, names in kinds.items() if names)
        if counts:
            lines.append(f"{after.name}: {counts} ({_some([n for names in kinds.values() for n in names])})")
    return lines


def _some(names: Iterable[str], *, count: int = 3) -> str:
    listed = list(names)
    return ", ".join(map(shown, listed[:count])) + (", …" if len(listed) > count else "")
