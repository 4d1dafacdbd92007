"""What a log says to do next: a pure function a rule, each of which speaks or is silent."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from cyclegan.reporting.log import Log, Look

LEAST_CHANGE = 2.0  # levels of 255
LEAST_MOVED = 1.0  # decibels of mel-cepstral distance: between recordings of two speakers there are 6 and more
LEAST_GAIN = 0.05  # share of the untranslated KID
LEAST_DIVERSITY = 0.25
WON = (0.03, 0.9)  # critics below, translators' term above: least squares
Kind = Literal["good", "note", "warning", "alarm"]


@dataclass(frozen=True)
class Advice:
    """Hold what was found and what to do about it, one sentence each; the gravest kind is "alarm"."""

    kind: Kind
    found: str
    then: str = ""
    anew: bool = False  # another run with a lower rate is the way


@dataclass(frozen=True)
class Story:
    """Hold a log with what must be known to judge it: how far the training is, when its rate falls, its loss."""

    log: Log
    progress: float = math.nan
    decay: float = 0.0
    adversarial: str = "least-squares"
    speaks: bool = False

    @property
    def things(self) -> str:
        """What is translated."""
        return "recordings" if self.speaks else "pictures"

    @property
    def seen(self) -> str:
        """What is counted while training."""
        return "pieces" if self.speaks else "pictures"

    @property
    def looks(self) -> Sequence[Look]:
        """The looks once training had begun."""
        return [look for look in self.log.looks if look.images]


def advise(story: Story) -> list[Advice]:
    """Return all that is to be said of a run, the gravest first."""
    order = ("alarm", "warning", "note", "good")
    found = [advice for rule in RULES if (advice := rule(story))]
    return sorted(found, key=lambda advice: order.index(advice.kind))


def diverged(story: Story) -> Advice | None:
    """Speak where losses are no numbers any more."""
    if story.log.failure:
        return Advice("alarm", f"The training failed: {story.log.failure}.", "What was saved before is whole.")
    if not story.log.diverged:
        return None
    sound = [step.images for step in story.log.steps if all(map(math.isfinite, step.losses.values()))]
    after = f" after {_many(sound[-1], story)}" if sound else " from the start"
    then = "Begin another run with half the learning rate."
    return Advice("alarm", f"Diverged: the losses are no numbers{after}.", then, anew=True)


def alike(story: Story) -> Advice | None:
    """Speak where the two folders cannot be told apart before anything is translated (2 standard errors)."""
    first = story.log.looks[0] if story.log.looks else None
    known = [
        (f.get("kid", math.nan), f.get("kid_std", _std(first, name))) for name, f in story.log.untranslated.items()
    ]
    if not known or not all(kid < 2 * std for kid, std in known):
        return None
    return Advice(
        "alarm",
        f"The folders are alike: untranslated {story.things} are as near to the other folder as chance allows.",
        f"Check that each folder holds what it should; more held-back {story.things} measure finer.",
    )


def unchanged(story: Story) -> Advice | None:
    """Speak where pictures come out as they went in, or no nearer to the other folder."""
    if not story.looks:
        return None
    last = story.looks[-1]
    least, unit = (LEAST_MOVED, "dB") if story.speaks else (LEAST_CHANGE, "levels of 255")
    still = [name for name in last.measure if last.figure(name, "change") < least]
    if still:
        found = f"Nothing learnt to {_names(still)}: {story.things} change by less than {least:g} {unit}."
        return Advice("warning", found, "Train longer, or lower objective.cycle and objective.identity.")
    before = _mean(f.get("kid", math.nan) for f in story.log.untranslated.values())
    gains = [abs(look.kid / before - 1) for look in story.looks if before > 0]
    if len(gains) < 2 or not all(gain <= LEAST_GAIN for gain in gains):
        return None
    found = f"Nothing learnt: KID stayed within {LEAST_GAIN:.0%} of untranslated {story.things}'."
    return Advice("warning", found.replace("%", " %"), f"{_look(story)}; train longer, or try another preset.")


def collapsed(story: Story) -> Advice | None:
    """Speak where translated or drawn pictures have become one another's like, and still are."""
    since: dict[str, int] = {}
    for look in story.looks:
        for name in look.measure:
            if look.figure(name, "diversity") < LEAST_DIVERSITY:
                since.setdefault(name, look.images)
            else:
                since.pop(name, None)
    if not since:
        return None
    at, best = min(since.values()), story.log.best
    drawn = any("copies" in figures for figures in story.looks[-1].measure.values())
    made = "samples" if drawn else f"what is translated to {_names(since)}"
    found = f"Collapsed at {_many(at, story)}: diversity of {made} fell below {LEAST_DIVERSITY:g}."
    kept = "The best weights are from before it. " if best and best.images < at else ""
    return Advice(
        "alarm", found, f"{kept}Begin another run with a smaller learning rate, or with more {story.things}.", anew=True
    )


