"""How anything reaches the disk: whole or not at all, under a name decided before the work begins."""

import contextlib
import errno
import functools
import os
import re
import secrets
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import overload

from cyclegan.errors import InputError, UsageError, shown

_TEMPORARY = re.compile(r"\.styl-(\d{1,9})-[0-9a-f]{8}\.tmp")
_AS_THEY_ARE: Mapping[str, str] = MappingProxyType({})
_NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
_CANNOT_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EACCES}


@dataclass(frozen=True, slots=True)
class Source:
    """Name an input file: below the folder that was given (`root`), or by itself (None).

    Paths are made when they are asked for: a million of them take a gigabyte.
    """

    name: str
    root: Path | None = None

    @property
    def path(self) -> Path:
        """The file."""
        return self.root / self.name if self.root else Path(self.name)

    @property
    def relative(self) -> str:
        """The file's name below the root; of one that was named by itself, its last part."""
        return self.name if self.root else Path(self.name).name


@dataclass(frozen=True, slots=True)
class Job:
    """Pair an input file with the file that will hold its translation."""

    source: Path
    target: Path


@dataclass(frozen=True)
class Plan(Sequence[Job]):
    """A job for every source, made when it is asked for; `names` are those of the targets below `output`."""

    sources: Sequence[Source]
    output: Path
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.sources)

    @overload
    def __getitem__(self, index: int) -> Job: ...

    @overload
    def __getitem__(self, index: slice) -> "Plan": ...

    def __getitem__(self, index: int | slice) -> "Job | Plan":
        if isinstance(index, slice):
            return Plan(self.sources[index], self.output, self.names[index])
        return Job(self.sources[index].path, self.output / self.names[index])


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that a crash leaves the old content or the new, never a part; raise OSError.

    Missing parent folders are made. The mode of the file follows the umask.
    """
    with atomic(path) as temporary, temporary.open("xb") as file:
        file.write(data)


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a free name beside `path`; what was written there becomes `path` on a clean exit, else it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not derived from the target's name, which may already be as long as a name can be.
    temporary = path.parent / f".styl-{os.getpid()}-{secrets.token_hex(4)}.tmp"
    try:
        yield temporary
        sync(temporary)
        os.replace(temporary, path)  # noqa: PTH105 - the tests assert the order of the os calls
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if os.name == "posix":
        _sync_folder(path.parent)


def sync(path: Path, *, mode: int = os.O_RDWR) -> None:
    """Wait until what was written to a file lasts through a power cut; raises OSError."""
    descriptor = os.open(path, mode)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` last through a power cut."""
    try:
        sync(folder, mode=os.O_RDONLY)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:  # some network file systems know no sync of a folder
            raise


def sweep_stale(folder: Path) -> None:
    """Remove what write_atomic left in `folder` when its process was killed; nothing of the living, nothing foreign."""
    for path in folder.glob(".styl-*.tmp"):
        match = _TEMPORARY.fullmatch(path.name)
        if match and not _alive(int(match[1])):
            path.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    if os.name != "posix":  # elsewhere signal 0 is not a question but a kill
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def plan_outputs(
    sources: Sequence[Source], output: Path, *, writable: Collection[str], renamed: Mapping[str, str] = _AS_THEY_ARE
) -> Sequence[Job]:
    """Decide the target of every source before work begins; raise InputError or UsageError, and never touch an input.

    `output` is a folder in which the tree of each given folder is mirrored, or a file when there is one input file.
    `renamed` says which suffix another becomes; `writable` holds those that can be written (".png"), and what is
    neither becomes ".png". Distinct sources get distinct targets, also where A.png and a.png are one; only colliding
    ones are renamed. Sources that lie in `output`, itself inside the folder they were found in, are earlier
    translations and left out.
    """
    fresh = _without_earlier_outputs(sources, output)
    if _names_a_file(fresh, output, writable):
        plan = Plan(fresh, output.parent, [output.name])
    else:
        own = [source.relative for source in fresh]
        plan = Plan(fresh, output, _distinct(own, [_with_suffix(name, writable, renamed) for name in own]))
    _refuse_overwriting(plan)
    return plan


