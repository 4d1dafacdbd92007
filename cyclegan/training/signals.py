"""Ctrl-C and SIGTERM: finish the step, save, leave; a second Ctrl-C leaves at once."""

import signal
import threading
import time
from types import FrameType, TracebackType

ECHO = 0.3  # seconds within which launchers repeat to each process what was sent to all of them


class Interruption:
    """Notes a signal while its block lasts: ``received`` is the signal's number, or None.

    A second Ctrl-C is handed to whoever heard signals before, and so unwinds what is under way. A second SIGTERM says
    nothing new: `timeout` and torchrun send each signal twice.
    """

    def __init__(self) -> None:
        self.received: int | None = None

    def __enter__(self) -> "Interruption":
        self.before = {}
        if threading.current_thread() is threading.main_thread():
            self.before = {s: signal.signal(s, self._note) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is None:
            self.received, self.at = number, time.monotonic()
        elif number == signal.SIGINT and time.monotonic() - self.at > ECHO:
            before = self.before[signal.SIGINT]
            if not callable(before):
                raise KeyboardInterrupt
            before(number, frame)
