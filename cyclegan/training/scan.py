"""What lies in the folders, found out before a training begins: every picture is decoded once.

What was found is kept by path, size and time of change, so that the next scan only looks at what is new; and by
content, so that a folder may move. Nothing is ever written beside the pictures.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

from cyclegan.devices import cores
from cyclegan.errors import InputError, memory_for, shown
from cyclegan.experiment import Data
from cyclegan.media.folder import listed as listed_in
from cyclegan.media.folder import names, no_pictures
from cyclegan.training.album import Album, Facts, Scan
from cyclegan.training.augment import Geometry
from cyclegan.training.medium import Array, Medium
from cyclegan.training.store import Builder, Room

Tell = Callable[[int, int], None]
Reader = Callable[[Path], Array]
A = TypeVar("A")
B = TypeVar("B")
AHEAD = 16  # items for each thread that wait to be worked on, or to be asked for


def scan(
    data: Data,
    *,
    earlier: Scan | None = None,
    strict: bool = False,
    tell: Tell = lambda done, of: None,
    medium: Medium | None = None,
    read: Reader | None = None,
) -> Scan:
    """Look at every picture of the folders that `earlier` did not, and keep them decoded where there is room.

    `tell` hears how many pictures of how many are done; `medium` says what is in the folders, by default pictures.
    Raises InputError for a folder without a picture that can be learnt from, and, where `strict`, for any that cannot.
    """
    only = listed_in(Path(data.only)) if data.only else None
    medium = medium or Geometry(data)
    listed = [_list(folder, name, only, medium) for folder, name in zip(data.folders, _names(data), strict=True)]
    known, contents = _known(listed, earlier), _by_content(earlier)
    albums = []
    for album, facts in zip(listed, known, strict=True):
        fresh = [n for n in album.stamps if n not in facts]
        digests = _at_once(partial(_digest, album.folder), fresh, tell=lambda done, of: None)
        found = facts | {n: contents.get(d.digest, d) for n, d in zip(fresh, digests, strict=True)}
        albums.append(Album(album.name, album.folder, album.stamps, {n: found[n] for n in album.stamps}))
    result = _decode(albums, data, medium, tell=tell, read=read or medium.read)
    _check(result, medium, strict=strict)
    return result


def _names(data: Data) -> Sequence[str]:
    return data.domains or [Path(folder).name for folder in data.folders]


def _list(folder: str, name: str, only: set[Path] | None, medium: Medium) -> Album:
    place = Path(folder)
    found = names(place, suffixes=medium.suffixes)
    if not found:
        raise no_pictures(place, suffixes=medium.suffixes)
    found = found if only is None else [n for n in found if (place / n).resolve() in only]
    if not found:
        raise InputError(f"{shown(folder)}: the list names none of its pictures", hint="look at data.only, or --only")
    return Album(name, place, {n: _stamp(place / n) for n in found}, {})


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:  # it has gone since it was listed; reading it will say so
        return 0, 0
    return status.st_size, status.st_mtime_ns


def _known(listed: Sequence[Album], earlier: Scan | None) -> list[dict[str, Facts]]:
    """Return for every album the facts about files that are as they were; where bytes could not be read, ask again."""
    known: list[dict[str, Facts]] = [{} for _ in listed]
    for album, before, facts in zip(listed, earlier.albums if earlier else (), known, strict=False):
        same = [n for n, stamp in album.stamps.items() if before.stamps.get(n) == stamp and before.facts[n].digest]
        facts.update((n, before.facts[n]) for n in same)
    return known


def _by_content(earlier: Scan | None) -> dict[str, Facts]:
    albums = earlier.albums if earlier else ()
    return {facts.digest: facts for album in albums for facts in album.facts.values() if facts.digest}


def _digest(folder: Path, name: str) -> Facts:
    try:
        with (folder / name).open("rb") as file:
            return Facts(digest=hashlib.file_digest(file, "sha256").hexdigest()[:32])
    except OSError as error:
        return Facts(problem=error.strerror or "cannot be read")


def _decode(albums: Sequence[Album], data: Data, medium: Medium, *, tell: Tell, read: Reader) -> Scan:
    """Complete the facts, and make the stores that are not there, decoding every picture at most once."""
    builders, unstored = _builders(albums, data, medium)
    work = [
        (i, name)
        for i, album in enumerate(albums)
        for name, facts in album.facts.items()
        if not facts.problem and (builders[i] or not facts.height)
    ]

    def look(item: tuple[int, str]) -> Facts:
        album, facts = albums[item[0]], albums[item[0]].facts[item[1]]
        return _examine(album.folder / item[1], facts, medium, builders[item[0]], read)

    every = [builder for group in builders for builder in group]
    try:
        found = dict(zip(work, _at_once(look, work, tell=tell), strict=True))
        for builder in every:
            builder.finish()
    except BaseException:
        for builder in every:
            builder.give_up("not finished")
        raise
    done = [
        Album(a.name, a.folder, a.stamps, {n: found.get((i, n), facts) for n, facts in a.facts.items()})
        for i, a in enumerate(albums)
    ]
    return Scan(tuple(done), tuple(dict.fromkeys([*unstored, *(b.why for b in every if b.why)])))


def _builders(albums: Sequence[Album], data: Data, medium: Medium) -> tuple[list[list[Builder]], list[str]]:
    """Begin the stores that are not there yet; say why where none can be made."""
    if not data.cache_gb:
        return [[] for _ in albums], []
    shorts = medium.short_sides()
    stored = [{store.short for store in album.stores(medium)} for album in albums]
    try:
        room = Room(data)
        room.tidy([album.place(medium, short) for album in albums for short in shorts])
    except OSError as error:
        return [[] for _ in albums], [f"{shown(error.filename or 'the cache')}: {error.strerror}"]
    return [
        [Builder(a.place(medium, s), room, short=s, least=3 * len(a.facts) * s**2) for s in shorts if s not in there]
        for a, there in zip(albums, stored, strict=True)
    ], []


def _examine(path: Path, facts: Facts, medium: Medium, builders: Sequence[Builder], read: Reader) -> Facts:
    try:
        with memory_for(path):
            array = read(path)
        seen = Facts(facts.digest, **medium.facts(path, array))
    except InputError as error:
        fleeting = isinstance(error.__cause__, OSError) and error.__cause__.errno is not None
        reason = error.what.removeprefix(f"{shown(path)}: ")
        return Facts(digest="" if fleeting else facts.digest, problem=reason)
    for builder in () if seen.fault else builders:
        builder.add(facts.digest, medium.resize(array, short=builder.short))
    return seen


def _at_once(work: Callable[[A], B], items: Sequence[A], *, tell: Tell) -> Iterator[B]:
    """Yield the result of every item, in order; decoders leave Python alone, so that threads use all cores."""
    threads = max(2, cores())
    pool, waiting, rest = ThreadPoolExecutor(threads), deque[Future[B]](), iter(items)
    try:
        for done in range(1, len(items) + 1):
            waiting.extend(pool.submit(work, item) for item in islice(rest, threads * AHEAD - len(waiting)))
            result = waiting.popleft().result()
            tell(done, len(items))
            yield result
    finally:
        pool.shutdown(cancel_futures=True)


def _check(found: Scan, medium: Medium, *, strict: bool) -> None:
    if strict and found.left_out:
        more = f" (and {len(found.left_out) - 1} more)" if len(found.left_out) > 1 else ""
        raise InputError(found.left_out[0] + more, hint="remove what cannot be used, or leave out --strict")
    for album in found.albums:
        if not album.usable:
            what = f"{shown(album.folder)}: none of its {medium.called} can be used"
            raise InputError(what, hint=f"the first of them: {album.left_out[0]}")
