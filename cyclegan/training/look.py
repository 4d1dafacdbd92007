"""A look at the held-back pictures: a sheet for people, and a score to choose by."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cyclegan.codecs import Codec
from cyclegan.media.sheet import contact_sheet
from cyclegan.objectives import Objective
from cyclegan.training.metrics import sliced_wasserstein

ROWS = 8  # on the sheet; all are scored


@dataclass(frozen=True)
class Look:
    """`sheet`: pixels (H, W, 3). `scores`: distance of the pictures translated to each domain from its real ones."""

    sheet: NDArray[np.uint8]
    scores: dict[str, float]

    @property
    def mean(self) -> float:
        """The mean score over the directions; lower is better."""
        return sum(self.scores.values()) / len(self.scores)


def look(objective: Objective, fixed: Sequence[Tensor], codec: Codec, *, domains: Sequence[str]) -> Look:
    """Translate the held-back pictures, (N, C, H, W) in [-1, 1] a domain, with the objective as it is now."""
    rows = _preview(objective, fixed)
    columns = {_caption(name, domains): _frames(codec, pictures[:ROWS]) for name, pictures in rows.items()}
    translated = [rows["translated_x"], rows["translated_y"]]
    scores = {domains[1 - i]: sliced_wasserstein(t, fixed[1 - i]) for i, t in enumerate(translated)}
    return Look(contact_sheet(columns), scores)


def _preview(objective: Objective, fixed: Sequence[Tensor]) -> dict[str, Tensor]:
    """Run the objective's preview four pictures at a time, as in use: without gradients and dropout."""
    objective.eval()
    with torch.no_grad():
        parts = [objective.preview(*batch) for batch in zip(*(torch.split(f, 4) for f in fixed), strict=True)]
    objective.train()
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _caption(name: str, domains: Sequence[str]) -> str:
    what, _, letter = name.rpartition("_")
    here, there = domains if letter == "x" else reversed(domains)
    return {"real": here, "translated": f"to {there}", "cycled": f"{here} again", "identity": f"kept {here}"}[what]


def _frames(codec: Codec, tensors: Tensor) -> list[NDArray[np.uint8]]:
    return list(codec.decode(tensors).permute(0, 2, 3, 1).cpu().numpy())
