"""Which pictures are shown more often: the debiasing VAE, what it finds, and what comes of it, kept with a run."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from cyclegan.curation.findings import Findings, findings, looked_at
from cyclegan.curation.latent import LOST, WHOLE
from cyclegan.curation.resample import Weights, lowered, nearest, published
from cyclegan.experiment import Data, Experiment
from cyclegan.reading import read_file
from cyclegan.recipes import Voice
from cyclegan.training.acquaintance import DATA, Gathered, Weigh, acquaint, described, gather
from cyclegan.training.album import Scan
from cyclegan.training.augment import Geometry
from cyclegan.training.portraits import Portraits
from cyclegan.training.ranks import Ranks
from cyclegan.training.scan import scan

MEMORY = "balance.json"  # in the run folder
RARE = 2.0  # times by chance: what is shown so much more often is told as rare

Tell = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Balance:
    """How many times more often than by chance each picture is shown, by its path, and a line that says what was done.

    `about` tells for which pictures and options it was found.
    """

    weights: Mapping[str, float]
    line: str
    about: Mapping[str, Any]

    def encode(self) -> bytes:
        """Return the balance as JSON, for load."""
        table = {"about": self.about, "line": self.line, "weights": self.weights}
        return json.dumps(table, indent=1).encode()

    @classmethod
    def load(cls, file: Path, *, about: Mapping[str, Any]) -> "Balance | None":
        """Read what was found earlier; None where there is none, or none for these pictures and options."""
        try:
            table = json.loads(read_file(file))
            weights, line = table["weights"], table["line"]
            sound = isinstance(line, str) and all(0 <= float(value) < math.inf for value in weights.values())
            return cls(weights, line, table["about"]) if sound and table["about"] == about else None
        except (OSError, ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError):
            return None


def balanced(
    experiment: Experiment, looked: Scan, directory: Path, *, device: str, ranks: Ranks, tell: Tell
) -> Balance | None:
    """Find how often pictures are to be shown, or take what the run folder remembers; None where all are alike."""
    data = experiment.data
    if data.balance == "none":
        return None
    if not ranks.first:
        return _decoded(ranks.told(b""))
    about = {"pictures": looked.fingerprint, "folders": list(data.folders), "seed": experiment.seed}
    about |= {"how": data.balance, "alpha": data.balance_alpha}  # weights go by path: a folder that moved is new
    found = Balance.load(directory / MEMORY, about=about) or _found(experiment, about, device=device, tell=tell)
    return _decoded(ranks.told(found.encode())) if ranks.count > 1 else found


def _found(experiment: Experiment, about: Mapping[str, Any], *, device: str, tell: Tell) -> Balance:
    medium = (Portraits if isinstance(experiment.codec, Voice) else Geometry)(DATA)
    small = scan(_small(experiment.data), medium=medium, tell=lambda done, of: tell({"looked": done, "of": of}))
    gathered = gather(small.albums, medium=medium)
    for line in gathered.lost:
        tell({"note": line})
    weigh = _as_published(experiment.data) if experiment.data.balance in ("maximum", "product") else None
    network = acquaint(gathered, device=device, seed=experiment.seed, weigh=weigh or _by_neighbours)
    known = described(gathered, looked_at(gathered.pictures), network)
    judged = findings(known, gathered.folders, gathered.pairs())
    if weigh:
        values = _each(gathered, lambda own: weigh(_latents(known.latent, own)))
        line = f"{experiment.data.balance} of histograms, as published: nothing is set aside"
    else:
        values = _each(gathered, lambda own: _controlled(known.together, judged, own))
        line = _what_was_done(judged, values, what="recordings" if gathered.courses is not None else "pictures")
    shown = dict(zip(gathered.paths, [round(v, 6) for v in values.tolist()], strict=True))
    return Balance(shown, f"{line} (effective sample size {Weights(values).effective:.0%})", about)


def _small(data: Data) -> Data:
    """Return the folders as they are looked at: whole pictures, small."""
    names = {"folders": data.folders, "domains": data.domains, "only": data.only, "cache_gb": data.cache_gb}
    return Data(**{**DATA.__dict__, **names})


def _as_published(data: Data) -> Weigh:
    how: Literal["maximum", "product"] = "maximum" if data.balance == "maximum" else "product"
    return lambda latents: published(latents, how=how, alpha=data.balance_alpha)


def _by_neighbours(latents: Tensor) -> Weights:
    return nearest(latents, odd=torch.zeros(len(latents), dtype=torch.bool))


def _latents(joint: Tensor | None, own: Tensor) -> Tensor:
    assert joint is not None, "a VAE was asked"
    return joint[own][:, : -(LOST + WHOLE)]


def _each(gathered: Gathered, weigh: Callable[[Tensor], Weights]) -> Tensor:
    """Weigh the pictures of every folder among themselves."""
    values = torch.ones(len(gathered.paths), dtype=torch.float64)
    for folder in set(gathered.folders.tolist()):
        own = (gathered.folders == folder).nonzero()[:, 0]
        values[own] = weigh(own).values
    return values


def _controlled(features: Tensor, judged: Findings, own: Tensor) -> Weights:
    """Weigh by how thin it is around each picture; what is odd or misfiled seldom, copies together once.

    A group without its like in the other folder is not raised: its critic would learn that such pictures are fake.
    """
    place = {int(i): n for n, i in enumerate(own)}
    odd = judged.odd[own].clone()
    odd[[place[i] for i, _, _ in judged.misfiled if i in place]] = True
    copies = [[place[i] for i in group if i in place] for group in judged.copies()]
    weights = nearest(features[own], odd=odd, copies=[group for group in copies if len(group) > 1])
    stranded = [group.members for group in judged.groups if group.stranded and group.members[0] in place]
    return lowered(weights, [[place[i] for i in members] for members in stranded])


def _what_was_done(judged: Findings, values: Tensor, *, what: str = "pictures") -> str:
    """Say in one line what is shown more often, and what is not."""
    aside = int(judged.odd.sum()) + len(judged.misfiled)
    parts = [f"set aside {aside} odd {what}", f"{len(judged.pairs)} duplicate pairs share weight"]
    raised = [group for group in judged.groups if not group.stranded]
    parts += [f"a group of {len(g.members)} shown {Weights(values).shown(g.members):.1f}x more often" for g in raised]
    held = sum(group.stranded for group in judged.groups)
    parts += [f"{held} small groups without a counterpart in the other folder not raised"] if held else []
    rare = int((values > RARE).sum())
    return "; ".join([*parts, f"{rare} {what} in all shown more than {RARE:g}x"])


def _decoded(text: bytes) -> Balance:
    table = json.loads(text)
    return Balance(table["weights"], table["line"], table["about"])
