"""What of a film could not be read, told in one line with times."""

from collections.abc import Callable
from pathlib import Path

from av.container import InputContainer
from av.video.stream import VideoStream

_ONE_FRAME_A_PACKET = {"h264", "hevc", "mpeg4", "mpeg2video", "mjpeg", "prores", "ffv1"}  # others hide some


class Span:
    """Counts things that happened, and remembers only when the first and the last did."""

    def __init__(self) -> None:
        self.number, self._from, self._to = 0, float("inf"), float("-inf")

    def count(self, at: float) -> None:
        """Count one, `at` seconds into the film."""
        self.number += 1
        self._from, self._to = min(self._from, at), max(self._to, at)

    def told(self, thing: str, fate: str) -> str:
        """Tell how many of a thing met their fate, and when."""
        things = thing if self.number == 1 else f"{thing}s"
        first, last = f"{max(0.0, self._from):.1f}", f"{max(0.0, self._to):.1f}"
        when = f"at {first} s" if first == last else f"between {first} and {last} s"
        return f"{self.number} {things} {when} {fate}"


class Damage:
    """Gathers what was damaged: packets that could not be decoded, and frames that were, with guesses."""

    def __init__(self) -> None:
        self.packets, self.frames = Span(), Span()
        self.unreadable = False
        self.missing: tuple[int, int] | None = None  # of how many packets that the index names
        self._cut: tuple[float, float | None] | None = None

    def truncated(self, ended: float, declared: float | None) -> None:
        """Remember where the film ends, and where it should (None: the file does not say)."""
        self._cut = ended, declared

    def told(self) -> str | None:
        """Tell everything in one line; None where nothing was lost."""
        parts = []
        if self._cut:
            ended, declared = self._cut
            parts.append(f"input ends at {ended:.1f} {f'of {declared:.1f} s' if declared else 's'} (truncated)")
        elif self.unreadable:
            parts.append("the rest of the input cannot be read")
        if self.missing:
            parts.append(f"{self.missing[0]} of {self.missing[1]} packets are missing")
        if self.packets.number:
            parts.append(self.packets.told("packet", "could not be decoded"))
        if self.frames.number:
            parts.append(self.frames.told("frame", "damaged"))
        return "; ".join(parts) or None


class Followed:
    """Follows packets through a decoder: frames come out in order, so what lies before one and is not out is lost."""

    def __init__(self, lost: Span, at: Callable[[int], float], *, able: bool) -> None:
        self._lost, self._at = lost, at
        self._inside = set[int]()
        self._errors = 0, 0.0  # how many, and the last
        self._able = able

    def enter(self, pts: int | None) -> None:
        """Note that a packet went in."""
        if self._able and pts is not None:
            self._inside.add(pts)

    def leave(self, pts: int | None, *, interlaced: bool) -> None:
        """Note that a frame came out; two fields may be two packets, so those are not followed."""
        if interlaced or pts is None:
            self._able = False
            self._inside.clear()
        elif self._able:
            for earlier in sorted(p for p in self._inside if p < pts):
                self._lost.count(self._at(earlier))
            self._inside = {p for p in self._inside if p > pts}

    def failed(self, at: float) -> None:
        """Note an error of the decoder, which belongs to this packet or to one of the last."""
        if self._able:
            self._errors = self._errors[0] + 1, at
        else:
            self._lost.count(at)

    def finish(self) -> None:
        """Count what never came out."""
        for pts in sorted(self._inside):
            self._lost.count(self._at(pts))
        self._inside.clear()
        for _ in range(self._lost.number, self._errors[0]):  # errors that took no frame away
            self._lost.count(self._errors[1])


def ends_within_a_packet(path: Path) -> bool:
    """Say whether a transport stream was cut: it has no declared length, but packets of one size."""
    if path.suffix.lower() not in (".ts", ".m2ts", ".mts"):
        return False
    with path.open("rb") as file:
        head = file.read(5)
    size = 188 if head[:1] == b"\x47" else 192 if head[4:] == b"\x47" else 1
    return path.stat().st_size % size != 0


def follows(container: InputContainer, stream: VideoStream) -> bool:
    """Say whether every packet is one frame and has its time; those of avi are guessed by FFmpeg."""
    return container.format.name != "avi" and stream.codec_context.name in _ONE_FRAME_A_PACKET


def expected_packets(container: InputContainer, stream: VideoStream) -> int:
    """Return how many packets the index of a file names; 0 where it has none that is complete."""
    if container.format.name == "avi":  # frames that repeat the last one are packets of no bytes
        return sum(entry.size > 0 for entry in stream.index_entries)
    return len(stream.index_entries) if container.format.name.startswith("mov") else 0
