"""What is to be done, as one frozen value with three uses: a preset, a user's own file, the record in a run folder.

An experiment is read from layers of TOML (``extends`` names the layer below), changed by ``key=value``, and written
back with every option explained. Nothing here imports more than the standard library, so that a misspelt option is
answered at once.
"""

import dataclasses
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from cyclegan.errors import InputError, UsageError, did_you_mean, shown
from cyclegan.reading import read_file
from cyclegan.recipes import (
    GAN,
    VAE,
    Autoencoder,
    CycleGAN,
    DCGANCritic,
    DCGANGenerator,
    Distillation,
    GatedPatchGAN,
    MaskCycleGAN,
    NoCritic,
    PatchGAN,
    Pictures,
    R3Critic,
    R3Generator,
    ResNet,
    TwoOneTwo,
    UNet,
    Voice,
)
from cyclegan.tables import Table, decode, flat, gather, merge, nest, nested, option, toml_lines

LARGEST = 1 << 20  # bytes of a TOML file


@dataclass(frozen=True)
class Data:
    """Where pictures come from and what is done to them before they are seen."""

    folders: tuple[str, ...] = option((), "one folder a domain")
    domains: tuple[str, ...] = option((), "the domains' names")
    size: int = option(256, "pixels of the square that is trained on; of voices, frames", low=16, high=4096)
    enlarge: float = option(
        1.1171875, "pictures are resized to this times the size, then cropped (286/256)", low=1, high=4
    )
    fit: Literal["stretch", "cover"] = option(
        "cover", "stretch: squash to a square, as in 2017; cover: keep the aspect"
    )
    flip: bool = option(True, "mirror every other picture, left to right")
    settle: bool = option(False, "no enlarging and no random crop while the step falls")
    held_back: int = option(
        64, "pictures of each folder kept from training, for sheets and for choosing; at most a tenth", low=2
    )
    cache_gb: float = option(8.0, "how much of the disk decoded pictures may take, to be drawn faster; 0: none", low=0)
    only: str = option("", "a list of the pictures to learn from: a path a line, or .json; empty: all of the folders")
    balance: Literal["none", "nearest", "maximum", "product"] = option(
        "none", "show rare pictures more often: by the nearest neighbours, or by histograms as published"
    )
    balance_alpha: float = option(0.01, "smoothing of the histograms; large: as good as uniform", low=0)
    balance_until: float = option(0.75, "share of the training after which all are shown alike again", low=0, high=1)


@dataclass(frozen=True)
class Training:
    """How long, how fast, how exact."""

    images: int = option(0, "pictures of each domain to see; 0: 200 times the larger folder", low=0)
    minutes: float = option(0.0, "stop after this time instead; 0: count pictures", low=0)
    batch: int = option(1, "pictures of each domain seen together", low=1, high=4096)
    accumulate: int = option(1, "batches whose gradients are added up before a step", low=1, high=4096)
    learning_rate: float = option(2e-4, "Adam's step", low=0, high=1)
    betas: tuple[float, float] = option((0.5, 0.999), "Adam's averages", low=0, high=1)
    decay: float = option(0.5, "last share of the training in which the step falls to zero in a line", low=0, high=1)
    ema: float = option(
        0.0, "half-life in pictures of the averaged translators, which are what is saved; 0: none", low=0
    )
    init_gain: float = option(0.02, "standard deviation of the first weights", low=0, high=1)
    precision: Literal["auto", "fp32", "bf16"] = option("auto", "auto: bf16 where the device gains by it")
    compile: Literal["auto", "on", "off"] = option("auto", "compile the networks first; auto: on CUDA")


@dataclass(frozen=True)
class Every:
    """How often, in pictures seen."""

    log: int = option(100, "a line of losses", low=1)
    sheet: int = option(5000, "a sheet of held-back pictures, and their score", low=1)
    save: int = option(5000, "everything a resume needs, and the translators", low=1)


