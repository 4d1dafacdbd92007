"""Stages in threads: order, errors, ends, and nothing left behind."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from cyclegan.media.frames import Frame
from cyclegan.translation.ahead import ahead, weight
from cyclegan.translation.temporal import Motion


def threads() -> int:
    return sum(thread.name == "styl-ahead" for thread in threading.enumerate())


def counting(log: list[str], *, fail_at: int = -1) -> Iterator[int]:
    try:
        for number in range(1000):
            if number == fail_at:
                raise ValueError("three")
            log.append(str(number))
            yield number
    finally:
        log.append("closed")


def test_items_come_in_order_and_from_another_thread() -> None:
    names = list(ahead((threading.current_thread().name for _ in range(3)), depth=2))
    assert names == ["styl-ahead"] * 3
    assert list(ahead(range(100), depth=3)) == list(range(100))
    assert not threads()


def test_no_more_than_the_depth_is_made_before_it_is_asked_for() -> None:
    log = list[str]()
    items = ahead(counting(log), depth=2)
    assert next(items) == 0
    time.sleep(0.2)
    assert len(log) == 4, "one used, two waiting, one in hand"
    items.close()
    assert log[-1] == "closed"
    assert not threads()


@pytest.mark.parametrize(
    ("flight", "alive"), [(1000, 3), (1, 1)], ids=["one used, one waits, one goes beyond", "one at a time"]
)
def test_large_items_wait_for_each_other(flight: int, alive: int) -> None:
    made = list[int]()

    def frames() -> Iterator[tuple[str, Frame]]:
        for number in range(20):
            made.append(number)
            yield "frame", Frame(np.zeros((10, 10, 3), np.uint8), np.zeros((10, 10), np.uint8))  # 400 bytes

    most = 0
    for used, _ in enumerate(ahead(frames(), depth=10, flight=flight)):
        time.sleep(0.005)
        most = max(most, len(made) - used)
    assert most == alive
    assert not threads()


def test_the_weight_of_an_item_is_that_of_its_arrays_each_once() -> None:
    pixels = np.zeros((4, 4, 3), np.uint8)
    motion = Motion((4, 4), pixels, back=np.zeros((4, 4, 2), np.float32))
    assert weight((Frame(pixels), motion)) == 48 + 128
    assert weight((Frame(pixels), Frame(pixels.copy()))) == 96
    assert weight("text") == 0


def test_an_error_is_raised_in_its_place() -> None:
    log = list[str]()
    items = ahead(counting(log, fail_at=3), depth=10)
    assert [next(items), next(items), next(items)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(items)
    assert log[-1] == "closed"
    assert not threads()


def test_an_error_behind_them_stops_all_stages() -> None:
    log = list[str]()

    def interrupted() -> None:
        for item in ahead((item for item in ahead(counting(log), depth=1)), depth=1):
            if item == 5:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    deadline = time.monotonic() + 5
    while threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not threads()
    assert log[-1] == "closed"


def test_stages_work_at_the_same_time() -> None:
    def slow(items: Iterator[int]) -> Iterator[int]:
        for item in items:
            time.sleep(0.05)
            yield item

    start = time.monotonic()
    assert len(list(ahead(slow(ahead(slow(iter(range(8))), depth=1)), depth=1))) == 8
    assert time.monotonic() - start < 0.7, "one after the other they take 0.8 seconds"
