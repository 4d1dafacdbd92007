"""One sound track, coded: which encoder, at which rate and bit rate, and blocks made packets."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.codec.codec import Codec
from av.container import OutputContainer
from av.packet import Packet

from cyclegan.errors import UsageError
from cyclegan.media.container import raise_shortage
from cyclegan.media.sounds.reader import Recording
from cyclegan.media.sounds.samples import Block, clipped, finite, frame_of

_PCM = {  # depth of the source: codec, sample format, bits
    "u8": ("pcm_u8", "u8", 8),
    "s16": ("pcm_s16le", "s16", 16),
    "s24": ("pcm_s24le", "s32", 24),
    "s32": ("pcm_s32le", "s32", 32),
    "flt": ("pcm_f32le", "flt", 0),
    "dbl": ("pcm_f64le", "dbl", 0),
    "lossy": ("pcm_s16le", "s16", 16),
}
_KINDS = {  # sample formats of lossy encoders
    "aac": "fltp",
    "libmp3lame": "fltp",
    "libopus": "flt",
    "ac3": "fltp",
    "eac3": "fltp",
    "mp2": "s16",
}
_ENCODERS = {"mp3": "libmp3lame", "mp3float": "libmp3lame", "opus": "libopus"}  # what decoders are called
_SHALLOW = {"u8", "s16", "lossy"}  # depths of which 16 bits hold everything


@dataclass(frozen=True)
class Coding:
    """Hold what opens an encoder: its name, sample format, bits (0: floating point), Hz, bits a second, and notes."""

    codec: str
    kind: str
    bits: int
    rate: int
    bit_rate: int | None = None
    notes: tuple[str, ...] = ()


def coding_of(codec: str, like: Recording) -> Coding:
    """Choose how a codec ("pcm": samples as they are) holds a recording; raise UsageError for too many channels."""
    if codec.startswith("pcm"):
        name, kind, bits = _PCM[like.depth]
        big = codec == "pcm_be"
        name = ("pcm_s8" if bits == 8 else name.replace("le", "be")) if big else name
        return Coding(name, kind, bits, like.rate)
    if codec in ("flac", "alac"):
        deep = like.depth not in _SHALLOW
        kind = ("s32" if deep else "s16") + ("p" if codec == "alac" else "")
        notes = (f"24 bits a sample written, as {codec} holds no more",) if like.depth in ("s32", "flt", "dbl") else ()
        return Coding(codec, kind, 24 if deep else 16, like.rate, notes=notes)
    rates = sorted(Codec(codec, "w").audio_rates or [like.rate])
    rate = next((rate for rate in rates if rate >= like.rate), rates[-1])
    notes = () if rate == like.rate else (f"resampled from {like.rate} to {rate} Hz, as {_said(codec)} holds no other",)
    kind = _KINDS[codec]
    return Coding(codec, kind, 16 if kind == "s16" else 0, rate, _bit_rate(codec, rate, like), notes)


def encoder_of(like: Recording) -> str | None:
    """Return what coding_of takes for the codec of a recording; None where there is no encoder for it."""
    name = like.stream.codec_context.name
    if name.startswith("pcm_"):
        return "pcm" if like.depth != "lossy" else None
    name = _ENCODERS.get(name, name)
    if name in _KINDS or name in ("flac", "alac"):
        return name
    return None if like.depth == "lossy" else "flac"


def _said(codec: str) -> str:
    return codec.removeprefix("lib").replace("mp3lame", "mp3")


def _bit_rate(codec: str, rate: int, like: Recording) -> int:
    """Return about the bits a second of the source; of a lossless one, those at which few would hear a difference."""
    channels = like.channels
    plenty = (64_000 if codec == "libopus" else 96_000) * channels
    wanted = like.bit_rate if like.depth == "lossy" and like.bit_rate else plenty
    return int(min(max(wanted, min(32_000, 2 * rate) * channels), 4 * rate * channels))


class Track:
    """Codes blocks as one stream of a container; its first sample sounds `start` seconds on the clock of the file.

    Encoders begin with silence of their own; containers that cannot tell its length get it not `primed`: left out.
    """

    def __init__(
        self, container: OutputContainer, coding: Coding, *, like: Recording, start: Fraction, primed: bool = True
    ) -> None:
        self.heard = 0  # samples written, at the rate of the recording
        self._coding, self._rate, self._layout = coding, like.rate, like.layout
        self._start, self._primed = start, primed
        self._clipped = self._strange = 0
        alone = {"reservoir": "0"} if coding.codec == "libmp3lame" and not primed else {}  # no frame needs another
        made = container.add_stream(coding.codec, rate=coding.rate, options=alone)
        assert isinstance(made, AudioStream)
        self.stream = made
        context = made.codec_context
        context.layout, context.format = like.layout, coding.kind
        if coding.bit_rate:
            context.bit_rate = coding.bit_rate
        try:
            context.open()
        except (av.FFmpegError, ValueError) as error:
            raise_shortage(error)
            what = f"{_said(coding.codec)} cannot hold {like.channels} channels of {coding.rate} Hz ({like.layout})"
            raise UsageError(what, hint="choose .flac or .wav") from error

    @property
    def notes(self) -> list[str]:
        """Tell what of the samples could not be written."""
        notes = []
        if self._clipped:
            notes.append(f"{self._clipped} samples louder than full scale were clipped")
        if self._strange:
            notes.append(f"{self._strange} samples that are no number (NaN, infinite) were made silent")
        return notes

    def encode(self, block: Block) -> "list[Packet[Any]]":
        """Return the packets that become ready by a block (T, channels)."""
        block, strange = finite(block)
        self._strange += strange
        if not self._coding.codec.startswith("pcm_f"):
            block, loud = clipped(block)
            self._clipped += loud
        if not len(block):
            return []
        frame = frame_of(block, layout=self._layout, kind=self._coding.kind, bits=self._coding.bits)
        frame.sample_rate, frame.time_base = self._rate, Fraction(1, self._rate)
        frame.pts = round(self._start * self._rate) + self.heard
        self.heard += len(block)
        return self._coded(frame)

    def finish(self) -> "list[Packet[Any]]":
        """Return the packets that the encoder holds back."""
        return self._coded(None)

    def _coded(self, frame: AudioFrame | None) -> "list[Packet[Any]]":
        return [packet for packet in self.stream.encode(frame) if self._primed or self._sounds(packet)]

    def _sounds(self, packet: "Packet[Any]") -> bool:
        """Say whether more than half of a packet lies behind the beginning."""
        if packet.pts is None or not packet.time_base:
            return True
        return (packet.pts + (packet.duration or 0) / 2) * packet.time_base > self._start