def _without_earlier_outputs(sources: Sequence[Source], output: Path) -> Sequence[Source]:
    folder, roots = output.resolve(), {source.root for source in sources}
    around = {root for root in roots if root and root.resolve() in folder.parents}

    @functools.cache  # to resolve a folder, the disk is asked for each of its parents
    def earlier(parent: Path) -> bool:
        return parent.resolve().is_relative_to(folder)

    return [s for s in sources if s.root not in around or not earlier(s.path.parent)] if around else sources


def _names_a_file(sources: Sequence[Source], output: Path, writable: Collection[str]) -> bool:
    if output.is_dir():
        return False
    if output.suffix.lower() not in writable:
        if output.exists():
            raise InputError(f"{shown(output)}: a file, but a folder is needed", hint="choose another output")
        return False
    if len(sources) == 1 and sources[0].root is None:
        return True
    raise UsageError(f"{shown(output)}: one file cannot hold a folder or several pictures", hint="name a folder")


def _with_suffix(name: str, writable: Collection[str], renamed: Mapping[str, str]) -> str:
    stem, suffix = os.path.splitext(name)  # noqa: PTH122 - of text, a million times
    becomes = renamed.get(suffix.lower(), suffix.lower() if suffix.lower() in writable else ".png")
    return name if becomes == suffix.lower() else stem + becomes


def _distinct(own: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Give everyone the wanted name, those who keep their own first; the rest take the next free one."""
    taken, numbers = _folders(wanted), defaultdict[str, Iterator[int]](lambda: count(2))

    def take(name: str) -> bool:
        free = _key(name) not in taken
        taken.add(_key(name))
        return free

    names = [""] * len(wanted)
    for index in sorted(range(len(wanted)), key=lambda i: wanted[i] != own[i]):
        if take(wanted[index]):
            names[index] = wanted[index]
    for index, name in enumerate(wanted):
        names[index] = names[index] or next(filter(take, _alternatives(own[index], name, numbers[name])))
    return names


def _folders(names: Sequence[str]) -> set[str]:
    """Return the keys of all folders that the names lie in."""
    innermost = {name.rpartition("/")[0] for name in names}
    return {_key(folder.as_posix()) for name in innermost for folder in (Path(name), *Path(name).parents)}


def _alternatives(own: str, wanted: str, numbers: Iterator[int]) -> Iterator[str]:
    """Yield further names; what came from `numbers` is taken for ever, so that many of one name can share them."""
    stem, suffix = os.path.splitext(wanted)  # noqa: PTH122
    if own != wanted:
        yield own + suffix  # a.gif beside a.png: a.gif.png
    for number in numbers:
        yield f"{stem}-{number}{suffix}"


def _key(name: str) -> str:
    """Return what case-blind file systems compare."""
    return unicodedata.normalize("NFC", name.casefold())


def _refuse_overwriting(plan: Plan) -> None:
    if not plan.output.is_dir():
        return
    there = {identity: name for name in plan.names if (identity := _identity(plan.output / name))}
    for source in plan.sources if there else ():
        if (identity := _identity(source.path)) in there:
            name = there[identity]
            what = f"{shown(plan.output / name)}: would overwrite the input {shown(source.path)}"
            raise InputError(what, hint="choose another output")


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what is one for all names of a file; None where there is no file."""
    try:
        status = path.stat()
    except OSError as error:
        if error.errno in _NOT_THERE:
            return None
        raise
    return status.st_dev, status.st_ino


def plain(name: str) -> str:
    """Return a domain's name as part of a file's or a folder's name."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-.")[:64] or "domain"


def plain_names(names: Sequence[str]) -> dict[str, str]:
    """Return the names of a run's domains as parts of file names, no two of them equal on any file system."""
    found = [plain(name) for name in names]
    if len(set(map(str.casefold, found))) < len(found):
        found = [f"{name}-{number}" for number, name in enumerate(found, start=1)]
    return dict(zip(names, found, strict=True))
