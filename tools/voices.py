"""Two synthetic speakers, and how near one comes to the other: mel-cepstral distortion, modulation, pitch.

    python tools/voices.py make DIR                   flite's rms and slt: 44 sentences each, 8 that both say
    styl train DIR/rms DIR/slt --preset voice-tiny -o RUN
    python tools/voices.py score DIR RUN [RUN ...]    beside the source as it is, and the mean shift alone
    python tools/voices.py judge DIR RUN [RUN ...]    DIR/learnt and DIR/held, a folder a speaker: who is heard

Figures are of envelopes as the networks make them, which is what papers report; and of what is heard, samples that were
put together and taken apart again, where another pitch alone moves the modulation spectrum.
"""

import argparse
import random
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cyclegan.codecs.voice import spoken
from cyclegan.codecs.world import Speech, resample
from cyclegan.media.sounds.loudness import USUAL, loudness
from cyclegan.media.sounds.reader import read_sound
from cyclegan.metrics.speech import mel_cepstral_distortion, modulation_distance
from cyclegan.translation.voice import VoiceTranslator

VOICES = ("rms", "slt")
LEARNT, SHARED = 44, 8
WHO = "the farmer|my brother|an old sailor|the quiet girl|our teacher|a young doctor|the tall man|her neighbour"
DID = "carried|watched|painted|followed|remembered|described|repaired|sold|found|lost|counted|admired"
WHAT = "a yellow boat|the broken clock|seven green apples|the narrow bridge|some warm bread|the garden gate"
WHEN = "before the storm|on a cold evening|in the middle of june|after breakfast|without a word|near the river"


class Figures(NamedTuple):
    """Distances to the target in dB, and the median pitch as a share of the target's."""

    distortion: float
    modulation: float
    pitch: float

    def __str__(self) -> str:
        return f"MCD {self.distortion:5.2f} dB  MSD {self.modulation:5.2f} dB  pitch {self.pitch:6.1%} of the target's"


def sentences(count: int, *, seed: int = 7) -> list[str]:
    """Return so many different sentences of a small grammar."""
    chance, found = random.Random(seed), dict[str, None]()
    who, did, what, when = (words.split("|") for words in (WHO, DID, WHAT, WHEN))
    while len(found) < count:
        first = f"{chance.choice(who)} {chance.choice(did)} {chance.choice(what)} {chance.choice(when)}"
        found[f"{first}, and {chance.choice(who)} {chance.choice(did)} {chance.choice(what)}."] = None
    return list(found)


def make(folder: Path) -> None:
    """Write both speakers' recordings, of different sentences, and those of sentences that both say."""
    if not shutil.which("flite"):
        sys.exit("flite is not installed: apt-get install flite")
    said = sentences(2 * LEARNT + SHARED)
    for place, voice in enumerate(VOICES):
        own = said[place * LEARNT : (place + 1) * LEARNT]
        for where, texts in ((folder / voice, own), (folder / "shared" / voice, said[-SHARED:])):
            where.mkdir(parents=True, exist_ok=True)
            for number, text in enumerate(texts):
                subprocess.run(["flite", "-voice", voice, "-t", text, where / f"{number:03d}.wav"], check=True)


def heard(folder: Path) -> Iterator[tuple[NDArray[np.float32], int]]:
    """Yield samples and rate of each recording."""
    for path in sorted(folder.glob("*.wav")):
        sound = read_sound(path)
        yield sound.samples[:, 0], sound.rate


def taken_apart(samples: NDArray[np.float32], rate: int, *, like: VoiceTranslator) -> Speech:
    """Return speech of the usual loudness, taken apart by a translator's codec."""
    at_codec = resample(samples.astype(np.float64), rate=rate, to=like.codec.rate)
    return like.codec.analyse(at_codec * (USUAL / loudness([at_codec], rate=like.codec.rate)))


def figures(speeches: Sequence[Speech], targets: Sequence[Speech]) -> Figures:
    """Compare what was said with the target saying the same."""
    pairs = zip(speeches, targets, strict=True)
    distortion = statistics.mean(mel_cepstral_distortion(one.envelope, other.envelope) for one, other in pairs)
    modulation = modulation_distance([one.envelope for one in speeches], [one.envelope for one in targets])
    return Figures(distortion, modulation, median_pitch(speeches) / median_pitch(targets))


