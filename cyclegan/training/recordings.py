"""Recordings as a training sees them: speech taken apart once, and cut into draws."""

import random
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cyclegan import __version__
from cyclegan.codecs.voice import features, spoken
from cyclegan.codecs.world import Speech, analyse, made_by, resample
from cyclegan.errors import InputError, shown
from cyclegan.experiment import Data
from cyclegan.media.kinds import HEARD_SUFFIXES
from cyclegan.media.sounds.excerpt import excerpt
from cyclegan.media.sounds.loudness import USUAL, loudness
from cyclegan.media.sounds.reader import open_sound, read_sound
from cyclegan.recipes import Voice

Frames = NDArray[np.float32]
Samples = NDArray[np.float64]

PIECE = 30  # seconds that are taken apart at once: an hour would fill the memory with spectra
MARGIN = 0.05  # seconds that are left of the silence at either end
LEAST = 0.1  # seconds of speech that are worth learning


class Recordings:
    """Brings recordings of any length, rate and loudness to what is learnt: arrays (coefficients + 1, T, 1)."""

    called, suffixes = "recordings", HEARD_SUFFIXES

    def __init__(self, data: Data, codec: Voice) -> None:
        self.data, self.codec = data, codec

    @property
    def weight(self) -> int:
        """Bytes of one draw."""
        return 4 * (self.codec.coefficients + 1) * self.data.size

    def made_of(self) -> list[Any]:
        """Return what arrays depend on besides the file's content."""
        codec = self.codec
        return [__version__, version("av"), *made_by(), codec.rate, codec.coefficients, codec.period]

    def read(self, path: Path) -> Frames:
        """Read a recording, all channels together, and take it apart; raises InputError, also where it is silent."""
        sound = read_sound(path)
        samples = self._levelled(path, sound.samples.mean(1, dtype=np.float64), sound.rate)
        taken = _trimmed(self._taken_apart(samples), margin=round(1000 * MARGIN / self.codec.period))
        if taken.shape[1] * self.codec.period < 1000 * LEAST:
            raise InputError(f"{shown(path)}: less than {LEAST:g} seconds of sound", hint="remove it")
        return taken[..., None]

    def heard(self, path: Path, *, seconds: float) -> tuple[Samples, Speech]:
        """Return the beginning of a recording as samples at the codec's rate, and taken apart; raises InputError."""
        beginning = self._levelled(path, *excerpt(path, seconds=seconds))
        return beginning, self._analysed(beginning)

    def _levelled(self, path: Path, samples: Samples, rate: int) -> Samples:
        """Return samples (S,) at the codec's rate and of the usual loudness."""
        level = loudness([samples], rate=rate)
        if not level:
            raise InputError(f"{shown(path)}: nothing but silence", hint="remove it")
        return resample(samples, rate=rate, to=self.codec.rate) * (USUAL / level)

    def _analysed(self, samples: Samples) -> Speech:
        codec = self.codec
        return analyse(samples, rate=codec.rate, period=codec.period, coefficients=codec.coefficients)

    def _taken_apart(self, samples: Samples) -> Frames:
        return np.concatenate(list(self._pieces(samples)), axis=1)

    def _pieces(self, samples: Samples) -> Iterator[Frames]:
        codec = self.codec
        frames = round(PIECE * 1000 / codec.period)
        size = round(frames * codec.period * codec.rate / 1000)
        for start in range(0, len(samples), size):
            piece = samples[start : start + size]
            yield features(self._analysed(piece))[:, :frames]

    def facts(self, path: Path, array: Frames) -> dict[str, Any]:
        """Return how long the speech of a recording is, and at which rate it was recorded."""
        height, width, _ = array.shape
        with open_sound(path) as sound:
            rate = sound.rate
        return {"height": height, "width": width, "seconds": width * self.codec.period / 1000, "rate": rate}

    def short_side(self, *, settled: bool = False) -> int:
        """Return what recordings are resized to: nothing, they are as long as they are."""
        return 0

    def short_sides(self) -> list[int]:
        """Return the only way in which they are kept."""
        return [0]

    def resize(self, array: Frames, *, short: int) -> Frames:
        """Return the array as it is."""
        return array

    def draw(self, array: Frames, *, seed: int, settled: bool = False) -> Tensor:
        """Return a random piece of (H, T, 1) as (1, H, size): a function of the recording and the seed."""
        return self._cut(array, random.Random(seed).random())

    def fixed(self, array: Frames) -> Tensor:
        """Return the middle of (H, T, 1) as (1, H, size)."""
        return self._cut(array, 0.5)

    def pieces(self, array: Frames) -> Iterator[Tensor]:
        """Yield all whole pieces of (H, T, 1), one behind the other, as (1, H, size); of a short one, `fixed`."""
        count = array.shape[1] // self.data.size
        for number in range(count):
            yield _tensor(array[:, number * self.data.size : (number + 1) * self.data.size])
        if not count:
            yield self.fixed(array)

    def _cut(self, array: Frames, place: float) -> Tensor:
        size = self.data.size
        if array.shape[1] < size:  # to and fro, as often as it takes
            array = np.pad(array, ((0, 0), (0, size - array.shape[1]), (0, 0)), mode="symmetric")
        start = int(place * (array.shape[1] - size + 1))
        return _tensor(array[:, start : start + size])


def _tensor(array: Frames) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).permute(2, 0, 1)


def _trimmed(taken: Frames, *, margin: int) -> Frames:
    """Return (H, T) without the silence at its ends, but for a margin."""
    heard = np.flatnonzero(spoken(taken[0]))
    return taken[:, max(0, int(heard[0]) - margin) : int(heard[-1]) + margin + 1]
