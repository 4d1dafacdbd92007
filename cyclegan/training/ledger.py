"""What the steps since the last line of the log came to, and which of them had to be skipped."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from cyclegan.errors import StoppedEarly
from cyclegan.training.ranks import Ranks
from cyclegan.training.trainer import Report, Trainer

SLOWER = "what was saved is whole; begin another run with -o and a smaller --set training.learning_rate"
PATIENCE = 20  # steps in a row that may be skipped


class Ledger:
    """Notes every step without waiting for the device; a line of means waits once, and averages over the ranks.

    `files` names what was drawn for the step that ended at so many pictures, for the day a loss is not finite.
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
        """Return the line of the log for the steps since the last: means of those that were not skipped.

        Raises StoppedEarly where more than PATIENCE steps in a row were skipped.
        """
        last, skipped = self.steps[-1], self._skipped()
        speed = (last.images - self.logged[0]) / max(seconds - self.logged[1], 1e-9)
        losses = self._means([step for step, out in zip(self.steps, skipped, strict=True) if not out])
        named = [{"images": s.images, "files": self.files(s)} for s in itertools.compress(self.steps, skipped)]
        self.logged, self.steps = (last.images, seconds), []
        return {
            "images": last.images,
            "progress": last.progress,
            "seconds": round(seconds, 3),
            "images_per_second": round(speed, 3),
            "learning_rate": last.rate,
            "losses": losses,
            **({"skipped": named} if named else {}),
        }

    def _means(self, steps: Sequence[Report]) -> dict[str, float]:
        """Return the mean of every term over the steps that had it, and over the ranks; nothing of no steps."""
        names = dict.fromkeys(name for step in steps for name in step.terms)
        if not names:
            return {}
        means: list[Tensor] = [torch.stack([s.terms[n] for s in steps if n in s.terms]).mean() for n in names]
        together = torch.stack(means).float()
        self.ranks.average_([together])
        return dict(zip(names, together.tolist(), strict=True))

    def _skipped(self) -> list[bool]:
        """Return which steps were skipped; raise StoppedEarly after too many in a row."""
        skipped: list[bool] = (torch.stack([step.skipped for step in self.steps]) > 0).tolist()
        for step, out in zip(self.steps, skipped, strict=True):
            self.row = self.row + 1 if out else 0
            if self.row > PATIENCE:
                what = (
                    f"loss or gradients were NaN or infinite in {self.row} steps in a row until {step.images:,} images"
                )
                raise StoppedEarly(f"{what}, with {self.files(step)}", hint=SLOWER)
        return skipped


def numbers(trainer: Trainer) -> dict[str, Tensor]:
    """Return the state of a trainer; raises StoppedEarly where it is not made of numbers any more."""
    state = trainer.state()
    if not all(bool(torch.isfinite(t).all()) for t in state.values()):
        what = f"the weights are no numbers any more at {trainer.images:,} images: not saved"
        raise StoppedEarly(what, hint=SLOWER)
    return state
