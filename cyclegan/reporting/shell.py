"""Words and paths as a shell takes them, to be typed as they stand."""

import os
import shlex
from pathlib import Path


def typed(path: Path, *, here: Path | None = None) -> str:
    """Return a path as a shell takes it, from `here` on where it lies below that folder."""
    whole = Path(os.path.abspath(path))  # noqa: PTH100 - links are left as they are
    below = whole.relative_to(here) if here and whole.is_relative_to(here) else whole
    return quoted(str(whole if str(below).startswith("-") else below))


def quoted(text: str) -> str:
    """Return a word as a shell takes it; what no terminal prints is written as bash and zsh read it: $'\\x1b'."""
    return shlex.quote(text) if text.isprintable() else f"$'{''.join(map(_escaped, text))}'"


def _escaped(character: str) -> str:
    if character in "\\'":
        return f"\\{character}"
    return character if character.isprintable() else "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))
