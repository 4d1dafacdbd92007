"""What a model learnt from, as far as its weights remember it: enough to say that a picture is unlike all of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as nnf

from cyclegan.curation.density import ENOUGH, Typicality
from cyclegan.curation.descriptor import SIDE, describe
from cyclegan.curation.neighbours import local_outlier_factor, robust_z, whiten

VERSION = 1  # of the way from a picture to numbers: models that were fitted another way are not asked
ODD = 6.0  # robust standard deviations of the log of the local outlier factor, see Typicality.fit
LONGEST = 16  # times the short side, as in training


@dataclass(frozen=True)
class Judgement:
    """The share of the pictures learnt from that are less unusual, in [0, 1], and whether that is worth a word."""

    unusualness: float
    unlike: bool

    @classmethod
    def of_many(cls, judged: Sequence["Judgement"]) -> "Judgement":
        """Join those of a film's frames: their median, and what more than half of them are."""
        middle = sorted(each.unusualness for each in judged)[(len(judged) - 1) // 2]
        return cls(middle, 2 * sum(each.unlike for each in judged) > len(judged))


@dataclass(frozen=True)
class Familiar:
    """Knows the pictures of one folder, as they are when their short side has `short` pixels.

    `square` says that they were squashed, not cut, to the square that was learnt from.
    """

    typicality: Typicality
    short: int
    square: bool

    @classmethod
    def learn(cls, pictures: Tensor, *, short: int, square: bool) -> "Familiar | None":
        """Learn from what `small` made of a folder's pictures, uint8 (N, 3, 64, 64), but for those that are odd.

        None for fewer than 30: nobody can say what is unlike so few. The same pictures give the same, bit by bit.
        """
        if len(pictures) < ENOUGH:
            return None
        features = describe(pictures)
        ordinary = features[robust_z(local_outlier_factor(whiten(features)).log()) <= ODD]
        return cls(Typicality.fit(ordinary), short, square) if len(ordinary) >= ENOUGH else None

    def judge(self, picture: Tensor) -> Judgement:
        """Judge a picture, uint8 (3, H, W): half a millisecond for one of 256 pixels, 10 to 25 for 12 million."""
        features = describe(small(picture.cpu(), short=self.short, square=self.square)[None])
        return Judgement(float(self.typicality.unusualness(features)), bool(self.typicality.unlike(features)))


def small(picture: Tensor, *, short: int, square: bool) -> Tensor:
    """Return the whole of a picture, uint8 (3, H, W), squashed to (3, 64, 64).

    It goes by way of the size that training keeps decoded pictures in, however large it is: what was enlarged and
    reduced again has less detail, and fewer differences between neighbours, than what was reduced at once.
    """
    height, width = picture.shape[1:]
    scale = short / min(height, width)
    sides = [short, short] if square else [min(max(short, round(s * scale)), LONGEST * short) for s in (height, width)]
    return _resized(_resized(picture, sides), [SIDE, SIDE]).contiguous()


def _resized(picture: Tensor, sides: list[int]) -> Tensor:
    if list(picture.shape[1:]) == sides:
        return picture
    lying = picture[None].contiguous(memory_format=torch.channels_last)  # several times faster
    resized: Tensor = nnf.interpolate(lying, size=sides, mode="bicubic", antialias=True)[0]
    return resized


def to_keep(known: Mapping[str, "Familiar | None"]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return what a file of weights says about the domains in its description, and the tensors beside it."""
    kept = {domain: familiar for domain, familiar in known.items() if familiar}
    if not kept:
        return {}, {}
    tensors = {
        f"typicality.{number}.{name}": tensor
        for number, familiar in enumerate(kept.values())
        for name, tensor in familiar.typicality.tensors().items()
    }
    domains = [{"name": name, "short": each.short, "square": each.square} for name, each in kept.items()]
    return {"typicality": {"version": VERSION, "domains": domains}}, tensors


def kept_of(domain: str, *, about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Familiar | None:
    """Return what weights remember of a domain; None for other people's, older ones, and those of few pictures."""
    try:
        if about["typicality"]["version"] != VERSION:
            return None
        names = [each["name"] for each in about["typicality"]["domains"]]
        number = names.index(domain)
        place, entry = f"typicality.{number}.", about["typicality"]["domains"][number]
        own = {key.removeprefix(place): tensor for key, tensor in tensors.items() if key.startswith(place)}
        return Familiar(Typicality.from_tensors(own), int(entry["short"]), bool(entry["square"]))
    except (KeyError, TypeError, ValueError):
        return None
