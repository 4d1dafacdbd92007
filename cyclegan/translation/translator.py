"""A trained network put to use: anything that holds pictures in, the same kind and size out."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from cyclegan import catalog, codecs
from cyclegan.checkpoint import Checkpoint
from cyclegan.codecs import Codec
from cyclegan.devices import choose_device
from cyclegan.errors import CheckpointError, InputError, UsageError, did_you_mean
from cyclegan.media.image import picture_of, read_picture, write_picture
from cyclegan.media.pil import is_pil, to_pil
from cyclegan.networks import NETWORKS
from cyclegan.translation.anysize import AnySize

Frame = TypeVar("Frame")
PIXELS = 1 << 20  # at most so many at once, whatever the batch: memory follows pixels
LARGEST_OPTION = 4096  # no width, depth or count of ours comes near; a hostile file might


@dataclass(frozen=True)
class _Parcel:
    """One frame on its way: a batch (N, C, H, W), and how to make the result what the frame was."""

    tensor: Tensor
    unpack: Callable[[Tensor], Any]


class Translator:
    """Translates frames from one domain to another: PIL image, uint8 array (H, W, 3) or tensor; any size.

    Tensors are (C, H, W) or (N, C, H, W), uint8 or floating point in [-1, 1]. Each frame comes back as what it was.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        codec: Codec,
        source: str,
        target: str,
        device: str = "cpu",
        tile: int | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.codec, self.source, self.target, self.device = codec, source, target, device
        self.paint = AnySize(network, codec=codec, device=device, tile=tile, tell=tell)

    @classmethod
    def load(
        cls,
        name: str | Path,
        *,
        to: str | None = None,
        device: str = "auto",
        tile: int | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> "Translator":
        """Load by catalogue name, weights file (ours or a .pth of other projects) or run folder.

        `to` is the domain to translate to; None takes the file's first direction. `tile` is the side of the tiles in
        pixels in which large pictures are translated, 0 forbids tiles, None leaves it to memory; `tell` gets a line
        when memory runs out and the tile is halved. Raises CheckpointError for weights that are missing, damaged or
        unfit, UsageError for a domain the weights do not know.
        """
        device = choose_device(device)
        found = catalog.load(name)
        source, target, network = _route(found, to)
        codec = codecs.build(found.about["codec"])
        return cls(
            _build(found, network), codec=codec, source=source, target=target, device=device, tile=tile, tell=tell
        )

    def __call__(self, frame: Frame) -> Frame:
        """Translate one frame (or one batch, as a tensor)."""
        return next(self.stream([frame]))

    def stream(self, frames: Iterable[Frame], *, batch: int = 8) -> Iterator[Frame]:
        """Translate frames lazily and in order, up to `batch` neighbours of one size at a time."""
        parcels = map(self._pack, frames)
        for group in _alike(parcels, batch):
            together = self.paint(torch.cat([p.tensor for p in group]))
            for parcel, result in zip(group, torch.split(together, [len(p.tensor) for p in group]), strict=True):
                yield parcel.unpack(result)

    def file(self, source: str | Path, target: str | Path, *, quality: int = 95) -> tuple[str, ...]:
        """Translate one picture file into another and return what a person should know about it.

        The size is kept, the picture upright, alpha kept where the format can. Raises InputError for a file that
        cannot be read; nothing half-written ever appears under the target's name.
        """
        picture = read_picture(Path(source))
        write_picture(Path(target), self(picture.pixels), alpha=picture.alpha, quality=quality)
        return picture.notes

    def _pack(self, frame: Any) -> _Parcel:
        if isinstance(frame, Tensor):
            return self._pack_tensor(frame)
        if is_pil(frame):
            picture = picture_of(frame)
            inner = self._pack(picture.pixels)
            return _Parcel(inner.tensor, lambda t: to_pil(inner.unpack(t), like=picture))
        if isinstance(frame, np.ndarray) and frame.dtype == np.uint8 and frame.ndim == 3:
            inner = self._pack_tensor(torch.from_numpy(np.array(frame)).permute(2, 0, 1))
            return _Parcel(inner.tensor, lambda t: np.ascontiguousarray(inner.unpack(t).permute(1, 2, 0).numpy()))
        kind = f"{type(frame).__name__} {getattr(frame, 'dtype', '')} {getattr(frame, 'shape', '')}".strip()
        raise InputError(f"{kind}: not a picture", hint="a PIL image, a uint8 array (H, W, 3) or a tensor (C, H, W)")

    def _pack_tensor(self, frame: Tensor) -> _Parcel:
        single = frame.ndim == 3
        tensor = frame[None] if single else frame
        if tensor.ndim != 4 or tensor.shape[1] != self.codec.channels or 0 in tensor.shape:
            wanted = f"({self.codec.channels}, H, W), with or without a batch in front"
            raise InputError(f"shape {tuple(frame.shape)}: not a picture", hint=f"these weights take {wanted}")
        if not (tensor.dtype == torch.uint8 or tensor.is_floating_point()):
            raise InputError(f"{tensor.dtype}: not a picture", hint="uint8, or floating point in [-1, 1]")

        return _Parcel(tensor, lambda result: result[0] if single else result)


def _alike(parcels: Iterator[_Parcel], batch: int) -> Iterator[list[_Parcel]]:
    """Group neighbours of one kind, up to `batch` of them and not more pixels than memory likes."""
    for (_, (_, height, width), _), run in itertools.groupby(parcels, key=_kind):
        count = max(1, min(batch, PIXELS // (height * width)))
        while group := list(itertools.islice(run, count)):
            yield group


def _kind(parcel: _Parcel) -> tuple[torch.dtype, torch.Size, torch.device]:
    return parcel.tensor.dtype, parcel.tensor.shape[1:], parcel.tensor.device


def _route(found: Checkpoint, to: str | None) -> tuple[str, str, str]:
    """Return source, target and network of the way to a domain."""
    routes = {target: (source, target, network) for source, target, network in found.about["routes"]}
    if to is None:
        return next(iter(routes.values()))
    if to not in routes:
        raise UsageError(f"--to {to}: these weights do not go there", hint=did_you_mean(to, routes))
    return routes[to]


def _build(found: Checkpoint, name: str) -> nn.Module:
    """Build a saved network, first without memory, and refuse tensors that are not exactly its own."""
    options = dict(found.about["networks"][name])
    kind = options.pop("name", None)
    if kind not in NETWORKS:
        raise CheckpointError(f"unknown network {kind!r}", hint=did_you_mean(str(kind), NETWORKS))
    if any(isinstance(v, int | float) and not 0 <= v <= LARGEST_OPTION for v in options.values()):
        raise CheckpointError(f"{kind} of an impossible size: {options}", hint="this file was not made by styl")
    state = {key.removeprefix(f"{name}."): t for key, t in found.tensors.items() if key.startswith(f"{name}.")}
    try:
        with torch.device("meta"):
            network = NETWORKS[kind](**options)
        network.load_state_dict(state, assign=True)
    except (RuntimeError, TypeError, AssertionError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"{kind}: its weights do not fit: {reason}", hint="this file was not made by styl"
        ) from None
    return network
