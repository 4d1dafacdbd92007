"""What a run's log and settings say to do next: a pure function a rule, each of which speaks or is silent."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from cyclegan.experiment import Experiment
from cyclegan.recipes import CycleGAN
from cyclegan.reporting.log import Look
from cyclegan.reporting.runs import Run
from cyclegan.reporting.words import against, counted
from cyclegan.thresholds import LEAST_CHANGE, LEAST_DIVERSITY

LEAST_GAIN = 0.05  # share of the untranslated KID
WON = (0.03, 0.9)  # critics below, translators' term above: least squares
STEEPEST = 10.0  # times the default's R1; with more of it something else is amiss
NARROWEST = 8  # channels of a critic
AUGMENT = 0.3
MANY = 0.001  # share of steps that are skipped
Kind = Literal["good", "note", "warning", "alarm"]


@dataclass(frozen=True)
class Advice:
    """Hold what was found and what to do about it, one sentence each; the gravest kind is "alarm"."""

    kind: Kind
    found: str
    then: str = ""
    anew: bool = False  # another run with a lower rate is the way


def advise(run: Run) -> list[Advice]:
    """Return all that is to be said of a run, the gravest first."""
    order = ("alarm", "warning", "note", "good")
    found = [advice for rule in RULES if (advice := rule(run))]
    return sorted(found, key=lambda advice: order.index(advice.kind))


def diverged(run: Run) -> Advice | None:
    """Speak where a training ended because something failed, or with losses that are not finite."""
    if run.log.failure:
        hint = run.log.hint or "what was saved before is whole"
        found, then = f"The training failed: {run.log.failure}.", f"{hint[:1].upper()}{hint[1:]}."
        return Advice("alarm", found, then, anew="learning_rate" in hint)
    if not run.log.diverged:
        return None
    sound = [step.images for step in run.log.steps if all(map(math.isfinite, step.losses.values()))]
    after = f" after {_many(sound[-1], run)}" if sound else " from the start"
    then = "Begin another run with half the learning rate."
    return Advice("alarm", f"Diverged: the losses are NaN or infinite{after}.", then, anew=True)


def skipped(run: Run) -> Advice | None:
    """Speak of steps that were skipped because a loss or a gradient was not finite."""
    steps = [skipped for step in run.log.steps for skipped in step.skipped]
    if not steps:
        return None
    first, many = steps[0], len(steps) * _batch(run) > MANY * run.images
    last = f", the first at {_many(first.images, run)}, with {first.files}"
    found = f"{counted(len(steps), 'step')} skipped: a loss or a gradient was NaN or infinite{last}."
    exact = f", or {_set('training.precision', 'fp32')}" if run.option("training.precision") == "bf16" else ""
    then = f"Begin another run with half the learning rate{exact}." if many else "Look at these files."
    return Advice("warning" if many else "note", found, then, anew=many)


def alike(run: Run) -> Advice | None:
    """Speak where the two folders cannot be told apart before anything is translated (2 standard errors)."""
    first = run.log.comparable[0] if run.log.looks else None
    known = [(f.get("kid", math.nan), f.get("kid_std", _std(first, name))) for name, f in run.log.untranslated.items()]
    if not known or not all(kid < 2 * std for kid, std in known):
        return None
    held = run.amount("data.held_back")
    more = f"--set data.held_back={2 * held:g}" if held else f"more held-back {run.things}"
    return Advice(
        "alarm",
        f"The folders are alike: untranslated {run.things} are as near to the other folder as chance allows.",
        f"Check that each folder holds what it should; {more} measures finer, where a tenth of a folder is as much.",
    )


def unchanged(run: Run) -> Advice | None:
    """Speak where pictures come out as they went in, or no nearer to the other folder."""
    looks = _looks(run)
    if not looks:
        return None
    least = LEAST_CHANGE["voice" if run.speaks else "pictures"]
    still = [name for name in looks[-1].measure if looks[-1].figure(name, "change") < least.least]
    longer = "Let it go on" if run.progress < 1 else "Train longer"
    if still:
        found = f"Nothing learnt to {_names(still)}: {run.things} change by less than {least}."
        return Advice("warning", found, f"{longer}, or {_freer(run)}.")
    before = _mean(f.get("kid", math.nan) for f in run.log.untranslated.values())
    gains = [abs(look.kid / before - 1) for look in looks if before > 0]
    if len(gains) < 2 or not all(gain <= LEAST_GAIN for gain in gains):
        return None
    found = f"Nothing learnt: KID stayed within {100 * LEAST_GAIN:g} % of untranslated {run.things}'."
    watch = "Listen to the samples" if run.speaks else "Look at the sheets"
    return Advice("warning", found, f"{watch}; {longer.lower()}, or {_freer(run)}.")


def collapsed(run: Run) -> Advice | None:
    """Speak where translated or drawn pictures have become one another's like, and still are."""
    since: dict[str, int] = {}
    for look in _looks(run):
        for name in look.measure:
            if look.figure(name, "diversity") < LEAST_DIVERSITY:
                since.setdefault(name, look.images)
            else:
                since.pop(name, None)
    if not since:
        return None
    at, best = min(since.values()), run.log.best
    made = "samples" if run.draws else f"what is translated to {_names(since)}"
    found = f"Collapsed at {_many(at, run)}: diversity of {made} fell below {LEAST_DIVERSITY:g}."
    kept = "The best weights are from before it. " if best and best.images < at else ""
    ways = _or(["a smaller learning rate", *_augmented(run), f"more {run.things}"])
    return Advice("alarm", found, f"{kept}Begin another run with {ways}.", anew=True)


