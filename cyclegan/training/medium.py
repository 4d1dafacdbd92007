"""What lies in the folders of a training, pictures or recordings: how it is read, kept, and cut into draws."""

from collections.abc import Collection
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray
from torch import Tensor

from cyclegan.experiment import Data, Experiment
from cyclegan.recipes import Voice
from cyclegan.training.augment import Geometry
from cyclegan.training.recordings import Recordings

Array = NDArray[Any]


class Medium(Protocol):
    """Arrays (H, W, C) of one kind: how they come from files, and how draws (C, H, W) are cut from them.

    `short` is what arrays are resized to before they are kept: pixels of the short side, 0 where they stay as they are.
    """

    data: Data

    @property
    def called(self) -> str:
        """What people call many of them."""

    @property
    def suffixes(self) -> Collection[str]:
        """What its files are called."""

    @property
    def weight(self) -> int:
        """Bytes of one draw."""

    def read(self, path: Path) -> Array:
        """Read a file; raises InputError for what cannot be learnt from."""

    def facts(self, path: Path, array: Array) -> dict[str, Any]:
        """Return what `Facts` should say of a file that was read."""

    def made_of(self) -> list[Any]:
        """Return what arrays depend on besides the file's content, so that those that are kept can be told apart."""

    def short_side(self, *, settled: bool = False) -> int: ...

    def short_sides(self) -> list[int]: ...

    def resize(self, array: Array, *, short: int) -> Array: ...

    def draw(self, array: Array, *, seed: int, settled: bool = False) -> Tensor: ...

    def fixed(self, array: Array) -> Tensor: ...


def medium_of(experiment: Experiment) -> Medium:
    """Return what an experiment's folders hold."""
    if isinstance(experiment.codec, Voice):
        return Recordings(experiment.data, experiment.codec)
    return Geometry(experiment.data)
