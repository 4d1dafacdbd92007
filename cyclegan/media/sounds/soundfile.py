"""The file of a sound: opened no further than its header, only known containers, the track that is meant."""

from fractions import Fraction
from pathlib import Path

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition, Stream

from cyclegan.errors import InputError, shown
from cyclegan.media.container import Kind, told_seconds
from cyclegan.media.films.damage import ends_within_a_packet

# Playlists and addresses could name any other file or host: only these, and only local ones.
_OPTIONS = {
    "format_whitelist": "wav,w64,flac,ogg,mp3,aac,aiff,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts",
    "protocol_whitelist": "file",
}
DAMAGED = "if it does not open in a player, replace or remove it"
UNREADABLE = "its sound is coded in a way that cannot be read"
_READ = "wav, flac, ogg, opus, mp3, m4a, aac, aiff, and the sound of mp4, mov, mkv, webm, avi and ts"
SOUND = Kind("sound", _READ, DAMAGED, _OPTIONS)
_EXACT = {"flac", "aiff", "ogg"}  # their headers say how long they are; others are estimated by FFmpeg
_OGG_HEAD, _OGG_LAST = 27, 0x04  # bytes before the table of segments; the flag of a page that ends a stream
_TAIL = 1 << 17  # an Ogg page is smaller
_MOST_CHUNKS = 1000
_HIGHEST, _WIDEST = 1_000_000, 64  # Hz and channels: more is damage, and would not fit into memory


def choose_track(path: Path, container: InputContainer) -> AudioStream:
    """Return the track that players choose: the default, else the first; raise InputError where there is none."""
    tracks = container.streams.audio
    if not tracks:
        what = "a film without sound" if pictures_of(container) else f"no sound in it ({_READ} are read)"
        raise InputError(f"{shown(path)}: {what}", hint="name a file with sound")
    usable = [track for track in tracks if track.codec_context is not None and track.rate and track.channels]
    if not usable:
        raise InputError(f"{shown(path)}: {UNREADABLE}", hint=DAMAGED)
    best = max(usable, key=lambda track: (bool(track.disposition & Disposition.default), -track.index))
    if best.rate > _HIGHEST or best.channels > _WIDEST:
        raise InputError(f"{shown(path)}: {best.channels} channels of {best.rate} Hz cannot be read", hint=DAMAGED)
    return best


def pictures_of(container: InputContainer) -> list[Stream]:
    """Return the moving pictures of a file: not the cover of an album."""
    covers = Disposition.attached_pic | Disposition.timed_thumbnails
    return [stream for stream in container.streams.video if not stream.disposition & covers]


def declared_seconds(path: Path, container: InputContainer, track: AudioStream) -> float | None:
    """Return how long the track is where the file itself says so; None where it could only be estimated."""
    name = container.format.name
    clock = track.time_base or Fraction(0)
    if name == "wav":
        return _of_wav(path, track)
    if name in _EXACT or name.startswith("mov") or (name == "mp3" and _counts_frames(path)):
        return float(track.duration * clock) if track.duration else None
    return told_seconds(track)


def _of_wav(path: Path, track: AudioStream) -> float | None:
    """Return what the header of RIFF or RF64 says: FFmpeg believes the size of the file instead."""
    rate = track.bit_rate or 0
    with path.open("rb") as file:
        head = file.read(12)
        long = 0
        for _ in range(_MOST_CHUNKS if head[8:] == b"WAVE" else 0):
            name, size = file.read(4), int.from_bytes(file.read(4), "little")
            if name == b"ds64":
                body = file.read(size)
                long = int.from_bytes(body[8:16], "little")
                continue
            if name == b"data":
                size = long if head[:4] == b"RF64" and size == 0xFFFFFFFF else size
                return size * 8 / rate if rate and 0 < size != 0xFFFFFFFF else None  # a stream says nothing, or all
            if len(name) < 4:
                break
            file.seek(size + size % 2, 1)
    return None


def _counts_frames(path: Path) -> bool:
    """Say whether an mp3 has the frame of Xing or LAME that tells its length."""
    with path.open("rb") as file:
        head = file.read(10)
        if head[:3] == b"ID3":
            file.seek(10 + sum((byte & 127) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True)))
        start = file.read(4096)
    return b"Xing" in start or b"Info" in start


def is_cut(path: Path, container: InputContainer) -> bool:
    """Say whether a file without a length of its sound ends too early: an Ogg, an AVI or a transport stream."""
    if container.format.name == "avi":
        with path.open("rb") as file:
            return int.from_bytes(file.read(8)[4:], "little") + 8 > path.stat().st_size
    return _ends_within_a_page(path) if container.format.name == "ogg" else ends_within_a_packet(path)


def _ends_within_a_page(path: Path) -> bool:
    """Say whether the last page of an Ogg is not whole, or does not say that it is the last."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL))
        tail = file.read()
    page = tail[max(0, tail.rfind(b"OggS")) :]
    if not page.startswith(b"OggS") or len(page) < _OGG_HEAD or len(page) < _OGG_HEAD + page[26]:
        return True
    whole = _OGG_HEAD + page[26] + sum(page[_OGG_HEAD : _OGG_HEAD + page[26]])
    return len(page) < whole or not page[5] & _OGG_LAST
