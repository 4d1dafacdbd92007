"""From pictures to numbers that stand for what they look like: which network, which weights, seen at which size."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from cyclegan.devices import exact_float32
from cyclegan.errors import CheckpointError, UsageError, did_you_mean, out_of_memory, shown
from cyclegan.foreign import read_tensors
from cyclegan.metrics import inception, own, squeezenet
from cyclegan.metrics.download import FEATURES, fetch

BATCH = 16  # pictures at once


class Features(Protocol):
    """What everything that makes features offers.

    `name` is "inception", "squeezenet" or "own"; `protocol` says in one line what a figure depends on: the size, how it
    is reached, the network and the first digits of its weights' SHA-256.
    """

    @property
    def name(self) -> str: ...

    @property
    def protocol(self) -> str: ...

    def __call__(self, pictures: Tensor) -> Tensor:
        """Turn uint8 (N, 3, H, W) on any device into float64 (N, d) on the CPU."""
        ...


@dataclass(frozen=True)
class Extractor:
    """A network that makes features, as Features describes."""

    name: str
    protocol: str
    network: nn.Module
    device: str

    def __call__(self, pictures: Tensor) -> Tensor:
        assert pictures.dtype == torch.uint8
        assert pictures.ndim == 4
        with exact_float32(), torch.inference_mode():
            parts = [self.network(part.to(self.device)).double().cpu() for part in torch.split(pictures, BATCH)]
        return torch.cat(parts).clone()


def load_features(
    source: str = "auto",
    *,
    resize: str = "pytorch-fid",
    device: str = "cpu",
    tell: Callable[[str], None] = lambda _: None,
) -> Features:
    """Load the features named "own" or "inception", or those of a SqueezeNet's or Inception's weights file.

    "inception" is the file that $STYL_FEATURES names, or the published one, fetched once; "auto" is what $STYL_FEATURES
    names, else "own". `resize` is for Inception. `tell` gets a line before anything is fetched. Raises
    CheckpointError for a file that does not fit, UsageError for an unknown name, StylError where nothing is fetched.
    """
    if resize not in inception.RESIZINGS:
        raise UsageError(f"--resize {resize}: not known", hint=did_you_mean(resize, inception.RESIZINGS))
    named = os.environ.get(FEATURES, "")
    if source == "own" or (source == "auto" and not named):
        return Extractor("own", own.PROTOCOL, own.Own().to(device), device)
    if source == "auto":
        source = named
    if source == "inception":
        return _inception(Path(named) if named else None, resize=resize, device=device, tell=tell)
    if not Path(source).is_file() and not Path(source).suffix:
        raise UsageError(f"--features {source}: not known", hint="inception, own, or a file (.pth, .safetensors)")
    return _from_file(Path(source), resize=resize, device=device)


def _inception(file: Path | None, *, resize: str, device: str, tell: Callable[[str], None]) -> Features:
    if file is None:
        file = fetch(inception.URL, inception.SHA256, inception.SIZE, Path(inception.URL).name, tell=tell)
    found = _from_file(file, resize=resize, device=device)
    if found.name != "inception":
        raise UsageError(
            f"${FEATURES} is {shown(file)}: not Inception but {found.name}", hint="--features auto takes it"
        )
    return found


def _from_file(file: Path, *, resize: str, device: str) -> Features:
    state = read_tensors(file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    weights = f"weights {digest[:12]}"
    try:
        if inception.recognises(state):
            side, kind = inception.SIDE, "" if digest == inception.SHA256 else " (not the published weights)"
            about = f"inception: {side} px as {resize}, Inception 2015-12-05, {weights}{kind}"
            return Extractor("inception", about, inception.Inception(state, resize=resize).to(device), device)
        if squeezenet.recognises(state):
            about = f"squeezenet: middle square, {squeezenet.SIDE} px bicubic antialiased, SqueezeNet 1.0, {weights}"
            return Extractor("squeezenet", about, squeezenet.SqueezeNet(state).to(device), device)
    except (RuntimeError, KeyError) as error:
        if out_of_memory(error):
            raise
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{shown(file)}: its weights do not fit: {reason}", hint=_KNOWN) from None
    raise CheckpointError(f"{shown(file)}: no known feature network", hint=_KNOWN)


_KNOWN = "known: the Inception of FID (pt_inception-2015-12-05) and SqueezeNet 1.0"
