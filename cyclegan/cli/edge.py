"""The edge: whatever happens inside, a person reads at most three lines, and a script a documented exit code.

0 all done; 1 finished, some inputs failed; 2 wrong use or unusable input; 3 stopped early, the same command goes on;
70 a bug of ours; 129, 130 and 143 stopped by a closed terminal (SIGHUP), Ctrl-C and SIGTERM; 141 nobody reads the
output any more.
"""

import contextlib
import errno
import io
import json
import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from cyclegan.errors import StylError, out_of_memory, shown
from cyclegan.hangup import mute_terminal

LOG = Path("styl.log")
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS}
UNREAD = 141


def guarded(app: Callable[..., Any]) -> NoReturn:
    """Call a Typer app and leave the process with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None where the caller has closed it
            stream.reconfigure(errors="backslashreplace")
    stdout = sys.stdout
    try:
        with warnings.catch_warnings(action="ignore"), libraries_silenced(), stoppable():  # people read what we say
            logging.getLogger("PIL").setLevel(logging.CRITICAL)
            code = app(args=sys.argv[1:] or ["--help"], prog_name="styl", standalone_mode=False)
        if stdout:
            stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())  # nobody reads: let the exit be silent
        code = UNREAD
    except SystemExit as left:  # Typer leaves so, with another stdout, when nobody reads
        code = UNREAD if sys.stdout is not stdout else left.code
    except Stopped as stopped:
        code = complain(f"stopped by {stopped.name}", code=stopped.code)
    except Exception as error:
        code = explain(error)
    sys.exit(code if isinstance(code, int) else 0)


class Stopped(BaseException):
    """A signal on its way out. Not a KeyboardInterrupt, which Typer takes for itself without a word."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.name, self.code = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name, 128 + number


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Let signals unwind what is under way, so that nothing half-written stays; a training has its own way."""

    def stop(number: int, frame: object) -> NoReturn:
        if signal.Signals(number).name == "SIGHUP":
            mute_terminal()
        raise Stopped(number)

    known: dict[int, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    known |= {signal.SIGHUP: signal.SIG_DFL} if hasattr(signal, "SIGHUP") else {}
    ours = [number for number, usual in known.items() if signal.getsignal(number) == usual]  # not what is ignored
    for number in ours:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, known[number])


@contextlib.contextmanager
def libraries_silenced() -> Iterator[None]:
    """Keep what C libraries print from the terminal (libtiff: a line for every odd tag); our own lines get there."""
    ours = sys.stderr
    try:
        kept = os.dup(2)
    except OSError:  # closed by the caller
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        if isinstance(ours, io.TextIOWrapper) and ours is sys.__stderr__:
            sys.stderr = os.fdopen(kept, "w", 1, encoding=ours.encoding, errors=ours.errors, closefd=False)
        yield
    finally:
        sys.stderr = ours
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def explain(error: Exception) -> int:
    """Say what went wrong in at most two lines and return the exit code."""
    if isinstance(error, StylError):
        return complain(error.what, hint=error.hint, code=error.code)
    if hasattr(error, "format_message"):  # Typer's own complaints about usage
        context = getattr(error, "ctx", None)
        verb = context.command_path if context else "styl"
        return complain(error.format_message().split("\n")[0], hint=f"{verb} --help lists every option", code=2)
    if hasattr(error, "exit_code"):
        return int(error.exit_code)
    if out_of_memory(error):
        return complain("not enough memory", hint="try a smaller --size or --batch, or close other programs", code=3)
    if isinstance(error, OSError) and (error.filename or error.errno in FULL):
        where = shown(error.filename) if error.filename else "output"
        code = 3 if error.errno in FULL else 2
        return complain(f"{where}: {error.strerror}", hint="check the path and the disk", code=code)
    return _our_bug(error)


def _our_bug(error: Exception) -> int:
    text = "".join(traceback.format_exception(error))
    try:
        LOG.write_text(text, encoding="utf-8", errors="backslashreplace")
        where = f"the details are in {LOG}"
    except OSError:
        where = "the details could not be written"
    return complain(f"internal error: {type(error).__name__}; {where}", hint="please report it with that file", code=70)


def complain(what: str, *, code: int, hint: str = "") -> int:
    """Print an error and the next step on standard error and return the exit code."""
    lines = [f"error: {_plain(what)}", *([f"  {_plain(hint)}"] if hint else [])]
    with contextlib.suppress(BrokenPipeError):  # the exit code says it as well
        print("\n".join(lines), file=sys.stderr)
    return code


def _plain(text: str) -> str:
    """Return text as one printable line, whatever was typed or read from a file."""
    words = " ".join(text.split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in words)


def say(line: str) -> None:
    """Print a line that tells a person how things go: on standard error, so that results can be piped."""
    if speaks():
        print(line, file=sys.stderr, flush=True)


def result(line: str, *, summary: dict[str, Any], as_json: bool) -> None:
    """Print the outcome on standard output, for a person or for a program."""
    if speaks():
        print(json.dumps(summary) if as_json else line, flush=True)


def speaks() -> bool:
    """Tell whether this process speaks for all: of those that torchrun started, the first does."""
    return os.environ.get("RANK", "0") == "0"
