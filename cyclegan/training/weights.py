"""What people take from a training: networks that describe themselves, and what they were trained on."""

from collections.abc import Mapping

from cyclegan.checkpoint import Checkpoint
from cyclegan.codecs import Codec
from cyclegan.curation.familiar import Familiar, to_keep
from cyclegan.experiment import Experiment
from cyclegan.objectives import network_specs
from cyclegan.training.look import Look
from cyclegan.training.trainer import Trainer


def portable(
    trainer: Trainer,
    experiment: Experiment,
    codec: Codec,
    *,
    seen: Look | None,
    familiar: Mapping[str, Familiar | None],
    **more: float,
) -> Checkpoint:
    """Return the networks people will use, self-described; local paths stay at home.

    `seen` is how they look just now, where that is known: it has what else belongs to them. `familiar` is what they
    learnt from, by domain.
    """
    objective, domains = trainer.objective, experiment.data.domains
    specs = network_specs(experiment, channels=codec.channels)
    about = {
        "kind": "translator" if objective.routes else "sampler",
        "domains": list(domains),
        "routes": [[domains[x], domains[y], name] for (x, y), name in objective.routes.items()],
        "networks": {name: specs[name] for name in objective.averaged},
        "codec": codec.spec(),
        "images": trainer.images,
        "experiment": experiment.without_places().toml(),
    }
    with trainer.averaged():
        tensors = {
            f"{name}.{key}": tensor.detach().cpu().clone()
            for name in objective.averaged
            for key, tensor in objective.get_submodule(name).state_dict().items()
        }
    if seen and objective.routes:
        about["rounding"] = dict(seen.rounding)
    if seen and seen.mixture:
        tensors |= {f"mixture.{key}": tensor for key, tensor in seen.mixture.tensors().items()}
    said, kept = to_keep(familiar)
    return Checkpoint(about | said | more, tensors | kept)
