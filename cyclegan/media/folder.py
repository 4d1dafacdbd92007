"""Which pictures or sounds a folder, or a command line, means: the same list on every file system."""

import difflib
import json
import os
import re
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from cyclegan.errors import InputError, UsageError, shown
from cyclegan.files import Source
from cyclegan.media.kinds import (
    EXTRAS,
    FILM_SUFFIXES,
    PICTURE_SUFFIXES,
    SOUND_SUFFIXES,
    UNREAD_SUFFIXES,
    is_film,
    is_sound,
)
from cyclegan.reading import read_file


def pictures(folder: Path, *, suffixes: Collection[str] = PICTURE_SUFFIXES) -> list[Path]:
    """List the pictures below `folder`, sorted by relative path as bytes; raise InputError where it cannot be read.

    What is a picture is told by its suffix. Hidden files and folders are skipped, linked folders entered once. The list
    may be empty: see no_pictures.
    """
    return [folder / name for name in names(folder, suffixes=suffixes)]


def names(folder: Path, *, suffixes: Collection[str] = PICTURE_SUFFIXES) -> list[str]:
    """List pictures as `pictures` does, each by its name below `folder`, with "/" between folders.

    A million names take a tenth of the memory and of the time of as many paths.
    """
    return sorted(_files(folder, suffixes), key=os.fsencode)


def passed_over(folders: Iterable[Path]) -> dict[str, int]:
    """Count the files below folders that look like pictures, films or sounds and cannot be read, by their suffix.

    The most frequent suffix comes first. Raises InputError as `pictures` does.
    """
    found = Counter(Path(name).suffix.lower() for folder in folders for name in _files(folder, UNREAD_SUFFIXES))
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def told_passed_over(counts: Mapping[str, int]) -> str:
    """Return in one line what `passed_over` counted, and what would have to be installed."""
    numbers = ", ".join(f"{number:,} {suffix}" for suffix, number in counts.items())
    missing = [extra for extra in EXTRAS if set(extra.suffixes) & counts.keys()]
    return "; ".join([f"passed over: {numbers}", *(f"{extra.install} reads {extra.format}" for extra in missing)])


def _files(folder: Path, suffixes: Collection[str]) -> Iterator[str]:
    """Yield the names of files below a folder that have one of the suffixes, in any order; raise InputError."""
    if not folder.is_dir():
        raise (
            not_there(folder)
            if not folder.exists()
            else InputError(f"{shown(folder)}: not a folder", hint="name the folder that holds the pictures")
        )
    try:
        yield from _walk(folder, suffixes)
    except OSError as error:
        where = shown(error.filename or folder)
        raise InputError(f"{where}: {error.strerror}", hint="check that the folder may be read") from error


def _walk(folder: Path, suffixes: Collection[str]) -> Iterator[str]:
    """Yield the names of files below `folder`; real folders before linked ones, so that a link hides no real name."""
    real, linked, seen, endings = [""], deque[str](), set[tuple[int, int]](), tuple(suffixes)
    while real or linked:
        below = real.pop() if real else linked.popleft()
        status = (folder / below).stat()
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        folders = list[tuple[str, bool]]()
        with os.scandir(folder / below) as entries:
            for entry in filter(_is_there, entries):
                if entry.is_dir():
                    folders.append((f"{below}{entry.name}/", entry.is_symlink()))
                elif entry.name.lower().endswith(endings) and entry.is_file():
                    yield below + entry.name
        for name, is_link in sorted(folders):
            (linked if is_link else real).append(name)


def _is_there(entry: os.DirEntry[str]) -> bool:
    """Tell whether an entry is to be looked at: it is not hidden, and no link that leads nowhere or to itself."""
    return not entry.name.startswith(".") and (not entry.is_symlink() or Path(entry.path).exists())


def listed(file: Path) -> set[Path]:
    """Read a list of pictures as `encode_list` writes it; raise InputError.

    Paths that are not absolute are taken from where the list lies.
    """
    try:
        text = read_file(file).decode("utf-8", "surrogateescape")
        lines = json.loads(text) if _is_json(file) else [line.removesuffix("\r") for line in text.split("\n")]
    except OSError as error:
        raise InputError(f"{shown(file)}: cannot be read: {error.strerror}", hint="check the path") from None
    except (ValueError, RecursionError):
        lines = None
    if not isinstance(lines, list) or any(not isinstance(line, str) or "\0" in line for line in lines):
        what = "a JSON list of paths" if _is_json(file) else "a list of paths, one a line"
        raise InputError(f"{shown(file)}: not {what}", hint="styl inspect --write-list writes one")
    return {(file.parent / line).resolve() for line in lines if line.strip()}


