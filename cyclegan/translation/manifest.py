"""What of an output folder is finished, and who works on what: for runs that were stopped, and for several at once."""

import contextlib
import errno
import hashlib
import json
import os
import stat
import sys
import threading
import time
from pathlib import Path
from typing import Any, Self

from cyclegan.files import Job

NAME = ".styl-manifest.jsonl"
VERSION = 1

_CLAIMS = 1 << 40  # bytes from here on stand for targets: so far behind any text that none is ever written there
_TAKEN = {errno.EACCES, errno.EAGAIN}
_CHUNK = 1 << 20  # bytes read at once
_PAUSE = 0.05  # seconds between two looks at what another process works on


class Manifest:
    """Keeps one append-only file in an output folder: a line for every finished job, a locked byte for every claim.

    Claim a job first, then ask whether it is finished: so nothing is done twice, however many processes there are. A
    process that is killed loses its claims at once. Wait with no claim in hand. One thread claims and waits; any may
    record and release. Names are kept relative to the output folder: a tree that is moved as a whole stays finished;
    where only the sources moved, they are translated again.
    """

    def __init__(self, folder: Path, *, work: str) -> None:
        """Open the manifest of `folder`, made if missing; `work` stands for model and options. Raises OSError."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._work = os.path.abspath(folder), work  # noqa: PTH100 - links are left as they are
        self._path = os.path.join(self._folder, NAME)  # noqa: PTH118 - a string, as os.open and OSError want it
        # Never opened a second time: closing any descriptor of a file drops all record locks this process has on it.
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
        self._descriptor = os.open(self._path, flags, 0o666)
        if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            os.close(self._descriptor)
            raise OSError(errno.EINVAL, "not a regular file", self._path)
        self._read, self._seen = 0, 0  # bytes taken in as whole lines, and bytes looked at
        self._entries = dict[str, bytes]()  # target: see _seal
        self._ways = dict[str, str]()  # from the folder to those of sources and targets, as names begin
        self._claimed = dict[int, dict[str, list[int] | None]]()  # locked byte: targets, and what their sources were
        self._mutex = threading.Lock()  # claims, records and releases may come from three threads

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        os.close(self._descriptor)

    def finished(self, job: Job) -> bool:
        """Tell whether this work was done on this source as it is now, and its target is still as it was written."""
        with self._mutex:
            self._catch_up()
            entry = self._entries.get(self._name(job.target))
        if entry is None:
            return False
        source, target = _stamp(job.source), _stamp(job.target)
        return source is not None and target is not None and entry == _seal(self._name(job.source), source, target)

    def claim(self, job: Job) -> bool:
        """Make a job ours unless another living process works on it, and tell which."""
        target = self._name(job.target)
        place = _place(target)
        with self._mutex:
            if place not in self._claimed and not _seize(self._descriptor, place):
                return False
            # Taken before the source is read: if it changes from here on, its translation will not count as finished.
            self._claimed.setdefault(place, {}).setdefault(target, _stamp(job.source))
        return True

    def wait(self, job: Job) -> None:
        """Make a job ours as soon as no other living process works on it; it may be finished by then."""
        assert not self._claimed, "two processes that wait with claims in hand may wait for each other"
        while not self.claim(job):
            time.sleep(_PAUSE)

    def record(self, job: Job, **notable: Any) -> None:
        """Write down that a claimed job is finished, with what is notable (plain values), and release it.

        Raises OSError when the disk is full.
        """
        target = self._name(job.target)
        entry = {
            "version": VERSION,
            "target": target,
            "source": self._name(job.source),
            "source_is": self._claimed[_place(target)][target],
            "target_is": _stamp(job.target),
            "work": self._work,
        }
        try:
            self._append(entry | ({"notable": notable} if notable else {}))
        finally:
            self.release(job)

    def release(self, job: Job) -> None:
        """Give up a claimed job; unless it was recorded, it is to be done."""
        target = self._name(job.target)
        place = _place(target)
        with self._mutex:
            del self._claimed[place][target]
            if not self._claimed[place]:  # else two targets share a byte
                del self._claimed[place]
                _free(self._descriptor, place)

    def _append(self, entry: dict[str, Any]) -> None:
        # Begins with a newline too: what a killed process left of a line then spoils no other.
        line = f"\n{json.dumps(entry)}\n".encode("ascii")
        with self._mutex:
            if os.write(self._descriptor, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path)

    def _catch_up(self) -> None:
        """Take in the lines that were written since, by us or others; the last one when it is whole."""
        size = os.fstat(self._descriptor).st_size
        while self._seen < size:
            os.lseek(self._descriptor, self._read, os.SEEK_SET)
            text = os.read(self._descriptor, _CHUNK + 2 * (self._seen - self._read))
            if not text:  # cut off by somebody else
                return
            self._seen = self._read + len(text)
            whole = text.rfind(b"\n") + 1
            self._read += whole
            for line in filter(None, text[:whole].decode("ascii", "replace").split("\n")):
                self._take(line)

    def _take(self, line: str) -> None:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):  # torn or damaged: that job is done again
            return
        if not isinstance(entry, dict) or entry.get("version") != VERSION or not isinstance(entry.get("target"), str):
            return
        if entry.get("work") == self._work:
            self._entries[entry["target"]] = _seal(entry.get("source"), entry.get("source_is"), entry.get("target_is"))
        else:
            self._entries.pop(entry["target"], None)  # written over since

    def _name(self, path: Path) -> str:
        """Return a path relative to the folder, the same text on every system and in every locale."""
        parent, name = os.path.split(os.path.abspath(path))  # noqa: PTH100 - links are left as they are
        if parent not in self._ways:
            self._ways[parent] = self._way(parent)
        return self._ways[parent] + _text(name)

    def _way(self, parent: str) -> str:
        """Return what leads from the folder to another one, up to the last slash."""
        if parent == self._folder:
            return ""
        try:
            return f"{_text(os.path.relpath(parent, self._folder))}/"
        except ValueError:  # on another drive
            return f"{_text(parent).rstrip('/')}/"


def _text(name: str) -> str:
    return os.fsencode(name.replace(os.sep, "/")).decode("utf-8", "surrogateescape")


def _seal(*fields: Any) -> bytes:
    """Return what tells one entry from another, in a few bytes."""
    return hashlib.blake2b(repr(fields).encode(), digest_size=16).digest()


def _stamp(path: Path) -> list[int] | None:
    """Return what changes when a file is changed: its size and time; None for what is no file, never finished."""
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns] if stat.S_ISREG(status.st_mode) else None


def _place(target: str) -> int:
    """Return the byte that is locked by whoever works on a target."""
    name = target.encode("utf-8", "surrogateescape")
    return _CLAIMS + int.from_bytes(hashlib.blake2b(name, digest_size=5).digest(), "big")


# Some network file systems cannot lock. Claims spare work and nothing else, so we go on without them there: two
# processes that translate one file both write it whole, one after the other.

if sys.platform == "win32":
    import msvcrt

    def _seize(descriptor: int, place: int) -> bool:
        os.lseek(descriptor, place, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            return error.errno not in _TAKEN
        return True

    def _free(descriptor: int, place: int) -> None:
        os.lseek(descriptor, place, os.SEEK_SET)
        with contextlib.suppress(OSError):
            msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
else:
    import fcntl

    def _seize(descriptor: int, place: int) -> bool:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except OSError as error:
            return error.errno not in _TAKEN
        return True

    def _free(descriptor: int, place: int) -> None:
        with contextlib.suppress(OSError):
            fcntl.lockf(descriptor, fcntl.LOCK_UN, 1, place)
