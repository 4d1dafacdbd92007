"""What is left to do when the terminal is closed (SIGHUP): to end well, and to say it to nobody."""

import contextlib
import os
import stat
import sys


def mute_terminal() -> None:
    """Send nowhere what is still written to the closed terminal: each write would fail. Files and pipes stay."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # a stream that is none, or closed
            number = stream.fileno()
            if stat.S_ISCHR(os.fstat(number).st_mode):  # isatty() says no by now
                os.dup2(nowhere, number)
    os.close(nowhere)
