"""The page of an inspection: what is odd, twice there, astray or rare, side by side with what it is compared with."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypeVar

from cyclegan.errors import shown
from cyclegan.files import write_atomic
from cyclegan.reporting import findings as told
from cyclegan.reporting.findings import Findings, many, percent, summary
from cyclegan.reporting.listening import samples_of, spectrograms
from cyclegan.reporting.page import template
from cyclegan.reporting.tellings import PICTURES, RECORDINGS, Telling
from cyclegan.reporting.thumbnails import thumbnails
from cyclegan.reporting.words import decimals, duration, printable

__all__ = ["summary", "write_inspection"]

ROOM = 60  # thumbnails a section
LISTED = 60  # names of files a folder
CLEAR = 0.9  # share told apart, from which the folders differ clearly
A = TypeVar("A")
K = TypeVar("K")


@dataclass(frozen=True)
class Shot:
    """Shows a picture over its name and a line about it; `called` is what is read out in its place."""

    path: str
    name: str
    called: str
    line: str = ""


Card: TypeAlias = Sequence[Shot]  # a picture, or two side by side


@dataclass(frozen=True)
class Part:
    """Shows the cards of one folder, or the names of its files, and how many more there are."""

    title: str
    cards: Sequence[Card] = ()
    names: Sequence[tuple[str, str]] = ()
    note: str = ""
    more: str = ""


@dataclass(frozen=True)
class Chapter:
    """Groups parts under a title and a sentence on what they mean."""

    title: str
    text: str
    parts: Sequence[Part]


def write_inspection(findings: Findings, target: Path) -> None:
    """Write what was found as one HTML page that needs nothing else; raises OSError.

    `findings` are those of training/inspection.py; their paths are opened for thumbnails as they are, and what cannot
    be read any more is named without one. The page is of a few megabytes at most, however much was found.
    """
    chapters = [chapter for chapter in _chapters(findings) if chapter.parts]
    shots = [shot.path for c in chapters for part in c.parts for card in part.cards for shot in card]
    paired = [shot.path for c in chapters for part in c.parts for card in part.cards if len(card) > 1 for shot in card]
    heard = told.sounds(findings)
    page = template("inspection.html").render(
        title=" and ".join(printable(folder["name"]) for folder in findings["folders"]),
        verdict=_verdict(findings),
        facts=_facts(findings),
        head=list(told.names(findings).values()),
        rows=told.counts(findings),
        step=told.advice(findings),
        chapters=chapters,
        thumbnails=spectrograms(shots) if heard else thumbnails(shots),
        samples=samples_of(list(dict.fromkeys(paired))) if heard else {},
        noun=told.noun(findings),
        explained=told.explained(findings),
        written=time.strftime("%Y-%m-%d %H:%M"),
    )
    write_atomic(target, page.encode("utf-8", "backslashreplace"))


def _verdict(findings: Findings) -> tuple[str, str, str]:
    """Return the tone, the state and a sentence."""
    pairs = len(told.near(findings)) + len(told.across(findings))
    copies = sum(folder["copies"] for folder in findings["folders"])
    unread = sum(len(folder["unreadable"]) for folder in findings["folders"])
    tally = {
        many(len(told.flagged(findings)), "odd one") + " out": len(told.flagged(findings)),
        many(pairs, "near-duplicate pair"): pairs,
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


def _telling(findings: Findings) -> Telling:
    return RECORDINGS if told.sounds(findings) else PICTURES


def _chapters(findings: Findings) -> Iterator[Chapter]:
    telling = _telling(findings)
    yield Chapter("Odd ones out", _odd_text(findings), list(_odd(findings)))
    yield Chapter("In the wrong folder", telling.misfiled, list(_misfiled(findings)))
    yield Chapter("Near-duplicates", telling.copies, list(_duplicates(findings)))
    yield Chapter("Small groups", telling.groups, list(_groups(findings)))
    yield Chapter("Files", telling.files, list(_files(findings)))
    if findings["separable"] is not None:
        yield Chapter("What there is to learn", "", [_apart(findings)])


def _odd_text(findings: Findings) -> str:
    few = any(folder["pictures"] < told.FEW for folder in findings["folders"])
    guess = f" Among fewer than {told.FEW} {told.noun(findings)}s it is a guess." if few else ""
    return (
        "Least like the rest of their folder, the most suspicious first; beside each the normal one that is "
        f"nearest to it. Odd is not wrong: look before you leave one out.{guess}"
    )


def _odd(findings: Findings) -> Iterator[Part]:
    for folder, odd, more in _in_turns(told.flagged(findings), lambda one: one["folder"], room=ROOM // 2):
        cards = [_beside(one, f"score {decimals(one['score'])}", "odd", "nearest normal", findings) for one in odd]
        yield Part(told.names(findings)[folder], cards, more=more)


def _misfiled(findings: Findings) -> Iterator[Part]:
    for folder, strays, more in _in_turns(findings["misfiled"], lambda one: one["folder"], room=ROOM // 2):
        there = told.other(folder, findings)
        cards = [
            _beside(one, f"score {decimals(one['score'], 2)} for {there}", "stray", f"nearest in {there}", findings)
            for one in strays
        ]
        yield Part(f"In {told.names(findings)[folder]}", cards, more=more)


def _beside(one: Findings, line: str, what: str, nearest: str, findings: Findings) -> Card:
    """Return a picture with the one that is nearest to it, where there is one."""
    name, there = _name(one["path"], findings), _name(one["nearest"] or "", findings)
    shot = Shot(one["path"], name, f"{what}: {name}", line)
    return [shot, Shot(one["nearest"], there, f"{nearest}: {there}", nearest)] if one["nearest"] else [shot]


def _duplicates(findings: Findings) -> Iterator[Part]:
    pairs = sorted(findings["duplicates"], key=lambda pair: len(set(pair["folders"])))  # those across come last
    for kind, alike, more in _in_turns(pairs, lambda pair: tuple(dict.fromkeys(pair["folders"])), room=ROOM // 2):
        title = f"Within {told.names(findings)[kind[0]]}" if len(kind) == 1 else "In both folders"
        yield Part(title, [_pair(pair, findings) for pair in alike], more=more)


def _pair(pair: Findings, findings: Findings) -> Card:
    alike = "exact copy" if pair["exact"] else f"difference {decimals(pair['difference'], 2)}"
    folders = [told.names(findings)[name] for name in pair["folders"]]
    prefixes = folders if len(set(folders)) > 1 else ["", ""]
    names = [prefix + _name(pair[side], findings) for prefix, side in zip(prefixes, ("first", "second"), strict=True)]
    second = Shot(pair["second"], names[1], f"much the same: {names[1]}", alike)
    return [Shot(pair["first"], names[0], names[0]), second]


def _groups(findings: Findings) -> Iterator[Part]:
    members = [(i, path) for i, group in enumerate(findings["groups"]) for path in group["pictures"]]
    for i, chosen, more in _in_turns(members, lambda member: member[0], room=ROOM):
        group = findings["groups"][i]
        cards = [[Shot(path, _name(path, findings), _name(path, findings))] for _, path in chosen]
        title = f"{many(len(group['pictures']), told.noun(findings))} of {told.names(findings)[group['folder']]}"
        yield Part(title, cards, note=_meaning(group, findings), more=more)


def _meaning(group: Findings, findings: Findings) -> str:
    share, there = f"{percent(group['share'])} of the folder. ", told.other(group["folder"], findings)
    telling, noun = _telling(findings), told.noun(findings)
    if group["counterpart"] is None:
        return share + telling.rare
    if not group["counterpart"]:
        return share + (
            f"No {noun} of {there} is like them, {telling.stranded} "
            f"They are not shown more often by --balance. Add such {noun}s to {there}, or leave these out."
        )
    return share + (
        f"{many(group['counterpart'], noun)} of {there} {'is' if group['counterpart'] == 1 else 'are'} like them: "
        "a translator can learn to turn these into those, and --balance shows them more often."
    )


def _files(findings: Findings) -> Iterator[Part]:
    for folder in findings["folders"]:
        unread = [(_name(one["path"], findings), printable(one["why"])) for one in folder["unreadable"]]
        every = unread + [(_name(path, findings), "of one colour") for path in folder["constant"]]
        left = f"and {len(every) - LISTED:,} more" if len(every) > LISTED else ""
        copies = f"; {many(folder['copies'], 'exact copy', 'exact copies')}" if folder["copies"] else ""
        note = f"{shown(folder['folder'])}: {many(folder['files'], 'file')}, {_extents(folder, findings)}{copies}"
        yield Part(told.names(findings)[folder["name"]], names=every[:LISTED], note=note, more=left)


def _extents(folder: Findings, findings: Findings) -> str:
    """Return how large a folder's pictures are, or how long its recordings."""
    if told.sounds(findings):
        lengths = ", ".join(f"{which} {told.length(folder[which])}" for which in ("shortest", "median", "longest"))
        return f"{duration(folder['seconds'])} in all: {lengths}"
    sizes = ", ".join(f"{which} {_unbroken(folder[which])}" for which in ("smallest", "median", "largest"))
    return f"{sizes} pixels"


