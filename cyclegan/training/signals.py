"""Ctrl-C, SIGTERM and a closed terminal (SIGHUP): finish the step, save, leave; a second Ctrl-C leaves at once."""

import signal
import threading
import time
from types import FrameType, TracebackType

from cyclegan.hangup import mute_terminal

HANGUP = getattr(signal, "SIGHUP", None)  # Windows has none
STOPPING = [number for number in (signal.SIGINT, signal.SIGTERM, HANGUP) if number is not None]
ECHO = 0.3  # seconds within which launchers repeat to each process what was sent to all of them


class Interruption:
    """Notes a signal while its block lasts: ``received`` is the signal's number, or None.

    A second Ctrl-C is handed to whoever heard signals before, and so unwinds what is under way. A second SIGTERM says
    nothing new: `timeout` and torchrun send each signal twice. What is ignored stays ignored: nohup ignores SIGHUP.
    """

    def __init__(self) -> None:
        self.received: int | None = None

    def __enter__(self) -> "Interruption":
        self.before = {}
        if threading.current_thread() is threading.main_thread():
            heard = [number for number in STOPPING if signal.getsignal(number) != signal.SIG_IGN]
            self.before = {number: signal.signal(number, self._note) for number in heard}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == HANGUP:
            mute_terminal()
        if self.received is None:
            self.received, self.at = number, time.monotonic()
        elif number == signal.SIGINT and time.monotonic() - self.at > ECHO:
            before = self.before[signal.SIGINT]
            if not callable(before):
                raise KeyboardInterrupt
            before(number, frame)
