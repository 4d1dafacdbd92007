"""The beginning of a recording, from where something is heard: as much as it takes to know what it is."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cyclegan.errors import InputError, shown
from cyclegan.media.sounds.loudness import MOMENT, PAUSE, SILENCE
from cyclegan.media.sounds.reader import open_sound

Samples = NDArray[np.float64]

LEAST = 0.1  # seconds of sound, below which there is nothing to know


def excerpt(path: Path, *, seconds: float) -> tuple[Samples, int]:
    """Return at most so many seconds as samples (S,), all channels together, and their rate; pauses at the ends go.

    No more is read than that. Raises InputError for what cannot be read, and for silence.
    """
    heard, count = list[Samples](), 0
    with open_sound(path) as sound:
        rate = sound.rate
        for block in sound:
            samples = block.mean(1, dtype=np.float64)
            if heard or (samples**2).max(initial=0) > SILENCE:
                heard.append(samples)
                count += len(samples)
            if count >= (seconds + 1) * rate:  # the first second may be a pause
                break
    if not heard:
        raise InputError(f"{shown(path)}: nothing but silence", hint="remove it")
    found = trimmed(np.concatenate(heard), rate=rate)[: round(seconds * rate)]
    if len(found) < LEAST * rate:
        raise InputError(f"{shown(path)}: less than {LEAST:g} seconds of sound", hint="remove it")
    return found, rate


def trimmed(samples: Samples, *, rate: int) -> Samples:
    """Return samples (S,) without the pauses at either end."""
    moment = max(1, round(MOMENT * rate))
    powers = (np.pad(samples, (0, -len(samples) % moment)).reshape(-1, moment) ** 2).mean(1)
    spoken = np.flatnonzero(powers > PAUSE * powers.max(initial=0))
    return samples[spoken[0] * moment : (spoken[-1] + 1) * moment] if len(spoken) else samples[:0]
