"""What an inspection of folders found, in numbers and sentences that the terminal and the page share."""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from cyclegan.reporting.shell import typed
from cyclegan.reporting.words import duration, printable

Findings: TypeAlias = Mapping[str, Any]
SOUND = "recordings"
STAGES = {"descriptor": "first look", "vae": "closer look"}
EXPLAINED = {
    "descriptor": "A first look: by colours, contrast and edges alone.",
    "vae": "A closer look: by what a small model learnt of these pictures.",
}
HEARD = {
    "descriptor": "A first look: by spectrum, level and pitch of the first ten seconds alone.",
    "vae": "A closer look: by what a small model learnt of the first ten seconds of these recordings.",
}
FEW = 200  # pictures, below which what is odd is a guess
ALIKE = 0.6  # share told apart, up to which there is hardly anything to learn
_UNUSED = "cannot be read", "silent or damaged"  # of pictures, and of recordings
WIDEST = 28  # cells of a folder's name in the terminal
MOST = 6  # groups that the terminal names


def summary(findings: Findings, *, advise: bool = True) -> str:
    """Return what was found as a table for the terminal, a column a folder, and the next step where there is one."""
    head = [stage(findings), *(_cut(name) for name in names(findings).values())]
    lines = [*_columns([head, *([label, *cells] for label, cells in counts(findings).items())]), *_remarks(findings)]
    if advise and (step := advice(findings, here=Path.cwd())):
        lines += [f"{step[0]}:", f"  {step[1]}"]
    return "\n".join(lines)


def names(findings: Findings) -> dict[str, str]:
    """Return how each folder is written, by its name."""
    return {folder["name"]: f"{printable(folder['name'])}/" for folder in findings["folders"]}


def sounds(findings: Findings) -> bool:
    """Tell whether recordings were inspected, not pictures."""
    return bool(findings.get("kind") == SOUND)


def noun(findings: Findings) -> str:
    """Return what one of the things is called that were inspected."""
    return "recording" if sounds(findings) else "picture"


def explained(findings: Findings) -> str:
    """Return what the look went by."""
    return (HEARD if sounds(findings) else EXPLAINED)[findings["stage"]]


def stage(findings: Findings) -> str:
    """Return which look it was and how long it took."""
    return f"{STAGES[findings['stage']]}, {duration(findings['seconds'])}"


def flagged(findings: Findings) -> list[Findings]:
    """Return the odd ones that are set aside, the most suspicious first."""
    return [odd for odd in findings["odd"] if odd["flagged"]]


def within(findings: Findings) -> list[Findings]:
    """Return the clusters of near-duplicates that lie in one folder."""
    return [cluster for cluster in findings["clusters"] if len(cluster["folders"]) == 1]


def across(findings: Findings) -> list[Findings]:
    """Return the clusters of near-duplicates that lie in both folders."""
    return [cluster for cluster in findings["clusters"] if len(cluster["folders"]) > 1]


def stranded(findings: Findings) -> list[Findings]:
    """Return the small groups without a counterpart in the other folder."""
    return [group for group in findings["groups"] if group["counterpart"] == 0]


def counts(findings: Findings) -> dict[str, list[str]]:
    """Return the table's rows, a cell a folder; what there is none of is told only where people would ask."""
    folders = findings["folders"]
    rows = {
        "files": [folder["files"] for folder in folders],
        f"{noun(findings)}s": [folder["pictures"] for folder in folders],
        _UNUSED[sounds(findings)]: [len(folder["unreadable"]) for folder in folders],
        "of one colour": [len(folder["constant"]) for folder in folders],
        "exact copies": [folder["copies"] for folder in folders],
        "odd ones out": _each(folders, [odd["folder"] for odd in flagged(findings)]),
        "near-duplicates": _each(folders, [c["folders"][0] for c in within(findings) for _ in c["leave_out"]]),
        "clusters of them": _each(folders, [cluster["folders"][0] for cluster in within(findings)]),
        "clusters in both": [len(across(findings))] * len(folders),
        "in the wrong folder": _each(folders, [one["folder"] for one in findings["misfiled"]]),
        "small groups": _each(folders, [group["folder"] for group in findings["groups"]]),
    }
    left_out = [
        label
        for label in (*_UNUSED, "of one colour", "exact copies", "clusters of them", "clusters in both")
        if not any(rows.get(label, ()))
    ]
    left_out += ["files"] if rows["files"] == rows[f"{noun(findings)}s"] else []
    left_out += ["in the wrong folder"] if len(folders) == 1 else []
    texts = {label: [f"{count:,}" for count in cells] for label, cells in rows.items() if label not in left_out}
    return texts | _extents(findings)


