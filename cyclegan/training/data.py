"""From folders to batches: which picture comes when is a function of (seed, domain, number)."""

import functools
import itertools
import random
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cyclegan.chance import seed_for
from cyclegan.errors import InputError, StoppedEarly, shown
from cyclegan.experiment import Data
from cyclegan.media.folder import no_pictures, pictures
from cyclegan.media.image import read_rgb
from cyclegan.training.augment import Geometry

Reader = Callable[[Path], NDArray[np.uint8]]
Draw = tuple[list[Tensor], list[str]]  # a tensor a domain, and what was wrong with the files that were passed over


@dataclass(frozen=True)
class Domain:
    """The pictures of one folder: those to learn from, and those held back to look at."""

    train: tuple[Path, ...]
    held_back: tuple[Path, ...]

    @classmethod
    def split(cls, folder: Path, *, held_back: int, seed: int) -> "Domain":
        """Hold back at most `held_back` pictures and never more than a tenth; raise InputError when there are none.

        The choice depends on names: a picture that is added takes the place of at most one that was held back. Where a
        tenth is less than two pictures, none can be spared: the first pictures are then shown although they are learnt.
        """
        paths = pictures(folder)
        if not paths:
            raise no_pictures(folder)
        count = min(held_back, len(paths) // 10)
        if count < 2:
            return cls(tuple(paths), tuple(paths[:held_back]))
        chosen = sorted(paths, key=lambda p: seed_for(seed, "held back", p.relative_to(folder).as_posix()))[:count]
        return cls(tuple(p for p in paths if p not in set(chosen)), tuple(sorted(chosen)))


@functools.lru_cache(maxsize=8)
def _order(seed: int, domain: int, epoch: int, count: int) -> list[int]:
    order = list(range(count))
    random.Random(seed_for(seed, "order", domain, epoch)).shuffle(order)
    return order


class Draws(Dataset[Draw]):
    """Draw number i: one picture of every domain, uint8 (C, H, W), and the damaged files that were passed over."""

    def __init__(self, domains: Sequence[Domain], geometry: Geometry, *, seed: int, read: Reader = read_rgb) -> None:
        self.domains, self.geometry, self.seed, self.read = tuple(domains), geometry, seed, read

    def __getitem__(self, number: int) -> Draw:
        damaged: list[str] = []
        drawn = [self._draw(d, number, damaged) for d in range(len(self.domains))]
        return [tensor for tensor in drawn if tensor is not None], damaged

    def path(self, domain: int, number: int) -> Path:
        """Return the picture whose turn it is in draw `number`."""
        paths = self.domains[domain].train
        return paths[_order(self.seed, domain, number // len(paths), len(paths))[number % len(paths)]]

    def _draw(self, domain: int, number: int, damaged: list[str]) -> Tensor | None:
        """Read the picture whose turn it is, or, where it is damaged, the next one that can be read.

        None says that there is none: an exception would leave a worker as a traceback.
        """
        for i in range(number, number + len(self.domains[domain].train)):
            try:
                return self.geometry.draw(self.read(self.path(domain, i)), seed=seed_for(self.seed, "geometry", domain, number))
            except InputError as error:
                damaged.append(error.what)
        return None


def _collate(draws: list[Draw]) -> Draw:
    """Stack draws into batches, one a domain; none where a draw is not complete."""
    complete = len({len(tensors) for tensors, _ in draws}) == 1
    columns = zip(*(tensors for tensors, _ in draws), strict=True) if complete else ()
    return [torch.stack(column) for column in columns], [name for _, damaged in draws for name in damaged]


def _quiet_worker(_: int) -> None:
    """Leave signals to the parent, and cores to the network."""
    import signal

    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    cv2.setNumThreads(0)


class Batches:
    """Batches of all domains from any number on, the same whatever the workers; and the fixed, held-back pictures."""

    def __init__(self, data: Data, *, batch: int, seed: int, workers: int = 0, device: str = "cpu") -> None:
        self.geometry = Geometry(data)
        self.domains = [Domain.split(Path(f), held_back=data.held_back, seed=seed) for f in data.folders]
        self.draws = Draws(self.domains, self.geometry, seed=seed)
        self.batch, self.workers, self.device = batch, workers, device
        self.damaged: dict[str, None] = {}  # a set that keeps its order

    def starting(self, number: int, *, rank: int = 0, ranks: int = 1) -> Iterator[list[Tensor]]:
        """Yield uint8 batches (N, C, H, W), one tensor a domain, on the device, from draw `number` on, for ever.

        Of `ranks` processes each takes every `ranks`-th batch: together they see what one alone would.
        """
        first, stride = number + rank * self.batch, ranks * self.batch
        for tensors, damaged in self._loaded(range(i, i + self.batch) for i in itertools.count(first, stride)):
            self.damaged.update(dict.fromkeys(damaged))
            if len(tensors) < len(self.domains):
                raise StoppedEarly(f"no picture can be read any more: {damaged[-1]}", hint="check the disk")
            yield [t.to(self.device, non_blocking=True) for t in tensors]

    def _loaded(self, numbers: Iterable[Sequence[int]]) -> Iterator[Draw]:
        with warnings.catch_warnings():  # whoever asks for more workers than there are cores has a reason
            warnings.filterwarnings("ignore", message="This DataLoader will create")
            warnings.filterwarnings("ignore", message=".*use of fork", category=DeprecationWarning)  # workers only read
            loader = DataLoader(
                self.draws,
                batch_sampler=numbers,  # type: ignore[arg-type]
                num_workers=self.workers,
                collate_fn=_collate,
                worker_init_fn=_quiet_worker,
                pin_memory=self.device.startswith("cuda"),
                generator=torch.Generator(),  # its base seed must not be drawn from ours
            )
            return iter(loader)

    def held_back(self) -> list[Tensor]:
        """Return the held-back pictures of every domain, uint8 (N, C, H, W), on the device."""
        return [torch.stack(self._readable(domain)).to(self.device) for domain in self.domains]

    def examples(self, count: int) -> list[Tensor]:
        """Return up to so many pictures of every domain, held-back ones first, as `held_back` does."""
        wanted = [itertools.islice(self._readable_of([*d.held_back, *d.train]), count) for d in self.domains]
        return [torch.stack(list(readable)).to(self.device) for readable in wanted]

    def named(self, number: int, count: int) -> str:
        """Name the pictures whose turn it was in `count` draws from `number` on."""
        turns = [(domain, i) for domain in range(len(self.domains)) for i in range(number, number + count)]
        return ", ".join(shown(self.draws.path(domain, i)) for domain, i in turns)

    def _readable(self, domain: Domain) -> list[Tensor]:
        """Return the held-back pictures that can be read; where there is none, one that is learnt stands in."""
        found = list(self._readable_of(domain.held_back)) or list(itertools.islice(self._readable_of(domain.train), 1))
        if not found:
            what = f"{shown(domain.train[0].parent)}: none of its pictures can be read"
            raise InputError(what, hint=f"the last of them: {list(self.damaged)[-1]}")
        return found

    def _readable_of(self, paths: Sequence[Path]) -> Iterator[Tensor]:
        for path in paths:
            try:
                yield self.geometry.fixed(self.draws.read(path))
            except InputError as error:
                self.damaged[error.what] = None
