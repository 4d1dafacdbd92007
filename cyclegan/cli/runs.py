"""styl runs: which trainings there are, and how each of them fares."""

from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from cyclegan.cli.edge import result
from cyclegan.errors import shown

Root = Annotated[Path, Argument(help="A folder of runs.")]
Json = Annotated[bool, Option("--json", help="Print a list for programs.")]
HEAD = ("run", "domains", "state", "best KID × 1000", "seen", "trained", "last written")
WIDEST = 48  # cells that names of domains may take


def runs(root: Root = Path("runs"), as_json: Json = False) -> int:
    """List runs, the newest first: state, best KID, pictures seen, time."""
    from cyclegan.reporting.runs import list_runs

    found = [run.encode() for run in list_runs(root)] if root.exists() or root != Path("runs") else []
    table = columns([HEAD, *map(_row, found)]) if found else f"no runs in {shown(root)}; styl train makes one"
    result(table, summary={"runs": found}, as_json=as_json)
    return 0


def _row(run: dict[str, Any]) -> tuple[str, ...]:
    from rich.cells import cell_len, set_cell_size

    from cyclegan.reporting.words import duration

    domains = ", ".join(run["domains"])
    domains = domains if cell_len(domains) <= WIDEST else set_cell_size(domains, WIDEST - 1) + "…"
    best = "" if run["best_kid"] is None else f"{1000 * run['best_kid']:.1f} at {run['best_at']:,}"
    pictures = f"{run['images']:,}" + (f" of {run['images_wanted']:,}" if run["images_wanted"] else "")
    whole = f" of {duration(60 * run['minutes_wanted'])}" if run["minutes_wanted"] else ""
    trained, written = duration(run["seconds"]) + whole, f"{duration(run['age'])} ago"
    return run["run"], domains, run["state"], best, pictures, trained, written


def columns(rows: list[tuple[str, ...]]) -> str:
    """Set rows in columns as wide as their widest cell, in a terminal's cells."""
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(c + " " * (w - cell_len(c)) for c, w in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
