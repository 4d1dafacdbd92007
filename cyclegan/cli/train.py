"""styl train: two folders in, a translator out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from typer import Argument, Option

from cyclegan.cli.display import Display
from cyclegan.cli.edge import result, say
from cyclegan.errors import InputError, UsageError, shown
from cyclegan.experiment import Experiment, two_names
from cyclegan.files import plain
from cyclegan.media.folder import hold_sound, no_pictures, pictures
from cyclegan.media.kinds import HEARD_SUFFIXES, PICTURE_SUFFIXES
from cyclegan.recipes import Voice

Folders = Annotated[
    list[Path] | None,
    Argument(help="Two folders of pictures or of recordings; one for the presets vae, autoencoder and gan."),
]
Output = Annotated[
    Path | None, Option("-o", "--output", help="The run folder.  [default: runs/FIRST-SECOND, or runs/FOLDER-vae]")
]
Preset = Annotated[
    str | None,
    Option(
        help="A recipe by name, or a TOML file such as a run's experiment.toml.  "
        "[default: default; of recordings voice-tiny, or voice on a GPU]"
    ),
]
Set = Annotated[list[str] | None, Option("--set", help="Change any option, as in training.batch=4; repeatable.")]
Domains = Annotated[tuple[str, str] | None, Option(help="Names for the two domains.  [default: the folders' names]")]
Size = Annotated[int | None, Option(help="Pixels of the square that is trained on.")]
Batch = Annotated[int | None, Option(help="Pictures of each domain seen together.")]
Images = Annotated[int | None, Option(help="Pictures of each domain to see in all.")]
Minutes = Annotated[float | None, Option(help="Train for so long instead of counting pictures.")]
Only = Annotated[
    Path | None, Option(help="Learn only from the pictures that a file lists, as styl inspect --write-list writes it.")
]
Balance = Annotated[bool, Option("--balance", help="Show rare pictures more often, and what does not belong less.")]
Precision = Annotated[Literal["auto", "fp32", "bf16"] | None, Option(help="Arithmetic of the networks.")]
Seed = Annotated[int | None, Option(help="The same seed gives the same run.")]
Device = Annotated[str, Option(help="auto, cpu, cuda, cuda:1 or mps.")]
Workers = Annotated[int | None, Option(min=0, help="Processes that read pictures.  [default: cores - 1, at most 4]")]
Features = Annotated[str, Option(help="What pictures are measured by: own, inception, or a network's weights file.")]
TensorBoard = Annotated[bool, Option("--tensorboard", help="Also write TensorBoard logs.")]
Strict = Annotated[bool, Option("--strict", help="Refuse folders with files that cannot be read.")]
Changed = Annotated[bool, Option("--allow-changed-data", help="Go on although the pictures are not the same any more.")]
DryRun = Annotated[bool, Option("--dry-run", help="Print the resolved experiment and its networks; train nothing.")]
Json = Annotated[bool, Option("--json", help="Print a summary for programs.")]


FLAGS = ("data.size", "training.batch", "training.images", "training.minutes", "training.precision", "seed")


def train(
    folders: Folders = None,
    output: Output = None,
    preset: Preset = None,
    set_: Set = None,
    domains: Domains = None,
    size: Size = None,
    batch: Batch = None,
    images: Images = None,
    minutes: Minutes = None,
    precision: Precision = None,
    only: Only = None,
    balance: Balance = False,
    seed: Seed = None,
    device: Device = "auto",
    workers: Workers = None,
    features: Features = "auto",
    tensorboard: TensorBoard = False,
    strict: Strict = False,
    allow_changed_data: Changed = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> int:
    """Learn to translate between two unpaired folders, or to draw what is in one. The same command again continues."""
    flags: list[tuple[str, Any]] = [*zip(FLAGS, (size, batch, images, minutes, precision, seed), strict=True)]
    flags += [("data.only", only and only.resolve()), *([("data.balance", "nearest")] if balance else [])]
    overrides = [*(set_ or []), *(f"{name}={value}" for name, value in flags if value is not None)]
    experiment = Experiment.load(preset or _usual(folders or (), device=device), overrides=overrides)
    given = tuple(folders or map(Path, experiment.data.folders))
    if dry_run and not given:
        return describe(experiment, larger_folder=1, device=device, as_json=as_json)
    counts = count(given, needed=experiment.folders, preset=preset or "", voices=isinstance(experiment.codec, Voice))
    experiment = _of(experiment, given, domains or (experiment.data.domains if not folders else ()))
    if dry_run:
        return describe(experiment, larger_folder=max(counts), device=device, as_json=as_json)
    directory = output or _place(experiment)
    say(f"{_counted(experiment, counts)}, into {shown(directory)}")
    ended = carry_out(experiment, directory, How(device, workers, features, tensorboard, strict, allow_changed_data))
    result(ended.line, summary=ended.summary, as_json=as_json)
    return ended.code


def _of(experiment: Experiment, folders: tuple[Path, ...], wanted: tuple[str, ...]) -> Experiment:
    """Return an experiment on these folders, with the names that are wanted, or theirs."""
    one = len(folders) == 1 and len(wanted) != 2
    names = wanted or names_of(folders)
    places = tuple(str(folder.resolve()) for folder in folders)
    return experiment.replace(data__folders=places, data__domains=names if one else two_names(names))


def _usual(folders: Sequence[Path], *, device: str) -> str:
    """Return the preset that suits what is in the folders, where nobody names one."""
    if not folders or not hold_sound(folders):
        return "default"
    from cyclegan.devices import choose_device

    return "voice-tiny" if choose_device(device) == "cpu" else "voice"


def _counted(experiment: Experiment, counts: list[int]) -> str:
    things = "recordings" if isinstance(experiment.codec, Voice) else "pictures"
    named = zip(experiment.data.domains, counts, strict=True)
    return ", ".join(f"{name}: {number} {things}" for name, number in named)


def _place(experiment: Experiment) -> Path:
    """Return where a run goes that nobody named a folder for."""
    kind = () if experiment.folders == 2 else (experiment.objective.name,)
    return Path("runs") / "-".join(map(plain, (*experiment.data.domains, *kind)))


class How(NamedTuple):
    """How a training is carried out, as far as it does not decide what is learnt."""

    device: str
    workers: int | None
    features: str
    tensorboard: bool
    strict: bool
    changed_data: bool


class Ended(NamedTuple):
    """How a training ended: the exit code, and what is said of it to people and to programs."""

    code: int
    line: str
    summary: dict[str, Any]


def carry_out(experiment: Experiment, directory: Path, how: How) -> Ended:
    """Train in a run folder with progress for people."""
    from cyclegan.training import run

    with Display() as display:
        outcome = run.train(
            experiment,
            directory,
            device=how.device,
            workers=how.workers,
            features=how.features,
            tensorboard=how.tensorboard,
            strict=how.strict,
            changed_data=how.changed_data,
            tell=display.show,
        )
    for note in outcome.notes:
        say(f"note: {note}")
    for complaint in outcome.damaged:
        say(f"skipped: {complaint}")
    at = f"{outcome.images:,} images"
    if outcome.already:
        line = f"{shown(directory)}: already finished at {at}; --images goes further, -o begins another"
    elif outcome.signal:
        line = f"{shown(directory)}: saved at {at}; the same command goes on"
    else:
        thing = "RECORDING" if isinstance(experiment.codec, Voice) else "PICTURE"
        verb = f"styl translate {thing} -m" if experiment.folders == 2 else "styl sample"
        line = f"{shown(directory)}: finished at {at}; try: {verb} {shown(directory)}"
    summary = {"run": str(directory), "images": outcome.images, "finished": not outcome.signal}
    summary |= {"already_finished": outcome.already, "skipped": list(outcome.damaged)}
    summary |= {"passed_over": dict(outcome.passed_over)}
    return Ended(128 + outcome.signal if outcome.signal else 0, line, summary)


def count(folders: tuple[Path, ...], *, needed: int = 2, preset: str = "", voices: bool = False) -> list[int]:
    """Return how many pictures, or recordings, each of so many folders has, or say what is wrong with them."""
    if len(folders) != needed:
        what = f"{('one folder is', 'two folders are')[needed - 1]} needed, {len(folders)} given"
        example = "styl train horses/ zebras/" if needed == 2 else f"styl train horses/ --preset {preset}"
        draws = "; --preset vae or gan learn from one" if len(folders) == 1 else ""
        raise UsageError(what, hint=f"for example: {example}{draws}")
    suffixes = HEARD_SUFFIXES if voices else PICTURE_SUFFIXES
    sound, counts = hold_sound(folders), [len(pictures(folder, suffixes=suffixes)) for folder in folders]
    if sound != voices and not any(counts):
        found, wanted = ("pictures", "recordings") if voices else ("recordings", "pictures")
        what = f"{shown(folders[0])}: holds {found}, and the preset is for {wanted}"
        raise UsageError(what, hint="leave --preset out, or choose default, voice or voice-tiny")
    for folder, number in zip(folders, counts, strict=True):
        if not number:
            raise no_pictures(folder, suffixes=suffixes)
    if needed == 2:
        _apart(folders)
    return counts


def _apart(folders: tuple[Path, ...]) -> None:
    first, second = (folder.resolve() for folder in folders)
    if first == second:
        raise InputError(f"{shown(folders[0])}: given twice", hint="name two different folders")
    if first.is_relative_to(second) or second.is_relative_to(first):
        raise InputError(f"{shown(folders[0])} and {shown(folders[1])}: one lies in the other", hint="move one out")


def names_of(folders: tuple[Path, ...]) -> tuple[str, ...]:
    """Name the domains after their folders; folders of one name are told apart by what is above them."""
    first, second = (folder.resolve() for folder in (folders[0], folders[-1]))
    if len(folders) == 1:
        return (shown(first.name),)
    depth = 1
    while first.parts[-depth] == second.parts[-depth]:
        depth += 1
    return shown(first.parts[-depth]), shown(second.parts[-depth])


def describe(experiment: Experiment, *, larger_folder: int, device: str, as_json: bool) -> int:
    """Print a resolved experiment and its networks."""
    from cyclegan.devices import choose_device
    from cyclegan.training.run import settle
    from cyclegan.training.summary import network_rows

    settled = settle(experiment, larger_folder=larger_folder, device=choose_device(device))
    rows = network_rows(settled)
    table = [f"# {r['network']}: {r['kind']}, {r['parameters']:,} parameters, {r['output']}" for r in rows]
    summary: dict[str, Any] = {"experiment": settled.encode(), "networks": rows}
    result("\n".join([settled.toml(), *table]), summary=summary, as_json=as_json)
    return 0
