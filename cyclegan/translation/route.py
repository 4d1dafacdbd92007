"""From weights to one of their ways: the network that goes from a source to a target, and what it needs to know."""

import tomllib
from dataclasses import dataclass

from torch import nn

from cyclegan import catalog, codecs
from cyclegan.checkpoint import Checkpoint
from cyclegan.codecs import Codec
from cyclegan.curation.familiar import Familiar, kept_of
from cyclegan.networks.precision import Rounding


@dataclass(frozen=True)
class Route:
    """A network that translates from `source` to `target`.

    `trained_at` is the side of the pictures it was trained with, `rounding` what bfloat16 changes in translations,
    `familiar` knows the pictures of the source that it learnt from.
    """

    source: str
    target: str
    network: nn.Module
    codec: Codec
    trained_at: int | None = None
    rounding: Rounding | None = None
    familiar: Familiar | None = None

    @classmethod
    def of(cls, found: Checkpoint, *, to: str | None) -> "Route":
        """Build the way to a domain, None: the first; raises CheckpointError, or UsageError for an unknown domain."""
        source, target, name = catalog.route(found, to)
        codec = codecs.build(found.about["codec"])
        network = catalog.build(found, name)
        familiar = kept_of(source, about=found.about, tensors=found.tensors)
        return cls(source, target, network, codec, _trained_at(found), _rounding(found, name), familiar)


def _rounding(found: Checkpoint, name: str) -> Rounding | None:
    """Return what bfloat16 was measured to change in a network's translations, where that was measured."""
    try:
        return Rounding(*map(float, found.about["rounding"][name]))
    except (KeyError, TypeError, ValueError):
        return None


def _trained_at(found: Checkpoint) -> int | None:
    """Return the side of the pictures that weights were trained with, where they say."""
    try:
        size = tomllib.loads(found.about["experiment"])["data"]["size"]
    except (KeyError, TypeError, tomllib.TOMLDecodeError):
        size = found.about.get("trained_at")
    return size if isinstance(size, int) and size > 0 else None
