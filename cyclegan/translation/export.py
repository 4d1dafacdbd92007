"""From weights to files for other programs, which are compared with torch before they are declared done."""

import re
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cyclegan import catalog, codecs
from cyclegan.codecs import Pictures
from cyclegan.errors import StylError, UsageError, shown
from cyclegan.files import write_atomic
from cyclegan.translation.formats import SUFFIXES, Compute, written
from cyclegan.translation.route import Route
from cyclegan.translation.sealed import Description

LIMIT = 1e-4  # in [-1, 1]; a level of 255 is 78 times that
COMPARED_AT = 64  # pixels, or what the network takes at least
REPORT = "please report it with the versions of torch and onnx"


@dataclass(frozen=True)
class Agreement:
    """How far a file is from torch, at most, over pictures of several `shapes`.

    `difference` is in [-1, 1], None for a file that gives levels; `levels` are of 255, and `off` is the share of
    values that are not the very level of torch.
    """

    shapes: tuple[tuple[int, ...], ...]
    difference: float | None
    levels: int
    off: float

    @property
    def good(self) -> bool:
        """Tell whether nobody will see it."""
        return self.levels <= 1 and (self.difference is None or self.difference <= LIMIT)

    def __str__(self) -> str:
        levels = "1 level" if self.levels == 1 else f"{self.levels} levels"
        return levels if self.difference is None else f"{self.difference:.1e}"


@dataclass(frozen=True)
class Outcome:
    """Files made of one way of a model: their size in bytes, what it took in seconds, how far they are from torch."""

    files: tuple[Path, ...]
    format: str
    source: str
    target: str
    uint8: bool
    size: int
    seconds: float
    agreement: Agreement

    def encode(self) -> dict[str, Any]:
        """Return what --json prints."""
        plain: dict[str, Any] = asdict(self)
        agreement: dict[str, Any] = plain.pop("agreement")
        return plain | agreement | {"files": [str(path) for path in self.files]}


def export(
    model: str | Path, target: Path | None = None, *, format: str, to: str | None = None, uint8: bool = False
) -> Outcome:
    """Write one way of a model, None: its first, for other programs; raises StylError when it differs from torch.

    Number, height and width of pictures stay free, the sides multiples of what the network needs. With `uint8` the
    file takes and gives levels of 0 to 255, else numbers in [-1, 1]. `target` None is MODEL-to-DOMAIN in the current
    folder. Nothing appears under its name before it has been compared. Raises UsageError for a domain that the model
    does not know, an input that would be overwritten or a package that is not installed.
    """
    start = time.monotonic()
    path = catalog.find(model)
    found = catalog.load(path)
    route = Route.of(found, to=to)
    names = _names(target or Path(_stem(Path(model), route.target) + SUFFIXES[format][-1]), format, source=path)
    network = route.network.eval().requires_grad_(False)
    codec = codecs.of_pictures(route.codec, what="styl export")
    about = _about(route, codec=dict(found.about["codec"]), uint8=uint8, images=found.about.get("images"))
    blobs, compute = written(network, format=format, codec=codec, about=about)
    agreement = _compared(compute, network, codec=codec, about=about)
    if not agreement.good:
        what = f"{shown(names[-1])}: its pictures differ from torch's by {agreement}, so nothing was written"
        raise StylError(what, hint=f"another --format may do; {REPORT}")
    for name, blob in zip(names, blobs, strict=True):
        write_atomic(name, blob)
    size, seconds = sum(map(len, blobs)), round(time.monotonic() - start, 2)
    return Outcome(names, format, route.source, route.target, uint8, size, seconds, agreement)


def _stem(model: Path, domain: str) -> str:
    plain = re.sub(r"[^\w.-]+", "-", domain)
    return f"{model.resolve().name if model.is_dir() else model.stem}-to-{plain}"


def _names(target: Path, format: str, *, source: Path) -> tuple[Path, ...]:
    """Return the files of a format; raises UsageError for the one that is read from."""
    stem = target.name.removesuffix(SUFFIXES[format][-1])
    names = tuple(target.with_name(stem + suffix) for suffix in SUFFIXES[format])
    for name in names:
        if name.exists() and name.samefile(source):
            raise UsageError(f"{shown(name)}: would overwrite the input", hint="choose another -o")
    return names


def _about(route: Route, *, codec: dict[str, Any], uint8: bool, images: int | None) -> Description:
    network: Any = route.network
    return Description(
        route.source,
        route.target,
        codec=codec,
        channels=route.codec.channels,
        trained_at=route.trained_at,
        multiple=network.multiple,
        smallest=network.smallest,
        uint8=uint8,
        images=images,
    )


def _compared(compute: Compute, network: nn.Module, *, codec: Pictures, about: Description) -> Agreement:
    """Return how far an exported model is from torch on three sizes: a square, an oblong, and two pictures at once."""
    short = max(-(-COMPARED_AT // about.multiple) * about.multiple, about.smallest)
    long = short + about.multiple
    shapes = [(1, about.channels, short, short), (1, about.channels, short, long), (2, about.channels, long, short)]
    each = [_apart(compute, network, _pictures(shape), codec=codec, uint8=about.uint8) for shape in shapes]
    difference = torch.tensor([found[0] for found in each]).max()  # which keeps what is not a number
    levels, off = max(found[1] for found in each), max(found[2] for found in each)
    return Agreement(tuple(shapes), None if about.uint8 else float(difference), levels, off)


@torch.inference_mode()
def _apart(
    compute: Compute, network: nn.Module, frames: Tensor, *, codec: Pictures, uint8: bool
) -> tuple[float, int, float]:
    """Return the largest difference in [-1, 1] (0 where the file gives levels) and in levels, and how many differ."""
    wanted = network(codec.encode(frames))
    found = compute(frames if uint8 else codec.encode(frames))
    if found.shape != wanted.shape:
        sizes = " instead of ".join(" × ".join(map(str, tensor.shape)) for tensor in (found, wanted))
        raise StylError(f"its pictures come out as {sizes}, so nothing was written", hint=REPORT)
    apart = (found if uint8 else codec.decode(found)).int().sub(codec.decode(wanted).int()).abs()
    difference = 0.0 if uint8 else float((found - wanted).abs().max())
    return difference, int(apart.max()), float((apart > 0).float().mean())


def _pictures(shape: tuple[int, ...]) -> Tensor:
    """Draw uint8 pictures, smooth with a little grain, always the same."""
    chance = torch.Generator().manual_seed(0)
    coarse = torch.rand(*shape[:2], 5, 5, generator=chance)
    smooth = F.interpolate(coarse, shape[2:], mode="bilinear")
    return (255 * (0.9 * smooth + 0.1 * torch.rand(shape, generator=chance))).to(torch.uint8)
