"""Folders looked into before anything is trained: what is odd, twice there, in the wrong place, or rare."""

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cyclegan.curation.findings import Findings, findings, looked_at
from cyclegan.devices import choose_device
from cyclegan.media.folder import hold_sound, passed_over, told_passed_over
from cyclegan.training.acquaintance import DATA, Gathered, acquaint, described, gather
from cyclegan.training.album import Album, Facts, Scan
from cyclegan.training.augment import Geometry
from cyclegan.training.portraits import Portraits
from cyclegan.training.scan import scan

Tell = Callable[[Mapping[str, Any]], None]


def inspect(
    folders: Sequence[Path],
    *,
    names: Sequence[str],
    quick: bool = False,
    device: str = "auto",
    seed: int = 0,
    tell: Tell = lambda line: None,
) -> Iterator[dict[str, Any]]:
    """Look into one or two folders and yield what is found as plain tables: at once, and again after a closer look.

    The first look describes pictures without any training; the closer one, left out where `quick`, trains a small VAE
    on them. Recordings are looked at as portraits. Nothing is moved, deleted or written beside the files. `tell` hears
    how far it is. Raises InputError for a folder in which nothing can be used, and for pictures among recordings.
    """
    start, device = time.monotonic(), choose_device(device)
    data = dataclasses.replace(DATA, folders=tuple(map(str, folders)), domains=tuple(names))
    medium = (Portraits if hold_sound(folders) else Geometry)(DATA)
    passed = passed_over(folders)
    if passed:
        tell({"note": told_passed_over(passed)})
    found = scan(data, medium=medium, tell=lambda done, of: tell({"looked": done, "of": of}))
    gathered = gather(found.albums, medium=medium)
    for line in gathered.lost:
        tell({"note": line})
    pairs, known = gathered.pairs(), looked_at(gathered.pictures)

    def table(stage: str) -> dict[str, Any]:
        judged = findings(known, gathered.folders, pairs)
        about = {"stage": stage, "seconds": round(time.monotonic() - start, 1), "passed_over": passed}
        return about | _table(judged, gathered, found)

    yield table("descriptor")
    if quick:
        return
    network = acquaint(gathered, device=device, seed=seed, tell=lambda share: tell({"learnt": share}))
    known = described(gathered, known, network)
    yield table("vae")


def _table(found: Findings, gathered: Gathered, looked: Scan) -> dict[str, Any]:
    names, paths = [album.name for album in looked.albums], gathered.paths
    folder = [names[f] for f in gathered.folders.tolist()]
    return {
        "kind": "pictures" if gathered.courses is None else "recordings",
        "folders": [_folder(album) for album in looked.albums],
        "odd": list(_odd(found, paths, folder)),
        "duplicates": [
            {
                "first": paths[p.first],
                "second": paths[p.second],
                "folders": [folder[p.first], folder[p.second]],
                "difference": round(p.difference, 4),
                "exact": p.difference == 0,
            }
            for p in found.pairs
        ],
        "clusters": list(_clusters(found, paths, folder)),
        "misfiled": [
            {"path": paths[i], "folder": folder[i], "looks_like": folder[j], "score": round(s, 3), "nearest": paths[j]}
            for i, s, j in found.misfiled
        ],
        "groups": [
            {
                "folder": names[g.folder],
                "pictures": [paths[i] for i in g.members],
                "share": round(len(g.members) / folder.count(names[g.folder]), 4),
                "counterpart": 0 if g.stranded else g.counterpart,
            }
            for g in found.groups
        ],
        "separable": None if found.separable is None else round(found.separable, 4),
    }


def _clusters(found: Findings, paths: Sequence[str], folder: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield what hangs together by pairs of near-duplicates, the largest first: which to keep, which to leave out.

    Kept is what was judged: whatever is no pair's second.
    """
    second = {pair.second for pair in found.pairs}
    differences = {pair.second: pair.difference for pair in reversed(found.pairs)}  # the least of each
    for members in found.copies():
        copies = [i for i in members if i in second]
        yield {
            "keep": [paths[i] for i in members if i not in second],
            "leave_out": [paths[i] for i in copies],
            "folders": sorted({folder[i] for i in members}),
            "difference": round(max(differences[i] for i in copies), 4),
        }


def _odd(found: Findings, paths: Sequence[str], folder: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield every picture, the most suspicious first."""
    for place in found.score.argsort(descending=True, stable=True).tolist():
        near = found.nearest[place]
        yield {
            "path": paths[place],
            "score": round(float(found.score[place]), 3),
            "folder": folder[place],
            "flagged": bool(found.odd[place]),
            "nearest": None if near is None else paths[near],
        }


def _folder(album: Album) -> dict[str, Any]:
    """Return what the scan said of one folder: how many, how large, and what cannot be used."""
    usable = [facts for facts in album.facts.values() if not facts.fault]
    copies = Counter(facts.digest for facts in usable)
    return {
        "name": album.name,
        "folder": str(album.folder),
        "pictures": len(usable),
        "files": len(album.facts),
        **(_lengths(usable) if any(facts.seconds for facts in usable) else _sizes(usable)),
        "unreadable": [{"path": str(album.folder / n), "why": f.problem} for n, f in album.facts.items() if f.problem],
        "constant": [str(album.folder / n) for n, f in album.facts.items() if f.fault and not f.problem],
        "copies": copies.total() - len(copies),
    }


def _lengths(usable: Sequence[Facts]) -> dict[str, Any]:
    """Return how long recordings are, and the rates at which they were made, the most usual first."""
    lengths = sorted(facts.seconds for facts in usable)
    rates = [rate for rate, _ in Counter(facts.rate for facts in usable).most_common()]
    chosen = {"shortest": lengths[0], "median": lengths[len(lengths) // 2], "longest": lengths[-1]}
    return {**chosen, "seconds": round(sum(lengths), 3), "rates": rates}


def _sizes(usable: Sequence[Facts]) -> dict[str, list[int]]:
    by_area = sorted(usable, key=lambda facts: facts.width * facts.height)
    chosen = {"smallest": by_area[0], "median": by_area[len(by_area) // 2], "largest": by_area[-1]}
    return {word: [facts.width, facts.height] for word, facts in chosen.items()}
