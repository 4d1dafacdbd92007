"""What the steps since the last line of the log came to, and whether they still are numbers."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from cyclegan.errors import StoppedEarly
from cyclegan.training.ranks import Ranks
from cyclegan.training.trainer import Report

SLOWER = "what was saved is whole; begin another run with -o and a smaller --set training.learning_rate"
PATIENCE = 20  # steps in a row whose gradients are no numbers


class Ledger:
    """Notes every step without waiting for the device; a line of means waits once, and averages over the ranks.

    `files` names what was drawn for the step that ended at so many pictures, for the day a loss is no number.
    """

    def __init__(self, ranks: Ranks, *, files: Callable[[Report], str]) -> None:
        self.ranks, self.files = ranks, files
        self.steps: list[Report] = []
        self.row = 0  # steps in a row that were skipped
        self.logged = (0, 0.0)  # images and seconds at the last line

    def note(self, report: Report) -> None:
        """Keep a step's terms."""
        self.steps.append(report)

    def line(self, *, seconds: float) -> dict[str, Any]:
        """Return the line of the log for the steps since the last; raises StoppedEarly where they are no numbers."""
        last, losses = self.steps[-1], self._means()
        if not all(map(math.isfinite, losses.values())):
            first = next((s for s in self.steps if not all(bool(t.isfinite()) for t in s.terms.values())), last)
            what = f"the losses are no numbers any more at {first.images:,} images, with {self.files(first)}"
            raise StoppedEarly(what, hint=SLOWER)
        skipped = self._count_skipped()
        speed = (last.images - self.logged[0]) / max(seconds - self.logged[1], 1e-9)
        self.logged, self.steps = (last.images, seconds), []
        return {
            "images": last.images,
            "progress": last.progress,
            "seconds": round(seconds, 3),
            "images_per_second": round(speed, 3),
            "learning_rate": last.rate,
            "losses": losses,
            **({"skipped": skipped} if skipped else {}),
        }

    def _means(self) -> dict[str, float]:
        """Return the mean of every term over the steps that had it, and over the ranks."""
        names = dict.fromkeys(name for step in self.steps for name in step.terms)
        means: list[Tensor] = [torch.stack([s.terms[n] for s in self.steps if n in s.terms]).mean() for n in names]
        together = torch.stack(means).float()
        self.ranks.average_([together])
        return dict(zip(names, together.tolist(), strict=True))

    def _count_skipped(self) -> int:
        """Return how many steps were skipped; raise StoppedEarly after too many in a row."""
        skipped = (torch.stack([step.skipped for step in self.steps]) > 0).tolist()
        for step, one in zip(self.steps, skipped, strict=True):
            self.row = self.row + 1 if one else 0
            if self.row > PATIENCE:
                what = f"the gradients are no numbers any more, {self.row} steps in a row until {step.images:,} images"
                raise StoppedEarly(f"{what}, with {self.files(step)}", hint=SLOWER)
        return sum(skipped)
