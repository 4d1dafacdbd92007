"""What films and sounds have in common as files: opened safely, named lengths, written whole or not at all."""

import errno
import mmap
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import av
from av.container import InputContainer, OutputContainer
from av.stream import Stream

from cyclegan.errors import InputError, UsageError, out_of_memory, shown
from cyclegan.media.folder import not_there

# Words in other encodings than UTF-8 stop av 18 unless it is told otherwise; av 19 knows no other way.
LENIENT: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}

_SPARE = 256 << 20  # bytes: more than codecs ask for at once

_CLOCK_TIME = re.compile(r"(\d{1,4}):(\d{1,2}):(\d{1,2}(?:\.\d{1,9})?)", re.ASCII)


@dataclass(frozen=True)
class Kind:
    """A kind of file: what people call it, what of it is read, what to do with a damaged one, FFmpeg's options."""

    name: str
    known: str
    damaged: str
    options: Mapping[str, str]


def open_container(path: Path, kind: Kind) -> InputContainer:
    """Open a file no further than its header; raise InputError in one line whatever is wrong with it."""
    if not path.exists():
        raise not_there(path)
    if not path.is_file():  # opening a pipe would wait for ever
        raise InputError(f"{shown(path)}: not a file", hint=f"name a {kind.name}")
    try:
        found: InputContainer = av.open(str(path.resolve()), "r", options=dict(kind.options), **LENIENT)
    except (OSError, ValueError, av.FFmpegError) as error:
        raise_shortage(error)
        raise InputError(f"{shown(path)}: {_reason(path, kind, error)}", hint=kind.damaged) from error
    return found


def create_container(path: Path, *, format: str, options: Mapping[str, str]) -> OutputContainer:
    """Open a file for writing as one of FFmpeg's formats; raise OSError and FFmpeg's errors.

    The same content makes the same bytes: no random identifiers, no version of the library.
    """
    chosen = {"fflags": "bitexact", **options}
    made: OutputContainer = av.open(str(path), "w", format=format, container_options=chosen, **LENIENT)
    return made


def _reason(path: Path, kind: Kind, error: Exception) -> str:
    if isinstance(error, OSError) and not isinstance(error, ValueError | EOFError) and error.strerror:
        return error.strerror
    if path.is_file() and path.stat().st_size == 0:
        return "empty file"
    return f"not a {kind.name}, or damaged beyond its header ({kind.known} are read)"


def told_seconds(stream: Stream) -> float | None:
    """Return how long a stream of Matroska says that it lasts, which names the end of the track; None elsewhere."""
    for name, text in stream.metadata.items():
        match = _CLOCK_TIME.fullmatch(text) if name.startswith("DURATION") else None
        if match:
            hours, minutes, seconds = (float(part) for part in match.groups())
            start = (stream.start_time or 0) * (stream.time_base or Fraction(0))
            return hours * 3600 + minutes * 60 + seconds - float(start)
    return None


def raise_shortage(error: Exception) -> None:
    """Raise MemoryError where a reader's error says so and it is true: damaged files ask for absurd amounts as well."""
    if out_of_memory(error) and _starved():
        raise MemoryError(str(error)) from None


def _starved() -> bool:
    """Tell whether this process gets no more memory worth mentioning."""
    try:
        mmap.mmap(-1, _SPARE).close()
    except OSError:
        return True
    return False


def refused(error: Exception, path: Path, *, what: str, hint: str) -> Exception:
    """Return why a file cannot be written: memory, the disk, or a UsageError that says `what`, and why.

    Encoders that get no memory say that something external failed, or an argument.
    """
    if out_of_memory(error):
        return MemoryError(str(error))
    if isinstance(error, OSError) and not isinstance(error, ValueError) and error.errno not in (None, errno.EPERM):
        return OSError(error.errno, error.strerror, str(path))  # under the name that the person gave
    if isinstance(error, av.FFmpegError) and _starved():
        return MemoryError(str(error))
    reason = " ".join(str(getattr(error, "strerror", None) or error).split())[:160]
    return UsageError(f"{shown(path)}: {what} ({reason})", hint=hint)


class Opened:
    """A file that is being read, in a with: `container`, and the generator of what is decoded from it."""

    container: InputContainer
    _frames: Iterator[Any]

    def close(self) -> None:
        """Close the file."""
        self._frames.close()  # type: ignore[attr-defined]  # a generator
        self.container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()


class Written:
    """A file that is being written, in a with: it appears when that ends well, and nothing is left of it else.

    Who inherits opens `_container` inside `_stack`, calls `_abandon` back from there, and closes it in `_finish`.
    """

    _stack: ExitStack
    _container: OutputContainer

    def _finish(self) -> None:
        raise NotImplementedError

    def _abandon(self) -> None:
        """Close what a failure left open; the file goes with it, so what its end would say matters to nobody."""
        try:
            self._container.close()
        except (av.FFmpegError, OSError, ValueError):
            return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: Any) -> None:
        with self._stack:
            if failure[0] is not None:
                self._stack.__exit__(*failure)
            else:
                self._finish()
