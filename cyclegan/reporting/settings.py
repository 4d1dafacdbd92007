"""The settings of a run, as far as they are not its preset's, and the files that hold all of them."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from cyclegan.experiment import Experiment, presets
from cyclegan.reporting.page import Block, Fold, Table, Text
from cyclegan.reporting.runs import Run, read_text
from cyclegan.reporting.words import printable
from cyclegan.tables import flat


def settings(run: Run, environment: Mapping[str, Any]) -> Iterator[Block]:
    """Yield what differs from the preset, then the whole files."""
    text = read_text(run.directory / "experiment.toml")
    preset = _preset(run, environment)
    usual = dict(flat(Experiment.load(preset).encode()))
    told = dict(_explanations(text))
    rows = [
        [printable(name), _value(value), _value(usual.get(name)), told.get(name, "")]
        for name, value in flat(dict(run.experiment))
        if _value(value) != _value(usual.get(name))
    ]
    if rows:
        yield Table(["option", "this run", f"preset {preset}", "what it is"], rows)
    if text:
        yield Fold("The whole experiment.toml", [Text(text)])
    if environment:
        whole = Text(read_text(run.directory / "environment.json"))
        yield Fold("The environment: command, versions, device", [whole])


def _preset(run: Run, environment: Mapping[str, Any]) -> str:
    """Return the preset that the command named, else the one from which a run differs least."""
    words = environment.get("command")
    named = re.search(r"--preset[ =](\S+)", " ".join(map(str, words if isinstance(words, list) else [])))
    if named and named[1] in presets():
        return named[1]
    own = {name: _value(value) for name, value in flat(dict(run.experiment))}
    usual = {preset: dict(flat(Experiment.load(preset).encode())) for preset in presets()}
    return min(usual, key=lambda preset: sum(own.get(n) != _value(v) for n, v in usual[preset].items()))


def _explanations(toml: str) -> Iterator[tuple[str, str]]:
    section = ""
    for line in toml.splitlines():
        if line.startswith("["):
            section = f"{line.strip('[] ')}."
        elif " = " in line:
            setting, _, explained = line.rpartition("  # ")
            yield section + setting.partition(" = ")[0], explained


def _value(value: Any) -> str:
    """Return a plain value as a person writes it; long lists are cut."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        more = f" and {len(value) - 8:,} more" if len(value) > 8 else ""
        return ", ".join(map(_value, value[:8])) + more
    if isinstance(value, dict):
        return ", ".join(f"{printable(str(name))}: {_value(item)}" for name, item in value.items())
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None else printable(str(value))