def median_pitch(speeches: Sequence[Speech]) -> float:
    """Return the median of the voiced frames, in Hz."""
    pitch = np.concatenate([speech.pitch for speech in speeches])
    return float(np.median(pitch[pitch > 0]))


def score(folder: Path, model: str) -> None:
    """Print both directions of a model, beside the source and the mean shift."""
    for source, target in (VOICES, VOICES[::-1]):
        network = VoiceTranslator.load(model, to=target, device="cpu")
        shift = VoiceTranslator(nn.Identity(), codec=network.codec, source=source, target=target)
        said = list(heard(folder / "shared" / source))
        targets = [taken_apart(*one, like=network) for one in heard(folder / "shared" / target)]
        spoken = [taken_apart(*one, like=network) for one in said]
        print(f"{model}  {source} to {target}  as it is              {figures(spoken, targets)}", flush=True)
        for name, way in (("mean shift", shift), ("converted", network)):
            made = [converted(speech, way) for speech in spoken]
            print(f"{model}  {source} to {target}  {name:10}  envelopes  {figures(made, targets)}", flush=True)
            again = [taken_apart(way(samples, rate=rate), rate, like=network) for samples, rate in said]
            print(f"{model}  {source} to {target}  {name:10}  heard      {figures(again, targets)}", flush=True)


def judge(folder: Path, model: str) -> None:
    """Print how often a linear judge of the mean envelope and its spread hears the target, before and after."""
    known = VoiceTranslator.load(model, device="cpu")
    speakers = sorted((known.source, known.target))
    learnt = {
        name: [manner(taken_apart(*one, like=known)) for one in heard(folder / "learnt" / name)] for name in speakers
    }
    for source, target in (speakers, speakers[::-1]):
        hears = linear_judge(learnt[target], learnt[source])
        translator = VoiceTranslator.load(model, to=target, device="cpu")
        shift = VoiceTranslator(nn.Identity(), codec=known.codec, source=source, target=target)
        said = list(heard(folder / "held" / source))
        for name, way in (("as it is", None), ("mean shift", shift), ("converted", translator)):
            made = [(way(samples, rate=rate) if way else samples, rate) for samples, rate in said]
            assert all(len(one) == len(other) for (one, _), (other, _) in zip(made, said, strict=True))
            share = statistics.mean(hears(manner(taken_apart(*one, like=known))) for one in made)
            print(f"{model}  {source} to {target}  {name:10}  judged as {target}: {share:6.1%}", flush=True)


def manner(speech: Speech) -> NDArray[np.float64]:
    """Return how a recording sounds: mean and deviation of its coefficients, without loudness."""
    said = speech.envelope[spoken(speech.envelope[:, 0]), 1:25]
    return np.concatenate([said.mean(0), said.std(0)])


def linear_judge(
    ours: Sequence[NDArray[np.float64]], others: Sequence[NDArray[np.float64]]
) -> Callable[[NDArray[np.float64]], bool]:
    """Return Fisher's linear discriminant between two groups, with a tenth of shrinkage."""
    one, other = np.stack(ours), np.stack(others)
    within = np.cov(one.T) + np.cov(other.T)
    within = 0.9 * within + 0.1 * np.diag(np.diag(within))
    direction = np.linalg.solve(within, one.mean(0) - other.mean(0))
    middle = (one.mean(0) + other.mean(0)) / 2
    return lambda found: bool((found - middle) @ direction > 0)


@torch.no_grad()
def converted(speech: Speech, way: VoiceTranslator) -> Speech:
    """Return speech as a translator says it, not put together yet."""
    return way.codec.converted(speech, way.network, source=way.source, target=way.target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("make", "score", "judge"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("runs", nargs="*")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.what == "make":
        make(given.folder)
    for run in given.runs:
        (judge if given.what == "judge" else score)(given.folder, run)


if __name__ == "__main__":
    main()
