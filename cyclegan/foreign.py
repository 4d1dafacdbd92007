"""Other people's checkpoints, read without running what they hold: the one door for pickles, and it is narrow."""

import contextlib
import os
import re
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import safetensors.torch
import torch
from torch import Tensor

from cyclegan.errors import CheckpointError, out_of_memory, shown
from cyclegan.layouts import Foreign, Refused, State, recognise

SIZE_LIMIT = 1 << 30  # bytes; the largest known file, a U-Net for 256 pixels, has 218 MB
MEMBER_LIMIT = 10_000  # files in the zip; there is one for each tensor


_AGAIN = "fetch it again from where it came"
_ONLY_WEIGHTS = "save it there with torch.save(network.state_dict(), file)"


def read_foreign(path: Path) -> Foreign:
    """Read a translator or a critic from another project's `.pth` file; raises CheckpointError for whatever is wrong.

    Damaged files raise anything at all from deep inside zip, pickle and torch, hence the wide net.
    """
    with _complaints(path):
        return recognise(_load(path))


def read_tensors(path: Path) -> State:
    """Read any network's named tensors, as float32, from a `.pth` or `.safetensors` file; raises CheckpointError."""
    with _complaints(path):
        return _load_safe(path) if path.suffix == ".safetensors" else _load(path)


@contextlib.contextmanager
def _complaints(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if out_of_memory(error):
            raise
        refused = error if isinstance(error, Refused) else _translated(error)
        raise CheckpointError(f"{shown(path)}: {refused.why}", hint=refused.hint) from error


def _translated(error: Exception) -> Refused:
    if isinstance(error, OSError) and error.strerror:
        return Refused(f"cannot be read: {error.strerror}", "check the path")
    if type(error).__name__ == "UnpicklingError" and "GLOBAL" in str(error):
        return Refused("holds code or objects besides weights; nothing of it was run", _ONLY_WEIGHTS)
    return Refused(f"truncated or damaged, or no checkpoint at all ({type(error).__name__})", _AGAIN)


def _load(path: Path) -> State:
    with _opened(path) as (file, size), warnings.catch_warnings(action="ignore"):
        _check_kind(file, size)
        file.seek(0)
        return _tensors(torch.load(file, weights_only=True, map_location="cpu"), size)


def _load_safe(path: Path) -> State:
    with _opened(path) as (file, size):
        return _tensors(safetensors.torch.load(file.read()), size)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    if path.exists() and not path.is_file():
        raise Refused("is not a file", "check the path")
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > SIZE_LIMIT:
            raise Refused(f"is larger than any known network: {size >> 20} MiB, at most {SIZE_LIMIT >> 20}")
        yield file, size


def _check_kind(file: BinaryIO, size: int) -> None:
    start = file.read(16)
    if start.startswith(b"PK\3\4"):
        _check_zip(file, size)
    elif start[8:9] == b"{":
        raise Refused("is a safetensors file, not a pickled checkpoint", "only .pth files of other projects fit here")
    elif start.lstrip()[:1] == b"<":
        raise Refused("is a web page, not a checkpoint", "the download link may be dead; look for another")


def _check_zip(file: BinaryIO, size: int) -> None:
    file.seek(0)
    if file.read().count(b"PK\1\2") > MEMBER_LIMIT:
        raise Refused(f"has more than {MEMBER_LIMIT} members")
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if any(m.filename.endswith("/constants.pkl") or "/code/" in m.filename for m in members):
            raise Refused("is a TorchScript program, which is never run", _ONLY_WEIGHTS)
        if any(m.compress_type != zipfile.ZIP_STORED for m in members) or sum(m.file_size for m in members) > size:
            raise Refused("is a compressed or overlapping archive, which torch never writes", _ONLY_WEIGHTS)
        if damaged := archive.testzip():  # torch itself checks no sums
            raise Refused(f"truncated or damaged: wrong checksum in {shown(damaged)}", _AGAIN)


def _tensors(found: object, size: int) -> State:
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    if not isinstance(found, dict) or not found:
        raise Refused(f"holds {type(found).__name__}, not named tensors", _ONLY_WEIGHTS)
    state: State = {}
    for name, value in found.items():
        name = re.sub(r"^((module|_orig_mod)\.)+", "", str(name))
        if not name.endswith(".num_batches_tracked"):  # a counter that only training without momentum reads
            state[name] = _checked(name, value)
            size -= value.nbytes
    if size < 0:
        raise Refused("holds tensors that share their values", _ONLY_WEIGHTS)
    return state


def _checked(name: str, value: object) -> Tensor:
    """Return a float32 copy, after making sure that the values are really there."""
    name = shown(name[:80])
    if not isinstance(value, Tensor) or value.layout != torch.strided or value.device.type != "cpu":
        raise Refused(f"{name} is not a plain tensor but {type(value).__name__}", _ONLY_WEIGHTS)
    if not value.is_floating_point() or value.numel() == 0:
        raise Refused(f"{name} holds no weights: {tuple(value.shape)} of {value.dtype}")
    if value.nbytes > value.untyped_storage().nbytes():  # a stride of 0 makes 10⁶ × 10⁶ values of four bytes
        raise Refused(f"{name} claims more values than the file holds", _AGAIN)
    copy = value.detach().to(torch.float32, copy=True, memory_format=torch.contiguous_format)
    if not copy.isfinite().all():
        raise Refused(f"{name} holds values that are not finite", "the training diverged; take an earlier checkpoint")
    return copy
