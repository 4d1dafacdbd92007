"""Looks at the held-back pictures, written down as the training goes on."""

from cyclegan.codecs import Pictures, Voice
from cyclegan.devices import exact_float32
from cyclegan.metrics.features import load_features
from cyclegan.objectives import Objective
from cyclegan.training.data import Batches
from cyclegan.training.familiarity import familiarised
from cyclegan.training.ledger import numbers
from cyclegan.training.listen import Listener, heard_of, pieces_of
from cyclegan.training.look import Looker
from cyclegan.training.recordings import Recordings
from cyclegan.training.runfolder import RunFolder
from cyclegan.training.samples import SampleLooker
from cyclegan.training.trainer import Trainer

REALS = 256  # of each domain, drawn at random, that translated pictures are measured against
KNOWN = 2048  # of a folder, drawn at random, that draws are compared with, and whose latents are fitted


class Diary:
    """What the first rank looks at: the held-back pictures, always the same and with the same features."""

    def __init__(self, run: RunFolder, batches: Batches, features: str, *, objective: Objective) -> None:
        self.run = run
        self.looker = self._listener(batches) if isinstance(run.codec, Voice) else self._looker(batches, features)
        self.features = self.looker.features.name
        if isinstance(self.looker, Looker):
            domains = enumerate(run.experiment.data.domains)
            run.familiar = {name: familiarised(batches, number) for number, name in domains}
        protocol = self.looker.protocol
        if not run.knows(protocol) and not isinstance(self.looker, SampleLooker):
            compared = self.looker.compare(objective) if isinstance(self.looker, Looker) else {}
            run.untranslated(self.looker.untranslated, features=self.features, protocol=protocol, compared=compared)

    def _looker(self, batches: Batches, measured_by: str) -> Looker | SampleLooker:
        """Return who looks: translations are looked at beside what they were made of, draws beside what is known."""
        features = load_features(measured_by, device=batches.device)
        held, codec, domains = batches.held_back(), self.run.codec, self.run.experiment.data.domains
        assert isinstance(codec, Pictures)
        if len(domains) == 2:
            return Looker(held, batches.examples(REALS), codec=codec, features=features, domains=domains)
        (held_back,), (known,) = held, batches.examples(KNOWN)
        return SampleLooker(held_back, known, codec=codec, features=features, domain=domains[0])

    def _listener(self, batches: Batches) -> Listener:
        """Return who listens, to recordings that are held back."""
        codec, recordings, found = self.run.codec, batches.geometry, batches.domains
        assert isinstance(codec, Voice)
        assert isinstance(recordings, Recordings)
        heard = [heard_of(domain, recordings) for domain in found]
        held = [pieces_of(batches, d, domain.held_back, recordings) for d, domain in enumerate(found)]
        every = [[*domain.held_back, *domain.shuffled] for domain in found]
        reals = [pieces_of(batches, d, paths, recordings) for d, paths in enumerate(every)]
        domains = self.run.experiment.data.domains
        return Listener(held, reals, heard, codec=codec, domains=domains, device=batches.device)

    def look(self, trainer: Trainer) -> None:
        """Look at the translators that people will use; what is no number would look black."""
        numbers(trainer)
        earlier = self.run.measures(self.looker.protocol)
        with exact_float32(), trainer.averaged():
            seen = self.looker.look(trainer.objective, progress=trainer.progress, earlier=earlier)
        self.run.look(trainer, seen, features=self.features)
