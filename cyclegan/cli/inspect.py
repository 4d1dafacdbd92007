"""styl inspect: one folder or two in, what is in them out."""

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from cyclegan.cli.display import Display
from cyclegan.cli.edge import result
from cyclegan.cli.train import count, names_of
from cyclegan.errors import InputError, shown
from cyclegan.files import write_atomic
from cyclegan.media.folder import encode_list, hold_sound, pictures
from cyclegan.media.kinds import HEARD_SUFFIXES, PICTURE_SUFFIXES

Folders = Annotated[
    list[Path], Argument(help="A folder of pictures or of recordings, or two; subfolders are read too.")
]
Output = Annotated[Path, Option("-o", "--output", help="The page; the figures are written beside it, as .json.")]
WriteList = Annotated[
    Path | None,
    Option(help="Write the paths of the files worth learning from, for styl train --only: one a line, or .json."),
]
Quick = Annotated[bool, Option("--quick", help="Only the first look, without a model.")]
Seed = Annotated[int, Option(min=0, help="The same seed finds the same.")]
Device = Annotated[str, Option(help="auto, cpu, cuda, cuda:1 or mps.")]
Json = Annotated[bool, Option("--json", help="Print everything that was found, for programs.")]


def inspect(
    folders: Folders,
    output: Output = Path("inspect.html"),
    write_list: WriteList = None,
    quick: Quick = False,
    seed: Seed = 0,
    device: Device = "auto",
    as_json: Json = False,
) -> int:
    """Say what is in folders: odd ones out, near-duplicates, misplaced files, small groups. Moves nothing."""
    given = tuple(folders)
    count(given, needed=len(given) if len(given) in (1, 2) else 2, voices=hold_sound(given))
    if output.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{shown(output)}: is no page", hint="for example -o inspect.html")
    if write_list:  # names that a list cannot hold are told now
        encode_list(map(str, chain.from_iterable(_files(given))), file=write_list)
    from cyclegan.reporting.findings import summary

    found: dict[str, Any] = {}
    with Display() as display:
        for found in _looks(given, quick=quick, device=device, seed=seed, display=display):
            if found["stage"] == "descriptor" and not quick and not as_json:
                display.note(f"{summary(found, advise=False)}\n")
    files = _write(found, output, write_list)
    result("\n".join([summary(found), f"wrote {', '.join(map(shown, files))}"]), summary=found, as_json=as_json)
    return 0


def _files(folders: tuple[Path, ...]) -> Iterator[list[Path]]:
    suffixes = HEARD_SUFFIXES if hold_sound(folders) else PICTURE_SUFFIXES
    return (pictures(folder, suffixes=suffixes) for folder in folders)


def _looks(
    folders: tuple[Path, ...], *, quick: bool, device: str, seed: int, display: Display
) -> Iterator[dict[str, Any]]:
    from cyclegan.training.inspection import inspect as look_into

    return look_into(folders, names=names_of(folders), quick=quick, device=device, seed=seed, tell=display.show)


def _write(found: dict[str, Any], page: Path, wanted: Path | None) -> list[Path]:
    """Write the page, the figures and, where it is wanted, the list; return what was written."""
    from cyclegan.reporting.inspection import write_inspection
    from cyclegan.reporting.selection import worthwhile

    figures = page.with_suffix(".json")
    write_inspection(found, page)
    write_atomic(figures, json.dumps(found, indent=1).encode("utf-8", "surrogateescape"))
    if wanted is None:
        return [page, figures]
    write_atomic(wanted, encode_list(worthwhile(found), file=wanted))
    return [page, figures, wanted]
