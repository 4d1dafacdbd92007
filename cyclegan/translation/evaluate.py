"""How good a translator is: its translations of some pictures beside real ones of the other domain."""

import itertools
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cyclegan import catalog
from cyclegan.errors import InputError, memory_for
from cyclegan.files import Job
from cyclegan.media.image import read_rgb, write_picture
from cyclegan.metrics.distances import diversity, fid, kid, kid_of_subsets
from cyclegan.metrics.features import Features
from cyclegan.translation.detail import resized
from cyclegan.translation.progress import Progress
from cyclegan.translation.translator import Translator

BATCH, PIXELS = 8, 1 << 20  # pictures of one size at once, and pixels: memory follows them
FEWEST = 3  # pictures a side that the error of a distance can be told from
LARGEST = 4096  # pixels a side that a training may have
LONGEST = 16  # times the short side: a line of pixels would fill the memory once it is as high as the others


@dataclass(frozen=True)
class Size:
    """What pictures are brought to before anything else: `side` is 0 for leaving each as it is.

    `fit` "cover" keeps the aspect and cuts the middle square, "stretch" squashes, as in the training's own options.
    """

    side: int = 0
    fit: str = "cover"

    def __call__(self, pictures: Tensor) -> Tensor:
        """Return uint8 (N, C, H, W) at the size, by the antialiased bicubic of the training."""
        height, width = pictures.shape[-2:]
        if not self.side:
            return pictures
        scale = self.side / min(height, width)
        wanted = [min(max(self.side, round(length * scale)), LONGEST * self.side) for length in (height, width)]
        if self.fit == "stretch":
            wanted = [self.side, self.side]
        if wanted != [height, width]:
            pictures = resized(pictures, wanted).contiguous()
        top, left = ((length - self.side) // 2 for length in wanted)
        return pictures[:, :, top : top + self.side, left : left + self.side]

    def __str__(self) -> str:
        if not self.side:
            return "each at its own size"
        return f"{self.side} × {self.side}, {'squashed' if self.fit == 'stretch' else 'the middle square'}"


@dataclass(frozen=True)
class Evaluation:
    """The figures, and all that they depend on. Distances are raw: people are shown KID × 1000.

    `cycle` and `change` are the mean absolute differences, in levels of 255, between the source and what comes back
    from the other domain, and between the source and its translation; `diversity` is the spread of the translations'
    features as a share of the real ones'. What there was no model or no way back for is None.
    """

    sources: int
    targets: int
    untranslated: dict[str, float]
    kid: float
    kid_std: float
    fid: float
    kid_subsets: dict[str, float] | None
    diversity: float
    change: float | None
    cycle: float | None
    damaged: tuple[str, ...] = field(default=())

    def encode(self) -> dict[str, Any]:
        """Return what --json prints."""
        return asdict(self)


def load_ways(model: str | Path, *, to: str | None, device: str) -> tuple[Translator, Translator | None]:
    """Return a model's translator to a domain (None: its first) and the one back, where it has one.

    Raises CheckpointError, and UsageError for a domain that the model does not know.
    """
    there = Translator.load(model, to=to, device=device, precision="fp32")  # figures are the same everywhere
    ways = {(source, target) for source, target, _ in catalog.load(model).about["routes"]}
    if (there.target, there.source) not in ways:
        return there, None
    return there, Translator.load(model, to=there.source, device=device, precision="fp32")


def size_of(model: str | Path) -> Size:
    """Return the size at which a model's training saw pictures; each its own where the weights do not say."""
    about = catalog.load(model).about
    try:
        data = tomllib.loads(about["experiment"])["data"]
        side, fit = data["size"], str(data["fit"])
    except (KeyError, TypeError, ValueError):
        side, fit = about.get("trained_at"), "cover"
    return Size(side if isinstance(side, int) and 0 < side <= LARGEST else 0, fit)


def evaluate(
    jobs: Sequence[Job],
    targets: Sequence[Path],
    *,
    there: Translator | None,
    back: Translator | None,
    features: Features,
    size: Size,
    kid_size: int = 0,
    save: bool = False,
    progress: Progress,
) -> Evaluation:
    """Translate the jobs' pictures with `there`, compare them with the targets, and bring them `back`.

    Without a translator the sources themselves are compared. `kid_size` adds the published mean over subsets; `save`
    keeps the translations as PNG, the jobs' targets. Pictures that cannot be read are left out and named. Raises
    InputError where fewer than three of a side can be read, UsageError for subsets that are too large.
    """
    reading = _Reading(size, progress, total=len(jobs) + len(targets))
    found = _Found(there, back, features)
    for group, pictures in reading.batches(jobs):
        with memory_for(group[0].source):
            translated = found.add(pictures)
        if save:
            _save(group, translated)
    reals = [features(pictures) for _, pictures in reading.batches([Job(path, path) for path in targets])]
    sources = _enough(found.sources, reading.damaged, "source")
    return found.figures(sources, _enough(reals, reading.damaged, "target"), kid_size, tuple(reading.damaged))


class _Reading:
    """Reads pictures, some of one size at a time, and remembers what was wrong with the others."""

    def __init__(self, size: Size, progress: Progress, *, total: int) -> None:
        self.size, self.progress, self.total = size, progress, total
        self.done, self.damaged = 0, list[str]()

    def batches(self, jobs: Sequence[Job]) -> Iterator[tuple[list[Job], Tensor]]:
        """Yield neighbours of one size with their pictures, uint8 (N, 3, H, W)."""
        for (height, width), run in itertools.groupby(self._each(jobs), key=lambda pair: pair[1].shape[-2:]):
            count = max(1, min(BATCH, PIXELS // (height * width)))
            while group := list(itertools.islice(run, count)):
                yield [job for job, _ in group], torch.cat([picture for _, picture in group])

    def _each(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Tensor]]:
        for job in jobs:
            self.done += 1
            self.progress.count(self.done, self.total)
            try:
                with memory_for(job.source):
                    pixels = read_rgb(job.source)
            except InputError as error:
                self.damaged.append(error.what)
                continue
            yield job, self.size(torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None])


class _Found:
    """What is gathered batch by batch: features, and differences a picture."""

    def __init__(self, there: Translator | None, back: Translator | None, features: Features) -> None:
        self.there, self.back, self.features = there, back, features
        self.sources, self.fakes = list[Tensor](), list[Tensor]()
        self.changes, self.cycles = list[Tensor](), list[Tensor]()

    def add(self, pictures: Tensor) -> Tensor:
        """Translate a batch, note its figures, and return it translated."""
        self.sources.append(self.features(pictures))
        if self.there is None:
            return pictures
        translated = self.there(pictures)
        self.fakes.append(self.features(translated))
        self.changes.append(_difference(translated, pictures))
        if self.back is not None:
            self.cycles.append(_difference(self.back(translated), pictures))
        return translated

    def figures(self, sources: Tensor, reals: Tensor, kid_size: int, damaged: tuple[str, ...]) -> Evaluation:
        """Return the distances from `reals`, the targets' features, and the means of the rest."""
        fakes = torch.cat(self.fakes) if self.fakes else sources
        subsets = kid_of_subsets(fakes, reals, size=kid_size) if kid_size else None
        value, error = kid(fakes, reals)
        before, _ = kid(sources, reals)
        return Evaluation(
            sources=len(sources),
            targets=len(reals),
            untranslated={"kid": before, "fid": fid(sources, reals)},
            kid=value,
            kid_std=error,
            fid=fid(fakes, reals),
            kid_subsets=subsets and {"size": kid_size, "mean": subsets[0], "std": subsets[1]},
            diversity=diversity(fakes, reals),
            change=_mean(self.changes),
            cycle=_mean(self.cycles),
            damaged=damaged,
        )


def _difference(first: Tensor, second: Tensor) -> Tensor:
    return (first.double() - second).abs().mean((1, 2, 3))


def _mean(parts: list[Tensor]) -> float | None:
    return float(torch.cat(parts).mean()) if parts else None


def _enough(parts: list[Tensor], damaged: list[str], side: str) -> Tensor:
    count = sum(map(len, parts))
    if count < FEWEST:
        hint = f"at least {FEWEST} are needed; hundreds make a figure one can trust"
        reason = f"; {damaged[-1]}" if damaged else ""
        raise InputError(f"--{side}: {count} pictures can be read{reason}", hint=hint)
    return torch.cat(parts)


def _save(jobs: Sequence[Job], translated: Tensor) -> None:
    for job, picture in zip(jobs, translated.permute(0, 2, 3, 1).cpu().numpy(), strict=True):
        write_picture(job.target, picture)
