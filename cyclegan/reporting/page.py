"""A page that needs nothing but itself: a few kinds of block, laid out by one template, for whoever has a report.

    Page( title, …, sections=[ Section("Curves", [Chart(…), Chart(…)]), Section("Pictures", [Picture(…)]), … ] )

Blocks are Pairs, Gallery, Voices, Distances, Notes, Commands, Chart, Previews, Picture, Table, Text and Fold. All that
is put into them is text and is escaped, or an address that `document.address` made. Without scripts pairs stand side by
side and previews one below the other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from cyclegan.reporting.advice import Advice
from cyclegan.reporting.chart import Chart
from cyclegan.reporting.document import document
from cyclegan.reporting.pictures import Image


@dataclass(frozen=True)
class Pairs:
    """Pictures of one direction, to be compared under a slider whose sides are named `before` and `after`."""

    title: str
    before: str
    after: str
    pairs: Sequence[tuple[Image, Image]]
    small: bool = False


@dataclass(frozen=True)
class Gallery:
    """Pictures in rows, as large as the window allows."""

    title: str
    images: Sequence[Image]


@dataclass(frozen=True)
class Voice:
    """A sound to play: whose voice it is, the recording's name, its spectrogram and its address."""

    speaker: str
    name: str
    spectrogram: Image
    uri: str


@dataclass(frozen=True)
class Voices:
    """Recordings of one direction beside what they were converted to."""

    title: str
    pairs: Sequence[tuple[Voice, Voice]]


@dataclass(frozen=True)
class Bar:
    """A length between 0 and 1 with its name and its value; `tone` chooses the colour, None that of what is soft."""

    name: str
    value: str
    length: float
    tone: int | None = None


@dataclass(frozen=True)
class Distances:
    """Bars in groups, each under its name, to be compared with each other."""

    title: str
    groups: Mapping[str, Sequence[Bar]]
    note: str = ""


@dataclass(frozen=True)
class Notes:
    """Lists what was found and what to do, each with a colour of its gravity."""

    notes: Sequence[Advice]


@dataclass(frozen=True)
class Commands:
    """Lists lines for the shell, each after what it is for."""

    lines: Mapping[str, str]


@dataclass(frozen=True)
class Previews:
    """Sheets in the order of time, each with what is said of it; `chosen` is seen first."""

    title: str
    sheets: Sequence[tuple[Image, str]]
    chosen: int
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """Shows a picture under its title."""

    image: Image
    title: str
    note: str = ""


@dataclass(frozen=True)
class Table:
    """Lists rows of texts under a head; `numbers` sets all columns but the first flush right."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    numbers: bool = False


@dataclass(frozen=True)
class Text:
    """Shows a text line by line, as it stands in a file."""

    text: str


@dataclass(frozen=True)
class Fold:
    """Keeps blocks behind a title."""

    title: str
    blocks: "Sequence[Block]"
    columns: bool = False


Block: TypeAlias = (
    Pairs | Gallery | Voices | Distances | Notes | Commands | Chart | Previews | Picture | Table | Text | Fold
)


@dataclass(frozen=True)
class Section:
    """Groups blocks under a title; `columns` sets them side by side where the window is wide enough."""

    title: str
    blocks: Sequence[Block]
    columns: bool = False


@dataclass(frozen=True)
class Page:
    """Holds a whole page: `state` and `tone` ("good", "note", "warning", "alarm") make the badge beside the title."""

    title: str
    state: str
    tone: str
    verdict: str
    facts: Mapping[str, str]
    sections: Sequence[Section]
    foot: str = ""
    above: str = field(default="styl")


def render(page: Page) -> bytes:
    """Return the page as HTML in UTF-8; what is no text in a name is written out."""
    return document("page.html", styles=("style.css", "page.css"), script="page.js", page=page)
