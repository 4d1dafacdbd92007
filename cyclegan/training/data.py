"""From folders to batches: which picture comes when is a function of (seed, domain, number)."""

import functools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cyclegan.chance import seed_for
from cyclegan.errors import InputError, StoppedEarly
from cyclegan.experiment import Data
from cyclegan.media.folder import pictures
from cyclegan.media.image import read_rgb
from cyclegan.training.augment import Geometry

Reader = Callable[[Path], NDArray[np.uint8]]


@dataclass(frozen=True)
class Domain:
    """The pictures of one folder: those to learn from, and those held back to look at."""

    train: tuple[Path, ...]
    held_back: tuple[Path, ...]

    @classmethod
    def split(cls, folder: Path, *, held_back: int, seed: int) -> "Domain":
        """Hold back at most `held_back` pictures and never more than a tenth; raise InputError when there are none.

        The choice depends on names, so that a picture which was held back once stays so when others are added. Where a
        tenth is less than two pictures, none can be spared: the first pictures are then shown although they are learnt.
        """
        paths = pictures(folder)
        if not paths:
            raise InputError(
                f"{folder}: no pictures in it", hint="jpg, png, webp, bmp and tiff are read, in subfolders too"
            )
        count = min(held_back, len(paths) // 10)
        if count < 2:
            return cls(tuple(paths), tuple(paths[:held_back]))
        chosen = sorted(paths, key=lambda p: seed_for(seed, "held back", str(p.relative_to(folder))))[:count]
        return cls(tuple(p for p in paths if p not in set(chosen)), tuple(sorted(chosen)))


@functools.lru_cache(maxsize=8)
def _order(seed: int, domain: int, epoch: int, count: int) -> list[int]:
    order = list(range(count))
    random.Random(seed_for(seed, "order", domain, epoch)).shuffle(order)
    return order


class Draws(Dataset[tuple[list[Tensor], list[str]]]):
    """Draw number i: one picture of every domain, uint8 (C, H, W), and the damaged files that were passed over."""

    def __init__(self, domains: Sequence[Domain], geometry: Geometry, *, seed: int, read: Reader = read_rgb) -> None:
        self.domains, self.geometry, self.seed, self.read = tuple(domains), geometry, seed, read

    def __getitem__(self, number: int) -> tuple[list[Tensor], list[str]]:
        damaged: list[str] = []
        return [self._draw(d, number, damaged) for d in range(len(self.domains))], damaged

    def _draw(self, domain: int, number: int, damaged: list[str]) -> Tensor:
        """Read the picture whose turn it is, or, where it is damaged, the next one that can be read."""
        paths = self.domains[domain].train
        for i in range(number, number + len(paths)):
            path = paths[_order(self.seed, domain, i // len(paths), len(paths))[i % len(paths)]]
            try:
                return self.geometry.draw(self.read(path), seed=seed_for(self.seed, "geometry", domain, number))
            except InputError as error:
                damaged.append(error.what)
        raise StoppedEarly(
            f"none of the {len(paths)} pictures can be read any more: {damaged[-1]}", hint="check the disk"
        )


def _collate(draws: list[tuple[list[Tensor], list[str]]]) -> tuple[list[Tensor], list[str]]:
    return [torch.stack(domain) for domain in zip(*(d for d, _ in draws), strict=True)], [
        n for _, bad in draws for n in bad
    ]


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

    def starting(self, number: int) -> Iterator[list[Tensor]]:
        """Yield uint8 batches (N, C, H, W), one tensor a domain, on the device, from draw `number` on, for ever."""
        loader = DataLoader(
            self.draws,
            batch_size=self.batch,
            sampler=range(number, 2**62),
            num_workers=self.workers,
            collate_fn=_collate,
            worker_init_fn=_quiet_worker,
            pin_memory=self.device.startswith("cuda"),
            generator=torch.Generator(),  # its base seed must not be drawn from ours
        )
        for tensors, damaged in loader:
            self.damaged.update(dict.fromkeys(damaged))
            yield [t.to(self.device, non_blocking=True) for t in tensors]

    def fixed(self) -> list[Tensor]:
        """Return the held-back pictures, uint8 (N, C, H, W), as many of each domain, on the device."""
        readable = [self._readable(domain) for domain in self.domains]
        count = min(map(len, readable))
        return [torch.stack(r[:count]).to(self.device) for r in readable]

    def _readable(self, domain: Domain) -> list[Tensor]:
        found = []
        for path in domain.held_back:
            try:
                found.append(self.geometry.fixed(read_rgb(path)))
            except InputError as error:
                self.damaged[error.what] = None
        if not found:
            raise InputError(f"{domain.held_back[0].parent}: no readable picture", hint=next(iter(self.damaged)))
        return found
