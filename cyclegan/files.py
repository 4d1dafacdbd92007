"""How anything reaches the disk: whole or not at all, under a name decided before the work begins."""

import contextlib
import errno
import os
import re
import secrets
import socket
import sys
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import MappingProxyType

from cyclegan.errors import InputError, StylError, UsageError, shown

_TEMPORARY = re.compile(r"\.styl-(\d{1,9})-[0-9a-f]{8}\.tmp")
_AS_THEY_ARE: Mapping[str, str] = MappingProxyType({})
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)  # what a link leads to is somebody's file
_CANNOT_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EACCES}


@dataclass(frozen=True)
class Source:
    """Name an input file, and where it stands below the folder that was given (`root`; None: the file itself was)."""

    path: Path
    relative: Path
    root: Path | None = None


@dataclass(frozen=True)
class Job:
    """Pair an input file with the file that will hold its translation."""

    source: Path
    target: Path


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


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process alone; raise StylError naming the holder. The kernel frees it when we die."""
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | _NO_LINK, 0o666)
    try:
        if not _seize(descriptor):
            raise StylError(
                f"{shown(folder)}: in use by {_holder(descriptor)}", hint="wait until it ends, or choose another folder"
            )
        try:
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
            yield
        finally:
            _release(descriptor)  # closing is not enough: forked workers hold the same lock
    finally:
        os.close(descriptor)


def held(folder: Path) -> bool:
    """Tell whether a living process holds `folder`; nothing is written."""
    try:
        descriptor = os.open(folder / ".lock", os.O_RDWR if sys.platform == "win32" else os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        if _seize(descriptor):
            _release(descriptor)
            return False
        return True
    finally:
        os.close(descriptor)


def _holder(descriptor: int) -> str:
    os.lseek(descriptor, 0, os.SEEK_SET)
    return shown(os.fsdecode(os.read(descriptor, 300).strip())) or "another process"


if sys.platform == "win32":
    import msvcrt

    def _seize(descriptor: int) -> bool:
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)  # a locked byte cannot be read: lock one far behind the text
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
        return True

    def _release(descriptor: int) -> None:
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
else:
    import fcntl

    def _seize(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _release(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def plan_outputs(
    sources: Sequence[Source], output: Path, *, writable: Collection[str], renamed: Mapping[str, str] = _AS_THEY_ARE
) -> list[Job]:
    """Decide the target of every source before work begins; raise InputError or UsageError, and never touch an input.

    `output` is a folder in which the tree of each given folder is mirrored, or a file when there is one input file.
    `renamed` says which suffix another becomes; `writable` holds those that can be written (".png"), and what is
    neither becomes ".png". Distinct sources get distinct targets, also where A.png and a.png are one; only colliding
    ones are renamed. Sources that lie in `output`, itself inside the folder they were found in, are earlier
    translations and left out.
    """
    fresh = [source for source in sources if not _earlier_output(source, output)]
    if _names_a_file(fresh, output, writable):
        jobs = [Job(fresh[0].path, output)]
    else:
        wanted = [_with_suffix(source.relative, writable, renamed) for source in fresh]
        jobs = [Job(s.path, output / name) for s, name in zip(fresh, _distinct(fresh, wanted), strict=True)]
    _refuse_overwriting(jobs)
    return jobs


def _earlier_output(source: Source, output: Path) -> bool:
    if source.root is None:
        return False
    folder, root = output.resolve(), source.root.resolve()
    return folder != root and folder.is_relative_to(root) and source.path.parent.resolve().is_relative_to(folder)


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


def _with_suffix(relative: Path, writable: Collection[str], renamed: Mapping[str, str]) -> Path:
    suffix = relative.suffix.lower()
    if suffix in renamed:
        return relative if suffix == renamed[suffix] else relative.with_suffix(renamed[suffix])
    return relative if suffix in writable else relative.with_suffix(".png")


def _distinct(sources: Sequence[Source], wanted: Sequence[Path]) -> list[Path]:
    """Give everyone the wanted name, those who keep their own first; the rest take the next free one."""
    names = dict[int, Path]()
    taken = {_key(folder) for name in wanted for folder in name.parents}
    for index in sorted(range(len(wanted)), key=lambda i: wanted[i] != sources[i].relative):
        if _key(wanted[index]) not in taken:
            names[index] = wanted[index]
            taken.add(_key(wanted[index]))
    for index, name in enumerate(wanted):
        if index not in names:
            names[index] = next(c for c in _alternatives(sources[index].relative, name) if _key(c) not in taken)
            taken.add(_key(names[index]))
    return [names[index] for index in range(len(wanted))]


def _alternatives(relative: Path, wanted: Path) -> Iterator[Path]:
    if relative != wanted:
        yield wanted.with_name(relative.name + wanted.suffix)  # a.gif beside a.png: a.gif.png
    for number in count(2):
        yield wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")


def _key(name: Path) -> str:
    """Return what case-blind file systems compare."""
    return unicodedata.normalize("NFC", name.as_posix().casefold())


def _refuse_overwriting(jobs: Sequence[Job]) -> None:
    inputs = {_identity(job.source): job.source for job in jobs}
    for job in jobs:
        if job.target.exists() and _identity(job.target) in inputs:
            what = f"{shown(job.target)}: would overwrite the input {shown(inputs[_identity(job.target)])}"
            raise InputError(what, hint="choose another output")


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def plain(name: str) -> str:
    """Return a domain's name as part of a file's or a folder's name."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-.")[:64] or "domain"
