"""Files that others publish, fetched once and only believed when their hash is right. The one door to the network."""

import hashlib
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from cyclegan.errors import StylError, shown
from cyclegan.files import atomic, sweep_stale

FEATURES = "STYL_FEATURES"  # the environment's name for a features file
_OFFLINE = f"fetch it elsewhere and name it: --features FILE, or ${FEATURES}"
_PATIENCE = 30  # seconds without a byte
_PIECE = 1 << 20  # bytes


def fetch(url: str, sha256: str, size: int, name: str, *, tell: Callable[[str], None] = lambda _: None) -> Path:
    """Return the path of a published file of `size` bytes, fetched where it is not there yet.

    It is kept in `features` below $STYL_HOME, else below ~/.cache/styl. `tell` gets a line before the transfer. Raises
    StylError where there is no network, or what comes is not the file with this SHA-256.
    """
    folder = Path(os.environ.get("STYL_HOME") or Path.home() / ".cache/styl") / "features"
    path = folder / name
    if path.is_file() and path.stat().st_size == size and hashlib.sha256(path.read_bytes()).hexdigest() == sha256:
        return path
    tell(f"fetching {size / 1e6:.0f} MB, once: {url}")
    sweep_stale(folder)
    try:
        with atomic(path) as temporary, temporary.open("xb") as file:
            _receive(url, file.write, sha256=sha256, size=size)
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        reason = getattr(error, "reason", None) or error
        raise StylError(f"{_plain(url)}: cannot be fetched: {reason}", hint=_OFFLINE) from None
    return path


def _receive(url: str, write: Callable[[bytes], object], *, sha256: str, size: int) -> None:
    _check_scheme(url)
    digest, received = hashlib.sha256(), 0
    with urllib.request.build_opener(_Redirects()).open(url, timeout=_PATIENCE) as answer:
        while received <= size and (piece := answer.read(_PIECE)):
            received += len(piece)
            digest.update(piece)
            write(piece)
    if received != size:
        amount = "more than the" if received > size else f"{received:,} of"
        raise StylError(f"{_plain(url)}: {amount} {size:,} bytes came", hint=f"try again later, or {_OFFLINE}")
    if digest.hexdigest() != sha256:
        raise StylError(f"{_plain(url)}: not the published file, its SHA-256 is another", hint=_OFFLINE)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a redirection only to where the first address might have led."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        try:
            _check_scheme(newurl)
        except StylError:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_scheme(url: str) -> None:
    """Refuse what can be read or changed on its way; this machine's own address is for tests."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname == "127.0.0.1"):
        raise StylError(f"{_plain(url)}: not an https address", hint=_OFFLINE)


def _plain(url: str) -> str:
    return shown(url.split("?")[0])
