"""Which runs there are and how each of them fares: told from names, sizes and text, weights are never opened."""

import contextlib
import json
import math
import os
import re
import time
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cyclegan.errors import InputError, shown
from cyclegan.locks import held
from cyclegan.reading import read_file
from cyclegan.reporting.log import Log, number, read_log
from cyclegan.reporting.words import printable

State = Literal["training", "finished", "stopped", "failed", "diverged", "damaged"]
Table = Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """Hold what a run's folder says; `experiment` is its settings as plain tables, empty where they are damaged."""

    directory: Path
    state: State
    experiment: Table
    log: Log
    saved: int | None  # pictures seen at the newest state, None without any
    updated: float  # seconds since 1970

    @property
    def domains(self) -> tuple[str, ...]:
        """The names of the domains, else those that were measured."""
        named = self.option("data.domains")
        names = tuple(map(str, named)) if isinstance(named, list) else ()
        return names if len(names) in (1, 2) else self.log.domains

    @property
    def draws(self) -> bool:
        """Whether it learnt to draw what is in one folder; else it translates between two."""
        return len(self.domains) == 1

    @property
    def speaks(self) -> bool:
        """Whether voices were learnt; else pictures."""
        return bool(self.option("codec.name") == "voice")

    @property
    def things(self) -> str:
        """What it was trained on: pictures, or recordings."""
        return "recordings" if self.speaks else "pictures"

    @property
    def seen(self) -> str:
        """What is counted while it trains: pictures, or pieces of recordings."""
        return "pieces" if self.speaks else "pictures"

    @property
    def images(self) -> int:
        """Pictures seen of each domain."""
        return max(self.log.images, self.saved or 0)

    @property
    def progress(self) -> float:
        """The share of the budget that is used, 0 to 1; NaN where no budget is known."""
        return _progress(self.experiment, self.images, self.log.seconds)

    def option(self, name: str) -> Any:
        """Return a setting by its dotted name, None where there is none."""
        return _option(self.experiment, name)

    def amount(self, name: str) -> float:
        """Return a setting that is a number above 0, else 0.0."""
        value = number(self.option(name))
        return value if 0 < value < math.inf else 0.0

    def encode(self) -> dict[str, Any]:
        """Return what `styl runs` tells, as plain values for programs; KID is raw, times are in seconds."""
        best, wanted, minutes = self.log.best, *map(self.amount, ("training.images", "training.minutes"))
        return {
            "run": shown(self.directory),
            "domains": list(map(printable, self.domains)),
            "state": self.state,
            "best_kid": best.kid if best else None,
            "best_at": best.images if best else None,
            "images": self.images,
            "images_wanted": int(wanted) if wanted and not minutes else None,
            "minutes_wanted": minutes or None,
            "seconds": round(self.log.seconds, 3),
            "age": round(max(0.0, time.time() - self.updated), 1),
        }


def list_runs(root: Path) -> list[Run]:
    """Return the runs in a folder, the newest first; a run's own folder is the one run in it. Raise InputError."""
    try:
        found = [root] if _is_run(root) else [path for path in root.iterdir() if _is_run(path)]
    except OSError as error:
        what = f"{shown(root)}: cannot be read: {error.strerror}"
        raise InputError(what, hint="name a folder of runs, such as runs") from None
    return sorted((_read(path, skim=True) for path in found), key=lambda run: run.updated, reverse=True)


def read_run(directory: Path) -> Run:
    """Read a run with its whole log; raise InputError where the folder is none."""
    if not _is_run(directory):
        what = f"{shown(directory)}: no run in it"
        raise InputError(what, hint="name a run folder that styl train made; styl runs lists them")
    return _read(directory, skim=False)


def read_json(path: Path) -> dict[str, Any]:
    """Return a file's table, empty where it is missing or damaged."""
    try:
        table = json.loads(read_file(path))
    except (OSError, ValueError, RecursionError):
        return {}
    return table if isinstance(table, dict) else {}


def read_text(path: Path) -> str:
    """Return a file's text, empty where it cannot be read; bytes that are none are written out."""
    try:
        return read_file(path).decode("utf-8", "backslashreplace")
    except OSError:
        return ""


def _is_run(folder: Path) -> bool:
    return any(os.path.isfile(folder / name) for name in ("experiment.toml", "log.jsonl"))  # noqa: PTH113 - never raises


def _read(directory: Path, *, skim: bool) -> Run:
    experiment = _experiment(directory / "experiment.toml")
    readable = True
    try:
        log = read_log(directory / "log.jsonl", skim=skim)
    except OSError:
        log, readable = Log(), False
    saved = max(_states(directory), default=None)
    state: State = "training" if held(directory) else _rest(experiment, log, saved)
    if state != "training" and not (readable and experiment):
        state = "damaged"
    return Run(directory, state, experiment, log, saved, _updated(directory))


def _rest(experiment: Table, log: Log, saved: int | None) -> State:
    """Tell how a run ended that nobody is working on."""
    if log.failure:
        return "failed"
    if log.diverged:
        return "diverged"
    return "finished" if saved and _progress(experiment, saved, log.seconds) >= 1 else "stopped"


def _progress(experiment: Table, images: int, seconds: float) -> float:
    minutes, wanted = (number(_option(experiment, f"training.{name}")) for name in ("minutes", "images"))
    if minutes > 0:
        return min(1.0, seconds / (60 * minutes))
    return min(1.0, images / wanted) if wanted > 0 else math.nan


def _option(table: Any, name: str) -> Any:
    for key in name.split("."):
        table = table.get(key) if isinstance(table, Mapping) else None
    return table


def _experiment(path: Path) -> Table:
    try:
        return tomllib.loads(read_file(path).decode("utf-8", "surrogateescape"))
    except (OSError, ValueError, RecursionError):
        return {}


def _states(directory: Path) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for path in (directory / "state").glob("*.safetensors"):
            if re.fullmatch(r"[0-9]{1,15}", path.stem):
                yield int(path.stem)


def _updated(directory: Path) -> float:
    for name in ("log.jsonl", "experiment.toml", ""):
        with contextlib.suppress(OSError):
            return (directory / name).stat().st_mtime
    return 0.0
