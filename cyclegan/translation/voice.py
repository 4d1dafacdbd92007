"""A trained network put to use on voices: recordings in, the same length, rate and channels out."""

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cyclegan import catalog
from cyclegan.codecs import Voice
from cyclegan.codecs.world import made_by, resample
from cyclegan.devices import choose_device, exact_float32
from cyclegan.errors import CheckpointError, InputError, shown
from cyclegan.media.kinds import HEARD_SUFFIXES
from cyclegan.media.sounds.loudness import USUAL, loudness
from cyclegan.media.sounds.reader import Recording, open_sound
from cyclegan.media.sounds.wav import CONVERTED
from cyclegan.media.sounds.writer import create_sound
from cyclegan.translation.onefile import Outcome
from cyclegan.translation.pieces import in_pieces
from cyclegan.translation.progress import Progress
from cyclegan.translation.route import Route
from cyclegan.translation.settings import Settings

Array = TypeVar("Array", bound=NDArray[np.floating])
Samples = NDArray[np.float64]

KNEE = 0.8  # of full scale
LOUDER = 2.0  # times at most that what was put together again is made louder, or softer


class VoiceTranslator:
    """Lets the words of one speaker be said by another: samples of any rate, mono or more, as long as they are.

    Only the voice changes: words, pauses and loudness stay. What lies above half the rate that the weights were
    trained at is lost.
    """

    precision, scale_to = "fp32", None  # as for pictures where nobody chooses otherwise

    def __init__(self, network: nn.Module, *, codec: Voice, source: str, target: str, device: str = "cpu") -> None:
        self.network, self.codec = network.to(device).eval(), codec
        self.source, self.target, self.device = source, target, device

    @classmethod
    def load(cls, name: str | Path, *, to: str | None = None, device: str = "auto") -> "VoiceTranslator":
        """Load by weights file or run folder; `to` is the speaker to be heard, None the file's first direction.

        Raises CheckpointError for weights that are missing, damaged or not of voices, UsageError for an unknown
        speaker, and where what takes speech apart is not installed.
        """
        made_by()  # or every file would fail for the same reason
        way = Route.of(catalog.load(name), to=to)
        if not isinstance(way.codec, Voice):
            what = f"{shown(name)}: holds translators of pictures, not of voices"
            raise CheckpointError(what, hint="cyclegan.Translator, or styl translate, applies them")
        unknown = {way.source, way.target} - way.codec.speakers.keys()
        if unknown:
            what = f"{shown(name)}: says nothing of the speaker {min(unknown)!r}"
            raise CheckpointError(what, hint="this file was not made by styl")
        device = choose_device(device)
        return cls(way.network, codec=way.codec, source=way.source, target=way.target, device=device)

    def __call__(self, samples: Array, *, rate: int) -> Array:
        """Convert samples (S,) or (S, channels) of full scale ±1, taken `rate` times a second; the same shape and type.

        Raises InputError for anything else.
        """
        floats = isinstance(samples, np.ndarray) and samples.dtype.kind == "f"
        if not (floats and samples.ndim in (1, 2) and samples.size):
            kind = f"{type(samples).__name__} {getattr(samples, 'dtype', '')} {getattr(samples, 'shape', '')}".strip()
            raise InputError(f"{kind}: not a sound", hint="an array of floats, (S,) or (S, channels), full scale ±1")
        columns = samples.astype(np.float64).reshape(len(samples), -1)
        level = loudness([_together(columns)], rate=rate)
        made = np.concatenate(list(self.stream([columns], rate=rate, level=level)))
        return made.reshape(samples.shape).astype(samples.dtype)  # type: ignore[return-value]

    def stream(self, blocks: Iterable[Samples], *, rate: int, level: float) -> Iterator[Samples]:
        """Convert samples (S, channels) that come in blocks, in constant memory; as many come out.

        `level` is how loud all of them are together, see `cyclegan.media.sounds.loudness`; 0 says that all is silence.
        """
        if not level:
            yield from map(np.zeros_like, blocks)
            return
        yield from in_pieces(blocks, partial(self._piece, rate=rate, gain=USUAL / level), rate=rate)

    def file(
        self,
        source: str | Path,
        target: str | Path,
        *,
        settings: Settings = Settings(),  # noqa: B008 - frozen
        progress: Progress = Progress(),  # noqa: B008 - without state
    ) -> Outcome:
        """Convert one file into another, a recording or a film's sound; rate, channels and format are kept.

        A film keeps its pictures as they are. A comment in the target says that the voice is synthetic. Raises
        InputError for a file that cannot be read; nothing half-written ever appears under the target's name.
        """
        source, target = Path(source), Path(target)
        if source.suffix.lower() not in HEARD_SUFFIXES:
            raise InputError(f"{shown(source)}: no sound, and these weights are for voices", hint="name a recording")
        with open_sound(source, strict=settings.strict) as measured:
            level = loudness(map(_together, measured), rate=measured.rate)
        with open_sound(source, strict=settings.strict) as recording:
            kept = settings.keep_metadata
            with create_sound(target, like=recording, comment=CONVERTED, keep_metadata=kept) as writer:
                for block in self.stream(_heard(recording, progress), rate=recording.rate, level=level):
                    writer.write(limited(block).astype(np.float32))
            return Outcome((*recording.notes, *writer.notes, *self._lost(recording)), recording.lost)

    def _lost(self, recording: Recording) -> list[str]:
        rate = self.codec.rate
        if recording.rate <= rate:
            return []
        return [f"learnt at {rate:,} samples a second: what lies above {rate // 2:,} Hz is lost"]

    def _piece(self, samples: Samples, *, rate: int, gain: float) -> Samples:
        """Convert a piece (S, channels); channels that are the same are converted once."""
        made = list[Samples]()
        for number, channel in enumerate(samples.T):
            same = (made[i] for i in range(number) if np.array_equal(samples[:, i], channel))
            first = next(same, None)
            made.append(self._channel(channel * gain, rate=rate) / gain if first is None else first)
        return np.stack(made, axis=1)

    @exact_float32()
    @torch.inference_mode()
    def _channel(self, samples: Samples, *, rate: int) -> Samples:
        at_codec = resample(samples, rate=rate, to=self.codec.rate)
        speech = self.codec.converted(
            self.codec.analyse(at_codec), self.network, source=self.source, target=self.target, device=self.device
        )
        made = self._levelled(self.codec.synthesise(speech, count=len(at_codec)), like=at_codec)
        return resample(made, rate=self.codec.rate, to=rate)[: len(samples)]

    def _levelled(self, made: Samples, *, like: Samples) -> Samples:
        """Return samples as loud as others: putting speech together again changes that by up to 2 dB."""
        wanted, found = (loudness([one], rate=self.codec.rate) for one in (like, made))
        return made * np.clip(wanted / found, 1 / LOUDER, LOUDER) if wanted and found else made


def limited(samples: Samples) -> Samples:
    """Return samples of which those that are louder than KNEE come ever closer to full scale, and never go beyond.

    Speech that was put together again has higher peaks than it had, at the same loudness.
    """
    over = np.maximum(np.abs(samples) - KNEE, 0) / (1 - KNEE)
    return np.where(over > 0, np.sign(samples) * (KNEE + (1 - KNEE) * np.tanh(over)), samples)


def _together(block: NDArray[np.floating]) -> Samples:
    """Return how far all channels of (S, channels) are out, (S,): where they are opposed, their mean is nothing."""
    return np.asarray(np.sqrt((block.astype(np.float64) ** 2).mean(1)))


def _heard(recording: Recording, progress: Progress) -> Iterator[Samples]:
    """Yield the blocks of a recording, and tell how far it is."""
    seconds = 0.0
    for block in recording:
        seconds += len(block) / recording.rate
        progress.sound(seconds, of=recording.seconds)
        yield block.astype(np.float64)