def encode_list(paths: Iterable[str], *, file: Path) -> bytes:
    """Return the content of a list of pictures: JSON for a file named .json, which holds any name, else a path a line.

    In another folder than the current one the paths become absolute. Raises UsageError for a name that no line holds.
    """
    elsewhere = file.parent.resolve() != Path.cwd()
    lines = [os.path.abspath(path) if elsewhere else path for path in paths]  # noqa: PTH100 - links are left as they are
    if _is_json(file):
        return json.dumps(lines, indent=1).encode()
    for path in lines:
        if "\n" in path or path.endswith("\r"):
            hint = f"name the list {shown(file.with_suffix('.json').name)}: JSON holds any name"
            raise UsageError(f"{shown(path)}: no line of a list can hold this name", hint=hint)
    return "".join(f"{path}\n" for path in lines).encode("utf-8", "surrogateescape")


def _is_json(file: Path) -> bool:
    return file.suffix.lower() == ".json"


def no_pictures(folder: Path, *, suffixes: Collection[str] = PICTURE_SUFFIXES) -> InputError:
    """Return the complaint about a folder without a picture, or without a sound where those are looked for."""
    what = "pictures" if not SOUND_SUFFIXES & set(suffixes) else "recordings"
    what = "pictures or recordings" if {*PICTURE_SUFFIXES, *SOUND_SUFFIXES} <= set(suffixes) else what
    unread = passed_over([folder])
    hint = told_passed_over(unread) if unread else f"known: {' '.join(sorted(suffixes))}"
    return InputError(f"{shown(folder)}: no {what} in it", hint=hint)


def hold_sound(folders: Sequence[Path]) -> bool:
    """Tell whether folders hold recordings, or films and no picture; raise InputError where kinds are mixed."""
    kinds = {folder: _sounds(folder) for folder in folders}
    known = {sounds: folder for folder, sounds in kinds.items() if sounds is not None}
    if len(known) == 2:
        what = f"{shown(known[False])} holds pictures and {shown(known[True])} recordings"
        raise InputError(what, hint="name two folders of pictures, or two of recordings")
    return True in known


def _sounds(folder: Path) -> bool | None:
    """Return whether a folder holds recordings, None where there is nothing that is known."""
    found = pictures(folder, suffixes=PICTURE_SUFFIXES | SOUND_SUFFIXES | FILM_SUFFIXES)
    films, sounds = sum(map(is_film, found)), sum(map(is_sound, found))
    count = len(found) - films - sounds
    if count and sounds:
        more, fewer = (_counted(count, "picture"), _counted(sounds, "recording"))
        more, fewer = (more, fewer) if count >= sounds else (fewer, more)
        raise InputError(f"{shown(folder)}: {fewer} among {more}", hint="move one kind to a folder of its own")
    return None if not found else not count


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def not_there(path: Path) -> InputError:
    """Return the complaint about a missing file or folder, with the nearest name beside it as a hint."""
    names = [p.name for p in path.parent.iterdir()] if os.access(path.parent, os.R_OK) and path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.6)
    hint = f"did you mean {shown(path.with_name(near[0]))}?" if near else "check the path"
    if re.match(r"[a-z][a-z0-9+.-]+:/", path.as_posix()):
        hint = "network addresses are not opened: fetch it first"
    return InputError(f"{shown(path)}: no such file or folder", hint=hint)


def collect(
    paths: Sequence[Path], *, suffixes: Collection[str] = PICTURE_SUFFIXES, otherwise: Collection[str] = ()
) -> list[Source]:
    """List the sources a command line names, each once; raise InputError for what is missing or holds no picture.

    A file that is named is taken whatever it is called; of a folder, what has one of the suffixes or, where nothing
    has, one of those that are taken `otherwise`.
    """
    sources = (source for path in paths for source in _sources(path, suffixes, otherwise))
    return list(sources if len(paths) == 1 else _each_once(sources))


def _sources(path: Path, suffixes: Collection[str], otherwise: Collection[str]) -> Iterator[Source]:
    if path.is_dir():
        found = names(path, suffixes=suffixes) or names(path, suffixes=otherwise)
        if not found:
            raise no_pictures(path, suffixes=suffixes)
        return (Source(name, path) for name in found)
    if path.is_file():
        return iter([Source(str(path))])
    if not path.exists():
        raise not_there(path)
    raise InputError(f"{shown(path)}: neither a file nor a folder", hint="name a picture or a folder of pictures")


def _each_once(sources: Iterable[Source]) -> Iterator[Source]:
    """Yield the sources whose places, links left as they are, have not come before."""
    seen = set[str]()
    for source in sources:
        place = os.path.abspath(source.path)  # noqa: PTH100
        if place not in seen:
            seen.add(place)
            yield source
