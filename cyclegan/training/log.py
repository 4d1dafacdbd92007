"""log.jsonl of a run: the lines that are whole, and how many are not."""

import json
import math
from pathlib import Path
from typing import Any

from cyclegan.errors import CheckpointError, shown
from cyclegan.reading import read_file

Line = dict[str, Any]


def read_lines(path: Path) -> tuple[dict[str, Line], int]:
    """Return the lines of a log by their texts, and how many are spoiled; the last one may be torn by a crash.

    A log that is not there has no lines. Raises CheckpointError where it cannot be read.
    """
    try:
        texts = read_file(path).decode("utf-8", "replace").split("\n")
    except FileNotFoundError:
        return {}, 0
    except OSError as error:
        what = f"{shown(path)}: cannot be read: {error.strerror}"
        raise CheckpointError(what, hint="move it away, and the run goes on with a new one") from None
    found = {text: _line(text) for text in texts if text}
    spoiled = sum(1 for text in texts[:-1] if text and not found[text])
    return {text: line for text, line in found.items() if line}, spoiled


def _line(text: str) -> Line | None:
    try:
        line = json.loads(text)
        images, kid = line["images"], line.get("kid", 0.0)
        sound = type(images) is int and images >= 0 and type(kid) in (int, float) and math.isfinite(kid)
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError):
        return None
    return line if sound else None
