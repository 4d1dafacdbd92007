"""A folder held by one living process, which others are told of; the kernel frees it when that process dies."""

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from cyclegan.errors import StylError, shown

# Neither what a link points to, which would be written over, nor a pipe, which would be waited for.
_FILE_ITSELF = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process alone; raise StylError naming the holder, OSError where it cannot be written."""
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | _FILE_ITSELF, 0o666)
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
        access = os.O_RDWR if sys.platform == "win32" else os.O_RDONLY
        descriptor = os.open(folder / ".lock", access | _FILE_ITSELF)
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
