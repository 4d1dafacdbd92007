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
from cyclegan.reporting.page import template
from cyclegan.reporting.thumbnails import thumbnails
from cyclegan.reporting.words import decimals, printable

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
    small = thumbnails(shot.path for c in chapters for part in c.parts for card in part.cards for shot in card)
    page = template("inspection.html").render(
        title=" and ".join(printable(folder["name"]) for folder in findings["folders"]),
        verdict=_verdict(findings),
        facts=_facts(findings),
        head=list(told.names(findings).values()),
        rows=told.counts(findings),
        step=told.advice(findings),
        chapters=chapters,
        thumbnails=small,
        explained=told.EXPLAINED[findings["stage"]],
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
        many(len(findings["misfiled"]), "picture") + " in the wrong folder": len(findings["misfiled"]),
        many(len(findings["groups"]), "small group"): len(findings["groups"]),
        many(copies, "exact copy", "exact copies"): copies,
        many(unread, "file") + " that cannot be read": unread,
    }
    found = ", ".join(text for text, count in tally.items() if count)
    if findings["separable"] is not None and findings["separable"] <= told.ALIKE:
        return "warning", "Hardly to be told apart", f"{found}." if found else ""
    grave = findings["misfiled"] or told.stranded(findings)
    return (
        ("warning" if grave else "note", "Worth a look", f"{found}.") if found else ("good", "Nothing stands out", "")
    )


def _facts(findings: Findings) -> dict[str, str]:
    facts = {told.names(findings)[f["name"]]: many(f["pictures"], "picture") for f in findings["folders"]}
    if findings["separable"] is not None:
        facts["Told apart"] = percent(findings["separable"])
    look, _, seconds = told.stage(findings).partition(", ")
    return facts | {look.capitalize(): seconds}


def _chapters(findings: Findings) -> Iterator[Chapter]:
    yield Chapter("Odd ones out", _odd_text(findings), list(_odd(findings)))
    yield Chapter(
        "In the wrong folder",
        "Each looks more like the other folder than like its own; beside it the picture there that is nearest to it. "
        "If you see it so too, move it yourself: styl moves nothing.",
        list(_misfiled(findings)),
    )
    yield Chapter(
        "Near-duplicates",
        "Pairs that show the same but for compression, a narrow crop or brightness. Within a folder such a picture "
        "counts twice in training; in both folders it teaches a translator to leave pictures as they are.",
        list(_duplicates(findings)),
    )
    yield Chapter(
        "Small groups",
        "Pictures that are like each other and unlike most of their folder. Training meets them seldom, and what is "
        "trained treats them worst.",
        list(_groups(findings)),
    )
    yield Chapter(
        "Files", "What training passes over by itself, and how large the pictures are.", list(_files(findings))
    )
    if findings["separable"] is not None:
        yield Chapter("What there is to learn", "", [_apart(findings["separable"])])


def _odd_text(findings: Findings) -> str:
    few = any(folder["pictures"] < told.FEW for folder in findings["folders"])
    guess = f" Among fewer than {told.FEW} pictures it is a guess." if few else ""
    return (
        "Least like the rest of their folder, the most suspicious first; beside each the normal picture that is "
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
        title = f"{many(len(group['pictures']), 'picture')} of {told.names(findings)[group['folder']]}"
        yield Part(title, cards, note=_meaning(group, findings), more=more)


def _meaning(group: Findings, findings: Findings) -> str:
    share, there = f"{percent(group['share'])} of the folder. ", told.other(group["folder"], findings)
    if group["counterpart"] is None:
        return share + "A model of this folder will seldom paint the like."
    if not group["counterpart"]:
        return share + (
            f"No picture of {there} is like them, so that there is nothing to turn them into: expect artefacts. "
            f"They are not shown more often by --balance. Add such pictures to {there}, or leave these out."
        )
    return share + (
        f"{many(group['counterpart'], 'picture')} of {there} {'is' if group['counterpart'] == 1 else 'are'} like them: "
        "a translator can learn to turn these into those, and --balance shows them more often."
    )


def _files(findings: Findings) -> Iterator[Part]:
    for folder in findings["folders"]:
        unread = [(_name(one["path"], findings), printable(one["why"])) for one in folder["unreadable"]]
        every = unread + [(_name(path, findings), "of one colour") for path in folder["constant"]]
        left = f"and {len(every) - LISTED:,} more" if len(every) > LISTED else ""
        sizes = ", ".join(f"{which} {_unbroken(folder[which])}" for which in ("smallest", "median", "largest"))
        copies = f"; {many(folder['copies'], 'exact copy', 'exact copies')}" if folder["copies"] else ""
        note = f"{shown(folder['folder'])}: {many(folder['files'], 'file')}, {sizes} pixels{copies}"
        yield Part(told.names(findings)[folder["name"]], names=every[:LISTED], note=note, more=left)


def _unbroken(pair: Sequence[int] | None) -> str:
    return told.size(pair).replace(" ", "\N{NO-BREAK SPACE}")


def _apart(separable: float) -> Part:
    if separable <= told.ALIKE:
        found = "The folders are nearly alike: there is little to learn. Check that they are the right ones."
    elif separable < CLEAR:
        found = "The folders overlap: many pictures could be of either, and a translator will change those little."
    else:
        found = (
            "The folders differ clearly. A translator learns whatever differs: make sure that it is what you want to "
            "change, and not the size, a border or the light."
        )
    told_apart = f"{percent(separable)} of the pictures are told to be of their folder (50 %: nothing to learn). "
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
