"""Tensors with a self-description in one safetensors file that cannot execute code and notices a flipped bit.

The file is plain safetensors. Its metadata has one entry, ``styl``: JSON that says what the tensors are (`kind`,
`networks`, `codec`, `routes`, …) and holds the SHA-256 of everything else in the file, because neither safetensors
nor zip notices damage in the content.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from cyclegan.errors import CheckpointError, out_of_memory, shown
from cyclegan.files import write_atomic
from cyclegan.reading import open_regular, read_file

FORMAT = 1
LARGEST = 16 << 30  # bytes of a file; states of the largest networks that anybody trained have 1.5 GB
HEADER_LIMIT = 16 << 20  # bytes; ours are a few kilobytes


@dataclass(frozen=True)
class Checkpoint:
    """Named tensors and what they are, as read from or written to one file."""

    about: dict[str, Any]
    tensors: dict[str, Tensor]

    def save(self, path: Path) -> None:
        """Write the file atomically; raises OSError when it cannot be written."""
        write_atomic(path, self.encode())

    def encode(self) -> bytes:
        """Return the file's bytes."""
        # a copy each, as the library refuses tensors that share memory
        blob = safetensors.torch.save(
            {
                name: t.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
                for name, t in self.tensors.items()
            }
        )
        header, data = _split(blob)
        about = {**self.about, "format": FORMAT}
        about["sha256"] = _digest(about, header, data)
        header["__metadata__"] = {"styl": json.dumps(about, sort_keys=True)}
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        return len(text).to_bytes(8, "little") + text + data

    @classmethod
    def load(cls, path: Path, *, kind: str) -> "Checkpoint":
        """Read and verify a file of one `kind` ("translator", "sampler" or "state").

        Raises CheckpointError when it is missing, damaged, of another kind, or made by a newer styl.
        """
        try:
            blob = read_file(path, most=LARGEST)
        except OSError as error:
            raise CheckpointError(f"{shown(path)}: cannot be read: {error.strerror}", hint="check the path") from None
        try:
            found = cls.decode(blob)
        except CheckpointError as error:
            raise CheckpointError(f"{shown(path)}: {error.what}", hint=error.hint) from None
        if found.about.get("kind") != kind:
            what = f"{shown(path)}: holds a {found.about.get('kind')}, not a {kind}"
            raise CheckpointError(what, hint=_FOR.get(str(found.about.get("kind")), _OTHER_FILE))
        return found

    @classmethod
    def decode(cls, blob: bytes) -> "Checkpoint":
        """Read and verify a file's bytes; raises CheckpointError."""
        try:
            header, data = _split(blob)
            about = json.loads(header.pop("__metadata__")["styl"])
            digest, version = about.pop("sha256"), about["format"]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise CheckpointError(f"not a styl checkpoint ({type(error).__name__})", hint=_OTHER_FILE) from None
        if not isinstance(version, int) or version > FORMAT:
            raise CheckpointError(f"made by a newer styl (format {version})", hint="update styl: pip install -U styl")
        if digest != _digest(about, header, data):
            raise CheckpointError("damaged: its content does not match its SHA-256", hint="fetch or save it again")
        try:
            tensors = safetensors.torch.load(blob)
        except Exception as error:  # the library's own type, and what it lets through
            if out_of_memory(error):
                raise
            raise CheckpointError(f"damaged: {error}", hint="fetch or save it again") from None
        return cls(about, tensors)


def kind_of(path: Path) -> str | None:
    """Return what a file says it holds; None where it does not say."""
    kind = said_of(path).get("kind")
    return kind if isinstance(kind, str) else None


def said_of(path: Path) -> dict[str, Any]:
    """Return what a file says of itself, unverified, of which no more than the header is read; else nothing."""
    try:
        with open_regular(path, most=LARGEST) as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size)) if size <= HEADER_LIMIT else {}
        about = json.loads(header["__metadata__"]["styl"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    return about if isinstance(about, dict) else {}


_FOR = {"sampler": "styl sample draws from it", "translator": "styl translate applies it"}
_OTHER_FILE = "name a .safetensors file that styl wrote; others come in with styl import"


def _split(blob: bytes) -> tuple[dict[str, Any], bytes]:
    size = int.from_bytes(blob[:8], "little")
    if len(blob) < 8 or size > min(len(blob) - 8, HEADER_LIMIT):
        raise ValueError("cut off")
    header = json.loads(blob[8 : 8 + size])
    if not isinstance(header, dict):
        raise ValueError("no header")
    return header, blob[8 + size :]


def _digest(about: dict[str, Any], header: dict[str, Any], data: bytes) -> str:
    """Return the SHA-256 of the description, the tensors' names, types and places, and their content."""
    described = json.dumps([about, header], sort_keys=True).encode()
    return hashlib.sha256(described + b"\0" + data).hexdigest()
