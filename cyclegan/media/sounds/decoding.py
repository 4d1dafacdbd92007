"""Packets of sound, decoded one by one: what fails is counted, and what follows goes on."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet

from cyclegan.errors import InputError, shown
from cyclegan.media.container import raise_shortage
from cyclegan.media.films.damage import Damage
from cyclegan.media.sounds.soundfile import DAMAGED, UNREADABLE

_PATIENCE = 50  # read errors in a row before the rest of a file is given up


class Decoding:
    """Decodes a track once; where a frame is `broken` off, something is missing before it."""

    def __init__(self, path: Path, container: InputContainer, track: AudioStream, *, strict: bool) -> None:
        self.damage = Damage()
        self.broken = True
        self.silent_until: Fraction | None = None  # where what could not be decoded last would have ended
        self.origin = Fraction(0)  # seconds on the clock of the file, from which on times are told
        self._path, self._container, self._track, self._strict = path, container, track, strict
        self._at = Fraction(0)
        if track.codec_context.name == "flac":  # else flipped bits become noise
            track.codec_context.options = {"err_detect": "crccheck+explode"}

    def frames(self) -> Iterator[AudioFrame]:
        """Yield the frames; raise InputError where the codec is not known, and with `strict` for any damage."""
        for packet in self._packets():
            yield from self._frames_of(packet)
        for _ in range(_PATIENCE):  # what the decoder holds back
            frames = self._frames_of(None)
            yield from frames
            if not frames:
                break

    def _frames_of(self, packet: "Packet[AudioStream] | None") -> list[AudioFrame]:
        if packet is not None and packet.pts is not None:
            self._at = packet.pts * packet.time_base
        try:
            frames = self._track.decode(packet)
        except EOFError:
            return []
        except av.FFmpegError as error:
            raise_shortage(error)
            self._refuse(f"cannot be decoded ({error.strerror})")
            self._failed(packet)
            return []
        except ValueError as error:  # av 19, where it knows no decoder
            raise InputError(f"{shown(self._path)}: {UNREADABLE}", hint=DAMAGED) from error
        if packet is not None and packet.is_corrupt and not self._track.codec_context.name.startswith("pcm"):
            self._refuse("damaged")
            self.damage.frames.count(self._seconds)
        return frames

    def _failed(self, packet: "Packet[AudioStream] | None") -> None:
        self.broken = True
        self.damage.packets.count(self._seconds)
        if packet is not None and packet.pts is not None:
            self.silent_until = self._at + (packet.duration or 0) * packet.time_base

    @property
    def _seconds(self) -> float:
        return max(0.0, float(self._at - self.origin))

    def _refuse(self, reason: str) -> None:
        if self._strict:
            raise InputError(f"{shown(self._path)}: {reason} at {self._seconds:.1f} s", hint=DAMAGED)

    def _packets(self) -> "Iterator[Packet[AudioStream]]":
        failures = 0
        while failures < _PATIENCE:
            try:
                for packet in self._container.demux(self._track):
                    if packet.size:
                        failures = 0
                        yield packet
                return
            except IndexError:  # of av, for a packet of a stream that begins on the way: a transport stream may
                continue
            except av.FFmpegError as error:
                raise_shortage(error)
                failures += 1
                self.broken = True
                self._refuse(f"cannot be read ({error.strerror})")
        self.damage.unreadable = True
