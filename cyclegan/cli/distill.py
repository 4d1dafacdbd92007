"""styl distill: a translator and its two folders in, a small student of it out."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from cyclegan.cli.edge import result, say
from cyclegan.cli.train import (
    FLAGS,
    Batch,
    Changed,
    Device,
    DryRun,
    Features,
    How,
    Images,
    Json,
    Minutes,
    Precision,
    Seed,
    Set,
    Size,
    Strict,
    TensorBoard,
    Workers,
    carry_out,
    count,
    describe,
)
from cyclegan.errors import UsageError, shown
from cyclegan.experiment import Experiment
from cyclegan.files import plain
from cyclegan.reporting.log import read_log

if TYPE_CHECKING:
    from cyclegan.training.student import Apprentice

Model = Annotated[str, Argument(help="The teacher: a name, a weights file or a run folder.")]
SourceFolder = Annotated[Path, Argument(help="Pictures such as the teacher translates.")]
TargetFolder = Annotated[Path, Argument(help="Pictures of what it translates them to.")]
To = Annotated[str | None, Option(help="The domain to translate to.  [default: the teacher's first way]")]
Macs = Annotated[str | None, Option(help="How many times fewer multiply-adds than the teacher has.  [default: 20x]")]
Output = Annotated[Path | None, Option("-o", "--output", help="The run folder.  [default: runs/SOURCE-to-TARGET-20x]")]
Preset = Annotated[str, Option(help="A recipe by name, or a TOML file such as a run's experiment.toml.")]
FEWER = 20.0


def distill(
    model: Model,
    source: SourceFolder,
    target: TargetFolder,
    to: To = None,
    macs: Macs = None,
    output: Output = None,
    preset: Preset = "distill",
    set_: Set = None,
    size: Size = None,
    batch: Batch = None,
    images: Images = None,
    minutes: Minutes = None,
    precision: Precision = None,
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
    """Teach a small, fast student what a translator does. The same command again continues."""
    flags = zip(FLAGS, (size, batch, images, minutes, precision, seed), strict=True)
    overrides = [*(set_ or []), *(f"{name}={value}" for name, value in flags if value is not None)]
    fewer, counts = _fewer(macs, overrides), count((source, target))
    learnt = _apprentice(model, preset, overrides, to=to, fewer=fewer)
    experiment = learnt.experiment.replace(data__folders=tuple(str(f.resolve()) for f in (source, target)))
    if dry_run:
        return describe(experiment, larger_folder=max(counts), device=device, as_json=as_json)
    here, there = experiment.data.domains
    directory = output or Path("runs") / f"{plain(here)}-to-{plain(there)}-{f'{fewer:g}x' if fewer else 'student'}"
    say(f"{here}: {counts[0]} pictures, {there}: {counts[1]} pictures, into {shown(directory)}; {learnt}")
    ended = carry_out(experiment, directory, How(device, workers, features, tensorboard, strict, allow_changed_data))
    line, figures = _beside(directory, there)
    macs_of = {"teacher_multiply_adds": learnt.teacher, "student_multiply_adds": learnt.student}
    result("\n".join([ended.line, *line, str(learnt)]), summary=ended.summary | figures | macs_of, as_json=as_json)
    return ended.code


def _apprentice(model: str, preset: str, overrides: list[str], *, to: str | None, fewer: float) -> "Apprentice":
    """Return the distillation that is asked for, with pictures such as the teacher learnt from where none are named."""
    Experiment.load(preset, overrides=overrides)  # a misspelt option is answered before any weights are read

    from cyclegan.training.student import apprentice, familiar

    usual = [] if preset.endswith(".toml") else familiar(model)
    return apprentice(Experiment.load(preset, overrides=[*usual, *overrides]), model, to=to, fewer=fewer)


def _fewer(macs: str | None, overrides: list[str]) -> float:
    """Return how many times fewer multiply-adds are asked for, 0.0 where a width is asked for instead."""
    chosen = any(override.partition("=")[0].strip() == "translator.width" for override in overrides)
    if chosen and macs:
        raise UsageError("--macs and translator.width: each decides the width", hint="leave one of them out")
    if macs is None:
        return 0.0 if chosen else FEWER
    try:
        fewer = float(macs.strip().rstrip("x×"))
    except ValueError:
        fewer = math.nan
    if not 1 <= fewer < math.inf:
        raise UsageError(f"--macs {macs}: not a number of times", hint="for example --macs 20x")
    return fewer


def _beside(directory: Path, domain: str) -> tuple[list[str], dict[str, float]]:
    """Return the teacher's KID beside the best student's, on the same held-back pictures."""
    log = read_log(directory / "log.jsonl")
    teacher = log.teacher.get(domain, {}).get("kid", math.nan)
    student = log.best.figure(domain, "kid") if log.best else math.nan
    if not (math.isfinite(teacher) and math.isfinite(student)):
        return [], {}
    share = f", {student / teacher:.2f} of it" if teacher > 0 else ""
    line = (
        f"KID × 1000 to {domain}, held-back pictures: teacher {1000 * teacher:.1f}, student {1000 * student:.1f}{share}"
    )
    return [line], {"teacher_kid": teacher, "student_kid": student}
