"""Looks at the held-back pictures, written down as the training goes on."""

from cyclegan import codecs
from cyclegan.metrics.features import load_features
from cyclegan.objectives import Objective
from cyclegan.training.data import Batches
from cyclegan.training.look import Looker
from cyclegan.training.runfolder import RunFolder, numbers
from cyclegan.training.trainer import Trainer

REALS = 256  # of each domain, that translated pictures are measured against


class Diary:
    """What the first rank looks at: the held-back pictures, always the same and with the same features."""

    def __init__(self, run: RunFolder, batches: Batches, features: str, *, objective: Objective) -> None:
        self.run = run
        data = run.experiment.data
        self.features = load_features(features, device=batches.device)
        self.looker = Looker(
            batches.held_back(),
            batches.examples(REALS),
            codec=codecs.build(run.codec),
            features=self.features,
            domains=data.domains,
        )
        if not run.knows(self.features.name):
            compared = self.looker.compare(objective)
            run.untranslated(self.looker.untranslated, features=self.features.name, compared=compared)

    def look(self, trainer: Trainer) -> None:
        """Look at the translators that people will use; what is no number would look black."""
        numbers(trainer)
        with trainer.averaged():
            seen = self.looker.look(trainer.objective, progress=trainer.progress)
        self.run.look(trainer, seen, features=self.features.name)
