"""Ctrl-C and SIGTERM: finish the step, save, leave; a second Ctrl-C leaves at once."""

import signal
import threading
from types import FrameType, TracebackType


class Interruption:
    """Notes a signal while its block lasts: ``received`` is the signal's number, or None."""

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
        if self.received is not None:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.received = number