@dataclass(frozen=True)
class Experiment:
    """Everything that decides what a training learns."""

    seed: int = option(0, "the same seed gives the same run", low=0, high=2**32 - 1)
    data: Data = field(default_factory=Data)
    codec: Pictures | Voice = field(default_factory=Pictures)
    translator: ResNet | UNet | TwoOneTwo | Autoencoder | R3Generator | DCGANGenerator = field(default_factory=ResNet)
    critic: PatchGAN | GatedPatchGAN | R3Critic | DCGANCritic | NoCritic = field(default_factory=PatchGAN)
    objective: CycleGAN | MaskCycleGAN | Distillation | VAE | GAN = field(default_factory=CycleGAN)
    training: Training = field(default_factory=Training)
    every: Every = field(default_factory=Every)

    @classmethod
    def load(cls, source: str, *, overrides: Sequence[str] = ()) -> "Experiment":
        """Read a preset by name, or a TOML file by path, and lay ``key=value`` overrides on top.

        Raises UsageError for a key, a type, a value or a range that does not fit, InputError for an unreadable file.
        """
        changes = gather(map(nested, overrides))
        return cls.decode(merge(cls.decode(_layers(source)).encode(), changes))

    @classmethod
    def decode(cls, table: Table) -> "Experiment":
        """Build an experiment from nested tables; what is not named keeps its default."""
        value = decode(cls, table, "")
        assert isinstance(value, cls)
        return value

    def encode(self) -> Table:
        """Return the experiment as nested tables of plain values."""
        return dataclasses.asdict(self)

    def replace(self, **overrides: Any) -> "Experiment":
        """Return the experiment with options changed: names with ``__`` for dots, as in ``training__batch=4``."""
        changes = gather(nest(name.split("__"), value) for name, value in overrides.items())
        return self.decode(merge(self.encode(), changes))

    def toml(self) -> str:
        """Return the experiment as TOML, every option with its explanation."""
        return "\n".join(toml_lines(self, "")) + "\n"

    def settled(self, larger_folder: int) -> "Experiment":
        """Return the experiment with every choice that was left open (0) made.

        `larger_folder` is the number of training pictures in the larger folder; the choices are the paper's.
        Raises UsageError when the networks cannot take pictures of the size.
        """
        images = self.training.images or (0 if self.training.minutes else 200 * larger_folder)
        settled = self.replace(training__images=images)
        if isinstance(self.translator, ResNet) and not self.translator.blocks:
            settled = settled.replace(translator__blocks=9 if self.data.size >= 256 else 6)
        if isinstance(self.translator, UNet) and not self.translator.depth:
            twos = (self.data.size & -self.data.size).bit_length() - 1  # how often the size can be halved
            settled = settled.replace(translator__depth=max(2, min(8, twos)))
        settled._check_parts()
        settled._check_size()
        return settled

    @property
    def folders(self) -> int:
        """How many folders it learns from: two that are translated into each other, or one to draw from."""
        return 1 if isinstance(self.objective, VAE | GAN) else 2

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of what networks are trained on: pictures, or coefficients and frames."""
        size = self.data.size
        return (1, self.codec.coefficients, size) if isinstance(self.codec, Voice) else (3, size, size)

    def without_places(self) -> "Experiment":
        """Return the experiment without what only this machine knows: where pictures and a teacher lie."""
        kept = self.replace(data__folders=(), data__only="")
        return kept.replace(objective__teacher="") if isinstance(self.objective, Distillation) else kept

    def _check_parts(self) -> None:
        """Raise UsageError unless codec, translator and critic are of the kinds that the objective plays with."""
        for part, fitting in PARTS[self.objective.name].items():
            name = getattr(self, part).name
            if name not in fitting:
                what = f"{part}.name = {name} does not fit objective.name = {self.objective.name}"
                raise UsageError(what, hint=f"it plays with {' or '.join(fitting)}")

    def _check_size(self) -> None:
        """Raise UsageError unless the networks can take the size; what they need, they say themselves (tested)."""
        size, layers = self.data.size, self.critic.layers if isinstance(self.critic, PatchGAN) else 0
        if isinstance(self.translator, ResNet | TwoOneTwo) and not self.translator.kernel % 2:
            what = f"translator.kernel = {self.translator.kernel} has no middle"
            raise UsageError(what, hint="an odd number: 3, 5 or 7")
        multiple = self._multiple()
        if size % multiple:
            what = f"data.size = {size} does not fit: {self.translator.name} needs a multiple of {multiple}"
            raise UsageError(what, hint=f"for example --size {max(1, round(size / multiple)) * multiple}")
        if layers and size < 3 << layers:
            what = f"data.size = {size} does not fit: {layers} layers of the critic need {3 << layers} pixels"
            raise UsageError(what, hint=f"for example --set critic.layers={layers - 1}, or a larger --size")

        self._check_frames()

    def _check_frames(self) -> None:
        """Raise UsageError unless the networks can take as many coefficients, and as many frames."""
        height, frames = self.codec.coefficients if isinstance(self.codec, Voice) else 4, self.data.size
        if height % 4:
            what = f"codec.coefficients = {height} does not fit: they are halved twice"
            raise UsageError(what, hint=f"for example --set codec.coefficients={height // 4 * 4}")
        if isinstance(self.critic, GatedPatchGAN) and frames <= 1 << self.critic.layers:
            what = f"data.size = {frames} does not fit: {self.critic.layers} layers of the critic need more frames"
            raise UsageError(what, hint=f"for example --set critic.layers={self.critic.layers - 1}, or a larger --size")

    def _multiple(self) -> int:
        """Return what the size must be a multiple of."""
        if isinstance(self.translator, UNet):
            return 1 << self.translator.depth
        if isinstance(self.translator, ResNet | TwoOneTwo):
            return 4
        return 1 << max(0, (self.data.size // 4).bit_length() - 1)  # halved until four to seven pixels are left

    def differences(self, other: "Experiment") -> Iterator[tuple[str, Any, Any]]:
        """Yield (dotted name, value here, value there) for every option in which two experiments differ."""
        here, there = dict(flat(self.encode())), dict(flat(other.encode()))
        for name in sorted(here.keys() | there.keys()):
            if here.get(name) != there.get(name):
                yield name, here.get(name), there.get(name)


PARTS: dict[str, dict[str, tuple[str, ...]]] = {  # what each objective plays with
    "cyclegan": {"codec": ("pictures",), "translator": ("resnet", "unet"), "critic": ("patchgan",)},
    "mask-cyclegan": {"codec": ("voice",), "translator": ("2-1-2d",), "critic": ("gated-patchgan",)},
    "distillation": {"codec": ("pictures",), "translator": ("resnet", "unet"), "critic": ("patchgan",)},
    "vae": {"codec": ("pictures",), "translator": ("autoencoder",), "critic": ("none",)},
    "gan": {
        "codec": ("pictures",),
        "translator": ("r3-generator", "dcgan-generator"),
        "critic": ("r3-critic", "dcgan-critic"),
    },
}


def two_names(names: Sequence[str]) -> tuple[str, str]:
    """Return the names of two domains; raises UsageError unless they are two that can be told apart."""
    if len(set(names)) != 2 or len(names) != 2 or not all(name.strip() for name in names):
        raise UsageError(f"--domains {' '.join(names)}: not two names", hint="for example --domains horses zebras")
    return names[0], names[1]


def presets() -> list[str]:
    """Return the names of the presets that come with the package."""
    folder = resources.files("cyclegan") / "presets"
    return sorted(p.name.removesuffix(".toml") for p in folder.iterdir() if p.name.endswith(".toml"))


def _layers(source: str, *, above: tuple[str, ...] = ()) -> Table:
    """Read a TOML layer and everything it extends, merged; a file extends files beside itself."""
    table = _parse(source)
    below = table.pop("extends", None)
    if below is None:
        return table
    if isinstance(below, str) and below.endswith(".toml"):
        below = str(Path(source).parent / below)
    if not isinstance(below, str) or below in (*above, source):
        raise UsageError(f"{shown(source)}: extends itself, or no name", hint=f"known: {', '.join(presets())}")
    return merge(Experiment.decode(_layers(below, above=(*above, source))).encode(), table)


def _parse(source: str) -> Table:
    if source in presets():
        text = (resources.files("cyclegan") / "presets" / f"{source}.toml").read_text("utf-8")
    elif Path(source).suffix == ".toml":
        try:
            text = read_file(Path(source), most=LARGEST).decode("utf-8", "surrogateescape")  # folders' names are bytes
        except OSError as error:
            what = f"{shown(source)}: cannot be read: {error.strerror}"
            raise InputError(what, hint="name a preset or a TOML file") from None
    else:
        raise UsageError(f"{shown(source)}: there is no such preset", hint=did_you_mean(source, presets()))
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # of a number with thousands of digits, Python itself complains
        what = f"{shown(source)}: not valid TOML: {str(error)[:200]}"
        raise InputError(what, hint="--dry-run prints a valid one") from None
