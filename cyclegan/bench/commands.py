"""Two whole commands against each other: as people wait for them, start and files included."""

import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Any

from cyclegan.errors import InputError, UsageError


@dataclass
class Command:
    """A command line, and what was found of it: seconds and the peak of memory in MiB of each time it ran."""

    line: str
    seconds: list[float] = field(default_factory=list)
    peaks: list[int] = field(default_factory=list)

    def encode(self) -> dict[str, Any]:
        """Return what a program wants to know."""
        rounds = [round(value, 3) for value in self.seconds]
        return {
            "command": self.line,
            "seconds": statistics.median(rounds),
            "seconds_of_rounds": rounds,
            "peak_memory_mib": max(self.peaks, default=None),
        }


def duel(ours: str, theirs: str, *, repeats: int, tell: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Run two commands in turns, and say how many times longer theirs takes (`ratio`); see `run`.

    Who begins changes from round to round. Raises UsageError for a line that is no command, InputError when one fails.
    """
    both = Command(ours), Command(theirs)
    for command in both:
        words(command.line)
    for number in range(repeats):
        for command in both[:: -1 if number % 2 else 1]:
            run(command)
            tell()
    mine, other = both[0].encode(), both[1].encode()
    return {**mine, "against": other, "ratio": round(other["seconds"] / mine["seconds"], 3), "repeats": repeats}


def words(line: str) -> list[str]:
    """Split a command line as a shell does; there is none. Raises UsageError."""
    try:
        found = shlex.split(line)
    except ValueError as error:
        raise UsageError(f"{line}: not a command: {error}", hint="close every quote") from None
    if not found:
        raise UsageError("an empty command", hint="for example --against 'peer photos {out}'")
    return found


def run(command: Command) -> None:
    """Run a command once and note time and memory; ``{out}`` in it is an empty folder, thrown away afterwards."""
    with tempfile.TemporaryDirectory(prefix="styl-bench-") as out, tempfile.TemporaryFile() as said:
        line = [word.replace("{out}", out) for word in words(command.line)]
        start = time.perf_counter()
        try:
            code, peak = _finish(line, said)
        except OSError as error:
            what = f"{line[0]}: cannot be started: {error.strerror}"
            raise InputError(what, hint="check the command; there is no shell") from None
        spent = time.perf_counter() - start
        if code:
            raise InputError(f"{command.line}: failed with {code}: {_last(said)}", hint="try it by itself")
    command.seconds.append(spent)
    command.peaks += [peak] if peak else []


def _finish(line: list[str], said: IO[bytes]) -> tuple[int, int | None]:
    """Return a command's exit code, and the most memory that it or a child of its took, in MiB where that is known.

    On Linux it is at least what this process takes.
    """
    process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said)
    try:
        if not hasattr(os, "wait4"):
            return process.wait(), None
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    finally:
        if process.returncode is None:
            process.kill()
            process.wait()
    return process.returncode, usage.ru_maxrss >> (20 if sys.platform == "darwin" else 10)


def _last(said: IO[bytes]) -> str:
    said.seek(0)
    lines = said.read().decode(errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else "it said nothing"
