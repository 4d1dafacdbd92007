"""Where translated sound goes: into a file of sound, or into a copy of the film that it was read from."""

from pathlib import Path

from cyclegan.errors import UsageError
from cyclegan.media.kinds import FILM_SUFFIXES
from cyclegan.media.sounds.dub import Dub
from cyclegan.media.sounds.reader import Recording
from cyclegan.media.sounds.target import CONTAINERS, SoundWriter


def create_sound(path: Path, *, like: Recording, comment: str = "", keep_metadata: bool = False) -> SoundWriter:
    """Begin a sound with the rate, channels and depth of `like`, or a film with its pictures and this sound.

    Raises UsageError for a format that cannot be written, or cannot hold this sound; OSError where the disk refuses.
    """
    suffix = path.suffix.lower()
    if suffix in CONTAINERS:
        return SoundWriter(path, like=like, comment=comment, keep_metadata=keep_metadata)
    if suffix not in FILM_SUFFIXES:
        known = f"known: {' '.join(sorted(CONTAINERS))}"
        raise UsageError(f"sounds cannot be written as {path.suffix!r}", hint=known)
    if not like.film:
        raise UsageError(f"{path.suffix} is for films, and the source is a sound", hint="choose .wav, .flac or .mp3")
    return Dub(path, like=like, comment=comment, keep_metadata=keep_metadata)
