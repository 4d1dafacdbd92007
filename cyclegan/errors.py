"""What can go wrong, as a person should read it.

    StylError                  exit 2: wrong use, unusable input, refused file
    ├── UsageError             an option or a setting that does not exist or does not fit
    ├── InputError             a file or a folder that cannot be used
    ├── CheckpointError        weights that cannot be loaded, or do not belong here
    └── StoppedEarly           exit 3: the work stopped, what was reached is saved and can go on

Anything else that escapes the package is a bug of ours (exit 70).
"""

import difflib
import os
from collections.abc import Iterable


class StylError(Exception):
    """Says what went wrong, with which file, why, and what to do next.

    ``what`` is the whole complaint in one line; ``hint`` is the next step in one line.
    """

    code = 2

    def __init__(self, what: str, *, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


class UsageError(StylError):
    """An option, a setting or a name that does not exist or does not fit."""


class InputError(StylError):
    """A file or a folder that cannot be used."""


class CheckpointError(StylError):
    """Weights that cannot be loaded, or do not belong where they were put."""


class StoppedEarly(StylError):
    """Work that had to stop; what was reached is saved and the same command goes on."""

    code = 3


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return "did you mean …?" for the known word nearest to `word`, else the list of known words."""
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if not near:  # the last part of a dotted name is what people remember
        near = [n for n in names if n.rsplit(".", 1)[-1] == word.rsplit(".", 1)[-1]][:1]
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"


def shown(path: str | os.PathLike[str]) -> str:
    """Return a path as printable text, whatever bytes its name is made of."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def out_of_memory(error: BaseException) -> bool:
    """Tell whether memory is used up, on whatever device: torch says so in words."""
    words = ("can't allocate memory", "out of memory", "not enough memory")
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(w in str(error) for w in words))
