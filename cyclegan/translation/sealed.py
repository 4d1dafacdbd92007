"""What an exported file says of itself, and how it notices damage: JSON with the SHA-256 of everything beside it.

ONNX keeps it as the entry ``styl`` of its metadata, OpenVINO as ``styl`` in its runtime info. The digest is that of
the file's bytes with the entry taken out, wherever in the file it stands.
"""

import contextlib
import hashlib
import html
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from cyclegan.errors import CheckpointError, UsageError

FORMAT = 1
LARGEST = 1 << 16  # pixels: no multiple and no least size of ours comes near
_VALUE = re.compile(rb'(<styl value=")([^"]*)(")')


@dataclass(frozen=True)
class Description:
    """One way of one model: which domains, which numbers, which sizes (multiples of `multiple`, at least `smallest`).

    With `uint8` the file takes and gives 0 to 255, else numbers in [-1, 1]; (N, C, H, W) both.
    """

    source: str
    target: str
    codec: dict[str, Any]
    channels: int
    trained_at: int | None
    multiple: int
    smallest: int
    uint8: bool
    images: int | None

    def sealed(self, content: bytes = b"") -> str:
        """Return the description as text, with the digest of the rest of the file."""
        about = {**asdict(self), "format": FORMAT}
        return json.dumps({**about, "sha256": _digest(about, content)}, sort_keys=True)

    @classmethod
    def unsealed(cls, text: str, content: bytes) -> "Description":
        """Read a description and verify the rest of the file; raises CheckpointError."""
        try:
            about = json.loads(text)
            digest, version = about.pop("sha256"), about["format"]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise CheckpointError("damaged: its description cannot be read", hint=AGAIN) from None
        if not isinstance(version, int) or version > FORMAT:
            raise CheckpointError(f"made by a newer styl (format {version})", hint="update styl: pip install -U styl")
        if digest != _digest(about, content):
            raise CheckpointError("damaged: its content does not match its SHA-256", hint=AGAIN)
        return cls._checked(about)

    @classmethod
    def _checked(cls, about: dict[str, Any]) -> "Description":
        """Make sure of what others may have written and sealed as we do."""
        del about["format"]
        try:
            found = cls(**about)
        except TypeError:
            raise CheckpointError("its description is not one of styl's", hint=AGAIN) from None
        if not (isinstance(found.source, str) and isinstance(found.target, str) and isinstance(found.codec, dict)):
            raise CheckpointError("its description is not one of styl's", hint=AGAIN)
        sizes = (found.multiple, found.smallest, found.channels, found.trained_at or 1)
        if not all(isinstance(size, int) and 0 < size <= LARGEST for size in sizes):
            raise CheckpointError(f"of impossible sizes: {sizes}", hint=AGAIN)
        return found


AGAIN = "fetch it again, or make it again with styl export"


def _digest(about: dict[str, Any], content: bytes) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode() + b"\0" + content).hexdigest()


def onnx_entry(text: str) -> bytes:
    """Return a description as the bytes that say it in an ONNX file: appended to a file they become part of it."""
    import onnx

    proto = onnx.ModelProto()
    proto.metadata_props.add(key="styl", value=text)
    entry: bytes = proto.SerializeToString()
    return entry


def into_xml(xml: bytes, text: str) -> bytes:
    """Return OpenVINO's XML with a description in the place that is kept for it."""
    return _VALUE.sub(lambda found: found[1] + html.escape(text).encode() + found[3], xml, count=1)


def out_of_xml(xml: bytes) -> tuple[str | None, bytes]:
    """Return the description in OpenVINO's XML, None where there is none, and the XML without it."""
    found = _VALUE.search(xml)
    text = html.unescape(found[2].decode("utf-8", "replace")) if found else None
    return text, into_xml(xml, "")


@contextlib.contextmanager
def needed(extra: str) -> Iterator[None]:
    """Say which extra of styl an import in here belongs to, where it fails; raises UsageError."""
    try:
        yield
    except ImportError as error:
        name = (error.name or "a package").partition(".")[0]
        raise UsageError(f"{name}: not installed, or broken", hint=f"pip install 'styl[{extra}]'") from None
