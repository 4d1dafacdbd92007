"""What an inspection found, laid out in chapters: files side by side with what they are compared with."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cyclegan.errors import shown
from cyclegan.reporting import findings as told
from cyclegan.reporting.findings import Findings, many, percent
from cyclegan.reporting.tellings import PICTURES, RECORDINGS, Telling
from cyclegan.reporting.words import decimals, duration, printable

ROOM = 60  # thumbnails a section
CLUSTERS, MEMBERS = 40, 8  # clusters of near-duplicates, and of each
LISTED = 60  # names of files a folder
CLEAR = 0.9  # share told apart, from which the folders differ clearly
A = TypeVar("A")
K = TypeVar("K")


@dataclass(frozen=True)
class Shot:
    """Shows a picture over its name and a line about it; `called` is what is read out in its place.

    What is a `choice` can be ticked: it is learnt from, or not.
    """

    path: str
    name: str
    called: str
    line: str = ""
    choice: bool = False


@dataclass(frozen=True)
class Card:
    """Shows one picture, a pair, or a cluster whose first picture stands for the others."""

    shots: Sequence[Shot]
    title: str = ""
    more: str = ""


@dataclass(frozen=True)
class Part:
    """Shows the cards of one folder, or the names of its files, and how many more there are.

    `together` are the files that can be ticked at once, `kind` is how cards are laid out: "singles", "pairs" or
    "clusters".
    """

    title: str
    cards: Sequence[Card] = ()
    kind: str = "pairs"
    names: Sequence[tuple[str, str]] = ()
    note: str = ""
    more: str = ""
    together: Sequence[str] = ()


@dataclass(frozen=True)
class Chapter:
    """Groups parts under a title and a sentence on what they mean."""

    title: str
    text: str
    parts: Sequence[Part]


def chapters(findings: Findings) -> list[Chapter]:
    """Return the chapters in which there is anything."""
    telling = RECORDINGS if told.sounds(findings) else PICTURES
    found = [
        Chapter("Odd ones out", _odd_text(findings, telling), list(_odd(findings))),
        Chapter("In the wrong folder", f"{telling.misfiled} {telling.misfiled_score}", list(_misfiled(findings))),
        Chapter("Near-duplicates", f"{telling.copies} {telling.difference}", list(_clusters(findings))),
        Chapter("Small groups", telling.groups, list(_groups(findings, telling))),
        Chapter("Files", telling.files, list(_files(findings))),
        Chapter("What there is to learn", "", list(_apart(findings, telling))),
    ]
    return [chapter for chapter in found if chapter.parts]


def _odd_text(findings: Findings, telling: Telling) -> str:
    few = any(folder["pictures"] < told.FEW for folder in findings["folders"])
    guess = f" Among fewer than {told.FEW} {telling.noun}s it is a guess." if few else ""
    return (
        "Least like the rest of their folder, the most suspicious first; beside each the normal one that is nearest to "
        f"it. Odd is not wrong: look before you leave one out.{guess} {telling.odd_score}"
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
    shot = Shot(one["path"], name, f"{what}: {name}", line, choice=True)
    return Card([shot, Shot(one["nearest"], there, f"{nearest}: {there}", nearest)] if one["nearest"] else [shot])


def _clusters(findings: Findings) -> Iterator[Part]:
    clusters = [*told.within(findings), *told.across(findings)]
    for folders, alike, more in _in_turns(clusters, lambda cluster: tuple(cluster["folders"]), room=CLUSTERS):
        title = f"Within {told.names(findings)[folders[0]]}" if len(folders) == 1 else "In both folders"
        yield Part(title, [_cluster(cluster, findings) for cluster in alike], kind="clusters", more=more)


def _cluster(cluster: Findings, findings: Findings) -> Card:
    """Return the files that are kept before the others."""
    paths = [*cluster["keep"], *cluster["leave_out"]]
    several = len(cluster["folders"]) > 1
    names = [_name(path, findings, with_folder=several) for path in paths]
    shots = [
        Shot(path, name, f"kept: {name}" if path in cluster["keep"] else f"much the same: {name}", choice=True)
        for path, name in zip(paths, names, strict=True)
    ]
    alike = f"difference up to {decimals(cluster['difference'], 3)}" if cluster["difference"] else "equal"
    return Card(shots[:MEMBERS], f"{len(paths):,} alike, {alike}", _more(len(shots) - MEMBERS))


def _groups(findings: Findings, telling: Telling) -> Iterator[Part]:
    members = [(i, path) for i, group in enumerate(findings["groups"]) for path in group["pictures"]]
    for i, chosen, more in _in_turns(members, lambda member: member[0], room=ROOM):
        group = findings["groups"][i]
        names = [(path, _name(path, findings)) for _, path in chosen]
        cards = [Card([Shot(path, name, name, choice=True)]) for path, name in names]
        title = f"{many(len(group['pictures']), telling.noun)} of {told.names(findings)[group['folder']]}"
        note = _meaning(group, findings, telling)
        yield Part(title, cards, kind="singles", note=note, more=more, together=group["pictures"])


def _meaning(group: Findings, findings: Findings, telling: Telling) -> str:
    share, there, noun = (
        f"{percent(group['share'])} of the folder. ",
        told.other(group["folder"], findings),
        telling.noun,
    )
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
        copies = f"; {many(folder['copies'], 'exact copy', 'exact copies')}" if folder["copies"] else ""
        note = f"{shown(folder['folder'])}: {many(folder['files'], 'file')}, {_extents(folder, findings)}{copies}"
        yield Part(
            told.names(findings)[folder["name"]], names=every[:LISTED], note=note, more=_more(len(every) - LISTED)
        )


def _extents(folder: Findings, findings: Findings) -> str:
    """Return how large a folder's pictures are, or how long its recordings."""
    if told.sounds(findings):
        lengths = ", ".join(f"{which} {told.length(folder[which])}" for which in ("shortest", "median", "longest"))
        return f"{duration(folder['seconds'])} in all: {lengths}"
    sizes = ", ".join(f"{which} {_unbroken(folder[which])}" for which in ("smallest", "median", "largest"))
    return f"{sizes} pixels"