def _extents(findings: Findings) -> dict[str, list[str]]:
    """Return how large pictures are, or how long recordings, and at which rates they were made."""
    folders = findings["folders"]
    if not sounds(findings):
        return {"median size": [size(folder["median"]) for folder in folders]}
    return {
        "length in all": [duration(folder["seconds"]) for folder in folders],
        "median length": [length(folder["median"]) for folder in folders],
        "samples a second": [", ".join(f"{rate:,}" for rate in folder["rates"][:2]) for folder in folders],
    }


def _each(folders: Sequence[Findings], found: Sequence[str]) -> list[int]:
    return [found.count(folder["name"]) for folder in folders]


def size(pair: Sequence[int] | None) -> str:
    """Return a width and a height as people write them; unknown: an ellipsis."""
    return f"{pair[0]} × {pair[1]}" if pair else "…"


def length(seconds: float) -> str:
    """Return how long a recording is: "6.3 s", "2 min 05 s"."""
    return f"{seconds:.1f} s" if seconds < 60 else duration(seconds)


def many(count: int, one: str, more: str = "") -> str:
    """Return a count with its noun: "1 pair", "1,200 pairs"; `more` is the plural where no s makes it."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"


def percent(share: float) -> str:
    """Return a share as whole per cent."""
    return f"{100 * share:.0f} %"


def headline(group: Findings, findings: Findings) -> str:
    """Return what a small group is: how many pictures of which folder."""
    folder = names(findings)[group["folder"]]
    return f"{many(len(group['pictures']), noun(findings))} of {folder} ({percent(group['share'])})"


def other(folder: str, findings: Findings) -> str:
    """Return how the folder that is not `folder` is written; "" where there is none."""
    return next((written for name, written in names(findings).items() if name != folder), "")


def advice(findings: Findings, *, here: Path | None = None) -> tuple[str, str] | None:
    """Return what may be done next and the command for it; folders below `here` are named from there."""
    folders = typed_folders(findings, here=here)
    odd = bool(flagged(findings))
    if any(group["counterpart"] for group in findings["groups"]):
        without = "without the odd ones and " if odd else ""
        return f"train {without}with rare ones shown more often", f"styl train {folders} --balance"
    if odd:
        return "list all but the odd ones, to train with", f"styl inspect {folders} --write-list good.txt"
    return None


def typed_folders(findings: Findings, *, here: Path | None) -> str:
    """Return the folders as a shell takes them."""
    return " ".join(typed(Path(folder["folder"]), here=here) for folder in findings["folders"])


def _remarks(findings: Findings) -> Iterator[str]:
    for group in findings["groups"][:MOST]:
        yield f"small group: {headline(group, findings)}{_met(group, findings)}"
    if len(findings["groups"]) > MOST:
        yield f"and {many(len(findings['groups']) - MOST, 'small group')} more"
    if findings["separable"] is not None:
        yield f"folders told apart: {percent(findings['separable'])} (50 % would mean: nothing to learn)"
    if any(folder["pictures"] < FEW for folder in findings["folders"]):
        yield f"fewer than {FEW} {noun(findings)}s in a folder: what is odd among so few is a guess"


def _met(group: Findings, findings: Findings) -> str:
    there = other(group["folder"], findings)
    if group["counterpart"] is None:
        return ""
    if not group["counterpart"]:
        return f"; no counterpart in {there}: expect artefacts"
    return f"; {group['counterpart']:,} like them in {there}"


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Set the first cells flush left and the others flush right."""
    widths = [max(map(_cells, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(_set(i, cell, width) for i, (cell, width) in enumerate(zip(row, widths, strict=True))) for row in rows
    ]


def _set(column: int, text: str, width: int) -> str:
    gap = " " * (width - _cells(text))
    return gap + text if column else text + gap


def _cut(text: str) -> str:
    """Shorten a name in its middle to what fits in a column."""
    while _cells(text) > WIDEST:
        text = text[: len(text) // 2 - 1] + "…" + text[len(text) // 2 + 1 :]
    return text


def _cells(text: str) -> int:
    """Return how many cells of a terminal a text takes."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) > 0 for c in text)
