"""The page of one run: what became of it, what to do next, its curves, pictures, figures and settings."""

import math
import re
import shlex
import time
from collections.abc import Iterator, Mapping
from typing import Any

from cyclegan.errors import shown
from cyclegan.experiment import Experiment, presets
from cyclegan.reporting import curves
from cyclegan.reporting.advice import Advice, advise
from cyclegan.reporting.folders import folders
from cyclegan.reporting.log import Look
from cyclegan.reporting.page import (
    Block,
    Commands,
    Fold,
    Notes,
    Page,
    Picture,
    Section,
    Table,
    picture,
    render,
)
from cyclegan.reporting.runs import Run, read_json, read_text
from cyclegan.reporting.sounds import sounds
from cyclegan.reporting.words import against, aimed, decimals, duration, printable
from cyclegan.tables import flat

TONES = {"finished": "good", "training": "note", "stopped": "note"}
FIGURES = {
    "fid": ("FID", 1),
    "cycle": ("there and back", 1),
    "change": ("change", 1),
    "diversity": ("diversity", 2),
    "copies": ("near-copies", 2),
    "error": ("decoding error", 1),
}
HEARD = {
    "fid": ("Fréchet distance", 1),
    "cycle": ("there and back, dB", 1),
    "change": ("change, dB", 1),
    "diversity": ("diversity", 2),
    "modulation": ("modulation, dB", 2),
}


def report(run: Run) -> bytes:
    """Return a run as one self-contained HTML page."""
    advice = advise(run)
    environment = read_json(run.directory / "environment.json")
    page = Page(
        title=" and ".join(map(printable, run.domains)) or shown(run.directory.resolve().name),
        state=run.state.capitalize(),
        tone=_tone(run, advice),
        verdict=advice[0].found if advice else "",
        facts=_facts(run, environment),
        sections=[
            Section("What to do next", [Notes(advice), Commands(_commands(run, anew=any(a.anew for a in advice)))]),
            Section("Curves", curves.charts(run), columns=True),
            Section("Voices" if run.speaks else "Pictures", [*sounds(run), *_pictures(run)]),
            Section("Figures", list(_figures(run))),
            Section("Data", _table_of(folders(read_json(run.directory / "data.json")))),
            Section("Settings", list(_settings(run, environment))),
        ],
        above=f"styl report · {shown(run.directory)}",
        foot=f"Written {time.strftime('%Y-%m-%d %H:%M')}; the run was last written to {_ago(run)} before.",
    )
    return render(page)


def _tone(run: Run, advice: list[Advice]) -> str:
    worst = advice[0].kind if advice else "note"
    return worst if worst in ("alarm", "warning") else TONES.get(run.state, "alarm")


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


def _commands(run: Run, *, anew: bool) -> dict[str, str]:
    """Return what to type next; the run's own experiment names the folders and all that was set."""
    folder = str(run.directory)
    again = f"styl train --preset {shlex.quote(folder + '/experiment.toml')}"
    here, beside = shlex.quote(folder), shlex.quote(folder.rstrip("/") + "-2")
    lines = {}
    rate, minutes = run.amount("training.learning_rate"), run.amount("training.minutes")
    if run.state == "finished":
        further = f"--minutes {2 * minutes:g}" if minutes else f"--images {2 * run.images}"
        lines["Go further"] = f"{again} {further} -o {here}"
    elif run.state in ("stopped", "failed", "training"):
        lines["Go on, should it be stopped" if run.state == "training" else "Go on"] = f"{again} -o {here}"
    if anew and rate:
        lines["Begin anew, more gently"] = f"{again} --set training.learning_rate={rate / 2:g} -o {beside}"
    best = run.directory / "weights" / "best.safetensors"
    use = (
        ("Draw", "styl sample {} -o samples")
        if run.draws
        else ("Translate", f"styl translate {'RECORDINGS' if run.speaks else 'PICTURES'} -m {{}} -o translated")
    )
    if run.log.best and best.is_file():
        lines[f"{use[0]} with the best"] = use[1].format(shlex.quote(str(best)))
    elif (run.directory / "weights" / "last.safetensors").is_file():
        lines[use[0]] = use[1].format(here)
    return {what: printable(line) for what, line in lines.items()}


