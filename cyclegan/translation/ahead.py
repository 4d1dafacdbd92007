"""Stages that work at the same time: each in its own thread, with a short queue before the next."""

import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from typing import Any, TypeVar

Item = TypeVar("Item")
PAUSE = 0.05  # seconds between looks at whether a thread has noticed that nobody listens


def ahead(items: Iterable[Item], *, depth: int) -> Iterator[Item]:
    """Yield the items, up to `depth` of them made in another thread before they are asked for.

    An error among them is raised here, in its place. When this generator is closed, so is theirs, by its own thread.
    """
    waiting: queue.Queue[tuple[str, Any]] = queue.Queue(depth)
    closed = threading.Event()

    def work() -> None:
        last: tuple[str, Any] = ("end", None)
        try:
            for item in items:
                waiting.put(("item", item))
                if closed.is_set():
                    break
        except BaseException as error:  # whatever it is, it is raised where the items are used
            last = ("error", error)
        finally:
            end(items)
        waiting.put(last)

    thread = threading.Thread(target=work, daemon=True, name="styl-ahead")
    thread.start()
    try:
        while True:
            kind, value = waiting.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    finally:
        closed.set()
        while thread.is_alive():
            _emptied(waiting)
            thread.join(PAUSE)


def end(items: Iterable[object]) -> None:
    """Close a generator now: an error on its way holds on to it, and it may hold a thread."""
    if isinstance(items, Generator):
        items.close()


def _emptied(waiting: "queue.Queue[Any]") -> None:
    """Make room, so that the thread gets on and sees that nobody listens."""
    while True:
        try:
            waiting.get_nowait()
        except queue.Empty:
            return
