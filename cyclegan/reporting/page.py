"""A page that needs nothing but itself: a few kinds of block, laid out by one template, for whoever has a report.

    Page( title, …, sections=[ Section("Curves", [Chart(…), Chart(…)]), Section("Pictures", [Picture(…)]), … ] )

Blocks are Notes, Commands, Chart, Picture, Sounds, Table and Fold; a section of charts or of small pictures is set in
columns. Everything that is put into them is text and is escaped.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from cyclegan.reading import read_file
from cyclegan.reporting.advice import Advice
from cyclegan.reporting.chart import Chart

_KINDS = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png"}


@dataclass(frozen=True)
class Notes:
    """Lists what was found and what to do, each with a colour of its gravity."""

    notes: Sequence[Advice]


@dataclass(frozen=True)
class Commands:
    """Lists lines for the shell, each after what it is for."""

    lines: Mapping[str, str]


@dataclass(frozen=True)
class Picture:
    """Shows a picture that the page carries; build it with `picture`."""

    uri: str
    title: str
    note: str = ""


@dataclass(frozen=True)
class Sounds:
    """Plays sounds that the page carries, before and after: rows of (name, address) each."""

    rows: Sequence[Sequence[tuple[str, str]]]
    title: str = ""


@dataclass(frozen=True)
class Table:
    """Lists rows of texts under a head; `numbers` sets all columns but the first flush right."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    numbers: bool = False


@dataclass(frozen=True)
class Fold:
    """Keeps a long text behind its title."""

    title: str
    text: str


Block: TypeAlias = Notes | Commands | Chart | Picture | Sounds | Table | Fold


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


def template(name: str) -> Template:
    """Return a page of this room to be filled in; whatever is filled in is escaped, and nothing may be left out."""
    loader = PackageLoader("cyclegan", "reporting")
    engine = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    engine.tests["a"] = lambda block, kind: type(block).__name__ == kind
    return engine.get_template(name)


def render(page: Page) -> bytes:
    """Return the page as HTML in UTF-8; what is no text in a name is written out."""
    return template("page.html").render(page=page).encode("utf-8", "backslashreplace")


def picture(path: Path, *, title: str, note: str = "") -> Picture | None:
    """Return a JPEG or PNG file as a block, None where it is missing or is none."""
    try:
        data = read_file(path)
    except OSError:
        return None
    kind = next((kind for magic, kind in _KINDS.items() if data.startswith(magic)), None)
    return Picture(f"data:{kind};base64,{base64.b64encode(data).decode()}", title, note) if kind else None