def _pictures(run: Run) -> Iterator[Picture]:
    sheets = {int(p.stem): p for p in run.directory.glob("sheets/*.jpg") if re.fullmatch(r"[0-9]{1,15}", p.stem)}
    best, last = run.log.best, max(sheets, default=0)
    looks = {look.images: look for look in run.log.comparable}
    wanted = [("The best look", best.images)] if best and best.images in sheets else []
    wanted += [("The last look", last)] if sheets and (not wanted or last != wanted[0][1]) else []
    for title, images in wanted:
        if found := picture(sheets[images], title=title, note=_caption(images, looks, run)):
            yield found
    if found := picture(
        run.directory / "sheets" / "extremes.jpg",
        title=f"Worst and best {'samples' if run.draws else 'held-back pictures'}",
    ):
        yield found


def _caption(images: int, looks: Mapping[int, Look], run: Run) -> str:
    look = looks.get(images)
    if look is None or not math.isfinite(look.kid):
        return f"{images:,} {run.seen} seen"
    than = f", {against(look.compared)}" if look.compared else ""
    return f"{images:,} {run.seen} seen, KID × 1000 {decimals(1000 * look.kid)}{than}"


def _figures(run: Run) -> Iterator[Table]:
    """Yield a table a domain, of the figures it has: untranslated pictures, the first, the best and the last look."""
    looks = [look for look in run.log.comparable if look.measure]
    if not looks:
        return
    chosen = {"first look": looks[0], "best look": run.log.best, "last look": looks[-1]}
    rows = {f"{name}, {look.images:,}": look.measure for name, look in chosen.items() if look}
    if run.log.teacher:
        rows = {"the teacher": run.log.teacher} | rows
    if run.log.untranslated:
        rows = {"untranslated": run.log.untranslated} | rows
    for domain in run.log.domains:
        known = {name for measure in rows.values() for name in measure.get(domain, ())}
        figures = {name: about for name, about in (HEARD if run.speaks else FIGURES).items() if name in known}
        body = [[name, *_cells(measure.get(domain, {}), figures)] for name, measure in rows.items()]
        head, title = ["", "KID × 1000", *(name for name, _ in figures.values())], aimed(printable(domain), known)
        yield Table(head, body, title=title[:1].upper() + title[1:], numbers=True)


def _cells(found: Mapping[str, float], figures: Mapping[str, tuple[str, int]]) -> list[str]:
    kid, std = (1000 * found.get(name, math.nan) for name in ("kid", "kid_std"))
    spread = f" ± {decimals(std)}" if math.isfinite(kid) and math.isfinite(std) else ""
    return [
        decimals(kid) + spread,
        *(decimals(found.get(name, math.nan), places) for name, (_, places) in figures.items()),
    ]


def _table_of(found: Mapping[str, Mapping[str, str]]) -> list[Block]:
    """Return a table with a column an entry."""
    names = list(dict.fromkeys(name for column in found.values() for name in column))
    rows = [[name, *(column.get(name, "…") for column in found.values())] for name in names]
    return [Table(["", *found], rows)] if rows else []


def _settings(run: Run, environment: Mapping[str, Any]) -> Iterator[Block]:
    text = read_text(run.directory / "experiment.toml")
    preset = _preset(environment)
    usual = dict(flat(Experiment.load(preset).encode()))
    told = dict(_explanations(text))
    rows = [
        [printable(name), _value(value), _value(usual.get(name)), told.get(name, "")]
        for name, value in flat(dict(run.experiment))
        if _value(value) != _value(usual.get(name))
    ]
    if rows:
        yield Table(["option", "this run", f"preset {preset}", "what it is"], rows)
    if text:
        yield Fold("The whole experiment.toml", text)
    if environment:
        yield Fold("The environment: command, versions, device", read_text(run.directory / "environment.json"))


def _preset(environment: Mapping[str, Any]) -> str:
    """Return the preset that the command named, where it is one of ours, else the one that its verb goes by."""
    words = environment.get("command")
    told = list(map(str, words)) if isinstance(words, list) else []
    named = re.search(r"--preset[ =](\S+)", " ".join(told))
    if named and named[1] in presets():
        return named[1]
    return "distill" if told[1:2] == ["distill"] else "default"


def _explanations(toml: str) -> Iterator[tuple[str, str]]:
    section = ""
    for line in toml.splitlines():
        if line.startswith("["):
            section = f"{line.strip('[] ')}."
        elif " = " in line:
            setting, _, explained = line.rpartition("  # ")
            yield section + setting.partition(" = ")[0], explained


def _value(value: Any) -> str:
    """Return a plain value as a person writes it; long lists are cut."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        more = f" and {len(value) - 8:,} more" if len(value) > 8 else ""
        return ", ".join(map(_value, value[:8])) + more
    if isinstance(value, dict):
        return ", ".join(f"{printable(str(name))}: {_value(item)}" for name, item in value.items())
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None else printable(str(value))