def critics_won(run: Run) -> Advice | None:
    """Speak where the critics are always right, so that the translators learn nothing from them (least squares)."""
    tail = run.log.steps[-max(1, len(run.log.steps) // 10) :]
    if run.option("objective.adversarial") != "least-squares":
        return None
    for translator, critic in (("G", "D_y"), ("F", "D_x")):
        term, loss = (_mean(step.losses.get(name, math.nan) for step in tail) for name in (translator, critic))
        if loss < WON[0] and term > WON[1]:
            found = (
                f"The critics have won: {critic} loses {loss:.2f} and {translator} learns nothing from it ({term:.2f})."
            )
            ways = _or([*_flatter(run), *_narrower(run), *_augmented(run), f"more {run.things}"])
            return Advice("warning", found, f"In another run try {ways}.")
    return None


def alarms(run: Run) -> Advice | None:
    """Pass on what the training itself warned of at its last look."""
    looks = _looks(run)
    said = looks[-1].alarms if looks else ()
    return Advice("warning", f"The training warns: {'; '.join(said)}.") if said else None


def trend(run: Run) -> Advice | None:
    """Say whether going on is worth it."""
    looks = [look for look in _looks(run) if math.isfinite(look.kid)]
    if not looks:
        return None
    if len(looks) < 3:
        return Advice("note", f"Too early to say: {len(looks)} of at least 3 looks.", "Let it go on.")
    last, lowest = looks[-1], min(reversed(looks), key=lambda look: look.kid)
    if lowest.images > 0.75 * last.images:
        more = "Let it go on." if run.progress < 1 else f"Go further, with more {run.seen}."
        return Advice("good", "Still improving: the lowest KID is among the last quarter of the looks.", more)
    than = f": the last look is {against(last.compared)}" if last.compared else ""
    found = f"KID was lowest at {lowest.images:,} of {_many(last.images, run)}, and has not improved since{than}."
    return Advice("note", found, _after_the_best(run))


def _after_the_best(run: Run) -> str:
    rate, decay = run.amount("training.learning_rate"), run.amount("training.decay")
    if not decay and run.option("training.decay") is not None:
        return f"The learning rate never falls, which helps as a rule: go on with {_set('training.decay', 0.5)}."
    if run.progress < 1 - decay and decay:
        return "The learning rate has not begun to fall, which helps as a rule: let it go on."
    lower = _set("training.learning_rate", rate / 2) if rate else "a lower learning rate"
    return f"Use the best weights; stop, or begin another run with {lower}."


def unseen(run: Run) -> Advice | None:
    """Speak where nothing was measured."""
    if not _looks(run):
        first, wanted = run.amount("every.sheet"), run.amount("training.images")
        at = "at the end" if 0 < wanted < first else f"at {_many(int(first), run)} (every.sheet)"
        then = f"The first one comes {at}." if first else "every.sheet says when the first one comes."
        return Advice("note", f"No look at the held-back {run.things} yet.", then)
    if not any(math.isfinite(look.kid) for look in _looks(run)):
        watch = "Listen to the samples" if run.speaks else "Look at the sheets"
        return Advice("note", "How good it is was not measured.", f"{watch}.")
    return None


RULES: tuple[Callable[[Run], Advice | None], ...] = (
    diverged,
    collapsed,
    alike,
    unchanged,
    critics_won,
    skipped,
    alarms,
    trend,
    unseen,
)


# --- settings that are worth another run, as this one has them


def _freer(run: Run) -> str:
    """Say what holds translations near their originals, as far as it is set."""
    held = [(name, run.amount(f"objective.{name}")) for name in ("cycle", "identity")]
    lower = " ".join(_set(f"objective.{name}", value / 2) for name, value in held if value)
    return f"begin another run with {lower}" if lower else "try another preset"


def _flatter(run: Run) -> list[str]:
    """Return a stronger R1 penalty than the run has, unless it is strong already."""
    usual, own = Experiment.load("default").objective, run.amount("objective.r1")
    assert isinstance(usual, CycleGAN)
    if own >= STEEPEST * usual.r1:
        return []
    return [f"{_set('objective.r1', 2 * own)} (it is {own:g})"] if own else [_set("objective.r1", usual.r1)]


def _narrower(run: Run) -> list[str]:
    """Return a narrower critic than the run has, unless it is narrow already."""
    width = int(run.amount("critic.width"))
    return [f"{_set('critic.width', width // 2)} (it is {width})"] if width >= 2 * NARROWEST else []


def _augmented(run: Run) -> list[str]:
    """Return augmentation, where the objective has it and the run does without."""
    return [_set("objective.augment", AUGMENT)] if run.option("objective.augment") == 0 else []


def _set(name: str, value: float | str) -> str:
    return f"--set {name}={value if isinstance(value, str) else f'{value:g}'}"


def _or(ways: Sequence[str]) -> str:
    return f"{', '.join(ways[:-1])}, or {ways[-1]}" if len(ways) > 1 else ways[0]


# --- what is counted


def _looks(run: Run) -> Sequence[Look]:
    """Return the looks once training had begun, measured as the last one was."""
    return [look for look in run.log.comparable if look.images]


def _batch(run: Run) -> float:
    return (run.amount("training.batch") or 1) * (run.amount("training.accumulate") or 1)


def _std(look: Look | None, domain: str) -> float:
    return look.figure(domain, "kid_std") if look else math.nan


def _mean(values: Iterable[float]) -> float:
    known = list(values)
    return sum(known) / len(known) if known else math.nan


def _names(names: Iterable[str]) -> str:
    return " and ".join(names)


def _many(images: int, run: Run) -> str:
    return f"{images:,} {run.seen}"
