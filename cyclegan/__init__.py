"""styl: learn to translate pictures, or voices, between two unpaired folders, and do it.

Shapes are named the same way everywhere: N batch, C channels, H and W pixels; x and y are the two domains.
Everything below loads on first use, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cyclegan.checkpoint import Checkpoint
    from cyclegan.errors import StylError
    from cyclegan.experiment import Experiment
    from cyclegan.objectives import Objective, Turn
    from cyclegan.training.run import train
    from cyclegan.training.trainer import Trainer
    from cyclegan.translation.translator import Translator
    from cyclegan.translation.voice import VoiceTranslator

__version__ = "0.1.0"
__all__ = [
    "Checkpoint",
    "Experiment",
    "Objective",
    "StylError",
    "Trainer",
    "Translator",
    "Turn",
    "VoiceTranslator",
    "train",
]

_ROOMS = {
    "Checkpoint": "cyclegan.checkpoint",
    "Experiment": "cyclegan.experiment",
    "Objective": "cyclegan.objectives",
    "StylError": "cyclegan.errors",
    "Trainer": "cyclegan.training.trainer",
    "Translator": "cyclegan.translation.translator",
    "Turn": "cyclegan.objectives",
    "VoiceTranslator": "cyclegan.translation.voice",
    "train": "cyclegan.training.run",
}


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module 'cyclegan' has no attribute {name!r}")
    return getattr(import_module(_ROOMS[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
