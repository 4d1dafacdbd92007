"""Films through a translator: every frame once, in order, beside its own time, in constant memory."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pytest

from cyclegan.media.frames import Frame
from cyclegan.translation.ahead import ahead
from cyclegan.translation.film import beside, translate_film


@dataclass
class Clip:
    """A reader that counts what was taken from it."""

    length: int
    moving: bool = True
    fail_at: int = -1
    taken: int = 0
    count: int | None = None
    seconds: float | None = None
    lost: str | None = None
    notes: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[Frame]:
        for place in range(self.length):
            if place == self.fail_at:
                raise ValueError("rotten")
            self.taken += 1
            pixels = np.full((20, 30, 3), place % 200, np.uint8)
            pixels[5:10, place % 20 : place % 20 + 6] = 255
            yield Frame(pixels, alpha=np.full((20, 30), place % 256, np.uint8), pts=place * 7 + place % 3, duration=7)

    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None: ...


@dataclass
class Written:
    """A writer that remembers a little of what it was given."""

    frames: list[Frame] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def write(self, frame: Frame) -> None:
        self.frames.append(frame)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None: ...


def inverted(frames: Iterator[Any]) -> Iterator[Any]:
    for frame in frames:
        yield 255 - frame


def flickering(frames: Iterator[Any]) -> Iterator[Any]:
    for place, frame in enumerate(frames):
        yield np.clip(frame.astype(int) + (20 if place % 2 else -20), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("steadily", [True, False])
def test_every_frame_once_with_its_time_and_alpha(steadily: bool) -> None:
    clip, out, ticks = Clip(50), Written(), list[int]()
    translate_film(clip, out, stream=inverted, steadily=steadily, tick=ticks.append)
    wanted = list(Clip(50))
    assert ticks == list(range(1, 51))
    for got, source in zip(out.frames, wanted, strict=True):
        assert (got.pts, got.duration) == (source.pts, source.duration)
        assert np.array_equal(got.alpha, source.alpha)
        if not steadily:
            assert np.array_equal(got.pixels, 255 - source.pixels)


def test_films_are_steadied_and_pages_are_not() -> None:
    still = np.random.default_rng(0).integers(0, 200, (40, 40, 3), dtype=np.uint8)

    class Still(Clip):
        def __iter__(self) -> Iterator[Frame]:
            return (Frame(still, pts=place) for place in range(self.length))

    film, pages, raw = Written(), Written(), Written()
    flicker = translate_film(Still(12), film, stream=flickering)
    assert flicker is not None
    assert flicker.after < flicker.before / 4
    assert translate_film(Still(12, moving=False), pages, stream=flickering) is None
    assert translate_film(Still(12), raw, stream=flickering, steadily=False) is None
    steps = [np.abs(np.diff([f.pixels.astype(int) for f in w.frames], axis=0)).mean() for w in (film, pages, raw)]
    assert steps[1] == steps[2] > 20
    assert steps[0] < steps[1] / 2


def test_frames_are_not_hoarded() -> None:
    clip, most = Clip(200), 0

    class Slow(Written):
        def write(self, frame: Frame) -> None:
            nonlocal most
            time.sleep(0.001)
            self.frames.append(frame)
            most = max(most, clip.taken - len(self.frames))

    translate_film(clip, Slow(), stream=inverted)
    assert most < 40, "three queues of four, a window of seven, and what is in hand"


@pytest.mark.parametrize("steadily", [True, False])
def test_an_error_anywhere_ends_all_threads(steadily: bool) -> None:
    with pytest.raises(ValueError, match="rotten"):
        translate_film(Clip(50, fail_at=20), Written(), stream=inverted, steadily=steadily)

    def broken(frames: Iterator[Any]) -> Iterator[Any]:
        yield next(frames)
        raise RuntimeError("network")

    with pytest.raises(RuntimeError, match="network"):
        translate_film(Clip(50), Written(), stream=broken, steadily=steadily)

    class Full(Written):
        def write(self, frame: Frame) -> None:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        translate_film(Clip(50), Full(), stream=inverted, steadily=steadily)
    deadline = time.monotonic() + 5
    while any(t.name == "styl-ahead" for t in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(t.name == "styl-ahead" for t in threading.enumerate())


def test_results_stand_beside_what_they_were_made_of() -> None:
    def in_twos(keys: Iterator[int]) -> Iterator[int]:
        for key in keys:
            yield from [key * 10, next(keys) * 10]

    assert list(beside(in_twos, ["1", "2", "3", "4"], key=int)) == [("1", 10), ("2", 20), ("3", 30), ("4", 40)]
    assert list(ahead(beside(in_twos, [], key=int), depth=1)) == []
