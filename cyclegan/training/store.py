"""Decoded pictures on the disk, so that two cores keep a GPU fed: made once, shared by all workers.

A store is one file: the pixels of every picture of a domain, resized to what draws are cut from, an index of them by
content, and a footer. It is named after what is inside. The system's page cache keeps what is used in memory.
"""

import contextlib
import hashlib
import json
import math
import os
import shutil
import struct
import threading
import zlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cyclegan import files
from cyclegan.experiment import Data

Array = NDArray[Any]
Place = tuple[int, str, int, int, int, int]  # offset, type, height, width, channels, checksum

SUFFIX, MAGIC = ".pictures", b"stylpix2"
FOOTER = struct.Struct("<QQ32s8s")  # where the index begins, its length, its SHA-256, MAGIC
SHARE = 4  # no more than this part of what the disk has free


def home() -> Path:
    """Return the folder of all stores: `pictures` below $STYL_HOME, else below ~/.cache/styl."""
    return Path(os.environ.get("STYL_HOME") or Path.home() / ".cache/styl") / "pictures"


def place_of(digests: Collection[str], made_of: Sequence[Any], *, short: int) -> Path:
    """Return the file for pictures of this content and resizing, and what else they are `made_of`."""
    key = json.dumps([*made_of, short, sorted(set(digests))])
    return home() / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}{SUFFIX}"


class Store:
    """The resized pictures of a domain, by path. Only what is asked for is read, and what is damaged is not given."""

    def __init__(self, file: Path, places: Mapping[Path, Place], *, short: int) -> None:
        self.file, self.places, self.short = file, dict(places), short
        self._bytes: NDArray[np.uint8] | None = None

    @classmethod
    def open(cls, file: Path, digests: Mapping[Path, str], *, short: int) -> "Store | None":
        """Open a store for pictures whose content is known; None where there is none, or none that is whole."""
        index = _index(file)
        if index is None:
            return None
        with contextlib.suppress(OSError):  # on a disk that is read only, its age does not matter
            os.utime(file)  # what was used last is removed last
        return cls(file, {path: index[digest] for path, digest in digests.items() if digest in index}, short=short)

    def get(self, path: Path) -> Array | None:
        """Return an array (H, W, C), not to be written to; None where it is not stored, or damaged."""
        if path not in self.places:
            return None
        offset, kind, *shape, checksum = self.places[path]
        if self._bytes is None:
            self._bytes = np.memmap(self.file, np.uint8, "r")
        flat = self._bytes[offset : offset + math.prod(shape) * np.dtype(kind).itemsize]
        if zlib.crc32(flat.data) != checksum:
            del self.places[path]
            return None
        return flat.view(kind).reshape(shape)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_bytes": None}  # workers that are not forked map the file themselves


def _index(file: Path) -> dict[str, Place] | None:
    """Return the places by content; None where the file is missing, cut, or its index not what was written."""
    try:
        with file.open("rb") as opened:
            size = opened.seek(0, os.SEEK_END)
            opened.seek(max(0, size - FOOTER.size))
            start, length, digest, magic = FOOTER.unpack(opened.read())
            if magic != MAGIC or start + length + FOOTER.size != size:
                return None
            opened.seek(start)
            text = opened.read(length)
    except (OSError, struct.error):
        return None
    if hashlib.sha256(text).digest() != digest:
        return None
    return {name: tuple(place) for name, place in json.loads(text).items()}


class Room:
    """How many bytes stores may still take: shared by those that are built together."""

    def __init__(self, data: Data) -> None:
        home().mkdir(parents=True, exist_ok=True)
        files.sweep_stale(home())
        self.limit = int(data.cache_gb * 2**30)
        self.left = min(self.limit, shutil.disk_usage(home()).free // SHARE)
        self.lock = threading.Lock()

    def take(self, size: int) -> bool:
        """Take so many bytes, where there are as many."""
        with self.lock:
            fits = size <= self.left
            self.left -= size if fits else 0
        return fits

    def tidy(self, kept: Collection[Path]) -> None:
        """Remove the stores that were not used for longest, until all together keep the limit; never those in use."""
        stores = sorted(home().glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime)
        total = sum(path.stat().st_size for path in stores)
        for path in stores:
            if total > self.limit and path not in kept:
                total -= path.stat().st_size
                path.unlink(missing_ok=True)


class Builder:
    """A store that is being made, by several threads; it gives up, and leaves nothing, where there is no room."""

    def __init__(self, file: Path, room: Room, *, short: int, least: int) -> None:
        self.path, self.room, self.short = file, room, short
        self.index: dict[str, Place] = {}
        self.lock, self.offset, self.why = threading.Lock(), 0, ""
        self._stack = contextlib.ExitStack()
        try:
            self._file = self._stack.enter_context(self._stack.enter_context(files.atomic(file)).open("xb"))
        except OSError as error:
            self.give_up(error.strerror or str(error))
        if least > room.left:  # bytes that they take all together, or more
            self.give_up(_too_large(room))

    def add(self, digest: str, array: Array) -> None:
        """Keep an array (H, W, C) by the digest of its file; each content once."""
        array = np.ascontiguousarray(array)
        checksum = zlib.crc32(array.data.cast("B"))
        with self.lock:
            if self.why or digest in self.index:
                return
            if not self.room.take(array.nbytes):
                self.give_up(_too_large(self.room))
                return
            try:
                self._file.write(array.data)
            except OSError as error:
                self.give_up(error.strerror or str(error))
                return
            self.index[digest] = (self.offset, array.dtype.str, *array.shape, checksum)
            self.offset += array.nbytes

    def finish(self) -> None:
        """Write the index; only now there is a store."""
        if self.why:
            return
        text = json.dumps(self.index).encode()
        try:
            self._file.write(text + FOOTER.pack(self.offset, len(text), hashlib.sha256(text).digest(), MAGIC))
            self._stack.close()
        except OSError as error:
            self.give_up(error.strerror or str(error))

    def give_up(self, why: str) -> None:
        """Remove what was written; `why` is kept for people."""
        if not self.why:
            self.why = why
            with contextlib.suppress(OSError):  # a full disk complains once more while the file is closed
                self._stack.__exit__(_GivenUp, _GivenUp(), None)


class _GivenUp(Exception):
    """Tells the temporary file that it shall not be kept."""


def _too_large(room: Room) -> str:
    return f"they would take more than data.cache_gb = {room.limit / 2**30:g}, or a quarter of what the disk has free"
