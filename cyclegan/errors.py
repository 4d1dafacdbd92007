"""What can go wrong, as a person should read it.

    StylError                  exit 2: wrong use, unusable input, refused file
    ├── UsageError             an option or a setting that does not exist or does not fit
    ├── InputError             a file or a folder that cannot be used
    ├── CheckpointError        weights that cannot be loaded, or do not belong here
    └── StoppedEarly           exit 3: the work stopped, what was reached is saved and can go on
        └── OutOfMemory        one input needs more memory than there is; the others can be worked on

Anything else that escapes the package is a bug of ours (exit 70).
"""

import contextlib
import difflib
import os
from collections.abc import Iterable, Iterator

_OUT_OF_MEMORY = (
    "out of memory",  # CUDA, MPS, Pillow's decoders
    "allocate memory",  # torch on the CPU, FFmpeg, ONNX Runtime, OpenVINO: "can't", "Cannot", "Could not", "Failed to"
    "unable to allocate",  # numpy; torch for shared memory
    "insufficient memory",  # OpenCV, Metal
    "not enough memory",
    "alloc_failed",  # cuBLAS, cuFFT, cuSOLVER, cuDNN
    "allocation_failed",  # cuDNN from version 9 on
    "bad_alloc",  # C++
    "bad allocation",
    "failed to map segment",  # the system's loader
    "can't start new thread",  # for want of room for its stack
    "resource temporarily unavailable",  # the same, in FFmpeg's words
)


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


class OutOfMemory(StoppedEarly):
    """Memory that does not suffice for one input; without it the work goes on, and with more memory, with it too."""


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
    """Tell whether an error says that memory is used up: each library does so by a type, a number or words of its own.

    Some say it of damaged files too, which ask for more than any machine has.
    """
    if isinstance(error, StylError):
        return isinstance(error, OutOfMemory)
    if isinstance(error, MemoryError):
        return True
    text = str(error)
    if isinstance(error, OSError) and error.errno is not None:
        text = f"{os.strerror(error.errno)} {error.strerror}"  # the whole text would hold the file's name
    return any(words in text.lower() for words in _OUT_OF_MEMORY)


@contextlib.contextmanager
def memory_for(path: str | os.PathLike[str], *, hint: str = "close other programs") -> Iterator[None]:
    """Raise OutOfMemory that names an input where memory is used up while it is worked on."""
    try:
        yield
    except Exception as error:
        if not out_of_memory(error):
            raise
        error.with_traceback(None)  # which would hold on to what fills the memory
        known = error if isinstance(error, OutOfMemory) else OutOfMemory("not enough memory", hint=hint)
    else:
        return
    raise OutOfMemory(f"{shown(path)}: {known.what}", hint=known.hint)
