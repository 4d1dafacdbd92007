"""The page of one run: what came out of it, what to do next, how it went, and its settings."""

import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cyclegan.errors import shown
from cyclegan.reporting import curves
from cyclegan.reporting.advice import Advice, advise
from cyclegan.reporting.commands import commands
from cyclegan.reporting.figures import figures, meanings
from cyclegan.reporting.folders import folders
from cyclegan.reporting.page import Block, Commands, Fold, Notes, Page, Picture, Section, Table, render
from cyclegan.reporting.pictures import picture
from cyclegan.reporting.previews import previews
from cyclegan.reporting.result import distances, examples, outcome
from cyclegan.reporting.runs import Run, read_json
from cyclegan.reporting.settings import settings
from cyclegan.reporting.words import decimals, duration, printable

TONES = {"finished": "good", "training": "note", "stopped": "note"}


def report(run: Run) -> bytes:
    """Return a run as one self-contained HTML page; its commands are to be typed in the folder of this process."""
    advice = advise(run)
    environment = read_json(run.directory / "environment.json")
    best, extremes = list(examples(run)), list(_extremes(run))
    page = Page(
        title=" and ".join(map(printable, run.domains)) or shown(run.directory.resolve().name),
        state=run.state.capitalize(),
        tone=_tone(run, advice),
        verdict=_verdict(run, advice),
        facts=_facts(run, environment),
        sections=[
            Section("The result", [*(best or extremes), *distances(run)], columns=True),
            Section("What to do next", [Notes(advice), *_next(run, advice)]),
            Section("Curves", list(_curves(run)), columns=True),
            Section("Sheets", [*previews(run), *(extremes if best else [])]),
            Section("Figures", list(_figures(run)), columns=True),
            Section("Data", _table_of(folders(read_json(run.directory / "data.json")))),
            Section("Settings", list(settings(run, environment))),
        ],
        above=f"styl report · {shown(run.directory)}",
        foot=f"Written {time.strftime('%Y-%m-%d %H:%M')}; the run was last written to {_ago(run)} before.",
    )
    return render(page)


def _tone(run: Run, advice: list[Advice]) -> str:
    worst = advice[0].kind if advice else "note"
    return worst if worst in ("alarm", "warning") else TONES.get(run.state, "alarm")


def _verdict(run: Run, advice: list[Advice]) -> str:
    """Return what came out, and what is gravest of what is to be said; an alarm comes first."""
    worst, reached = advice[:1], outcome(run)
    grave = [note.found for note in worst if note.kind in ("alarm", "warning") or not reached]
    return " ".join([*grave, reached] if worst and worst[0].kind == "alarm" else [reached, *grave]).strip()


def _ago(run: Run) -> str:
    return duration(time.time() - run.updated)


def _facts(run: Run, environment: Mapping[str, Any]) -> dict[str, str]:
    best, speeds = run.log.best, [step.speed for step in run.log.steps if math.isfinite(step.speed)]
    wanted, minutes = run.amount("training.images"), run.amount("training.minutes")
    facts = {"Best KID × 1000": f"{decimals(1000 * best.kid)} at {best.images:,}"} if best else {}
    facts[f"{run.seen.capitalize()} seen"] = f"{run.images:,}" + (
        f" of {wanted:,.0f}" if wanted and not minutes else ""
    )
    facts["Trained for"] = duration(run.log.seconds) + (f" of {duration(60 * minutes)}" if minutes else "")
    if speeds:
        facts["Speed"] = f"{decimals(sorted(speeds)[len(speeds) // 2])} {run.seen}/s"
    device = str(environment.get("device") or "")
    name = _threads(environment) if device == "cpu" else environment.get("device_name")
    return facts | ({"Device": printable(str(name or device))} if device else {})


def _threads(environment: Mapping[str, Any]) -> str:
    threads = environment.get("threads")
    return f"CPU, {threads} thread{'' if threads == 1 else 's'}"


def _next(run: Run, advice: list[Advice]) -> list[Commands]:
    lines = commands(run, anew=any(note.anew for note in advice), here=Path.cwd())
    return [Commands(lines)] if lines else []


def _curves(run: Run) -> Iterator[Block]:
    yield from curves.charts(run)
    if pace := curves.pace(run):
        yield Fold("Learning rate and speed", pace, columns=True)


def _extremes(run: Run) -> Iterator[Picture]:
    title = f"Best and worst {'samples' if run.draws else f'held-back {run.things}'} at the last preview"
    if extremes := picture(run.directory / "sheets" / "extremes.jpg", alt=title):
        yield Picture(extremes, title)


def _figures(run: Run) -> Iterator[Block]:
    tables = list(figures(run))
    yield from tables
    if tables:
        yield Fold("What these figures are", [meanings(tables)])


def _table_of(found: Mapping[str, Mapping[str, str]]) -> list[Block]:
    """Return a table with a column an entry."""
    names = list(dict.fromkeys(name for column in found.values() for name in column))
    rows = [[name, *(column.get(name, "…") for column in found.values())] for name in names]
    return [Table(["", *found], rows)] if rows else []
