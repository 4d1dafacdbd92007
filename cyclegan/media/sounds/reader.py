"""Sounds, read with PyAV: waveforms in blocks, nothing shifted in time, and the sound of films."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Discard

from cyclegan.errors import InputError, shown
from cyclegan.media.container import Opened, open_container
from cyclegan.media.sounds.decoding import Decoding
from cyclegan.media.sounds.samples import Block, depth_of, finite, layout_of, waveform
from cyclegan.media.sounds.soundfile import (
    DAMAGED,
    SOUND,
    choose_track,
    declared_seconds,
    is_cut,
    pictures_of,
)
from cyclegan.media.sounds.timeline import Timeline

_MOST_SAMPLES = 6 * 3600 * 48_000  # a channel; at once, 4 bytes each

av.logging.set_level(None)  # its lines would go around every display to the terminal


@dataclass(frozen=True)
class Sound:
    """Hold a whole sound: samples float32 (T, channels), full scale ±1, and their rate in Hz."""

    samples: Block
    rate: int
    lost: str | None = None
    notes: tuple[str, ...] = ()


def open_sound(path: Path, *, strict: bool = False) -> "Recording":
    """Open a sound, or the sound of a film, as far as its first samples; raise InputError in one line.

    With `strict` whatever is damaged raises InputError later; else it is silent, and `lost` tells of it.
    """
    container = open_container(path, SOUND)
    try:
        return Recording(path, container, choose_track(path, container), strict=strict)
    except BaseException:
        container.close()
        raise


def read_sound(path: Path, *, strict: bool = False) -> Sound:
    """Read a whole sound; raise InputError where it cannot be read, or lasts longer than six hours of 48 kHz."""
    blocks, length = list[Block](), 0
    with open_sound(path, strict=strict) as recording:
        if (recording.seconds or 0) * recording.rate > _MOST_SAMPLES:
            raise _too_long(path)
        for block in recording:
            blocks.append(block)
            length += len(block)
            if length > _MOST_SAMPLES:
                raise _too_long(path)
        return Sound(np.concatenate(blocks), recording.rate, recording.lost, tuple(recording.notes))


def _too_long(path: Path) -> InputError:
    hours = _MOST_SAMPLES / 48_000 / 3600
    return InputError(f"{shown(path)}: longer than {hours:.0f} hours of 48 kHz", hint="cut it into parts")


class Recording(Opened):
    """Reads a sound once, in blocks of about a second: float32 (T, channels), full scale ±1, never clipped.

    What a film's sound leaves out, and what cannot be decoded, is silence, so that nothing shifts; the first sample
    sounds `origin` seconds on the clock of the file.
    """

    def __init__(self, path: Path, container: InputContainer, track: AudioStream, *, strict: bool) -> None:
        self.path, self.container, self.stream = path, container, track
        self.film = bool(pictures_of(container))
        self.notes: list[str] = []
        self.lost: str | None = None
        self._strict = strict
        self._declared = declared_seconds(path, container, track)
        whole = None if container.duration is None else container.duration / 1e6
        estimated = float(track.duration * (track.time_base or 0)) if track.duration else whole
        self.seconds = self._declared or estimated
        self._strange = 0  # samples that are no number
        self._resampler: AudioResampler | None = None
        self._resampled: tuple[int, str, str] | None = None  # what it was made for
        for other in container.streams:
            if other.index != track.index:
                other.discard = Discard.all
        self._decoding = Decoding(path, container, track, strict=strict)
        self._frames = self._decoding.frames()
        first = next(self._frames, None)
        if first is None:
            raise InputError(f"{shown(path)}: not one sample can be decoded", hint=DAMAGED)
        self._first = first
        self.rate, self.channels = first.sample_rate, first.layout.nb_channels
        self.layout, self.depth = layout_of(first), depth_of(track, first)
        self.origin = self._decoding.origin = self._begin(first)
        name = container.format.name
        self._timeline = Timeline(self.rate, origin=self.origin, end=self.seconds, container=name)

    def _begin(self, first: AudioFrame) -> Fraction:
        """Return when the first sample sounds: with the pictures of a film, or earlier; else where the sound begins."""
        at = _time_of(first) or Fraction(0)
        films = [stream for stream in pictures_of(self.container) if stream.time_base and stream.start_time is not None]
        others = films if self.film else [self.stream] if self._decoding.damage.packets.number else []
        starts = [(other.start_time or 0) * (other.time_base or 0) for other in others]
        return min([at, *map(Fraction, starts[:1])])

    @property
    def bit_rate(self) -> int | None:
        """Return how many bits a second the sound takes, as far as the file says."""
        own = self.stream.bit_rate or self.stream.codec_context.bit_rate
        return own or (None if self.film else self.container.bit_rate) or None

    def __iter__(self) -> Iterator[Block]:
        """Yield the blocks; `lost` and `notes` are complete behind the last."""
        gathered, held = list[Block](), 0
        for piece in self._pieces():
            gathered.append(piece)
            held += len(piece)
            if held >= self.rate:
                yield np.concatenate(gathered)
                gathered, held = [], 0
        self._conclude()
        if gathered:
            yield np.concatenate(gathered)

    def _pieces(self) -> Iterator[Block]:
        """Yield the samples of frames, with silence where there are none."""
        for frame in chain([self._first], self._frames):
            gap = self._gap_before(frame)
            yield from self._silence(gap)
            samples, strange = finite(self._alike(frame)[max(0, -gap) :])
            samples = self._without_padding(samples)
            self._strange += strange
            self._timeline.heard += len(samples)
            if len(samples):
                yield samples
        end = self._decoding.silent_until
        if self._decoding.broken and end is not None and self._timeline.missing_until(end) > 0:
            yield from self._silence(self._timeline.gap_before(end, exactly=True))

    def _silence(self, length: int) -> Iterator[Block]:
        while length > 0:
            part = min(length, self.rate)
            yield np.zeros((part, self.channels), np.float32)
            self._timeline.heard += part
            length -= part

    def _gap_before(self, frame: AudioFrame) -> int:
        time, exactly = _time_of(frame), self._decoding.broken
        self._decoding.broken = False
        return 0 if time is None else self._timeline.gap_before(time, exactly=exactly)

    def _alike(self, frame: AudioFrame) -> Block:
        """Return the samples of a frame with the rate and the channels of the first."""
        if frame.sample_rate == self.rate and frame.layout.nb_channels == self.channels:
            return waveform(frame)
        coming = frame.sample_rate, frame.layout.name, frame.format.name
        if self._resampler is None or self._resampled != coming:
            self._resampled = coming
            self._resampler = AudioResampler(format="flt", layout=self.layout, rate=self.rate)
        empty = np.zeros((0, self.channels), np.float32)
        return np.concatenate([empty, *(waveform(part) for part in self._resampler.resample(frame))])

    def _without_padding(self, samples: Block) -> Block:
        """Cut what an encoder put behind the end, where only the list of edits of mp4 says so."""
        if not self.container.format.name.startswith("mov") or not self._declared or self.film:
            return samples
        over = self._timeline.heard + len(samples) - round(self._declared * self.rate)
        return samples[: len(samples) - over] if 0 < over < len(samples) else samples

    def _conclude(self) -> None:
        """Compare what was read with what the file declares, and tell everything."""
        damage, timeline = self._decoding.damage, self._timeline
        exact = self.container.format.name in ("wav", "flac", "aiff")
        slack = 1.5 / self.rate if exact else 0.05 + 2048 / self.rate  # an encoder may have added a frame
        left_out = timeline.left_out / self.rate
        short = self._declared is not None and timeline.reached + left_out < self._declared - slack
        if short or is_cut(self.path, self.container):
            damage.truncated(timeline.reached, self._declared if short else None)
        gaps = timeline.gaps.told("gap", "filled with silence") if timeline.gaps.number else None
        long = f"{left_out:,.0f} s without sound were left out, as gaps are too long" if left_out else None
        parts = [damage.told(), long, None if self.film else gaps]  # the sound of a film may pause
        self.lost = "; ".join(part for part in parts if part) or None
        if self.lost and self._strict:
            raise InputError(f"{shown(self.path)}: {self.lost}", hint=DAMAGED)
        self.notes += [gaps] if gaps and self.film else []
        self.notes += timeline.notes
        if self._resampler:
            self.notes.append("rate or channels change on the way: they were made those of the beginning")
        if self._strange:
            self.notes.append(f"{self._strange} samples that are no number (NaN, infinite) were made silent")


def _time_of(frame: AudioFrame) -> Fraction | None:
    pts = frame.pts if frame.pts is not None else frame.dts
    return None if pts is None or not frame.time_base else pts * frame.time_base
