"""Films, read with PyAV: upright sRGB frames with their times, and the packets of what else is in the file."""

import os
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from queue import SimpleQueue
from typing import Any, cast

import av
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from cyclegan.errors import InputError, shown
from cyclegan.media.container import Opened, open_container, raise_shortage
from cyclegan.media.films import colour
from cyclegan.media.films.damage import Damage, Followed, ends_within_a_packet, expected_packets, follows
from cyclegan.media.films.filmfile import DAMAGED, UNREADABLE, choose_stream, declared_seconds, film
from cyclegan.media.films.look import Look, describe
from cyclegan.media.frames import Frame
from cyclegan.media.limits import pixel_limit

_IN_DECODER = 64 << 20  # pixels of the frames that a decoder works on at once: eight of 4K, one each to a thread
_PATIENCE = 50  # read errors in a row before the rest of a file is given up

av.logging.set_level(None)  # its lines would go around every display to the terminal


def open_film(path: Path, *, strict: bool = False) -> "Film":
    """Open a film from its header; raise InputError in one line whatever is wrong with it.

    With `strict` whatever is damaged raises InputError later; else it is skipped or guessed, and `lost` tells of it.
    """
    container = open_container(path, film())
    try:
        return Film(path, container, choose_stream(path, container), strict=strict)
    except BaseException:
        container.close()
        raise


