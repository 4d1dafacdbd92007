"""Files that people name, opened only where they are regular: a FIFO would wait for ever, a device has no end."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

LARGEST = 1 << 30  # bytes
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def open_regular(path: Path, *, most: int = LARGEST) -> BinaryIO:
    """Open a regular file of at most `most` bytes for reading; raise OSError, also for whatever is none."""
    descriptor = os.open(path, _FLAGS)
    try:
        _check(os.fstat(descriptor), path, most=most)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_file(path: Path, *, most: int = LARGEST) -> bytes:
    """Return the content of a regular file of at most `most` bytes; raise OSError, also for whatever is none."""
    with open_regular(path, most=most) as file:
        return file.read()


def _check(status: os.stat_result, path: Path, *, most: int) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    if status.st_size > most:
        what = f"{status.st_size:,} bytes, and at most {most:,} are read"
        raise OSError(errno.EFBIG, what, str(path))
