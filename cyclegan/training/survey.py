"""The folders as a run finds them: looked through by the first rank, and the same as when the run began."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cyclegan.errors import UsageError, shown
from cyclegan.experiment import Data
from cyclegan.training.album import Scan, differences
from cyclegan.training.medium import Medium
from cyclegan.training.ranks import Ranks
from cyclegan.training.scan import scan

MEMORY = "data.json"  # in the run folder

Tell = Callable[[dict[str, Any]], None]


def survey(
    data: Data,
    directory: Path,
    medium: Medium | None = None,
    *,
    ranks: Ranks,
    strict: bool,
    changed: bool,
    tell: Tell,
) -> Scan:
    """Look through the folders, as far as the run folder does not remember them; the other ranks are told.

    Raises InputError for folders that cannot be learnt from, and UsageError where a run that has begun would go on with
    other pictures, unless `changed` allows it.
    """
    if not ranks.first:
        return _decoded(ranks.told(b""))
    earlier, begun = Scan.load(directory / MEMORY), any((directory / "state").glob("*.safetensors"))
    found = scan(
        data,
        medium=medium,
        earlier=earlier,
        strict=strict,
        tell=lambda done, of: tell({"looked": done, "of": of}),
    )
    if begun and not (earlier and len(earlier.albums) == len(found.albums)):
        tell({"note": f"{shown(directory / MEMORY)}: cannot be read, so that changes of the folders go unnoticed"})
    elif begun and earlier and not changed:
        _refuse(differences(earlier, found), directory, called=medium.called if medium else "pictures")
    return _decoded(ranks.told(found.encode())) if ranks.count > 1 else found


def _decoded(text: bytes) -> Scan:
    told = Scan.decode(text)
    assert told, "what was encoded a moment ago"
    return told


def _refuse(lines: list[str], directory: Path, *, called: str) -> None:
    if lines:
        what = f"{shown(directory)}: the {called} are not those it was begun with: {'; '.join(lines)}"
        raise UsageError(what, hint="--allow-changed-data goes on with them, -o begins another run")
