"""Frozen dataclasses as nested tables and as TOML: merged, changed by ``key=value``, checked, explained."""

import dataclasses
import json
import math
import tomllib
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from cyclegan.errors import UsageError, did_you_mean

Table = dict[str, Any]


class Typed(str):
    """A value as typed after ``key=``: its type is decided by the option it is for."""


def option(default: Any, explained: str, *, low: float = float("-inf"), high: float = float("inf")) -> Any:
    """Declare an option with its default, one line of explanation and its inclusive range."""
    return field(default=default, metadata={"explained": explained, "low": low, "high": high})


def merge(below: Table, above: Table) -> Table:
    """Lay one table over another; a table of another `name` replaces the whole table, as its options differ."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict) and value.get("name", old.get("name")) == old.get("name"):
            merged[key] = merge(old, value)
        else:
            merged[key] = value
    return merged


def gather(changes: Iterable[Table]) -> Table:
    """Lay changes over one another without regard to names, so that their order does not matter."""
    gathered: Table = {}
    for change in changes:
        for key, value in change.items():
            tables = [t for t in (gathered.get(key), value) if isinstance(t, dict)]
            gathered[key] = gather(tables) if len(tables) == 2 else value
    return gathered


def nested(override: str) -> Table:
    """Turn ``a.b=c`` into nested tables; raises UsageError without an equals sign."""
    name, equals, value = override.partition("=")
    if not equals or not name.strip():
        raise UsageError(f"--set {override}: expected key=value", hint="for example --set training.batch=4")
    return nest(name.strip().split("."), Typed(value.strip()))


def nest(names: Sequence[str], value: Any) -> Table:
    """Wrap a value in one table a name, the last name innermost."""
    for name in reversed(names):
        value = {name: value}
    return dict(value)


def flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value with its dotted name."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def decode(kind: Any, value: Any, name: str) -> Any:
    """Turn a plain value into the annotated type, or say which option does not fit and why."""
    if get_origin(kind) in (Union, types.UnionType):
        kind = _member(get_args(kind), value, name)
    if dataclasses.is_dataclass(kind):
        return _decode_table(kind, value, name)
    if get_origin(kind) is tuple:
        return _decode_list(kind, value, name)
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise UsageError(f"{name} = {value!r} is not a choice", hint=did_you_mean(str(value), get_args(kind)))
        return str(value)
    return _decode_scalar(kind, value, name)


def _member(kinds: Sequence[Any], value: Any, name: str) -> Any:
    """Choose among dataclasses by the table's `name`; without one, the first."""
    named = {get_args(get_type_hints(kind)["name"])[0]: kind for kind in kinds}
    if not isinstance(value, dict):
        raise UsageError(f"{name} is a table of options", hint=f"for example --set {name}.name={next(iter(named))}")
    wanted = value.get("name", next(iter(named)))
    if not isinstance(wanted, str) or wanted not in named:
        raise UsageError(f"{name}.name = {str(wanted)!r} is not a choice", hint=did_you_mean(str(wanted), named))
    return named[wanted]


def _decode_table(kind: Any, value: Any, name: str) -> Any:
    if not isinstance(value, dict):
        raise UsageError(
            f"{name or 'experiment'} is a table of options", hint=f"known: {', '.join(get_type_hints(kind))}"
        )
    hints = get_type_hints(kind)
    prefix = f"{name}." if name else ""
    for key in value.keys() - hints.keys():
        near = did_you_mean(prefix + key, _names(kind, prefix))
        raise UsageError(f"{prefix}{key} is not an option", hint=near)
    built = kind(**{key: decode(hints[key], item, prefix + key) for key, item in value.items()})
    for spec in dataclasses.fields(kind):
        _check_range(spec, getattr(built, spec.name), prefix + spec.name)
    return built


def _names(kind: Any, prefix: str) -> list[str]:
    """Return the dotted names of a table's options, and of the options one table further down."""
    hints = get_type_hints(kind)
    inner = [f"{prefix}{k}.{i}" for k, t in hints.items() if dataclasses.is_dataclass(t) for i in get_type_hints(t)]
    return [prefix + key for key in hints] + inner


def _check_range(spec: Any, value: Any, name: str) -> None:
    if "low" not in spec.metadata:
        return
    low, high = spec.metadata["low"], spec.metadata["high"]
    for number in value if isinstance(value, tuple) else (value,):
        if isinstance(number, int | float) and not low <= number <= high:
            raise UsageError(
                f"{name} = {number} is out of range", hint=f"{spec.metadata['explained']}: {low} to {high}"
            )


def _decode_list(kind: Any, value: Any, name: str) -> tuple[Any, ...]:
    if isinstance(value, Typed):
        value = _list_from_text(value)
    inner = get_args(kind)
    wanted = len(value) if inner[-1] is Ellipsis and isinstance(value, list | tuple) else len(inner)
    if not isinstance(value, list | tuple) or len(value) != wanted:
        raise UsageError(f"{name} = {value!r} does not fit", hint=f"{wanted} values, separated by commas")
    return tuple(decode(inner[0], item, name) for item in value)


def _list_from_text(text: str) -> Any:
    """Return the items of ``[1, 2]``, as TOML has it, or of ``1, 2``."""
    found = _from_text(list, text) if text.startswith("[") else None
    return found or [Typed(part.strip()) for part in text.strip("[]() ").split(",") if part.strip()]


def _decode_scalar(kind: type, value: Any, name: str) -> Any:
    given = _from_text(kind, value) if isinstance(value, Typed) else value
    if kind is float and type(given) is int and abs(given) < 2**63:
        given = float(given)
    if type(given) is not kind or (isinstance(given, float) and not math.isfinite(given)):
        kinds = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
        raise UsageError(f"{name} = {value!r} does not fit", hint=f"{name} is {kinds[kind]}")
    return given


def _from_text(kind: type, text: str) -> Any:
    if kind is str:
        return str(text)
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):  # thousands of digits, or of brackets
        return None


def toml_lines(value: Any, name: str) -> Iterator[str]:
    """Yield the lines of a dataclass as TOML: scalars first, then its tables."""
    specs = dataclasses.fields(value)
    if name:
        yield f"\n[{name}]"
    for spec in specs:
        item = getattr(value, spec.name)
        if not dataclasses.is_dataclass(item):
            yield f"{spec.name} = {_toml(item)}  # {spec.metadata['explained']}"
    for spec in specs:
        item = getattr(value, spec.name)
        if dataclasses.is_dataclass(item):
            yield from toml_lines(item, f"{name}.{spec.name}" if name else spec.name)


def _toml(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, str):  # JSON's strings are TOML's, but for one character
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)
