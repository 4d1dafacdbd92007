"""Which pictures or sounds a folder, or a command line, means: the same list on every file system."""

import difflib
import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from cyclegan.errors import InputError, UsageError, shown
from cyclegan.files import Source
from cyclegan.media.kinds import FILM_SUFFIXES, PICTURE_SUFFIXES, SOUND_SUFFIXES, is_film, is_sound
from cyclegan.reading import read_file


def pictures(folder: Path, *, suffixes: Collection[str] = PICTURE_SUFFIXES) -> list[Path]:
    """List the pictures below `folder`, sorted by relative path as bytes; raise InputError where it cannot be read.

    What is a picture is told by its suffix. Hidden files and folders are skipped, linked folders entered once. The list
    may be empty: see no_pictures.
    """
    if not folder.is_dir():
        raise (
            not_there(folder)
            if not folder.exists()
            else InputError(f"{shown(folder)}: not a folder", hint="name the folder that holds the pictures")
        )
    try:
        found = [path for path in _walk(folder) if path.suffix.lower() in suffixes and path.is_file()]
    except OSError as error:
        where = shown(error.filename or folder)
        raise InputError(f"{where}: {error.strerror}", hint="check that the folder may be read") from error
    return sorted(found, key=lambda path: os.fsencode(path.relative_to(folder).as_posix()))


def _walk(folder: Path) -> Iterator[Path]:
    """Yield what is not hidden and no folder; real folders before linked ones, so that a link hides no real name."""
    real, linked = [folder], list[Path]()
    seen = set[tuple[int, int]]()
    while real or linked:
        here = real.pop() if real else linked.pop(0)
        status = here.stat()
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        for path in sorted(here.iterdir()):
            if path.name.startswith("."):
                continue
            if path.is_dir():
                (linked if path.is_symlink() else real).append(path)
            else:
                yield path


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
    return InputError(f"{shown(folder)}: no {what} in it", hint=f"known: {' '.join(sorted(suffixes))}")


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
    return _each_once(sources)


def _sources(path: Path, suffixes: Collection[str], otherwise: Collection[str]) -> list[Source]:
    if path.is_dir():
        found = pictures(path, suffixes=suffixes) or pictures(path, suffixes=otherwise)
        if not found:
            raise no_pictures(path, suffixes=suffixes)
        return [Source(picture, picture.relative_to(path), path) for picture in found]
    if path.is_file():
        return [Source(path, Path(path.name))]
    if not path.exists():
        raise not_there(path)
    raise InputError(f"{shown(path)}: neither a file nor a folder", hint="name a picture or a folder of pictures")


def _each_once(sources: Iterable[Source]) -> list[Source]:
    unique = dict[str, Source]()
    for source in sources:
        unique.setdefault(os.path.abspath(source.path), source)  # noqa: PTH100 - links are left as they are
    return list(unique.values())