def critics_won(story: Story) -> Advice | None:
    """Speak where the critics are always right, so that the translators learn nothing from them (least squares)."""
    tail = story.log.steps[-max(1, len(story.log.steps) // 10) :]
    if story.adversarial != "least-squares":
        return None
    for translator, critic in (("G", "D_y"), ("F", "D_x")):
        term, loss = (_mean(step.losses.get(name, math.nan) for step in tail) for name in (translator, critic))
        if loss < WON[0] and term > WON[1]:
            found = (
                f"The critics have won: {critic} loses {loss:.2f} and {translator} learns nothing from it ({term:.2f})."
            )
            return Advice("warning", found, f"Try --set objective.r1=6, a narrower critic, or more {story.things}.")
    return None


def alarms(story: Story) -> Advice | None:
    """Pass on what the training itself warned of at its last look."""
    said = story.looks[-1].alarms if story.looks else ()
    return Advice("warning", f"The training warns: {'; '.join(said)}.") if said else None


def trend(story: Story) -> Advice | None:
    """Say whether going on is worth it."""
    best, looks = story.log.best, [look for look in story.looks if math.isfinite(look.kid)]
    if best is None:
        return None
    if len(looks) < 3:
        return Advice("note", f"Too early to say: {len(looks)} of at least 3 looks.", "Let it go on.")
    last = looks[-1].images
    if best.images > 0.75 * last:
        more = "Let it go on." if story.progress < 1 else f"Go further, with more {story.seen}."
        return Advice("good", "Still improving: the best look is among the last quarter.", more)
    found = f"The best was at {best.images:,} of {_many(last, story)}; it has not improved since."
    if story.progress < 1 - story.decay and story.decay > 0:
        return Advice("note", found, "The learning rate has not begun to fall, which helps as a rule: let it go on.")
    return Advice("note", found, "Use the best weights; stop, or begin another run with a lower rate.")


def unseen(story: Story) -> Advice | None:
    """Speak where nothing was measured."""
    if not story.looks:
        return Advice(
            "note", f"No look at the held-back {story.things} yet.", "every.sheet says when the first one comes."
        )
    if not any(math.isfinite(look.kid) for look in story.looks):
        return Advice("note", "How good it is was not measured.", f"{_look(story)}.")
    return None


RULES: tuple[Callable[[Story], Advice | None], ...] = (
    diverged,
    collapsed,
    alike,
    unchanged,
    critics_won,
    alarms,
    trend,
    unseen,
)


def _std(look: Look | None, domain: str) -> float:
    return look.figure(domain, "kid_std") if look else math.nan


def _mean(values: Iterable[float]) -> float:
    known = list(values)
    return sum(known) / len(known) if known else math.nan


def _names(names: Iterable[str]) -> str:
    return " and ".join(names)


def _look(story: Story) -> str:
    return "Listen to the samples" if story.speaks else "Look at the sheets"


def _many(images: int, story: Story) -> str:
    return f"{images:,} {story.seen}"