def _unbroken(pair: Sequence[int] | None) -> str:
    return told.size(pair).replace(" ", "\N{NO-BREAK SPACE}")


def _apart(findings: Findings, telling: Telling) -> Iterator[Part]:
    separable, noun = findings["separable"], telling.noun
    if separable is None:
        return
    if separable <= told.ALIKE:
        found = "The folders are nearly alike: there is little to learn. Check that they are the right ones."
    elif separable < CLEAR:
        found = f"The folders overlap: many {noun}s could be of either, and a translator will change those little."
    else:
        found = f"The folders differ clearly. A translator learns whatever differs: {telling.apart}"
    told_apart = f"{percent(separable)} of the {noun}s are told to be of their folder (50 %: nothing to learn). "
    yield Part("", note=told_apart + found)


def _name(path: str, findings: Findings, *, with_folder: bool = False) -> str:
    """Return how a file is written: from its folder on, or with it."""
    for folder in findings["folders"]:
        if Path(path).is_relative_to(folder["folder"]):
            before = told.names(findings)[folder["name"]] if with_folder else ""
            return before + shown(Path(path).relative_to(folder["folder"]))
    return shown(path)


def _in_turns(items: Sequence[A], kind: Callable[[A], K], *, room: int) -> Iterator[tuple[K, list[A], str]]:
    """Let each kind have its first, then its second, until there is no room; yield a kind's with how many more."""
    kinds: dict[K, list[A]] = {}
    for item in items:
        kinds.setdefault(kind(item), []).append(item)
    ranked = sorted((rank, i) for i, members in enumerate(kinds.values()) for rank in range(len(members)))
    placed = Counter(i for _, i in ranked[:room])
    for i, (which, members) in enumerate(kinds.items()):
        more = len(members) - placed[i]
        yield which, members[: placed[i]], _more(more)


def _more(count: int) -> str:
    return f"and {count:,} more, which --json lists" if count > 0 else ""
