"""Two speakers of plain numpy: a pulse train through four resonators, with vowels, hisses and pauses."""

from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cyclegan.media.sounds.wav import encode_wav

Samples = NDArray[np.float64]
Speaker = Literal["low", "high"]

VOWELS = ((730, 1090, 2440, 3400), (270, 2290, 3010, 3700), (300, 870, 2240, 3300), (530, 1840, 2480, 3500))  # Hz
BANDWIDTHS = (80.0, 100.0, 140.0, 220.0)  # Hz
PITCH = {"low": 105.0, "high": 205.0}  # Hz
LENGTH = {"low": 1.0, "high": 1.17}  # formants are so much higher in a shorter throat
FADE = 0.03  # seconds from sound to sound
LEVEL = 0.07  # root mean square, of a full scale of 1


def say(seed: int, *, speaker: Speaker, seconds: float, rate: int = 16_000) -> Samples:
    """Return speech (S,) of full scale ±1, the same for the same seed: about 10 ms a second of it."""
    chance = np.random.default_rng(seed)
    count = round(seconds * rate)
    voice, hiss = _pulses(chance, count, PITCH[speaker], rate), chance.standard_normal(count)
    spoken, edges = np.zeros(count), _edges(chance, seconds, rate)
    for start, end in pairwise(edges):
        kind = chance.choice(("vowel", "hiss", "pause"), p=(0.7, 0.18, 0.12))
        if kind == "pause":
            continue
        fade = round(FADE * rate)
        here = slice(max(0, start - fade), min(count, end + fade))
        source = voice[here] + 0.02 * hiss[here] if kind == "vowel" else 0.25 * hiss[here]
        vowel = np.array(VOWELS[chance.integers(len(VOWELS))]) * LENGTH[speaker]
        response = _throat(vowel if kind == "vowel" else np.array((3000, 3600, 4500, 6000)), len(source), rate)
        sound = np.fft.irfft(np.fft.rfft(source) * response, len(source))
        spoken[here] += chance.uniform(0.5, 1) * sound * _window(len(source), fade)
    return spoken * (LEVEL / max(1e-9, float(np.sqrt(np.mean(spoken**2)))))


def write_folder(
    folder: Path, *, speaker: Speaker, count: int, seconds: float, rate: int = 16_000, seed: int = 0
) -> list[Path]:
    """Write so many recordings of a speaker as 16-bit WAV, 0000.wav and so on; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{i:04d}.wav" for i in range(count)]
    for i, path in enumerate(paths):
        samples = say(10_000 * seed + i, speaker=speaker, seconds=seconds, rate=rate)
        path.write_bytes(encode_wav(samples, rate=rate))
    return paths


def _pulses(chance: np.random.Generator, count: int, pitch: float, rate: int) -> Samples:
    """Return a glottis: pulses that come as the pitch says, which wanders, falls and trembles."""
    time = np.arange(count) / rate
    knots = np.arange(0, count / rate + 1, 0.3)
    wander = np.interp(time, knots, chance.normal(0, 0.1, len(knots)))
    frequency = pitch * np.exp(wander + 0.015 * np.sin(2 * np.pi * 5.5 * time) - 0.02 * time)
    turns = np.floor(np.cumsum(frequency) / rate)
    return np.asarray(np.diff(turns, prepend=0.0) * np.sqrt(rate / frequency))


def _edges(chance: np.random.Generator, seconds: float, rate: int) -> list[int]:
    """Return where each sound begins, and the end."""
    lengths = chance.uniform(0.09, 0.26, int(seconds / 0.09) + 2)
    inside = [int(edge) for edge in np.cumsum(lengths) * rate if edge < (seconds - 0.05) * rate]
    return [0, *inside, round(seconds * rate)]


def _throat(formants: Samples, count: int, rate: int) -> NDArray[np.complex128]:
    """Return the response of four resonators in a row, and of lips and glottis: 6 dB an octave less above 300 Hz."""
    s = 2j * np.pi * np.fft.rfftfreq(count, 1 / rate)
    response = np.ones(len(s), dtype=np.complex128) / (1 + s / (2 * np.pi * 300))
    for formant, width in zip(formants, BANDWIDTHS, strict=True):
        pole = -np.pi * width + 2j * np.pi * formant
        response *= abs(pole) ** 2 / ((s - pole) * (s - pole.conjugate()))
    return response


def _window(count: int, fade: int) -> Samples:
    """Return a ramp up, ones, and a ramp down."""
    ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(2 * fade) + 0.5) / (2 * fade))
    window = np.ones(count)
    ramp = ramp[: count // 2]
    window[: len(ramp)] *= ramp
    window[count - len(ramp) :] *= ramp[::-1]
    return window
