"""The page of an inspection: what is odd, twice there, astray or rare, and a list of what to learn from."""

import time
from pathlib import Path

from cyclegan.files import write_atomic
from cyclegan.reporting import findings as told
from cyclegan.reporting.chapters import chapters
from cyclegan.reporting.document import document
from cyclegan.reporting.findings import Findings, many, percent, summary
from cyclegan.reporting.listening import samples_of, spectrograms
from cyclegan.reporting.selection import selection
from cyclegan.reporting.thumbnails import thumbnails
from cyclegan.reporting.words import printable

__all__ = ["summary", "write_inspection"]


def write_inspection(findings: Findings, target: Path) -> None:
    """Write what was found as one HTML page that needs nothing else; raises OSError.

    `findings` are those of training/inspection.py; their paths are opened for thumbnails as they are, and what cannot
    be read any more is named without one. The page is of a few megabytes at most, however much was found.
    """
    found = chapters(findings)
    cards = [card for chapter in found for part in chapter.parts for card in part.cards]
    shots = [shot.path for card in cards for shot in card.shots]
    paired = dict.fromkeys(shot.path for card in cards if len(card.shots) > 1 for shot in card.shots)
    heard, here = told.sounds(findings), Path.cwd()
    page = document(
        "inspection.html",
        styles=("style.css", "inspection.css"),
        script="inspection.js",
        title=" and ".join(printable(folder["name"]) for folder in findings["folders"]),
        verdict=_verdict(findings),
        facts=_facts(findings),
        head=list(told.names(findings).values()),
        rows=told.counts(findings),
        step=told.advice(findings, here=here),
        chapters=found,
        selection=selection(findings),
        train=_train(findings, here),
        thumbnails=spectrograms(shots) if heard else thumbnails(shots),
        samples=samples_of(list(paired)) if heard else {},
        wide=heard or all(folder["median"][0] > folder["median"][1] for folder in findings["folders"]),
        noun=told.noun(findings),
        explained=told.explained(findings),
        written=time.strftime("%Y-%m-%d %H:%M"),
    )
    write_atomic(target, page)


def _train(findings: Findings, here: Path) -> str:
    """Return what takes the list; one folder alone is learnt to be drawn, which voices are not."""
    one = len(findings["folders"]) == 1
    line = f"styl train {told.typed_folders(findings, here=here)}{' --preset vae' * one} --only good.txt"
    return "" if one and told.sounds(findings) else line


def _verdict(findings: Findings) -> tuple[str, str, str]:
    """Return the tone, the state and a sentence."""
    clusters, copied = findings["clusters"], sum(len(c["leave_out"]) for c in findings["clusters"])
    copies = sum(folder["copies"] for folder in findings["folders"])
    unread = sum(len(folder["unreadable"]) for folder in findings["folders"])
    tally = {
        many(len(told.flagged(findings)), "odd one") + " out": len(told.flagged(findings)),
        f"{many(copied, 'near-duplicate')} in {many(len(clusters), 'cluster')}": copied,
        many(len(findings["misfiled"]), told.noun(findings)) + " in the wrong folder": len(findings["misfiled"]),
        many(len(findings["groups"]), "small group"): len(findings["groups"]),
        many(copies, "exact copy", "exact copies"): copies,
        many(unread, "file") + (" silent or damaged" if told.sounds(findings) else " that cannot be read"): unread,
    }
    found = ", ".join(text for text, count in tally.items() if count)
    if findings["separable"] is not None and findings["separable"] <= told.ALIKE:
        return "warning", "Hardly to be told apart", f"{found}." if found else ""
    grave = findings["misfiled"] or told.stranded(findings)
    return (
        ("warning" if grave else "note", "Worth a look", f"{found}.") if found else ("good", "Nothing stands out", "")
    )


def _facts(findings: Findings) -> dict[str, str]:
    facts = {told.names(findings)[f["name"]]: many(f["pictures"], told.noun(findings)) for f in findings["folders"]}
    if findings["separable"] is not None:
        facts["Told apart"] = percent(findings["separable"])
    look, _, seconds = told.stage(findings).partition(", ")
    return facts | {look.capitalize(): seconds}
