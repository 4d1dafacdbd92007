"""From folders to batches: which picture comes when is a function of (seed, domain, number)."""

import contextlib
import errno
import functools
import itertools
import random
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from cyclegan.chance import seed_for
from cyclegan.errors import InputError, StoppedEarly, shown
from cyclegan.experiment import Data
from cyclegan.media.folder import no_pictures, pictures
from cyclegan.media.kinds import PICTURE_SUFFIXES
from cyclegan.training.album import Scan
from cyclegan.training.augment import Geometry
from cyclegan.training.loader import Loader
from cyclegan.training.medium import Array, Medium
from cyclegan.training.store import Store

Reader = Callable[[Path], Array]
Batch = tuple[list[Array], list[str]]
Draw = tuple[list[Tensor], list[str]]  # a tensor a domain, and what was wrong with the files that were passed over

TOO_MANY = 100  # pictures, or a hundredth of all, that may rot while a training runs
HELD_BYTES = 2**29  # of each domain, that lie on the device to be looked at: all 64 up to 1,600 pixels, 10 at 4,096
_PASSING = {errno.EIO, errno.ESTALE, errno.ETIMEDOUT}


@dataclass(frozen=True)
class Domain:
    """The pictures of one folder: those to learn from, and those held back to look at.

    `train` is in the order of names; `held_back`, and `shuffled`, which is `train` once more, are in a random order
    that the seed decides: the first of them are a sample.
    """

    train: tuple[Path, ...]
    held_back: tuple[Path, ...]
    shuffled: tuple[Path, ...] = ()

    @classmethod
    def split(
        cls,
        folder: Path,
        *,
        held_back: int,
        seed: int,
        paths: Sequence[Path] | None = None,
        suffixes: Collection[str] = PICTURE_SUFFIXES,
    ) -> "Domain":
        """Hold back at most `held_back` pictures and never more than a tenth; raise InputError when there are none.

        `paths` are those of its pictures that can be used (None: as they are listed).
        Choice and order depend on names: a picture that is added takes the place of at most one that was held back,
        and leaves the others in their order. Where a tenth is less than two pictures, none can be spared: some are then
        shown although they are learnt.
        """
        paths = pictures(folder, suffixes=suffixes) if paths is None else paths
        if not paths:
            raise no_pictures(folder, suffixes=suffixes)
        begins = len((folder / "name").as_posix()) - len("name")
        order = sorted(paths, key=lambda p: seed_for(seed, "held back", p.as_posix()[begins:]))
        count = min(held_back, len(paths) // 10)
        if count < 2:
            return cls(tuple(paths), tuple(order[:held_back]), tuple(order))
        held = dict.fromkeys(order[:count])
        return cls(tuple(p for p in paths if p not in held), tuple(held), tuple(order[count:]))


@functools.lru_cache(maxsize=8)
def _order(seed: int, domain: int, epoch: int, count: int, weights: "Shares | None" = None) -> list[int]:
    order = list(range(count)) if weights is None else weights.drawn(seed_for(seed, "weights", domain, epoch))
    random.Random(seed_for(seed, "order", domain, epoch)).shuffle(order)
    return order


@dataclass(frozen=True, eq=False)
class Shares:
    """How many times more often than by chance each picture of a folder is shown, as an array with mean 1."""

    values: NDArray[np.float64]

    def drawn(self, seed: int) -> list[int]:
        """Return as many pictures as there are, each as often as its share says, to the next whole number.

        Systematic resampling: no luck but where the first falls, so that a rare picture is never missed for long.
        """
        count = len(self.values)
        steps = (random.Random(seed).random() + np.arange(count)) * (self.values.sum() / count)
        found: list[int] = np.searchsorted(self.values.cumsum(), steps, side="right").clip(max=count - 1).tolist()
        return found


class Draws(Dataset[Draw]):
    """Draw number i: one picture of every domain, uint8 (C, H, W), and the damaged files that were passed over.

    Draws from number `settle_from` on are settled, see Geometry. `shares` say for each domain which pictures come more
    often than others, in the epochs that end before number `alike_from`. What is in `stores`, a few for each domain,
    need not be decoded again.
    """

    def __init__(
        self,
        domains: Sequence[Domain],
        geometry: Medium,
        *,
        seed: int,
        read: Reader | None = None,
        stores: Sequence[Sequence[Store]] = (),
    ) -> None:
        self.domains, self.geometry, self.seed, self.read = tuple(domains), geometry, seed, read or geometry.read
        self.stores = {(d, store.short): store for d, own in enumerate(stores) for store in own}
        self.settle_from: int | None = None
        self.shares: Sequence[Shares | None] = [None] * len(self.domains)
        self.alike_from: int | None = None

    def __getitem__(self, number: int) -> Draw:
        damaged: list[str] = []
        drawn = [self._draw(d, number, damaged) for d in range(len(self.domains))]
        return [tensor for tensor in drawn if tensor is not None], damaged

    def path(self, domain: int, number: int) -> Path:
        """Return the picture whose turn it is in draw `number`."""
        paths, weights = self.domains[domain].train, self.shares[domain]
        epoch, place = divmod(number, len(paths))
        if self.alike_from is not None and (epoch + 1) * len(paths) > self.alike_from:
            weights = None
        return paths[_order(self.seed, domain, epoch, len(paths), weights)[place]]

    def sized(self, domain: int, path: Path, *, short: int) -> Array:
        """Return a picture with a short side of so many pixels, decoded or stored; raises InputError."""
        store = self.stores.get((domain, short))
        stored = store.get(path) if store else None
        return self.geometry.resize(self._read(path), short=short) if stored is None else stored

    def _draw(self, domain: int, number: int, damaged: list[str]) -> Tensor | None:
        """Read the picture whose turn it is, or, where it is damaged, the next one that can be read.

        None says that there is none: an exception would leave a worker as a traceback.
        """
        settled = self.settle_from is not None and number >= self.settle_from
        short, seed = self.geometry.short_side(settled=settled), seed_for(self.seed, "geometry", domain, number)
        for i in range(number, number + len(self.domains[domain].train)):
            try:
                pixels = self.sized(domain, self.path(domain, i), short=short)
                return self.geometry.draw(pixels, seed=seed, settled=settled)
            except InputError as error:
                damaged.append(error.what)
        return None

    def _read(self, path: Path) -> Array:
        """Read a picture, a second time where the disk or the network failed: that passes."""
        try:
            return self.read(path)
        except InputError as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno in _PASSING:
                return self.read(path)
            raise


def _collate(draws: list[Draw]) -> Batch:
    """Stack draws into batches, one a domain; none where a draw is not complete."""
    complete = len({len(tensors) for tensors, _ in draws}) == 1
    columns = zip(*(tensors for tensors, _ in draws), strict=True) if complete else ()
    return [torch.stack(column).numpy() for column in columns], [name for _, damaged in draws for name in damaged]


class Batches:
    """Batches of all domains from any number on, the same whatever the workers; and the fixed, held-back pictures.

    What lies in the folders, the `medium` says: pictures, by default. Without a `scan` of them, they are looked at when
    their turn comes. Who sets `settle_from` to a draw's number before the first batch gets settled draws from there on.
    `damaged` names the files that were passed over,
    `notes` says what else a person should know.
    """

    def __init__(
        self,
        data: Data,
        medium: Medium | None = None,
        *,
        batch: int,
        seed: int,
        workers: int = 0,
        device: str = "cpu",
        scan: Scan | None = None,
        patience: float = 60,
    ) -> None:
        self.geometry: Medium = medium or Geometry(data)
        suffixes = self.geometry.suffixes
        usable = [album.usable for album in scan.albums] if scan else [None] * len(data.folders)
        self.domains = [
            Domain.split(Path(folder), held_back=data.held_back, seed=seed, paths=paths, suffixes=suffixes)
            for folder, paths in zip(data.folders, usable, strict=True)
        ]
        stores = [list(album.stores(self.geometry)) for album in scan.albums] if scan and data.cache_gb else []
        self.draws = Draws(self.domains, self.geometry, seed=seed, stores=stores)
        self.batch, self.device = batch, device
        self.settle_from: int | None = None
        self.alike_from: int | None = None
        self.damaged: dict[str, None] = {}  # a set that keeps its order
        self.loader = Loader(self.draws, collate=_collate, workers=workers, patience=patience, named=self._named)

    def weigh(self, weights: Mapping[str, float]) -> None:
        """Show pictures so many times more often than by chance, by their paths; others once."""
        values = [np.array([weights.get(str(path), 1.0) for path in domain.train]) for domain in self.domains]
        self.draws.shares = [Shares(own / own.mean()) for own in values]

    def arrays(self, domain: int, paths: Sequence[Path] | None = None) -> Iterator[Array]:
        """Yield files of a domain whole, as they are kept (None: those that are learnt from), but for damaged ones."""
        for path in self.domains[domain].train if paths is None else paths:
            with contextlib.suppress(InputError):
                yield self.draws.sized(domain, path, short=self.geometry.short_side())

    @property
    def notes(self) -> list[str]:
        """What happened to the processes that read pictures."""
        return self.loader.notes

    def starting(self, number: int, *, rank: int = 0, ranks: int = 1) -> Iterator[list[Tensor]]:
        """Yield uint8 batches (N, C, H, W), one tensor a domain, on the device, from draw `number` on, for ever.

        Of `ranks` processes each takes every `ranks`-th batch: together they see what one alone would. Raises
        StoppedEarly where too many pictures cannot be read any more, or the processes that read them die or hang.
        """
        self.draws.settle_from, self.draws.alike_from = self.settle_from, self.alike_from
        first, stride = number + rank * self.batch, ranks * self.batch
        for arrays, damaged in self.loader.batches(
            lambda k: range(first + k * stride, first + k * stride + self.batch)
        ):
            self._note(damaged)
            if len(arrays) < len(self.domains):
                raise StoppedEarly(
                    f"no {self.geometry.called[:-1]} can be read any more: {damaged[-1]}", hint="check the disk"
                )
            yield [torch.from_numpy(array).to(self.device, non_blocking=True) for array in arrays]

    def _note(self, damaged: Sequence[str]) -> None:
        self.damaged.update(dict.fromkeys(damaged))
        bound = max(TOO_MANY, sum(len(domain.train) for domain in self.domains) // 100)
        if len(self.damaged) > bound:
            what = f"{len(self.damaged)} {self.geometry.called} cannot be read any more, the last: {damaged[-1]}"
            raise StoppedEarly(what, hint="check the disk; what was reached is saved, the same command goes on")

    def _named(self, numbers: Sequence[int]) -> str:
        return self.named(numbers[0], min(len(numbers), 2))

    def held_back(self) -> list[Tensor]:
        """Return the held-back pictures of every domain, uint8 (N, C, H, W), on the device."""
        return [torch.stack(self._readable(d)).to(self.device) for d in range(len(self.domains))]

    def examples(self, count: int) -> list[Tensor]:
        """Return up to so many pictures of every domain, a random sample: held-back ones, then those learnt from."""
        count = min(count, max(2, HELD_BYTES // self.geometry.weight))
        every = [dict.fromkeys([*domain.held_back, *domain.shuffled]) for domain in self.domains]
        wanted = [itertools.islice(self._readable_of(d, paths), count) for d, paths in enumerate(every)]
        return [torch.stack(list(readable)).to(self.device) for readable in wanted]

    def named(self, number: int, count: int) -> str:
        """Name the pictures whose turn it was in `count` draws from `number` on."""
        turns = [(domain, i) for domain in range(len(self.domains)) for i in range(number, number + count)]
        return ", ".join(shown(self.draws.path(domain, i)) for domain, i in turns)

    def _readable(self, domain: int) -> list[Tensor]:
        """Return the held-back pictures that can be read; where there is none, one that is learnt stands in."""
        held, train = self.domains[domain].held_back, self.domains[domain].shuffled
        count = max(2, HELD_BYTES // self.geometry.weight)
        found = list(itertools.islice(self._readable_of(domain, held), count))
        found = found or list(itertools.islice(self._readable_of(domain, train), 1))
        if not found:
            what = f"{shown(train[0].parent)}: none of its {self.geometry.called} can be read"
            raise InputError(what, hint=f"the last of them: {list(self.damaged)[-1]}")
        return found

    def _readable_of(self, domain: int, paths: Iterable[Path]) -> Iterator[Tensor]:
        short = self.geometry.short_side(settled=True)
        for path in paths:
            try:
                yield self.geometry.fixed(self.draws.sized(domain, path, short=short))
            except InputError as error:
                self.damaged[error.what] = None
