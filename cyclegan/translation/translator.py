"""A trained network put to use: anything that holds pictures in, the same kind and size out."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from cyclegan import catalog, codecs
from cyclegan.codecs import Pictures
from cyclegan.curation.familiar import Familiar, Judgement
from cyclegan.devices import choose_device, has_bfloat16, keep_freed_memory
from cyclegan.errors import InputError, OutOfMemory, out_of_memory
from cyclegan.media.image import picture_of
from cyclegan.media.pil import is_pil, to_pil
from cyclegan.networks.precision import lowered
from cyclegan.translation.anysize import AnySize
from cyclegan.translation.detail import reduced, with_detail
from cyclegan.translation.exported import SUFFIXES, Exported, open_exported
from cyclegan.translation.onefile import Outcome, translate_file
from cyclegan.translation.progress import Progress
from cyclegan.translation.route import Route
from cyclegan.translation.settings import Settings

Frame = TypeVar("Frame")
Precision = Literal["fp32", "bf16"]
PIXELS = 1 << 20  # at most so many at once, whatever the batch: memory follows pixels
# Short sides, in units of the training's. Stripes learnt at 256 look like cloth at 3,000 and right at 512, where the
# network's own grain does not show yet as it does at 256 (looked at: tools/NOTES.md).
TOO_LARGE, FAMILIAR = 4, 2


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
        codec: Pictures,
        source: str,
        target: str,
        device: str = "cpu",
        trained_at: int | None = None,
        scale_to: int | None = None,
        tile: int | None = None,
        precision: Precision = "fp32",
        familiar: Familiar | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.codec, self.source, self.target, self.device, self.precision = codec, source, target, device, precision
        self.trained_at, self.scale_to, self._told = trained_at, scale_to, False
        self.familiar = familiar
        keep_freed_memory(device)
        network = lowered(network) if precision == "bf16" else network
        self.paint = AnySize(network, codec=codec, device=device, tile=tile, tell=tell)

    @classmethod
    def load(
        cls,
        name: str | Path,
        *,
        to: str | None = None,
        device: str = "auto",
        scale_to: int | None = None,
        tile: int | None = None,
        precision: Precision | Literal["auto"] = "auto",
        tell: Callable[[str], None] = lambda _: None,
    ) -> "Translator":
        """Load by catalogue name, weights file (ours or a .pth of other projects), exported model or run folder.

        `to` is the domain to translate to; None takes the file's first direction. Larger pictures are translated with
        `scale_to` pixels on the short side, and get their size and fine detail back: 0 forbids it, None does so where
        a picture is far larger than those of the training, unless `tile` asks for the full size. `tile` is the side of
        large pictures' tiles in pixels, 0 forbids them, None leaves it to memory. `precision` "auto" is "bf16" where
        the device gains by it and nobody sees it in these pictures, as was measured at saving; "fp32" is exact. `tell`
        gets a line when memory runs out and the tile is halved. Raises CheckpointError for weights that are missing,
        damaged or unfit, UsageError for an unknown domain, a package that an exported model needs, and its tiles.
        """
        path = catalog.find(name)
        if path.suffix.lower() in SUFFIXES:
            way, device = open_exported(path, to=to, device=device, tell=tell)
        else:
            device = choose_device(device)
            way = Route.of(catalog.load(path), to=to)
        return cls(
            way.network,
            codec=codecs.of_pictures(way.codec, what="cyclegan.Translator"),
            source=way.source,
            target=way.target,
            device=device,
            trained_at=way.trained_at,
            scale_to=scale_to,
            tile=tile,
            precision=_settled(precision, way, device),
            familiar=way.familiar,
            tell=tell,
        )

    def __call__(self, frame: Frame) -> Frame:
        """Translate one frame (or one batch, as a tensor)."""
        return next(self.stream([frame]))

    def stream(self, frames: Iterable[Frame], *, batch: int = 8) -> Iterator[Frame]:
        """Translate frames lazily and in order, up to `batch` neighbours of one size at a time; raises OutOfMemory."""
        parcels = map(self._pack, frames)
        for group in _alike(parcels, batch):
            try:
                together = self._translate(torch.cat([p.tensor for p in group]))
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                raise OutOfMemory("not enough memory", hint="close other programs") from None
            for parcel, result in zip(group, torch.split(together, [len(p.tensor) for p in group]), strict=True):
                yield parcel.unpack(result)

    def unusualness(self, frame: Any) -> float | None:
        """Return the share of the pictures learnt from that are less unusual than a frame, None where it is not known.

        Weights remember it that styl trained with at least 30 pictures. See `judge` for what is worth a word.
        """
        judgement = self.judge(frame)
        return judgement.unusualness if judgement else None

    def judge(self, frame: Any) -> Judgement | None:
        """Tell how unusual one frame is among the pictures learnt from, and whether it is unlike all of them.

        Of ordinary pictures at most one in a hundred is called unlike. None where weights remember nothing.
        """
        if self.familiar is None:
            return None
        pixels = self._pack(frame).tensor
        pixels = pixels if pixels.dtype == torch.uint8 else self.codec.decode(pixels)
        return Judgement.of_many([self.familiar.judge(picture) for picture in pixels])

    def file(
        self,
        source: str | Path,
        target: str | Path,
        *,
        settings: Settings = Settings(),  # noqa: B008 - frozen
        progress: Progress = Progress(),  # noqa: B008 - without state
    ) -> Outcome:
        """Translate one file into another: a picture, an animation, a film, or a folder of numbered frames.

        Size, alpha, times and sound are kept where the target can hold them. Raises InputError for a file that cannot
        be read; nothing half-written ever appears under the target's name.
        """
        return translate_file(
            self.stream, Path(source), Path(target), settings=settings, progress=progress, judge=self.judge
        )

    def _translate(self, frames: Tensor) -> Tensor:
        short = self._short_side(min(frames.shape[-2:]))
        if not short:
            return self.paint(frames)
        pixels = frames if frames.dtype == torch.uint8 else self.codec.decode(frames)
        full = with_detail(self.paint(reduced(pixels, short)), original=pixels)
        return full if frames.dtype == torch.uint8 else self.codec.encode(full).to(frames)

    def _short_side(self, side: int) -> int:
        """Return with how many pixels on the short side to translate; 0 for all of them."""
        if self.scale_to is not None:
            return self.scale_to if self.scale_to < side else 0
        if self.trained_at is None or self.paint.tile is not None or side <= TOO_LARGE * self.trained_at:
            return 0
        familiar = FAMILIAR * self.trained_at
        if not self._told:
            self._told = True
            self.paint.tell(
                f"note: learnt at {self.trained_at} pixels: what has more than {TOO_LARGE * self.trained_at} on its "
                f"short side is translated at {familiar}, and gets size and detail back; --scale-to 0 takes it as it is"
            )
        return familiar

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


def _settled(precision: Precision | Literal["auto"], way: Route, device: str) -> Precision:
    """Choose the arithmetic where that is left open; an exported model has its own."""
    if isinstance(way.network, Exported):
        return "fp32"
    if precision == "auto":
        return "bf16" if has_bfloat16(device) and way.rounding and way.rounding.unseen else "fp32"
    return precision


def _alike(parcels: Iterator[_Parcel], batch: int) -> Iterator[list[_Parcel]]:
    """Group neighbours of one kind, up to `batch` of them and not more pixels than memory likes."""
    for (_, (_, height, width), _), run in itertools.groupby(parcels, key=_kind):
        count = max(1, min(batch, PIXELS // (height * width)))
        while group := list(itertools.islice(run, count)):
            yield group


def _kind(parcel: _Parcel) -> tuple[torch.dtype, torch.Size, torch.device]:
    return parcel.tensor.dtype, parcel.tensor.shape[1:], parcel.tensor.device
