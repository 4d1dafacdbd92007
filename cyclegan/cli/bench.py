"""styl bench: how fast this machine trains and translates, and how near that is to what it could."""

import itertools
import re
from collections.abc import Sequence
from typing import Annotated, Any

from typer import Option

from cyclegan.cli.display import Display
from cyclegan.cli.edge import result
from cyclegan.cli.runs import columns
from cyclegan.errors import UsageError, did_you_mean

Verbs = Annotated[
    list[str] | None, Option("--verb", help="What is timed: train, translate; repeatable.  [default: both]")
]
Size = Annotated[
    list[str] | None, Option(help="Pixels, as 256 or 1280x720; repeatable.  [default: train 128, translate 256]")
]
Batch = Annotated[list[int] | None, Option(min=1, help="Pictures at once; repeatable.  [default: 1]")]
Precision = Annotated[list[str] | None, Option(help="Arithmetic: auto, fp32 or bf16; repeatable.  [default: auto]")]
Device = Annotated[list[str] | None, Option(help="auto, cpu, cuda, cuda:1 or mps; repeatable.  [default: auto]")]
Preset = Annotated[list[str] | None, Option(help="Whose networks, with fresh weights; repeatable.  [default: default]")]
Set = Annotated[list[str] | None, Option("--set", help="Change any option of the preset; repeatable.")]
Model = Annotated[list[str] | None, Option("-m", "--model", help="Time translating with these weights; repeatable.")]
Repeats = Annotated[int, Option(min=1, help="Rounds of every row; what is compared takes turns.")]
Seconds = Annotated[float, Option(min=0, help="Length of a round; it has at least one step.")]
Ours = Annotated[str | None, Option("--command", help="Time this whole command instead; {out} is a fresh folder.")]
Against = Annotated[str | None, Option(help="The command that takes turns with --command.")]
Json = Annotated[bool, Option("--json", help="Print a line of JSON for every row.")]
VERBS, ARITHMETIC = ("train", "translate"), ("auto", "fp32", "bf16")
SIZES = {"train": "128", "translate": "256"}


def bench(
    verb: Verbs = None,
    size: Size = None,
    batch: Batch = None,
    precision: Precision = None,
    device: Device = None,
    preset: Preset = None,
    set_: Set = None,
    model: Model = None,
    repeats: Repeats = 3,
    seconds: Seconds = 2.0,
    command: Ours = None,
    against: Against = None,
    as_json: Json = False,
) -> int:
    """Time training and translating on this machine, or one command against another."""
    if command is not None or against is not None:
        return _duel(command, against, repeats=repeats, as_json=as_json)
    networks: list[dict[str, Any]] = [{"model": name} for name in model or ()]
    if not networks:
        networks = [{"preset": name, "settings": tuple(set_ or ())} for name in preset or ["default"]]
    elif preset or set_ or "train" in (verb or ()):
        raise UsageError("--model: weights are translated with, and have no preset", hint="leave out one of them")
    for option, given, known in (("verb", verb, VERBS), ("precision", precision, ARITHMETIC)):
        for word in given or ():
            if word not in known:
                raise UsageError(f"--{option} {word}: not known", hint=did_you_mean(word, known))
    verbs: Sequence[str] = verb or (["translate"] if model else ["train", "translate"])
    rows = [
        {"verb": one, "size": _pixels(side), "batch": many, "precision": exact, "device": where, **which}
        for one in dict.fromkeys(verbs)
        for side, many, exact, where, which in itertools.product(
            size or [SIZES[one]], batch or [1], precision or ["auto"], device or ["auto"], networks
        )
    ]
    return _rows(rows, repeats=repeats, seconds=seconds, as_json=as_json)


def _pixels(size: str) -> tuple[int, int]:
    """Return width and height."""
    found = re.fullmatch(r"([1-9]\d{0,4})(?:[x×]([1-9]\d{0,4}))?", size)
    if not found:
        raise UsageError(f"--size {size}: not a size in pixels", hint="256, or 1280x720")
    return int(found[1]), int(found[2] or found[1])


def _rows(rows: list[dict[str, Any]], *, repeats: int, seconds: float, as_json: bool) -> int:
    from cyclegan.bench.cases import Case, prepare
    from cyclegan.bench.rows import HEAD, cells, ground, row
    from cyclegan.bench.timing import alternate, floors, groups
    from cyclegan.devices import choose_device

    cases = [Case(**{**one, "device": choose_device(one["device"])}) for one in rows]
    for case in cases:
        case.check()
    table, failed, done = list[tuple[str, ...]]([HEAD]), False, itertools.count(1)
    with Display() as display:
        display.note("measuring what this machine can do …")
        known = dict(floors(sorted({case.device for case in cases}), seconds=min(seconds, 0.3)))
        for device, floor in known.items():
            display.note(ground(device, floor))

        def tell() -> None:
            display.count(next(done), repeats * len(cases))

        for group in groups(cases):
            for timing in alternate(group, prepare=prepare, repeats=repeats, seconds=seconds, tell=tell):
                found = row(timing, known[timing.case.device])
                failed |= "error" in found
                table.append(cells(found))
                if as_json:
                    result("", summary=found, as_json=True)
    if not as_json:
        result(columns(table), summary={}, as_json=False)
    return 1 if failed else 0


def _duel(ours: str | None, theirs: str | None, *, repeats: int, as_json: bool) -> int:
    from cyclegan.bench.commands import duel

    if ours is None or theirs is None:
        missing = "--command" if ours is None else "--against"
        raise UsageError(f"{missing} is missing: two commands take turns", hint="name both, --command and --against")
    done = itertools.count(1)
    with Display() as display:
        found = duel(ours, theirs, repeats=repeats, tell=lambda: display.count(next(done), 2 * repeats))
    from cyclegan.bench.rows import spoken  # now: what this process takes must not count as the commands'

    lines: list[tuple[str, ...]] = [("command", "median", "from", "to", "memory")]
    for one in (found, found["against"]):
        rounds, peak = one["seconds_of_rounds"], one["peak_memory_mib"]
        times = [spoken(value) for value in (one["seconds"], min(rounds), max(rounds))]
        lines.append((one["command"], *times, f"{peak:,} MiB" if peak else ""))
    words = f"{columns(lines)}\nthe second takes {found['ratio']:.2f} times as long as the first"
    result(words, summary=found, as_json=as_json)
    return 0
