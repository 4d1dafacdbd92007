"""How loud speech is, whatever pauses lie in it."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

USUAL = 0.05  # root mean square that speech is analysed at, of a full scale of 1: -26 dB
PAUSE = 1e-4  # of the power of the loudest moment: 40 dB below it
SILENCE = 1e-10  # power below which nothing is heard: -100 dB
MOMENT = 0.02  # seconds


def loudness(blocks: Iterable[Array], *, rate: int) -> float:
    """Return the root mean square of samples (S,), block by block, without the pauses; 0 where all is silence.

    Moments of 20 ms count that are less than 40 dB below the loudest.
    """
    moment = max(1, round(MOMENT * rate))
    powers = np.concatenate([_powers(block, moment) for block in blocks if len(block)] or [np.zeros(1)])
    loudest = powers.max()
    return float(np.sqrt(powers[powers >= PAUSE * loudest].mean())) if loudest > SILENCE else 0.0


def _powers(samples: Array, moment: int) -> Array:
    whole = samples[: len(samples) // moment * moment]
    return np.asarray((whole.reshape(-1, moment) ** 2).mean(1) if len(whole) else (samples**2).mean(keepdims=True))
