"""The way between what folders hold and what networks see, as it belongs to one experiment."""

from pathlib import Path

from cyclegan import codecs
from cyclegan.checkpoint import Checkpoint
from cyclegan.codecs import Pictures, Voice
from cyclegan.errors import CheckpointError
from cyclegan.experiment import Experiment
from cyclegan.recipes import Voice as VoiceOptions
from cyclegan.training.data import Batches


def codec_for(experiment: Experiment, batches: Batches, directory: Path) -> Pictures | Voice:
    """Return the experiment's codec; of voices what it knows of the speakers, learnt once, stays with the run."""
    options = experiment.codec
    if not isinstance(options, VoiceOptions):
        return Pictures()
    try:
        last = Checkpoint.load(directory / "weights/last.safetensors", kind="translator")
        return codecs.build(last.about["codec"])
    except CheckpointError:  # it has just begun
        names = enumerate(experiment.data.domains)
        folders = {name: (array[..., 0] for array in batches.arrays(number)) for number, name in names}
        return Voice.learn(folders, rate=options.rate, coefficients=options.coefficients, period=options.period)
