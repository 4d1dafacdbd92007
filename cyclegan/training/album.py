"""What is known about the pictures of a training's folders, and how it is written down."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cyclegan.errors import shown
from cyclegan.reading import read_file
from cyclegan.training.medium import Medium
from cyclegan.training.store import Store, place_of

FORMAT = 1
CONSTANT = 1.0  # levels of 255; below 0.4, the ε = 1e-5 of instance norm is all that is left to divide by


@dataclass(frozen=True, slots=True)
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

    def encode(self) -> dict[str, Any]:
        """Return the facts as plain values, without those that say nothing."""
        seen = {"digest": self.digest, "height": self.height, "width": self.width}
        seen |= {"spread": self.spread, "colour": self.colour}
        heard = {"problem": self.problem, "seconds": self.seconds, "rate": self.rate}
        return seen | {name: value for name, value in heard.items() if value}

    @classmethod
    def decode(cls, table: Mapping[str, Any]) -> "Facts":
        """Return the facts that were encoded; raises ValueError, TypeError or KeyError for anything else."""
        for name, value in table.items():
            kinds = _KINDS[name]
            if type(value) not in kinds or (str not in kinds and not 0 <= value < LARGE):
                raise ValueError(name)
        return cls(**table)


LARGE = 1 << 53  # no fact about a file is a number beyond it
_KINDS: dict[str, tuple[type, ...]] = dict.fromkeys(("digest", "problem"), (str,))
_KINDS |= dict.fromkeys(("height", "width", "rate"), (int,))
_KINDS |= dict.fromkeys(("spread", "colour", "seconds"), (float, int))


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
        """Return the scan as JSON, a line a picture, for decode."""
        head = json.dumps({"format": FORMAT, "fingerprint": self.fingerprint, "unstored": self.unstored})
        return f'{head[:-1]}, "albums": [{", ".join(map(_encoded, self.albums))}]}}'.encode()

    @classmethod
    def decode(cls, text: bytes) -> "Scan | None":
        """Return the scan that was encoded; None for anything else, since all of it can be found out again."""
        try:
            table = json.loads(text, object_hook=lambda found: Facts.decode(found) if "digest" in found else found)
            if table["format"] != FORMAT:
                return None
            return cls(tuple(map(_decoded, table["albums"])), tuple(map(_text, table["unstored"])))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None

    @classmethod
    def load(cls, file: Path) -> "Scan | None":
        """Read what an earlier scan wrote down; None where there is none, or none that is whole."""
        try:
            return cls.decode(read_file(file))
        except OSError:
            return None


def _encoded(album: Album) -> str:
    head = json.dumps({"name": album.name, "folder": str(album.folder)})
    pictures = (json.dumps({name: [*album.stamps[name], facts.encode()]}) for name, facts in album.facts.items())
    lines = ",\n".join(picture[1:-1] for picture in pictures)
    return f'{head[:-1]}, "pictures": {{\n{lines}\n}}}}'


def _decoded(table: Mapping[str, Any]) -> Album:
    stamps, facts = dict[str, tuple[int, int]](), dict[str, Facts]()
    for name, (size, time, found) in table["pictures"].items():
        if (type(size), type(time), type(found)) != (int, int, Facts):
            raise TypeError(name)
        stamps[_text(name)], facts[name] = (size, time), found
    return Album(_text(table["name"]), Path(_text(table["folder"])), stamps, facts)


def _text(name: str) -> str:
    """Return a name as it is; raises TypeError or ValueError for what no file can be called."""
    os.fsencode(name)
    return name


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