def _unbroken(pair: Sequence[int] | None) -> str:
    return told.size(pair).replace(" ", "\N{NO-BREAK SPACE}")


def _apart(findings: Findings) -> Part:
    separable, noun = findings["separable"], told.noun(findings)
    if separable <= told.ALIKE:
        found = "The folders are nearly alike: there is little to learn. Check that they are the right ones."
    elif separable < CLEAR:
        found = f"The folders overlap: many {noun}s could be of either, and a translator will change those little."
    else:
        found = f"The folders differ clearly. A translator learns whatever differs: {_telling(findings).apart}"
    told_apart = f"{percent(separable)} of the {noun}s are told to be of their folder (50 %: nothing to learn). "
    return Part("", note=told_apart + found)


def _name(path: str, findings: Findings) -> str:
    """Return how a picture is written: from its folder on."""
    roots = [Path(folder["folder"]) for folder in findings["folders"]]
    return shown(next((Path(path).relative_to(root) for root in roots if Path(path).is_relative_to(root)), path))


def _in_turns(items: Sequence[A], kind: Callable[[A], K], *, room: int) -> Iterator[tuple[K, list[A], str]]:
    """Let each kind have its first, then its second, until there is no room; yield a kind's with how many more."""
    kinds: dict[K, list[A]] = {}
    for item in items:
        kinds.setdefault(kind(item), []).append(item)
    ranked = sorted((rank, i) for i, members in enumerate(kinds.values()) for rank in range(len(members)))
    placed = Counter(i for _, i in ranked[:room])
    for i, (which, members) in enumerate(kinds.items()):
        more = len(members) - placed[i]
        yield which, members[: placed[i]], f"and {more:,} more, which --json lists" if more else ""