class Film(Opened):
    """Reads a film: frames once and in order, upright, in sRGB; times count ticks of `clock` seconds."""

    moving = True

    def __init__(
        self, path: Path, container: av.container.InputContainer, stream: VideoStream, *, strict: bool
    ) -> None:
        self.path, self.container, self.stream = path, container, stream
        self.rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        self.clock = stream.time_base or 1 / self.rate
        self.start = stream.start_time or 0
        self.steady = stream.average_rate == stream.base_rate  # as far as the file says, frames come at one rate
        whole = None if container.duration is None else container.duration / 1e6
        own = declared_seconds(stream)
        self._length, self._alone = own or whole, own is not None  # of the film, if the file says that of it alone
        self.seconds = whole or own
        estimated = round(self._length * self.rate) if self._length and self.steady else None
        self.count = stream.frames or estimated
        self.notes: list[str] = []
        self.lost: str | None = None
        self._strict, self._collecting, self._expected = strict, False, expected_packets(container, stream)
        self._parcels: SimpleQueue[tuple[int, Packet[Any]]] = SimpleQueue()
        self.covers = dict[int, bytes]()  # by the number of their stream; they stand before everything else
        self._damage = Damage()
        self._followed = Followed(self._damage.packets, self._at, able=follows(container, stream))
        self._indexed = container.format.name.startswith("mov")  # its index is whole, or the file does not open
        self._read, self._reached = 0, 0.0  # packets of the film, and the end of all that is in the file
        self._reformatter = VideoReformatter()
        self._frames = self._decode()
        self._ahead = deque[VideoFrame]()
        self._look: Look | None = None
        stream.codec_context.options = {"max_pixels": str(pixel_limit())}  # it may still grow
        stream.thread_type = "AUTO"
        self.pixels = stream.width * stream.height
        stream.thread_count = min(8, os.cpu_count() or 1, 1 + _IN_DECODER // self.pixels)
        for other in container.streams:
            if other.type == "data":  # never copied: see encoder.py
                other.discard = av.stream.Discard.all

    def collect(self) -> "SimpleQueue[tuple[int, Packet[Any]]]":
        """Return the queue into which the packets of all other streams will go, numbered, while the film is read."""
        assert not self._read, "packets of other streams are asked for before the film is read"
        self._collecting = True
        return self._parcels

    def look(self) -> Look:
        """Decode as far as the first frame, and describe it; raise InputError where there is none."""
        if self._look is None:
            frame = next(self._frames, None)
            if frame is None:
                raise InputError(f"{shown(self.path)}: not one frame can be decoded", hint=DAMAGED)
            self._ahead.append(frame)
            self._look = describe(frame, self.stream)
            self.notes += self._look.notes()
            if self.stream.metadata.get("alpha_mode") == "1" and not colour.has_alpha(frame.format):
                self.notes.append("transparency is not read from this codec")
        return self._look

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames; a frame lasts until the next, so one is always held back."""
        self.look()
        held: tuple[int, VideoFrame] | None = None
        for pts, frame in self._timed():
            if held:
                yield self._made(*held, duration=pts - held[0])
            held = pts, frame
        assert held is not None  # look() saw one
        duration = held[1].duration or max(1, round(1 / self.rate / self.clock))
        self._conclude(held[0] + duration)
        yield self._made(*held, duration=duration)

    def _timed(self) -> Iterator[tuple[int, VideoFrame]]:
        """Give every frame a time later than the one before."""
        step = max(1, round(1 / self.rate / self.clock))
        last: int | None = None
        while True:
            frame = self._ahead.popleft() if self._ahead else next(self._frames, None)
            if frame is None:
                return
            pts = frame.pts if frame.pts is not None else frame.dts
            if pts is None:
                pts = self.start if last is None else last + step
            if last is not None and pts <= last:
                self._note("times that run backwards were put in order")
                pts = last + 1
            last = pts
            yield pts, frame

    def _made(self, pts: int, frame: VideoFrame, *, duration: int) -> Frame:
        look = self.look()
        if (frame.width, frame.height) != (look.width, look.height):
            other = f"{frame.width} × {frame.height}"
            self._note(f"the size changes on the way: {other} was scaled to {look.width} × {look.height}")
        pixels, alpha = colour.decoded(
            frame, size=(look.width, look.height), tags=look.tags, reformatter=self._reformatter
        )
        turned = None if alpha is None else look.turn.upright(alpha)
        return Frame(look.turn.upright(pixels), turned, pts, duration)

    def _decode(self) -> Iterator[VideoFrame]:
        for packet in self._packets():
            yield from self._frames_of(packet)
        for _ in range(_PATIENCE):  # what the decoder holds back; an error there hides none of what follows
            frames = list(self._frames_of(None))
            yield from frames
            if not frames:
                break
        self._followed.finish()

    def _frames_of(self, packet: "Packet[VideoStream] | None") -> "list[VideoFrame]":
        at = self._at(packet.pts) if packet and packet.pts is not None else self._reached
        if packet is not None and not packet.is_discard:
            self._followed.enter(packet.pts)
        try:
            frames = self.stream.decode(packet)
        except EOFError:
            return []
        except av.FFmpegError as error:
            raise_shortage(error)
            self._refuse_damage(at, f"cannot be decoded ({error.strerror})")
            self._followed.failed(at)
            return []
        except ValueError as error:  # av 19, where it knows no decoder
            raise InputError(f"{shown(self.path)}: {UNREADABLE}", hint=DAMAGED) from error
        for frame in frames:
            self._followed.leave(frame.pts, interlaced=frame.interlaced_frame)
        if (packet is not None and packet.is_corrupt) or any(frame.is_corrupt for frame in frames):
            self._refuse_damage(at, "damaged")
            self._damage.frames.count(at)
        return frames

    def _refuse_damage(self, at: float, reason: str) -> None:
        if self._strict:
            raise InputError(f"{shown(self.path)}: {reason} at {at:.1f} s", hint=DAMAGED)

    def _packets(self) -> "Iterator[Packet[VideoStream]]":
        """Yield the packets of the film, and put those of other streams aside for who asked for them."""
        failures = 0
        while failures < _PATIENCE:
            try:
                for packet in self.container.demux():
                    if not packet.size:
                        continue  # asks decoders to give what they hold: done above
                    failures = 0
                    self._note_end(packet)
                    if isinstance(packet.stream, VideoStream) and packet.stream_index == self.stream.index:
                        self._read += 1
                        yield cast("Packet[VideoStream]", packet)
                    elif self._collecting:
                        if packet.stream.disposition & Disposition.attached_pic:
                            self.covers[packet.stream_index] = bytes(packet)
                        self._parcels.put((packet.stream_index, packet))
                return
            except IndexError:  # of av, for a packet of a stream that begins on the way: it was not there to be added
                continue
            except av.FFmpegError as error:
                raise_shortage(error)
                failures += 1
                self._refuse_damage(self._reached, f"cannot be read ({error.strerror})")
        self._damage.unreadable = True

    def _note_end(self, packet: "Packet[Any]") -> None:
        if packet.pts is not None:
            end = float((packet.pts + (packet.duration or 0)) * packet.time_base - self.start * self.clock)
            self._reached = max(self._reached, end)

    def _at(self, pts: int) -> float:
        """Return seconds from the beginning of the film."""
        return float((pts - self.start) * self.clock)

    def _conclude(self, end: int) -> None:
        """Compare what was read with what the file declares; longer sound is normal, a shorter film is not."""
        ended = self._at(end)
        reached = ended if self._alone else max(ended, self._reached)
        missing = max(0, self._expected - self._read)
        short = self._length is not None and reached < self._length - max(0.05, 1.5 / float(self.rate))
        cut = short and (missing > 0 or not self._indexed)
        if cut or ends_within_a_packet(self.path):
            self._damage.truncated(ended, self._length if cut else None)
        elif missing:
            self._damage.missing = missing, self._expected
        self.lost = self._damage.told()
        if self.lost and self._strict:
            raise InputError(f"{shown(self.path)}: {self.lost}", hint=DAMAGED)

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)
