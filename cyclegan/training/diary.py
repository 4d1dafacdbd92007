"""Looks at the held-back pictures, written down as the training goes on."""

from cyclegan import codecs
from cyclegan.metrics.features import load_features
from cyclegan.objectives import Objective
from cyclegan.training.data import Batches
from cyclegan.training.familiarity import familiarised
from cyclegan.training.look import Looker
from cyclegan.training.runfolder import RunFolder, numbers
from cyclegan.training.samples import SampleLooker
from cyclegan.training.trainer import Trainer

REALS = 256  # of each domain, that translated pictures are measured against
KNOWN = 2048  # of a folder, that draws are compared with, and whose latents are fitted


class Diary:
    """What the first rank looks at: the held-back pictures, always the same and with the same features."""

    def __init__(self, run: RunFolder, batches: Batches, features: str, *, objective: Objective) -> None:
        self.run = run
        self.features = load_features(features, device=batches.device)
        self.looker = self._looker(batches)
        if isinstance(self.looker, Looker):
            domains = enumerate(run.experiment.data.domains)
            run.familiar = {name: familiarised(batches, number) for number, name in domains}
        if isinstance(self.looker, Looker) and not run.knows(self.features.name):
            compared = self.looker.compare(objective)
            run.untranslated(self.looker.untranslated, features=self.features.name, compared=compared)

    def _looker(self, batches: Batches) -> Looker | SampleLooker:
        """Return who looks: translations are looked at beside what they were made of, draws beside what is known."""
        held, codec, domains = batches.held_back(), codecs.build(self.run.codec), self.run.experiment.data.domains
        if len(domains) == 2:
            return Looker(held, batches.examples(REALS), codec=codec, features=self.features, domains=domains)
        (held_back,), (known,) = held, batches.examples(KNOWN)
        return SampleLooker(held_back, known, codec=codec, features=self.features, domain=domains[0])

    def look(self, trainer: Trainer) -> None:
        """Look at the translators that people will use; what is no number would look black."""
        numbers(trainer)
        with trainer.averaged():
            seen = self.looker.look(trainer.objective, progress=trainer.progress)
        self.run.look(trainer, seen, features=self.features.name)
