"""Short sounds and small spectrograms that a page carries inside."""

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cyclegan.errors import InputError
from cyclegan.media.image import encode_picture
from cyclegan.media.sounds.excerpt import excerpt
from cyclegan.media.sounds.wav import encode_wav
from cyclegan.media.spectrogram import spectrogram
from cyclegan.reporting.document import address
from cyclegan.reporting.pictures import at_once

SECONDS = 3.0  # that are seen, and heard
SHORTEST = 1.0  # seconds that fill a spectrogram; what is shorter is seen to be short
CELL = (96, 128)  # pixels
QUALITY = 70
FINE, COARSE = 16_000, 8_000  # samples a second
ROOM = 4_000_000  # bytes of sounds that a page carries
LOUD = 0.5  # the loudest sample, so that what is soft is heard, too

Samples = NDArray[np.float64]


def spectrograms(paths: Iterable[str]) -> dict[str, str]:
    """Return a JPEG of the first sounds of every path, as an address that holds it; "" for what cannot be read."""
    return at_once(paths, _painted)


def samples_of(paths: Sequence[str]) -> dict[str, str]:
    """Return a WAV of the first sounds of paths, as addresses; the last of too many are left out, else "" as above."""
    fine = at_once(paths, lambda path: _spoken(path, FINE))
    fits = sum(map(len, fine.values())) <= ROOM
    found = fine if fits else at_once(paths, lambda path: _spoken(path, COARSE))
    reached = itertools.accumulate(map(len, found.values()))
    return {path: uri for (path, uri), size in zip(found.items(), reached, strict=True) if size <= ROOM}


def _painted(path: str) -> str:
    try:
        samples, rate = excerpt(Path(path), seconds=SECONDS)
    except InputError:  # it may have gone or changed since; the page says so in its place
        return ""
    whole = np.pad(samples, (0, max(0, round(SHORTEST * rate) - len(samples))))
    pixels = spectrogram(whole, rate=rate, height=CELL[0], width=CELL[1])
    return address(encode_picture(pixels, suffix=".jpg", quality=QUALITY), kind="image/jpeg")


def _spoken(path: str, rate: int) -> str:
    try:
        samples, own = excerpt(Path(path), seconds=SECONDS)
    except InputError:
        return ""
    samples, own = slower(samples, rate=own, to=rate)
    return address(encode_wav(samples * (LOUD / np.abs(samples).max()), rate=own), kind="audio/wav")


def slower(samples: Samples, *, rate: int, to: int) -> tuple[Samples, int]:
    """Return samples (S,) with no more than `to` a second, what is above half of that left out, and their rate."""
    if rate <= to:
        return samples, rate
    count = round(len(samples) * to / rate)
    kept = np.fft.rfft(samples)[: count // 2 + 1]
    return np.fft.irfft(kept, count) * (count / len(samples)), to
