"""Stages that work at the same time: each in its own thread, with a short queue before the next."""

import dataclasses
import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from typing import Any, TypeVar

import numpy as np

Item = TypeVar("Item")
PAUSE = 0.05  # seconds between looks at whether a thread has noticed that nobody listens
FLIGHT = 192 << 20  # bytes of arrays that wait in one queue; beyond that, one item at a time: four frames of 4K fit


def ahead(items: Iterable[Item], *, depth: int, flight: int = FLIGHT) -> Iterator[Item]:
    """Yield the items, up to `depth` of them made in another thread before they are asked for.

    No item is begun while arrays of more than `flight` bytes wait or are in use. An error among the items is raised
    here, in its place. When this generator is closed, so is theirs, by its own thread.
    """
    waiting: queue.Queue[tuple[str, Any]] = queue.Queue(depth)
    load = _Load(flight)

    def work() -> None:
        last: tuple[str, Any] = ("end", None)
        try:
            for item in items:
                waiting.put(("item", load.added(item)))
                del item  # it lives on only where it is used
                if load.closed_before_room():
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
            load.remove(value)
            del value
    finally:
        load.closed.set()
        while thread.is_alive():
            _emptied(waiting)
            thread.join(PAUSE)


class _Load:
    """Counts the bytes of the items between a thread that makes them and one that uses them."""

    def __init__(self, limit: int) -> None:
        self.closed = threading.Event()  # nobody needs the items any more
        self._limit, self._bytes, self._changed = limit, 0, threading.Condition()

    def added(self, item: Item) -> Item:
        """Count an item, and return it."""
        with self._changed:
            self._bytes += weight(item)
        return item

    def remove(self, item: object) -> None:
        """Count an item no more, as it was used."""
        with self._changed:
            self._bytes -= weight(item)
            self._changed.notify()

    def closed_before_room(self) -> bool:
        """Wait until there is room for another item, and say whether nobody needs one any more."""
        with self._changed:
            while self._bytes > self._limit and not self.closed.is_set():
                self._changed.wait(PAUSE)
        return self.closed.is_set()


def weight(item: object) -> int:
    """Return the bytes of the arrays in an item: an array, a frame, a picture, a motion, or a tuple of such."""
    return sum(dict(_arrays(item)).values())


def _arrays(item: object) -> Iterator[tuple[int, int]]:
    """Yield identity and bytes of every array."""
    if isinstance(item, np.ndarray):
        yield id(item), item.nbytes
    elif isinstance(item, tuple):
        for part in item:
            yield from _arrays(part)
    elif dataclasses.is_dataclass(item) and not isinstance(item, type):
        for part in dataclasses.fields(item):
            yield from _arrays(getattr(item, part.name))


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
